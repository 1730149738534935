//! Chores carried out at the destination, and what comes of them.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use crate::io::{Clock, World};
use crate::mirror::PartitionKey;
use crate::model::{BrokerId, TopicPartition};
use crate::session::{BrokerAddress, Client, Opening, Refusal};

use super::Node;
use super::chores::{Kind, Outcome, Result};
use super::event::Event;
use super::member::Membership;

/// After so long it is looked again at what may come about at any moment.
pub(super) const SOON: Duration = Duration::from_millis(30);
/// As many partitions as a broker answers for in next to no time. Of more it is asked less often:
/// each answer keeps it from what is waited for.
const FEW: usize = 250;
/// However many there are, no more than so many times less often.
const SELDOM: usize = 8;
/// What has not come about in so long is looked at as seldom as anything else.
const SOON_MAX: Duration = Duration::from_secs(5);

impl<W: World> Node<W> {
    /// Everything that is due at the destination.
    pub(super) async fn ask_destination(&mut self) {
        let now = self.world.clock().now();
        while let Some((kind, keys)) = self.chores.next(now) {
            match kind {
                Kind::Create => self.create_missing(keys),
                Kind::Elect | Kind::Yield => self.elect(kind, keys),
                Kind::Fence | Kind::Unfence => self.fence(kind, keys),
                Kind::HandOver => self.hand_over(keys),
                Kind::Verify => self.verify(keys),
                Kind::Restore => self.restore(keys),
                Kind::AskCounterpart => self.ask_counterparts(keys),
                Kind::Join => self.join(keys),
            }
        }
        self.push_producer_ids();
        self.look_for_low_ids();
        if self.strangers_deadline().is_some_and(|at| at <= now) {
            self.evacuate().await;
        }
    }

    /// A chore has come out.
    pub(super) fn chore_ended(&mut self, outcome: Outcome) {
        let now = self.world.clock().now();
        let (kind, results) = match outcome {
            Outcome::Chore(kind, results) => (kind, results),
            Outcome::Passed(passed) => return self.ids_passed(passed),
            Outcome::Running(running) => return self.producers_seen(running),
            Outcome::Counterpart(found) => return self.counterparts_told(found),
            Outcome::Evacuated(refused) => return self.evacuated(&refused),
        };
        let is_any_use =
            |(_, result): &(PartitionKey, Result)| matches!(result, Result::Done | Result::Soon(_));
        let is_any_use = results.iter().any(is_any_use);
        self.chores.ended(now, kind, is_any_use);
        let is_soon = |(_, result): &&(PartitionKey, Result)| matches!(result, Result::Soon(_));
        let soon = soon_again(results.iter().filter(is_soon).count());
        for (key, result) in results {
            self.chore_done(kind, &key, result, soon);
        }
    }

    fn chore_done(&mut self, kind: Kind, key: &PartitionKey, result: Result, soon: Duration) {
        let Some(one) = self.partitions.get_mut(key) else {
            return;
        };
        one.is_busy = false;
        let now = self.world.clock().now();
        let is_soon = matches!(result, Result::Soon(_));
        let soon_since = is_soon.then(|| one.soon_since.unwrap_or(now));
        one.soon_since = soon_since;
        self.touched.insert(key.clone());
        match result {
            Result::Done => {
                one.trouble = None;
                match kind {
                    Kind::Unfence => (one.is_unfenced, one.is_fenced) = (true, false),
                    Kind::Verify => self.verified(key),
                    Kind::Restore => one.is_restored = true,
                    Kind::Fence => (one.is_unfenced, one.is_fenced) = (false, true),
                    Kind::Create | Kind::Elect | Kind::Yield | Kind::HandOver | Kind::Join => {
                        self.rest_until_told(key);
                    }
                    // It is on record then.
                    Kind::AskCounterpart => {}
                }
            }
            Result::Again(why) => {
                one.trouble = Some(why);
                self.rest(key);
            }
            Result::Soon(why) => {
                one.trouble = Some(why);
                match soon_since.is_some_and(|since| now.since(since) < SOON_MAX) {
                    true => self.rest_for(key, soon),
                    false => self.rest(key),
                }
            }
            Result::Refused(why) => self.fails(key, why, true),
            Result::Never(why) => self.fails(key, why, false),
        }
    }
}

impl<W: World> Node<W> {
    /// The metadata log will say that what was asked for is so, unless it has.
    fn rest_until_told(&mut self, key: &PartitionKey) {
        let Some((one, membership)) = self.partitions.get(key).zip(self.membership.as_ref()) else {
            return;
        };
        if one.asked_as == Some(membership.part(&one.id)) {
            self.rest(key);
        }
    }

    /// A new leader has all that we had.
    fn verified(&mut self, key: &PartitionKey) {
        let Some((one, membership)) = self.partitions.get_mut(key).zip(self.membership.as_ref())
        else {
            return;
        };
        one.is_verified = true;
        if let Some((_, partition)) = membership.partition(&one.id) {
            one.report.new_leader = partition.leader.map(|leader| leader.0);
            one.report.leader_epoch = Some(partition.leader_epoch.value());
        }
    }

    /// Partitions of a chore by name, for the answers that go by it.
    pub(super) fn named(&self, keys: Vec<PartitionKey>) -> Vec<(TopicPartition, PartitionKey)> {
        let named = keys.into_iter().filter_map(|key| {
            let one = self.partitions.get(&key)?;
            Some((one.id.clone(), key))
        });
        named.collect()
    }

