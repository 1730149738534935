//! The part of a log that is about to be cut off, set aside as files that `inspect` can read.

use std::path::{Path, PathBuf};

use crate::io::{Disk, File, Open};
use crate::model::{Offset, Position};

use super::fault::{LogFault, at};
use super::layout::{self, EPOCHS, LED_EPOCHS, LOG, METADATA, SOURCE_EPOCHS};
use super::truncate::Cut;

/// Bytes that are copied at once.
const WINDOW_BYTES: usize = 1 << 20;
/// The end of the name of a directory in which something may be missing.
const UNFINISHED: &str = ".unfinished";
/// Directories that are tried for a free name.
const NAMES_MAX: u32 = 10_000;

/// Copies what [`super::cut`] at `to` takes away from the closed log in `dir` into a new directory
/// in `into`, durably. Says which; `None` where there is nothing. After a kill the same may be
/// copied once more.
///
/// # Errors
/// The disk's.
pub fn set_aside<D: Disk>(
    disk: &D,
    dir: &Path,
    to: Offset,
    into: &Path,
) -> Result<Option<PathBuf>, LogFault> {
    let Some(cut) = Cut::find(disk, dir, to)? else {
        return Ok(None);
    };
    let stays = layout::path(dir, cut.bases[cut.stays], LOG);
    let file = disk.open(&stays, Open::Read).map_err(at(&stays))?;
    let begins = first_behind(&file, &stays, &cut)?;
    if begins.is_none() && cut.bases.len() == cut.stays + 1 {
        return Ok(None);
    }
    disk.create_dir(into).map_err(at(into))?;
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let aside = free_name(disk, into, &format!("{name}.from-{}", cut.end))?;
    let unfinished = PathBuf::from(format!("{}{UNFINISHED}", aside.display()));
    disk.create_dir(&unfinished).map_err(at(&unfinished))?;
    if let Some(base) = begins {
        copy(
            disk,
            &stays,
            cut.place,
            &layout::path(&unfinished, base, LOG),
        )?;
    }
    for base in &cut.bases[cut.stays + 1..] {
        let from = layout::path(dir, *base, LOG);
        copy(
            disk,
            &from,
            Position::ZERO,
            &layout::path(&unfinished, *base, LOG),
        )?;
    }
    for name in [EPOCHS, SOURCE_EPOCHS, LED_EPOCHS, METADATA] {
        if cut.entries.iter().any(|entry| entry.name == name) {
            copy(
                disk,
                &dir.join(name),
                Position::ZERO,
                &unfinished.join(name),
            )?;
        }
    }
    disk.sync_dir(&unfinished).map_err(at(&unfinished))?;
    disk.rename(&unfinished, &aside).map_err(at(&aside))?;
    disk.sync_dir(into).map_err(at(into))?;
    Ok(Some(aside))
}

/// The base offset of the first batch that goes of the segment that stays.
fn first_behind<F: File>(file: &F, path: &Path, cut: &Cut) -> Result<Option<Offset>, LogFault> {
    let mut bytes = [0; size_of::<i64>()];
    let read = file.read_at(&mut bytes, cut.place).map_err(at(path))?;
    let first = Offset::from_wire(i64::from_be_bytes(bytes));
    Ok(first.filter(|_| read == bytes.len()))
}

/// A name that nothing has, finished or not.
fn free_name<D: Disk>(disk: &D, into: &Path, name: &str) -> Result<PathBuf, LogFault> {
    let entries = disk.list(into).map_err(at(into))?;
    let is_taken = |name: &str| {
        let names = entries.iter().map(|entry| entry.name.as_str());
        names
            .map(|taken| taken.strip_suffix(UNFINISHED).unwrap_or(taken))
            .any(|taken| taken == name)
    };
    let numbered = (1..NAMES_MAX).map(|nth| format!("{name}.{nth}"));
    let mut free = std::iter::once(name.to_owned())
        .chain(numbered)
        .filter(|name| !is_taken(name));
    free.next().map(|name| into.join(name)).ok_or_else(|| {
        let error = std::io::Error::other("too much of this partition was set aside here");
        at(into)(error)
    })
}

fn copy<D: Disk>(disk: &D, from: &Path, begin: Position, to: &Path) -> Result<(), LogFault> {
    let source = disk.open(from, Open::Read).map_err(at(from))?;
    let target = disk.open(to, Open::CreateEmpty).map_err(at(to))?;
    let mut window = vec![0; WINDOW_BYTES];
    let (mut read, mut written) = (begin, Position::ZERO);
    loop {
        let count = source.read_at(&mut window, read).map_err(at(from))?;
        if count == 0 {
            break;
        }
        target.write_at(&window[..count], written).map_err(at(to))?;
        read = read.plus(count as u64);
        written = written.plus(count as u64);
    }
    target.sync_blocking().map_err(at(to))
}
