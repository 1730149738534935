//! The shards' questions: to whom each goes, and which ones wait.

use std::collections::{BTreeMap, BTreeSet};

use super::errands::Errand;
use crate::model::{BrokerId, ShardId, TopicId, TopicPartition};
use crate::session::PartitionAsked;
use crate::shard::inbox::{Asked, CursorId, Question};

/// Questions that were not answered yet. Each broker has one batch of them under way at a time.
#[derive(Debug, Default)]
pub(super) struct Questions {
    waiting: BTreeMap<BrokerId, Vec<Errand>>,
    under_way: BTreeSet<BrokerId>,
    /// Who leads these? The next view of the source tells.
    leaders: Vec<LeaderAsked>,
}

/// Whose leader is asked for.
#[derive(Clone, Debug)]
pub(super) struct LeaderAsked {
    pub(super) shard: ShardId,
    pub(super) cursor: CursorId,
    pub(super) id: TopicPartition,
    pub(super) topic_id: TopicId,
}

impl Questions {
    /// Takes a question in. Says whether a new view of the source is wanted.
    pub(super) fn take(&mut self, shard: ShardId, asked: Asked) -> bool {
        let Asked { question, id } = asked;
        let Some((id, topic_id)) = id else {
            return true;
        };
        let (cursor, leader, leader_epoch, epoch) = match question {
            Question::Broker { .. } => return true,
            Question::Leader { cursor } => {
                self.leaders.push(LeaderAsked {
                    shard,
                    cursor,
                    id,
                    topic_id,
                });
                return true;
            }
            Question::EpochEnd {
                cursor,
                leader,
                leader_epoch,
                epoch,
            } => (cursor, leader, leader_epoch, Some(epoch)),
            Question::Bounds {
                cursor,
                leader,
                leader_epoch,
            } => (cursor, leader, leader_epoch, None),
        };
        self.waiting.entry(leader).or_default().push(Errand {
            shard,
            cursor,
            asked: PartitionAsked { id, leader_epoch },
            epoch,
        });
        false
    }

    /// The next broker that can be asked, and what.
    pub(super) fn next_batch(&mut self) -> Option<(BrokerId, Vec<Errand>)> {
        let free = self
            .waiting
            .keys()
            .find(|broker| !self.under_way.contains(broker));
        let broker = *free?;
        self.under_way.insert(broker);
        let batch = self.waiting.remove(&broker).expect("just found");
        Some((broker, batch))
    }

    /// The batch of `broker` is over.
    pub(super) fn answered(&mut self, broker: BrokerId) {
        self.under_way.remove(&broker);
    }

    /// Those who wait for a view of the source.
    pub(super) fn take_leaders(&mut self) -> Vec<LeaderAsked> {
        std::mem::take(&mut self.leaders)
    }
}
