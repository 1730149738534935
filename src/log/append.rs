//! [`Log`]: what an append would change, and the change itself once its bytes lie in the file.
//!
//! An append is three steps, in this order, and state moves in the last one only:
//!
//! 1. [`Log::plan`] says how much of a run fits the segment, or that a new segment has to come
//!    first ([`Next::Roll`], which the store carries out and [`Log::rolled`] takes note of).
//! 2. The store writes those bytes at the segment's end.
//! 3. [`Log::commit`]: segment size and indexes, leader epochs, producers and aborted
//!    transactions, log end. [`Log::abandon`] instead where the write failed.

use std::collections::BTreeSet;

use crate::model::{LeaderEpoch, Offset, ProducerId, WallTime, Watermarks};
use crate::record::{Expect, Run};

use super::digest::Digest;
use super::epochs::LeaderEpochs;
use super::fact::BatchFact;
use super::lineage::Lineage;
use super::producers::Producers;
use super::segment::{GAP_MAX, Planned, Segment};
use super::{LogFault, LogOptions};

/// One partition's log, without its files.
#[derive(Debug)]
pub struct Log {
    pub(super) options: LogOptions,
    pub(super) log_start: Offset,
    pub(super) log_end: Offset,
    pub(super) is_empty: bool,
    last_timestamp: i64,
    pub(super) epochs: LeaderEpochs,
    /// The epochs have changed since they were last written.
    pub(super) epochs_changed: bool,
    /// The epoch in which we lead it, and which all new batches have.
    pub(super) stamp: Option<LeaderEpoch>,
    /// What of it is the source's, where its epochs are not.
    pub(super) lineage: Option<Lineage>,
    /// The epochs in which we led it: what is of them is ours, whoever leads it now.
    pub(super) led: LeaderEpochs,
    pub(super) producers: Producers,
    pub(super) digest: Digest,
    pub(super) segment: Segment,
    /// The segments before the present one, oldest first.
    pub(super) older: Vec<Offset>,
    /// The batches of the plan; empty between commit and plan.
    planned: Vec<BatchFact>,
}

/// The next step of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A new segment has to begin at this offset first.
    Roll(Offset),
    /// The run's first `batches` batches, `bytes` bytes, are to be written at the end.
    Write {
        /// How many bytes of the run.
        bytes: usize,
        /// How many of its batches.
        batches: u32,
    },
}

impl Log {
    /// An empty log that begins at `log_start`, to be filled by what recovery finds.
    pub(super) fn new(options: LogOptions, log_start: Offset, segment: Segment) -> Log {
        Log {
            options,
            log_start,
            log_end: log_start,
            is_empty: true,
            last_timestamp: -1,
            epochs: LeaderEpochs::default(),
            epochs_changed: true,
            stamp: None,
            lineage: None,
            led: LeaderEpochs::default(),
            producers: Producers::default(),
            digest: Digest::default(),
            segment,
            older: Vec::new(),
            planned: Vec::new(),
        }
    }

    /// The four watermarks. All that is held lay below the source's high watermark when it was
    /// fetched, so that the end is the high watermark.
    #[must_use]
    pub fn watermarks(&self) -> Watermarks {
        let log_end = self.log_end.max(self.log_start);
        let unstable = self.producers.first_unstable();
        let last_stable = unstable.unwrap_or(log_end);
        Watermarks {
            log_start: self.log_start,
            last_stable: last_stable.clamp(self.log_start, log_end),
            high_watermark: log_end,
            log_end,
        }
    }

    /// Whether there is no batch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The leader epoch of the last batch.
    #[must_use]
    pub fn last_epoch(&self) -> LeaderEpoch {
        self.epochs.before(self.log_end)
    }

    /// What the next batch has to be, of whatever size.
    #[must_use]
    pub fn expects(&self) -> Expect {
        Expect::after(self.watermarks().log_end, self.last_epoch())
    }

    /// The largest timestamp of the last batch, in ms; −1 where there is none.
    #[must_use]
    pub fn last_timestamp(&self) -> i64 {
        self.last_timestamp
    }

    /// The epochs of the log.
    #[must_use]
    pub fn epochs(&self) -> &LeaderEpochs {
        &self.epochs
    }

    /// How many transactions no marker has ended yet.
    #[must_use]
    pub fn open_transactions(&self) -> usize {
        self.producers.open_count()
    }

    /// The largest producer id that is known to be in the log: of the producers that it still knew
    /// when it was opened, and of all that have come since.
    #[must_use]
    pub fn largest_producer_id(&self) -> Option<ProducerId> {
        self.producers.largest_id()
    }

