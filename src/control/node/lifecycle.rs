//! What the machines of `mirror` decide, carried out: records read and written, actions begun.

use crate::io::{Clock, World};
use crate::mirror::{Desired, Ending, Input, Partition, PartitionKey, Record, Step};
use crate::model::{LeaderEpoch, TopicPartition};

use super::Node;
use super::event::Then;
use super::mirrored::Mirrored;

impl<W: World> Node<W> {
    /// A partition that was not known. This node alone writes its record, whoever leads it at the
    /// destination: there are no leaders to be told apart by.
    pub(super) fn begin(&mut self, key: &PartitionKey, id: TopicPartition, desired: Desired) {
        if let Some(one) = self.partitions.get_mut(key) {
            if desired == Desired::Stopped {
                one.progress.begin(self.world.clock().now());
            }
            return self.drive(key, Input::Wanted(desired));
        }
        let life = Partition::new(self.chosen.retry, desired);
        self.by_id.insert(id.clone(), key.clone());
        self.partitions.insert(key.clone(), Mirrored::new(id, life));
        self.drive(key, Input::Leads(LeaderEpoch::NONE));
    }

    /// Tells a partition's machine what has happened, and does what it answers.
    pub(super) fn drive(&mut self, key: &PartitionKey, input: Input) {
        let now = self.world.clock().now();
        let mut input = Some(input);
        while let Some(happened) = input.take() {
            let Some(one) = self.partitions.get_mut(key) else {
                return;
            };
            self.touched.insert(key.clone());
            match one.life.step(now, &mut self.chance, happened) {
                None => {}
                Some(Step::Read { ticket }) => {
                    let record = self.state().states().get(key).cloned();
                    input = Some(Input::Read { ticket, record });
                }
                Some(Step::Write {
                    ticket,
                    record,
                    over,
                }) => match self.state().fences(key, &record, over) {
                    Some(why) => input = Some(Input::Refused { ticket, why }),
                    None => {
                        let record = Record::State(key.clone(), Some(record));
                        let then = Then::State(key.clone(), ticket);
                        self.writes.push((record, then));
                    }
                },
                Some(Step::Act { ticket, action }) => one.begins(ticket, action),
                Some(Step::Wait { until }) => _ = self.timers.insert((until, key.clone())),
            }
        }
    }

    /// The action of a partition has come to its end.
    pub(super) fn ended(&mut self, key: &PartitionKey, how: Ending) {
        let Some(one) = self.partitions.get_mut(key) else {
            return;
        };
        if let Some((ticket, _)) = one.acting.take() {
            self.drive(key, Input::Ended { ticket, how });
        }
    }

    /// The action of a partition cannot be done, for now or for good.
    pub(super) fn fails(&mut self, key: &PartitionKey, why: String, is_retryable: bool) {
        if let Some(one) = self.partitions.get(key) {
            match is_retryable {
                true => tracing::warn!("{}: {why}", one.id),
                false => tracing::error!("{} fails: {why}", one.id),
            }
        }
        *self.failures.entry(key.mirror.clone()).or_default() += 1;
        self.ended(key, Ending::Failed { why, is_retryable });
    }
}
