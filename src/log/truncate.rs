//! Cutting a log: what lies at and behind an offset goes, and everything derived with it.
//!
//! Done on closed files, in an order that is safe to repeat: what is derived from the cut part
//! goes first (snapshots, leader epochs), then later segments from the last one down, then the
//! tail of the segment that stays. The next [`super::open`] makes its indexes again.

use std::path::{Path, PathBuf};

use zerocopy::FromBytes;

use crate::io::{Disk, Durability, Entry, File, Open, replace};
use crate::model::{LeaderEpoch, Offset, Position};
use crate::record::{Batch, BatchHeader, HEADER_BYTES};

use super::digest;
use super::epochs::LeaderEpochs;
use super::fault::{LogFault, at, unsynced};
use super::index::{OFFSET_ENTRY, OffsetEntry, count_while, entry_at};
use super::layout::{
    self, EPOCHS, INDEX, LED_EPOCHS, LOG, SNAPSHOT, SOURCE_EPOCHS, TIME_INDEX, TXN_INDEX,
};
use super::limit;
use super::walk::{Route, walk};

/// Cuts the closed log in `dir` so that it ends at `to`, or before where a batch holds `to`.
/// Says where it ends now; `None` where it has no batch left.
///
/// # Errors
/// The disk's.
pub fn truncate<D: Disk>(disk: &D, dir: &Path, to: Offset) -> Result<Option<Offset>, LogFault> {
    match Cut::find(disk, dir, to)? {
        Some(cut) => cut.carry_out(disk, dir),
        None => Ok(None),
    }
}

/// The same of what was durable up to `durable`: the recovery point that is known elsewhere may
/// reach as far, and is not believed above the cut until a newer one is.
///
/// # Errors
/// The disk's.
pub fn cut<D: Disk>(
    disk: &D,
    dir: &Path,
    to: Offset,
    durable: Offset,
) -> Result<Option<Offset>, LogFault> {
    let Some(cut) = Cut::find(disk, dir, to)? else {
        return Ok(None);
    };
    if cut.end < durable {
        limit::note(disk, dir, cut.end, durable)?;
    }
    cut.carry_out(disk, dir)
}

/// Cuts the closed log in `dir` at `durable`, up to where it was synced before a later sync failed.
/// The indexes of the segment that stays may have lost what nobody writes again: they go, and are
/// made anew.
///
/// The batches go first, before anything has to be synced on a device that may go on failing: the
/// next open would find them in memory, take them in, and sync them in vain. What is derived from
/// them may stay behind as after a loss of power, which every open makes up for.
///
/// # Errors
/// The disk's. Where it is that of a sync, no open finds the batches any more.
pub fn cut_unsynced<D: Disk>(disk: &D, dir: &Path, durable: Offset) -> Result<(), LogFault> {
    let Some(cut) = Cut::find(disk, dir, durable)? else {
        return Ok(());
    };
    cut.remove_later(disk, dir)?;
    let (path, file) = cut.truncate_last(disk, dir)?;
    for suffix in [INDEX, TIME_INDEX, TXN_INDEX] {
        let path = layout::path(dir, cut.bases[cut.stays], suffix);
        match disk.remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(at(&path)(error));
            }
            _ => {}
        }
    }
    file.sync_blocking().map_err(unsynced(&path))?;
    disk.sync_dir(dir).map_err(unsynced(dir))?;
    cut.remove_derived(disk, dir)?;
    cut.cut_source_epochs(disk, dir)?;
    disk.sync_dir(dir).map_err(unsynced(dir))
}

/// Takes everything from the closed log in `dir`, which was durable up to `durable`: it is opened
/// as a new one then, wherever that is to begin.
///
/// # Errors
/// The disk's.
pub fn empty<D: Disk>(disk: &D, dir: &Path, durable: Offset) -> Result<(), LogFault> {
    let entries = disk.list(dir).map_err(at(dir))?;
    let bases = layout::offsets(&entries, LOG);
    let Some(first) = bases.first().copied() else {
        return Ok(());
    };
    // A start that is known elsewhere may be the one of before, too.
    limit::note(disk, dir, Offset::ZERO, durable)?;
    let all = Cut {
        entries,
        bases,
        stays: 0,
        place: Position::ZERO,
        end: first,
    };
    all.carry_out(disk, dir)?;
    remove(disk, &layout::path(dir, first, LOG))?;
    disk.sync_dir(dir).map_err(at(dir))
}

