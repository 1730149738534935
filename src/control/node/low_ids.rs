//! Producers of the destination's own whose ids stand in what was mirrored: where one of them
//! writes to a topic that was a mirror, its records may be taken for ones that are there already,
//! and are lost without a word. Looked for now and then, so that a stop need not wait.
//!
//! # Who is a danger
//!
//! A broker takes records for a repetition where it remembers records of the same producer id, in
//! the same epoch and with the same sequence numbers. So the ids matter under which records lie in
//! the log that is handed over and are remembered; a marker alone, such as that of a stop which
//! ended somebody's transaction, only ever has a producer refused aloud. A producer of the
//! destination is a danger to a partition where it is remembered there, and its id is one of these.
//!
//! It is enough to look at our own log. On the way back that begins where the two sides part, and
//! what lies below came in one of two ways. What the destination's own producers had written is of
//! ids that it gave out itself, each to one producer. What had been mirrored onto it at an earlier
//! turn was judged when that was handed over; since then its allocator is past all those ids, so
//! that nobody has got one of them (the barrier, which stays where it is in the metadata).
//!
//! What comes after a look does no harm either. Ids that the destination gives out later are beyond
//! all that is mirrored, once its brokers are drained; nothing is handed over before. And each log
//! is compared once more when its fetching has ceased: what it holds then is what is handed over.
//!
//! Not seen: a producer that has not written for as long as brokers remember it, and one that has
//! written to nothing but mirrors, where it cannot be told from theirs. Where a broker remembers
//! producers for longer than our logs do (`producer.id.expiration.ms`), all ids up to the largest
//! of any log count.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::control::destination::Brokers;
use crate::control::destination::producer_ids::{Mark, Running, Seen, led, running_below};
use crate::io::{Clock, World};
use crate::mirror::{Action, PartitionKey};
use crate::model::{BrokerId, Instant, ProducerId, TopicName};
use crate::protocol::ErrorCode;
use crate::session::BrokerAddress;
use crate::shard::inbox::{Order, PRODUCERS_KEPT_MS};

use super::Node;
use super::chores::Outcome;
use super::course::Home;
use super::event::Event;
use super::guarding::PATIENCE;
use super::mirrored::Mirrored;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(30);
/// Where we may not ask for their producers, each refusal is a line in a broker's log.
const INTERVAL_UNTOLD: Duration = Duration::from_secs(600);
/// After a look that somebody did not answer: a stop may wait for the next one.
const AGAIN: Duration = Duration::from_secs(2);

/// What was found last.
#[derive(Debug, Default)]
pub(super) struct LowIds {
    look_at: Instant,
    /// Not before, even where that is outrun.
    again_at: Instant,
    is_looking: bool,
    /// Below which ids it is looked now, and was looked last.
    looks_below: i64,
    looked_below: i64,
    known: Known,
    /// Who remembers producers of the destination's, by their ids.
    seen: BTreeMap<i64, Seen>,
    /// Those ids; logs are compared with them.
    ids: Arc<BTreeSet<ProducerId>>,
    /// Tells a look from the next one; 0 before the first.
    version: u64,
    /// A broker that may remember producers for longer than our logs do.
    remembers_longer: Option<BrokerId>,
    /// It was said that there is a danger.
    is_said: bool,
}

/// Whether all was found.
#[derive(Debug, Default, PartialEq, Eq)]
enum Known {
    /// Nobody has looked yet.
    #[default]
    Nothing,
    /// Somebody did not answer, for this reason.
    InPart(String),
    /// Somebody will not, before we are given a right.
    Closed(String),
    /// Everybody has answered once; `gap`: why the last look was no whole one.
    All { gap: Option<String> },
}

/// How a log compares with producers of the destination's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Compared {
    /// Which look it was to be compared with last.
    asked: u64,
    /// Which one it was compared with.
    version: u64,
    /// Those that have written to it.
    met: Vec<ProducerId>,
}

impl Compared {
    pub(super) fn told(&mut self, version: u64, met: Vec<ProducerId>) {
        (self.version, self.met) = (version, met);
    }

    /// The log has changed, or changes no more: it is to be compared once more.
    pub(super) fn again(&mut self) {
        (self.asked, self.version) = (0, 0);
    }
}

