//! AssignReplicasToDirs: a broker says in which of its directories it has replicas.

use super::{ControllerCall, no_tags};
use crate::model::{BrokerEpoch, BrokerId, PartitionIndex, TopicId, Uuid};
use crate::protocol::ErrorCode;
use crate::protocol::primitive::{Reader, Unread, Writer};

/// Replicas that lie in our only directory; those of one topic stand together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignReplicas {
    /// Our node id.
    pub broker: BrokerId,
    /// The epoch of our life.
    pub epoch: BrokerEpoch,
    /// The directory.
    pub directory: Uuid,
    /// Which replicas.
    pub replicas: Vec<(TopicId, PartitionIndex)>,
}

impl ControllerCall for AssignReplicas {
    const KEY: i16 = 73;
    const NAME: &'static str = "AssignReplicasToDirs";
    const VERSIONS: (i16, i16) = (0, 0);
    /// The first error of all, or none.
    type Answer = ErrorCode;

    fn write(&self, _version: i16, to: &mut Writer<'_>) {
        to.i32(self.broker.0);
        to.i64(self.epoch.value());
        to.list([self.directory].iter(), |to, directory| {
            to.bytes(&directory.bytes());
            let topics = self.replicas.chunk_by(|(one, _), (next, _)| one == next);
            let topics: Vec<&[(TopicId, PartitionIndex)]> = topics.collect();
            to.list(topics.iter(), |to, replicas| {
                let (topic, _) = replicas.first().expect("no chunk is empty");
                to.bytes(&topic.bytes());
                to.list(replicas.iter(), |to, (_, partition)| {
                    to.i32(partition.value());
                    to.no_tags();
                });
                to.no_tags();
            });
            to.no_tags();
        });
        to.no_tags();
    }

    fn read(_version: i16, from: &mut Reader<'_>) -> Result<ErrorCode, Unread> {
        let _throttled_ms = from.i32()?;
        let mut errors = vec![ErrorCode(from.i16()?)];
        from.list(18, "directories", |from| {
            from.uuid()?;
            from.list(18, "topics", |from| {
                from.uuid()?;
                from.list(7, "partitions", |from| {
                    let _number = from.i32()?;
                    errors.push(ErrorCode(from.i16()?));
                    no_tags(from)
                })?;
                no_tags(from)
            })?;
            no_tags(from)
        })?;
        no_tags(from)?;
        let first = errors.into_iter().find(|error| *error != ErrorCode::NONE);
        Ok(first.unwrap_or(ErrorCode::NONE))
    }
}