/// Empties a log of which nothing is wanted any more, not even whose it was.
///
/// # Errors
/// The disk's.
pub fn discard<D: Disk>(disk: &D, dir: &Path, durable: Offset) -> Result<(), LogFault> {
    empty(disk, dir, durable)?;
    for entry in disk.list(dir).map_err(at(dir))? {
        if [EPOCHS, SOURCE_EPOCHS, LED_EPOCHS].contains(&entry.name.as_str()) {
            remove(disk, &dir.join(&entry.name))?;
        }
    }
    disk.sync_dir(dir).map_err(at(dir))
}

/// Where a log is cut.
pub(super) struct Cut {
    pub(super) entries: Vec<Entry>,
    /// Of the segments, rising.
    pub(super) bases: Vec<Offset>,
    /// Which of them stays as the last one.
    pub(super) stays: usize,
    /// Bytes of it that stay.
    pub(super) place: Position,
    /// The log's end afterwards.
    pub(super) end: Offset,
}

impl Cut {
    /// `None` where the log begins behind `to`.
    pub(super) fn find<D: Disk>(disk: &D, dir: &Path, to: Offset) -> Result<Option<Cut>, LogFault> {
        let entries = disk.list(dir).map_err(at(dir))?;
        let bases = layout::offsets(&entries, LOG);
        let below = bases.partition_point(|base| *base <= to);
        let Some(mut stays) = below.checked_sub(1) else {
            return Ok(None);
        };
        let (mut end, mut place) = end_below(disk, dir, bases[stays], to)?;
        // A segment that begins behind a gap says nothing of where the batches before it end.
        while end.is_none() && stays > 0 {
            stays -= 1;
            (end, place) = end_below(disk, dir, bases[stays], to)?;
        }
        Ok(Some(Cut {
            end: end.unwrap_or(bases[stays]),
            entries,
            bases,
            stays,
            place,
        }))
    }

    fn carry_out<D: Disk>(&self, disk: &D, dir: &Path) -> Result<Option<Offset>, LogFault> {
        self.remove_derived(disk, dir)?;
        self.remove_later(disk, dir)?;
        let (path, file) = self.truncate_last(disk, dir)?;
        file.sync_blocking().map_err(at(&path))?;
        disk.sync_dir(dir).map_err(at(dir))?;
        self.cut_source_epochs(disk, dir)?;
        Ok((self.stays > 0 || self.place > Position::ZERO).then_some(self.end))
    }

    /// Snapshots, digest and leader epochs of the part that is cut.
    fn remove_derived<D: Disk>(&self, disk: &D, dir: &Path) -> Result<(), LogFault> {
        let snapshots = layout::offsets(&self.entries, SNAPSHOT);
        for snapshot in snapshots.into_iter().filter(|offset| *offset > self.end) {
            remove(disk, &layout::path(dir, snapshot, SNAPSHOT))?;
        }
        digest::cut(disk, dir, self.end)?;
        cut_epochs(disk, &dir.join(EPOCHS), self.end)
    }

    /// Where the source's part ends is forgotten once nothing lies behind: whoever is cut short
    /// would take what is left of it for the source's.
    fn cut_source_epochs<D: Disk>(&self, disk: &D, dir: &Path) -> Result<(), LogFault> {
        let source_epochs = dir.join(SOURCE_EPOCHS);
        match self.has(&source_epochs) {
            true => cut_epochs(disk, &source_epochs, self.end),
            false => Ok(()),
        }
    }

    /// The segments behind the one that stays, from the last one down.
    fn remove_later<D: Disk>(&self, disk: &D, dir: &Path) -> Result<(), LogFault> {
        for base in self.bases[self.stays + 1..].iter().rev() {
            for suffix in [INDEX, TIME_INDEX, TXN_INDEX] {
                let path = layout::path(dir, *base, suffix);
                if self.has(&path) {
                    remove(disk, &path)?;
                }
            }
            remove(disk, &layout::path(dir, *base, LOG))?;
        }
        Ok(())
    }

    /// The tail of the segment that stays. Its file and name are to be synced.
    fn truncate_last<D: Disk>(&self, disk: &D, dir: &Path) -> Result<(PathBuf, D::File), LogFault> {
        let path = layout::path(dir, self.bases[self.stays], LOG);
        let file = disk.open(&path, Open::Write).map_err(at(&path))?;
        file.truncate(self.place).map_err(at(&path))?;
        Ok((path, file))
    }

