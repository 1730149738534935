//! The records of a KRaft cluster's metadata log, each read where it lies.
//!
//! A record's value is its frame's version (1), its kind and its version as variable-length
//! numbers, then its fields; all kinds have compact lengths and tagged fields in all versions.
//! What we read of each, with its versions (facts of Kafka 3.9 to 4.3; `[3+]` is there from that
//! version on, `#0` is a tagged field, `?` may be none):
//!
//! ```text
//!  0 RegisterBroker 0–4: broker i32, migrating bool [2+], incarnation uuid, epoch i64,
//!      endpoints (name, host, port u16, security i16), features (name, least i16, most i16),
//!      rack?, fenced bool, shutting down bool [1+], #0 directories [3+], #1 cordoned? [4+]
//!  1 UnregisterBroker 0: broker i32, epoch i64
//!  2 Topic 0: name, id uuid
//!  3 Partition 0–2: number i32, topic uuid, replicas, in sync, removing, adding, leader i32,
//!      #0 recovery i8, leader epoch i32, partition epoch i32, directories [1+],
//!      #1 eligible? [2+], #2 last known? [2+]
//!  4 Config 0: resource kind i8, resource, name, value?
//!  5 PartitionChange 0–2: number i32, topic uuid, #0 in sync?, #1 leader i32, #2 replicas?,
//!      #3 removing?, #4 adding?, #5 recovery i8, #6 eligible? [2+], #7 last known? [2+],
//!      #8 directories? [1+]
//!  7 FenceBroker 0, 8 UnfenceBroker 0: broker i32, epoch i64
//!  9 RemoveTopic 0: id uuid
//! 12 FeatureLevel 0: name, level i16
//! 15 ProducerIds 0: broker i32, epoch i64, next id i64
//! 17 BrokerRegistrationChange 0–3: broker i32, epoch i64, #0 fenced i8,
//!      #1 shutting down i8 [1+], #2 directories [2+], #3 cordoned? [3+]
//! 18 AccessControlEntry 0: id uuid, resource kind i8, resource, pattern i8, principal, host,
//!      operation i8, permission i8
//! 19 RemoveAccessControlEntry 0: id uuid
//! 23 BeginTransaction 0, 25 AbortTransaction 0: #0 name or reason; 24 EndTransaction 0
//! 28 ClearElr 0: topic's name, empty for all
//! ```
//!
//! Passed over unread, in whatever version, since no decision of ours rests on them: 10 and 26
//! delegation tokens, 11 and 22 SCRAM credentials, 14 client quotas, 20 NoOp, 21 ZooKeeper
//! migration, 27 controllers' registrations. Everything else is refused: a kind that we do not
//! know, or a newer version of one that we read, may say what would make our picture wrong.

mod brokers;
mod partitions;
#[cfg(test)]
pub(crate) mod spoken;

use super::primitive::{Malformed, Reader, Unread};
use crate::model::{BrokerEpoch, BrokerId, PartitionIndex, ProducerId, TopicId, TopicName, Uuid};

pub use brokers::{FeatureRange, Listener, RegisterBroker, RegistrationChange};
pub use partitions::{NewPartition, PartitionChange, Recovery};

const FRAME_VERSION: u32 = 1;

