//! Where a handover stands: which partitions are still waited for, and what is to be asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::leaders::Replies;
use super::verdict::{Verdict, judge};
use super::{Drained, HandedOver, HandoverFault, Led, Options, millis};
use crate::model::{BrokerId, Instant, LeaderEpoch, TopicName, TopicPartition};
use crate::protocol::ErrorCode;
use crate::session::{ClusterView, PartitionAsked, Refusal};

/// A partition whose new leader has not been seen to be right.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    drained: &'a Drained,
    target: Vec<BrokerId>,
    leader: Option<(BrokerId, LeaderEpoch)>,
    last: Option<ErrorCode>,
}

/// Where a handover stands.
pub(super) struct Round<'a> {
    us: BrokerId,
    begun: Instant,
    options: Options,
    pub(super) waiting: BTreeMap<TopicPartition, Waiting<'a>>,
    /// What became of those that are waited for no longer, in the order in which it was known.
    pub(super) done: Vec<(TopicPartition, Result<Led, HandoverFault>)>,
}

/// What is to be asked of one leader.
pub(super) type Questions = BTreeMap<BrokerId, Vec<(PartitionAsked, LeaderEpoch)>>;

impl<'a> Round<'a> {
    pub(super) fn new(
        us: BrokerId,
        drained: &'a [Drained],
        begun: Instant,
        options: Options,
    ) -> Round<'a> {
        let mut round = Round {
            us,
            begun,
            options,
            waiting: BTreeMap::new(),
            done: Vec::new(),
        };
        for drained in drained {
            let id = drained.id.clone();
            let target = drained.target(us, &drained.in_sync);
            if target.is_empty() {
                let nobody = HandoverFault::NobodyInSync(id.clone());
                round.done.push((id, Err(nobody)));
                continue;
            }
            let waiting = Waiting {
                drained,
                target,
                leader: None,
                last: None,
            };
            round.waiting.insert(id, waiting);
        }
        round
    }

    pub(super) fn first_moves(&self) -> Vec<(TopicPartition, Vec<BrokerId>)> {
        let each = self.waiting.iter();
        each.map(|(id, waiting)| (id.clone(), waiting.target.clone()))
            .collect()
    }

    pub(super) fn refuse(&mut self, refused: BTreeMap<TopicPartition, Refusal>) {
        for (id, why) in refused {
            self.end(id.clone(), Err(HandoverFault::Refused { id, why }));
        }
    }

    fn end(&mut self, id: TopicPartition, outcome: Result<Led, HandoverFault>) {
        if self.waiting.remove(&id).is_some() {
            self.done.push((id, outcome));
        }
    }

    /// Tells of those that have not been told of yet.
    pub(super) fn tell(
        &self,
        told: &mut usize,
        hear: &mut dyn FnMut(&TopicPartition, &Result<Led, HandoverFault>),
    ) {
        for (id, outcome) in self.done.iter().skip(*told) {
            hear(id, outcome);
        }
        *told = self.done.len();
    }

    pub(super) fn into_done(self) -> HandedOver {
        self.done.into_iter().collect()
    }

    pub(super) fn topics(&self) -> Vec<TopicName> {
        let topics: BTreeSet<&TopicName> = self.waiting.keys().map(|id| &id.topic).collect();
        topics.into_iter().cloned().collect()
    }

    /// Takes in who leads what. Says what is to be reassigned once more: where somebody has fallen
    /// out of sync meanwhile, the controller waits for them, and leaves us in office.
    pub(super) fn look(&mut self, view: &ClusterView) -> Vec<(TopicPartition, Vec<BrokerId>)> {
        let us = self.us;
        let mut again = Vec::new();
        for topic in &view.topics {
            for seen in &topic.partitions {
                let id = TopicPartition {
                    topic: topic.name.clone(),
                    partition: seen.index,
                };
                let Some(waiting) = self.waiting.get_mut(&id) else {
                    continue;
                };
                let is_later = seen.epoch > waiting.drained.leader_epoch;
                waiting.leader = seen
                    .leader
                    .filter(|leader| *leader != us && is_later)
                    .map(|leader| (leader, seen.epoch));
                let still = waiting.drained.target(us, &seen.in_sync);
                let fewer = still.len() < waiting.target.len() && !still.is_empty();
                if seen.replicas.contains(&us) && fewer {
                    waiting.target.clone_from(&still);
                    again.push((id, still));
                }
            }
        }
        again
    }

    pub(super) fn questions(&self) -> Questions {
        let mut questions = Questions::new();
        for (id, waiting) in &self.waiting {
            if let Some((leader, leader_epoch)) = waiting.leader {
                let asked = PartitionAsked {
                    id: id.clone(),
                    leader_epoch,
                };
                let question = (asked, waiting.drained.leader_epoch);
                questions.entry(leader).or_default().push(question);
            }
        }
        questions
    }

    pub(super) fn judge(&mut self, leader: BrokerId, replies: Replies) {
        let Replies { ends, epochs } = replies;
        for (id, end) in ends {
            let Some(waiting) = self.waiting.get_mut(&id) else {
                continue;
            };
            let epoch_end = epochs.get(&id).copied();
            let epoch = waiting.leader.map(|(_, epoch)| epoch);
            match judge(waiting.drained, end, epoch_end) {
                Verdict::Same => {
                    let stock = waiting.drained.replicas.iter().copied();
                    let left_out = stock
                        .filter(|broker| *broker != self.us && !waiting.target.contains(broker));
                    let led = Led {
                        leader,
                        epoch: epoch.expect("it was asked as the leader"),
                        left_out: left_out.collect(),
                    };
                    self.end(id, Ok(led));
                }
                Verdict::Again(code) => waiting.last = Some(code),
                Verdict::Differs(theirs) => {
                    let fault = HandoverFault::Differs {
                        id: id.clone(),
                        leader,
                        ours: waiting.drained.log_end,
                        theirs,
                    };
                    self.end(id, Err(fault));
                }
            }
        }
    }

    pub(super) fn waited(&self) -> Duration {
        millis(self.options.timeout_ms)
    }

    pub(super) fn is_late(&self, now: Instant) -> bool {
        now.since(self.begun) >= self.waited()
    }

    pub(super) fn give_up(&mut self) {
        let waited = self.waited();
        for (id, waiting) in std::mem::take(&mut self.waiting) {
            let fault = match waiting.leader {
                None => HandoverFault::NotLed {
                    id: id.clone(),
                    waited,
                },
                Some((leader, _)) => HandoverFault::NotServed {
                    id: id.clone(),
                    leader,
                    code: waiting.last.unwrap_or(ErrorCode::LEADER_NOT_AVAILABLE),
                    waited,
                },
            };
            self.done.push((id, Err(fault)));
        }
    }
}
