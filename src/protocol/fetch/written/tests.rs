//! What is written is read, by our own reader and by the generated decoder.

use bytes::Bytes;
use kafka_protocol::messages::{FetchResponse, ResponseHeader};
use kafka_protocol::protocol::Decodable;
use proptest::prelude::*;

use super::*;
use crate::model::{BrokerId, LeaderEpoch, PartitionIndex, TopicId, TopicName};
use crate::protocol::ErrorCode;
use crate::protocol::fetch::around::{ENDPOINTS_FROM, NO_PREFERRED_REPLICA, wire};
use crate::protocol::fetch::{AnswerReader, Diverging, Endpoint, LAST_EPOCH_FROM, LeaderHint};
use crate::protocol::fetch::{Step, VERSION_MAX};

const CORRELATION: i32 = -5;

/// One of three topics, by a name and the id that stands for it.
fn topic(number: u8) -> (TopicId, TopicName) {
    let name = TopicName::new(&format!("topic-{number}")).unwrap();
    (TopicId::of_name(&name), name)
}

fn named() -> Topics {
    let mut topics = Topics::default();
    for (id, name) in (0..3).map(topic) {
        topics.insert(id, &name);
    }
    topics
}

fn offset() -> impl Strategy<Value = Option<Offset>> {
    proptest::option::of((0..i64::MAX).prop_map(Offset::new))
}

fn tail() -> impl Strategy<Value = PartitionTail> {
    let epoch = || (-1..i32::MAX).prop_map(LeaderEpoch::new);
    let diverging = (epoch(), offset()).prop_map(|(epoch, end)| Diverging { epoch, end });
    let leader = (0..i32::MAX, epoch()).prop_map(|(id, epoch)| LeaderHint {
        leader: BrokerId(id),
        epoch,
    });
    (
        proptest::option::of(diverging),
        proptest::option::of(leader),
    )
        .prop_map(|(diverging, leader)| PartitionTail { diverging, leader })
}

fn partition() -> impl Strategy<Value = PartitionAnswer> {
    let records_bytes = prop_oneof![Just(0usize), 1usize..20_000];
    (
        0u8..3,
        0..i32::MAX,
        any::<i16>(),
        offset(),
        offset(),
        offset(),
        records_bytes,
        tail(),
    )
        .prop_map(
            |(topic, index, error, high_watermark, log_start, last_stable, bytes, tail)| {
                let head = PartitionHead {
                    topic: super::tests::topic(topic).0,
                    partition: PartitionIndex::new(index).unwrap(),
                    error: ErrorCode(error),
                    high_watermark,
                    log_start,
                    records_bytes: bytes,
                };
                PartitionAnswer {
                    head,
                    last_stable,
                    tail,
                }
            },
        )
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    ("[a-z.]{0,200}", 0..i32::MAX, any::<u16>()).prop_map(|(host, id, port)| Endpoint {
        broker: BrokerId(id),
        host,
        port,
    })
}

/// The bytes that stand for a partition's records.
fn records(partition: usize, bytes: usize) -> Vec<u8> {
    vec![u8::try_from(partition).unwrap().wrapping_add(1); bytes]
}

/// The whole frame; each segment's place is checked on the way.
fn frame(writer: &AnswerWriter) -> Vec<u8> {
    let mut frame = Vec::new();
    for segment in writer.segments() {
        match segment {
            Segment::Bytes(bytes) => frame.extend_from_slice(bytes),
            Segment::Records { partition, bytes } => {
                assert!(bytes > 0);
                frame.extend(records(partition, bytes));
            }
        }
    }
    assert_eq!(frame.len(), writer.frame_bytes());
    frame
}

/// What our reader sees: the steps, and the records of each partition.
fn read(version: i16, frame: &[u8]) -> (Vec<Step>, Vec<Vec<u8>>) {
    let mut reader = AnswerReader::new(version, CORRELATION);
    let (mut steps, mut taken, mut from) = (Vec::new(), Vec::new(), 0);
    loop {
        let (step, used) = reader.next(&frame[from..], &named()).expect("we wrote it");
        from += used;
        match step {
            Step::Records { available, left } => {
                assert_eq!(available, left);
                let last = taken.last_mut().expect("its partition came before it");
                *last = frame[from..from + left].to_vec();
                reader.take_records(left);
                from += left;
            }
            Step::Partition(_) => {
                taken.push(Vec::new());
                steps.push(step);
            }
            Step::End(_) => {
                steps.push(step);
                assert_eq!(from, frame.len());
                return (steps, taken);
            }
            step => steps.push(step),
        }
    }
}

/// The generated decoder agrees on where everything lies.
fn decode(version: i16, frame: &[u8]) -> FetchResponse {
    let mut bytes = Bytes::copy_from_slice(&frame[4..]);
    let header = ResponseHeader::decode(&mut bytes, 1).unwrap();
    assert_eq!(header.correlation_id, CORRELATION);
    let response = FetchResponse::decode(&mut bytes, version).unwrap();
    assert!(bytes.is_empty(), "{} bytes are left over", bytes.len());
    response
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        version in LAST_EPOCH_FROM..=VERSION_MAX,
        throttle_ms in 0..i32::MAX,
        error: i16,
        partitions in proptest::collection::vec(partition(), 0..12),
        endpoints in proptest::collection::vec(endpoint(), 0..3),
    ) {
        let head = AnswerHead { throttle_ms, error: ErrorCode(error), session: 0 };
        let end = AnswerEnd { endpoints };
        let writer = AnswerWriter::new(version, CORRELATION, head, &partitions, &named(), &end);
        let frame = frame(&writer);
        let (steps, taken) = read(version, &frame);

        let mut expected = vec![Step::Head(head)];
        for partition in &partitions {
            expected.push(Step::Partition(partition.head));
            expected.push(Step::PartitionEnd(partition.tail));
        }
        let told = if version >= ENDPOINTS_FROM { end } else { AnswerEnd::default() };
        expected.push(Step::End(told));
        prop_assert_eq!(steps, expected);
        let supplied: Vec<Vec<u8>> = (0..)
            .zip(&partitions)
            .map(|(number, partition)| records(number, partition.head.records_bytes))
            .collect();
        prop_assert_eq!(&taken, &supplied);

        let response = decode(version, &frame);
        prop_assert_eq!((response.error_code, response.session_id), (error, 0));
        let decoded: Vec<_> = response
            .responses
            .iter()
            .flat_map(|topic| &topic.partitions)
            .collect();
        prop_assert_eq!(decoded.len(), partitions.len());
        for ((decoded, given), supplied) in decoded.iter().zip(&partitions).zip(&supplied) {
            prop_assert_eq!(decoded.records.as_deref(), Some(&supplied[..]));
            prop_assert_eq!(decoded.last_stable_offset, wire(given.last_stable));
            prop_assert_eq!(decoded.preferred_read_replica.0, NO_PREFERRED_REPLICA);
            prop_assert_eq!(&decoded.aborted_transactions, &None);
        }
    }
}
