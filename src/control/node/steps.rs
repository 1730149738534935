//! The next step of a partition, carried out.

use crate::io::{Clock, World};
use crate::mirror::{Action, Ending, LastMirrorEpochs, MirrorName, PartitionKey, Record};
use crate::model::{BrokerId, LeaderEpoch, Offset, TopicName, TopicPartition};
use crate::shard::inbox::{Mirror, Order};

use super::Node;
use super::chores::Kind;
use super::course::{Home, LogAt, Next, Part, WayBack, next};
use super::event::Then;
use super::feed::ShardTie;
use super::mirrored::{Mirrored, Surroundings};
use super::whose::Whose;
use crate::control::RogueWrites;
use crate::control::beginnings::{log_options, refetchable};

/// Where what is cut off of a member's logs is set aside, in the data directory.
pub(super) const ASIDE: &str = "logs.aside";
/// Who leads a partition at a source that was not heard of.
const NOBODY: (BrokerId, LeaderEpoch) = (BrokerId(-1), LeaderEpoch::NONE);

fn not_the_sources(from: Offset, to: Offset) -> String {
    format!(
        "from offset {from} to {to} the destination's log holds what is not the source's: others \
         have written there while this node did not lead it, or a stop was not finished; set \
         destination.rogue_writes = \"set-aside\", start the node again and have the topic \
         recovered (twinlog mirrors recover) to set that aside and cut it off, or stop the topic \
         to leave it to the destination as it is"
    )
}

/// What others have given back says nothing of where it came from.
fn not_known(from: Offset, to: Offset, mirror: &MirrorName, topic: &TopicName) -> String {
    let which = format!("--mirror {mirror} --topics {topic}");
    format!(
        "nothing of the destination's log, from offset {from} to {to}, is known to be the \
         source's: this node's own log of it was lost, or others have written first; stop the \
         topic (twinlog mirrors stop {which}), which leaves it to the destination as it is; then, \
         to go on where both sides part, have them compared (twinlog verify --destination \
         HOST:PORT --from HOST:PORT --topics {topic} --parting FILE), name FILE in the mirror's \
         setting peer.report and start the topic again; or, to mirror it from its beginning, \
         delete it there instead of stopping it (kafka-topics.sh --delete --topic {topic}), have \
         it recovered (twinlog mirrors recover {which}) and do what is said of it then"
    )
}

impl<W: World> Node<W> {
    /// Brings every partition of which something is new a step nearer to its goal.
    pub(super) async fn advance(&mut self) {
        while let Some(key) = self.touched.pop_first() {
            if self.partitions.get(&key).is_none_or(Mirrored::is_at_rest) {
                continue;
            }
            self.tell_leading(&key).await;
            self.compare(&key).await;
            // A step that is done at once makes room for the next.
            while let Some(step) = self.next_step(&key) {
                if !self.carry_out(&key, step).await {
                    break;
                }
            }
        }
        self.open_renamed().await;
    }

    fn next_step(&mut self, key: &PartitionKey) -> Option<Next> {
        let is_free = |one: &Mirrored| !one.is_busy && !one.rests;
        // Most news are of partitions of which a step is under way.
        self.partitions.get(key).filter(|one| is_free(one))?;
        let around = self.surroundings(key)?;
        let now = self.world.clock().now();
        let one = self.partitions.get_mut(key)?;
        let mut step = next(one.goal()?, &one.place(around));
        if one.is_stopped && one.home().is_some() {
            step = Next::Release;
        }
        one.is_about(now, &step);
        if let Next::Wait(_) = step {
            if !around.can_open
                && one.home().is_none()
                && let Some(feed) = self.feeds.get_mut(&key.mirror)
            {
                feed.want(&one.id);
            }
            return None;
        }
        Some(step)
    }

