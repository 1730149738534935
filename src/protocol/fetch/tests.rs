//! The hand-written Fetch against the generated one, at every cut and with damage.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
    PartitionData,
};
use kafka_protocol::messages::{FetchRequest, FetchResponse, RequestHeader};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::model::{
    BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId, TopicName,
};
use crate::protocol::Malformed;

const CORRELATION: i32 = 77;

fn partition(version: i16, index: i32, records: &[u8]) -> PartitionData {
    PartitionData::default()
        .with_partition_index(index)
        .with_high_watermark(100 + i64::from(index))
        .with_log_start_offset(if version >= 5 { 3 } else { -1 })
        .with_aborted_transactions(Some(vec![
            AbortedTransaction::default()
                .with_producer_id(9.into())
                .with_first_offset(5),
        ]))
        .with_records(Some(Bytes::copy_from_slice(records)))
}

fn answer(version: i16) -> FetchResponse {
    let mut refused = PartitionData::default()
        .with_partition_index(2)
        .with_error_code(6)
        .with_high_watermark(-1)
        .with_log_start_offset(-1);
    let mut diverged = PartitionData::default().with_partition_index(3);
    if version >= LAST_EPOCH_FROM {
        let leader = LeaderIdAndEpoch::default().with_leader_id(4.into());
        refused = refused.with_current_leader(leader.with_leader_epoch(8));
        let end = EpochEndOffset::default().with_epoch(5).with_end_offset(50);
        diverged = diverged.with_diverging_epoch(end);
    }
    let topic = |number: u8, partitions| match version >= TOPIC_IDS_FROM {
        true => FetchableTopicResponse::default()
            .with_topic_id(Uuid::from_bytes([number; 16]))
            .with_partitions(partitions),
        false => FetchableTopicResponse::default()
            .with_topic(StrBytes::from_string(format!("topic-{number}")).into())
            .with_partitions(partitions),
    };
    let (some, none) = (
        partition(version, 0, b"some records"),
        partition(version, 1, b""),
    );
    let topics = vec![
        topic(7, vec![some, none]),
        topic(8, vec![refused, diverged, partition(version, 4, &[1; 300])]),
    ];
    let answer = FetchResponse::default()
        .with_throttle_time_ms(12)
        .with_session_id(if version >= SESSIONS_FROM { 99 } else { 0 })
        .with_responses(topics);
    if version < 16 {
        return answer;
    }
    answer.with_node_endpoints(vec![
        NodeEndpoint::default()
            .with_node_id(4.into())
            .with_host("there".into())
            .with_port(9092),
    ])
}

