//! Up to where all who count have a partition's records, and whether that is everything.

use super::isr::Isr;
use super::progress::Followers;
use crate::model::{BrokerId, Offset};

/// The high watermark that follows from what has been fetched: the least log end of all who may
/// be in sync, ours included. It never falls, and stands still while fewer than `min_isr` are in
/// sync by the controller's word: those who are eligible to be elected beside them (ELR) are so
/// only because nothing was committed without them.
#[must_use]
pub fn high_watermark(
    us: BrokerId,
    log_end: Offset,
    isr: &Isr,
    followers: &Followers,
    min_isr: usize,
    before: Offset,
) -> Offset {
    if isr.committed.len() < min_isr {
        return before;
    }
    let ends = isr.maximal().filter(|id| *id != us).map(|id| {
        let follower = followers.get(id);
        follower.map_or(Offset::ZERO, |follower| follower.log_end)
    });
    ends.chain([log_end]).min().unwrap_or(log_end).max(before)
}

/// Whether everybody who may be in sync has all that there is, by what each has fetched itself in
/// this leader's epoch. A topic that was just made has everybody in sync by the controller's word,
/// though nobody has a record yet: a controller that is told to hands over to such a replica.
#[must_use]
pub fn is_drained(
    us: BrokerId,
    log_end: Offset,
    isr: &Isr,
    followers: &Followers,
    high_watermark: Offset,
) -> bool {
    let has_all = |id| {
        let follower = followers.get(id);
        follower.is_some_and(|one| one.has_fetched && one.log_end == log_end)
    };
    high_watermark == log_end && isr.maximal().filter(|id| *id != us).all(has_all)
}
