//! Is every byte of a partition as it must be? Reads all of it and believes nothing.
//!
//! Checked: each batch (checksum, order, count), each index entry against the batch that it
//! names, aborted transactions, leader epochs and producer snapshots against a replay, the
//! topic's id. What no checksum covers and nothing else states (a base offset that moves within
//! a gap) only a comparison with the source can tell.
//!
//! A vault that is not closed is being written, or its writer was killed. Then only what lies below
//! the recovery point is settled: it was synced. What lies behind is read as far as it goes; where
//! it ends, and whether indexes, epochs and snapshots tell of it already, says nothing. The next
//! copy heals all of that.

mod digest;
mod entries;
mod epochs;
mod remedy;

use std::io;
use std::path::{Path, PathBuf};

use crate::io::{Disk, Entry, File, Open};
use crate::model::{LeaderEpoch, Offset, Position, TopicId};
use crate::record::Batch;

use super::epochs::LeaderEpochs;
use super::fact::BatchFact;
use super::fault::{LogFault, at};
use super::layout::{self, EPOCHS, INDEX, LOG, METADATA, SNAPSHOT, TIME_INDEX, TXN_INDEX};
use super::limit;
use super::producers::Producers;
use super::recovery::is_lost;
use super::walk::{Obstacle, Route, walk};
use digest::Marked;
use entries::Entries;
pub use remedy::Remedy;

/// More findings of one partition say nothing more.
const FINDINGS_MAX: usize = 100;

/// What is known of a partition beside its files.
#[derive(Clone, Copy, Debug)]
pub struct Claims {
    /// Its topic's id.
    pub topic_id: TopicId,
    /// The first offset that may be read, where that is known.
    pub log_start: Option<Offset>,
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
    /// Where the digest beside it begins to tell of it; `None` where there is none.
    pub digest_from: Option<Offset>,
    /// Bytes behind the last sound batch that nothing vouches for: a write has not finished, or
    /// was lost.
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
    /// What leads on.
    pub remedy: Remedy,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Finding {
            path,
            at,
            why,
            remedy,
        } = self;
        match at {
            Some(at) => write!(f, "{}, byte {at}: {why}: {remedy}", path.display()),
            None => write!(f, "{}: {why}: {remedy}", path.display()),
        }
    }
}

/// Reads every file of the partition in `dir`.
///
/// # Errors
/// The disk's. What is wrong with the files stands among the findings.
pub fn verify<D: Disk>(disk: &D, dir: &Path, claims: Claims) -> Result<Verified, LogFault> {
    let claims = limit::claimable(disk, dir, claims)?;
    let entries = disk.list(dir).map_err(at(dir))?;
    let offsets = |suffix| layout::offsets(&entries, suffix);
    let (bases, snapshots) = (offsets(LOG), offsets(SNAPSHOT));
    let mut audit = Audit {
        disk,
        dir,
        claims,
        verified: Verified::default(),
        bases: bases.clone(),
        snapshots: snapshots.clone(),
        epochs: LeaderEpochs::default(),
        producers: Producers::default(),
        next: Offset::ZERO,
        epoch: LeaderEpoch::NONE,
        marked: Marked::default(),
        led: None,
    };
    audit.marked = audit.marked()?;
    audit.led = audit.led()?;
    for (nth, base) in bases.iter().enumerate() {
        let next = bases.get(nth + 1).copied();
        audit.segment(*base, next)?;
        if audit.verified.unfinished_bytes > 0 {
            let later = bases.iter().skip(nth + 1);
            audit.verified.unfinished_bytes +=
                later.map(|base| log_bytes(&entries, *base)).sum::<u64>();
            break;
        }
    }
    for suffix in [INDEX, TIME_INDEX, TXN_INDEX] {
        for base in offsets(suffix)
            .into_iter()
            .filter(|base| !bases.contains(base))
        {
            if audit.is_settled(base) {
                let path = layout::path(dir, base, suffix);
                audit.find(path, None, "it belongs to no segment");
            }
        }
    }
    for name in entries.iter().filter(|entry| !layout::is_ours(&entry.name)) {
        audit.find(dir.join(&name.name), None, "it is no file of a partition");
    }
    let begins = bases.first().zip(claims.log_start);
    if let Some((base, start)) = begins.filter(|(base, start)| *base > start) {
        let why = format!("offsets {start} to {base} are missing before it");
        audit.find(layout::path(dir, *base, LOG), None, why);
    }
    if claims.is_clean {
        for offset in bases.iter().skip(1).chain([&claims.durable]) {
            if snapshots.binary_search(offset).is_err() {
                audit.find_missing(layout::path(dir, *offset, SNAPSHOT));
            }
        }
    }
    audit.compare_snapshots_to(Offset::new(i64::MAX))?;
    audit.verified.segments = bases.len();
    audit.verified.snapshots = snapshots.len();
    audit.ends();
    audit.compare_digest();
    audit.compare_epochs()?;
    audit.compare_source_epochs()?;
    audit.compare_cut()?;
    audit.compare_topic()?;
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
            sound_end: None,
        })
}