    fn surroundings(&self, key: &PartitionKey) -> Option<Surroundings> {
        let one = self.partitions.get(key)?;
        let is_vault = self.membership.is_none();
        let feed = self.feeds.get(&key.mirror);
        let shelf = self.shelves.get(&self.shelf_of(key));
        let is_held = shelf.is_some_and(|shelf| shelf.held(&one.id).is_some());
        let stops = matches!(one.acting, Some((_, Action::Stop)));
        let there = self.membership.as_ref().filter(|_| !is_held);
        let there = there.and_then(|member| member.image().topics.id_of(&one.id.topic));
        let is_lost = shelf
            .zip(there)
            .is_some_and(|(shelf, topic)| shelf.has_lost(&one.id, topic));
        let told = feed
            .is_some_and(|feed| feed.bounds(&one.id).is_some() && feed.leader(&one.id).is_some());
        let position = self.state().positions().get(key);
        Some(Surroundings {
            part: match &self.membership {
                None => Part::Lead(LeaderEpoch::NONE),
                Some(membership) => match self.whose(&one.id) {
                    Whose::Others => membership.part(&one.id).of_others(),
                    _ => membership.part(&one.id),
                },
            },
            is_vault,
            can_open: shelf.is_some() && (told || is_held),
            is_new: shelf.is_some() && !is_held && !is_lost,
            is_lost,
            has_old_logs: self.has_old_logs(&one.id),
            can_create: feed.is_some_and(|feed| feed.topic(&one.id.topic).is_some()),
            position: position.and_then(|position| position.offset),
            is_alone: self
                .membership
                .as_ref()
                .is_none_or(|member| member.is_alone(&one.id)),
            is_noted: stops && self.is_noted(key),
            were_some_late: stops
                && self
                    .state()
                    .hand_over(key)
                    .is_some_and(|said| !said.late.is_empty()),
            may_harm: stops && self.may_harm_whoever_writes_to(one),
            way_back: self.way_back(key),
            can_fetch: feed
                .is_some_and(|feed| feed.trouble.is_none() && feed.leader(&one.id).is_some()),
            cuts_others: self.chosen.destination.rogue_writes == RogueWrites::SetAside,
            is_apart: match &self.membership {
                None => true,
                Some(membership) => membership.ids.is_apart(&membership.stock_lives()),
            },
        })
    }

    /// Says whether the step is done already; otherwise something will come of it.
    async fn carry_out(&mut self, key: &PartitionKey, step: Next) -> bool {
        match step {
            Next::Wait(_) => false,
            Next::Create => self.chore(Kind::Create, key),
            Next::AskCounterpart => self.chore(Kind::AskCounterpart, key),
            Next::Join => self.chore(Kind::Join, key),
            Next::RecordAligned => self.note_aligned(key),
            Next::RecordParting => self.note_parting(key),
            Next::ForgetWayBack => self.note(key, Record::WayBack(key.clone(), None)),
            Next::Elect => self.chore(Kind::Elect, key),
            Next::Yield => self.chore(Kind::Yield, key),
            Next::Fence => self.chore(Kind::Fence, key),
            Next::Unfence => self.chore(Kind::Unfence, key),
            Next::HandOver => self.chore(Kind::HandOver, key),
            Next::Verify => self.chore(Kind::Verify, key),
            Next::Restore => self.chore(Kind::Restore, key),
            Next::Open(home) => self.open(key, home).await,
            Next::Release => self.ordered(key, |id| Order::Release { id }).await,
            Next::Stamp(epoch) => self.ordered(key, |id| Order::Stamp { id, epoch }).await,
            Next::Cease => self.ordered(key, |id| Order::Cease { id }).await,
            Next::Seal => self.ordered(key, |id| Order::Seal { id }).await,
            Next::Cut(to) => {
                self.partitions
                    .get_mut(key)
                    .expect("it was there")
                    .is_cutting = true;
                self.tell_leading(key).await;
                self.ordered(key, |id| Order::Cut { id, to }).await
            }
            Next::Fetch => self.fetch(key).await,
            Next::ForgetPosition => self.note_position(key, None),
            Next::RecordPosition => {
                let ceased = self.partitions.get(key).and_then(|one| one.ceased);
                let ceased = ceased.expect("a position is recorded after fetching has ceased");
                let before = self.state().positions().get(key);
                let before = before.and_then(|before| before.offset);
                if let Some(one) = self.partitions.get_mut(key) {
                    one.report_lost(ceased.log_end, before);
                }
                let position = self.position_at(key, ceased);
                self.note_position(key, Some(position))
            }
            Next::RecordHandOver => self.note_hand_over(key),
            Next::Done => {
                self.ended(key, Ending::Done);
                false
            }
            Next::Refuse(why) => {
                let why = self.with_ids(key, why);
                self.fails(key, why, false);
                false
            }
            Next::RefuseLog => {
                let why = self.of_a_topic_that_is_gone(key);
                self.fails(key, why, false);
                false
            }
            Next::RefuseOthers(from, to) => {
                let one = self.partitions.get(key);
                let is_back = self.way_back(key) == WayBack::Aligned;
                let unknown = one.filter(|one| !is_back && !one.is_known_in_part());
                let why = match unknown {
                    Some(one) => not_known(from, to, &key.mirror, &one.id.topic),
                    None => not_the_sources(from, to),
                };
                self.fails(key, why, false);
                false
            }
        }
    }

