//! Raises leader epochs in the adopting cluster, while the adopting broker is stopped.
//!
//! A controller raises a partition's epoch whenever a replica is taken from it. So another broker
//! is named as a further replica and taken back, once per epoch. Nobody leads the partition
//! meanwhile, so that broker finds nothing to copy; all that it does is to make an empty directory
//! and to delete it again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use super::notes::{Notes, NotesFault};
use super::progress::Progress;
use crate::io::{Clock, World};
use crate::model::{BrokerId, LeaderEpoch, TopicName, TopicPartition};
use crate::protocol::ErrorCode;
use crate::session::{
    BrokerAddress, Client, ClusterView, Opening, Refusal, Refusals, SessionFault,
};

/// Partitions that are raised together: a broker that makes so many directories at once still
/// hears soon of whatever else happens in its cluster.
const PARTITIONS_MAX: usize = 100;
/// Directories that a broker may be made to make at once, and then per second: each stays for a
/// minute (`file.delete.delay.ms`) with two maps of the 65,530 that a process may have.
const DIRECTORIES_MAX: f64 = 10_000.0;
const DIRECTORIES_PER_SECOND: f64 = 150.0;
/// How long between two looks at what a broker has heard of.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Without it, a partition of which no replica is in sync gets none back.
const UNCLEAN: &str = "unclean.leader.election.enable";

/// A partition whose leader epoch is too low.
#[derive(Debug)]
pub(super) struct Low {
    pub(super) id: TopicPartition,
    /// Its epoch in the adopting cluster.
    pub(super) epoch: LeaderEpoch,
    /// The least that it needs: its log's last.
    pub(super) wanted: LeaderEpoch,
    /// An earlier attempt was cut off: the further replica is still named.
    pub(super) is_cut_off: bool,
    /// No replica counts as in sync: eligible ones are kept apart (KIP-966).
    pub(super) is_without_isr: bool,
}

impl fmt::Display for Low {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Low {
            id, epoch, wanted, ..
        } = self;
        write!(
            f,
            "{id}: its leader epoch there was {epoch}, the log's last is {wanted}"
        )
    }
}

impl Low {
    /// By how much it is to be raised.
    fn steps(&self) -> u32 {
        let steps = self.wanted.value().saturating_sub(self.epoch.value());
        u32::try_from(steps).unwrap_or(0)
    }

    /// What a broker still shows where it has not heard of so many steps.
    fn lateness(&self, view: &ClusterView, done: u32) -> Option<String> {
        let Some((_, seen)) = view.find(&self.id) else {
            return Some(format!("{}: it shows no such partition", self.id));
        };
        let least = i64::from(self.epoch.value()) + i64::from(done);
        if i64::from(seen.epoch.value()) >= least && seen.replicas.len() == 1 {
            return None;
        }
        let (count, epoch) = (seen.replicas.len(), seen.epoch);
        Some(format!("{self}; it shows {epoch}, and {count} replicas"))
    }
}

/// Why the epochs are not high enough yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum RaiseFault {
    #[error("{0}; leader epochs may be raised in part: run adopt again, it goes on from there")]
    Session(#[from] SessionFault),
    #[error("{at} knows of no other broker that runs: start another one, then run adopt again")]
    Alone { at: BrokerAddress },
    #[error(
        "the adopting cluster does not raise leader epochs: remove the cause, then run adopt \
         again:\n{}", .0.join("\n")
    )]
    Refused(Vec<String>),
    #[error(
        "{UNCLEAN} was true for a moment and could not be set back: run adopt again, which does so \
         first, or do it with kafka-configs:\n{}", .0.join("\n")
    )]
    StaysUnclean(Vec<String>),
    #[error("{0}")]
    Notes(#[from] NotesFault),
    #[error(
        "{at} has not heard of raised leader epochs within {waited:?}: see whether the \
         controller is well, then run adopt again:\n{}", .late.join("\n")
    )]
    Unheard {
        at: BrokerAddress,
        waited: Duration,
        late: Vec<String>,
    },
}

/// The brokers of the adopting cluster.
pub(super) struct Brokers<'a> {
    /// Whom to ask.
    pub(super) at: &'a BrokerAddress,
    /// The stopped one, which adopts.
    pub(super) adopting: BrokerId,
    /// The others, which run.
    pub(super) others: Vec<BrokerId>,
}

