//! Partitions handed over to stock brokers, and compared with what their new leaders have.

use std::collections::BTreeMap;

use crate::control::destination::succession::{self, Left, LeftEnd, Verdict};
use crate::io::{Clock, World};
use crate::mirror::{HandOver, PartitionKey, Record};
use crate::model::{BrokerId, LeaderEpoch, TopicPartition};
use crate::session::{BrokerAddress, Opening, PartitionAsked};
use crate::shard::inbox::Endpoint;

use super::Node;
use super::asks::{Done, SOON, again};
use super::chores::{Kind, Outcome, Result};
use super::event::Event;
use super::mirrored::Heirs;

impl<W: World> Node<W> {
    /// What a partition would be handed over with now, once its log is sealed.
    fn hand_over_now(&self, key: &PartitionKey) -> Option<HandOver> {
        let one = self.partitions.get(key)?;
        Some(HandOver {
            topic: one.led?.topic_id,
            position: self.state().positions().get(key)?.offset?,
            end: one.sealed_end?,
            leader_epoch: one.led?.epoch,
            late: self.heirs(key)?.late,
        })
    }

    pub(super) fn is_noted(&self, key: &PartitionKey) -> bool {
        let now = self.hand_over_now(key);
        now.is_some_and(|now| self.state().hand_over(key) == Some(&now))
    }

    /// What is handed over is compared by whoever runs then: it may be another process.
    pub(super) fn note_hand_over(&mut self, key: &PartitionKey) -> bool {
        match self.hand_over_now(key) {
            Some(now) => self.note(key, Record::HandOver(key.clone(), Some(now))),
            None => false,
        }
    }

    fn heirs(&self, key: &PartitionKey) -> Option<Heirs> {
        let membership = self.membership.as_ref()?;
        let one = self.partitions.get(key)?;
        let (_, partition) = membership.partition(&one.id)?;
        Some(one.heirs(membership.us, &partition.replicas, &partition.isr))
    }

    pub(super) fn hand_over(&mut self, keys: Vec<PartitionKey>) {
        let named = self.named(keys);
        // Who is in sync may have changed since that was put on record: first it is, again.
        let is_stale = |key: &PartitionKey| {
            let one = self.partitions.get(key);
            one.is_some_and(|one| one.home().is_some()) && !self.is_noted(key)
        };
        let (stale, named): (Vec<_>, Vec<_>) =
            named.into_iter().partition(|(_, key)| is_stale(key));
        for (_, key) in stale {
            let one = self.partitions.get_mut(&key).expect("just named");
            one.is_busy = false;
            self.rest_for(&key, SOON);
        }
        if named.is_empty() {
            let now = self.world.clock().now();
            return self.chores.ended(now, Kind::HandOver, true);
        }
        let keys: Vec<PartitionKey> = named.iter().map(|(_, key)| key.clone()).collect();
        self.pass_over_who_is_away(&keys);
        let heirs: BTreeMap<TopicPartition, Heirs> = named
            .iter()
            .filter_map(|(id, key)| {
                let heirs = self.heirs(key)?;
                (!heirs.in_sync.is_empty()).then(|| (id.clone(), heirs))
            })
            .collect();
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
    pub(super) fn restore(&mut self, keys: Vec<PartitionKey>) {
        let named = self.named(keys);
        let whole = named.iter().filter_map(|(id, key)| {
            let membership = self.membership.as_ref()?;
            let (_, partition) = membership.partition(id)?;
            let late = &self.state().hand_over(key)?.late;
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
    pub(super) fn verify(&mut self, keys: Vec<PartitionKey>) {
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
        // None where others have taken it away from us in the middle of a stop.
        let noted = self.state().hand_over(key);
        let left = Left {
            asked: PartitionAsked {
                id: one.id.clone(),
                leader_epoch: partition.leader_epoch,
            },
            end: noted.map_or(LeftEnd::NotBelow(position), |noted| LeftEnd::At(noted.end)),
            led_in: noted.map_or(LeaderEpoch::NONE, |noted| noted.leader_epoch),
        };
        Some((partition.leader?, left))
    }
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
