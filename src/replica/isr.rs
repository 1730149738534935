//! Who is in sync: when to propose somebody, and when to propose to do without.

use std::collections::BTreeMap;
use std::time::Duration;

use super::progress::{Fetched, Follower, Followers};
use crate::model::{BrokerEpoch, BrokerId, Instant, Offset};

/// Replicas in sync, as the controller has them and as we have asked it to have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isr {
    /// What the metadata or an answer has said.
    pub committed: Vec<BrokerId>,
    /// What was proposed and not answered yet.
    pub proposed: Option<Vec<BrokerId>>,
}

impl Isr {
    /// Everybody who may be in sync, whatever becomes of a proposal.
    pub fn maximal(&self) -> impl Iterator<Item = BrokerId> {
        let added = self.proposed.iter().flatten();
        let added = added.filter(|id| !self.committed.contains(id));
        self.committed.iter().chain(added).copied()
    }
}

/// Brokers that may be in sync by the metadata: registered, unfenced, not on their way out; each
/// with the epoch of its life.
pub type Eligible = BTreeMap<BrokerId, BrokerEpoch>;

/// Replicas in sync to propose, each in which life.
pub type Proposal = Vec<(BrokerId, BrokerEpoch)>;

/// Who is to be in sync besides, now that `fetched` has arrived and has been taken into
/// `followers`. Only the fetch of the one who is proposed can bring that about: one who was far
/// enough once, and is dead, would be proposed again and again.
///
/// A follower is far enough that has reached the high watermark, and the beginning of this
/// leader's epoch.
#[must_use]
pub fn expansion(
    isr: &Isr,
    replicas: &[BrokerId],
    eligible: &Eligible,
    fetched: &Fetched,
    high_watermark: Offset,
    epoch_start: Offset,
) -> Option<Proposal> {
    let who = fetched.follower;
    let life = *eligible.get(&who)?;
    let is_same_life = fetched.epoch == BrokerEpoch::NONE || fetched.epoch == life;
    let is_far_enough = fetched.offset >= high_watermark && fetched.offset >= epoch_start;
    let is_news = isr.proposed.is_none() && !isr.committed.contains(&who);
    if !(is_same_life && is_far_enough && is_news && replicas.contains(&who)) {
        return None;
    }
    let mut wanted = isr.committed.clone();
    wanted.push(who);
    with_lives(&wanted, eligible)
}

/// Who is to be in sync, if somebody has not had everything for longer than `lag_max`. `us` is
/// the leader, who always is.
///
/// Nothing is proposed that would leave us alone, or fewer than `at_least`: nobody waits for our
/// acknowledgements, so that a high watermark that stands still costs nothing, while records that
/// only we have are lost with us.
#[must_use]
pub fn shrinkage(
    us: BrokerId,
    isr: &Isr,
    followers: &Followers,
    eligible: &Eligible,
    now: Instant,
    lag_max: Duration,
    at_least: usize,
) -> Option<Proposal> {
    if isr.proposed.is_some() {
        return None;
    }
    let lags = |follower: &Follower| now.since(follower.caught_up_at) > lag_max;
    let stays = |id: &BrokerId| *id == us || !followers.get(*id).is_none_or(lags);
    let wanted: Vec<BrokerId> = isr.committed.iter().copied().filter(stays).collect();
    let is_smaller = wanted.len() < isr.committed.len();
    if !is_smaller || wanted.len() < at_least.max(2) {
        return None;
    }
    with_lives(&wanted, eligible)
}

/// `None` where one of them may not be in sync: the controller would refuse it, and is about to
/// say so in the metadata.
fn with_lives(wanted: &[BrokerId], eligible: &Eligible) -> Option<Proposal> {
    let each = wanted.iter().map(|id| Some((*id, *eligible.get(id)?)));
    each.collect()
}
