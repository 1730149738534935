//! `Fetch`: needs, and the answer as our own client reads it.

use std::time::Duration;

use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use uuid::Uuid;

use super::*;
use crate::protocol::ErrorCode;
use crate::protocol::fetch::{
    AnswerReader, AnswerWriter, Diverging, PartitionHead, PartitionTail, Segment, Step, Topics,
};

const VERSIONS: std::ops::RangeInclusive<i16> = 13..=18;

fn wanted(partition: i32, offset: i64) -> FetchPartition {
    FetchPartition::default()
        .with_partition(partition)
        .with_current_leader_epoch(EPOCH)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1000)
}

fn request(topics: &[(TopicId, &[FetchPartition])]) -> FetchRequest {
    let topics = topics
        .iter()
        .map(|(id, partitions)| {
            FetchTopic::default()
                .with_topic_id(Uuid::from_bytes(id.bytes()))
                .with_partitions(partitions.to_vec())
        })
        .collect();
    FetchRequest::default()
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(topics)
}

fn needs(server: &Server, version: i16, request: &FetchRequest) -> FetchNeeds {
    match server.answer(&frame(version, request), &epochs) {
        Reply::Fetch(needs) => *needs,
        other => panic!("{other:?}"),
    }
}

/// The whole frame; the records of a place are its number, many times.
fn sent(writer: &AnswerWriter) -> Vec<u8> {
    let mut frame = Vec::new();
    for segment in writer.segments() {
        match segment {
            Segment::Bytes(bytes) => frame.extend_from_slice(bytes),
            Segment::Records { partition, bytes } => {
                let number = u8::try_from(partition).unwrap();
                frame.resize(frame.len() + bytes, number);
            }
        }
    }
    frame
}

type Told = (PartitionHead, Vec<u8>, PartitionTail);

/// The answer's error and its partitions, as a client of ours reads them.
fn told(version: i16, frame: &[u8]) -> (ErrorCode, Vec<Told>) {
    let mut reader = AnswerReader::new(version, CORRELATION);
    let (mut from, mut error, mut told) = (0, None, Vec::<Told>::new());
    loop {
        let (step, used) = reader
            .next(&frame[from..], Topics::NONE)
            .expect("a sound answer");
        from += used;
        match step {
            Step::Head(head) => error = Some(head.error),
            Step::Partition(head) => told.push((head, Vec::new(), PartitionTail::default())),
            Step::Records { left, .. } => {
                told.last_mut().unwrap().1 = frame[from..from + left].to_vec();
                reader.take_records(left);
                from += left;
            }
            Step::PartitionEnd(tail) => told.last_mut().unwrap().2 = tail,
            Step::End(_) => return (error.expect("a head"), told),
            Step::More(_) => panic!("the frame is whole"),
        }
    }
}

/// What is told of the only partition that was wanted, without any records.
fn refusal(partition: FetchPartition) -> Told {
    let request = request(&[(ORDERS, &[partition])]);
    let needs = needs(&server(), 17, &request);
    assert!(needs.is_urgent() && needs.ranges().is_empty());
    let (error, mut told) = told(17, &sent(&needs.answer(&[])));
    assert_eq!((error, told.len()), (ErrorCode::NONE, 1));
    told.remove(0)
}

