//! The RPCs of KIP-1279 "Cluster Mirroring" in their version 0, each declared once.
//!
//! A message is its fields in the order in which they stand on the wire; all messages are flexible.
//! Keys and fields are those of the KIP's latest text; no release of Kafka has them yet.

mod field;
mod messages;
mod starts;
mod stops;

pub use messages::{
    AdminAnswer, AdminRequest, ClusterMirror, ClusterMirrorListing, CreateClusterMirrorRequest,
    CreateClusterMirrorResponse, DeleteClusterMirrorRequest, DeleteClusterMirrorResponse,
    DescribeClusterMirrorsRequest, DescribeClusterMirrorsResponse, ListClusterMirrorsRequest,
    ListClusterMirrorsResponse, MirrorConfig, MirrorPartition, MirrorTopic, MirrorTopicResult,
    PauseMirrorTopicsRequest, PauseMirrorTopicsResponse, RecoverMirrorTopicsRequest,
    RecoverMirrorTopicsResponse, ResumeMirrorTopicsRequest, ResumeMirrorTopicsResponse,
    StartMirrorTopicsRequest, StartMirrorTopicsResponse, StopMirrorTopicsRequest,
    StopMirrorTopicsResponse, StopTopicResult, TopicMetadata,
};

pub use starts::StartPlan;
pub use stops::{
    AbortedTransaction, ExportedStop, LogDigest, LostRange, StepBegun, StopPlan, StopReport,
};

use super::header::set_length;
use super::{ErrorCode, Malformed, Reader, Unread, Writer};
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
    type Answer: Message + Refusable;
}

/// An answer that may refuse the whole request.
pub trait Refusable {
    /// The code and the words, where it does.
    fn refusal(&self) -> Option<(ErrorCode, Option<&str>)>;
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

/// A whole request as a frame, its length included.
#[must_use]
pub fn frame<R: MirrorRequest>(request: &R, correlation: i32, client_id: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut to = Writer::new(&mut out);
    to.i32(0);
    to.i16(R::API_KEY);
    to.i16(VERSION);
    to.i32(correlation);
    to.string(client_id);
    to.no_tags();
    request.write(&mut out);
    set_length(&mut out, 0, 0);
    out
}

/// Reads a whole answer without its length, to the last byte.
///
/// # Errors
/// It answers another request, or is not what it should be.
pub fn answer<R: MirrorRequest>(content: &[u8], expected: i32) -> Result<R::Answer, Malformed> {
    let field = "the header of an answer";
    let mut reader = Reader::new(content);
    let read = |reader: &mut Reader<'_>| -> Result<i32, Unread> {
        let found = reader.i32()?;
        reader.tagged(|_, _| Ok(()))?;
        Ok(found)
    };
    let found = read(&mut reader);
    let found = found.map_err(|unread| unread.malformed_or(Malformed::BeyondFrame { field }))?;
    if found != expected {
        return Err(Malformed::Correlation { expected, found });
    }
    R::Answer::read(content.get(reader.taken()..).unwrap_or_default())
}

/// A whole answer as a frame, its length included.
#[must_use]
pub fn answer_frame(answer: &AdminAnswer, correlation: i32) -> Vec<u8> {
    let mut out = Vec::new();
    let mut to = Writer::new(&mut out);
    to.i32(0);
    to.i32(correlation);
    to.no_tags();
    answer.write(&mut out);
    set_length(&mut out, 0, 0);
    out
}

#[cfg(test)]
mod tests;
