//! The entries of the three indexes, each held against the segment beside it.

use std::path::Path;

use zerocopy::FromBytes;

use super::{Aborted, Agreement, Piece};
use crate::io::{Disk, File, Open};
use crate::log::fault::{LogFault, at};
use crate::log::index::{AbortedTxn, OFFSET_ENTRY, OffsetEntry, TIME_ENTRY, TXN_ENTRY, TimeEntry};
use crate::log::layout::{self, LOG};
use crate::model::{LeaderEpoch, Offset, Position};
use crate::record::{BatchHeader, Control, Expect, HEADER_BYTES, control, first};

/// The length field of a batch counts what follows these bytes.
const BEFORE_LENGTH_COUNTS: u64 = 12;
/// A marker has 78 bytes; what is much larger is none.
const MARKER_BYTES_MAX: u64 = 4096;

pub(super) fn offsets<D: Disk>(
    disk: &D,
    path: &Path,
    base: Offset,
    bytes: &[u8],
    show: &mut dyn FnMut(Piece<'_>),
) -> Result<(), LogFault> {
    let mut heads = Heads::beside(disk, path, base)?;
    let rises = |before: &OffsetEntry, entry: &OffsetEntry| {
        before.last < entry.last && before.position < entry.position
    };
    let read = |entry: &[u8]| OffsetEntry::read(entry, base);
    each(bytes, OFFSET_ENTRY, read, rises, show, |entry, show| {
        let agreement = match &mut heads {
            None => Agreement::Unknown,
            Some(heads) => heads.agree_with(entry)?,
        };
        show(Piece::OffsetEntry(entry.last, entry.position, agreement));
        Ok(())
    })
}

pub(super) fn times<D: Disk>(
    disk: &D,
    path: &Path,
    base: Offset,
    bytes: &[u8],
    show: &mut dyn FnMut(Piece<'_>),
) -> Result<(), LogFault> {
    let mut heads = Heads::beside(disk, path, base)?;
    let rises = |before: &TimeEntry, entry: &TimeEntry| {
        before.last <= entry.last && before.timestamp < entry.timestamp
    };
    let read = |entry: &[u8]| TimeEntry::read(entry, base);
    each(bytes, TIME_ENTRY, read, rises, show, |entry, show| {
        let agreement = match &mut heads {
            None => Agreement::Unknown,
            Some(heads) => match heads.holding(entry.last)? {
                Some(head) if head.max_timestamp == entry.timestamp => Agreement::Agrees,
                Some(_) => Agreement::Differs("the batch that holds its offset has another time"),
                None => Agreement::Differs("no batch holds its offset"),
            },
        };
        show(Piece::TimeEntry(entry.timestamp, entry.last, agreement));
        Ok(())
    })
}

pub(super) fn aborted<D: Disk>(
    disk: &D,
    path: &Path,
    base: Offset,
    bytes: &[u8],
    show: &mut dyn FnMut(Piece<'_>),
) -> Result<(), LogFault> {
    let mut heads = Heads::beside(disk, path, base)?;
    let rises = |before: &AbortedTxn, entry: &AbortedTxn| before.last < entry.last;
    let read = |entry: &[u8]| AbortedTxn::read(entry);
    each(bytes, TXN_ENTRY, read, rises, show, |entry, show| {
        let agreement = match &mut heads {
            None => Agreement::Unknown,
            Some(heads) => match heads.is_aborted_by(entry)? {
                true => Agreement::Agrees,
                false => Agreement::Differs("no abort marker of its producer stands at its end"),
            },
        };
        let entry = Aborted {
            producer: entry.producer,
            first: entry.first,
            last: entry.last,
            last_stable: entry.last_stable,
        };
        show(Piece::Aborted(entry, agreement));
        Ok(())
    })
}

/// Shows each entry with `one`, and what follows the last one that is sound and rises.
fn each<T>(
    bytes: &[u8],
    entry_bytes: usize,
    read: impl Fn(&[u8]) -> Option<T>,
    rises: impl Fn(&T, &T) -> bool,
    show: &mut dyn FnMut(Piece<'_>),
    mut one: impl FnMut(&T, &mut dyn FnMut(Piece<'_>)) -> Result<(), LogFault>,
) -> Result<(), LogFault> {
    let mut before: Option<T> = None;
    for (nth, chunk) in bytes.chunks(entry_bytes).enumerate() {
        let left = bytes.get(nth * entry_bytes..).unwrap_or_default();
        let entry = read(chunk).filter(|_| chunk.len() == entry_bytes);
        let follows = |entry: &T| match &before {
            Some(before) => rises(before, entry),
            // An entry of zeros alone can be meant; many of them are room.
            None => left.len() == entry_bytes || !is_zero(left),
        };
        let Some(entry) = entry.filter(follows) else {
            show(match is_zero(left) {
                true => Piece::Room(left.len() as u64),
                false => Piece::NotReadable(format!(
                    "from byte {} on it holds what is no entry, or does not rise",
                    nth * entry_bytes
                )),
            });
            return Ok(());
        };
        one(&entry, show)?;
        before = Some(entry);
    }
    Ok(())
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// As much of a batch as the indexes speak of.
#[derive(Clone, Copy, Debug)]
struct Head {
    position: u64,
    bytes: u64,
    base: Offset,
    last: Offset,
    max_timestamp: i64,
}

/// The batches of a segment, gone through once, by their headers alone.
struct Heads<F> {
    file: F,
    name: std::path::PathBuf,
    size: u64,
    /// Where the walk stands; none where nothing more can be read as a batch.
    here: Option<Head>,
}

impl<F: File> Heads<F> {
    /// The segment that an index belongs to, where it is there.
    fn beside<D>(disk: &D, path: &Path, base: Offset) -> Result<Option<Heads<F>>, LogFault>
    where
        D: Disk<File = F>,
    {
        let dir = path.parent().unwrap_or(Path::new(""));
        let name = layout::path(dir, base, LOG);
        let file = match disk.open(&name, Open::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(&name)(error)),
        };
        let size = file.size().map_err(at(&name))?;
        let mut heads = Heads {
            file,
            name,
            size,
            here: None,
        };
        heads.here = heads.read(0)?;
        Ok(Some(heads))
    }

    /// Entries come in the order of their places.
    fn agree_with(&mut self, entry: &OffsetEntry) -> Result<Agreement, LogFault> {
        let position = entry.position.value();
        while let Some(head) = self.here.filter(|head| head.position < position) {
            self.here = self.read(head.position + head.bytes)?;
        }
        if self.here.is_none_or(|head| head.position != position) {
            return Ok(Agreement::Differs("no batch begins at its place"));
        }
        // A broker before 4.0 has one entry for all batches that it got at once: the place of the
        // first and the offset of the last.
        let last = self.holding(entry.last)?;
        Ok(match last.is_some_and(|head| head.last == entry.last) {
            true => Agreement::Agrees,
            false => Agreement::Differs("no batch from its place on ends with its offset"),
        })
    }

    /// The batch that holds `offset`, which is not below the last one asked for.
    fn holding(&mut self, offset: Offset) -> Result<Option<Head>, LogFault> {
        while let Some(head) = self.here.filter(|head| head.last < offset) {
            self.here = self.read(head.position + head.bytes)?;
        }
        Ok(self.here.filter(|head| head.base <= offset))
    }

    fn is_aborted_by(&mut self, entry: &AbortedTxn) -> Result<bool, LogFault> {
        let head = self.holding(entry.last)?;
        let Some(head) = head.filter(|head| head.bytes <= MARKER_BYTES_MAX) else {
            return Ok(false);
        };
        let mut bytes = vec![0; usize::try_from(head.bytes).expect("bounded above")];
        let read = self.file.read_at(&mut bytes, Position::new(head.position));
        let read = read.map_err(at(&self.name))?;
        let expect = Expect {
            batch_bytes_max: bytes.len(),
            ..Expect::after(head.base, LeaderEpoch::NONE)
        };
        let Ok(batch) = first(&bytes[..read], expect) else {
            return Ok(false);
        };
        let is_abort = matches!(control(&batch), Ok(Control::Abort { .. }));
        let producer = batch.producer().map(|producer| producer.id);
        Ok(is_abort && producer == Some(entry.producer) && head.last == entry.last)
    }

    /// The header at `position`, if it can be one.
    fn read(&self, position: u64) -> Result<Option<Head>, LogFault> {
        let mut bytes = [0; HEADER_BYTES];
        let read = self.file.read_at(&mut bytes, Position::new(position));
        let read = read.map_err(at(&self.name))?;
        let Ok(header) = BatchHeader::ref_from_bytes(&bytes[..read]) else {
            return Ok(None);
        };
        let size = u64::try_from(header.length.get()).map(|length| length + BEFORE_LENGTH_COUNTS);
        let size = size.ok().filter(|size| {
            *size >= HEADER_BYTES as u64 && position.saturating_add(*size) <= self.size
        });
        let base = Offset::from_wire(header.base_offset.get());
        let delta = u64::try_from(header.last_offset_delta.get()).ok();
        Ok(size
            .zip(base)
            .zip(delta)
            .and_then(|((bytes, base), delta)| {
                Some(Head {
                    position,
                    bytes,
                    base,
                    last: base.checked_add(delta)?,
                    max_timestamp: header.max_timestamp.get(),
                })
            }))
    }
}