/// Sets back what an earlier run had to change when it was killed.
///
/// # Errors
/// What stays as it must not.
pub(super) async fn set_back<W: World>(
    world: &W,
    opening: Opening,
    at: &BrokerAddress,
    notes: &mut Notes,
) -> Result<(), RaiseFault> {
    if notes.held().is_empty() {
        return Ok(());
    }
    let values = notes.held().iter();
    let values = values.map(|(topic, value)| (topic, value.as_deref()));
    let mut client = Client::connect(world, at, opening).await?;
    let mut refused = client.set(UNCLEAN, values).await?;
    // Where there is no such topic any more, it has nothing set.
    refused.retain(|_, why| why.code != ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    if !refused.is_empty() {
        return Err(RaiseFault::StaysUnclean(not_set(&refused)));
    }
    let all: Vec<TopicName> = notes.held().keys().cloned().collect();
    Ok(notes.forget(&all)?)
}

/// Raises all epochs to those wanted; the broker that is asked has heard of it then.
///
/// # Errors
/// Which partitions stay too low, and why.
pub(super) async fn raise<W: World>(
    world: &W,
    opening: Opening,
    brokers: Brokers<'_>,
    low: &[Low],
    notes: &mut Notes,
    quiet: bool,
) -> Result<(), RaiseFault> {
    if brokers.others.is_empty() {
        let at = brokers.at.clone();
        return Err(RaiseFault::Alone { at });
    }
    let steps = low.iter().map(|low| u64::from(low.steps())).sum();
    let mut raiser = Raiser {
        world,
        opening,
        client: Client::connect(world, brokers.at, opening).await?,
        brokers,
        own: notes.known().clone(),
        notes,
        made: 0,
        begun: Instant::now(),
        progress: Progress::begin(low.len(), steps, quiet),
    };
    for low in low.chunks(PARTITIONS_MAX) {
        raiser.raise(&low.iter().collect::<Vec<_>>()).await?;
    }
    Ok(())
}

/// One setting as topics have it of their own, if they have.
pub(super) type Settings = BTreeMap<TopicName, Option<String>>;

struct Raiser<'a, W: World> {
    world: &'a W,
    opening: Opening,
    client: Client<W>,
    brokers: Brokers<'a>,
    /// What topics had before we changed it; read but once, as a broker may tell our own change.
    own: Settings,
    notes: &'a mut Notes,
    /// Directories that the other brokers were made to make.
    made: usize,
    begun: Instant,
    progress: Progress,
}

