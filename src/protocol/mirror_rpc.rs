//! The RPCs of KIP-1279 "Cluster Mirroring" in their version 0, each declared once.
//!
//! A message is its fields in the order in which they stand on the wire; all messages are flexible.
//! Keys and fields are those of the KIP's latest text; no release of Kafka has them yet.

mod field;
mod messages;

pub use messages::{
    ClusterMirror, ClusterMirrorListing, CreateClusterMirrorRequest, CreateClusterMirrorResponse,
    DeleteClusterMirrorRequest, DeleteClusterMirrorResponse, DescribeClusterMirrorsRequest,
    DescribeClusterMirrorsResponse, ListClusterMirrorsRequest, ListClusterMirrorsResponse,
    MirrorConfig, MirrorPartition, MirrorTopic, MirrorTopicResult, PauseMirrorTopicsRequest,
    PauseMirrorTopicsResponse, RecoverMirrorTopicsRequest, RecoverMirrorTopicsResponse,
    ResumeMirrorTopicsRequest, ResumeMirrorTopicsResponse, StartMirrorTopicsRequest,
    StartMirrorTopicsResponse, StopMirrorTopicsRequest, StopMirrorTopicsResponse, TopicMetadata,
};

use super::{Malformed, Reader, Unread, Writer};
use field::Field;

/// The only version that there is.
pub const VERSION: i16 = 0;

/// A request of the KIP: its key, and what answers it.
pub trait MirrorRequest: Message {
    /// The API key.
    const API_KEY: i16;
    /// The KIP's name of the request.
    const NAME: &'static str;
    /// What answers it.
    type Answer: Message;
}

/// The body of a request or an answer.
pub trait Message: Sized {
    /// Reads it from the bytes behind the header, all of them.
    ///
    /// # Errors
    /// They are another message, or more than one.
    fn read(bytes: &[u8]) -> Result<Self, Malformed>;

    /// Appends it.
    fn write(&self, out: &mut Vec<u8>);
}

impl<F: Field> Message for F {
    fn read(bytes: &[u8]) -> Result<F, Malformed> {
        let mut reader = Reader::new(bytes);
        let message = F::take(&mut reader, "a message").map_err(|fault: Unread| {
            let field = "a message";
            fault.malformed_or(Malformed::BeyondFrame { field })
        })?;
        match reader.left() {
            0 => Ok(message),
            left => Err(Malformed::LeftOver { left }),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.put(&mut Writer::new(out));
    }
}

#[cfg(test)]
mod tests;