impl LowIds {
    /// Producers that are a danger to a log, as far as it was compared.
    fn met<'a>(
        &'a self,
        compared: &'a Compared,
        largest: Option<ProducerId>,
    ) -> impl Iterator<Item = ProducerId> + 'a {
        let is_up_to = move |id: &ProducerId| Some(*id) <= largest;
        let all = self.ids.iter().copied().filter(is_up_to);
        let all = all.filter(|_| self.remembers_longer.is_some());
        let met = compared.met.iter().copied();
        let met = met.filter(|id| self.remembers_longer.is_none() && self.ids.contains(id));
        all.chain(met)
    }

    /// The log was compared with what was found last, or there is nothing to compare it with.
    fn is_compared(&self, compared: &Compared) -> bool {
        let needs_none = self.ids.is_empty() || self.remembers_longer.is_some();
        needs_none || compared.version == self.version
    }

    /// Ids are mirrored by now that nobody has looked for: a source's may jump.
    fn is_outrun(&self, largest: Option<ProducerId>) -> bool {
        largest.is_some_and(|largest| largest.value() >= self.looked_below)
    }

    fn may_harm(&self, compared: &Compared, largest: Option<ProducerId>) -> bool {
        let is_all = matches!(self.known, Known::All { .. });
        let is_looked = is_all && !self.is_outrun(largest);
        let is_known = is_looked && self.is_compared(compared);
        !is_known || self.met(compared, largest).next().is_some()
    }

    /// Why a stop does harm to these producers.
    fn danger(&self, met: &BTreeSet<ProducerId>) -> Option<String> {
        let id = met.last()?;
        let (count, seen) = (met.len(), self.seen.get(&id.value())?);
        let remedy = match seen {
            Seen::Partition(_) => {
                "restart those that run on, then stop with --force (they are remembered for \
                 producer.id.expiration.ms)"
            }
            Seen::Transactional(_) => {
                "give those applications other transactional ids and restart those that run on, \
                 then stop with --force (they are remembered for transactional.id.expiration.ms)"
            }
        };
        let ids = match self.remembers_longer {
            None => "under which others have written to what is mirrored".to_owned(),
            Some(broker) => format!(
                "that may be others' in what is mirrored (broker {broker} remembers producers for \
                 longer than a day, producer.id.expiration.ms, or does not tell: all ids count)"
            ),
        };
        Some(format!(
            "{count} producers of the destination have ids {ids}, up to {id} ({seen}): what they \
             write to a topic after its stop may be lost as a duplicate; {remedy}"
        ))
    }

    /// Why a stop may do harm, as far as anybody knows.
    fn doubt(&self, compared: &Compared, largest: Option<ProducerId>) -> Option<String> {
        if let Some(danger) = self.danger(&self.met(compared, largest).collect()) {
            return Some(danger);
        }
        let why = match &self.known {
            Known::All { gap } if self.is_outrun(largest) => match gap {
                Some(why) => why.clone(),
                None => "they are being asked for again".to_owned(),
            },
            Known::All { .. } if self.is_compared(compared) => return None,
            Known::All { .. } => "the log is being compared with them".to_owned(),
            Known::Nothing => "they are being asked for".to_owned(),
            Known::InPart(why) | Known::Closed(why) => why.clone(),
        };
        Some(in_doubt(&why))
    }

    /// Why a stop would wait for what does not come by itself.
    fn closed(&self, largest: Option<ProducerId>) -> Option<String> {
        match &self.known {
            Known::Closed(why) if largest.is_some() => Some(in_doubt(why)),
            _ => None,
        }
    }

    pub(super) fn deadline(&self, largest: Option<ProducerId>) -> Option<Instant> {
        let at = match self.is_outrun(largest) {
            true => self.look_at.min(self.again_at),
            false => self.look_at,
        };
        (!self.is_looking).then_some(at)
    }

    /// A look has ended.
    fn looked(&mut self, now: Instant, running: Running) {
        self.is_looking = false;
        self.version += 1;
        self.again_at = now.after(AGAIN);
        match gap(&running) {
            None => {
                self.look_at = now.after(INTERVAL);
                self.known = Known::All { gap: None };
                self.looked_below = self.looks_below;
                self.seen = running.below;
                self.remembers_longer = None;
            }
            Some((found, pause)) => {
                self.look_at = now.after(pause);
                // Whoever was seen may be where nobody answers now.
                self.seen.extend(running.below);
                self.known = match (&self.known, found) {
                    // Who has not answered now has before.
                    (Known::All { .. }, Known::InPart(why)) => Known::All { gap: Some(why) },
                    // What we may not see was never seen.
                    (_, found) => found,
                };
            }
        }
        let ids = self.seen.keys();
        let ids = ids.filter_map(|id| ProducerId::from_wire(*id));
        self.ids = Arc::new(ids.collect());
        let is_longer = |kept: &Option<i64>| kept.is_none_or(|kept| kept > PRODUCERS_KEPT_MS);
        let mut longer = running.remember.iter().filter(|(_, kept)| is_longer(kept));
        self.remembers_longer = longer.next().map(|(id, _)| *id).or(self.remembers_longer);
    }
}

