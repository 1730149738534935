//! Changes of replicas in sync that wait for the controller, and what becomes of them.
//!
//! One request is under way at a time, and each partition has at most one change in it. What was
//! under way when a connection broke is asked for again: where the controller had taken it, it
//! says so by refusing the old partition epoch.

use std::collections::BTreeMap;

use super::Options;
use crate::model::{BrokerId, Instant, LeaderEpoch, PartitionIndex, TopicId};
use crate::protocol::ErrorCode;
use crate::protocol::controller::{AlterPartitionAnswer, IsrAnswer, IsrChange};

/// A partition, by its topic's id and its number.
pub type PartitionKey = (TopicId, PartitionIndex);

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is so.
    Committed {
        /// Who is in sync now.
        isr: Vec<BrokerId>,
        /// The leader's epoch.
        leader_epoch: LeaderEpoch,
        /// Counts all changes.
        partition_epoch: i32,
    },
    /// It is as it was before; another change may be proposed.
    Reverted(ErrorCode),
    /// The metadata log will say what is so; nothing is to be proposed before.
    Overtaken(ErrorCode),
}

/// Changes on their way to the controller.
#[derive(Debug, Default)]
pub(super) struct Proposals {
    waiting: BTreeMap<PartitionKey, IsrChange>,
    under_way: BTreeMap<PartitionKey, IsrChange>,
    not_before: Instant,
    failures: u32,
}

impl Proposals {
    /// Puts a change in line, in the place of an older one that still waits.
    pub(super) fn put(&mut self, change: IsrChange) {
        self.waiting
            .insert((change.topic, change.partition), change);
    }

    /// The next changes, where it is time for any.
    pub(super) fn next(&mut self, now: Instant, options: &Options) -> Option<Vec<IsrChange>> {
        if self.waiting.is_empty() || !self.under_way.is_empty() || now < self.not_before {
            return None;
        }
        let most = usize::try_from(options.proposals_max).unwrap_or(usize::MAX);
        let split = self.waiting.keys().nth(most).copied();
        let later = split.map(|key| self.waiting.split_off(&key));
        self.under_way = std::mem::replace(&mut self.waiting, later.unwrap_or_default());
        Some(self.under_way.values().cloned().collect())
    }

    /// When the next request may leave, if one waits.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waits = !self.waiting.is_empty() && self.under_way.is_empty();
        waits.then_some(self.not_before)
    }

    /// What was under way is asked for again, unless something newer was proposed meanwhile.
    pub(super) fn lost(&mut self, now: Instant, options: &Options) {
        self.not_before = now.after(options.backoff(self.failures));
        self.failures = self.failures.saturating_add(1);
        for (key, change) in std::mem::take(&mut self.under_way) {
            self.waiting.entry(key).or_insert(change);
        }
    }

    /// Nothing is proposed any more, by a broker in a life that is over.
    pub(super) fn forget(&mut self) {
        *self = Proposals::default();
    }

    /// Takes the controller's answer to what was under way. A change of which it says nothing is
    /// asked for again.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        answer: &AlterPartitionAnswer,
        options: &Options,
    ) -> Vec<(PartitionKey, Fate)> {
        let mut fates = Vec::new();
        for told in &answer.partitions {
            let key = (told.topic, told.partition);
            if !self.under_way.contains_key(&key) {
                continue;
            }
            if let Some(fate) = fate(told) {
                self.under_way.remove(&key);
                fates.push((key, fate));
            }
        }
        match self.under_way.is_empty() {
            true => self.failures = 0,
            false => self.lost(now, options),
        }
        fates
    }
}

/// What an answer means; none where it is worth asking again.
fn fate(told: &IsrAnswer) -> Option<Fate> {
    match told.error {
        ErrorCode::NONE => Some(Fate::Committed {
            isr: told.isr.clone(),
            leader_epoch: told.leader_epoch,
            partition_epoch: told.partition_epoch,
        }),
        code @ (ErrorCode::INELIGIBLE_REPLICA | ErrorCode::OPERATION_NOT_ATTEMPTED) => {
            Some(Fate::Reverted(code))
        }
        code @ (ErrorCode::FENCED_LEADER_EPOCH
        | ErrorCode::INVALID_UPDATE_VERSION
        | ErrorCode::INVALID_REQUEST
        | ErrorCode::UNKNOWN_TOPIC_ID
        | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::NEW_LEADER_ELECTED) => Some(Fate::Overtaken(code)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
