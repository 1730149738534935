//! Is every byte of a partition as it must be? Reads all of it and believes nothing.
//!
//! Checked: each batch (checksum, order, count), each index entry against the batch that it
//! names, aborted transactions, leader epochs and producer snapshots against a replay, the
//! topic's id. What no checksum covers and nothing else states (a base offset that moves within
//! a gap) only a comparison with the source can tell.

use std::path::{Path, PathBuf};

use crate::io::{Disk, File, Open};
use crate::model::{LeaderEpoch, Offset, Position, TopicId};
use crate::record::Batch;

use super::epochs::LeaderEpochs;
use super::fact::BatchFact;
use super::fault::{LogFault, at};
use super::index::{AbortedTxn, OFFSET_ENTRY, OffsetEntry, TIME_ENTRY, TXN_ENTRY, TimeEntry};
use super::layout::{self, EPOCHS, INDEX, LOG, METADATA, SNAPSHOT, TIME_INDEX, TXN_INDEX};
use super::producers::Producers;
use super::walk::{Obstacle, Route, walk};

/// More findings of one partition say nothing more.
const FINDINGS_MAX: usize = 100;

/// What is known of a partition beside its files.
#[derive(Clone, Copy, Debug)]
pub struct Claims {
    /// Its topic's id.
    pub topic_id: TopicId,
    /// It reaches at least to here.
    pub durable: Offset,
    /// Nobody writes it, and it was closed cleanly: its end is exactly `durable`.
    pub is_clean: bool,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// Segments.
    pub segments: usize,
    /// Sound batches.
    pub batches: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their records, as the headers count them.
    pub records: u64,
    /// Entries of offset, time and transaction indexes.
    pub index_entries: u64,
    /// Snapshots of producers.
    pub snapshots: usize,
    /// Offsets that no batch holds: from, up to but not including.
    pub gaps: Vec<(Offset, Offset)>,
    /// The first batch's base offset and the offset behind the last one.
    pub range: Option<(Offset, Offset)>,
    /// Bytes behind the last batch that a write has not finished.
    pub unfinished_bytes: u64,
    /// What is wrong, in the order in which it was found.
    pub findings: Vec<Finding>,
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// The byte of the file at which it shows, where there is one.
    pub at: Option<u64>,
    /// What is wrong.
    pub why: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.at {
            Some(at) => write!(f, "{}, byte {at}: {}", self.path.display(), self.why),
            None => write!(f, "{}: {}", self.path.display(), self.why),
        }
    }
}

/// Reads every file of the partition in `dir`.
///
/// # Errors
/// The disk's. What is wrong with the files stands among the findings.
pub fn verify<D: Disk>(disk: &D, dir: &Path, claims: Claims) -> Result<Verified, LogFault> {
    let entries = disk.list(dir).map_err(at(dir))?;
    let offsets = |suffix| layout::offsets(&entries, suffix);
    let (bases, snapshots) = (offsets(LOG), offsets(SNAPSHOT));
    let mut audit = Audit {
        disk,
        dir,
        verified: Verified::default(),
        snapshots: snapshots.clone(),
        epochs: LeaderEpochs::default(),
        producers: Producers::default(),
        next: Offset::ZERO,
        epoch: LeaderEpoch::NONE,
    };
    for (nth, base) in bases.iter().enumerate() {
        let is_last = nth + 1 == bases.len();
        audit.segment(*base, is_last, claims)?;
    }
    for suffix in [INDEX, TIME_INDEX, TXN_INDEX] {
        for base in offsets(suffix)
            .into_iter()
            .filter(|base| !bases.contains(base))
        {
            audit.find(
                layout::path(dir, base, suffix),
                None,
                "it belongs to no segment",
            );
        }
    }
    audit.compare_snapshots_to(Offset::new(i64::MAX))?;
    audit.verified.segments = bases.len();
    audit.verified.snapshots = snapshots.len();
    audit.ends(claims);
    audit.compare_epochs()?;
    audit.compare_topic(claims.topic_id)?;
    Ok(audit.verified)
}

/// The last leader epoch of the log in `dir`, as its checkpoint says.
///
/// # Errors
/// The disk's, or a checkpoint that is damaged.
pub fn last_epoch<D: Disk>(disk: &D, dir: &Path) -> Result<LeaderEpoch, LogFault> {
    let path = dir.join(EPOCHS);
    let text = layout::content(disk, &path)?.unwrap_or_default();
    let epochs = LeaderEpochs::from_text(&String::from_utf8_lossy(&text));
    epochs
        .map(|epochs| epochs.latest())
        .map_err(|fault| LogFault::Damaged {
            path,
            at: 0,
            why: fault.to_string(),
        })
}

