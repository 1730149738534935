//! Answers to the rare questions: walked by their shapes, then read by the generated decoder.

mod destination;

use bytes::Bytes;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, ApiVersionsRequest, DescribeClusterRequest,
    DescribeConfigsRequest, DescribeLogDirsRequest, IncrementalAlterConfigsRequest,
    ListOffsetsRequest, MetadataRequest, OffsetForLeaderEpochRequest,
};
use kafka_protocol::protocol::{Decodable, HeaderVersion, Request};

use crate::protocol::frame::LENGTH_BYTES;
use crate::protocol::shape::Shape::{self, Bytes as Fixed, List, Numbers, Tagged, Text};
use crate::protocol::shape::walk_answer;
use crate::protocol::{ErrorCode, Malformed, Reader};

/// From these versions of their headers on, answers have tagged fields in theirs, and requests and
/// answers have the newer encoding.
const TAGGED_ANSWER: i16 = 1;
const FLEXIBLE_REQUEST: i16 = 2;

/// A request whose answers have a shape that we know.
pub trait Answered: Request {
    /// What its answers consist of.
    fn shape(version: i16) -> &'static [Shape];

    /// The version in which an answer to a request of version `asked` is told.
    fn told_in(asked: i16, _body: &[u8]) -> i16 {
        asked
    }
}

/// Why an answer is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AnswerFault {
    /// Its bytes are not what the protocol says.
    Malformed(Malformed),
    /// Its shape is right, a field's content is not: in the decoder's words.
    Unreadable(String),
}

impl From<Malformed> for AnswerFault {
    fn from(fault: Malformed) -> AnswerFault {
        AnswerFault::Malformed(fault)
    }
}

/// Reads a whole answer, its length included.
pub(super) fn read<R: Answered>(
    mut answer: Bytes,
    version: i16,
    correlation: i32,
) -> Result<R::Response, AnswerFault> {
    bytes::Buf::advance(&mut answer, LENGTH_BYTES);
    let has_tags = R::Response::header_version(version) >= TAGGED_ANSWER;
    let header = header(&answer, has_tags, correlation)?;
    bytes::Buf::advance(&mut answer, header);
    let version = R::told_in(version, &answer);
    let is_flexible = R::header_version(version) >= FLEXIBLE_REQUEST;
    walk_answer(R::shape(version), is_flexible, &answer)?;
    R::Response::decode(&mut answer, version)
        .map_err(|fault| AnswerFault::Unreadable(fault.to_string()))
}

/// How many bytes the header has; nothing in it is of use but the correlation.
fn header(answer: &[u8], has_tags: bool, expected: i32) -> Result<usize, Malformed> {
    let mut reader = Reader::new(answer);
    let field = "the header of an answer";
    let beyond = Malformed::BeyondFrame { field };
    let found = reader.i32().map_err(|_| beyond.clone())?;
    if found != expected {
        return Err(Malformed::Correlation { expected, found });
    }
    if has_tags {
        let passed = reader.tagged(|_, _| Ok(()));
        passed.map_err(|unread| unread.malformed_or(beyond))?;
    }
    Ok(reader.taken())
}

impl Answered for ApiVersionsRequest {
    fn shape(version: i16) -> &'static [Shape] {
        const API: Shape = List(&[Fixed(6)]);
        // Name, least and most.
        const FEATURE: Shape = List(&[Text, Fixed(4)]);
        const FEATURES: Shape = Tagged(&[(0, FEATURE), (1, Fixed(8)), (2, FEATURE), (3, Fixed(1))]);
        match version {
            0 => &[Fixed(2), API],
            _ => &[Fixed(2), API, Fixed(4), FEATURES],
        }
    }

    /// A broker that does not know our version says so in the oldest one.
    fn told_in(asked: i16, body: &[u8]) -> i16 {
        let refused = ErrorCode::UNSUPPORTED_VERSION.0.to_be_bytes();
        if body.starts_with(&refused) { 0 } else { asked }
    }
}