fn in_doubt(why: &str) -> String {
    format!(
        "it is not known yet whether producers of the destination have ids under which others have \
         written to what is mirrored: {why}; with --force it is stopped all the same"
    )
}

/// Why not all is known after a look, and how long to wait for the next one. A right that is
/// missing counts before all else: what else is missing may be so for long, and must not hide it.
fn gap(running: &Running) -> Option<(Known, Duration)> {
    let of = |is_it: fn(ErrorCode) -> bool| {
        let untold = running.untold.iter().filter(|(_, why)| is_it(why.code));
        let count = untold.clone().count();
        untold.clone().next().map(|(id, why)| (count, id, why))
    };
    if let Some((count, id, why)) = of(|code| code == ErrorCode::TOPIC_AUTHORIZATION_FAILED) {
        let why = format!(
            "{count} partitions do not tell their producers, {id} among them: {why}; grant the \
             node READ on topics"
        );
        return Some((Known::Closed(why), INTERVAL_UNTOLD));
    }
    if let Some((broker, why)) = running.silent.iter().next() {
        let why = format!("broker {broker} does not tell: {why}");
        return Some((Known::InPart(why), AGAIN));
    }
    if let Some((_, id, why)) = of(|code| code != ErrorCode::LEADER_NOT_AVAILABLE) {
        let why = format!("{id} does not tell its producers: {why}");
        return Some((Known::InPart(why), AGAIN));
    }
    let (count, id, why) = of(|_| true)?;
    let why = format!(
        "{count} partitions do not tell their producers, {id} among them: {why}; bring back the \
         brokers that have them, or delete those topics"
    );
    // That may last, and each look costs every broker something.
    Some((Known::InPart(why), INTERVAL))
}

impl<W: World> Node<W> {
    /// Looks at the producers of what stock brokers lead and is no mirror, where it is time.
    pub(super) fn look_for_low_ids(&mut self) {
        let now = self.world.clock().now();
        if self.low_ids_deadline().is_none_or(|at| now < at) {
            return;
        }
        let registry = self.file.log().registry();
        let Some(membership) = &mut self.membership else {
            return;
        };
        let is_no_mirror = |topic: &TopicName| registry.topic(topic).is_none();
        let mut led = led(membership.image(), is_no_mirror);
        // What we lead takes no producers.
        led.by.remove(&membership.us);
        membership.low_ids.is_looking = true;
        let largest = membership.ids.largest();
        let brokers: Brokers = membership
            .stock_endpoints()
            .iter()
            .map(|endpoint| (endpoint.broker, BrokerAddress::from(endpoint)))
            .collect();
        // Ids that the source has not given out yet may be mirrored before the next look.
        let mark = Mark::beyond(largest, 0).max(membership.ids.mark());
        membership.low_ids.looks_below = mark.value();
        self.errand(move |world, mut opening| async move {
            opening.timeout = opening.timeout.min(PATIENCE);
            let running = running_below(&world, opening, &brokers, led, mark).await;
            Event::Chore(Outcome::Running(running))
        });
    }

    pub(super) fn low_ids_deadline(&self) -> Option<Instant> {
        let membership = self.membership.as_ref()?;
        let largest = membership.ids.largest();
        let is_due = membership.is_serving && largest.is_some();
        is_due
            .then(|| membership.low_ids.deadline(largest))
            .flatten()
    }