    /// Has a chore done by the active controller. Where none is known it comes out as undone.
    pub(super) fn by_controller<F: Future<Output = Done> + 'static>(
        &self,
        kind: Kind,
        named: Vec<(TopicPartition, PartitionKey)>,
        errand: impl FnOnce(Client<W>, Vec<TopicPartition>) -> F + 'static,
    ) {
        let membership = self.membership.as_ref();
        let controller = membership.and_then(|membership| membership.controller.clone());
        self.errand(move |world, opening| async move {
            let ids = named.iter().map(|(id, _)| id.clone()).collect();
            let done = match connect(&world, controller, opening).await {
                Ok(client) => errand(client, ids).await,
                Err(why) => Done::Nothing(why),
            };
            let results = named.into_iter().map(|(id, key)| {
                let result = match &done {
                    Done::Nothing(why) => Result::Again(why.clone()),
                    Done::But(refused) => refused.get(&id).cloned().unwrap_or(Result::Done),
                };
                (key, result)
            });
            Event::Chore(Outcome::Chore(kind, results.collect()))
        });
    }

    /// We are first among the replicas of what we lead, so that the preferred leader is us. Where
    /// others have changed that, we are put first again; to yield, a stock broker in sync is.
    fn elect(&mut self, kind: Kind, keys: Vec<PartitionKey>) {
        let named = self.named(keys);
        let heirs = named.iter().filter_map(|(id, _)| {
            let membership = self.membership.as_ref()?;
            let heir = match kind {
                Kind::Yield => membership.heir(id)?,
                _ => membership.us,
            };
            Some((id.clone(), heir))
        });
        let heirs: BTreeMap<TopicPartition, BrokerId> = heirs.collect();
        let order = heirs.iter().filter_map(|(id, heir)| {
            let all = self.put_first(id, *heir)?;
            Some((id.clone(), all))
        });
        let order: Vec<(TopicPartition, Vec<BrokerId>)> = order.collect();
        let membership = self.membership.as_ref().filter(|_| kind == Kind::Elect);
        let dwelling = membership.and_then(Membership::dwelling);
        self.by_controller(kind, named, |mut client, ids| async move {
            let (ids, without): (Vec<_>, Vec<_>) =
                ids.into_iter().partition(|id| heirs.contains_key(id));
            let nobody = || Result::Again("no stock broker is in sync".to_owned());
            let mut refused = without.into_iter().map(|id| (id, nobody())).collect();
            if ids.is_empty() {
                return Done::But(refused);
            }
            let first = order.iter().map(|(id, all)| (id, Some(all.clone())));
            let unmoved = match order.is_empty() {
                true => BTreeMap::new(),
                false => match client.reassign(first).await {
                    Ok(refused) => again(refused),
                    Err(fault) => return Done::Nothing(fault.to_string()),
                },
            };
            match client.elect_preferred(&ids).await {
                Ok(unelected) => {
                    if let Some(dwelling) = dwelling {
                        dwelling.tell(&mut client, &unelected).await;
                    }
                    refused.extend(again(unelected));
                    refused.extend(unmoved);
                    Done::But(refused)
                }
                Err(fault) => Done::Nothing(fault.to_string()),
            }
        });
    }

    /// The replicas of a partition in the order in which one of them is to be elected, where that
    /// is not their order.
    fn put_first(&self, id: &TopicPartition, first: BrokerId) -> Option<Vec<BrokerId>> {
        let membership = self.membership.as_ref()?;
        let (_, partition) = membership.partition(id)?;
        let is_moving = !partition.adding.is_empty() || !partition.removing.is_empty();
        if is_moving || partition.replicas.first() == Some(&first) {
            return None;
        }
        let others = partition.replicas.iter().copied();
        let others = others.filter(|one| *one != first);
        // The controller takes no list that names somebody who is not registered.
        let is_known = |one: &BrokerId| membership.image().brokers.get(*one).is_some();
        let (others, gone): (Vec<_>, Vec<_>) = others.partition(is_known);
        if !gone.is_empty() {
            let gone: Vec<i32> = gone.iter().map(|one| one.0).collect();
            tracing::warn!(
                "{id} loses its replicas on {gone:?}, who are not registered any more: broker \
                 {first} has to be put first; reassign the partition to give it others"
            );
        }
        Some([first].into_iter().chain(others).collect())
    }
}

/// When it is looked again at so many partitions that were not there yet.
fn soon_again(partitions: usize) -> Duration {
    let times = (partitions / FEW).clamp(1, SELDOM);
    SOON * u32::try_from(times).expect("a few")
}

/// What came of a request for many partitions.
pub(super) enum Done {
    /// Nothing, for this reason.
    Nothing(String),
    /// All but these.
    But(BTreeMap<TopicPartition, Result>),
}

pub(super) fn again(
    refused: BTreeMap<TopicPartition, Refusal>,
) -> BTreeMap<TopicPartition, Result> {
    let again = |(id, refusal): (TopicPartition, Refusal)| (id, Result::Again(refusal.to_string()));
    refused.into_iter().map(again).collect()
}

pub(super) async fn connect<W: World>(
    world: &W,
    controller: Option<BrokerAddress>,
    opening: Opening,
) -> std::result::Result<Client<W>, String> {
    let controller = controller.ok_or("no controller of the destination is known")?;
    let client = Client::connect(world, &controller, opening).await;
    client.map_err(|fault| fault.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_partitions_are_looked_at_less_often_than_few() {
        for (partitions, times) in [(0, 1), (1, 1), (499, 1), (500, 2), (2_000, 8), (90_000, 8)] {
            assert_eq!(soon_again(partitions), SOON * times, "{partitions}");
        }
    }
}
