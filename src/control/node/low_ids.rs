//! Producers of the destination's own that have ids which our logs have as well: where one of them
//! writes to a topic that was a mirror, its records may be taken for ones that are there already,
//! and are lost without a word. Looked for now and then, so that a stop need not wait.

use std::time::Duration;

use crate::control::destination::Brokers;
use crate::control::destination::producer_ids::{Mark, Running, Seen, led, running_below};
use crate::io::{Clock, World};
use crate::mirror::Action;
use crate::model::{Instant, TopicName};
use crate::session::BrokerAddress;

use super::Node;
use super::chores::Outcome;
use super::event::Event;
use super::guarding::PATIENCE;
use super::mirrored::Mirrored;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(30);
/// Where partitions do not tell their producers, each refusal is a line in a broker's log.
const INTERVAL_UNTOLD: Duration = Duration::from_secs(600);
/// After a look that somebody did not answer: a stop may wait for the next one.
const AGAIN: Duration = Duration::from_secs(2);

/// What was found last.
#[derive(Debug, Default)]
pub(super) struct LowIds {
    look_at: Instant,
    is_looking: bool,
    known: Known,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Known {
    /// Nobody has looked yet.
    #[default]
    Nothing,
    /// There were none, but somebody did not answer, for this reason.
    InPart(String),
    /// There are none.
    None,
    /// So many, the largest of them, and who remembers that one.
    Some(usize, i64, Seen),
}

impl LowIds {
    /// Why a stop does harm, where it is known to.
    fn danger(&self) -> Option<String> {
        let Known::Some(count, id, seen) = &self.known else {
            return None;
        };
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
        Some(format!(
            "{count} producers of the destination have ids that the source has given out as well, \
             up to {id} ({seen}): what they write to a topic after its stop may be lost as a \
             duplicate; {remedy}"
        ))
    }

    /// Why a stop may do harm, as far as anybody knows.
    fn doubt(&self) -> Option<String> {
        let why = match &self.known {
            Known::None => return None,
            Known::Some(..) => return self.danger(),
            Known::Nothing => "they are being asked for".to_owned(),
            Known::InPart(why) => why.clone(),
        };
        Some(format!(
            "it is not known yet whether producers of the destination have ids that the source has \
             given out as well: {why}; with --force it is stopped all the same"
        ))
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        (!self.is_looking).then_some(self.look_at)
    }

    /// A look has ended.
    fn looked(&mut self, now: Instant, running: Running) {
        self.is_looking = false;
        let is_told = running.untold.is_empty();
        let interval = if is_told { INTERVAL } else { INTERVAL_UNTOLD };
        self.look_at = now.after(interval);
        let count = running.below.len();
        let silent = running.silent.into_iter().next();
        self.known = match (running.below.into_iter().next_back(), silent) {
            (Some((id, seen)), _) => Known::Some(count, id, seen),
            (None, None) => Known::None,
            (None, Some((broker, why))) => {
                self.look_at = now.after(AGAIN);
                // Whoever was seen may be where nobody answers now.
                if matches!(self.known, Known::Some(..) | Known::None) {
                    return;
                }
                Known::InPart(format!("broker {broker} does not tell: {why}"))
            }
        };
    }
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
        led.remove(&membership.us);
        membership.low_ids.is_looking = true;
        let largest = membership.ids.largest();
        let brokers: Brokers = membership
            .stock_endpoints()
            .iter()
            .map(|endpoint| (endpoint.broker, BrokerAddress::from(endpoint)))
            .collect();
        let mark = Mark::beyond(largest, 0);
        self.errand(move |world, mut opening| async move {
            opening.timeout = opening.timeout.min(PATIENCE);
            let running = running_below(&world, opening, &brokers, led, mark).await;
            Event::Chore(Outcome::Running(running))
        });
    }

    pub(super) fn low_ids_deadline(&self) -> Option<Instant> {
        let membership = self.membership.as_ref()?;
        let is_due = membership.is_serving && membership.ids.largest().is_some();
        is_due.then(|| membership.low_ids.deadline()).flatten()
    }

    /// Why whoever writes to a topic after its stop will come to harm, where that is known.
    pub(super) fn danger(&self) -> Option<String> {
        self.membership.as_ref()?.low_ids.danger()
    }

    /// Why that may be, as far as anybody knows: what can wait does until it was looked.
    pub(super) fn doubt(&self) -> Option<String> {
        let membership = self.membership.as_ref()?;
        membership.ids.largest()?;
        membership.low_ids.doubt()
    }

    /// The same without its words: asked of each partition, at each step of its stop.
    pub(super) fn may_harm(&self) -> bool {
        let membership = self.membership.as_ref();
        membership.is_some_and(|member| {
            member.ids.largest().is_some() && member.low_ids.known != Known::None
        })
    }

    /// Whether a topic may not be handed over yet: nobody has said that it is to be all the same.
    pub(super) fn may_harm_whoever_writes_to(&self, topic: &TopicName) -> bool {
        !self.planned.forces(topic) && self.may_harm()
    }

    /// Why the stop of a topic waits, where it does for this.
    pub(super) fn doubt_about(&self, one: &Mirrored) -> Option<String> {
        let topic = &one.id.topic;
        let is_stopping = matches!(one.acting, Some((_, Action::Stop)));
        let waits = match is_stopping {
            true => !self.planned.forces(topic),
            false => self.planned.is_forced(topic) == Some(false),
        };
        waits.then(|| self.doubt()).flatten()
    }

    pub(super) fn producers_seen(&mut self, running: Running) {
        let now = self.world.clock().now();
        let (was_known, might_harm) = (self.danger().is_some(), self.may_harm());
        if let Some(membership) = &mut self.membership {
            membership.low_ids.looked(now, running);
        }
        if let Some(danger) = self.danger().filter(|_| !was_known) {
            tracing::warn!("{danger}");
        }
        if self.may_harm() != might_harm {
            // Stops may wait for this.
            self.touch_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BrokerId;

    fn silent() -> Running {
        let mut running = Running::default();
        let why = "it does not answer".to_owned();
        running.silent.insert(BrokerId(3), why);
        running
    }

    fn found(seen: Seen) -> Running {
        let mut running = Running::default();
        running.below.insert(17, seen);
        running
    }

    #[test]
    fn what_nobody_has_answered_is_in_doubt_and_asked_again_soon() {
        let mut low = LowIds::default();
        assert!(low.doubt().is_some() && low.danger().is_none(), "{low:?}");
        low.looked(Instant::default(), silent());
        let doubt = low.doubt().expect("nobody knows");
        assert!(doubt.contains("broker 3"), "{doubt}");
        assert_eq!(low.deadline(), Some(Instant::default().after(AGAIN)));
        low.looked(Instant::default(), Running::default());
        assert_eq!(low.doubt(), None);
        low.looked(Instant::default(), silent());
        assert_eq!(low.doubt(), None, "it was known");
    }

    #[test]
    fn what_was_seen_stays_until_everybody_has_answered() {
        let mut low = LowIds::default();
        let partition = Seen::Partition("theirs-0".parse().expect("a partition"));
        low.looked(Instant::default(), found(partition));
        low.looked(Instant::default(), silent());
        let danger = low.danger().expect("it was seen");
        assert!(danger.contains("theirs-0"), "{danger}");
        low.looked(
            Instant::default(),
            found(Seen::Transactional("billing".into())),
        );
        let danger = low.danger().expect("it was seen");
        assert!(danger.contains("billing"), "{danger}");
        low.looked(Instant::default(), Running::default());
        assert_eq!((low.danger(), low.doubt()), (None, None));
    }
}
