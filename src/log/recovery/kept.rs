//! What of a segment's files is believed, and where its batches have to be read from.

use zerocopy::FromBytes;

use super::{Recovery, Trusted};
use crate::io::{Disk, Entry, File, Open};
use crate::log::fault::{LogFault, at};
use crate::log::index::{
    AbortedTxn, OFFSET_ENTRY, OffsetEntry, TIME_ENTRY, TXN_ENTRY, TimeEntry, count_while,
    count_within, entry_at,
};
use crate::log::large;
use crate::log::layout::{self, INDEX, LOG, TIME_INDEX, TXN_INDEX};
use crate::log::segment::Segment;
use crate::log::store::Files;
use crate::model::{LeaderEpoch, Offset, Position};
use crate::record::{BatchHeader, Expect, HEADER_BYTES, first};
use std::path::Path;

/// A segment's files, and the state of its kept part.
pub(super) struct Kept<F> {
    pub(super) files: Files<F>,
    pub(super) segment: Segment,
    /// The base offset of the first batch that is read.
    pub(super) offset: Offset,
    /// Bytes in the segment's file.
    pub(super) size: u64,
}

/// What a header says of its batch.
pub(super) struct Head {
    begin: Offset,
    last: Offset,
    pub(super) epoch: LeaderEpoch,
    /// The largest timestamp; −1 where it holds no record that has one.
    time: i64,
    /// All of the batch.
    bytes: u64,
}

/// So many headers are read to see whether a time index is whole.
const HEADS_MAX: usize = 1024;

/// The length field of a batch counts what follows these bytes.
const BEFORE_LENGTH_COUNTS: u64 = 12;

