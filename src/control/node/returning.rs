//! Partitions that are mirrored back onto the cluster that they had come from: where the two sides
//! part is asked for, and put on record before anything is touched.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::control::destination::fitness::is_ours;
use crate::control::destination::way_back::{Clusters, Found, Own, Sought, Witnesses, seek};
use crate::io::World;
use crate::mirror::{self, LastMirrorEpochs, MirrorName, PartitionKey, Record};
use crate::model::{BrokerId, LeaderEpoch, Offset, TopicId, TopicName, TopicPartition};
use crate::session::{BrokerAddress, Opening, PartitionAsked};

use super::Node;
use super::asks::{Done, again};
use super::chores::{Kind, Outcome, Result};
use super::course::WayBack;
use super::event::{Event, Then};
use super::mirrored::Ceased;

/// Whom a mirror asks about the way back.
pub(super) struct Way {
    witnesses: Witnesses,
    clusters: Option<Clusters>,
}

/// Partitions, each with something.
type Each<T> = Vec<(PartitionKey, T)>;

impl<W: World> Node<W> {
    /// Whether a partition is mirrored back, and how far that is.
    pub(super) fn way_back(&self, key: &PartitionKey) -> WayBack {
        match self.said(key) {
            Some(said) if !said.is_aligned => WayBack::Begun { from: said.from },
            Some(_) => WayBack::Aligned,
            None if self.membership.is_some() && self.has_peer(&key.mirror) => WayBack::Asked,
            None => WayBack::None,
        }
    }

    /// What is on record, where the destination's topic is still the one that it is about.
    fn said(&self, key: &PartitionKey) -> Option<&mirror::WayBack> {
        let said = self.state().way_back(key)?;
        let (one, membership) = (self.partitions.get(key)?, self.membership.as_ref()?);
        let topic = membership.image().topics.id_of(&one.id.topic);
        (topic == Some(said.topic)).then_some(said)
    }

    /// A topic is not started because it has appeared: the destination has one of its name, and it
    /// would be mirrored back onto that. Which of two clusters is the active one is not for a
    /// pattern to say.
    pub(super) fn takes_a_word(&self, mirror: &MirrorName, topic: &TopicName) -> bool {
        let Some(membership) = self.membership.as_ref().filter(|_| self.has_peer(mirror)) else {
            return false;
        };
        !membership.has_begun || membership.image().topics.id_of(topic).is_some()
    }

    /// A mirror names its counterpart.
    pub(super) fn has_peer(&self, mirror: &MirrorName) -> bool {
        let mirror = self.state().registry().mirror(mirror.as_str());
        let settings = mirror.ok().map(|(_, mirror)| &mirror.settings);
        settings.is_some_and(|settings| PEER.iter().any(|name| settings.contains_key(*name)))
    }

    /// A topic of the destination is ours by what is on record of the way back.
    pub(super) fn is_claimed(&self, key: &PartitionKey, topic: TopicId) -> bool {
        let said = self.state().way_back(key);
        said.is_some_and(|said| said.topic == topic)
    }

    /// Where others have what lies before our log: we have only what follows the parting.
    pub(super) fn before(&self, key: &PartitionKey) -> Option<(Offset, Offset)> {
        let said = self.said(key)?;
        Some((said.log_start, said.from))
    }

    /// From where a log is followed whose earlier records are with others; none once that is done.
    pub(super) fn begins_anew(&self, key: &PartitionKey) -> Option<Offset> {
        let said = self.said(key)?;
        (!said.is_aligned).then_some(said.from)
    }

    /// Records follow from here on: what an earlier stop has left behind is of no use.
    pub(super) fn note_aligned(&mut self, key: &PartitionKey) -> bool {
        let said = self.state().way_back(key).copied();
        let said = said.expect("it is aligned by what is on record");
        let aligned = mirror::WayBack {
            is_aligned: true,
            ..said
        };
        if self.state().positions().contains_key(key) {
            for forgotten in [
                Record::HandOver(key.clone(), None),
                Record::Position(key.clone(), None),
            ] {
                self.writes.push((forgotten, Then::Nothing));
            }
        }
        self.note(key, Record::WayBack(key.clone(), Some(aligned)))
    }

