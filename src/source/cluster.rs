//! The source's brokers, as last told, and how they fared.

use std::collections::BTreeMap;

use super::backoff::Backoff;
use super::{LaneId, Options};
use crate::model::{BrokerId, Instant, PartitionIndex, TopicId};
use crate::protocol::fetch::Endpoint;
use crate::stdx::prng::{Prng, mix};

#[derive(Debug, Default)]
pub(super) struct Cluster {
    brokers: BTreeMap<BrokerId, Broker>,
}

#[derive(Debug, Default)]
struct Broker {
    endpoint: Option<Endpoint>,
    backoff: Backoff,
    /// Not to be connected to before this moment.
    not_before: Instant,
    /// A question about it waits to be fetched by control.
    asked: bool,
}

impl Cluster {
    pub(super) fn learn(&mut self, endpoint: Endpoint) {
        let known = self.brokers.entry(endpoint.broker).or_default();
        // An address that is news deserves an attempt at once.
        if known.endpoint.as_ref() != Some(&endpoint) {
            known.not_before = Instant::default();
            known.endpoint = Some(endpoint);
        }
    }

    pub(super) fn knows(&self, broker: BrokerId) -> bool {
        self.brokers.contains_key(&broker)
    }

    pub(super) fn endpoint(&self, broker: BrokerId) -> Option<&Endpoint> {
        self.brokers.get(&broker)?.endpoint.as_ref()
    }

    /// The moment from which `broker` may be connected to.
    pub(super) fn not_before(&self, broker: BrokerId) -> Instant {
        self.brokers
            .get(&broker)
            .map_or(Instant::default(), |known| known.not_before)
    }

    /// Counts a failure of `broker`. Lanes that fail together are one failure. Says whether
    /// control is now to be asked about it: one question at a time.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        broker: BrokerId,
        options: &Options,
        prng: &mut Prng,
    ) -> bool {
        let known = self.brokers.entry(broker).or_default();
        if known.not_before <= now {
            known.not_before = known.backoff.fail(now, options, prng);
        }
        self.doubted(broker)
    }

    /// `broker` may not be what we take it for. Says whether control is now to be asked about
    /// it.
    pub(super) fn doubted(&mut self, broker: BrokerId) -> bool {
        let known = self.brokers.entry(broker).or_default();
        !std::mem::replace(&mut known.asked, true)
    }

    /// The question about `broker` has gone to control.
    pub(super) fn question_taken(&mut self, broker: BrokerId) {
        if let Some(known) = self.brokers.get_mut(&broker) {
            known.asked = false;
        }
    }

    /// `broker` has answered to the end, or has sent something that was appended: how an answer
    /// begins says nothing yet.
    pub(super) fn did_well(&mut self, broker: BrokerId) {
        if let Some(known) = self.brokers.get_mut(&broker) {
            known.backoff.reset();
        }
    }
}

/// The lane on which `broker` is asked for a partition: always the same one, spread evenly.
pub(super) fn lane_of(
    broker: BrokerId,
    topic: TopicId,
    partition: PartitionIndex,
    lanes: u16,
) -> LaneId {
    let id = u128::from_be_bytes(topic.bytes());
    let folded =
        u64::try_from((id >> 64) ^ (id & u128::from(u64::MAX))).expect("both halves have 64 bits");
    let spread = mix(folded ^ mix(u64::from(partition.value().unsigned_abs())));
    let number = u16::try_from(spread % u64::from(lanes)).expect("smaller than a 16-bit number");
    LaneId { broker, number }
}
