//! Partitions that are mirrored back onto the cluster that they had come from: where the two sides
//! part is asked for, and put on record before anything is touched.

use std::collections::BTreeMap;

use crate::control::destination::way_back::{Clusters, Found, Sought, seek};
use crate::io::World;
use crate::mirror::{self, MirrorSettings, PartitionKey, Record};
use crate::model::{BrokerId, Offset, TopicPartition};
use crate::session::{BrokerAddress, PartitionAsked};

use super::Node;
use super::asks::{Done, again};
use super::chores::{Kind, Outcome, Result};
use super::course::WayBack;
use super::event::Event;

impl<W: World> Node<W> {
    /// Whether a partition is mirrored back, and how far that is.
    pub(super) fn way_back(&self, key: &PartitionKey) -> WayBack {
        match self.state().way_back(key) {
            Some(said) if !said.is_aligned => WayBack::Begun { from: said.from },
            Some(_) => WayBack::Aligned,
            None if self.membership.is_some() && self.has_peer(key) => WayBack::Asked,
            None => WayBack::None,
        }
    }

    fn has_peer(&self, key: &PartitionKey) -> bool {
        let mirror = self.state().registry().mirror(key.mirror.as_str());
        mirror.is_ok_and(|(_, mirror)| mirror.settings.contains_key(PEER))
    }

    /// A topic of the destination is ours by what is on record of the way back.
    pub(super) fn is_claimed(&self, key: &PartitionKey, topic: crate::model::TopicId) -> bool {
        let said = self.state().way_back(key);
        said.is_some_and(|said| said.topic == topic)
    }

    /// Where others have what lies before our log: we have only what follows the parting.
    pub(super) fn before(&self, key: &PartitionKey) -> Option<(Offset, Offset)> {
        let said = self.state().way_back(key)?;
        Some((said.log_start, said.from))
    }

    /// From where a log is followed whose earlier records are with others; none once that is done.
    pub(super) fn begins_anew(&self, key: &PartitionKey) -> Option<Offset> {
        let said = self.state().way_back(key)?;
        (!said.is_aligned).then_some(said.from)
    }

    pub(super) fn note_aligned(&mut self, key: &PartitionKey) -> bool {
        let said = self.state().way_back(key).copied();
        let said = said.expect("it is aligned by what is on record");
        let aligned = mirror::WayBack {
            is_aligned: true,
            ..said
        };
        self.note(key, Record::WayBack(key.clone(), Some(aligned)))
    }

    /// Asks where the sides part, each mirror's counterpart for all of its partitions.
    pub(super) fn ask_counterparts(&mut self, keys: Vec<PartitionKey>) {
        let mut by_mirror: BTreeMap<_, Vec<PartitionKey>> = BTreeMap::new();
        for key in keys {
            by_mirror.entry(key.mirror.clone()).or_default().push(key);
        }
        for (mirror, keys) in by_mirror {
            let (sought, unsought) = self.sought(keys);
            let registry = self.state().registry();
            let settings = registry.mirror(mirror.as_str()).ok();
            let settings = settings.and_then(|(_, mirror)| mirror.read_settings());
            let there = self.feeds.get(&mirror);
            let there = there.and_then(|feed| feed.cluster_id.clone());
            let here = self.membership.as_ref();
            let here = here.and_then(|member| member.known_cluster());
            let clusters = here.zip(there);
            let clusters = clusters.map(|(here, there)| Clusters { here, there });
            self.errand(move |world, opening| async move {
                let found = match (clusters, settings) {
                    (Some(clusters), Some(MirrorSettings { peer, .. })) => {
                        let asked: Vec<Sought> =
                            sought.iter().map(|(_, sought)| sought.clone()).collect();
                        seek(&world, opening, &peer, &clusters, &asked).await
                    }
                    _ => BTreeMap::new(),
                };
                let later = || Found::Later("the source was not heard of yet".to_owned());
                let found = sought.into_iter().map(|(key, one)| {
                    let found = found.get(&one.here.id).cloned();
                    (key, found.unwrap_or_else(later))
                });
                let unled = || Found::Later(UNLED.to_owned());
                let unsought = unsought.into_iter().map(|key| (key, unled()));
                Event::Chore(Outcome::Counterpart(found.chain(unsought).collect()))
            });
        }
    }

    /// Whom to ask about each partition; those that nobody leads are asked for later.
    fn sought(&self, keys: Vec<PartitionKey>) -> (Vec<(PartitionKey, Sought)>, Vec<PartitionKey>) {
        let (mut sought, mut unsought) = (Vec::new(), Vec::new());
        for key in keys {
            match self.sought_of(&key) {
                Some(one) => sought.push((key, one)),
                None => unsought.push(key),
            }
        }
        (sought, unsought)
    }

    fn sought_of(&self, key: &PartitionKey) -> Option<Sought> {
        let one = self.partitions.get(key)?;
        let membership = self.membership.as_ref()?;
        let (topic, partition) = membership.partition(&one.id)?;
        let leader = membership.endpoint(partition.leader?)?;
        let feed = self.feeds.get(&key.mirror)?;
        let source = feed.leader(&one.id);
        let source = source.and_then(|(leader, epoch)| Some((feed.broker(leader)?, epoch)));
        Some(Sought {
            here: PartitionAsked {
                id: one.id.clone(),
                leader_epoch: partition.leader_epoch,
            },
            topic,
            leader: BrokerAddress::from(&leader),
            source,
        })
    }

    /// Counterparts have told where the sides part.
    pub(super) fn counterparts_told(&mut self, found: Vec<(PartitionKey, Found)>) {
        let mut results = Vec::new();
        for (key, found) in found {
            let result = match found {
                Found::At(said) => {
                    if let Some(one) = self.partitions.get(&key) {
                        tracing::info!(
                            "{}: it is mirrored back from offset {} on; what the destination has \
                             from there is set aside and goes",
                            one.id,
                            said.from
                        );
                    }
                    let record = Record::WayBack(key.clone(), Some(said));
                    self.note(&key, record);
                    continue;
                }
                Found::Later(why) => Result::Again(why),
                Found::NotYet(why) => Result::Refused(why),
                Found::Never(why) => Result::Never(why),
            };
            results.push((key, result));
        }
        self.chore_ended(Outcome::Chore(Kind::AskCounterpart, results));
    }

    /// Gets us a replica of what others have, the first one.
    pub(super) fn join(&mut self, keys: Vec<PartitionKey>) {
        let named = self.named(keys);
        let wanted = named.iter().filter_map(|(id, _)| {
            let membership = self.membership.as_ref()?;
            let (_, partition) = membership.partition(id)?;
            let is_there = |id: &BrokerId| membership.image().brokers.get(*id).is_some();
            let others = partition.replicas.iter().copied().filter(is_there);
            let all = [membership.us].into_iter().chain(others).collect();
            Some((id.clone(), all))
        });
        let wanted: BTreeMap<TopicPartition, Vec<BrokerId>> = wanted.collect();
        self.by_controller(Kind::Join, named, |mut client, _| async move {
            let all = wanted.iter().map(|(id, all)| (id, Some(all.clone())));
            match client.reassign(all).await {
                Ok(refused) => Done::But(again(refused)),
                Err(fault) => Done::Nothing(fault.to_string()),
            }
        });
    }
}

/// The mirror's setting that names its counterpart.
const PEER: &str = "peer";
const UNLED: &str = "nobody leads the partition at the destination";