impl<D: Disk> Recovery<'_, D> {
    /// Opens the segment at `base`. What its indexes say of batches below the place where
    /// reading has to begin stays, so that it can begin at the last one of them.
    pub(super) fn keep(&self, base: Offset, trusted: &Trusted) -> Result<Kept<D::File>, LogFault> {
        let (files, size) = self.open_files(base)?;
        let place = self.last_indexed(&files, base, size, trusted.from)?;
        let Some((offsets, entry, offset)) = place else {
            return self.keep_nothing(base, files, size, trusted.producers_at);
        };
        let name = self.path(base, TIME_INDEX);
        let read = |bytes: &[u8]| TimeEntry::read(bytes, base);
        // Zeros are what a lost write may leave.
        let is_lost = |time: &TimeEntry| (time.timestamp, time.last) == (0, base);
        let told = |time: &TimeEntry| time.last <= entry.last && !is_lost(time);
        let times = count_while(&files.times, TIME_ENTRY, read, told).map_err(at(&name))?;
        let last_time = match times.checked_sub(1) {
            Some(nth) => entry_at(&files.times, TIME_ENTRY, nth, read).map_err(at(&name))?,
            None => None,
        };
        if !self.times_are_whole(&files, base, (last_time, &entry), offsets)? {
            return self.keep_nothing(base, files, size, trusted.producers_at);
        }
        let aborted = self.keep_aborted(&files, base, trusted.producers_at)?;
        let entries = (offsets, times, aborted);
        self.cut_indexes(base, &files, entries)?;
        let begin = entry.position.value();
        let mut segment = Segment::kept(base, self.now, begin, entries, last_time);
        segment.first_timestamp = self.head_at(&files.log, base, 0)?.map(|head| head.time);
        Ok(Kept {
            files,
            segment,
            offset,
            size,
        })
    }

    pub(super) fn keep_nothing(
        &self,
        base: Offset,
        files: Files<D::File>,
        size: u64,
        producers_at: Offset,
    ) -> Result<Kept<D::File>, LogFault> {
        let aborted = self.keep_aborted(&files, base, producers_at)?;
        self.cut_indexes(base, &files, (0, 0, aborted))?;
        Ok(Kept {
            files,
            segment: Segment::kept(base, self.now, 0, (0, 0, aborted), None),
            offset: base,
            size,
        })
    }

    /// How many offset index entries lie below `from`, the last of them, and the base offset of
    /// its batch. `None` where there is none, or where it is not true of the segment.
    fn last_indexed(
        &self,
        files: &Files<D::File>,
        base: Offset,
        size: u64,
        from: Offset,
    ) -> Result<Option<(usize, OffsetEntry, Offset)>, LogFault> {
        let name = self.path(base, INDEX);
        let read = |bytes: &[u8]| OffsetEntry::read(bytes, base);
        // No entry names a segment's first batch, but zeros that a lost write leaves do.
        let places = 1..size;
        let below =
            |entry: &OffsetEntry| entry.last < from && places.contains(&entry.position.value());
        let count = count_while(&files.index, OFFSET_ENTRY, read, below).map_err(at(&name))?;
        let Some(nth) = count.checked_sub(1) else {
            return Ok(None);
        };
        let entry = entry_at(&files.index, OFFSET_ENTRY, nth, read).map_err(at(&name))?;
        let Some(entry) = entry else {
            return Ok(None);
        };
        let head = self.head_at(&files.log, base, entry.position.value())?;
        let Some(head) = head.filter(|head| head.last == entry.last) else {
            return Ok(None);
        };
        let is_batch = self.is_batch(&files.log, base, entry.position.value(), size)?;
        Ok(is_batch.then_some((count, entry, head.begin)))
    }

    /// Whether what seems to begin there, not below `base`, is a sound batch. An index that is
    /// damaged may name the middle of one, where something may look like a header.
    pub(super) fn is_batch(
        &self,
        file: &D::File,
        base: Offset,
        position: u64,
        size: u64,
    ) -> Result<bool, LogFault> {
        let head = self.head_at(file, base, position)?;
        let left = size.saturating_sub(position);
        let Some(head) = head.filter(|head| head.bytes <= left) else {
            return Ok(false);
        };
        let (name, place) = (self.path(base, LOG), Position::new(position));
        if large::fault(file, &name, place, head.bytes)?.is_some() {
            return Ok(false);
        }
        let mut bytes = vec![0; usize::try_from(head.bytes).unwrap_or(usize::MAX)];
        let read = file.read_at(&mut bytes, place).map_err(at(&name))?;
        let expect = Expect {
            batch_bytes_max: bytes.len(),
            ..Expect::after(head.begin, LeaderEpoch::NONE)
        };
        Ok(read == bytes.len() && first(&bytes, expect).is_ok())
    }

    /// What the header says that seems to begin there.
    pub(super) fn head_at(
        &self,
        file: &D::File,
        base: Offset,
        position: u64,
    ) -> Result<Option<Head>, LogFault> {
        let mut bytes = [0; HEADER_BYTES];
        let read = file.read_at(&mut bytes, Position::new(position));
        let read = read.map_err(at(&self.path(base, LOG)))?;
        let header = BatchHeader::ref_from_bytes(&bytes).expect("the sizes are the same");
        let head = || {
            let begin = Offset::from_wire(header.base_offset.get())?;
            let delta = u64::try_from(header.last_offset_delta.get()).ok()?;
            let behind_length = u64::try_from(header.length.get()).ok()?;
            Some(Head {
                begin,
                last: begin.checked_add(delta)?,
                epoch: LeaderEpoch::new(header.leader_epoch.get()),
                time: match header.count.get() {
                    // Compaction has emptied it: as `BatchFact` has it.
                    0 => -1,
                    _ => header.max_timestamp.get(),
                },
                bytes: behind_length + BEFORE_LENGTH_COUNTS,
            })
        };
        let whole = head().filter(|head| head.begin >= base && read == HEADER_BYTES);
        Ok(whole)
    }

    /// Whether the time index tells of every batch up to the last one of the offset index that is
    /// kept: with each entry there the time index gets one too, if the time has risen. One that was
    /// cut, or is another's, would have later entries that are not true.
    fn times_are_whole(
        &self,
        files: &Files<D::File>,
        base: Offset,
        (last_time, entry): (Option<TimeEntry>, &OffsetEntry),
        offsets: usize,
    ) -> Result<bool, LogFault> {
        let (told, named) = last_time.map_or((-1, None), |time| (time.timestamp, Some(time.last)));
        let read = |bytes: &[u8]| OffsetEntry::read(bytes, base);
        let name = self.path(base, INDEX);
        // The batch that the last entry names lies behind the place of an offset entry before it.
        let before = |place: &OffsetEntry| named.is_some_and(|named| place.last <= named);
        // Behind the entries that are kept may be anything.
        let count = count_within(&files.index, OFFSET_ENTRY, offsets, read, before);
        let place = match count.map_err(at(&name))?.checked_sub(1) {
            Some(nth) => entry_at(&files.index, OFFSET_ENTRY, nth, read).map_err(at(&name))?,
            None => None,
        };
        let mut position = place.map_or(0, |place| place.position.value());
        let mut is_named = named.is_none();
        let end = entry.position.value();
        for _ in 0..HEADS_MAX {
            let head = self.head_at(&files.log, base, position)?;
            let Some(head) = head.filter(|head| head.time <= told) else {
                return Ok(false);
            };
            is_named |= Some(head.last) == named && head.time == told;
            if position >= end {
                return Ok(is_named && position == end);
            }
            position += head.bytes;
        }
        // Its time has not risen for long: the rest is believed as far as its end goes.
        let head = self.head_at(&files.log, base, end)?;
        Ok(is_named && head.is_some_and(|head| head.time <= told))
    }

    /// Bytes of the transaction index that tell of markers below `end`.
    fn keep_aborted(
        &self,
        files: &Files<D::File>,
        base: Offset,
        end: Offset,
    ) -> Result<u64, LogFault> {
        let Some(file) = &files.aborted else {
            return Ok(0);
        };
        let below = |txn: &AbortedTxn| txn.last < end;
        let count = count_while(file, TXN_ENTRY, AbortedTxn::read, below);
        let count = count.map_err(at(&self.path(base, TXN_INDEX)))?;
        Ok((count * TXN_ENTRY) as u64)
    }

    fn cut_indexes(
        &self,
        base: Offset,
        files: &Files<D::File>,
        (offsets, times, aborted): (usize, usize, u64),
    ) -> Result<(), LogFault> {
        let cut = |file: &D::File, suffix, bytes: u64| {
            let cut = file.truncate(Position::new(bytes));
            cut.map_err(at(&self.path(base, suffix)))
        };
        cut(&files.index, INDEX, (offsets * OFFSET_ENTRY) as u64)?;
        cut(&files.times, TIME_INDEX, (times * TIME_ENTRY) as u64)?;
        match &files.aborted {
            Some(file) => cut(file, TXN_INDEX, aborted),
            None => Ok(()),
        }
    }

    /// The files of a segment that exists, and the size of its batches.
    pub(super) fn open_files(&self, base: Offset) -> Result<(Files<D::File>, u64), LogFault> {
        let open = |suffix, how| {
            let path = self.path(base, suffix);
            self.disk.open(&path, how).map_err(at(&path))
        };
        let aborted = layout::path(Path::new(""), base, TXN_INDEX);
        let has_aborted = |entry: &Entry| Path::new(&entry.name) == aborted;
        let aborted = match self.found.entries.iter().any(has_aborted) {
            true => Some(open(TXN_INDEX, Open::Write)?),
            false => None,
        };
        let files = Files {
            log: open(LOG, Open::Write)?,
            index: open(INDEX, Open::WriteOrCreate)?,
            times: open(TIME_INDEX, Open::WriteOrCreate)?,
            aborted,
        };
        let path = self.path(base, LOG);
        let size = files.log.size().map_err(at(&path))?;
        if size > i32::MAX as u64 {
            return Err(LogFault::Damaged {
                path,
                at: i32::MAX as u64,
                why: "no segment is larger than 2 GiB".to_owned(),
                sound_end: None,
            });
        }
        Ok((files, size))
    }
}
