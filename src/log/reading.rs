//! From an offset to a place in a file, and from there the batches in their order.

use std::path::{Path, PathBuf};

use zerocopy::FromBytes;

use crate::io::{Disk, File, Open};
use crate::model::{LeaderEpoch, Offset, Position};
use crate::record::{Batch, BatchHeader, Expect, HEADER_BYTES, Rest, first};

use super::fault::{LogFault, at};
use super::index::{OFFSET_ENTRY, OffsetEntry, count_while, entry_at};
use super::large;
use super::layout::{self, INDEX, LOG};

const WINDOW_BYTES: usize = 1 << 20;

/// Reads a partition's files from outside, while they may be written.
pub struct Reader<D: Disk> {
    disk: D,
    dir: PathBuf,
    /// Base offsets of the segments, rising.
    bases: Vec<Offset>,
    /// The segment that was read last.
    file: Option<(Offset, D::File)>,
}

/// A place at which a batch begins, or will. Good for as long as its segment is there and is not
/// cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The segment's base offset.
    segment: Offset,
    position: Position,
}

/// How the formats of a batch share its beginning: base offset, and the length of what follows.
const LENGTH_END: usize = 12;

impl<D: Disk> Reader<D> {
    /// Looks which segments there are.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(disk: D, dir: &Path) -> Result<Reader<D>, LogFault> {
        let mut reader = Reader {
            disk,
            dir: dir.to_owned(),
            bases: Vec::new(),
            file: None,
        };
        reader.look()?;
        Ok(reader)
    }

    /// Looks for segments that have come since.
    ///
    /// # Errors
    /// What the system says.
    pub fn look(&mut self) -> Result<(), LogFault> {
        let entries = self.disk.list(&self.dir).map_err(at(&self.dir))?;
        let bases = layout::offsets(&entries, LOG);
        if self.bases != bases {
            self.bases = bases;
            self.file = None;
        }
        Ok(())
    }

    /// Where its first segment begins; `None` where there is none.
    #[must_use]
    pub fn begins(&self) -> Option<Offset> {
        self.bases.first().copied()
    }

    /// Closes the file that was read last, so that its space is free where it is deleted.
    pub fn release(&mut self) {
        self.file = None;
    }

    /// A place at or before the batch that holds `offset`: exact as far as the index is, which
    /// is a few batches.
    ///
    /// # Errors
    /// What the system says.
    pub fn find(&mut self, offset: Offset) -> Result<Place, LogFault> {
        let above = self.bases.partition_point(|base| *base <= offset);
        let base = self.bases.get(above.saturating_sub(1)).copied();
        let start = Place {
            segment: base.unwrap_or_default(),
            position: Position::ZERO,
        };
        let Some(base) = base else {
            return Ok(start);
        };
        let path = layout::path(&self.dir, base, INDEX);
        let Ok(index) = self.disk.open(&path, Open::Read) else {
            return Ok(start);
        };
        let read = |bytes: &[u8]| OffsetEntry::read(bytes, base);
        let below = |entry: &OffsetEntry| entry.last <= offset;
        let count = count_while(&index, OFFSET_ENTRY, read, below).map_err(at(&path))?;
        let Some(nth) = count.checked_sub(1) else {
            return Ok(start);
        };
        let entry = entry_at(&index, OFFSET_ENTRY, nth, read).map_err(at(&path))?;
        Ok(entry.map_or(start, |entry| Place {
            segment: base,
            position: entry.position,
        }))
    }

    /// Whether there is a segment for a place that was found before.
    #[must_use]
    pub fn has(&self, place: Place) -> bool {
        self.bases.binary_search(&place.segment).is_ok()
    }

    /// The place of the batch that holds `offset`, or of the next one behind; where there is none
    /// yet, the log's end.
    ///
    /// # Errors
    /// What the system says, damage, or the segment is gone that would hold it.
    pub fn locate(&mut self, offset: Offset) -> Result<Place, LogFault> {
        let mut place = self.find(offset)?;
        if place.segment > offset {
            return Err(self.damaged(place, format!("offset {offset} lies before it")));
        }
        loop {
            let mut header = [0; HEADER_BYTES];
            if self.read(place, &mut header)? < HEADER_BYTES {
                match self.next_segment(place) {
                    Some(next) => place = next,
                    None => return Ok(place),
                }
                continue;
            }
            let header = BatchHeader::ref_from_bytes(&header).expect("as many bytes");
            let delta = i64::from(header.last_offset_delta.get());
            let last = header.base_offset.get().checked_add(delta);
            let size = usize::try_from(header.length.get()).map(|length| length + LENGTH_END);
            match (last, size) {
                (Some(last), _) if last >= offset.value() => return Ok(place),
                (Some(_), Ok(size)) if size >= HEADER_BYTES => place = place.after(size),
                _ => return Err(self.damaged(place, "no batch begins here".to_owned())),
            }
        }
    }

    /// Fills `into` from `place` on, within one segment. 0: there is nothing more in it.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(&mut self, place: Place, into: &mut [u8]) -> Result<usize, LogFault> {
        if !self.has(place) {
            return Ok(0);
        }
        let (path, file) = self.file_of(place)?;
        file.read_at(into, place.position).map_err(at(&path))
    }

    /// Whether the batch of `bytes` bytes that seems to begin at `place` may be held: its segment
    /// has as many, and one that is large is sound.
    fn may_hold(&mut self, place: Place, bytes: usize) -> Result<bool, LogFault> {
        let (path, file) = self.file_of(place)?;
        let size = file.size().map_err(at(&path))?;
        if bytes as u64 > size.saturating_sub(place.position.value()) {
            return Ok(false);
        }
        match large::fault(file, &path, place.position, bytes as u64)? {
            Some(fault) => Err(self.damaged(place, fault.to_string())),
            None => Ok(true),
        }
    }

    /// The file that a place is in, with its name.
    fn file_of(&mut self, place: Place) -> Result<(PathBuf, &D::File), LogFault> {
        let path = layout::path(&self.dir, place.segment, LOG);
        if self
            .file
            .as_ref()
            .is_none_or(|(segment, _)| *segment != place.segment)
        {
            let file = self.disk.open(&path, Open::Read).map_err(at(&path))?;
            self.file = Some((place.segment, file));
        }
        let (_, file) = self.file.as_ref().expect("opened above");
        Ok((path, file))
    }

    /// The beginning of the segment behind `place`'s; `None` where there is none.
    #[must_use]
    pub fn next_segment(&self, place: Place) -> Option<Place> {
        let next = self.bases.partition_point(|base| *base <= place.segment);
        self.bases.get(next).map(|segment| Place {
            segment: *segment,
            position: Position::ZERO,
        })
    }

    fn damaged(&self, place: Place, why: String) -> LogFault {
        LogFault::Damaged {
            path: layout::path(&self.dir, place.segment, LOG),
            at: place.position.value(),
            why,
            sound_end: None,
        }
    }
}

