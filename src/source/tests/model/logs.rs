//! A partition's log as a source broker keeps it, and our copy of it.

use super::super::scene::epoch_end;
use crate::model::{LeaderEpoch, Offset};
use crate::source::EpochEnd;

/// A batch without its records. Tags are unique; `before` is the tag of the batch that came
/// before it when it was written, so that two logs with the same last tag are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) base: i64,
    pub(super) next: i64,
    pub(super) epoch: i32,
    pub(super) bytes: u32,
    pub(super) tag: u64,
    pub(super) before: u64,
}

/// A leader's log with its epoch cache, which does as Kafka's `LeaderEpochFileCache` does.
#[derive(Clone, Debug)]
pub(super) struct SourceLog {
    pub(super) batches: Vec<Batch>,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) high: i64,
    /// The largest high watermark ever: a new leader begins below it, but has the records.
    pub(super) shown: i64,
    /// Each epoch with its first offset.
    epochs: Vec<(i32, i64)>,
}

impl SourceLog {
    pub(super) fn new(epoch: i32) -> SourceLog {
        SourceLog {
            batches: Vec::new(),
            start: 0,
            end: 0,
            high: 0,
            shown: 0,
            epochs: vec![(epoch, 0)],
        }
    }

    /// A leader of `epoch` begins.
    pub(super) fn lead(&mut self, epoch: i32) {
        let end = self.end;
        self.epochs.retain(|(_, first)| *first < end);
        self.epochs.push((epoch, end));
    }

    pub(super) fn append(&mut self, offsets: i64, bytes: u32, tag: u64) {
        let (epoch, _) = *self.epochs.last().expect("it has a leader");
        let before = self.batches.last().map_or(0, |last| last.tag);
        let (base, next) = (self.end, self.end + offsets);
        self.batches.push(Batch {
            base,
            next,
            epoch,
            bytes,
            tag,
            before,
        });
        self.end = next;
    }

    /// Everything has reached enough replicas.
    pub(super) fn show_all(&mut self) {
        self.high = self.end;
        self.shown = self.end;
    }

    /// Offsets whose records compaction has taken already.
    pub(super) fn skip(&mut self, offsets: i64) {
        self.end += offsets;
    }

    /// Loses everything from the batch on that reaches beyond `to`.
    pub(super) fn cut(&mut self, to: i64) {
        let straddling = self.batches.iter().find(|batch| batch.next > to);
        let to = straddling
            .map_or(to, |batch| batch.base.min(to))
            .max(self.start);
        self.batches.retain(|batch| batch.next <= to);
        self.end = self.end.min(to);
        self.high = self.high.min(self.end);
        self.shown = self.shown.min(self.end);
        let end = self.end;
        self.epochs.retain(|(_, first)| *first < end);
    }

    /// Moves the log start up to `to`, perhaps into the middle of a batch.
    pub(super) fn trim(&mut self, to: i64) {
        self.start = to;
        self.batches.retain(|batch| batch.next > to);
        let last_below = self.epochs.iter().rposition(|(_, first)| *first <= to);
        if let Some(place) = last_below {
            self.epochs.drain(..place);
            self.epochs[0].1 = to;
        }
    }

    /// No batch ends where it ends, as where it was cut behind what compaction has taken.
    pub(super) fn has_gap_at_its_end(&self) -> bool {
        let last = self.batches.last();
        last.is_none_or(|last| last.next < self.end)
    }

    /// OffsetForLeaderEpoch.
    pub(super) fn epoch_end(&self, asked: i32) -> Option<(i32, i64)> {
        if self.epochs.last().is_some_and(|(last, _)| *last == asked) {
            return Some((asked, self.end));
        }
        let (_, end) = self.epochs.iter().find(|(epoch, _)| *epoch > asked)?;
        let floor = self.epochs.iter().rev().find(|(epoch, _)| *epoch <= asked);
        Some((floor.map_or(asked, |(epoch, _)| *epoch), *end))
    }

    /// What a replica that reads from `from` is shown.
    pub(super) fn there(&self, from: i64) -> impl Iterator<Item = &Batch> {
        self.batches.iter().filter(move |batch| batch.next > from)
    }

    /// What a consumer that reads from `from` is shown.
    pub(super) fn visible(&self, from: i64) -> impl Iterator<Item = &Batch> {
        let shown = move |batch: &&Batch| batch.next > from && batch.next <= self.high;
        self.batches.iter().filter(shown)
    }
}

/// What we have of it.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    pub(super) batches: Vec<Batch>,
    /// Where it begins.
    pub(super) start: i64,
    /// The offset after the last batch, or where an empty log begins.
    pub(super) end: i64,
    /// What we take for the place to fetch next: the end, or behind a gap.
    pub(super) next: i64,
}

impl Copy {
    pub(super) fn beginning_at(start: i64) -> Copy {
        Copy {
            batches: Vec::new(),
            start,
            end: start,
            next: start,
        }
    }

    pub(super) fn epoch(&self) -> i32 {
        self.batches.last().map_or(-1, |last| last.epoch)
    }

    /// Takes a batch of a source whose log begins at `source_start`.
    pub(super) fn append(&mut self, batch: Batch, source_start: i64) {
        assert!(batch.next > self.next, "{batch:?} after {}", self.next);
        assert!(
            batch.epoch >= self.epoch(),
            "{batch:?} after {}",
            self.epoch()
        );
        if let Some(last) = self.batches.last() {
            assert!(batch.base >= last.next, "{batch:?} overlaps {last:?}");
            // What the source has trimmed cannot be compared.
            let comparable = last.next > source_start;
            let continues = batch.before == last.tag;
            assert!(
                continues || !comparable,
                "{batch:?} comes after {last:?}, which it does not follow"
            );
        }
        self.batches.push(batch);
        self.end = batch.next;
        self.next = batch.next;
    }

    /// What is not there before the place to fetch next.
    pub(super) fn gap(&self) -> Option<(Offset, Offset)> {
        (self.end < self.next).then(|| (Offset::new(self.end), Offset::new(self.next)))
    }

    pub(super) fn cut(&mut self, to: i64) {
        let straddling = self.batches.iter().find(|batch| batch.next > to);
        let to = straddling.map_or(to, |batch| batch.base.min(to));
        self.batches.retain(|batch| batch.next <= to);
        self.end = match self.batches.is_empty() {
            true => self.start,
            false => self.end.min(to),
        };
        self.next = self.end;
    }

    pub(super) fn epoch_end(&self, asked: LeaderEpoch) -> Option<EpochEnd> {
        let known = |batch: &&Batch| batch.epoch <= asked.value();
        let floor = self.batches.iter().rev().find(known)?.epoch;
        let above = self.batches.iter().find(|batch| batch.epoch > floor);
        Some(epoch_end(floor, above.map_or(self.end, |batch| batch.base)))
    }

    /// Whether it holds all that `source` shows, and nothing else that can be compared.
    pub(super) fn equals(&self, source: &SourceLog) -> bool {
        let comparable = |batch: &&Batch| batch.next > source.start;
        let ours = self.batches.iter().filter(comparable);
        source.visible(source.start).eq(ours)
    }
}
