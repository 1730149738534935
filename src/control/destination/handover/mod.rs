//! The moment of a failover: partitions that are drained go to their stock replicas.
//!
//! The controller elects whoever is in sync, and does not look whether they have what we have: that
//! a partition is drained is the caller's word. Everything here may be done again from the start:
//! a partition that is handed over already is only looked at.

mod leaders;
mod round;
mod verdict;

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Brokers, DestinationFault, reassign};
use crate::io::{Clock, World};
use crate::model::{BrokerId, LeaderEpoch, Offset, TopicPartition};
use crate::protocol::ErrorCode;
use crate::session::{Client, Opening, Refusal};

use leaders::Leaders;
use round::Round;

/// How long and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long the brokers may take until all is seen to be right, in milliseconds.
    pub timeout_ms: u32,
    /// The wait between two looks, in milliseconds.
    pub look_interval_ms: u32,
    /// How long one of the new leaders may take for an answer, in milliseconds.
    pub request_timeout_ms: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            timeout_ms: 30_000,
            look_interval_ms: 20,
            request_timeout_ms: 5_000,
        }
    }
}

/// A partition that we lead, that nothing is appended to any more, and whose in-sync replicas all
/// have all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Which.
    pub id: TopicPartition,
    /// Who has it, the first preferred; we among them or not.
    pub replicas: Vec<BrokerId>,
    /// Who of them is in sync.
    pub in_sync: Vec<BrokerId>,
    /// Where our log ends.
    pub log_end: Offset,
    /// The epoch in which we led it.
    pub leader_epoch: LeaderEpoch,
}

impl Drained {
    /// Who has it afterwards, at first: whoever is not in sync would keep us in office until it is.
    fn target(&self, us: BrokerId, in_sync: &[BrokerId]) -> Vec<BrokerId> {
        let stock = self.replicas.iter().filter(|broker| **broker != us);
        stock
            .filter(|broker| in_sync.contains(broker))
            .copied()
            .collect()
    }
}

/// A partition that a stock broker leads, with all that we had and nothing of ours missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Led {
    /// Who leads it.
    pub leader: BrokerId,
    /// In which epoch.
    pub epoch: LeaderEpoch,
    /// Stock replicas that were not in sync: to be given back to it by [`restore`].
    pub left_out: Vec<BrokerId>,
}

/// Why a partition is not handed over, or is not known to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandoverFault {
    /// There is no one to hand it over to.
    #[error(
        "{0}: no stock replica is in sync: wait until one is, or see why none of its brokers \
         follows"
    )]
    NobodyInSync(TopicPartition),
    /// The controller does not do it.
    #[error("{id}: the destination refuses to give it other replicas: {why}")]
    Refused {
        /// Which.
        id: TopicPartition,
        /// Its words.
        why: Refusal,
    },
    /// We lead it still.
    #[error(
        "{id}: no stock broker has become its leader within {waited:?}: see whether the \
         controller is well, then do it again"
    )]
    NotLed {
        /// Which.
        id: TopicPartition,
        /// How long we waited.
        waited: Duration,
    },
    /// Its leader does not answer for it.
    #[error(
        "{id}: broker {leader} leads it and does not serve it within {waited:?} ({code}): see \
         whether its followers are well, then do it again"
    )]
    NotServed {
        /// Which.
        id: TopicPartition,
        /// Who leads it.
        leader: BrokerId,
        /// What it says.
        code: ErrorCode,
        /// How long we waited.
        waited: Duration,
    },
    /// Its leader has another log than ours.
    #[error(
        "{id}: our log ended at {ours}, and that of broker {leader}, which leads it now, had \
         {theirs} when it began: let no client write until it is known why"
    )]
    Differs {
        /// Which.
        id: TopicPartition,
        /// Who leads it.
        leader: BrokerId,
        /// Where our log ended.
        ours: Offset,
        /// Where its log ended when it became leader.
        theirs: Offset,
    },
}

/// What became of each partition.
pub type HandedOver = BTreeMap<TopicPartition, Result<Led, HandoverFault>>;

/// Hands partitions over and looks at each new leader: a stock broker in a later epoch, which had
/// exactly our log when it began, and serves it. `us` is off the replicas then. `admin` is any
/// stock broker; `hear` is told of each partition when it is known what became of it.
///
/// # Errors
/// The destination cannot be asked any more. Some may be handed over: do it again.
pub async fn hand_over<W: World>(
    world: &W,
    opening: Opening,
    admin: &mut Client<W>,
    (us, brokers): (BrokerId, &Brokers),
    (drained, options): (&[Drained], Options),
    hear: &mut dyn FnMut(&TopicPartition, &Result<Led, HandoverFault>),
) -> Result<HandedOver, DestinationFault> {
    let clock = world.clock();
    let mut round = Round::new(us, drained, clock.now(), options);
    let mut told = 0;
    round.refuse(reassign(admin, &round.first_moves()).await?);
    let to_leaders = Opening {
        timeout: opening.timeout.min(millis(options.request_timeout_ms)),
        ..opening
    };
    let mut leaders = Leaders::new(world, to_leaders, brokers);
    round.tell(&mut told, hear);
    while !round.waiting.is_empty() {
        let view = admin.cluster(Some(&round.topics())).await?;
        let again = round.look(&view);
        round.refuse(reassign(admin, &again).await?);
        leaders.ask(round.questions());
        let next = clock.now().after(millis(options.look_interval_ms));
        while !round.waiting.is_empty() {
            tokio::select! {
                (leader, replies) = leaders.answer() => round.judge(leader, replies),
                () = clock.sleep_until(next) => break,
            }
        }
        if round.is_late(clock.now()) {
            round.give_up();
        }
        round.tell(&mut told, hear);
    }
    Ok(round.into_done())
}

fn millis(value: u32) -> Duration {
    Duration::from_millis(u64::from(value))
}

/// Gives partitions the stock replicas back that were not in sync when they were handed over.
///
/// # Errors
/// The destination cannot be asked.
pub async fn restore<W: World>(
    admin: &mut Client<W>,
    us: BrokerId,
    drained: &[Drained],
    handed_over: &HandedOver,
) -> Result<BTreeMap<TopicPartition, Refusal>, DestinationFault> {
    let is_short = |id| matches!(handed_over.get(id), Some(Ok(led)) if !led.left_out.is_empty());
    let short = drained.iter().filter(|drained| is_short(&drained.id));
    let whole = short.map(|drained| {
        let stock = drained.replicas.iter().filter(|broker| **broker != us);
        (drained.id.clone(), stock.copied().collect())
    });
    reassign(admin, &whole.collect::<Vec<_>>()).await
}

#[cfg(test)]
mod tests;
