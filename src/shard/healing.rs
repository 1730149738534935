//! What a log has lost and fetches again: it has to come as it was.
//!
//! A topic that is not compacted has no gaps. Where one comes of what the log once held, the source
//! has been compacted since, whatever its policy is today: going on would lose for good what only
//! this log has had.

use super::partition::Partition;
use crate::io::Disk;
use crate::log::take_out;
use crate::model::Offset;
use crate::record::Run;

impl<D: Disk> Partition<D> {
    /// Why a log that the source has no more for is not whole; `None` where it is.
    pub(super) fn unhealed_end(&self) -> Option<String> {
        let whole = self.whole.filter(|whole| *whole > self.end())?;
        Some(self.lost(whole, (self.end(), whole)))
    }

    /// Why a run that is to follow what the log holds is not what it has lost; `None` where it may
    /// be.
    pub(super) fn unhealed(&self, run: &Run<'_>) -> Option<String> {
        let whole = self.whole?;
        let gap = gap(run, self.end(), whole)?;
        Some(self.lost(whole, gap))
    }

    fn lost(&self, whole: Offset, (from, to): (Offset, Offset)) -> String {
        format!(
            "offsets up to {whole} were durable here and are fetched again, but the source has \
             nothing of {from} to {to} any more: it has been compacted since; after `{}` the same \
             copy fetches the partition anew, as the source has it now",
            take_out(self.store.dir())
        )
    }
}

/// The first offsets from `next` up to `whole` that a run passes over.
fn gap(run: &Run<'_>, mut next: Offset, whole: Offset) -> Option<(Offset, Offset)> {
    for batch in run.batches() {
        let (base, end) = (batch.base_offset(), batch.next_offset());
        if next >= whole {
            return None;
        }
        if base > next {
            return Some((next, base.min(whole)));
        }
        if end.since(base) > u64::from(batch.record_count()) {
            return Some((next, end.min(whole)));
        }
        next = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LeaderEpoch;
    use crate::record::{BatchBuilder, Expect, check};

    /// The first gap in batches of one record at each of these offsets.
    fn gap_in(offsets: &[i64], next: i64, whole: i64) -> Option<(i64, i64)> {
        let batch = |at: &i64| {
            let mut batch = BatchBuilder::new(Offset::new(*at), LeaderEpoch::new(0), 1_000);
            batch.push(None, Some(b"value"), &[]);
            batch.finish()
        };
        let bytes: Vec<u8> = offsets.iter().flat_map(batch).collect();
        gap_of(&bytes, next, whole)
    }

    fn gap_of(bytes: &[u8], next: i64, whole: i64) -> Option<(i64, i64)> {
        let checked = check(bytes, Expect::first());
        assert_eq!(checked.run.bytes(), bytes, "it is sound");
        let found = gap(&checked.run, Offset::new(next), Offset::new(whole));
        found.map(|(from, to)| (from.value(), to.value()))
    }

    #[test]
    fn what_was_held_has_no_gap_when_it_comes_again() {
        for (offsets, next, whole, expected) in [
            (&[5, 6, 7][..], 5, 8, None),
            (&[5, 7], 5, 8, Some((6, 7))),
            (&[6, 7], 5, 8, Some((5, 6))),
            (&[5, 6, 20], 5, 9, Some((7, 9))),
            (&[5, 6, 20], 5, 7, None),
            (&[20], 7, 7, None),
            (&[], 5, 8, None),
        ] {
            assert_eq!(gap_in(offsets, next, whole), expected, "{offsets:?}");
        }
    }

    #[test]
    fn a_batch_that_has_lost_records_is_a_gap() {
        let mut batch = BatchBuilder::new(Offset::new(5), LeaderEpoch::new(0), 1_000);
        batch.push(None, Some(b"value"), &[]).skip(3);
        let bytes = batch.finish();
        assert_eq!(gap_of(&bytes, 5, 20), Some((5, 9)));
        assert_eq!(
            gap_of(&bytes, 7, 8),
            Some((7, 8)),
            "the log may end within it"
        );
        assert_eq!(gap_of(&bytes, 5, 5), None);
    }
}