    /// Has a log compared with what was found last, where it was not.
    pub(super) async fn compare(&mut self, key: &PartitionKey) {
        let Some(low) = self.membership.as_ref().map(|member| &member.low_ids) else {
            return;
        };
        let (ids, version) = (Arc::clone(&low.ids), low.version);
        let is_needed = |one: &&mut Mirrored| {
            let is_open = one.home() == Some(Home::Mirror);
            is_open && !low.is_compared(&one.compared) && one.compared.asked != version
        };
        let Some(one) = self.partitions.get_mut(key).filter(is_needed) else {
            return;
        };
        one.compared.asked = version;
        let (id, with) = (one.id.clone(), ids);
        let shard = one.shard.expect("a shard has every log that is open");
        let order = Order::Compare { id, with, version };
        self.order(shard, order).await;
    }

    /// A log was compared.
    pub(super) fn compared(&mut self, key: &PartitionKey, version: u64, met: Vec<ProducerId>) {
        if let Some(one) = self.partitions.get_mut(key) {
            one.compared.told(version, met);
        }
        self.say_danger();
    }

    fn say_danger(&mut self) {
        let is_said = self
            .membership
            .as_ref()
            .map(|member| member.low_ids.is_said);
        if is_said != Some(false) {
            return;
        }
        if let (Some(danger), Some(membership)) = (self.danger(|_| true), &mut self.membership) {
            membership.low_ids.is_said = true;
            tracing::warn!("{danger}");
        }
    }

    /// Why whoever writes to these topics after their stop will come to harm, where that is known.
    pub(super) fn danger(&self, is_meant: impl Fn(&TopicName) -> bool) -> Option<String> {
        let membership = self.membership.as_ref()?;
        let (low, largest) = (&membership.low_ids, membership.ids.largest());
        let meant = self.partitions.values();
        let meant = meant.filter(|one| is_meant(&one.id.topic));
        let met = meant.flat_map(|one| low.met(&one.compared, largest));
        low.danger(&met.collect()).or_else(|| low.closed(largest))
    }

    /// An operator was told that a stop is refused: what he changes is to be seen soon.
    pub(super) fn look_soon(&mut self) {
        if let Some(membership) = &mut self.membership {
            let low = &mut membership.low_ids;
            low.look_at = low.look_at.min(low.again_at);
        }
    }

    /// Why that may be of a partition, as far as anybody knows: what can wait does until it was
    /// looked.
    pub(super) fn doubt(&self, one: &Mirrored) -> Option<String> {
        let membership = self.membership.as_ref()?;
        let largest = membership.ids.largest()?;
        membership.low_ids.doubt(&one.compared, Some(largest))
    }

    /// The same without its words: asked of each partition, at each step of its stop.
    fn may_harm(&self, one: &Mirrored) -> bool {
        let membership = self.membership.as_ref();
        membership.is_some_and(|member| {
            let largest = member.ids.largest();
            largest.is_some() && member.low_ids.may_harm(&one.compared, largest)
        })
    }

    /// The same of all partitions of a topic.
    pub(super) fn topic_may_harm(&self, topic: &TopicName) -> bool {
        let mut of_topic = self.partitions.values();
        of_topic.any(|one| one.id.topic == *topic && self.may_harm(one))
    }

    /// Whether a partition may not be handed over yet: nobody has said that it is to be all the
    /// same.
    pub(super) fn may_harm_whoever_writes_to(&self, one: &Mirrored) -> bool {
        !self.planned.forces(&one.id.topic) && self.may_harm(one)
    }

    /// Why the stop of a topic waits, where it does for this.
    pub(super) fn doubt_about(&self, one: &Mirrored) -> Option<String> {
        let topic = &one.id.topic;
        let is_stopping = matches!(one.acting, Some((_, Action::Stop)));
        let waits = match is_stopping {
            true => !self.planned.forces(topic),
            false => self.planned.is_forced(topic) == Some(false),
        };
        waits.then(|| self.doubt(one)).flatten()
    }

    pub(super) fn producers_seen(&mut self, running: Running) {
        let now = self.world.clock().now();
        if let Some(membership) = &mut self.membership {
            membership.low_ids.looked(now, running);
        }
        self.say_danger();
        // Logs are to be compared, and stops may wait for this.
        self.touch_all();
    }
}

#[cfg(test)]
mod tests;
