//! Chores carried out at the destination, and what comes of them.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use crate::control::destination::succession::{self, Left, LeftEnd, Verdict};
use crate::io::{Clock, World};
use crate::mirror::PartitionKey;
use crate::model::{BrokerId, TopicPartition};
use crate::session::{BrokerAddress, Client, Opening, PartitionAsked, Refusal};
use crate::shard::inbox::Endpoint;

use super::Node;
use super::chores::{Kind, Outcome, Result};
use super::event::Event;
use super::mirrored::Heirs;

/// After so long it is looked again at what may come about at any moment.
const SOON: Duration = Duration::from_millis(30);

impl<W: World> Node<W> {
    /// Everything that is due at the destination.
    pub(super) async fn ask_destination(&mut self) {
        let now = self.world.clock().now();
        while let Some((kind, keys)) = self.chores.next(now) {
            match kind {
                Kind::Create => self.create_missing(keys),
                Kind::Elect => self.elect(keys),
                Kind::Fence | Kind::Unfence => self.fence(kind, keys),
                Kind::HandOver => self.hand_over(keys),
                Kind::Verify => self.verify(keys),
                Kind::Restore => self.restore(keys),
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
            Outcome::Evacuated(refused) => return self.evacuated(&refused),
        };
        let is_any_use =
            |(_, result): &(PartitionKey, Result)| matches!(result, Result::Done | Result::Soon(_));
        let is_any_use = results.iter().any(is_any_use);
        self.chores.ended(now, kind, is_any_use);
        for (key, result) in results {
            self.chore_done(kind, &key, result);
        }
    }

    fn chore_done(&mut self, kind: Kind, key: &PartitionKey, result: Result) {
        let Some(one) = self.partitions.get_mut(key) else {
            return;
        };
        one.is_busy = false;
        self.touched.insert(key.clone());
        match result {
            Result::Done => {
                one.trouble = None;
                match kind {
                    Kind::Unfence => (one.is_unfenced, one.is_fenced) = (true, false),
                    Kind::Verify => self.verified(key),
                    Kind::Restore => one.late.clear(),
                    Kind::Fence => one.is_fenced = true,
                    Kind::Create | Kind::Elect | Kind::HandOver => self.rest_until_told(key),
                }
            }
            Result::Again(why) => {
                one.trouble = Some(why);
                self.rest(key);
            }
            Result::Soon(why) => {
                one.trouble = Some(why);
                self.rest_for(key, SOON);
            }
            Result::Refused(why) => self.fails(key, why, true),
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

    /// We are first among the replicas of what we lead, so that the preferred leader is us.
    fn elect(&mut self, keys: Vec<PartitionKey>) {
        let named = self.named(keys);
        self.by_controller(Kind::Elect, named, |mut client, ids| async move {
            match client.elect_preferred(&ids).await {
                Ok(refused) => Done::But(again(refused)),
                Err(fault) => Done::Nothing(fault.to_string()),
            }
        });
    }

    fn hand_over(&mut self, keys: Vec<PartitionKey>) {
        let named = self.named(keys);
        let heirs: BTreeMap<TopicPartition, Heirs> = named
            .iter()
            .filter_map(|(id, key)| {
                let membership = self.membership.as_ref()?;
                let (_, partition) = membership.partition(id)?;
                let one = self.partitions.get(key)?;
                let heirs = one.heirs(membership.us, &partition.replicas, &partition.isr);
                (!heirs.in_sync.is_empty()).then(|| (id.clone(), heirs))
            })
            .collect();
        for (id, key) in &named {
            if let (Some(one), Some(heirs)) = (self.partitions.get_mut(key), heirs.get(id)) {
                one.late.clone_from(&heirs.late);
            }
        }
        self.by_controller(Kind::HandOver, named, |mut client, ids| async move {
            let given = heirs
                .iter()
                .map(|(id, heirs)| (id, Some(heirs.in_sync.clone())));
            let mut refused = match client.reassign(given).await {
                Ok(refused) => again(refused),
                Err(fault) => return Done::Nothing(fault.to_string()),
            };
            for id in &ids {
                if !heirs.contains_key(id) {
                    let why = "no stock broker is in sync: the partition waits for one";
                    refused.insert(id.clone(), Result::Again(why.to_owned()));
                }
            }
            Done::But(refused)
        });
    }

    /// Those that were late at the hand-over get their replica back: the new leader brings them to
    /// its end.
    fn restore(&mut self, keys: Vec<PartitionKey>) {
        let named = self.named(keys);
        let whole = named.iter().filter_map(|(id, key)| {
            let membership = self.membership.as_ref()?;
            let (_, partition) = membership.partition(id)?;
            let late = &self.partitions.get(key)?.late;
            let is_there = |id: &&BrokerId| membership.image().brokers.get(**id).is_some();
            let more = late.iter().filter(is_there);
            let more = more.filter(|id| !partition.replicas.contains(id));
            let all = partition.replicas.iter().chain(more).copied().collect();
            Some((id.clone(), all))
        });
        let whole: BTreeMap<TopicPartition, Vec<BrokerId>> = whole.collect();
        self.by_controller(Kind::Restore, named, |mut client, _| async move {
            let whole = whole.iter().map(|(id, all)| (id, Some(all.clone())));
            match client.reassign(whole).await {
                // All of it is handed over: what the controller refuses is its operators' matter.
                Ok(refused) => {
                    for (id, refusal) in refused {
                        tracing::warn!("{id} has fewer replicas than it had: {refusal}");
                    }
                    Done::But(BTreeMap::new())
                }
                Err(fault) => Done::Nothing(fault.to_string()),
            }
        });
    }

    /// Asks the new leaders for what they have taken over: exactly what we had, in a later epoch.
    fn verify(&mut self, keys: Vec<PartitionKey>) {
        let mut by_leader: BTreeMap<BrokerId, Vec<(PartitionKey, Left)>> = BTreeMap::new();
        let mut results = Vec::new();
        for key in keys {
            match self.left(&key) {
                Some((leader, left)) => by_leader.entry(leader).or_default().push((key, left)),
                None => {
                    let why = "nobody leads the partition at the destination";
                    results.push((key, Result::Again(why.to_owned())));
                }
            }
        }
        // One that does not answer holds up nobody but those that it leads.
        for (leader, left) in by_leader {
            let membership = self.membership.as_ref();
            let endpoint = membership.and_then(|member| member.endpoint(leader));
            self.errand(move |world, opening| async move {
                let results = compared(&world, opening, endpoint, left).await;
                Event::Chore(Outcome::Chore(Kind::Verify, results))
            });
        }
        if !results.is_empty() {
            self.errand(
                move |_, _| async move { Event::Chore(Outcome::Chore(Kind::Verify, results)) },
            );
        }
    }

    /// What we left to the leader of a partition.
    fn left(&self, key: &PartitionKey) -> Option<(BrokerId, Left)> {
        let one = self.partitions.get(key)?;
        let membership = self.membership.as_ref()?;
        let (_, partition) = membership.partition(&one.id)?;
        let position = self.state().positions().get(key)?.offset?;
        let left = Left {
            asked: PartitionAsked {
                id: one.id.clone(),
                leader_epoch: partition.leader_epoch,
            },
            end: one
                .sealed_end
                .map_or(LeftEnd::NotBelow(position), LeftEnd::At),
            led_in: one.led_in,
        };
        Some((partition.leader?, left))
    }
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

/// What a new leader says of each that it has taken over.
async fn compared<W: World>(
    world: &W,
    opening: Opening,
    leader: Option<Endpoint>,
    left: Vec<(PartitionKey, Left)>,
) -> Vec<(PartitionKey, Result)> {
    let (keys, left): (Vec<_>, Vec<_>) = left.into_iter().unzip();
    let verdicts = match leader.as_ref().map(BrokerAddress::from) {
        Some(leader) => succession::compare(world, opening, &leader, &left)
            .await
            .map_err(|fault| fault.to_string()),
        None => Err("the leader is not alive".to_owned()),
    };
    let results: Vec<Result> = match verdicts {
        Ok(verdicts) => verdicts.into_iter().map(result).collect(),
        Err(why) => keys.iter().map(|_| Result::Again(why.clone())).collect(),
    };
    keys.into_iter().zip(results).collect()
}

fn result(verdict: Verdict) -> Result {
    match verdict {
        Verdict::Same => Result::Done,
        Verdict::NotYet(why) => Result::Soon(why),
        Verdict::Unknown(why) => Result::Again(why),
        Verdict::Differs(why) => Result::Refused(why),
    }
}