impl Place {
    /// The place `bytes` further in the same segment.
    #[must_use]
    pub fn after(self, bytes: usize) -> Place {
        Place {
            position: self.position.plus(bytes as u64),
            ..self
        }
    }
}

/// The batches of a log one after the other, each checked.
pub struct BatchStream<D: Disk> {
    reader: Reader<D>,
    place: Place,
    window: Vec<u8>,
    /// The window's bytes that were not given out yet.
    start: usize,
    end: usize,
    next: Offset,
    epoch: LeaderEpoch,
}

impl<D: Disk> BatchStream<D> {
    /// Begins with the batch that holds `offset`, or the next one behind.
    ///
    /// # Errors
    /// What the system says.
    pub fn from(mut reader: Reader<D>, offset: Offset) -> Result<BatchStream<D>, LogFault> {
        let place = reader.find(offset)?;
        Ok(BatchStream {
            reader,
            place,
            window: vec![0; WINDOW_BYTES],
            start: 0,
            end: 0,
            next: Offset::ZERO,
            epoch: LeaderEpoch::NONE,
        })
    }

    /// The next batch; `None` at the end, which may lie inside a batch that is being written.
    ///
    /// # Errors
    /// The disk's, or damage.
    pub fn next_batch(&mut self) -> Result<Option<Batch<'_>>, LogFault> {
        let size = loop {
            match self.size()? {
                Some(0) => match self.reader.next_segment(self.place) {
                    Some(place) => (self.place, self.start, self.end) = (place, 0, 0),
                    None => return Ok(None),
                },
                Some(size) => break size,
                None => {}
            }
        };
        let expect = self.expect();
        let batch = first(&self.window[self.start..self.start + size], expect);
        let batch = batch.expect("it was checked just now");
        self.start += size;
        self.place = self.place.after(size);
        self.next = batch.next_offset();
        self.epoch = batch.leader_epoch();
        Ok(Some(batch))
    }

    /// The size of the batch at the window's front; 0 where the segment has no more whole ones.
    /// `None`: look again, more was read.
    fn size(&mut self) -> Result<Option<usize>, LogFault> {
        let needed = match first(&self.window[self.start..self.end], self.expect()) {
            Ok(batch) => return Ok(Some(batch.bytes().len())),
            Err(Rest::Fault(fault)) => {
                return Err(self.reader.damaged(self.place, fault.to_string()));
            }
            Err(Rest::Nothing) => 0,
            Err(Rest::Short { need, .. }) => need.unwrap_or(0),
        };
        let held = self.end - self.start;
        self.window.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, held);
        if self.window.len() < needed {
            if !self.reader.may_hold(self.place, needed)? {
                return Ok(Some(0));
            }
            self.window.resize(needed, 0);
        }
        let behind = self.place.after(held);
        let read = self.reader.read(behind, &mut self.window[held..])?;
        self.end += read;
        Ok((read == 0).then_some(0))
    }

    fn expect(&self) -> Expect {
        Expect::after(self.next, self.epoch)
    }
}
