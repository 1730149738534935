//! One partition's batches here and at the source, side by side.

use crate::io::Disk;
use crate::log::{BatchStream, LogFault};
use crate::model::{Offset, ProducerIdShift};
use crate::record::{Batch, unshift};

/// What comparing one partition came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Batches that are the same, byte for byte.
    pub identical: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Batches here that the source's compaction has since rewritten or dropped.
    pub compacted: u64,
    /// Batches here below the source's log start: nothing is left to compare them with.
    pub expired: u64,
    /// Where the log ends here.
    pub end: Offset,
    /// Where it ends at the source.
    pub source_end: Offset,
    /// Offsets that the source has and that are not copied yet.
    pub behind: u64,
    /// Offsets that the source has and that the log here leaves out, rising.
    pub lacking: Vec<Lacking>,
    /// The first thing that differs.
    pub difference: Option<Difference>,
}

/// Offsets of which the source has batches that are not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// The first one.
    pub from: Offset,
    /// The one behind the last.
    pub to: Offset,
    /// Why they are not here.
    pub why: Lack,
}

/// Why offsets that the source has are not here. A source's log start rises and never falls, so
/// that one of both sides has been told something else before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// The log begins behind them.
    #[error(
        "the log begins behind them here: retention has removed them here, or the source did not \
         tell of them when it was copied"
    )]
    Below,
    /// They are recorded as a gap.
    #[error("they were recorded as lost at the source")]
    Gap,
}

/// Where two logs differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The offset.
    pub at: Offset,
    /// What is different there.
    pub what: String,
}

/// The local side of a comparison, which the source's batches are held against in their order.
pub(super) struct Sides<D: Disk> {
    local: BatchStream<D>,
    /// The local batch that was not compared yet.
    held: Option<Held>,
    pub(super) is_compacted: bool,
    /// Offsets that are known to be missing here.
    pub(super) gaps: Vec<(Offset, Offset)>,
    /// What was added to the producer ids here.
    shift: ProducerIdShift,
    pub(super) comparison: Comparison,
    /// What lies behind was not verified, and may not be whole.
    until: Offset,
}

struct Held {
    bytes: Vec<u8>,
    base: Offset,
    next: Offset,
}

impl<D: Disk> Sides<D> {
    pub(super) fn new(
        local: BatchStream<D>,
        is_compacted: bool,
        gaps: Vec<(Offset, Offset)>,
        shift: ProducerIdShift,
        until: Offset,
    ) -> Result<Sides<D>, LogFault> {
        let mut sides = Sides {
            local,
            held: None,
            is_compacted,
            gaps,
            shift,
            comparison: Comparison::default(),
            until,
        };
        sides.advance()?;
        Ok(sides)
    }

    /// The base offset of the next local batch.
    pub(super) fn here(&self) -> Option<Offset> {
        self.held.as_ref().map(|held| held.base)
    }

    /// Skips what lies below the source's log start.
    pub(super) fn expire(&mut self, start: Offset) -> Result<(), LogFault> {
        while self.held.as_ref().is_some_and(|held| held.next <= start) {
            self.comparison.expired += 1;
            self.advance()?;
        }
        Ok(())
    }

    /// Compares with the source's next batch. Says whether to go on.
    pub(super) fn compare(&mut self, theirs: &Batch<'_>) -> Result<bool, LogFault> {
        let base = theirs.base_offset();
        while let Some(held) = &self.held
            && held.base < base
        {
            if !self.is_compacted {
                let at = held.base;
                return Ok(self.differs(at, "the source has no batch that is here".to_owned()));
            }
            self.comparison.compacted += 1;
            self.advance()?;
        }
        let Some(held) = self.held.as_ref() else {
            return Ok(false);
        };
        if held.base > base {
            let is_known = |(from, to): &(Offset, Offset)| *from <= base && base < *to;
            if !self.gaps.iter().any(is_known) {
                return Ok(self.differs(base, "the source's batch is missing here".to_owned()));
            }
            let end = theirs.next_offset().min(held.base);
            self.lacks((base, end), Lack::Gap);
            return Ok(true);
        }
        if held.bytes == theirs.bytes() {
            self.comparison.identical += 1;
            self.comparison.bytes += theirs.bytes().len() as u64;
        } else if self.is_compacted && is_rewrite(&held.bytes, theirs.bytes()) {
            self.comparison.compacted += 1;
        } else {
            let what = different(&held.bytes, theirs.bytes());
            return Ok(self.differs(base, what));
        }
        self.advance()?;
        Ok(true)
    }