#[test]
fn needs_and_answer_fit_in_every_version() {
    for version in VERSIONS {
        let request = request(&[
            (ORDERS, &[wanted(0, 12), wanted(5, 0), wanted(1, 0)]),
            (ABSENT, &[wanted(0, 0)]),
            (EVENTS, &[wanted(0, 1)]),
        ]);
        let needs = needs(&server(), version, &request);
        let range = |topic, partition, from, end, place| NeededRange {
            topic,
            partition: index(partition),
            from: Offset::new(from),
            end: Offset::new(end),
            max_bytes: 1000,
            place,
        };
        let expected = [
            range(ORDERS, 0, 12, 20, 0),
            range(ORDERS, 1, 0, 0, 2),
            range(EVENTS, 0, 1, 3, 4),
        ];
        assert_eq!(needs.ranges(), expected);
        let empty: Vec<bool> = needs.ranges().iter().map(NeededRange::is_empty).collect();
        assert_eq!(empty, [false, true, false]);
        assert!(needs.is_urgent(), "errors are told at once");

        let (error, told) = told(version, &sent(&needs.answer(&[300, 0, 7])));
        assert_eq!(error, ErrorCode::NONE);
        let seen: Vec<_> = told
            .iter()
            .map(|(head, records, _)| (head.topic, head.error, records.clone()))
            .collect();
        let unknown_id = ErrorCode::UNKNOWN_TOPIC_ID;
        let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        let expected = [
            (ORDERS, ErrorCode::NONE, vec![0; 300]),
            (ORDERS, unknown, vec![]),
            (ORDERS, ErrorCode::NONE, vec![]),
            (ABSENT, unknown_id, vec![]),
            (EVENTS, ErrorCode::NONE, vec![4; 7]),
        ];
        assert_eq!(seen, expected);
        let marks = (told[0].0.log_start, told[0].0.high_watermark);
        assert_eq!(marks, (Some(Offset::new(10)), Some(Offset::new(20))));
        assert_eq!(
            (told[1].0.log_start, told[1].0.high_watermark),
            (None, None)
        );
    }
}

#[test]
fn offsets_outside_the_log_are_told() {
    for (offset, error) in [
        (10, None),
        (20, None),
        (25, None),
        (9, Some(ErrorCode::OFFSET_OUT_OF_RANGE)),
        (26, Some(ErrorCode::OFFSET_OUT_OF_RANGE)),
        (-1, Some(ErrorCode::OFFSET_OUT_OF_RANGE)),
        (i64::MIN, Some(ErrorCode::OFFSET_OUT_OF_RANGE)),
    ] {
        match error {
            Some(error) => assert_eq!(refusal(wanted(0, offset)).0.error, error, "{offset}"),
            None => {
                let request = request(&[(ORDERS, &[wanted(0, offset)])]);
                let needs = needs(&server(), 17, &request);
                assert_eq!(needs.ranges()[0].is_empty(), offset >= 20, "{offset}");
                assert!(!needs.is_urgent(), "it can wait for more");
            }
        }
    }
}

#[test]
fn other_leaders_are_told_apart() {
    for (epoch, error) in [
        (EPOCH - 1, ErrorCode::FENCED_LEADER_EPOCH),
        (EPOCH + 1, ErrorCode::UNKNOWN_LEADER_EPOCH),
    ] {
        let told = refusal(wanted(0, 12).with_current_leader_epoch(epoch));
        assert_eq!(told.0.error, error);
    }
    let unaware = request(&[(ORDERS, &[wanted(0, 12).with_current_leader_epoch(-1)])]);
    assert_eq!(needs(&server(), 17, &unaware).ranges().len(), 1);
}

#[test]
fn a_log_that_has_left_ours_is_told_where() {
    let fetched = |epoch, offset| wanted(0, offset).with_last_fetched_epoch(epoch);
    // Epoch 2 ends at 18; epochs 3 and 4 never were; epoch 5 is ours.
    for (epoch, offset, diverging) in [(2, 19, (2, 18)), (3, 12, (2, 18)), (4, 25, (2, 18))] {
        let (head, records, tail) = refusal(fetched(epoch, offset));
        assert_eq!((head.error, records.len()), (ErrorCode::NONE, 0));
        assert_eq!(head.high_watermark, Some(Offset::new(20)));
        let expected = Diverging {
            epoch: LeaderEpoch::new(diverging.0),
            end: Some(Offset::new(diverging.1)),
        };
        assert_eq!(tail.diverging, Some(expected));
    }
    // Nobody knows where an epoch ends that is still to come.
    let (head, _, tail) = refusal(fetched(6, 12));
    assert_eq!(
        (head.error, tail.diverging),
        (ErrorCode::OFFSET_OUT_OF_RANGE, None)
    );
    // Below the log's start nothing is compared.
    let (head, _, tail) = refusal(fetched(3, 9));
    assert_eq!(
        (head.error, tail.diverging),
        (ErrorCode::OFFSET_OUT_OF_RANGE, None)
    );
    for (epoch, offset) in [(2, 18), (5, 25), (5, 12)] {
        let agreed = request(&[(ORDERS, &[fetched(epoch, offset)])]);
        assert_eq!(needs(&server(), 17, &agreed).ranges().len(), 1);
    }
}

