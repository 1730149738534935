//! The stamp: batches get the leader epoch of whoever leads their copy, in place. It lies outside
//! the checksum.

use zerocopy::FromBytes;

use super::layout::{BatchHeader, LENGTH_END};
use super::run::RunMut;
use crate::model::LeaderEpoch;

impl RunMut<'_> {
    /// Sets the leader epoch of all batches to `epoch`. Nothing else of them changes.
    pub fn stamp(&mut self, epoch: LeaderEpoch) {
        if self.bytes.is_empty() {
            return;
        }
        let mut left = &mut *self.bytes;
        while !left.is_empty() {
            let (header, _) = BatchHeader::mut_from_prefix(left).expect("a run has whole batches");
            header.leader_epoch.set(epoch.value());
            let length = usize::try_from(header.length.get()).expect("a run has sound lengths");
            (_, left) = left.split_at_mut(length.saturating_add(LENGTH_END));
        }
        self.end_in(epoch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Offset;
    use crate::record::{BatchBuilder, Expect, Rest, check, check_mut};

    fn batch(base: i64, epoch: i32) -> Vec<u8> {
        let mut batch = BatchBuilder::new(Offset::new(base), LeaderEpoch::new(epoch), 1_000);
        batch.push(Some(b"key"), Some(b"value"), &[]);
        batch.finish()
    }

    #[test]
    fn all_batches_get_the_epoch_and_nothing_else_changes() {
        let before = [batch(0, 3), batch(1, 3), batch(2, 9)].concat();
        let mut bytes = before.clone();
        bytes.extend_from_slice(&batch(3, 9)[..40]);
        let (mut run, rest) = check_mut(&mut bytes, Expect::first());
        assert!(matches!(rest, Rest::Short { .. }));
        let stamp = LeaderEpoch::new(1);
        run.stamp(stamp);
        assert_eq!(run.as_run().last_epoch(), stamp);
        assert_eq!(run.as_run().next_offset(), Offset::new(3));
        let checked = check(&bytes, Expect::first());
        assert_eq!(checked.run.count(), 3, "checksums do not cover it");
        let stamps = checked.run.batches().map(|batch| batch.leader_epoch());
        assert!(stamps.eq([stamp; 3]));
        let size = before.len() / 3;
        for (at, (ours, theirs)) in bytes.iter().zip(&before).enumerate() {
            let is_epoch = (12..16).contains(&(at % size));
            assert!(ours == theirs || is_epoch, "byte {at} has changed");
        }
        let behind = &batch(3, 9)[..40];
        assert_eq!(&bytes[before.len()..], behind, "no batch of the run");
    }

    #[test]
    fn an_empty_run_ends_as_it_began() {
        let expect = Expect::after(Offset::new(5), LeaderEpoch::new(4));
        let (mut run, _) = check_mut(&mut [], expect);
        run.stamp(LeaderEpoch::new(7));
        assert_eq!(run.as_run().last_epoch(), LeaderEpoch::new(4));
    }
}
