//! Records that say who has a partition and who leads it.

use super::{broker_ids, partition_index};
use crate::model::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};
use crate::protocol::primitive::{Malformed, Reader, Unread};

/// Whether a leader may have to recover what an unclean election has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recovery {
    /// Nothing is left to do.
    #[default]
    Recovered,
    /// The leader was elected uncleanly and has not said yet that it is done.
    Recovering,
}

impl Recovery {
    /// As on the wire.
    ///
    /// # Errors
    /// Neither of the two.
    pub fn from_wire(value: i8) -> Result<Recovery, Malformed> {
        match value {
            0 => Ok(Recovery::Recovered),
            1 => Ok(Recovery::Recovering),
            value => Err(Malformed::Impossible {
                field: "a leader's recovery state",
                value: i64::from(value),
            }),
        }
    }
}

/// A partition as it is told whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPartition {
    /// Its topic.
    pub topic: TopicId,
    /// Its number.
    pub partition: PartitionIndex,
    /// Who has it; the first is the preferred leader.
    pub replicas: Vec<BrokerId>,
    /// Who of them is in sync.
    pub isr: Vec<BrokerId>,
    /// Who is to lose it.
    pub removing: Vec<BrokerId>,
    /// Who is to get it.
    pub adding: Vec<BrokerId>,
    /// Who leads it.
    pub leader: Option<BrokerId>,
    /// The leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// Counts all changes.
    pub partition_epoch: i32,
    /// Whether the leader has to recover.
    pub recovery: Recovery,
    /// Who else may be elected cleanly.
    pub elr: Vec<BrokerId>,
    /// Who was last known to be of those.
    pub last_known_elr: Vec<BrokerId>,
}

impl NewPartition {
    pub(super) fn read(reader: &mut Reader<'_>, version: u32) -> Result<NewPartition, Unread> {
        let partition = partition_index(reader)?;
        let mut record = NewPartition {
            topic: TopicId::new(reader.uuid()?),
            partition,
            replicas: broker_ids(reader, "replicas")?.unwrap_or_default(),
            isr: broker_ids(reader, "replicas in sync")?.unwrap_or_default(),
            removing: broker_ids(reader, "replicas to remove")?.unwrap_or_default(),
            adding: broker_ids(reader, "replicas to add")?.unwrap_or_default(),
            leader: leader(reader.i32()?),
            leader_epoch: LeaderEpoch::new(reader.i32()?),
            partition_epoch: reader.i32()?,
            recovery: Recovery::Recovered,
            elr: Vec::new(),
            last_known_elr: Vec::new(),
        };
        if version >= 1 {
            // On which disk of a broker a replica lies is that broker's own affair.
            let count = reader.count(16, "directories")?.unwrap_or(0);
            let _directories = reader.bytes(count.saturating_mul(16))?;
        }
        reader.tagged(|tag, mut field| {
            let field = &mut field;
            match tag {
                0 => record.recovery = Recovery::from_wire(field.i8()?)?,
                1 => record.elr = broker_ids(field, "eligible replicas")?.unwrap_or_default(),
                2 => {
                    record.last_known_elr =
                        broker_ids(field, "eligible replicas")?.unwrap_or_default();
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(record)
    }
}

/// What has changed about a partition; none where it has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionChange {
    /// Its topic.
    pub topic: TopicId,
    /// Its number.
    pub partition: PartitionIndex,
    /// Who is in sync.
    pub isr: Option<Vec<BrokerId>>,
    /// Who leads it, or that nobody does. Each change of leader is a new epoch, the same leader's
    /// new term included.
    pub leader: Option<Option<BrokerId>>,
    /// Who has it.
    pub replicas: Option<Vec<BrokerId>>,
    /// Who is to lose it.
    pub removing: Option<Vec<BrokerId>>,
    /// Who is to get it.
    pub adding: Option<Vec<BrokerId>>,
    /// Whether the leader has to recover.
    pub recovery: Option<Recovery>,
    /// Who else may be elected cleanly.
    pub elr: Option<Vec<BrokerId>>,
    /// Who was last known to be of those.
    pub last_known_elr: Option<Vec<BrokerId>>,
}

impl PartitionChange {
    /// A change that changes nothing but the partition's epoch.
    #[must_use]
    pub fn of(topic: TopicId, partition: PartitionIndex) -> PartitionChange {
        PartitionChange {
            topic,
            partition,
            isr: None,
            leader: None,
            replicas: None,
            removing: None,
            adding: None,
            recovery: None,
            elr: None,
            last_known_elr: None,
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<PartitionChange, Unread> {
        let partition = partition_index(reader)?;
        let mut change = PartitionChange::of(TopicId::new(reader.uuid()?), partition);
        reader.tagged(|tag, mut field| {
            let field = &mut field;
            match tag {
                0 => change.isr = broker_ids(field, "replicas in sync")?,
                1 => change.leader = changed_leader(field.i32()?),
                2 => change.replicas = broker_ids(field, "replicas")?,
                3 => change.removing = broker_ids(field, "replicas to remove")?,
                4 => change.adding = broker_ids(field, "replicas to add")?,
                5 => {
                    let state = field.i8()?;
                    let is_told = state != -1;
                    change.recovery = is_told.then(|| Recovery::from_wire(state)).transpose()?;
                }
                6 => change.elr = broker_ids(field, "eligible replicas")?,
                7 => change.last_known_elr = broker_ids(field, "eligible replicas")?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(change)
    }
}

/// −1 is nobody.
fn leader(id: i32) -> Option<BrokerId> {
    (id >= 0).then_some(BrokerId(id))
}

/// −2 is no change.
fn changed_leader(id: i32) -> Option<Option<BrokerId>> {
    (id != -2).then(|| leader(id))
}