/// One record, as far as we read it; texts lie where they were read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataRecord<'b> {
    /// A broker is there, or has another face.
    RegisterBroker(RegisterBroker<'b>),
    /// A broker is forgotten.
    UnregisterBroker {
        /// Which.
        broker: BrokerId,
        /// In which life.
        epoch: BrokerEpoch,
    },
    /// A topic is made.
    Topic {
        /// Its name.
        name: TopicName,
        /// Its id.
        id: TopicId,
    },
    /// A partition is made, or told whole.
    Partition(NewPartition),
    /// A setting is set or removed.
    Config {
        /// Of what kind of thing: 2 is a topic, 4 a broker.
        kind: i8,
        /// Of which one; empty for the default of all brokers.
        resource: &'b str,
        /// The setting.
        name: &'b str,
        /// Its value; none removes it.
        value: Option<&'b str>,
    },
    /// A partition changes.
    PartitionChange(PartitionChange),
    /// A broker is fenced, in the older words.
    FenceBroker {
        /// Which.
        broker: BrokerId,
        /// In which life.
        epoch: BrokerEpoch,
    },
    /// A broker is unfenced, in the older words.
    UnfenceBroker {
        /// Which.
        broker: BrokerId,
        /// In which life.
        epoch: BrokerEpoch,
    },
    /// A topic is deleted.
    RemoveTopic {
        /// Its id.
        id: TopicId,
    },
    /// A feature has this level from now on; 0 is none.
    FeatureLevel {
        /// The feature.
        name: &'b str,
        /// Its level.
        level: i16,
    },
    /// Producer ids below this one have been given out.
    ProducerIds {
        /// The first that has not.
        next: Option<ProducerId>,
    },
    /// A broker's state changes.
    RegistrationChange(RegistrationChange),
    /// A right is granted or denied.
    AccessControlEntry(AccessControl<'b>),
    /// A right or its denial is taken back.
    RemoveAccessControlEntry {
        /// Its id.
        id: Uuid,
    },
    /// What follows counts only once it is ended.
    BeginTransaction,
    /// What has been begun counts.
    EndTransaction,
    /// What has been begun is void.
    AbortTransaction,
    /// Eligible replicas beside those in sync are forgotten.
    ClearElr {
        /// Of this topic; none for all.
        topic: Option<TopicName>,
    },
    /// Something that no decision of ours rests on.
    Passed {
        /// Its kind.
        kind: u32,
    },
}

/// A right of somebody, as an authorizer keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessControl<'b> {
    /// Its id.
    pub id: Uuid,
    /// To what kind of thing.
    pub resource_kind: i8,
    /// To which one, or to those whose name begins so.
    pub resource: &'b str,
    /// How the name is meant.
    pub pattern: i8,
    /// Whose right.
    pub principal: &'b str,
    /// From where.
    pub host: &'b str,
    /// To do what.
    pub operation: i8,
    /// Granted or denied.
    pub permission: i8,
}

/// Why a record cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// It says nothing.
    #[error("a record without a value")]
    Empty,
    /// Another way of framing.
    #[error("a record in a frame of version {found}; only {FRAME_VERSION} is known")]
    Frame {
        /// What it says.
        found: u32,
    },
    /// Its fields are not what they should be.
    #[error("a record of kind {kind} in version {version}: {fault}")]
    Malformed {
        /// Its kind.
        kind: u32,
        /// Its version.
        version: u32,
        /// What is wrong.
        fault: Malformed,
    },
    /// A kind that we have not heard of.
    #[error(
        "a record of the unknown kind {kind} (version {version}): the cluster's metadata.version \
         is newer than this twinlog knows"
    )]
    Unknown {
        /// Its kind.
        kind: u32,
        /// Its version.
        version: u32,
    },
    /// A version that we have not heard of.
    #[error(
        "a record of kind {kind} in version {version}, of which {newest} is the newest known: the \
         cluster's metadata.version is newer than this twinlog knows"
    )]
    Version {
        /// Its kind.
        kind: u32,
        /// Its version.
        version: u32,
        /// The newest one that we read.
        newest: u32,
    },
}

/// The newest version that is read of a kind; `None` for those that are passed over.
fn newest(kind: u32) -> Option<Option<u32>> {
    match kind {
        0 => Some(Some(4)),
        3 | 5 => Some(Some(2)),
        17 => Some(Some(3)),
        1 | 2 | 4 | 7 | 8 | 9 | 12 | 15 | 18 | 19 | 23 | 24 | 25 | 28 => Some(Some(0)),
        10 | 11 | 14 | 20 | 21 | 22 | 26 | 27 => Some(None),
        _ => None,
    }
}