    fn has(&self, path: &Path) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|entry| path.ends_with(&entry.name))
    }
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
    let all = Route {
        from: Position::ZERO,
        to: file.size().map_err(at(&path))?,
        next: base,
        epoch: LeaderEpoch::NONE,
    };
    if let Some(near) = near(disk, dir, base, to)?
        && let Some(found) = near.end_below(&file, &path, to, all)?
    {
        return Ok(found);
    }
    let mut end = (None, Position::ZERO);
    walk(&file, &path, all, |batch, position| {
        if batch.next_offset() <= to {
            end = (Some(batch.next_offset()), behind(batch, position));
        }
        Ok(())
    })?;
    Ok(end)
}

fn behind(batch: &Batch<'_>, position: Position) -> Position {
    position.plus(batch.bytes().len() as u64)
}

/// What an index says of a segment's batches around an offset.
struct Near {
    /// The last batch that it names which lies below.
    below: OffsetEntry,
    /// The next one that it names.
    above: Option<OffsetEntry>,
}

fn near<D: Disk>(disk: &D, dir: &Path, base: Offset, to: Offset) -> Result<Option<Near>, LogFault> {
    let path = layout::path(dir, base, INDEX);
    let index = match disk.open(&path, Open::Read) {
        Ok(index) => index,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(&path)(error)),
    };
    let read = |bytes: &[u8]| OffsetEntry::read(bytes, base);
    let is_below = |entry: &OffsetEntry| entry.last < to;
    let count = count_while(&index, OFFSET_ENTRY, read, is_below).map_err(at(&path))?;
    let Some(nth) = count.checked_sub(1) else {
        return Ok(None);
    };
    let entry = |nth| entry_at(&index, OFFSET_ENTRY, nth, read).map_err(at(&path));
    let (below, above) = (entry(nth)?, entry(count)?);
    Ok(below.map(|below| Near { below, above }))
}

impl Near {
    /// [`end_below`], without the batches before; `None` where the index is not true of the
    /// segment.
    fn end_below<F: File>(
        &self,
        file: &F,
        path: &Path,
        to: Offset,
        all: Route,
    ) -> Result<Option<(Option<Offset>, Position)>, LogFault> {
        let bound = self.above.map_or(all.to, |above| above.position.value());
        let route = Route {
            from: self.below.position,
            to: bound.min(all.to),
            ..all
        };
        let mut is_true = match &self.above {
            Some(above) => last_at(file, path, above.position)? == Some(above.last),
            None => true,
        };
        let mut end = (None, Position::ZERO);
        let arrived = walk(file, path, route, |batch, position| {
            is_true &= position > route.from || batch.last_offset() == self.below.last;
            if batch.next_offset() <= to {
                end = (Some(batch.next_offset()), behind(batch, position));
            }
            Ok(())
        })?;
        is_true &= self.above.is_none() || arrived.position == bound;
        Ok((is_true && end.0.is_some()).then_some(end))
    }
}

/// The last offset of the batch that seems to begin there.
fn last_at<F: File>(file: &F, path: &Path, place: Position) -> Result<Option<Offset>, LogFault> {
    let mut bytes = [0; HEADER_BYTES];
    let read = file.read_at(&mut bytes, place).map_err(at(path))?;
    let header = BatchHeader::ref_from_bytes(&bytes).expect("the sizes are the same");
    let last = || {
        let base = Offset::from_wire(header.base_offset.get())?;
        base.checked_add(u64::try_from(header.last_offset_delta.get()).ok()?)
    };
    Ok(last().filter(|_| read == HEADER_BYTES))
}

fn cut_epochs<D: Disk>(disk: &D, path: &Path, end: Offset) -> Result<(), LogFault> {
    let text = layout::content(disk, path)?;
    let epochs = text.map(|text| LeaderEpochs::from_text(&String::from_utf8_lossy(&text)));
    let Some(Ok(mut epochs)) = epochs else {
        // Of no use before, of no use after: whoever opens the log makes up for it.
        return Ok(());
    };
    epochs.cut(end);
    let text = epochs.to_text();
    replace(disk, path, text.as_bytes(), Durability::PowerLoss).map_err(at(path))
}

fn remove<D: Disk>(disk: &D, path: &Path) -> Result<(), LogFault> {
    disk.remove_file(path).map_err(at(path))
}