impl<W: World> Raiser<'_, W> {
    /// One request's worth of partitions.
    async fn raise(&mut self, low: &[&Low]) -> Result<(), RaiseFault> {
        let bare = low.iter().filter(|low| low.is_without_isr);
        let before = self.allow_unclean(bare.copied()).await?;
        let outcome = self.first(low).await;
        self.set_back(before).await?;
        outcome?;
        let steps = low.iter().map(|low| low.steps()).max().unwrap_or(0);
        for done in 1..steps {
            self.step(low, done).await?;
        }
        Ok(())
    }

    /// The first step, after whatever an earlier attempt left is taken back.
    async fn first(&mut self, low: &[&Low]) -> Result<(), RaiseFault> {
        let cut_off = low.iter().filter(|low| low.is_cut_off);
        let cut_off: Vec<&Low> = cut_off.copied().collect();
        if cut_off.is_empty() {
            return self.step(low, 0).await;
        }
        let mut refused = self.take_back(&cut_off).await?;
        // It may have been taken back already; a replica that is there to stay is seen below.
        refused.retain(|_, why| why.code != ErrorCode::NO_REASSIGNMENT_IN_PROGRESS);
        none_refused(low, &refused)?;
        self.await_heard(&cut_off, 0).await?;
        self.step(low, 0).await
    }

    /// Raises by one each epoch that is not high enough after as many steps as are done. Waits for
    /// the broker to hear of it: controllers are faster, and would leave it behind more and more.
    async fn step(&mut self, low: &[&Low], done: u32) -> Result<(), RaiseFault> {
        let low = low.iter().filter(|low| low.steps() > done);
        let low: Vec<&Low> = low.copied().collect();
        if low.is_empty() {
            return Ok(());
        }
        let mut refused = self.name_further(&low).await?;
        let named = low.iter().filter(|low| !refused.contains_key(&low.id));
        refused.extend(self.take_back(&named.copied().collect::<Vec<_>>()).await?);
        none_refused(&low, &refused)?;
        self.await_heard(&low, done + 1).await?;
        self.made += low.len();
        self.progress.advance(low.len());
        self.pause().await;
        Ok(())
    }

    async fn name_further(
        &mut self,
        low: &[&Low],
    ) -> Result<Refusals<TopicPartition>, SessionFault> {
        let adopting = self.brokers.adopting;
        let others = self.brokers.others.iter().cycle();
        let named = low.iter().zip(others);
        let named = named.map(|(low, other)| (&low.id, Some(vec![adopting, *other])));
        self.client.reassign(named).await
    }

    /// Where a controller forgets what was in sync, as it does once more when the session of the
    /// stopped broker ends, it refuses the first time.
    async fn take_back(&mut self, low: &[&Low]) -> Result<Refusals<TopicPartition>, RaiseFault> {
        let all = low.iter().map(|low| (&low.id, None));
        let mut refused = self.client.reassign(all).await?;
        let is_bare = |why: &Refusal| why.code == ErrorCode::INVALID_REPLICA_ASSIGNMENT;
        let bare = low.iter().copied();
        let bare = bare.filter(|low| refused.get(&low.id).is_some_and(is_bare));
        let bare: Vec<&Low> = bare.collect();
        refused.retain(|_, why| !is_bare(why));
        let before = self.allow_unclean(bare.iter().copied()).await?;
        let all = bare.iter().map(|low| (&low.id, None));
        let again = self.client.reassign(all).await;
        self.set_back(before).await?;
        refused.extend(again?);
        Ok(refused)
    }

    /// Lets a replica be taken back where none is in sync, and tells what the topics had set
    /// before. The stopped broker is the one in sync then, which the controller calls unclean.
    /// Here it is not: the logs are all empty.
    async fn allow_unclean(
        &mut self,
        low: impl Iterator<Item = &Low>,
    ) -> Result<Settings, RaiseFault> {
        let topics: BTreeSet<&TopicName> = low.map(|low| &low.id.topic).collect();
        if topics.is_empty() {
            return Ok(Settings::new());
        }
        let unknown = topics
            .iter()
            .filter(|topic| !self.own.contains_key(**topic));
        let unknown: Vec<TopicName> = unknown.map(|topic| (*topic).clone()).collect();
        let mut told = self.client.own_setting(unknown.iter(), UNCLEAN).await?;
        let read = unknown.into_iter().map(|topic| {
            let value = told.remove(&topic);
            (topic, value)
        });
        self.own.extend(read);
        let before = topics
            .iter()
            .filter_map(|topic| self.own.get_key_value(*topic));
        let before = before.map(|(topic, value)| (topic.clone(), value.clone()));
        let mut before: Settings = before.collect();
        self.notes.add(&before)?;
        let all = topics.iter().map(|topic| (*topic, Some("true")));
        let refused = self.client.set(UNCLEAN, all).await?;
        if refused.is_empty() {
            return Ok(before);
        }
        self.notes.forget(refused.keys())?;
        before.retain(|topic, _| !refused.contains_key(topic));
        self.set_back(before).await?;
        Err(RaiseFault::Refused(not_set(&refused)))
    }

    /// Over a connection of its own: the other one may be what has failed.
    async fn set_back(&mut self, before: Settings) -> Result<(), RaiseFault> {
        if before.is_empty() {
            return Ok(());
        }
        let values = before
            .iter()
            .map(|(topic, value)| (topic, value.as_deref()));
        let set = async {
            let mut client = Client::connect(self.world, self.brokers.at, self.opening).await?;
            client.set(UNCLEAN, values).await
        };
        let why = match set.await {
            Ok(refused) if refused.is_empty() => return Ok(self.notes.forget(before.keys())?),
            Ok(refused) => not_set(&refused),
            Err(fault) => before
                .keys()
                .map(|topic| format!("{topic}: {fault}"))
                .collect(),
        };
        Err(RaiseFault::StaysUnclean(why))
    }

    /// Waits for as long as the other brokers have enough to delete.
    async fn pause(&self) {
        let early = due(self.made, self.brokers.others.len());
        let early = early.saturating_sub(self.begun.elapsed());
        let clock = self.world.clock();
        clock.sleep_until(clock.now().after(early)).await;
    }

    /// Waits until the broker that we ask shows what so many steps come to.
    async fn await_heard(&mut self, low: &[&Low], done: u32) -> Result<(), RaiseFault> {
        let topics: BTreeSet<&TopicName> = low.iter().map(|low| &low.id.topic).collect();
        let topics: Vec<TopicName> = topics.into_iter().cloned().collect();
        let begun = Instant::now();
        loop {
            let view = self.client.cluster(Some(&topics)).await?;
            let late = low.iter().filter_map(|low| low.lateness(&view, done));
            let late: Vec<String> = late.collect();
            if late.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > self.opening.timeout {
                return Err(RaiseFault::Unheard {
                    at: self.brokers.at.clone(),
                    waited: self.opening.timeout,
                    late,
                });
            }
            let clock = self.world.clock();
            clock.sleep_until(clock.now().after(LOOK_INTERVAL)).await;
        }
    }
}

/// How long after the beginning `brokers` may have been made to make so many directories.
fn due(made: usize, brokers: usize) -> Duration {
    let each = made as f64 / brokers as f64;
    Duration::from_secs_f64((each - DIRECTORIES_MAX).max(0.0) / DIRECTORIES_PER_SECOND)
}

fn none_refused(low: &[&Low], refused: &Refusals<TopicPartition>) -> Result<(), RaiseFault> {
    let why = |low: &&Low| {
        let why = refused.get(&low.id)?;
        Some(format!("{low}; a further replica is refused: {why}"))
    };
    let lines: Vec<String> = low.iter().filter_map(why).collect();
    match lines.is_empty() {
        true => Ok(()),
        false => Err(RaiseFault::Refused(lines)),
    }
}

fn not_set(refused: &Refusals<TopicName>) -> Vec<String> {
    let line = |(topic, why): (&TopicName, &Refusal)| format!("{topic}: {UNCLEAN}: {why}");
    refused.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_gets_no_more_directories_than_it_can_map() {
        assert_eq!(due(10_000, 1), Duration::ZERO);
        assert_eq!(due(23_000, 2), Duration::from_secs(10));
        // Two maps each, for all that a minute may leave behind.
        let kept = DIRECTORIES_MAX.max(60.0 * DIRECTORIES_PER_SECOND);
        assert!(2.0 * kept < 65_530.0 / 2.0);
    }
}
