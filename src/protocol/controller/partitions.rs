//! AlterPartition: a leader asks for other replicas in sync.

use super::{ControllerCall, no_tags};
use crate::model::{BrokerEpoch, BrokerId, LeaderEpoch, PartitionIndex, TopicId};
use crate::protocol::ErrorCode;
use crate::protocol::metadata_record::Recovery;
use crate::protocol::primitive::{Malformed, Reader, Unread, Writer};

/// One partition's replicas in sync, as its leader wants them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsrChange {
    /// The partition's topic.
    pub topic: TopicId,
    /// Its number.
    pub partition: PartitionIndex,
    /// The leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// The state that is to be changed.
    pub partition_epoch: i32,
    /// Who is to be in sync, the leader included, each in which life.
    pub isr: Vec<(BrokerId, BrokerEpoch)>,
}

/// Changes of partitions that we lead; those of one topic stand together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterPartition {
    /// Our node id.
    pub broker: BrokerId,
    /// The epoch of our life.
    pub epoch: BrokerEpoch,
    /// The changes, by topic.
    pub changes: Vec<IsrChange>,
}

/// What became of one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsrAnswer {
    /// The partition's topic.
    pub topic: TopicId,
    /// Its number.
    pub partition: PartitionIndex,
    /// Why not.
    pub error: ErrorCode,
    /// Who leads it.
    pub leader: Option<BrokerId>,
    /// In which epoch.
    pub leader_epoch: LeaderEpoch,
    /// Who is in sync now.
    pub isr: Vec<BrokerId>,
    /// Whether the leader has to recover.
    pub recovery: Recovery,
    /// Counts all changes.
    pub partition_epoch: i32,
}

/// What became of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterPartitionAnswer {
    /// Why nothing was looked at.
    pub error: ErrorCode,
    /// Each change.
    pub partitions: Vec<IsrAnswer>,
}

impl ControllerCall for AlterPartition {
    const KEY: i16 = 56;
    const NAME: &'static str = "AlterPartition";
    const VERSIONS: (i16, i16) = (3, 3);
    type Answer = AlterPartitionAnswer;

    fn write(&self, _version: i16, to: &mut Writer<'_>) {
        to.i32(self.broker.0);
        to.i64(self.epoch.value());
        let topics: Vec<&[IsrChange]> = self
            .changes
            .chunk_by(|one, next| one.topic == next.topic)
            .collect();
        to.list(topics.iter(), |to, changes| {
            let topic = changes.first().expect("no chunk is empty").topic;
            to.bytes(&topic.bytes());
            to.list(changes.iter(), |to, change| {
                to.i32(change.partition.value());
                to.i32(change.leader_epoch.value());
                to.list(change.isr.iter(), |to, (broker, epoch)| {
                    to.i32(broker.0);
                    to.i64(epoch.value());
                    to.no_tags();
                });
                // What an unclean election left is recovered before anything is proposed.
                to.i8(0);
                to.i32(change.partition_epoch);
                to.no_tags();
            });
            to.no_tags();
        });
        to.no_tags();
    }

    fn read(_version: i16, from: &mut Reader<'_>) -> Result<AlterPartitionAnswer, Unread> {
        let _throttled_ms = from.i32()?;
        let error = ErrorCode(from.i16()?);
        let mut partitions = Vec::new();
        from.list(18, "topics", |from| {
            let topic = TopicId::new(from.uuid()?);
            let found = from.list(21, "partitions", |from| partition(from, topic))?;
            partitions.extend(found.unwrap_or_default());
            no_tags(from)
        })?;
        no_tags(from)?;
        Ok(AlterPartitionAnswer { error, partitions })
    }
}

fn partition(from: &mut Reader<'_>, topic: TopicId) -> Result<IsrAnswer, Unread> {
    let number = from.i32()?;
    let field = "a partition's number";
    let partition = PartitionIndex::new(number).ok_or(Malformed::Impossible {
        field,
        value: i64::from(number),
    })?;
    let error = ErrorCode(from.i16()?);
    let leader = from.i32()?;
    let leader_epoch = LeaderEpoch::new(from.i32()?);
    let isr = from.list(4, "replicas in sync", |from| Ok(BrokerId(from.i32()?)))?;
    let answer = IsrAnswer {
        topic,
        partition,
        error,
        leader: (leader >= 0).then_some(BrokerId(leader)),
        leader_epoch,
        isr: isr.unwrap_or_default(),
        recovery: Recovery::from_wire(from.i8()?)?,
        partition_epoch: from.i32()?,
    };
    no_tags(from)?;
    Ok(answer)
}
