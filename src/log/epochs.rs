//! Leader epochs: where each began in this log, and how far it reaches (`LeaderEpochFileCache`).

use crate::model::{LeaderEpoch, Offset};
use crate::stdx::lines::{self, LinesFault};

const VERSION: u32 = 0;

/// The epochs of a log with their start offsets, both rising. The last one may begin where the log
/// ends: its leader has not written yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderEpochs {
    entries: Vec<(LeaderEpoch, Offset)>,
}

impl LeaderEpochs {
    /// Epochs with their start offsets; `None` where those do not rise.
    #[must_use]
    pub fn of(entries: Vec<(LeaderEpoch, Offset)>) -> Option<LeaderEpochs> {
        let rise = |pair: &[(LeaderEpoch, Offset)]| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1;
        let rises = entries.windows(2).all(rise);
        let are_real = entries.iter().all(|(epoch, _)| epoch.is_some());
        (rises && are_real).then_some(LeaderEpochs { entries })
    }

    /// Reads the text of a `leader-epoch-checkpoint`.
    ///
    /// # Errors
    /// What is wrong with the text; entries that do not rise are wrong too.
    pub(super) fn from_text(text: &str) -> Result<LeaderEpochs, LinesFault> {
        let mut last = None;
        let entries = lines::read(text, VERSION, |line| {
            let (epoch, start) = line.split_once(' ')?;
            let epoch = LeaderEpoch::new(epoch.parse().ok()?);
            let entry = (epoch, Offset::from_wire(start.parse().ok()?)?);
            let rises = last.is_none_or(|(before, start)| before < entry.0 && start < entry.1);
            last = Some(entry);
            (rises && epoch.is_some()).then_some(entry)
        })?;
        Ok(LeaderEpochs { entries })
    }

    /// The text of a `leader-epoch-checkpoint`.
    pub(super) fn to_text(&self) -> String {
        let line = |(epoch, start): &(LeaderEpoch, Offset)| format!("{epoch} {start}");
        lines::write(VERSION, self.entries.iter().map(line))
    }

