//! What a broker and its controller say to each other, and what any broker says of controllers:
//! each request once, written and its answer
//! read by hand.
//!
//! All of these are of the flexible encoding in every version that is spoken here. Answers are
//! hostile until read: no count is believed before the bytes for it are there.

mod cluster;
mod directories;
mod heartbeat;
mod metadata_fetch;
mod partitions;
mod producer_ids;
mod quorum;
mod registration;

use super::fetch::Endpoint;
use super::primitive::{Malformed, Reader, Unread, Writer};
use crate::model::BrokerId;

pub use cluster::{ClusterAnswer, DescribeCluster, Unregister, UnregisterAnswer};
pub use directories::AssignReplicas;
pub use heartbeat::{Heartbeat, HeartbeatAnswer};
pub use metadata_fetch::{
    METADATA_TOPIC, METADATA_TOPIC_ID, MetadataAnswer, MetadataFetch, SnapshotAnswer,
    SnapshotFetch, SnapshotId,
};
pub use partitions::{AlterPartition, AlterPartitionAnswer, IsrAnswer, IsrChange};
pub use producer_ids::{AllocateProducerIds, ProducerIdsAnswer};
pub use quorum::{DescribeQuorum, QuorumAnswer};
pub use registration::{Registration, RegistrationAnswer};

/// A request to a controller.
pub trait ControllerCall {
    /// Kafka's number of it.
    const KEY: i16;
    /// Its name, for people.
    const NAME: &'static str;
    /// The oldest and the newest version that is spoken.
    const VERSIONS: (i16, i16);
    /// What is answered.
    type Answer;

    /// Writes the request's own fields.
    fn write(&self, version: i16, to: &mut Writer<'_>);

    /// Reads the answer's own fields.
    ///
    /// # Errors
    /// They are not what they should be.
    fn read(version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Unread>;
}

/// Whom a node holds for the quorum's leader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The leader, if there is one.
    pub leader: Option<BrokerId>,
    /// The quorum's epoch; −1 where it is not told.
    pub epoch: i32,
    /// Where controllers listen, as far as it is told.
    pub endpoints: Vec<Endpoint>,
}

/// A whole request as a frame, its length included.
#[must_use]
pub fn frame<C: ControllerCall>(
    call: &C,
    version: i16,
    correlation: i32,
    client_id: &str,
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut to = Writer::new(&mut out);
    to.i32(0);
    to.i16(C::KEY);
    to.i16(version);
    to.i32(correlation);
    to.string(client_id);
    to.no_tags();
    call.write(version, &mut to);
    super::header::set_length(&mut out, 0, 0);
    out
}

/// Reads a whole answer without its length, to the last byte.
///
/// # Errors
/// It answers another request, or is not what it should be.
pub fn answer<C: ControllerCall>(
    content: &[u8],
    version: i16,
    correlation: i32,
) -> Result<C::Answer, Malformed> {
    let mut reader = Reader::new(content);
    let read = |reader: &mut Reader<'_>| -> Result<C::Answer, Unread> {
        let found = reader.i32()?;
        if found != correlation {
            return Err(Malformed::Correlation {
                expected: correlation,
                found,
            }
            .into());
        }
        no_tags(reader)?;
        C::read(version, reader)
    };
    let field = "a field of an answer";
    let answer = read(&mut reader)
        .map_err(|unread| unread.malformed_or(Malformed::BeyondFrame { field }))?;
    match reader.left() {
        0 => Ok(answer),
        left => Err(Malformed::LeftOver { left }),
    }
}

/// Tagged fields of which none is known.
fn no_tags(reader: &mut Reader<'_>) -> Result<(), Unread> {
    reader.tagged(|_, _| Ok(()))
}

fn text(reader: &mut Reader<'_>, field: &'static str) -> Result<String, Unread> {
    Ok(reader.text(field)?.unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests;
