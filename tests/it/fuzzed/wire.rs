//! Bytes from sockets: frames, answers of brokers, requests of clients.

use bytes::Bytes;
use kafka_protocol::messages::{
    ApiVersionsRequest, DescribeClusterRequest, DescribeConfigsRequest, DescribeLogDirsRequest,
    ListOffsetsRequest, MetadataRequest, OffsetForLeaderEpochRequest,
};
use kafka_protocol::protocol::Decodable;
use twinlog::model::Watermarks;
use twinlog::model::{BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId, TopicName};
use twinlog::protocol::fetch::{AnswerReader, Segment, Step, Topics, VERSION_MAX, VERSION_MIN};
use twinlog::protocol::frame::{LENGTH_BYTES, front};
use twinlog::protocol::shape::{MEMORY_BESIDE, MEMORY_PER_BYTE, walk_answer};
use twinlog::protocol::versions::TO_CONSUMERS;
use twinlog::protocol::{Malformed, RequestHeader};
use twinlog::server::{
    EpochEnd, Identity, Partition, Reply, Server, Setting, SettingSource, Topic,
};
use twinlog::session::{Answered, Negotiated};

use super::input::Input;
use super::{bounded, bounded_by};

/// Headers and faults are small.
const BESIDE: u64 = 1 << 10;
/// The correlation id that seeds have.
pub(crate) const CORRELATION: i32 = 77;

/// One frame after the other, and the header of the request in each.
pub(super) fn frames(bytes: &[u8]) {
    let mut stream = bytes;
    while let Ok(Some(content)) = bounded(stream.len(), BESIDE, || front(stream, 1 << 16)) {
        let end = LENGTH_BYTES + content.len();
        assert_eq!(content, &stream[LENGTH_BYTES..end]);
        assert_eq!(
            front(&stream[..end - 1], 1 << 16),
            Ok(None),
            "not all of it"
        );
        let read = bounded(content.len(), BESIDE, || {
            RequestHeader::read(content, &TO_CONSUMERS)
        });
        if let Ok((_, body)) = read {
            assert!(content.ends_with(body));
        }
        stream = &stream[end..];
    }
}

/// What was read of an answer: its steps, with all bytes of records in one.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    steps: Vec<Step>,
    records: Vec<u8>,
    fault: Option<Malformed>,
}

/// An answer to Fetch reads the same whole and in pieces, and never over its own end.
pub(super) fn fetch_answers(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let versions = VERSION_MIN..=VERSION_MAX;
    let spread = versions.clone().count();
    let version = versions.clone().nth(usize::from(input.byte()) % spread);
    let version = version.expect("within the range");
    let grow = 1 + usize::from(input.byte());
    let frame = input.rest();
    // Older versions name topics; this one is known.
    let mut topics = Topics::default();
    topics.insert(TopicId::new([7; 16]), &TopicName::new("t").expect("a name"));
    bounded(frame.len(), BESIDE, || {
        let mut reader = AnswerReader::new(version, CORRELATION);
        let mut from = 0;
        while let Some(used) = step(
            &mut reader,
            &topics,
            &frame[from..],
            &mut |_| {},
            &mut |_| {},
        ) {
            from += used;
        }
    });
    let whole = seen(version, &topics, frame, frame.len().max(1));
    let pieces = seen(version, &topics, frame, grow);
    assert_eq!(whole, pieces);
}

fn seen(version: i16, topics: &Topics, frame: &[u8], grow: usize) -> Seen {
    let mut reader = AnswerReader::new(version, CORRELATION);
    let mut seen = Seen::default();
    let (mut from, mut to) = (0, grow.min(frame.len()));
    loop {
        let (steps, records) = (&mut seen.steps, &mut seen.records);
        let mut fault = None;
        let used = step(
            &mut reader,
            topics,
            &frame[from..to],
            &mut |step| match step {
                Ok(step) => steps.push(step),
                Err(refused) => fault = Some(refused),
            },
            &mut |bytes| records.extend_from_slice(bytes),
        );
        match used {
            Some(used) => from += used,
            None if fault.is_some() || to == frame.len() => {
                seen.fault = fault;
                return seen;
            }
            None if matches!(seen.steps.last(), Some(Step::End(_))) => return seen,
            None => to = (to + grow).min(frame.len()),
        }
        assert!(from <= to, "more was used than was shown");
    }
}

/// Takes one step; `None` where there is no further one in the window.
fn step(
    reader: &mut AnswerReader,
    topics: &Topics,
    window: &[u8],
    show: &mut dyn FnMut(Result<Step, Malformed>),
    show_records: &mut dyn FnMut(&[u8]),
) -> Option<usize> {
    match reader.next(window, topics) {
        Err(fault) => {
            show(Err(fault));
            None
        }
        Ok((Step::More(_), _)) => None,
        Ok((end @ Step::End(_), used)) => {
            assert_eq!(reader.frame_left(), Some(0));
            assert!(used <= window.len());
            show(Ok(end));
            None
        }
        Ok((Step::Records { available, left }, used)) => {
            assert!(available <= left);
            let taken = available.div_ceil(2);
            show_records(&window[used..used + taken]);
            reader.take_records(taken);
            Some(used + taken)
        }
        Ok((step, used)) => {
            show(Ok(step));
            Some(used)
        }
    }
}