    fn of_a_topic_that_is_gone(&self, key: &PartitionKey) -> String {
        let shelf = self.shelves.get(&self.shelf_of(key));
        let one = self.partitions.get(key);
        let dir = shelf.zip(one).map(|(shelf, one)| shelf.dir_of(&one.id));
        let logs = dir.and_then(|dir| Some(dir.parent()?.to_owned()));
        let (logs, aside) = (logs.unwrap_or_default(), self.chosen.data_dir.join(ASIDE));
        let (logs, aside) = (logs.display(), aside.display());
        let topic = one.map(|one| one.id.topic.as_str().replace('.', r"\."));
        let topic = topic.unwrap_or_default();
        format!(
            "the destination does not have the topic any more, and this node has what it mirrored \
             into it: end the node, run mkdir -p {aside} && find {logs} -maxdepth 1 -regex \
             '.*/{topic}-[0-9]+' -exec mv --backup=t -t {aside} {{}} +, start the node and have \
             the topic recovered (twinlog mirrors recover) to mirror it from its beginning"
        )
    }

    /// A refusal with the ids of both topics, where the destination has one: names are not enough.
    fn with_ids(&self, key: &PartitionKey, why: &str) -> String {
        let one = self.partitions.get(key);
        let membership = self.membership.as_ref();
        let there = one.and_then(|one| Some(membership?.partition(&one.id)?.0));
        match there {
            Some(id) => format!(
                "{why} (its id is {id} there, and {} at the source)",
                key.topic
            ),
            None => why.to_owned(),
        }
    }

    fn note_position(&mut self, key: &PartitionKey, position: Option<LastMirrorEpochs>) -> bool {
        if position.is_none() && self.state().hand_over(key).is_some() {
            let record = Record::HandOver(key.clone(), None);
            self.writes.push((record, Then::Nothing));
        }
        self.note(key, Record::Position(key.clone(), position))
    }

    pub(super) fn note(&mut self, key: &PartitionKey, record: Record) -> bool {
        self.partitions.get_mut(key).expect("it was there").is_busy = true;
        self.writes.push((record, Then::Step(key.clone())));
        false
    }

    /// Sends an order about a partition to the shard that has it, which will tell what came of it.
    async fn ordered(
        &mut self,
        key: &PartitionKey,
        order: impl FnOnce(TopicPartition) -> Order,
    ) -> bool {
        let one = self.partitions.get_mut(key).expect("it was there");
        one.is_busy = true;
        let (order, shard) = (order(one.id.clone()), one.shard);
        let shard = shard.expect("a shard has every log that is open");
        self.order(shard, order).await;
        false
    }

    /// Has the log fetched from the source, as soon as somebody leads the partition there.
    async fn fetch(&mut self, key: &PartitionKey) -> bool {
        let one = self.partitions.get_mut(key).expect("it was there");
        let id = one.id.clone();
        let feed = self.feeds.get(&key.mirror);
        if let Some(cause) = feed.and_then(|feed| feed.ended(&id)) {
            let why = cause.to_string();
            self.fails(key, why, false);
            return false;
        }
        let Some((leader, epoch)) = feed.and_then(|feed| feed.leader(&id)) else {
            one.waits_for = "nobody leads the partition at the source, or it was not heard of yet";
            return false;
        };
        if let LogAt::Open { is_fetching, .. } = &mut one.log {
            *is_fetching = true;
        }
        let shard = one.shard.expect("a shard has every log that is open");
        let order = Order::Leader {
            id: id.clone(),
            leader,
            epoch,
        };
        self.order(shard, order).await;
        self.order(shard, Order::Fetch { id }).await;
        true
    }

    async fn open(&mut self, key: &PartitionKey, home: Home) -> bool {
        let mirror = match home {
            Home::Mirror => self.at_source(key),
            Home::Follower => self.at_destination(key),
        };
        let Some((tie, mirror)) = mirror else {
            return false;
        };
        let shelf_key = self.shelf_of(key);
        let shelf = self.shelves.get_mut(&shelf_key);
        let shelf = shelf.expect("nothing is opened without its books");
        let topic_id = mirror.held_topic_id.unwrap_or(mirror.topic_id);
        shelf.opening(&mirror.id, topic_id, mirror.log_start);
        // Notes of a topic that had the name before would make this log another's after a kill.
        let waits_for_notes = shelf.notes_another(&mirror.id, topic_id);
        let one = self.partitions.get_mut(key).expect("it was there");
        one.is_busy = true;
        one.shard = Some(tie.id);
        one.opening = Some(home);
        // Whoever is asked now does not say where others stand.
        one.status = None;
        let order = Order::Mirror(Box::new(mirror));
        match waits_for_notes {
            true => self.renamed.push((key.clone(), order)),
            false => self.order(tie.id, order).await,
        }
        false
    }

    /// Logs whose notes are of topics that had their names before are opened once the notes are
    /// theirs: written once for all of them.
    async fn open_renamed(&mut self) {
        let renamed = std::mem::take(&mut self.renamed);
        if renamed.is_empty() {
            return;
        }
        let are_noted = self.write_notes().await;
        for (key, order) in renamed {
            let one = self.partitions.get_mut(&key).expect("it was there");
            match one.shard {
                Some(shard) if are_noted => self.order(shard, order).await,
                _ => {
                    (one.is_busy, one.shard, one.opening) = (false, None, None);
                    self.rest(&key);
                }
            }
        }
    }