    /// Those of `ids` under which records were written that the log still remembers the producers
    /// of.
    #[must_use]
    pub fn written_under(&self, ids: &BTreeSet<ProducerId>) -> Vec<ProducerId> {
        self.producers.written_under(ids)
    }

    /// What appending the front of `run` means. The run continues this log: whoever checked it
    /// had this log's end and epoch as what to expect.
    ///
    /// # Errors
    /// The first batch is a transaction's marker that cannot be read.
    pub(super) fn plan(&mut self, now: WallTime, run: &Run<'_>) -> Result<Next, LogFault> {
        assert!(
            self.planned.is_empty(),
            "a plan was neither committed nor abandoned"
        );
        let newest = self.last_epoch();
        assert!(
            self.stamp.is_none_or(|stamp| stamp >= newest),
            "a batch is of epoch {newest}, later than that in which we lead"
        );
        let mut planned = Planned::default();
        for batch in run.batches() {
            let fact = match BatchFact::of(&batch) {
                Ok(fact) => fact,
                Err(_) if planned.batches > 0 => break,
                Err(fault) => {
                    let at = batch.base_offset();
                    return Err(LogFault::Marker { at, fault });
                }
            };
            assert!(
                self.is_empty || fact.base >= self.log_end,
                "a batch at {} overlaps the log's end {}",
                fact.base,
                self.log_end
            );
            assert!(
                self.stamp.is_none_or(|stamp| fact.epoch == stamp),
                "a batch at {} has epoch {}, not that in which we lead",
                fact.base,
                fact.epoch
            );
            if self
                .segment
                .is_full_for(&fact, &planned, now, &self.options)
            {
                if planned.batches == 0 {
                    return Ok(Next::Roll(self.next_base(&fact)));
                }
                break;
            }
            planned.bytes += u64::from(fact.bytes);
            planned.batches += 1;
            planned.first_timestamp.get_or_insert(fact.max_timestamp);
            self.planned.push(fact);
        }
        Ok(Next::Write {
            bytes: usize::try_from(planned.bytes).expect("a run lies in memory"),
            batches: u32::try_from(planned.batches).expect("a run counts its batches in 32 bits"),
        })
    }

    /// Where the segment begins that takes `fact` first: at the log's end, so that recovery sees
    /// whether all before it is there; or at the batch, behind a gap that an index cannot span.
    fn next_base(&self, fact: &BatchFact) -> Offset {
        let is_spanned = fact.last.since(self.log_end) <= i32::MAX as u64;
        match !self.is_empty && is_spanned && fact.base.since(self.log_end) <= GAP_MAX {
            true => self.log_end,
            false => fact.base,
        }
    }

    /// The planned bytes lie in the file: now the log has them.
    pub(super) fn commit(&mut self) {
        let mut planned = std::mem::take(&mut self.planned);
        for fact in planned.drain(..) {
            self.apply(&fact);
        }
        self.planned = planned;
        self.watermarks().assert_invariants();
    }

    /// The planned bytes were not written, or not all of them: the log is as it was.
    pub(super) fn abandon(&mut self) {
        self.planned.clear();
    }

    /// Takes in a batch that lies at the segment's end.
    fn apply(&mut self, fact: &BatchFact) {
        self.recover(fact, true);
    }

    /// The same for a batch that was found there. Its producer may be known already.
    pub(super) fn recover(&mut self, fact: &BatchFact, is_new_to_producers: bool) {
        // A segment that gets no batch may go again, and the log go on below.
        let begins = (self.segment.size == 0).then_some(self.segment.base);
        self.segment.apply(fact, &self.options);
        self.digest.take(fact.base, fact.digest, begins);
        self.epochs_changed |= self.epochs.assign(fact.epoch, fact.base);
        if is_new_to_producers && let Some(aborted) = self.producers.apply(fact) {
            self.segment.aborted(aborted);
        }
        self.log_end = fact.next();
        self.is_empty = false;
        self.last_timestamp = fact.timestamp;
    }

    /// The store has made the files of a new segment at `base`.
    pub(super) fn rolled(&mut self, base: Offset, now: WallTime) {
        self.moved_to(Segment::new(base, now));
    }

    /// Another segment is the present one.
    pub(super) fn moved_to(&mut self, fresh: Segment) {
        let before = std::mem::replace(&mut self.segment, fresh);
        assert!(before.pending.bytes() == 0, "index entries would be lost");
        if before.size > 0 {
            self.older.push(before.base);
        }
    }
}