struct Audit<'a, D: Disk> {
    disk: &'a D,
    dir: &'a Path,
    verified: Verified,
    /// Those that were not compared yet, rising.
    snapshots: Vec<Offset>,
    epochs: LeaderEpochs,
    producers: Producers,
    next: Offset,
    epoch: LeaderEpoch,
}

/// The entries of a segment's indexes that no batch has confirmed yet, rising.
struct Entries {
    offsets: Vec<OffsetEntry>,
    times: Vec<TimeEntry>,
    aborted: Vec<AbortedTxn>,
    offsets_seen: usize,
    times_seen: usize,
    aborted_seen: usize,
}

impl<D: Disk> Audit<'_, D> {
    fn find(&mut self, path: PathBuf, at: Option<u64>, why: impl Into<String>) {
        if self.verified.findings.len() < FINDINGS_MAX {
            let why = why.into();
            self.verified.findings.push(Finding { path, at, why });
        }
    }

    fn segment(&mut self, base: Offset, is_last: bool, claims: Claims) -> Result<(), LogFault> {
        let name = layout::path(self.dir, base, LOG);
        let file = self.disk.open(&name, Open::Read).map_err(at(&name))?;
        let size = file.size().map_err(at(&name))?;
        let mut entries = self.entries(base)?;
        let route = Route {
            from: Position::ZERO,
            to: size,
            next: self.next.max(base),
            epoch: self.epoch,
        };
        let arrived = walk(&file, &name, route, |batch, position| {
            self.batch(base, batch, position, &mut entries)
        })?;
        self.next = arrived.next;
        self.epoch = arrived.epoch;
        let left = size - arrived.position;
        match arrived.obstacle {
            None => {}
            // A copy that runs, or was killed, has not finished its last write.
            Some(Obstacle::Torn) if is_last && !claims.is_clean && self.next >= claims.durable => {
                self.verified.unfinished_bytes = left;
            }
            Some(obstacle) => self.find(name, Some(arrived.position), obstacle.to_string()),
        }
        self.unconfirmed(base, &entries);
        Ok(())
    }

    fn batch(
        &mut self,
        base: Offset,
        batch: &Batch<'_>,
        position: Position,
        entries: &mut Entries,
    ) -> Result<(), LogFault> {
        let begin = batch.base_offset();
        self.compare_snapshots_to(begin)?;
        let path = |suffix| layout::path(self.dir, base, suffix);
        let fact = match BatchFact::of(batch) {
            Ok(fact) => fact,
            Err(fault) => {
                self.find(path(LOG), Some(position.value()), fault.to_string());
                return Ok(());
            }
        };
        let verified = &mut self.verified;
        let (first, end) = verified.range.unwrap_or((begin, begin));
        if end < begin {
            verified.gaps.push((end, begin));
        }
        verified.range = Some((first, fact.next()));
        verified.batches += 1;
        verified.bytes += batch.bytes().len() as u64;
        verified.records += u64::from(batch.record_count());
        self.epochs.assign(fact.epoch, fact.base);
        let aborted = self.producers.apply(&fact);
        for (suffix, at, why) in entries.confirm(&fact, position, aborted, first) {
            self.find(path(suffix), Some(at), why);
        }
        Ok(())
    }

    /// The indexes of a segment. What cannot be read as an entry is a finding.
    fn entries(&mut self, base: Offset) -> Result<Entries, LogFault> {
        let offsets = self.index(base, INDEX, OFFSET_ENTRY, |bytes| {
            OffsetEntry::read(bytes, base)
        })?;
        let times = self.index(base, TIME_INDEX, TIME_ENTRY, |bytes| {
            TimeEntry::read(bytes, base)
        })?;
        let aborted = self.index(base, TXN_INDEX, TXN_ENTRY, AbortedTxn::read)?;
        Ok(Entries {
            offsets,
            times,
            aborted,
            offsets_seen: 0,
            times_seen: 0,
            aborted_seen: 0,
        })
    }

    fn index<T>(
        &mut self,
        base: Offset,
        suffix: &str,
        entry_bytes: usize,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, LogFault> {
        let path = layout::path(self.dir, base, suffix);
        let Some(bytes) = self.content(&path)? else {
            if suffix != TXN_INDEX {
                self.find(path, None, "it is missing");
            }
            return Ok(Vec::new());
        };
        let entries: Vec<T> = bytes.chunks_exact(entry_bytes).map_while(read).collect();
        let whole = entries.len() * entry_bytes;
        if whole < bytes.len() {
            self.find(path, Some(whole as u64), "it holds what is no entry");
        }
        self.verified.index_entries += entries.len() as u64;
        Ok(entries)
    }

    fn unconfirmed(&mut self, base: Offset, entries: &Entries) {
        let left = [
            (
                INDEX,
                OFFSET_ENTRY,
                entries.offsets_seen,
                entries.offsets.len(),
            ),
            (
                TIME_INDEX,
                TIME_ENTRY,
                entries.times_seen,
                entries.times.len(),
            ),
            (
                TXN_INDEX,
                TXN_ENTRY,
                entries.aborted_seen,
                entries.aborted.len(),
            ),
        ];
        for (suffix, bytes, seen, count) in left {
            if seen < count {
                let path = layout::path(self.dir, base, suffix);
                let why = "from here on its entries name nothing that is in the segment";
                self.find(path, Some((seen * bytes) as u64), why);
            }
        }
    }

    /// Compares the snapshots up to `offset`, which is where the replay stands.
    fn compare_snapshots_to(&mut self, offset: Offset) -> Result<(), LogFault> {
        while let Some(at) = self.snapshots.first().copied().filter(|at| *at <= offset) {
            self.snapshots.remove(0);
            let path = layout::path(self.dir, at, SNAPSHOT);
            let bytes = self.content(&path)?.unwrap_or_default();
            match Producers::from_snapshot(&bytes) {
                None => self.find(path, None, "its checksum or form is wrong"),
                Some(stored) => {
                    let knows_all = self
                        .verified
                        .range
                        .is_some_and(|(first, _)| first == Offset::ZERO);
                    if !stored.agrees_with(&self.producers, knows_all) {
                        self.find(path, None, "it does not agree with the batches before it");
                    }
                }
            }
        }
        Ok(())
    }

    fn ends(&mut self, claims: Claims) {
        let end = self.verified.range.map(|(_, end)| end);
        let Some(end) = end else {
            return;
        };
        let dir = self.dir.to_owned();
        if end < claims.durable {
            let why = format!(
                "it ends at offset {end}, but {} was durable",
                claims.durable
            );
            self.find(dir, None, why);
        } else if claims.is_clean && end > claims.durable {
            let why = format!(
                "it ends at offset {end}, but was closed at {}",
                claims.durable
            );
            self.find(dir, None, why);
        }
    }

    fn compare_epochs(&mut self) -> Result<(), LogFault> {
        let path = self.dir.join(EPOCHS);
        let Some(bytes) = self.content(&path)? else {
            if self.verified.batches > 0 {
                self.find(path, None, "it is missing");
            }
            return Ok(());
        };
        let text = String::from_utf8_lossy(&bytes);
        match LeaderEpochs::from_text(&text) {
            Err(fault) => self.find(path, None, fault.to_string()),
            // A copy that runs may be ahead of its checkpoint.
            Ok(stored) if !self.epochs.iter().eq(stored.iter()) => {
                let why = "it does not agree with the epochs of the batches";
                self.find(path, None, why);
            }
            Ok(_) => {}
        }
        Ok(())
    }

    fn compare_topic(&mut self, topic_id: TopicId) -> Result<(), LogFault> {
        let path = self.dir.join(METADATA);
        let text = self.content(&path)?.unwrap_or_default();
        let expected = format!("version: 0\ntopic_id: {topic_id}");
        if String::from_utf8_lossy(&text).trim_end() != expected {
            self.find(path, None, format!("it does not name topic id {topic_id}"));
        }
        Ok(())
    }

    fn content(&self, path: &Path) -> Result<Option<Vec<u8>>, LogFault> {
        layout::content(self.disk, path)
    }
}

impl Entries {
    /// What the indexes say of a batch is true, or else where and what is wrong.
    fn confirm(
        &mut self,
        fact: &BatchFact,
        position: Position,
        aborted: Option<AbortedTxn>,
        first: Offset,
    ) -> Vec<(&'static str, u64, &'static str)> {
        let mut wrong = Vec::new();
        if let Some(entry) = self.offsets.get(self.offsets_seen)
            && entry.position <= position
        {
            if (entry.position, entry.last) != (position, fact.last) {
                let at = (self.offsets_seen * OFFSET_ENTRY) as u64;
                wrong.push((INDEX, at, "no batch that ends with its offset begins there"));
            }
            self.offsets_seen += 1;
        }
        if let Some(entry) = self.times.get(self.times_seen)
            && entry.last <= fact.last
        {
            if (entry.last, entry.timestamp) != (fact.last, fact.max_timestamp) {
                let at = (self.times_seen * TIME_ENTRY) as u64;
                wrong.push((
                    TIME_INDEX,
                    at,
                    "no batch that ends with its offset has its time",
                ));
            }
            self.times_seen += 1;
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
