//! The entries of a segment's indexes against its batches.

use super::Audit;
use crate::io::Disk;
use crate::log::LogFault;
use crate::log::fact::BatchFact;
use crate::log::index::{AbortedTxn, OFFSET_ENTRY, OffsetEntry, TIME_ENTRY, TXN_ENTRY, TimeEntry};
use crate::log::layout::{self, INDEX, TIME_INDEX, TXN_INDEX};
use crate::model::{Offset, Position};

/// The entries of a segment's indexes that no batch has confirmed yet, rising.
pub(super) struct Entries {
    offsets: Vec<OffsetEntry>,
    times: Vec<TimeEntry>,
    aborted: Vec<AbortedTxn>,
    offsets_seen: usize,
    times_seen: usize,
    aborted_seen: usize,
    /// The largest timestamp of the batches so far; −1 before the first.
    largest: i64,
    /// The largest one that the time index has told of so far.
    told: i64,
    /// It was told that the time index leaves out times.
    is_short: bool,
}

const SHORT: &str = "an entry is missing here: batches before it are later than it tells";

impl<D: Disk> Audit<'_, D> {
    /// The indexes of a segment. What cannot be read as an entry is a finding.
    /// What is not settled may be missing, or have an end that was not written.
    pub(super) fn entries(&mut self, base: Offset, is_settled: bool) -> Result<Entries, LogFault> {
        let offsets = self.index(base, INDEX, OFFSET_ENTRY, is_settled, |bytes| {
            OffsetEntry::read(bytes, base)
        })?;
        let times = self.index(base, TIME_INDEX, TIME_ENTRY, is_settled, |bytes| {
            TimeEntry::read(bytes, base)
        })?;
        let aborted = self.index(base, TXN_INDEX, TXN_ENTRY, is_settled, AbortedTxn::read)?;
        Ok(Entries {
            offsets,
            times,
            aborted,
            offsets_seen: 0,
            times_seen: 0,
            aborted_seen: 0,
            largest: -1,
            told: -1,
            is_short: false,
        })
    }

    fn index<T>(
        &mut self,
        base: Offset,
        suffix: &str,
        entry_bytes: usize,
        is_settled: bool,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, LogFault> {
        let path = layout::path(self.dir, base, suffix);
        let Some(mut bytes) = self.content(&path)? else {
            if suffix != TXN_INDEX && self.is_settled(base) {
                self.find_missing(path);
            }
            return Ok(Vec::new());
        };
        if !is_settled {
            // A lost write may leave zeros, an unfinished one a part of an entry.
            let written = bytes.iter().rposition(|byte| *byte != 0);
            let whole = written.map_or(0, |last| (last / entry_bytes + 1) * entry_bytes);
            bytes.truncate(whole.min(bytes.len() - bytes.len() % entry_bytes));
        }
        let entries: Vec<T> = bytes.chunks_exact(entry_bytes).map_while(read).collect();
        let whole = entries.len() * entry_bytes;
        if whole < bytes.len() {
            self.find(path, Some(whole as u64), "it holds what is no entry");
        }
        self.verified.index_entries += entries.len() as u64;
        Ok(entries)
    }

    /// Entries that no batch has confirmed. Where a batch is not settled, neither is its entry.
    pub(super) fn unconfirmed(&mut self, base: Offset, entries: &Entries) {
        let offset = entries.offsets.get(entries.offsets_seen);
        let time = entries.times.get(entries.times_seen);
        let aborted = entries.aborted.get(entries.aborted_seen);
        let left = [
            (
                INDEX,
                OFFSET_ENTRY,
                entries.offsets_seen,
                offset.map(|entry| entry.last),
            ),
            (
                TIME_INDEX,
                TIME_ENTRY,
                entries.times_seen,
                time.map(|entry| entry.last),
            ),
            (
                TXN_INDEX,
                TXN_ENTRY,
                entries.aborted_seen,
                aborted.map(|entry| entry.last),
            ),
        ];
        for (suffix, bytes, seen, first) in left {
            if first.is_some_and(|offset| self.is_settled(offset)) {
                let path = layout::path(self.dir, base, suffix);
                let why = "from here on its entries name nothing that is in the segment";
                self.find(path, Some((seen * bytes) as u64), why);
            }
        }
    }
}

impl Entries {
    /// Where an entry is missing in the time index, told once.
    fn leaves_out_times(&mut self) -> Option<u64> {
        let is_news = self.largest > self.told && !self.is_short;
        self.is_short |= is_news;
        is_news.then_some((self.times_seen * TIME_ENTRY) as u64)
    }

    /// All batches of a segment are read that gets no more: its last entry is of the largest time.
    pub(super) fn ends(&mut self) -> Option<(&'static str, u64, &'static str)> {
        let at = self.leaves_out_times()?;
        Some((TIME_INDEX, at, SHORT))
    }

    /// What the indexes say of a batch is true, or else where and what is wrong.
    pub(super) fn confirm(
        &mut self,
        fact: &BatchFact,
        position: Position,
        aborted: Option<AbortedTxn>,
        first: Offset,
    ) -> Vec<(&'static str, u64, &'static str)> {
        let mut wrong = Vec::new();
        let mut is_indexed = false;
        if let Some(entry) = self.offsets.get(self.offsets_seen)
            && entry.position <= position
        {
            if (entry.position, entry.last) != (position, fact.last) {
                let at = (self.offsets_seen * OFFSET_ENTRY) as u64;
                wrong.push((INDEX, at, "no batch that ends with its offset begins there"));
            }
            self.offsets_seen += 1;
            is_indexed = true;
        }
        // Of batches with the same time the first one is named, since none before it was as late.
        let is_latest = fact.max_timestamp > self.largest;
        self.largest = self.largest.max(fact.max_timestamp);
        if let Some(entry) = self.times.get(self.times_seen)
            && entry.last <= fact.last
        {
            let names_it = (entry.last, entry.timestamp) == (fact.last, fact.max_timestamp);
            if !(names_it && is_latest) {
                let at = (self.times_seen * TIME_ENTRY) as u64;
                let why = "no batch that ends with its offset is the first to have its time";
                wrong.push((TIME_INDEX, at, why));
            }
            self.told = self.told.max(entry.timestamp);
            self.times_seen += 1;
        }
        // With each entry of the offset index the time index gets one too, if the time has risen.
        if is_indexed && let Some(at) = self.leaves_out_times() {
            wrong.push((TIME_INDEX, at, SHORT));
        }
        let at = (self.aborted_seen * TXN_ENTRY) as u64;
        match (aborted, self.aborted.get(self.aborted_seen).copied()) {
            (Some(told), Some(stored)) if told == stored => self.aborted_seen += 1,
            (None, Some(stored)) if stored.last == fact.last => {
                // A transaction that began before the log does cannot be replayed.
                if stored.first >= first {
                    wrong.push((TXN_INDEX, at, "no transaction was aborted there"));
                }
                self.aborted_seen += 1;
            }
            (Some(_), stored) => {
                wrong.push((TXN_INDEX, at, "it does not tell of an aborted transaction"));
                self.aborted_seen += usize::from(stored.is_some_and(|txn| txn.last <= fact.last));
            }
            (None, _) => {}
        }
        wrong
    }
}