    /// `epoch` begins at `start`, or a batch of it does, behind every batch so far; says whether
    /// that changes anything. An epoch without a batch gives way to a newer one that begins where
    /// it did, and to a batch of an older one.
    pub(super) fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if !epoch.is_some() || epoch == self.latest() {
            return false;
        }
        let before = self.entries.len();
        while let Some((last, begins)) = self.entries.last()
            && (*begins >= start || *last > epoch)
        {
            assert!(
                *begins <= start,
                "epoch {epoch} begins at {start}, below one that begins at {begins}"
            );
            self.entries.pop();
        }
        let is_new = epoch > self.latest();
        if is_new {
            self.entries.push((epoch, start));
        }
        is_new || self.entries.len() < before
    }

    /// The newest epoch, [`LeaderEpoch::NONE`] where there is none.
    #[must_use]
    pub fn latest(&self) -> LeaderEpoch {
        let last = self.entries.last();
        last.map_or(LeaderEpoch::NONE, |(epoch, _)| *epoch)
    }

    /// The epoch of the last batch of a log that ends at `end`; [`LeaderEpoch::NONE`] where there
    /// is no batch.
    #[must_use]
    pub fn before(&self, end: Offset) -> LeaderEpoch {
        let below = self.entries.partition_point(|(_, start)| *start < end);
        let last = below.checked_sub(1).and_then(|nth| self.entries.get(nth));
        last.map_or(LeaderEpoch::NONE, |(epoch, _)| *epoch)
    }

    /// The largest epoch not above `epoch`, and where it ends in a log that ends at `log_end`;
    /// `None` where every epoch is larger.
    #[must_use]
    pub fn end_of(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        let above = self.entries.partition_point(|(known, _)| *known <= epoch);
        let (known, _) = self.entries.get(above.checked_sub(1)?)?;
        let end = self.entries.get(above).map_or(log_end, |(_, start)| *start);
        Some((*known, end))
    }

    /// The epoch of the batch that ends with `last`; [`LeaderEpoch::NONE`] before the first.
    pub(super) fn at(&self, last: Offset) -> LeaderEpoch {
        let above = self.entries.partition_point(|(_, start)| *start <= last);
        let known = above.checked_sub(1).and_then(|nth| self.entries.get(nth));
        known.map_or(LeaderEpoch::NONE, |(epoch, _)| *epoch)
    }

    /// Every epoch with its start offset.
    pub fn iter(&self) -> impl Iterator<Item = (LeaderEpoch, Offset)> + '_ {
        self.entries.iter().copied()
    }

    /// Forgets what begins at `end` or behind it.
    pub(super) fn cut(&mut self, end: Offset) {
        self.entries.retain(|(_, start)| *start < end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(pairs: &[(i32, i64)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for (epoch, start) in pairs {
            epochs.assign(LeaderEpoch::new(*epoch), Offset::new(*start));
        }
        epochs
    }

    #[test]
    fn an_epoch_reaches_to_the_next_one() {
        let held = epochs(&[(1, 0), (1, 5), (3, 10), (7, 20)]);
        let end = |epoch| {
            let found = held.end_of(LeaderEpoch::new(epoch), Offset::new(30));
            found.map(|(epoch, end)| (epoch.value(), end.value()))
        };
        assert_eq!(end(0), None);
        assert_eq!(end(1), Some((1, 10)));
        assert_eq!(end(2), Some((1, 10)), "the largest not above it");
        assert_eq!(end(3), Some((3, 20)));
        assert_eq!(end(9), Some((7, 30)));
    }

    #[test]
    fn an_epoch_may_begin_without_a_batch() {
        let mut held = epochs(&[(1, 0), (3, 10)]);
        let assign = |held: &mut LeaderEpochs, epoch, start| {
            held.assign(LeaderEpoch::new(epoch), Offset::new(start))
        };
        assert!(assign(&mut held, 5, 20), "it begins at the log's end");
        assert_eq!(held.before(Offset::new(20)), LeaderEpoch::new(3));
        assert_eq!(held.before(Offset::new(21)), LeaderEpoch::new(5));
        assert!(!assign(&mut held, 5, 20), "its first batch is no news");
        assert!(!assign(&mut held, 5, 24), "nor is one behind a gap");
        assert_eq!(held, epochs(&[(1, 0), (3, 10), (5, 20)]));
        assert!(
            assign(&mut held, 8, 20),
            "the next leader had nothing either"
        );
        assert_eq!(held, epochs(&[(1, 0), (3, 10), (8, 20)]));
        assert!(assign(&mut held, 7, 20), "who has not written has no epoch");
        assert_eq!(held, epochs(&[(1, 0), (3, 10), (7, 20)]));
        assert!(assign(&mut held, 3, 22), "not even behind a gap");
        assert_eq!(held, epochs(&[(1, 0), (3, 10)]));
        assert_eq!(epochs(&[]).before(Offset::new(9)), LeaderEpoch::NONE);
    }

    #[test]
    #[should_panic(expected = "begins at 9, below one that begins at 10")]
    fn no_epoch_begins_below_another() {
        epochs(&[(1, 0), (3, 10), (4, 9)]);
    }

    #[test]
    fn entries_that_do_not_rise_are_none() {
        let of = |pairs: &[(i32, i64)]| {
            let entry =
                |(epoch, start): &(i32, i64)| (LeaderEpoch::new(*epoch), Offset::new(*start));
            LeaderEpochs::of(pairs.iter().map(entry).collect())
        };
        assert_eq!(of(&[(1, 0), (3, 10)]), Some(epochs(&[(1, 0), (3, 10)])));
        for disorder in [[(2, 0), (1, 5)], [(1, 5), (3, 5)], [(-1, 0), (1, 5)]] {
            assert_eq!(of(&disorder), None, "{disorder:?}");
        }
    }

    #[test]
    fn the_text_is_read_back_and_disorder_refused() {
        let mut held = epochs(&[(1, 0), (3, 10), (7, 20)]);
        assert_eq!(held.to_text(), "0\n3\n1 0\n3 10\n7 20\n");
        assert_eq!(LeaderEpochs::from_text(&held.to_text()), Ok(held.clone()));
        for disorder in ["0\n2\n3 0\n1 5\n", "0\n2\n1 5\n3 5\n", "0\n1\n-1 0\n"] {
            assert!(LeaderEpochs::from_text(disorder).is_err(), "{disorder:?}");
        }
        held.cut(Offset::new(10));
        assert_eq!(held, epochs(&[(1, 0)]));
    }
}
