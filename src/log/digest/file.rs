//! The file of marks: read from its front as far as it is sound, and cut.

use std::path::Path;

use super::{MARK_ENTRY, Mark, Owner};
use crate::io::{Disk, File, Open};
use crate::log::fault::{LogFault, at};
use crate::log::layout::DIGEST;
use crate::model::{Offset, Position};
use crate::stdx::bytes::be_i64;

/// Entries that are read at once: 64 KiB of them.
const ENTRIES: usize = (64 << 10) / MARK_ENTRY;

/// Shows `see` the marks at the front of the file at `path` that are sound and lie one behind the
/// other, until it says no: what follows is not read. Says how large the file is; `None` where
/// there is none.
pub(in crate::log) fn each_mark<D: Disk>(
    disk: &D,
    path: &Path,
    owner: Owner,
    mut see: impl FnMut(Mark) -> bool,
) -> Result<Option<u64>, LogFault> {
    let mut last = None;
    each_entry(disk, path, |entry| {
        let mark = Mark::read(entry, owner).filter(|mark| Some(mark.before) > last);
        last = mark.map(|mark| mark.before);
        mark.is_some_and(&mut see)
    })
}

fn each_entry<D: Disk>(
    disk: &D,
    path: &Path,
    mut see: impl FnMut(&[u8]) -> bool,
) -> Result<Option<u64>, LogFault> {
    let file = match disk.open(path, Open::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path)(error)),
    };
    let size = file.size().map_err(at(path))?;
    let held = usize::try_from(size).unwrap_or(usize::MAX);
    let mut chunk = vec![0; held.div_ceil(MARK_ENTRY).clamp(1, ENTRIES) * MARK_ENTRY];
    let mut place = Position::ZERO;
    loop {
        let read = file.read_at(&mut chunk, place).map_err(at(path))?;
        let mut entries = chunk[..read].chunks_exact(MARK_ENTRY);
        if !entries.all(&mut see) || read < chunk.len() {
            return Ok(Some(size));
        }
        place = place.plus(read as u64);
    }
}

/// Takes the marks behind `end` out of the file in `dir`, whoever they are of.
pub(in crate::log) fn cut<D: Disk>(disk: &D, dir: &Path, end: Offset) -> Result<(), LogFault> {
    let (mut last, mut stay) = (None, 0);
    each_entry(disk, &dir.join(DIGEST), |entry| {
        let before = be_i64(entry, 0);
        let stays = before > last && before.is_some_and(|before| before <= end.value());
        last = before;
        stay += u64::from(stays);
        stays
    })?;
    truncate(disk, dir, stay * MARK_ENTRY as u64)
}

/// Leaves the first `bytes` bytes of the file in `dir`, where there are more.
pub(super) fn truncate<D: Disk>(disk: &D, dir: &Path, bytes: u64) -> Result<(), LogFault> {
    let path = dir.join(DIGEST);
    let file = match disk.open(&path, Open::Write) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at(&path)(error)),
    };
    match file.size().map_err(at(&path))? > bytes {
        true => file.truncate(Position::new(bytes)).map_err(at(&path)),
        false => Ok(()),
    }
}
