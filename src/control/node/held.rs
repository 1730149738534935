//! Descriptions that wait for an end: whoever waits for a stop is answered as soon as there is
//! something to say, and asks no oftener than that.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::control::admin::AdminAnswer;
use crate::io::{Clock, World};
use crate::mirror::{PartitionKey, State};
use crate::model::{Instant, PartitionIndex, TopicName};
use crate::protocol::mirror_rpc::DescribeClusterMirrorsRequest;

use super::Node;

/// No answer is held back for longer: connections have to live.
const HOLD_MAX: Duration = Duration::from_secs(10);

/// A question that waits for its answer.
pub(super) struct Held {
    request: DescribeClusterMirrorsRequest,
    answer: oneshot::Sender<AdminAnswer>,
    until: Instant,
    /// One that was not at its end when it was looked at last.
    open: Option<PartitionKey>,
}

impl<W: World> Node<W> {
    /// Answers at once, or once all that is asked about has come to an end.
    pub(super) fn answer_or_hold(
        &mut self,
        request: DescribeClusterMirrorsRequest,
        answer: oneshot::Sender<AdminAnswer>,
    ) {
        let hold = Duration::from_millis(u64::try_from(request.hold_ms).unwrap_or(0));
        let open = match hold.is_zero() {
            true => None,
            false => self.open_one(&request),
        };
        if open.is_none() {
            // Whoever has gone away does not want it.
            drop(answer.send(AdminAnswer::Describe(self.describe(&request))));
            return;
        }
        let until = self.world.clock().now().after(hold.min(HOLD_MAX));
        self.held.push(Held {
            request,
            answer,
            until,
            open,
        });
    }

    /// Answers those that have waited for long enough.
    pub(super) fn answer_held(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let now = self.world.clock().now();
        for mut held in std::mem::take(&mut self.held) {
            if now < held.until {
                let is_open = held.open.as_ref().is_some_and(|key| self.is_open(key));
                if !is_open {
                    held.open = self.open_one(&held.request);
                }
                if held.open.is_some() {
                    self.held.push(held);
                    continue;
                }
            }
            let said = AdminAnswer::Describe(self.describe(&held.request));
            drop(held.answer.send(said));
        }
    }

    pub(super) fn held_deadline(&self) -> Option<Instant> {
        self.held.iter().map(|held| held.until).min()
    }

    /// A partition that a question is about and that is neither stopped nor has failed.
    fn open_one(&self, request: &DescribeClusterMirrorsRequest) -> Option<PartitionKey> {
        let registry = self.state().registry();
        let topics = request.topic_names.iter().flatten();
        let mut keys = topics.flat_map(|topic| {
            let known = TopicName::new(topic).and_then(|name| registry.topic(&name));
            known.into_iter().flat_map(|known| {
                let count = i32::try_from(known.partitions).unwrap_or(i32::MAX);
                (0..count).map(|index| PartitionKey {
                    mirror: known.mirror.clone(),
                    topic: known.id,
                    partition: PartitionIndex::new(index).expect("counted from 0"),
                })
            })
        });
        keys.find(|key| self.is_open(key))
    }

    fn is_open(&self, key: &PartitionKey) -> bool {
        let record = self.state().states().get(key);
        record.is_none_or(|record| !matches!(record.state, State::Stopped | State::Failed))
    }
}
