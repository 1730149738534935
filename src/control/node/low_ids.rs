//! Producers of the destination's own that run under ids which our logs have as well: where one of
//! them writes to a topic that was a mirror, its records may be taken for ones that are there
//! already, and are lost without a word. Looked for now and then, so that a stop need not wait.

use std::time::Duration;

use crate::control::destination::Brokers;
use crate::control::destination::producer_ids::{Mark, Running, led, running_below};
use crate::io::{Clock, World};
use crate::model::{Instant, ProducerId, TopicName, TopicPartition};
use crate::session::BrokerAddress;

use super::Node;
use super::chores::Outcome;
use super::event::Event;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(30);
/// Where partitions do not tell their producers, each refusal is a line in a broker's log.
const INTERVAL_UNTOLD: Duration = Duration::from_secs(600);

/// What was found last.
#[derive(Debug, Default)]
pub(super) struct LowIds {
    look_at: Instant,
    is_looking: bool,
    has_looked: bool,
    /// The largest such id, where it was seen, and how many there are.
    found: Option<(ProducerId, TopicPartition, usize)>,
}

impl LowIds {
    /// Why a stop may do harm, if it may.
    pub(super) fn danger(&self) -> Option<String> {
        let (id, seen_in, count) = self.found.as_ref()?;
        Some(format!(
            "{count} producers of the destination have written with ids that the source has given \
             out as well, up to {} (to {seen_in}): what they write to a topic after its stop may \
             be lost as a duplicate; restart those that run on, then stop with --force (they are \
             remembered for producer.id.expiration.ms)",
            id.value()
        ))
    }

    /// Whether it was ever looked at.
    pub(super) fn are_known(&self) -> bool {
        self.has_looked
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        (!self.is_looking).then_some(self.look_at)
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
        let led = led(membership.image(), is_no_mirror);
        membership.low_ids.is_looking = true;
        let largest = membership.ids.largest();
        let brokers: Brokers = membership
            .stock_endpoints()
            .iter()
            .map(|endpoint| (endpoint.broker, BrokerAddress::from(endpoint)))
            .collect();
        let mark = Mark::beyond(largest, 0);
        self.errand(move |world, opening| async move {
            let running = running_below(&world, opening, &brokers, led, mark).await;
            Event::Chore(Outcome::Running(running))
        });
    }

    pub(super) fn low_ids_deadline(&self) -> Option<Instant> {
        let membership = self.membership.as_ref()?;
        let is_due = membership.is_serving && membership.ids.largest().is_some();
        is_due.then(|| membership.low_ids.deadline()).flatten()
    }

    /// Whether a stop may do harm, as far as anybody knows: what can wait does until it was looked.
    pub(super) fn may_harm(&self) -> bool {
        let Some(membership) = &self.membership else {
            return false;
        };
        let is_unknown = membership.ids.largest().is_some() && !membership.low_ids.are_known();
        is_unknown || self.danger().is_some()
    }

    pub(super) fn producers_seen(&mut self, running: Running) {
        let now = self.world.clock().now();
        let Some(membership) = &mut self.membership else {
            return;
        };
        let low = &mut membership.low_ids;
        (low.is_looking, low.has_looked) = (false, true);
        let is_told = running.untold.is_empty();
        low.look_at = now.after(if is_told { INTERVAL } else { INTERVAL_UNTOLD });
        if !running.silent.is_empty() && running.below.is_empty() {
            // Whoever was seen may be where nobody answers now.
            return;
        }
        let count = running.below.len();
        let largest = running.below.into_iter().next_back();
        let found = largest.map(|(_, (seen_in, producer))| (producer.id, seen_in, count));
        if found.is_some() && low.found.is_none() {
            low.found = found;
            tracing::warn!("{}", low.danger().unwrap_or_default());
        } else {
            low.found = found;
        }
    }
}
