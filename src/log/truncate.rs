//! Cutting a log: what lies at and behind an offset goes, and everything derived with it.
//!
//! Done on closed files, in an order that is safe to repeat: what is derived from the cut part
//! goes first (snapshots, leader epochs), then later segments from the last one down, then the
//! tail of the segment that stays. The next [`super::open`] makes its indexes again.

use std::path::Path;

use crate::io::{Disk, Durability, File, Open, replace};
use crate::model::{LeaderEpoch, Offset, Position};

use super::epochs::LeaderEpochs;
use super::fault::{LogFault, at};
use super::layout::{self, EPOCHS, INDEX, LOG, SNAPSHOT, TIME_INDEX, TXN_INDEX};
use super::walk::{Route, walk};

/// Cuts the closed log in `dir` so that it ends at `to`, or before where a batch holds `to`.
/// Says where it ends now; `None` where it has no batch left.
///
/// # Errors
/// The disk's.
pub fn truncate<D: Disk>(disk: &D, dir: &Path, to: Offset) -> Result<Option<Offset>, LogFault> {
    let entries = disk.list(dir).map_err(at(dir))?;
    let offsets = |suffix| layout::offsets(&entries, suffix);
    let bases = offsets(LOG);
    let Some(stays) = bases.partition_point(|base| *base <= to).checked_sub(1) else {
        return Ok(None);
    };
    let (end, place) = end_below(disk, dir, bases[stays], to)?;
    let end = end.unwrap_or(bases[stays]);
    for snapshot in offsets(SNAPSHOT).into_iter().filter(|offset| *offset > end) {
        remove(disk, &layout::path(dir, snapshot, SNAPSHOT))?;
    }
    cut_epochs(disk, dir, end)?;
    for base in bases[stays + 1..].iter().rev() {
        for suffix in [INDEX, TIME_INDEX, TXN_INDEX] {
            let path = layout::path(dir, *base, suffix);
            if entries.iter().any(|entry| path.ends_with(&entry.name)) {
                remove(disk, &path)?;
            }
        }
        remove(disk, &layout::path(dir, *base, LOG))?;
    }
    let path = layout::path(dir, bases[stays], LOG);
    let file = disk.open(&path, Open::Write).map_err(at(&path))?;
    file.truncate(place).map_err(at(&path))?;
    file.sync_blocking().map_err(at(&path))?;
    disk.sync_dir(dir).map_err(at(dir))?;
    Ok((stays > 0 || place > Position::ZERO).then_some(end))
}

/// The end of the last batch of a segment that lies below `to` as a whole, and its place.
fn end_below<D: Disk>(
    disk: &D,
    dir: &Path,
    base: Offset,
    to: Offset,
) -> Result<(Option<Offset>, Position), LogFault> {
    let path = layout::path(dir, base, LOG);
    let file = disk.open(&path, Open::Read).map_err(at(&path))?;
    let route = Route {
        from: Position::ZERO,
        to: file.size().map_err(at(&path))?,
        next: base,
        epoch: LeaderEpoch::NONE,
    };
    let mut end = (None, Position::ZERO);
    walk(&file, &path, route, |batch, position| {
        if batch.next_offset() <= to {
            let behind = position.plus(batch.bytes().len() as u64);
            end = (Some(batch.next_offset()), behind);
        }
        Ok(())
    })?;
    Ok(end)
}

fn cut_epochs<D: Disk>(disk: &D, dir: &Path, end: Offset) -> Result<(), LogFault> {
    let path = dir.join(EPOCHS);
    let text = layout::content(disk, &path)?.unwrap_or_default();
    // A checkpoint that cannot be read is made again by recovery.
    let mut epochs = LeaderEpochs::from_text(&String::from_utf8_lossy(&text)).unwrap_or_default();
    epochs.cut(end);
    let text = epochs.to_text();
    replace(disk, &path, text.as_bytes(), Durability::PowerLoss).map_err(at(&path))
}

fn remove<D: Disk>(disk: &D, path: &Path) -> Result<(), LogFault> {
    disk.remove_file(path).map_err(at(path))
}