    /// Where a stop leaves off. What was mirrored back and holds nothing of the source yet ends
    /// where both sides part, whatever lies behind.
    pub(super) fn position_at(&self, key: &PartitionKey, ceased: Ceased) -> LastMirrorEpochs {
        let is_nothing = |said: &&mirror::WayBack| {
            !said.is_aligned || ceased.log_end == said.from && !ceased.source_epoch.is_some()
        };
        match self.said(key).filter(is_nothing) {
            Some(said) => parting(said),
            None => LastMirrorEpochs {
                epoch: ceased.source_epoch,
                offset: Some(ceased.log_end),
            },
        }
    }

    /// Nothing was mirrored back: both sides part where they did.
    pub(super) fn note_parting(&mut self, key: &PartitionKey) -> bool {
        let said = self.state().way_back(key);
        let position = parting(said.expect("it was about to be mirrored back"));
        self.note(key, Record::Position(key.clone(), Some(position)))
    }

    /// Asks where the sides part, each mirror's counterpart for all of its partitions.
    pub(super) fn ask_counterparts(&mut self, keys: Vec<PartitionKey>) {
        let mut by_mirror: BTreeMap<_, Vec<PartitionKey>> = BTreeMap::new();
        for key in keys {
            by_mirror.entry(key.mirror.clone()).or_default().push(key);
        }
        for (mirror, keys) in by_mirror {
            let (sought, unsought) = self.sought(keys);
            let way = self.way(&mirror);
            self.errand(move |world, opening| async move {
                let asked: Vec<Sought> = sought.iter().map(|(_, one)| one.clone()).collect();
                let mut found = way.seek(&world, opening, &asked).await;
                let later = |why: &str| Found::Later(why.to_owned());
                let found = sought.into_iter().map(|(key, one)| {
                    let found = found.remove(&one.here.id);
                    (key, found.unwrap_or_else(|| later(UNHEARD)))
                });
                Event::Chore(Outcome::Counterpart(found.chain(unsought).collect()))
            });
        }
    }

    /// Whom a mirror asks about the way back.
    pub(super) fn way(&self, mirror: &MirrorName) -> Way {
        let known = self.state().registry().mirror(mirror.as_str()).ok();
        let settings = known.and_then(|(_, mirror)| mirror.read_settings());
        let there = self.feeds.get(mirror);
        let there = there.and_then(|feed| feed.cluster_id.clone());
        let here = self.membership.as_ref();
        let here = here.and_then(|member| member.known_cluster());
        let clusters = here.zip(there);
        let settings = settings.unwrap_or_default();
        Way {
            witnesses: Witnesses {
                peer: settings.peer,
                report: settings.peer_report.map(PathBuf::from),
            },
            clusters: clusters.map(|(here, there)| Clusters { here, there }),
        }
    }

    /// Whom to ask about each partition. Of some it is known already that it is no use, or that
    /// they are asked for later: nobody leads them.
    fn sought(&self, keys: Vec<PartitionKey>) -> (Each<Sought>, Each<Found>) {
        let (mut sought, mut unsought) = (Vec::new(), Vec::new());
        for key in keys {
            let (one, feed) = (self.partitions.get(&key), self.feeds.get(&key.mirror));
            let ended = feed.zip(one).and_then(|(feed, one)| feed.ended(&one.id));
            if let Some(cause) = ended {
                // Nothing would follow what is cut off.
                unsought.push((key, Found::Never(cause.to_string())));
                continue;
            }
            if let Some(node) = one.and_then(|one| self.led_by_another_node(&one.id)) {
                let why = format!(
                    "node {node} leads it at the destination, and mirrors it: stop it there \
                     (twinlog mirrors stop), or leave it out here; then have it tried again \
                     (twinlog mirrors recover)"
                );
                unsought.push((key, Found::Never(why)));
                continue;
            }
            let membership = self.membership.as_ref();
            let one = one.and_then(|one| {
                let (topic, _) = membership?.partition(&one.id)?;
                let source = feed.and_then(|feed| feed.leader(&one.id));
                let source = source.and_then(|(leader, epoch)| {
                    let leader = feed?.endpoint(leader)?;
                    Some((BrokerAddress::from(&leader), epoch))
                });
                self.sought_of(&one.id, (topic, key.topic), source)
            });
            match one {
                Some(one) => sought.push((key, one)),
                None => unsought.push((key, Found::Later(UNLED.to_owned()))),
            }
        }
        (sought, unsought)
    }