impl<'b> MetadataRecord<'b> {
    /// Reads the value of one record of the metadata log, to its last byte.
    ///
    /// # Errors
    /// Its bytes are not what they should be, or say what we have not learnt to understand.
    pub fn read(value: &'b [u8]) -> Result<MetadataRecord<'b>, RecordFault> {
        let mut reader = Reader::new(value);
        let (frame, kind, version) =
            head(&mut reader).map_err(|unread| RecordFault::Malformed {
                kind: 0,
                version: 0,
                fault: beyond(unread),
            })?;
        if frame != FRAME_VERSION {
            return Err(RecordFault::Frame { found: frame });
        }
        match newest(kind) {
            None => return Err(RecordFault::Unknown { kind, version }),
            Some(None) => return Ok(MetadataRecord::Passed { kind }),
            Some(Some(newest)) if version > newest => {
                return Err(RecordFault::Version {
                    kind,
                    version,
                    newest,
                });
            }
            Some(Some(_)) => {}
        }
        let malformed = |fault| RecordFault::Malformed {
            kind,
            version,
            fault,
        };
        let record = fields(&mut reader, kind, version);
        let record = record.map_err(|unread| malformed(beyond(unread)))?;
        match reader.left() {
            0 => Ok(record),
            left => Err(malformed(Malformed::LeftOver { left })),
        }
    }
}

/// All bytes of a record are here: whatever wants more claims too much.
fn beyond(unread: Unread) -> Malformed {
    unread.malformed_or(Malformed::BeyondFrame { field: "a field" })
}

fn head(reader: &mut Reader<'_>) -> Result<(u32, u32, u32), Unread> {
    Ok((
        reader.varint("the version of a frame")?,
        reader.varint("the kind of a record")?,
        reader.varint("the version of a record")?,
    ))
}

fn fields<'b>(
    reader: &mut Reader<'b>,
    kind: u32,
    version: u32,
) -> Result<MetadataRecord<'b>, Unread> {
    use MetadataRecord as Is;
    // These read their tagged fields themselves.
    match kind {
        0 => return RegisterBroker::read(reader, version).map(Is::RegisterBroker),
        3 => return NewPartition::read(reader, version).map(Is::Partition),
        5 => return PartitionChange::read(reader).map(Is::PartitionChange),
        17 => return RegistrationChange::read(reader).map(Is::RegistrationChange),
        _ => {}
    }
    let record = match kind {
        1 | 7 | 8 => {
            let broker = BrokerId(reader.i32()?);
            let epoch = BrokerEpoch::new(reader.i64()?);
            match kind {
                1 => Is::UnregisterBroker { broker, epoch },
                7 => Is::FenceBroker { broker, epoch },
                _ => Is::UnfenceBroker { broker, epoch },
            }
        }
        2 => Is::Topic {
            name: topic_name(required(reader, "a topic's name")?)?,
            id: TopicId::new(reader.uuid()?),
        },
        4 => Is::Config {
            kind: reader.i8()?,
            resource: required(reader, "a setting's resource")?,
            name: required(reader, "a setting's name")?,
            value: reader.text("a setting's value")?,
        },
        9 => Is::RemoveTopic {
            id: TopicId::new(reader.uuid()?),
        },
        12 => Is::FeatureLevel {
            name: required(reader, "a feature's name")?,
            level: reader.i16()?,
        },
        15 => {
            let _whose = (reader.i32()?, reader.i64()?);
            Is::ProducerIds {
                next: ProducerId::from_wire(reader.i64()?),
            }
        }
        18 => Is::AccessControlEntry(access_control(reader)?),
        19 => Is::RemoveAccessControlEntry {
            id: Uuid::new(reader.uuid()?),
        },
        23 => Is::BeginTransaction,
        24 => Is::EndTransaction,
        25 => Is::AbortTransaction,
        28 => {
            let name = required(reader, "a topic's name")?;
            let topic = match name {
                "" => None,
                name => Some(topic_name(name)?),
            };
            Is::ClearElr { topic }
        }
        kind => unreachable!("kind {kind} is in the table and not read"),
    };
    reader.tagged(|_, _| Ok(()))?;
    Ok(record)
}

fn access_control<'b>(reader: &mut Reader<'b>) -> Result<AccessControl<'b>, Unread> {
    Ok(AccessControl {
        id: Uuid::new(reader.uuid()?),
        resource_kind: reader.i8()?,
        resource: required(reader, "a resource's name")?,
        pattern: reader.i8()?,
        principal: required(reader, "a principal")?,
        host: required(reader, "a principal's host")?,
        operation: reader.i8()?,
        permission: reader.i8()?,
    })
}

/// A text that must be there.
fn required<'b>(reader: &mut Reader<'b>, field: &'static str) -> Result<&'b str, Unread> {
    let text = reader.text(field)?;
    text.ok_or_else(|| Malformed::Impossible { field, value: -1 }.into())
}

fn topic_name(name: &str) -> Result<TopicName, Unread> {
    let field = "a topic's name";
    TopicName::new(name).ok_or_else(|| Malformed::Text { field }.into())
}

fn partition_index(reader: &mut Reader<'_>) -> Result<PartitionIndex, Unread> {
    let value = reader.i32()?;
    let field = "a partition's number";
    PartitionIndex::new(value).ok_or_else(|| {
        Malformed::Impossible {
            field,
            value: i64::from(value),
        }
        .into()
    })
}

/// Brokers, by their ids.
fn broker_ids(
    reader: &mut Reader<'_>,
    field: &'static str,
) -> Result<Option<Vec<BrokerId>>, Unread> {
    reader.list(4, field, |reader| Ok(BrokerId(reader.i32()?)))
}

fn uuids(reader: &mut Reader<'_>, field: &'static str) -> Result<Option<Vec<Uuid>>, Unread> {
    reader.list(16, field, |reader| Ok(Uuid::new(reader.uuid()?)))
}

#[cfg(test)]
mod tests;