/// Answers to the rare questions: what the walk lets pass, the decoder can hold.
pub(super) fn answers(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (which, version) = (input.byte(), input.byte());
    let body = Bytes::copy_from_slice(input.rest());
    match which % 7 {
        0 => answer::<ApiVersionsRequest>(version, body),
        1 => answer::<MetadataRequest>(version, body),
        2 => answer::<ListOffsetsRequest>(version, body),
        3 => answer::<OffsetForLeaderEpochRequest>(version, body),
        4 => answer::<DescribeConfigsRequest>(version, body),
        5 => answer::<DescribeClusterRequest>(version, body),
        _ => answer::<DescribeLogDirsRequest>(version, body),
    }
}

/// From this version of a request's header on, it and its answer have the newer encoding.
const FLEXIBLE_REQUEST: i16 = 2;

fn answer<R: Answered>(version: u8, body: Bytes) {
    let (oldest, newest) = Negotiated::ours::<R>();
    let versions = oldest..=newest;
    let nth = usize::from(version) % versions.clone().count();
    let asked = versions.clone().nth(nth).expect("within the range");
    let version = R::told_in(asked, &body);
    let is_flexible = R::header_version(version) >= FLEXIBLE_REQUEST;
    // Generated structures are larger than what they stand for: the walk has its own proportion.
    let (per_byte, beside) = (MEMORY_PER_BYTE as u64, MEMORY_BESIDE as u64);
    bounded_by(per_byte, body.len(), beside, || {
        if walk_answer(R::shape(version), is_flexible, &body).is_ok() {
            drop(R::Response::decode(&mut body.clone(), version));
        }
    });
}

/// A request of a client: it is answered in a whole frame, or the connection is closed.
pub(super) fn requests(bytes: &[u8]) {
    let server = server();
    let reply = bounded_by(REQUEST_PER_BYTE, bytes.len(), REQUEST_BESIDE, || {
        server.answer(bytes, &ends)
    });
    match reply {
        Reply::Ready(frame) => assert_framed(&frame),
        Reply::Close(_) => {}
        Reply::Fetch(needs) => {
            let again = server.again(&needs, &ends);
            assert_eq!(needs.ranges(), again.ranges());
            let sizes: Vec<usize> = needs.ranges().iter().map(|_| 3).collect();
            let writer = needs.answer(&sizes);
            let mut frame = Vec::new();
            let mut pieces = 0;
            for segment in writer.segments() {
                match segment {
                    Segment::Bytes(bytes) => frame.extend_from_slice(bytes),
                    Segment::Records { bytes, .. } => {
                        frame.resize(frame.len() + bytes, 7);
                        pieces += 1;
                    }
                }
            }
            assert_eq!(pieces, sizes.len());
            assert_framed(&frame);
        }
    }
}

/// Decoded by generated types, turned into such types, and written.
const REQUEST_PER_BYTE: u64 = 4;
const REQUEST_BESIDE: u64 = 64 << 10;

pub(super) fn assert_framed(frame: &[u8]) {
    let content = front(frame, usize::MAX).expect("our own length");
    assert_eq!(content.map(<[u8]>::len), Some(frame.len() - LENGTH_BYTES));
}

fn server() -> Server {
    let mut server = Server::new(Identity {
        broker: BrokerId(7),
        host: "127.0.0.1".to_owned(),
        port: 19_092,
        cluster: "a-cluster".to_owned(),
    });
    let at = |[log_start, last_stable, high_watermark, log_end]: [i64; 4]| Partition {
        leader_epoch: LeaderEpoch::new(5),
        watermarks: Watermarks {
            log_start: Offset::new(log_start),
            last_stable: Offset::new(last_stable),
            high_watermark: Offset::new(high_watermark),
            log_end: Offset::new(log_end),
        },
        held_from: Offset::new(log_start),
        followers: Vec::new(),
        holds_others: false,
    };
    server.tell(Topic {
        name: TopicName::new("t").expect("a name"),
        id: TopicId::new([1; 16]),
        partitions: vec![at([10, 15, 20, 25]), at([0; 4])],
        settings: vec![Setting {
            name: "cleanup.policy".to_owned(),
            value: Some("compact".to_owned()),
            source: SettingSource::Topic,
        }],
    });
    server
}

fn ends(_topic: TopicId, _partition: PartitionIndex, epoch: LeaderEpoch) -> Option<EpochEnd> {
    (epoch <= LeaderEpoch::new(5)).then_some(EpochEnd {
        epoch,
        end: Offset::new(20),
    })
}