    /// Another node of ours, which is alive where it leads.
    fn led_by_another_node(&self, id: &TopicPartition) -> Option<BrokerId> {
        let membership = self.membership.as_ref()?;
        let (_, partition) = membership.partition(id)?;
        let leader = partition.leader.filter(|leader| *leader != membership.us)?;
        let broker = membership.image().brokers.get(leader)?;
        is_ours(broker).then_some(leader)
    }

    pub(super) fn sought_of(
        &self,
        id: &TopicPartition,
        (topic, source_topic): (TopicId, TopicId),
        source: Option<(BrokerAddress, LeaderEpoch)>,
    ) -> Option<Sought> {
        let membership = self.membership.as_ref()?;
        let (_, partition) = membership.partition(id)?;
        let leader = membership.endpoint(partition.leader?)?;
        Some(Sought {
            here: PartitionAsked {
                id: id.clone(),
                leader_epoch: partition.leader_epoch,
            },
            topic,
            source_topic,
            leader: BrokerAddress::from(&leader),
            source,
            own: self.own(id, source_topic),
        })
    }

    /// Where our own last stop of a partition left off.
    fn own(&self, id: &TopicPartition, source_topic: TopicId) -> Option<Own> {
        let key = self.by_id.get(id).filter(|key| key.topic == source_topic)?;
        let position = self.state().positions().get(key)?;
        let to = position.offset?;
        let said = self.state().hand_over(key);
        let said = said.filter(|said| said.position == to)?;
        Some(Own {
            to,
            epoch: position.epoch,
            led_epoch: said.leader_epoch,
            topic: said.topic,
        })
    }

    /// Counterparts have told where the sides part.
    pub(super) fn counterparts_told(&mut self, found: Vec<(PartitionKey, Found)>) {
        let mut results = Vec::new();
        for (key, found) in found {
            let result = match found {
                Found::At { parting: said, .. } => {
                    if let Some(one) = self.partitions.get_mut(&key) {
                        one.is_asked = true;
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

    /// Gets us a replica of what others have, the first one. Another node that had one has it no
    /// more: it would lead the partition again when it is back, and two nodes would mirror it.
    pub(super) fn join(&mut self, keys: Vec<PartitionKey>) {
        let named = self.named(keys);
        let wanted = named.iter().filter_map(|(id, _)| {
            let membership = self.membership.as_ref()?;
            let (_, partition) = membership.partition(id)?;
            let brokers = &membership.image().brokers;
            let is_there = |id: &BrokerId| brokers.get(*id).is_some_and(|one| !is_ours(one));
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

/// Where both sides part, as the position that a stop leaves behind.
fn parting(said: &mirror::WayBack) -> LastMirrorEpochs {
    LastMirrorEpochs {
        epoch: said.epoch,
        offset: Some(said.from),
    }
}

impl Way {
    /// What is found of each partition; of none where the source was not heard of yet.
    pub(super) async fn seek<W: World>(
        &self,
        world: &W,
        opening: Opening,
        sought: &[Sought],
    ) -> BTreeMap<TopicPartition, Found> {
        match &self.clusters {
            Some(clusters) => seek(world, opening, &self.witnesses, clusters, sought).await,
            None => BTreeMap::new(),
        }
    }
}

/// The mirror's settings that name its counterpart, or what that has left behind.
const PEER: [&str; 2] = ["peer", "peer.report"];
pub(super) const UNHEARD: &str = "the source was not heard of yet";
pub(super) const UNLED: &str = "nobody leads the partition at the destination";