impl Answered for MetadataRequest {
    fn shape(version: i16) -> &'static [Shape] {
        // Number, host, port, rack.
        const BROKERS: Shape = List(&[Fixed(4), Text, Fixed(4), Text]);
        // Error, number, leader and epoch; replicas, those in sync, those offline.
        const PARTITIONS: Shape = List(&[Fixed(14), Numbers(4), Numbers(4), Numbers(4)]);
        // Error, name, id, whether it is internal, partitions, rights.
        const TOPICS: Shape = List(&[Fixed(2), Text, Fixed(16), Fixed(1), PARTITIONS, Fixed(4)]);
        // Without the id, and before that without the rights.
        const BY_NAME: Shape = List(&[Fixed(2), Text, Fixed(1), PARTITIONS, Fixed(4)]);
        const WITHOUT_RIGHTS: Shape = List(&[Fixed(2), Text, Fixed(1), PARTITIONS]);
        // Before the topics the cluster's id and the controller; behind them rights or an error.
        match version {
            ..=7 => &[Fixed(4), BROKERS, Text, Fixed(4), WITHOUT_RIGHTS],
            8 | 9 => &[Fixed(4), BROKERS, Text, Fixed(4), BY_NAME, Fixed(4)],
            10 => &[Fixed(4), BROKERS, Text, Fixed(4), TOPICS, Fixed(4)],
            11 | 12 => &[Fixed(4), BROKERS, Text, Fixed(4), TOPICS],
            _ => &[Fixed(4), BROKERS, Text, Fixed(4), TOPICS, Fixed(2)],
        }
    }
}

impl Answered for ListOffsetsRequest {
    fn shape(_version: i16) -> &'static [Shape] {
        // Number, error, timestamp, offset, epoch.
        const PARTITIONS: Shape = List(&[Fixed(26)]);
        &[Fixed(4), List(&[Text, PARTITIONS])]
    }
}

impl Answered for OffsetForLeaderEpochRequest {
    fn shape(_version: i16) -> &'static [Shape] {
        // Error, number, epoch, end.
        const PARTITIONS: Shape = List(&[Fixed(18)]);
        &[Fixed(4), List(&[Text, PARTITIONS])]
    }
}

impl Answered for DescribeConfigsRequest {
    fn shape(version: i16) -> &'static [Shape] {
        const SYNONYMS: Shape = List(&[Text, Text, Fixed(1)]);
        // Name, value, three flags, synonyms; later its type and documentation.
        const SETTINGS: Shape = List(&[Text, Text, Fixed(3), SYNONYMS]);
        const DESCRIBED: Shape = List(&[Text, Text, Fixed(3), SYNONYMS, Fixed(1), Text]);
        // Error and its text, what is described and its name.
        match version {
            ..=2 => &[Fixed(4), List(&[Fixed(2), Text, Fixed(1), Text, SETTINGS])],
            _ => &[Fixed(4), List(&[Fixed(2), Text, Fixed(1), Text, DESCRIBED])],
        }
    }
}

impl Answered for DescribeClusterRequest {
    fn shape(version: i16) -> &'static [Shape] {
        // Number, host, port, rack; later whether it is fenced.
        const BROKERS: Shape = List(&[Fixed(4), Text, Fixed(4), Text]);
        const FENCED: Shape = List(&[Fixed(4), Text, Fixed(4), Text, Fixed(1)]);
        // Error and its text, later of what, the cluster's id, the controller; rights at the end.
        match version {
            0 => &[Fixed(6), Text, Text, Fixed(4), BROKERS, Fixed(4)],
            1 => &[Fixed(6), Text, Fixed(1), Text, Fixed(4), BROKERS, Fixed(4)],
            _ => &[Fixed(6), Text, Fixed(1), Text, Fixed(4), FENCED, Fixed(4)],
        }
    }
}

impl Answered for DescribeLogDirsRequest {
    fn shape(version: i16) -> &'static [Shape] {
        // Number, size, lag, whether it is on its way here.
        const TOPICS: Shape = List(&[Text, List(&[Fixed(21)])]);
        // Error and path; later all space and what is free of it.
        const DIRS: Shape = List(&[Fixed(2), Text, TOPICS]);
        const VOLUMES: Shape = List(&[Fixed(2), Text, TOPICS, Fixed(16)]);
        match version {
            ..=2 => &[Fixed(4), DIRS],
            3 => &[Fixed(6), DIRS],
            _ => &[Fixed(6), VOLUMES],
        }
    }
}

impl Answered for AlterPartitionReassignmentsRequest {
    fn shape(version: i16) -> &'static [Shape] {
        // Number, error and its text.
        const PARTITIONS: Shape = List(&[Fixed(6), Text]);
        const TOPICS: Shape = List(&[Text, PARTITIONS]);
        // Error and its text; later a flag before them.
        match version {
            0 => &[Fixed(6), Text, TOPICS],
            _ => &[Fixed(7), Text, TOPICS],
        }
    }
}

impl Answered for IncrementalAlterConfigsRequest {
    fn shape(_version: i16) -> &'static [Shape] {
        // Error and its text, what is set and its name.
        &[Fixed(4), List(&[Fixed(2), Text, Fixed(1), Text])]
    }
}

#[cfg(test)]
mod tests;