    /// The log as a shard of its mirror opens it: stamped where we lead, and not fetched yet.
    fn at_source(&mut self, key: &PartitionKey) -> Option<(ShardTie, Mirror)> {
        let shelf_key = self.shelf_of(key);
        let one = self.partitions.get(key)?;
        let id = one.id.clone();
        let part = self.membership.as_ref().map(|member| member.part(&id));
        let stamp = match part {
            Some(Part::Lead(epoch)) => Some(epoch),
            None => None,
            Some(_) => return None,
        };
        let retention = self.retention(&id.topic).filter(|_| stamp.is_some());
        let before = self.before(key);
        let feed = self.feeds.get_mut(&key.mirror)?;
        let shelf = self.shelves.get(&shelf_key)?;
        let held = shelf.held(&id);
        let bounds = feed.bounds(&id);
        let (leader, leader_epoch) = feed.leader(&id).unwrap_or(NOBODY);
        let start = held.map(|held| held.log_start);
        let start = start.or(bounds.map(|(start, _)| start))?;
        // What comes before the parting is with others, whatever the books of before say.
        let start = before.map_or(start, |(_, from)| start.max(from));
        let recovery_point = held.map_or(start, |held| held.recovery_point.max(start));
        let settings = feed.settings(&id.topic);
        // What followers may have is never taken back for being unsynced: it is read again.
        let refetchable = bounds
            .filter(|_| stamp.is_none())
            .and_then(|bounds| refetchable(&bounds, settings, recovery_point));
        let member = self.membership.as_ref();
        let held_topic_id = member.and_then(|member| Some(member.partition(&id)?.0));
        let mirror = Mirror {
            topic_id: key.topic,
            held_topic_id,
            dir: shelf.dir_of(&id),
            leader,
            leader_epoch,
            log_start: start,
            recovery_point,
            is_clean: held.is_some_and(|held| held.is_clean),
            refetchable,
            options: settings.map(log_options).unwrap_or_default(),
            producer_id_shift: shelf.producer_id_shift(),
            until: None,
            stamp,
            fetches: false,
            restarts: false,
            source_epochs: None,
            may_truncate: feed.may_take_back(&id.topic),
            aside: Some(self.chosen.data_dir.join(ASIDE)),
            follows_log_start: stamp.is_some(),
            retention,
            id: id.clone(),
        };
        Some((feed.shard_of(key.topic, &id).clone(), mirror))
    }

    /// The log as it follows a stock leader of the destination.
    fn at_destination(&mut self, key: &PartitionKey) -> Option<(ShardTie, Mirror)> {
        let membership = self.membership.as_ref()?;
        let one = self.partitions.get(key)?;
        let id = one.id.clone();
        let (topic_id, partition) = membership.partition(&id)?;
        let before = self.before(key);
        let shelf = self.shelves.get(&None)?;
        let held = shelf.held(&id);
        let anew = self.begins_anew(key);
        let begins = held.map_or(Offset::ZERO, |held| held.log_start);
        let begins = before.map_or(begins, |(_, from)| begins.max(from));
        let start = anew.unwrap_or(begins);
        let settings = self.feeds.get(&key.mirror);
        let settings = settings.and_then(|feed| feed.settings(&id.topic));
        let mirror = Mirror {
            topic_id,
            held_topic_id: None,
            dir: shelf.dir_of(&id),
            leader: partition.leader?,
            leader_epoch: partition.leader_epoch,
            log_start: start,
            recovery_point: held.map_or(start, |held| held.recovery_point.max(start)),
            is_clean: held.is_some_and(|held| held.is_clean),
            refetchable: None,
            options: settings.map(log_options).unwrap_or_default(),
            producer_id_shift: shelf.producer_id_shift(),
            until: None,
            stamp: None,
            fetches: true,
            // What we are in sync with is of this way back already, and others rely on it.
            restarts: anew.is_some() && held.is_some() && !partition.isr.contains(&membership.us),
            source_epochs: None,
            may_truncate: true,
            aside: None,
            follows_log_start: true,
            retention: None,
            id,
        };
        Some((membership.follower.clone(), mirror))
    }

    pub(super) fn chore(&mut self, kind: Kind, key: &PartitionKey) -> bool {
        let membership = self.membership.as_ref();
        let one = self.partitions.get_mut(key).expect("it was there");
        one.is_busy = true;
        one.asked_as = membership.map(|membership| membership.part(&one.id));
        let now = self.world.clock().now();
        self.chores.want(now, kind, key);
        false
    }
}