#[test]
fn followers_and_readers_of_transactions_are_refused() {
    let wanted = request(&[(ORDERS, &[wanted(0, 12)])]);
    let follower = wanted.clone().with_replica_id(3.into());
    let filtering = wanted.with_isolation_level(1);
    for (request, error) in [
        (follower, ErrorCode::NOT_LEADER_OR_FOLLOWER),
        (filtering, ErrorCode::UNSUPPORTED_VERSION),
    ] {
        let needs = needs(&server(), 14, &request);
        let (_, told) = told(14, &sent(&needs.answer(&[])));
        assert_eq!(told[0].0.error, error);
    }
}

#[test]
fn only_sessions_that_begin_are_served() {
    for (session_id, session_epoch, known) in [
        (0, -1, true),
        (0, 0, true),
        (5, 0, true),
        (5, -1, true),
        (5, 1, false),
        (0, 1, false),
    ] {
        let request = request(&[(ORDERS, &[wanted(0, 12)])])
            .with_session_id(session_id)
            .with_session_epoch(session_epoch);
        let needs = needs(&server(), 17, &request);
        assert_eq!(needs.is_urgent(), !known);
        let lengths = vec![0; needs.ranges().len()];
        let (error, told) = told(17, &sent(&needs.answer(&lengths)));
        let expected = match known {
            true => (ErrorCode::NONE, 1),
            false => (ErrorCode::FETCH_SESSION_ID_NOT_FOUND, 0),
        };
        assert_eq!((error, told.len()), expected);
    }
}

#[test]
fn who_may_wait_is_told_how_long() {
    let request = request(&[(ORDERS, &[wanted(0, 20)])]);
    let held = needs(&server(), 17, &request);
    assert_eq!(
        (held.min_bytes(), held.max_bytes(), held.max_wait()),
        (1, 1 << 20, Duration::from_millis(500))
    );
    assert!(!held.is_urgent());
    for request in [
        request.clone().with_min_bytes(0),
        request.clone().with_max_wait_ms(0),
        request.clone().with_topics(Vec::new()),
    ] {
        assert!(needs(&server(), 17, &request).is_urgent());
    }
    let greedy = request.with_max_bytes(i32::MAX);
    assert_eq!(needs(&server(), 17, &greedy).max_bytes(), 55 << 20);
}

#[test]
fn a_held_fetch_is_judged_anew() {
    let mut server = server();
    let request = request(&[(ORDERS, &[wanted(0, 20)])]);
    let held = needs(&server, 17, &request);
    assert!(held.ranges()[0].is_empty());
    server.tell_partition(ORDERS, index(0), partition([10, 15, 23, 25]));
    let more = server.again(&held, &epochs);
    assert_eq!(more.ranges()[0].end, Offset::new(23));
    let (_, seen) = told(17, &sent(&more.answer(&[40])));
    assert_eq!(
        (seen[0].0.high_watermark, seen[0].1.len()),
        (Some(Offset::new(23)), 40)
    );
    server.forget(ORDERS);
    let gone = server.again(&held, &epochs);
    assert!(gone.is_urgent());
    let (_, seen) = told(17, &sent(&gone.answer(&[])));
    assert_eq!(seen[0].0.error, ErrorCode::UNKNOWN_TOPIC_ID);
}