    /// The source has these offsets; those of one gap are told as one.
    pub(super) fn lacks(&mut self, (from, to): (Offset, Offset), why: Lack) {
        let is_same = |last: &Offset| {
            let within = |(begin, end): &(Offset, Offset)| begin <= last && from < *end;
            why == Lack::Gap && self.gaps.iter().any(within)
        };
        match self.comparison.lacking.last_mut() {
            Some(last) if last.why == why && is_same(&last.from) => last.to = to,
            _ => self.comparison.lacking.push(Lacking { from, to, why }),
        }
    }

    /// The source has no more batches below `end`, where its log ends.
    pub(super) fn source_ends(&mut self, end: Offset) -> Result<(), LogFault> {
        while let Some(held) = &self.held {
            if !self.is_compacted || held.next > end {
                let at = held.base;
                self.differs(at, format!("the source's log ends at offset {end}"));
                return Ok(());
            }
            self.comparison.compacted += 1;
            self.advance()?;
        }
        Ok(())
    }

    pub(super) fn differs(&mut self, at: Offset, what: String) -> bool {
        self.comparison
            .difference
            .get_or_insert(Difference { at, what });
        false
    }

    /// Takes the next local batch, with its producer's id as the source gave it out.
    fn advance(&mut self) -> Result<(), LogFault> {
        let batch = self.local.next_batch()?;
        let batch = batch.filter(|batch| batch.next_offset() <= self.until);
        self.held = batch.map(|batch| Held {
            bytes: batch.bytes().to_vec(),
            base: batch.base_offset(),
            next: batch.next_offset(),
        });
        let Some(held) = &mut self.held else {
            return Ok(());
        };
        self.comparison.end = held.next;
        let (at, restored) = (held.base, unshift(&mut held.bytes, self.shift));
        if let Err(fault) = restored {
            self.differs(at, fault.to_string());
        }
        Ok(())
    }

    /// All is compared. The source's log begins at `start` and ends at `end`.
    pub(super) fn finish(mut self, start: Offset, end: Offset) -> Comparison {
        let here = self.comparison.end.max(start).min(end);
        if self.held.is_none() {
            self.comparison.behind = end.since(here);
        }
        self.comparison.source_end = end;
        self.comparison
    }
}

/// Whether `theirs` may be what compaction has left of `ours`: the offsets, the leader epoch, the
/// producer and the kind stay, records only go.
pub(super) fn is_rewrite(ours: &[u8], theirs: &[u8]) -> bool {
    /// Base offset; leader epoch and magic; last offset delta; producer id to base sequence.
    const KEPT: [std::ops::Range<usize>; 4] = [0..8, 12..17, 23..27, 43..57];
    /// Transactional or not, control or not.
    const KIND: u8 = 0x30;
    let same = |range: std::ops::Range<usize>| ours.get(range.clone()) == theirs.get(range);
    let kind = |bytes: &[u8]| bytes.get(22).map(|attributes| attributes & KIND);
    let count = |bytes: &[u8]| bytes.get(57..61).map(<[u8]>::to_vec);
    // A batch's count is no negative number, so that its bytes are ordered as it is.
    KEPT.into_iter().all(same) && kind(ours) == kind(theirs) && count(theirs) <= count(ours)
}

fn different(ours: &[u8], theirs: &[u8]) -> String {
    let same = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
    format!(
        "its batches differ from byte {same} on: {} bytes here, {} at the source",
        ours.len(),
        theirs.len()
    )
}
