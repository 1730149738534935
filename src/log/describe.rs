//! What lies in a partition's directory or one of its files, piece by piece, for people and tools.
//!
//! Reads the files of a broker as well as our own and believes none of them: what cannot be read
//! is a piece of its own, and what an index says is held against its segment.

mod entries;
mod transactions;

use std::path::{Path, PathBuf};

use crate::io::{Disk, File, Open};
use crate::model::{LeaderEpoch, Offset, Position, ProducerId, SetAside};
use crate::record::Batch;

use super::epochs::LeaderEpochs;
use super::fact::BatchFact;
use super::fault::{LogFault, at};
use super::layout::{
    self, CUT, DIGEST, EPOCHS, INDEX, LED_EPOCHS, LOG, METADATA, SNAPSHOT, SOURCE_EPOCHS,
    TIME_INDEX, TXN_INDEX,
};
use super::producers;
use super::walk::{Route, walk};

pub use super::producers::KnownProducer;
use transactions::Transactions;
pub use transactions::{Outcome, Transaction};

/// One thing that was found.
#[derive(Debug)]
pub enum Piece<'a> {
    /// A file begins: its path and size in bytes.
    File(&'a Path, u64),
    /// A sound batch and its place.
    Batch(&'a Batch<'a>, Position),
    /// Offsets that no batch holds, up to but not including the second.
    Gap(Offset, Offset),
    /// Bytes that are no batch, from this place to the file's end, and why.
    NoBatch(u64, String),
    /// A transaction that ends with the batch before, or that nothing ends.
    Transaction(Transaction),
    /// An offset index entry: a batch's last offset and its place.
    OffsetEntry(Offset, Position, Agreement),
    /// A time index entry: timestamp in ms, and an offset of the batch that has it.
    TimeEntry(i64, Offset, Agreement),
    /// An aborted transaction as the transaction index has it.
    Aborted(Aborted, Agreement),
    /// So many bytes of zeros behind an index's last entry: room that a broker makes beforehand.
    Room(u64),
    /// A producer as a snapshot has it.
    Producer(KnownProducer),
    /// A leader epoch and its start offset.
    Epoch(LeaderEpoch, Offset),
    /// A line of a small text file.
    Text(&'a str),
    /// What cannot be read as what its file is called, and why.
    NotReadable(String),
}

/// An entry of a transaction index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted {
    /// Whose transaction.
    pub producer: ProducerId,
    /// Its first offset.
    pub first: Offset,
    /// Its marker's offset.
    pub last: Offset,
    /// The last stable offset once it had ended.
    pub last_stable: Offset,
}

/// Whether an index entry says what the segment beside it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// It does.
    Agrees,
    /// There is no segment beside it.
    Unknown,
    /// It does not; why.
    Differs(&'static str),
}

/// Whether a file of this name is one that [`describe`] can tell about.
#[must_use]
pub fn is_known(name: &str) -> bool {
    let named = [LOG, INDEX, TIME_INDEX, TXN_INDEX, SNAPSHOT];
    let is_named = |suffix: &&str| layout::offset_of(name, suffix).is_some();
    let files = [EPOCHS, SOURCE_EPOCHS, LED_EPOCHS, CUT, DIGEST, METADATA];
    files.contains(&name) || name == SetAside::FILE || named.iter().any(is_named)
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
            let files = entries.into_iter().filter(|entry| !entry.is_dir);
            let mut names: Vec<String> = files.map(|entry| entry.name).collect();
            names.sort_by_key(|name| (rank(name), name.clone()));
            names
                .iter()
                .map(|name| path.join(name))
                .collect::<Vec<PathBuf>>()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => vec![path.to_owned()],
        Err(error) => return Err(at(path)(error)),
    };
    let mut segments = Segments::default();
    let mut left = files.iter().peekable();
    while let Some(file) = left.next() {
        one(disk, file, &mut segments, show)?;
        let goes_on = left.peek().is_some_and(|next| is_segment(next));
        if is_segment(file) && !goes_on {
            let open = std::mem::take(&mut segments.transactions).open();
            open.for_each(|transaction| show(Piece::Transaction(transaction)));
        }
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

fn is_segment(path: &Path) -> bool {
    layout::offset_of(&name_of(path), LOG).is_some()
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// What goes on from one segment to the next.
#[derive(Default)]
struct Segments {
    next: Option<Offset>,
    transactions: Transactions,
}

fn one<D: Disk>(
    disk: &D,
    path: &Path,
    segments: &mut Segments,
    show: &mut dyn FnMut(Piece<'_>),
) -> Result<(), LogFault> {
    let file = disk.open(path, Open::Read).map_err(at(path))?;
    let size = file.size().map_err(at(path))?;
    show(Piece::File(path, size));
    let name = name_of(path);
    let base = |suffix| layout::offset_of(&name, suffix);
    if let Some(base) = base(LOG) {
        return segments.one(&file, path, (base, size), show);
    }
    let content = || layout::content(disk, path).map(Option::unwrap_or_default);
    if let Some(base) = base(INDEX) {
        entries::offsets(disk, path, base, &content()?, show)
    } else if let Some(base) = base(TIME_INDEX) {
        entries::times(disk, path, base, &content()?, show)
    } else if let Some(base) = base(TXN_INDEX) {
        entries::aborted(disk, path, base, &content()?, show)
    } else if base(SNAPSHOT).is_some() {
        snapshot(&content()?, show);
        Ok(())
    } else if [EPOCHS, SOURCE_EPOCHS, LED_EPOCHS].contains(&&*name) {
        epochs(&content()?, show);
        Ok(())
    } else if [METADATA, CUT, SetAside::FILE].contains(&&*name) {
        let text = content()?;
        let text = String::from_utf8_lossy(&text);
        text.lines().for_each(|line| show(Piece::Text(line)));
        Ok(())
    } else {
        Ok(())
    }
}

fn snapshot(bytes: &[u8], show: &mut dyn FnMut(Piece<'_>)) {
    match producers::known_in(bytes) {
        Some(known) => known.for_each(|known| show(Piece::Producer(known))),
        None => show(Piece::NotReadable("checksum or form is wrong".to_owned())),
    }
}

fn epochs(bytes: &[u8], show: &mut dyn FnMut(Piece<'_>)) {
    match LeaderEpochs::from_text(&String::from_utf8_lossy(bytes)) {
        Ok(epochs) => epochs
            .iter()
            .for_each(|(epoch, start)| show(Piece::Epoch(epoch, start))),
        Err(fault) => show(Piece::NotReadable(fault.to_string())),
    }
}

impl Segments {
    fn one<F: File>(
        &mut self,
        file: &F,
        path: &Path,
        (base, size): (Offset, u64),
        show: &mut dyn FnMut(Piece<'_>),
    ) -> Result<(), LogFault> {
        let route = Route {
            from: Position::ZERO,
            to: size,
            next: base,
            epoch: LeaderEpoch::NONE,
        };
        let arrived = walk(file, path, route, |batch, position| {
            if let Some(end) = self.next.filter(|end| *end < batch.base_offset()) {
                show(Piece::Gap(end, batch.base_offset()));
            }
            self.next = Some(batch.next_offset());
            show(Piece::Batch(batch, position));
            // A marker that cannot be read shows with its batch.
            if let Ok(fact) = BatchFact::of(batch)
                && let Some(ended) = self.transactions.take(&fact, batch.record_count())
            {
                show(Piece::Transaction(ended));
            }
            Ok(())
        })?;
        if let Some(obstacle) = arrived.obstacle {
            show(Piece::NoBatch(arrived.position, obstacle.to_string()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
