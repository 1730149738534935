//! What lies in a partition's directory or one of its files, piece by piece, for people.

use std::path::{Path, PathBuf};

use crate::io::{Disk, File, Open};
use crate::model::{LeaderEpoch, Offset, Position};
use crate::record::Batch;

use super::epochs::LeaderEpochs;
use super::fault::{LogFault, at};
use super::index::{AbortedTxn, OFFSET_ENTRY, OffsetEntry, TIME_ENTRY, TXN_ENTRY, TimeEntry};
use super::layout::{self, EPOCHS, INDEX, LOG, METADATA, SNAPSHOT, TIME_INDEX, TXN_INDEX};
use super::producers::Producers;
use super::walk::{Route, walk};

/// One thing that was found.
pub enum Piece<'a> {
    /// A file begins: its path and size in bytes.
    File(&'a Path, u64),
    /// A sound batch and its place.
    Batch(&'a Batch<'a>, Position),
    /// Offsets that no batch holds, up to but not including the second.
    Gap(Offset, Offset),
    /// Bytes that are no batch, from this place to the file's end, and why.
    NoBatch(u64, String),
    /// An offset index entry: a batch's last offset and its place.
    OffsetEntry(Offset, Position),
    /// A time index entry: timestamp in ms, and the last offset of the batch that has it.
    TimeEntry(i64, Offset),
    /// An aborted transaction: producer, first and last offset, last stable offset.
    Aborted(i64, Offset, Offset, Offset),
    /// A producer as a snapshot has it, in words.
    Producer(String),
    /// A leader epoch and its start offset.
    Epoch(LeaderEpoch, Offset),
    /// A line of a small text file.
    Text(&'a str),
    /// A file that cannot be read as what it is called, and why.
    NotReadable(String),
}

/// Shows what lies in `path`: a partition's directory, or one file of it.
///
/// # Errors
/// The disk's.
pub fn describe<D: Disk>(
    disk: &D,
    path: &Path,
    show: &mut dyn FnMut(Piece<'_>),
) -> Result<(), LogFault> {
    let files = match disk.list(path) {
        Ok(entries) => {
            let mut names: Vec<String> = entries
                .into_iter()
                .filter(|entry| !entry.is_dir)
                .map(|entry| entry.name)
                .collect();
            names.sort_by_key(|name| (rank(name), name.clone()));
            names
                .iter()
                .map(|name| path.join(name))
                .collect::<Vec<PathBuf>>()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => vec![path.to_owned()],
        Err(error) => return Err(at(path)(error)),
    };
    let mut next = None;
    for file in &files {
        one(disk, file, &mut next, show)?;
    }
    Ok(())
}

/// Segments first, then what is derived from them.
fn rank(name: &str) -> usize {
    let order = [LOG, EPOCHS, INDEX, TIME_INDEX, TXN_INDEX, SNAPSHOT];
    order
        .iter()
        .position(|end| name.ends_with(end))
        .unwrap_or(order.len())
}

fn one<D: Disk>(
    disk: &D,
    path: &Path,
    next: &mut Option<Offset>,
    show: &mut dyn FnMut(Piece<'_>),
) -> Result<(), LogFault> {
    let file = disk.open(path, Open::Read).map_err(at(path))?;
    let size = file.size().map_err(at(path))?;
    show(Piece::File(path, size));
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    if let Some(base) = layout::offset_of(&name, LOG) {
        return segment(&file, path, (base, size), next, show);
    }
    let bytes = layout::content(disk, path)?.unwrap_or_default();
    if let Some(base) = layout::offset_of(&name, INDEX) {
        entries(&bytes, OFFSET_ENTRY, |entry| {
            let entry = OffsetEntry::read(entry, base)?;
            show(Piece::OffsetEntry(entry.last, entry.position));
            Some(())
        });
    } else if let Some(base) = layout::offset_of(&name, TIME_INDEX) {
        entries(&bytes, TIME_ENTRY, |entry| {
            let entry = TimeEntry::read(entry, base)?;
            show(Piece::TimeEntry(entry.timestamp, entry.last));
            Some(())
        });
    } else if layout::offset_of(&name, TXN_INDEX).is_some() {
        entries(&bytes, TXN_ENTRY, |entry| {
            let txn = AbortedTxn::read(entry)?;
            let producer = txn.producer.value();
            show(Piece::Aborted(
                producer,
                txn.first,
                txn.last,
                txn.last_stable,
            ));
            Some(())
        });
    } else if layout::offset_of(&name, SNAPSHOT).is_some() {
        match Producers::from_snapshot(&bytes) {
            Some(producers) => {
                producers
                    .describe()
                    .for_each(|line| show(Piece::Producer(line)));
            }
            None => show(Piece::NotReadable("checksum or form is wrong".to_owned())),
        }
    } else if name == EPOCHS {
        match LeaderEpochs::from_text(&String::from_utf8_lossy(&bytes)) {
            Ok(epochs) => epochs
                .iter()
                .for_each(|(epoch, start)| show(Piece::Epoch(epoch, start))),
            Err(fault) => show(Piece::NotReadable(fault.to_string())),
        }
    } else if name == METADATA {
        String::from_utf8_lossy(&bytes)
            .lines()
            .for_each(|line| show(Piece::Text(line)));
    }
    Ok(())
}

fn entries(bytes: &[u8], entry_bytes: usize, show: impl FnMut(&[u8]) -> Option<()>) {
    // What is no entry ends the index, as for a broker.
    let _shown = bytes.chunks_exact(entry_bytes).map_while(show).count();
}

fn segment<F: File>(
    file: &F,
    path: &Path,
    (base, size): (Offset, u64),
    next: &mut Option<Offset>,
    show: &mut dyn FnMut(Piece<'_>),
) -> Result<(), LogFault> {
    let route = Route {
        from: Position::ZERO,
        to: size,
        next: base,
        epoch: LeaderEpoch::NONE,
    };
    let arrived = walk(file, path, route, |batch, position| {
        if let Some(end) = next.filter(|end| *end < batch.base_offset()) {
            show(Piece::Gap(end, batch.base_offset()));
        }
        *next = Some(batch.next_offset());
        show(Piece::Batch(batch, position));
        Ok(())
    })?;
    if let Some(obstacle) = arrived.obstacle {
        show(Piece::NoBatch(arrived.position, obstacle.to_string()));
    }
    Ok(())
}
