//! The topics that a server was told of.

use crate::model::{BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId, TopicName, Watermarks};
use crate::protocol::ErrorCode;

/// A topic with all its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: TopicName,
    /// Its id.
    pub id: TopicId,
    /// Its partitions, from number 0 on without a gap.
    pub partitions: Vec<Partition>,
    /// Its settings, as they are told to whoever asks.
    pub settings: Vec<Setting>,
}

/// Where one partition stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Our epoch as its leader; none where we do not lead it.
    pub leader_epoch: LeaderEpoch,
    /// The ends of its log.
    pub watermarks: Watermarks,
    /// From here on we have its records; what comes before is with its other replicas only.
    pub held_from: Offset,
    /// Who has a replica of it beside us, and may follow.
    pub followers: Vec<BrokerId>,
    /// Others than the mirror have written to it, under another leader.
    pub holds_others: bool,
}

/// One setting of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: SettingSource,
}

/// Where the value of a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingSource {
    /// It was set for this topic.
    Topic,
    /// Nobody has set it.
    Default,
}

/// The end of a leader's epoch in one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// The offset after its last record.
    pub end: Offset,
}

/// Knows where leaders' epochs end in the logs; any such function will do.
pub trait EpochEnds {
    /// As Kafka's `LeaderEpochFileCache.endOffsetFor`: the largest epoch that is not above `epoch`,
    /// and where it ends; the log's end for the newest epoch. For an epoch older than all, that
    /// epoch itself and the start of the oldest; none for one newer than all.
    fn end_of(
        &self,
        topic: TopicId,
        partition: PartitionIndex,
        epoch: LeaderEpoch,
    ) -> Option<EpochEnd>;

    /// The epoch in which the record at `offset` was taken in; none where nobody knows.
    fn epoch_at(
        &self,
        _topic: TopicId,
        _partition: PartitionIndex,
        _offset: Offset,
    ) -> LeaderEpoch {
        LeaderEpoch::NONE
    }
}

impl<F> EpochEnds for F
where
    F: Fn(TopicId, PartitionIndex, LeaderEpoch) -> Option<EpochEnd>,
{
    fn end_of(
        &self,
        topic: TopicId,
        partition: PartitionIndex,
        epoch: LeaderEpoch,
    ) -> Option<EpochEnd> {
        self(topic, partition, epoch)
    }
}

impl Topic {
    /// A partition, by the number that a peer has stated.
    pub(super) fn partition(&self, index: i32) -> Option<&Partition> {
        usize::try_from(index)
            .ok()
            .and_then(|index| self.partitions.get(index))
    }

    pub(super) fn partition_mut(&mut self, index: PartitionIndex) -> Option<&mut Partition> {
        usize::try_from(index.value())
            .ok()
            .and_then(|index| self.partitions.get_mut(index))
    }

    /// Its partitions with their numbers.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (i32, &Partition)> {
        (0..).zip(&self.partitions)
    }
}

impl Partition {
    /// One that we do not lead, and know nothing of.
    pub(super) fn elsewhere() -> Partition {
        Partition {
            leader_epoch: LeaderEpoch::NONE,
            watermarks: Watermarks::empty_at(Offset::ZERO),
            held_from: Offset::ZERO,
            followers: Vec::new(),
            holds_others: false,
        }
    }

    /// Whether we still are the leader whom the asker means. Who does not know a leader's epoch
    /// means whoever leads.
    pub(super) fn led_in(&self, meant: LeaderEpoch) -> Result<(), ErrorCode> {
        if !self.leader_epoch.is_some() {
            Err(ErrorCode::NOT_LEADER_OR_FOLLOWER)
        } else if !meant.is_some() || meant == self.leader_epoch {
            Ok(())
        } else if meant < self.leader_epoch {
            Err(ErrorCode::FENCED_LEADER_EPOCH)
        } else {
            Err(ErrorCode::UNKNOWN_LEADER_EPOCH)
        }
    }
}