fn log_bytes(entries: &[Entry], base: Offset) -> u64 {
    let name = layout::path(Path::new(""), base, LOG);
    let named = entries
        .iter()
        .filter(|entry| Path::new(&entry.name) == name);
    named.map(|entry| entry.bytes).sum()
}

struct Audit<'a, D: Disk> {
    disk: &'a D,
    dir: &'a Path,
    claims: Claims,
    verified: Verified,
    /// Where segments begin, rising.
    bases: Vec<Offset>,
    /// Those that were not compared yet, rising.
    snapshots: Vec<Offset>,
    epochs: LeaderEpochs,
    producers: Producers,
    next: Offset,
    epoch: LeaderEpoch,
    marked: Marked,
    /// What the checkpoint says of the epochs of a log that is led.
    led: Option<LeaderEpochs>,
}

impl<D: Disk> Audit<'_, D> {
    fn find(&mut self, path: PathBuf, at: Option<u64>, why: impl Into<String>) {
        let remedy = Remedy::of(&path, self.dir, self.led.is_some());
        self.found(path, at, why.into(), remedy);
    }

    fn find_missing(&mut self, path: PathBuf) {
        self.found(path, None, "it is missing".to_owned(), Remedy::Copy);
    }

    fn found(&mut self, path: PathBuf, at: Option<u64>, why: String, remedy: Remedy) {
        if self.verified.findings.len() < FINDINGS_MAX {
            self.verified.findings.push(Finding {
                path,
                at,
                why,
                remedy,
            });
        }
    }

    /// Whether what is said of a batch at `offset` has to be true by now.
    fn is_settled(&self, offset: Offset) -> bool {
        self.claims.is_clean || offset < self.claims.durable
    }

    /// The same of all that lies before `end`.
    fn is_settled_up_to(&self, end: Offset) -> bool {
        self.claims.is_clean || end <= self.claims.durable
    }

    fn segment(&mut self, base: Offset, next: Option<Offset>) -> Result<(), LogFault> {
        let name = layout::path(self.dir, base, LOG);
        let file = match self.disk.open(&name, Open::Read) {
            Ok(file) => file,
            // A segment that got no batch is replaced.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_settled(base) => {
                return Ok(());
            }
            Err(error) => return Err(at(&name)(error)),
        };
        let is_settled = next.map_or(self.claims.is_clean, |next| {
            self.is_settled(next) || next == self.claims.durable
        });
        // Entries are written after their batches: read first, they name none that is not there.
        let mut indexed = self.entries(base, is_settled)?;
        let size = file.size().map_err(at(&name))?;
        let route = Route {
            from: Position::ZERO,
            to: size,
            next: self.next.max(base),
            epoch: self.epoch,
        };
        let arrived = walk(&file, &name, route, |batch, position| {
            self.batch(base, batch, position, &mut indexed)
        })?;
        self.next = arrived.next;
        self.epoch = arrived.epoch;
        let left = size - arrived.position;
        let lost = next.filter(|next| is_lost(self.next, *next));
        match arrived.obstacle.or(lost.map(Obstacle::Lost)) {
            None => {}
            Some(_) if !self.is_settled(self.next) => self.verified.unfinished_bytes = left.max(1),
            Some(obstacle) => self.find(name, Some(arrived.position), obstacle.to_string()),
        }
        self.unconfirmed(base, &indexed);
        if is_settled
            && self.is_settled_up_to(self.next)
            && let Some((suffix, at, why)) = indexed.ends()
        {
            self.find(layout::path(self.dir, base, suffix), Some(at), why);
        }
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
        self.compare_marks_to(begin);
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
        self.marked.push(fact.digest);
        self.compare_led(&fact, path(LOG), position);
        let aborted = self.producers.apply(&fact);
        let wrong = entries.confirm(&fact, position, aborted, first);
        if self.is_settled(fact.last) {
            for (suffix, at, why) in wrong {
                self.find(path(suffix), Some(at), why);
            }
        }
        Ok(())
    }

    /// Compares the snapshots up to `offset`, which is where the replay stands.
    fn compare_snapshots_to(&mut self, offset: Offset) -> Result<(), LogFault> {
        while let Some(at) = self.snapshots.first().copied().filter(|at| *at <= offset) {
            self.snapshots.remove(0);
            let path = layout::path(self.dir, at, SNAPSHOT);
            let Some(bytes) = self.content(&path)? else {
                // A copy that runs removes those that it needs no more.
                if self.claims.is_clean {
                    self.find_missing(path);
                }
                continue;
            };
            let is_settled = self.claims.is_clean || at <= self.claims.durable;
            if self.is_ahead(at) {
                self.find(path, None, "it tells of producers behind the log's end");
                continue;
            }
            let stored = Producers::from_snapshot(&bytes).filter(|stored| {
                let range = self.verified.range;
                let knows_all = range.is_some_and(|(first, _)| first == Offset::ZERO);
                stored.agrees_with(&self.producers, knows_all)
            });
            if is_settled && stored.is_none() {
                self.find(path, None, "it does not agree with the batches before it");
            }
        }
        Ok(())
    }

    /// Whether a snapshot at `at` tells of what the log does not reach.
    fn is_ahead(&self, at: Offset) -> bool {
        let end = self.verified.range.map_or(self.next, |(_, end)| end);
        let begins = self.bases.binary_search(&at).is_ok();
        self.claims.is_clean && at > end.max(self.claims.durable) && !begins
    }

    fn ends(&mut self) {
        let claims = self.claims;
        let end = self.verified.range.map(|(_, end)| end);
        let dir = self.dir.to_owned();
        let Some(end) = end else {
            if claims.log_start.is_some_and(|start| start < claims.durable) {
                let why = format!("it has no batch, but offset {} was durable", claims.durable);
                self.find(dir, None, why);
            }
            return;
        };
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

    fn compare_topic(&mut self) -> Result<(), LogFault> {
        if !self.is_settled(Offset::ZERO) {
            // So new that the file may not be there, or the vault's notes not know the topic.
            return Ok(());
        }
        let topic_id = self.claims.topic_id;
        let path = self.dir.join(METADATA);
        let text = self.content(&path)?.unwrap_or_default();
        let expected = format!("version: 0\ntopic_id: {topic_id}");
        if String::from_utf8_lossy(&text).trim_end() != expected {
            let why = format!("it does not name topic id {topic_id}");
            let names = |line: &str| line.starts_with("topic_id: ");
            match String::from_utf8_lossy(&text).lines().any(names) {
                true => self.find(path, None, why),
                // The next copy writes it again.
                false => self.found(path, None, why, Remedy::Copy),
            }
        }
        Ok(())
    }

    fn content(&self, path: &Path) -> Result<Option<Vec<u8>>, LogFault> {
        layout::content(self.disk, path)
    }
}
