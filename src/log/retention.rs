//! Which segments of a log go with time, and their going in two steps: first the log's start moves
//! past them, later their files are removed, when nobody reads them any more.

use std::path::Path;

use crate::io::{Disk, File, Open};
use crate::model::{Offset, WallTime};

use super::Retention;
use super::append::Log;
use super::fault::{LogFault, at};
use super::index::{TIME_ENTRY, TimeEntry, entry_at};
use super::layout::{self, INDEX, LOG, SNAPSHOT, TIME_INDEX, TXN_INDEX};
use super::store::Store;

/// What bounds a log's start.
#[derive(Clone, Copy, Debug)]
pub struct Expiry {
    /// The topic's own settings.
    pub retention: Retention,
    /// The log begins no earlier than here, as far as it may.
    pub begins: Offset,
    /// Nothing at or behind this goes: somebody has to fetch it yet.
    pub needed: Offset,
}

/// One segment that is not written any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Old {
    bytes: u64,
    /// The largest timestamp of its batches, where there is one.
    newest: Option<i64>,
    /// Where the next one begins.
    next: Offset,
}

impl Expiry {
    /// How many of the oldest segments go, of a log that has `total` bytes.
    fn count(&self, old: &[Old], total: u64, now: WallTime) -> usize {
        let mut excess = self.retention.bytes.map(|most| total.saturating_sub(most));
        let goes = |one: &&Old| {
            let age_ms = one.newest.map(|newest| now.0.saturating_sub(newest));
            let age_ms = age_ms.and_then(|age| u64::try_from(age).ok());
            let is_too_old = self
                .retention
                .ms
                .zip(age_ms)
                .is_some_and(|(most, age)| age > most);
            let left = excess.and_then(|excess| excess.checked_sub(one.bytes));
            let is_too_much = left.is_some();
            excess = left.or(excess);
            one.next <= self.needed && (is_too_old || is_too_much || one.next <= self.begins)
        };
        old.iter().take_while(goes).count()
    }
}

impl<D: Disk> Store<D> {
    /// Removes the files of what went the last time, and lets go what has to go now: says where
    /// the log begins since, where that has changed.
    ///
    /// # Errors
    /// The disk's. The log's start has not moved then; what remains goes the next time.
    pub fn expire(
        &mut self,
        log: &mut Log,
        expiry: &Expiry,
        now: WallTime,
    ) -> Result<Option<Offset>, LogFault> {
        let has_expired = !self.expired.is_empty();
        while let Some(base) = self.expired.last().copied() {
            for suffix in [INDEX, TIME_INDEX, TXN_INDEX, SNAPSHOT, LOG] {
                self.remove(base, suffix)?;
            }
            self.expired.pop();
        }
        if has_expired {
            self.forget_marks(log)?;
        }
        let expiry = Expiry {
            begins: expiry.begins.max(log.log_start),
            ..*expiry
        };
        let old = self.old(log)?;
        let total = log.segment.size + old.iter().map(|one| one.bytes).sum::<u64>();
        let count = expiry.count(&old, total, now);
        let passed = count.checked_sub(1).map(|last| old[last].next);
        let begins = expiry.begins.min(expiry.needed).max(log.log_start);
        let start = passed.map_or(begins, |passed| passed.max(begins));
        let has_moved = start > log.log_start;
        if has_moved {
            log.digest.begins_at(start, &self.disk, &self.dir)?;
        }
        // From the newest down: the oldest one is the last of the list, and the first to go.
        self.expired = log.older.drain(..count).rev().collect();
        log.log_start = start;
        log.watermarks().assert_invariants();
        Ok(has_moved.then_some(start))
    }

    /// The segments that are not written any more, oldest first.
    fn old(&self, log: &Log) -> Result<Vec<Old>, LogFault> {
        if log.older.is_empty() {
            return Ok(Vec::new());
        }
        let entries = self.disk.list(&self.dir).map_err(at(&self.dir))?;
        let bytes = |base: Offset| {
            let name = layout::path(Path::new(""), base, LOG);
            let mut files = entries.iter();
            let file = files.find(|entry| Path::new(&entry.name) == name);
            file.map_or(0, |entry| entry.bytes)
        };
        let nexts = log.older.iter().skip(1).chain([&log.segment.base]);
        let segments = log.older.iter().zip(nexts);
        let mut old = Vec::with_capacity(log.older.len());
        for (base, next) in segments {
            old.push(Old {
                bytes: bytes(*base),
                newest: self.newest(*base)?,
                next: *next,
            });
        }
        Ok(old)
    }

    /// The largest timestamp of a segment: the last entry of its time index, which every segment
    /// that has ended has.
    fn newest(&self, base: Offset) -> Result<Option<i64>, LogFault> {
        let path = layout::path(&self.dir, base, TIME_INDEX);
        let file = match self.disk.open(&path, Open::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(&path)(error)),
        };
        let size = usize::try_from(file.size().map_err(at(&path))?).unwrap_or(usize::MAX);
        let Some(last) = (size / TIME_ENTRY).checked_sub(1) else {
            return Ok(None);
        };
        let read = |bytes: &[u8]| TimeEntry::read(bytes, base);
        let entry = entry_at(&file, TIME_ENTRY, last, read).map_err(at(&path))?;
        Ok(entry.map(|entry| entry.timestamp).filter(|time| *time >= 0))
    }
}

#[cfg(test)]
mod tests;