fn frame(version: i16) -> Vec<u8> {
    let mut body = BytesMut::new();
    answer(version).encode(&mut body, version).unwrap();
    // Response header 1 has no tags behind the correlation id, and 0 has no place for them.
    let mut content = CORRELATION.to_be_bytes().to_vec();
    if version >= 12 {
        content.push(0);
    }
    content.extend_from_slice(&body);
    let mut frame = i32::try_from(content.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(&content);
    frame
}

fn topics() -> Topics {
    let mut topics = Topics::default();
    for number in [1, 2, 7, 8] {
        let name = TopicName::new(&format!("topic-{number}")).unwrap();
        topics.insert(TopicId::new([number; 16]), &name);
    }
    topics
}

/// Reads a whole answer, the window growing by `grow` bytes; returns what was seen, record bytes
/// put together.
fn read(version: i16, frame: &[u8], grow: usize) -> Result<(Vec<Step>, Vec<u8>), Malformed> {
    let mut reader = AnswerReader::new(version, CORRELATION);
    let (mut steps, mut records) = (Vec::new(), Vec::new());
    let (mut from, mut to) = (0, 0);
    let topics = topics();
    loop {
        let (step, used) = reader.next(&frame[from..to], &topics)?;
        from += used;
        match step {
            Step::More(_) if to == frame.len() => panic!("the whole frame is there"),
            Step::More(_) => to = (to + grow).min(frame.len()),
            Step::Records { available, .. } => {
                let taken = available.div_ceil(2);
                records.extend_from_slice(&frame[from..from + taken]);
                reader.take_records(taken);
                from += taken;
            }
            end @ Step::End(_) => {
                steps.push(end);
                assert_eq!((from, reader.frame_left()), (frame.len(), Some(0)));
                return Ok((steps, records));
            }
            step => steps.push(step),
        }
    }
}

#[test]
fn an_answer_reads_the_same_however_it_arrives() {
    for version in VERSION_MIN..=VERSION_MAX {
        let frame = frame(version);
        let whole = read(version, &frame, frame.len()).unwrap();
        for grow in 1..40 {
            assert_eq!(
                read(version, &frame, grow).unwrap(),
                whole,
                "version {version}"
            );
        }
        let (steps, records) = whole;
        assert_eq!(records, [&b"some records"[..], &[1; 300]].concat());
        assert_eq!(steps.len(), 1 + 2 * 5 + 1);
        check_content(version, &steps);
    }
}

fn check_content(version: i16, steps: &[Step]) {
    assert_eq!(
        steps[0],
        Step::Head(AnswerHead {
            throttle_ms: 12,
            error: crate::protocol::ErrorCode::NONE,
            session: if version >= SESSIONS_FROM { 99 } else { 0 },
        })
    );
    let Step::Partition(first) = &steps[1] else {
        panic!("{:?}", steps[1])
    };
    assert_eq!(first.topic, TopicId::new([7; 16]));
    assert_eq!(first.high_watermark, Some(Offset::new(100)));
    assert_eq!(
        (first.log_start, first.records_bytes),
        ((version >= 5).then_some(Offset::new(3)), 12)
    );
    let Step::Partition(refused) = &steps[5] else {
        panic!("{:?}", steps[5])
    };
    assert_eq!((refused.error.0, refused.high_watermark), (6, None));
    let leader = LeaderHint {
        leader: crate::model::BrokerId(4),
        epoch: LeaderEpoch::new(8),
    };
    let has_tags = version >= LAST_EPOCH_FROM;
    assert_eq!(
        steps[6],
        Step::PartitionEnd(PartitionTail {
            leader: has_tags.then_some(leader),
            diverging: None
        })
    );
    let diverging = Diverging {
        epoch: LeaderEpoch::new(5),
        end: Some(Offset::new(50)),
    };
    assert_eq!(
        steps[8],
        Step::PartitionEnd(PartitionTail {
            diverging: has_tags.then_some(diverging),
            leader: None
        })
    );
    let Step::End(end) = &steps[11] else {
        panic!("{:?}", steps[11])
    };
    assert_eq!(end.endpoints.len(), usize::from(version >= 16));
}

#[test]
fn a_request_means_the_same_to_the_generated_decoder() {
    let asked = |topic: u8, partition: i32| AskedPartition {
        topic: TopicId::new([topic; 16]),
        partition: PartitionIndex::new(partition).unwrap(),
        leader_epoch: LeaderEpoch::new(3),
        fetch_offset: Offset::new(42),
        last_fetched_epoch: LeaderEpoch::NONE,
        log_start: None,
        max_bytes: 1 << 20,
    };
    let ask = Ask {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 1 << 24,
    };
    for version in VERSION_MIN..=VERSION_MAX {
        let mut out = b"before".to_vec();
        let request = super::Request {
            replica: None,
            ask,
            session: Session { id: 9, epoch: 3 },
            partitions: &[asked(1, 0), asked(1, 5), asked(2, 0)],
            forgotten: &[(TopicId::new([7; 16]), PartitionIndex::new(6).unwrap())],
        };
        write_request(
            version,
            CORRELATION,
            "twinlog",
            &request,
            &topics(),
            &mut out,
        );
        let mut bytes = Bytes::from(out).slice(6 + 4..);
        let flexible = version >= 12;
        let header = RequestHeader::decode(&mut bytes, 1 + i16::from(flexible)).unwrap();
        assert_eq!(
            (header.request_api_key, header.correlation_id),
            (API_KEY, CORRELATION)
        );
        let request = FetchRequest::decode(&mut bytes, version).unwrap();
        assert!(bytes.is_empty(), "version {version} leaves bytes over");
        assert_eq!(request.replica_id.0, -1);
        assert_eq!((request.max_bytes, request.isolation_level), (1 << 24, 0));
        check_session_and_name(version, &request);
        let topics: Vec<usize> = request
            .topics
            .iter()
            .map(|topic| topic.partitions.len())
            .collect();
        assert_eq!(topics, [2, 1]);
        let first = &request.topics[0].partitions[1];
        assert_eq!(
            (
                first.partition,
                first.fetch_offset,
                first.current_leader_epoch
            ),
            (5, 42, if version >= 9 { 3 } else { -1 })
        );
        assert_eq!(
            (first.last_fetched_epoch, first.partition_max_bytes),
            (-1, 1 << 20)
        );
    }
}

#[test]
fn a_replicas_request_says_who_asks_and_where_its_log_begins() {
    let replica = Replica {
        broker: BrokerId(9001),
        epoch: BrokerEpoch::new(1 << 40),
    };
    let asked = AskedPartition {
        topic: TopicId::new([7; 16]),
        partition: PartitionIndex::new(3).unwrap(),
        leader_epoch: LeaderEpoch::new(5),
        fetch_offset: Offset::new(1_000_100),
        last_fetched_epoch: LeaderEpoch::new(4),
        log_start: Some(Offset::new(1_000_000)),
        max_bytes: 1 << 20,
    };
    let ask = Ask {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 1 << 24,
    };
    let partitions = [asked];
    for version in VERSION_MIN..=VERSION_MAX {
        let request = super::Request {
            replica: Some(replica),
            ..super::Request::alone(ask, &partitions)
        };
        let mut out = Vec::new();
        write_request(version, 1, "twinlog", &request, &topics(), &mut out);
        let mut bytes = Bytes::from(out).slice(4..);
        RequestHeader::decode(&mut bytes, 1 + i16::from(version >= 12)).unwrap();
        let told = FetchRequest::decode(&mut bytes, version).unwrap();
        assert!(bytes.is_empty(), "version {version} leaves bytes over");
        let state = (
            told.replica_state.replica_id.0,
            told.replica_state.replica_epoch,
        );
        match version < 15 {
            true => assert_eq!((told.replica_id.0, state), (9001, (-1, -1))),
            false => assert_eq!((told.replica_id.0, state), (-1, (9001, 1 << 40))),
        }
        let partition = &told.topics[0].partitions[0];
        let start = if version >= 5 { 1_000_000 } else { -1 };
        assert_eq!(partition.log_start_offset, start, "version {version}");
    }
}

/// What older versions leave out.
fn check_session_and_name(version: i16, request: &FetchRequest) {
    let session = (request.session_id, request.session_epoch);
    let forgotten = request
        .forgotten_topics_data
        .iter()
        .map(|topic| &topic.partitions);
    let forgotten: Vec<i32> = forgotten.flatten().copied().collect();
    match version >= SESSIONS_FROM {
        true => assert_eq!((session, forgotten), ((9, 3), vec![6])),
        false => assert_eq!((session, forgotten), ((0, -1), vec![])),
    }
    let (first, name) = (&request.topics[0], TopicName::new("topic-1").unwrap());
    match version >= TOPIC_IDS_FROM {
        true => assert_eq!(first.topic_id.into_bytes(), [1; 16]),
        false => assert_eq!(first.topic.as_str(), name.as_str()),
    }
}

#[test]
fn an_answer_to_another_request_is_refused() {
    let mut reader = AnswerReader::new(16, CORRELATION + 1);
    let expected = Malformed::Correlation {
        expected: CORRELATION + 1,
        found: CORRELATION,
    };
    assert_eq!(reader.next(&frame(16), Topics::NONE), Err(expected));
}

proptest! {
    #[test]
    fn damage_ends_in_an_error_or_another_answer_and_never_beyond_the_frame(
        at in 0usize..700, value: u8, grow in 1usize..64,
        version in VERSION_MIN..=VERSION_MAX,
    ) {
        let mut damaged = frame(version);
        let at = at % damaged.len();
        damaged[at] = value;
        let mut reader = AnswerReader::new(version, CORRELATION);
        let (mut from, mut to) = (0, 0);
        for _ in 0..10_000 {
            match reader.next(&damaged[from..to], Topics::NONE) {
                Err(_) | Ok((Step::End(_), _)) => return Ok(()),
                Ok((Step::More(_), _)) if to == damaged.len() => return Ok(()),
                Ok((Step::More(_), _)) => to = (to + grow).min(damaged.len()),
                Ok((Step::Records { available, .. }, used)) => {
                    reader.take_records(available);
                    from += used + available;
                }
                Ok((_, used)) => from += used,
            }
            prop_assert!(from <= to);
        }
        prop_assert!(false, "the answer never ends");
    }
}

#[test]
fn a_topic_whose_name_we_do_not_know_is_nobodys() {
    let mut reader = AnswerReader::new(11, CORRELATION);
    let frame = frame(11);
    let (_, used) = reader.next(&frame, Topics::NONE).unwrap();
    let (step, _) = reader.next(&frame[used..], Topics::NONE).unwrap();
    let Step::Partition(head) = step else {
        panic!("{step:?}")
    };
    assert_eq!(head.topic, TopicId::ZERO);
    assert!(!reader.is_at_last_partition());
}
