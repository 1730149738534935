//! Which snapshots of the producers a log keeps besides those that its segments begin with.
//!
//! Each sync makes one, so that recovery need not read what lies before. Recovery takes the newest
//! one that does not lie above the recovery point, and that point reaches the vault's checkpoint
//! later than the sync ends: until then the ones before are still needed.

use crate::model::Offset;

/// Loose snapshots that a log has at most. Where nobody records a recovery point, the oldest and
/// the newest of them stay.
const LOOSE_MAX: usize = 64;

/// The loose snapshots of one log, and how far the vault's checkpoint is known to reach.
#[derive(Clone, Debug, Default)]
pub(super) struct Loose {
    /// Rising.
    offsets: Vec<Offset>,
    recorded: Offset,
}

impl Loose {
    /// The vault's checkpoint says that everything below `point` is durable.
    pub(super) fn recorded(&mut self, point: Offset) {
        self.recorded = self.recorded.max(point);
    }

    /// There is one at `offset`, where the log ends.
    pub(super) fn made(&mut self, offset: Offset) {
        if !self.has(offset) {
            self.offsets.push(offset);
        }
    }

    /// Whether the newest one is at `offset`.
    pub(super) fn has(&self, offset: Offset) -> bool {
        self.offsets.last() == Some(&offset)
    }

    /// Where they are, rising.
    pub(super) fn offsets(&self) -> &[Offset] {
        &self.offsets
    }

    /// Forgets those that recovery does not need any more, and returns those of them that have to
    /// be removed. `bases` are the offsets at which segments begin, rising.
    pub(super) fn unneeded(&mut self, bases: &[Offset]) -> Vec<Offset> {
        let all = std::mem::take(&mut self.offsets);
        let is_base = |offset: &Offset| bases.binary_search(offset).is_ok();
        // Those at bases belong to their segments now.
        let (_, mut loose): (Vec<Offset>, Vec<Offset>) = all.into_iter().partition(is_base);
        let recorded = |offsets: &[Offset]| offsets.partition_point(|at| *at <= self.recorded);
        let base = recorded(bases).checked_sub(1).map(|nth| bases[nth]);
        let newest = recorded(&loose).checked_sub(1).map(|nth| loose[nth]);
        // The newest one that is not above the recovery point, whichever kind it is.
        let least = base.max(newest).unwrap_or_default();
        let mut kept = loose.split_off(loose.partition_point(|at| *at < least));
        while kept.len() > LOOSE_MAX {
            loose.push(kept.remove(kept.len() - 2));
        }
        self.offsets = kept;
        loose
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(offsets: &[i64]) -> Vec<Offset> {
        offsets.iter().copied().map(Offset::new).collect()
    }

    fn loose(at: &[i64], recorded: i64) -> Loose {
        let mut loose = Loose::default();
        for offset in offsets(at) {
            loose.made(offset);
        }
        loose.recorded(Offset::new(recorded));
        loose
    }

    #[track_caller]
    fn check(at: &[i64], recorded: i64, bases: &[i64], removed: &[i64], kept: &[i64]) {
        let mut loose = loose(at, recorded);
        assert_eq!(loose.unneeded(&offsets(bases)), offsets(removed));
        assert_eq!(loose.offsets, offsets(kept));
        assert_eq!(
            loose.unneeded(&offsets(bases)),
            [],
            "nothing is removed twice"
        );
    }

    #[test]
    fn what_recovery_would_take_stays_and_all_that_is_newer() {
        check(&[5, 7, 9], 0, &[0], &[], &[5, 7, 9]);
        check(&[5, 7, 9], 6, &[0], &[], &[5, 7, 9]);
        check(&[5, 7, 9], 7, &[0], &[5], &[7, 9]);
        check(&[5, 7, 9], 20, &[0], &[5, 7], &[9]);
        check(&[], 20, &[0], &[], &[]);
    }

    #[test]
    fn a_segment_that_begins_there_has_one_as_well() {
        check(&[5, 7, 9], 8, &[0, 8], &[5, 7], &[9]);
        check(&[5, 7, 9], 7, &[0, 8], &[5], &[7, 9]);
        check(&[5, 7, 9], 7, &[0, 7], &[5], &[9]);
        check(&[5, 7, 9], 6, &[0, 9], &[], &[5, 7]);
    }

    #[test]
    fn there_are_never_too_many() {
        let mut loose = Loose::default();
        let mut removed = 0;
        for at in 1..=200 {
            loose.made(Offset::new(at));
            removed += loose.unneeded(&offsets(&[0])).len();
        }
        assert_eq!((loose.offsets.len(), removed), (LOOSE_MAX, 200 - LOOSE_MAX));
        let ends = [loose.offsets.first(), loose.offsets.last()];
        assert_eq!(ends, [Some(&Offset::new(1)), Some(&Offset::new(200))]);
    }
}
