//! The part of a log that is about to be cut off, set aside as files that `inspect` can read, and
//! what it comes to in one more.

mod counting;

use std::path::{Path, PathBuf};

use crate::io::{Disk, Durability, File, Open, replace};
use crate::model::{Offset, Position, SetAside, TopicPartition, WallTime};

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
/// in `into`, durably, and what it comes to beside it. Says that too; `None` where there is
/// nothing. After a kill the same may be copied once more.
///
/// # Errors
/// The disk's.
pub fn set_aside<D: Disk>(
    disk: &D,
    dir: &Path,
    to: Offset,
    into: &Path,
    now: WallTime,
) -> Result<Option<SetAside>, LogFault> {
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
    // What goes from the log is not to be gone from here after a power loss.
    if let Some(parent) = into.parent() {
        disk.sync_dir(parent).map_err(at(parent))?;
    }
    let log = dir.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("{log}.from-{}", cut.end);
    // What an earlier try has left in it is worth nothing, and takes room.
    let unfinished = into.join(format!("{name}{UNFINISHED}"));
    disk.create_dir(&unfinished).map_err(at(&unfinished))?;
    empty(disk, &unfinished)?;
    let copied = copy_all(disk, dir, &cut, begins, &unfinished);
    let noted = copied.and_then(|()| note(disk, &unfinished, (&log, cut.end), now));
    let noted = noted.inspect_err(|_| drop(empty(disk, &unfinished)))?;
    let aside = free_name(disk, into, &name)?;
    disk.rename(&unfinished, &aside).map_err(at(&aside))?;
    disk.sync_dir(into).map_err(at(into))?;
    let path = aside.display().to_string();
    Ok(Some(SetAside { path, ..noted }))
}

/// Writes beside what was copied what it comes to, and makes all of it durable.
fn note<D: Disk>(
    disk: &D,
    copied: &Path,
    (log, from): (&str, Offset),
    now: WallTime,
) -> Result<SetAside, LogFault> {
    let mut noted = counting::count(disk, copied, from)?;
    noted.timestamp = now.0;
    match log.parse::<TopicPartition>() {
        Ok(id) => (noted.topic, noted.partition) = (id.topic.to_string(), id.partition.value()),
        Err(()) => (noted.topic, noted.partition) = (log.to_owned(), -1),
    }
    let (path, text) = (copied.join(SetAside::FILE), SetAside::write(&noted));
    replace(disk, &path, text.as_bytes(), Durability::PowerLoss).map_err(at(&path))?;
    Ok(noted)
}

fn empty<D: Disk>(disk: &D, dir: &Path) -> Result<(), LogFault> {
    for entry in disk.list(dir).map_err(at(dir))? {
        let path = dir.join(&entry.name);
        disk.remove_file(&path).map_err(at(&path))?;
    }
    Ok(())
}

fn copy_all<D: Disk>(
    disk: &D,
    dir: &Path,
    cut: &Cut,
    begins: Option<Offset>,
    into: &Path,
) -> Result<(), LogFault> {
    let segment = |base| layout::path(dir, base, LOG);
    if let Some(base) = begins {
        let from = segment(cut.bases[cut.stays]);
        copy(disk, &from, cut.place, &layout::path(into, base, LOG))?;
    }
    for base in &cut.bases[cut.stays + 1..] {
        let from = segment(*base);
        let to = layout::path(into, *base, LOG);
        copy(disk, &from, Position::ZERO, &to)?;
    }
    for name in [EPOCHS, SOURCE_EPOCHS, LED_EPOCHS, METADATA] {
        if cut.entries.iter().any(|entry| entry.name == name) {
            copy(disk, &dir.join(name), Position::ZERO, &into.join(name))?;
        }
    }
    Ok(())
}

/// Where what goes of the segment that stays begins: what its first batch says, where that can be.
/// It may be damaged, which is why it goes.
fn first_behind<F: File>(file: &F, path: &Path, cut: &Cut) -> Result<Option<Offset>, LogFault> {
    let mut bytes = [0; size_of::<i64>()];
    let read = file.read_at(&mut bytes, cut.place).map_err(at(path))?;
    let next = cut.bases.get(cut.stays + 1);
    let said = Offset::from_wire(i64::from_be_bytes(bytes)).filter(|said| {
        let is_before = next.is_none_or(|next| said < next);
        read == bytes.len() && *said >= cut.end && is_before
    });
    Ok((read > 0).then(|| said.unwrap_or(cut.end)))
}

/// A name that nothing has.
fn free_name<D: Disk>(disk: &D, into: &Path, name: &str) -> Result<PathBuf, LogFault> {
    let entries = disk.list(into).map_err(at(into))?;
    let is_taken = |name: &str| entries.iter().any(|entry| entry.name == name);
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
