//! A leader's answers to those who follow it: every rule of its fetches, and all that they may ask
//! besides.

use std::collections::BTreeSet;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::{
    self, ApiVersionsRequest, FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse,
    MetadataRequest, OffsetForLeaderEpochRequest, ProduceRequest, WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::model::BrokerEpoch;
use crate::protocol::ErrorCode;
use crate::protocol::fetch::Segment;

const VERSIONS: std::ops::RangeInclusive<i16> = 12..=18;
/// Lives of followers are told from this version on.
const LIVES_FROM: i16 = 15;
const ONE: i32 = 1;
const TWO: i32 = 2;

/// `orders` with two partitions that we lead and one between them that we do not; followed by 1
/// and 2, which are alive in their lives 11 and 12.
fn leader() -> Server {
    let mut server = Server::for_followers();
    let lives = [(ONE, 11), (TWO, 12), (3, 13)];
    let lives = lives.map(|(id, life)| (BrokerId(id), BrokerEpoch::new(life)));
    server.tell_brokers(lives.into());
    server.trust(true);
    for (number, marks) in [(0, [10, 15, 20, 25]), (2, [0; 4])] {
        let mut led = partition(marks);
        led.followers = vec![BrokerId(ONE), BrokerId(TWO)];
        server.lead(&topic_name("orders"), ORDERS, index(number), led);
    }
    server
}

/// The same ends as everywhere here, and the epochs of records.
struct Ends;

impl EpochEnds for Ends {
    fn end_of(
        &self,
        topic: TopicId,
        partition: PartitionIndex,
        epoch: LeaderEpoch,
    ) -> Option<EpochEnd> {
        epochs(topic, partition, epoch)
    }

    fn epoch_at(&self, _: TopicId, _: PartitionIndex, offset: Offset) -> LeaderEpoch {
        LeaderEpoch::new(if offset.value() < 18 { 2 } else { 5 })
    }
}

fn wanted(number: i32, offset: i64) -> FetchPartition {
    FetchPartition::default()
        .with_partition(number)
        .with_current_leader_epoch(EPOCH)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1000)
}

fn request(
    version: i16,
    (replica, life): (i32, i64),
    topics: &[(&'static str, TopicId, &[FetchPartition])],
) -> FetchRequest {
    let topics = topics.iter().map(|(name, id, partitions)| {
        let topic = FetchTopic::default().with_partitions(partitions.to_vec());
        match version {
            12 => topic.with_topic(messages::TopicName(StrBytes::from_static_str(name))),
            _ => topic.with_topic_id(Uuid::from_bytes(id.bytes())),
        }
    });
    let request = FetchRequest::default()
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(0)
        .with_topics(topics.collect());
    let state = ReplicaState::default().with_replica_id(replica.into());
    match version {
        ..LIVES_FROM => request.with_replica_id(replica.into()),
        _ => request.with_replica_state(state.with_replica_epoch(life)),
    }
}

fn needs(server: &Server, version: i16, request: &FetchRequest) -> FetchNeeds {
    match server.answer(&frame(version, request), &Ends) {
        Reply::Fetch(needs) => *needs,
        other => panic!("{other:?}"),
    }
}

/// The answer with so many bytes for each range, written in one go and around its records, which
/// has to be the same.
fn sent(needs: &FetchNeeds, lengths: &[usize]) -> Vec<u8> {
    let mut whole = Vec::new();
    for segment in needs.answer(lengths).segments() {
        match segment {
            Segment::Bytes(bytes) => whole.extend_from_slice(bytes),
            Segment::Records { bytes, .. } => whole.resize(whole.len() + bytes, 7),
        }
    }
    let mut pieces = Vec::new();
    let mut around = needs.begin(&mut pieces);
    for (range, bytes) in lengths.iter().enumerate() {
        if *bytes > 0 {
            needs.up_to(&mut around, range, &mut pieces);
            crate::protocol::Writer::new(&mut pieces).compact(*bytes);
            pieces.resize(pieces.len() + bytes, 7);
        }
    }
    needs.end(around, &mut pieces);
    crate::protocol::header::set_length(&mut pieces, 0, 0);
    assert_eq!(pieces, whole);
    whole
}

/// The only partition's answer, from the version that is given.
fn told(
    server: &Server,
    version: i16,
    who: (i32, i64),
    wanted: FetchPartition,
) -> messages::fetch_response::PartitionData {
    let request = request(version, who, &[("orders", ORDERS, &[wanted])]);
    let needs = needs(server, version, &request);
    let lengths = vec![0; needs.ranges().len()];
    let answer: FetchResponse = decode(version, sent(&needs, &lengths));
    assert_eq!((answer.session_id, answer.error_code), (0, 0), "no session");
    answer.responses[0].partitions[0].clone()
}

fn refusal(wanted: FetchPartition) -> ErrorCode {
    ErrorCode(told(&leader(), 17, (ONE, 11), wanted).error_code)
}

#[test]
fn exactly_what_is_asked_for_is_answered_in_every_version() {
    for version in VERSIONS {
        let parts = [wanted(0, 12), wanted(1, 0), wanted(2, 0), wanted(7, 0)];
        let request = request(
            version,
            (ONE, 11),
            &[
                ("orders", ORDERS, &parts),
                ("absent", ABSENT, &[wanted(0, 0)]),
            ],
        );
        let needs = needs(&leader(), version, &request);
        let life = if version < LIVES_FROM { -1 } else { 11 };
        let follower = (BrokerId(ONE), BrokerEpoch::new(life));
        assert_eq!(needs.follower(), Some(follower));
        let ranges: Vec<_> = needs
            .ranges()
            .iter()
            .map(|range| (range.topic, range.partition.value(), range.from, range.end))
            .collect();
        let at = Offset::new;
        let expected = [(ORDERS, 0, at(12), at(25)), (ORDERS, 2, at(0), at(0))];
        assert_eq!(ranges, expected, "up to the log's end");
        let answer: FetchResponse = decode(version, sent(&needs, &[300, 0]));
        let mut seen = Vec::new();
        for topic in &answer.responses {
            let (name, id) = (topic.topic.as_str(), topic.topic_id.into_bytes());
            for part in &topic.partitions {
                let records = part.records.as_ref().map_or(0, |records| records.len());
                seen.push((name, id, part.partition_index, part.error_code, records));
            }
        }
        let (orders, absent) = match version {
            12 => (("orders", [0; 16]), ("absent", [0; 16])),
            _ => (("", ORDERS.bytes()), ("", ABSENT.bytes())),
        };
        let unknown = match version {
            12 => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            _ => ErrorCode::UNKNOWN_TOPIC_ID,
        };
        let of =
            |(name, id), number, error: ErrorCode, records| (name, id, number, error.0, records);
        let expected = [
            of(orders, 0, ErrorCode::NONE, 300),
            of(orders, 1, ErrorCode::NOT_LEADER_OR_FOLLOWER, 0),
            of(orders, 2, ErrorCode::NONE, 0),
            of(orders, 7, ErrorCode::NOT_LEADER_OR_FOLLOWER, 0),
            of(absent, 0, unknown, 0),
        ];
        assert_eq!(seen, expected, "version {version}");
        let first = &answer.responses[0].partitions[0];
        let marks = (first.log_start_offset, first.high_watermark);
        assert_eq!((marks, first.last_stable_offset), ((10, 20), -1));
    }
}

#[test]
fn rules_are_kept_in_kafkas_order() {
    let stranger = |wanted| ErrorCode(told(&leader(), 17, (3, 13), wanted).error_code);
    let (older, newer) = (EPOCH - 1, EPOCH + 1);
    let in_epoch = |epoch| wanted(0, 12).with_current_leader_epoch(epoch);
    // First the leader's epoch, whoever asks; never that an equal one is over.
    for who in [refusal, stranger] {
        assert_eq!(who(in_epoch(older)), ErrorCode::FENCED_LEADER_EPOCH);
        assert_eq!(who(in_epoch(newer)), ErrorCode::UNKNOWN_LEADER_EPOCH);
        assert_eq!(who(wanted(1, 0)), ErrorCode::NOT_LEADER_OR_FOLLOWER);
    }
    // Then who asks, whatever it asks for.
    for offset in [9, 12, 26] {
        assert_eq!(stranger(wanted(0, offset)), ErrorCode::UNKNOWN_LEADER_EPOCH);
    }
    // Then where its log ends, then where ours begins.
    let after = |epoch, offset| wanted(0, offset).with_last_fetched_epoch(epoch);
    assert_eq!(refusal(after(6, 12)), ErrorCode::OFFSET_OUT_OF_RANGE);
    assert_eq!(refusal(after(5, 9)), ErrorCode::OFFSET_OUT_OF_RANGE);
    assert_eq!(refusal(wanted(0, 9)), ErrorCode::OFFSET_OUT_OF_RANGE);
    assert_eq!(refusal(wanted(0, 26)), ErrorCode::OFFSET_OUT_OF_RANGE);
    assert_eq!(refusal(wanted(0, -1)), ErrorCode::OFFSET_OUT_OF_RANGE);
    for offset in [10, 20, 25] {
        assert_eq!(refusal(wanted(0, offset)), ErrorCode::NONE);
    }
}

#[test]
fn a_log_that_has_left_ours_is_told_where_and_counts_for_nothing() {
    // Epoch 2 ends at 18; 3 and 4 never were; older than all is 1, and the oldest begins at 10.
    for ((epoch, offset), (floor, end)) in [
        ((2, 19), (2, 18)),
        ((3, 12), (2, 18)),
        ((4, 25), (2, 18)),
        ((1, 12), (1, 10)),
    ] {
        let diverged = wanted(0, offset).with_last_fetched_epoch(epoch);
        let request = request(
            17,
            (ONE, 11),
            &[("orders", ORDERS, std::slice::from_ref(&diverged))],
        );
        let needs = needs(&leader(), 17, &request);
        assert!(needs.ranges().is_empty() && needs.is_urgent());
        let told = told(&leader(), 17, (ONE, 11), diverged);
        let diverging = (told.diverging_epoch.epoch, told.diverging_epoch.end_offset);
        assert_eq!((told.error_code, diverging), (0, (floor, end)));
        assert_eq!(told.high_watermark, 20);
    }
    for (epoch, offset) in [(2, 18), (5, 25), (5, 12), (1, 10)] {
        let agreed = wanted(0, offset).with_last_fetched_epoch(epoch);
        assert_eq!(
            told(&leader(), 17, (ONE, 11), agreed).diverging_epoch.epoch,
            -1
        );
    }
}

#[test]
fn lives_that_are_over_are_refused_and_unknown_ones_count_for_nothing() {
    let server = leader();
    let asks = |version, who| {
        let request = request(version, who, &[("orders", ORDERS, &[wanted(0, 12)])]);
        let needs = needs(&server, version, &request);
        let lengths = vec![0; needs.ranges().len()];
        let answer: FetchResponse = decode(version, sent(&needs, &lengths));
        let error = ErrorCode(answer.responses[0].partitions[0].error_code);
        (error, needs.follower().map(|(id, _)| id.0))
    };
    let gone = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    assert_eq!(asks(17, (ONE, 11)), (ErrorCode::NONE, Some(ONE)));
    assert_eq!(asks(17, (ONE, -1)), (ErrorCode::NONE, Some(ONE)));
    assert_eq!(asks(14, (ONE, -1)), (ErrorCode::NONE, Some(ONE)));
    assert_eq!(server.refused(), 0);
    assert_eq!(asks(17, (ONE, 10)), (gone, None));
    assert_eq!(asks(17, (ONE, 12)), (ErrorCode::NONE, None), "just born");
    let wrong_door = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    for consumer in [-1, -2, i32::MIN] {
        assert_eq!(asks(17, (consumer, -1)), (wrong_door, None));
    }
    assert_eq!(server.refused(), 4);
    // Two is fenced: it may read, so that it catches up.
    let mut server = leader();
    server.tell_brokers([(BrokerId(ONE), BrokerEpoch::new(11))].into());
    let request = request(17, (TWO, 12), &[("orders", ORDERS, &[wanted(0, 12)])]);
    let needs = needs(&server, 17, &request);
    assert_eq!((needs.ranges().len(), needs.follower()), (1, None));
}

#[test]
fn nobody_is_answered_as_by_a_leader_who_is_not_trusted() {
    let mut server = leader();
    let request = request(17, (ONE, 11), &[("orders", ORDERS, &[wanted(0, 25)])]);
    let held = needs(&server, 17, &request);
    assert!(!held.is_urgent(), "it waits for more");
    server.trust(false);
    let gone = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    let again = server.again(&held, &Ends);
    assert!(again.is_urgent());
    let answer: FetchResponse = decode(17, sent(&again, &[]));
    assert_eq!(answer.responses[0].partitions[0].error_code, gone.0);
    assert_eq!(listed(&server, 9, ONE, 0, -1).0, gone);
    assert_eq!(ended(&server, ONE, 0, 2).0, gone);
    let all_gone = markers(&server, 1, &[(5, "orders", 0)]);
    assert_eq!(all_gone, [(5, "orders".to_owned(), 0, gone)]);
}

#[test]
fn whoever_resigns_is_no_leader_any_more() {
    let mut server = leader();
    server.resign(ORDERS, index(0));
    let told = told(&server, 17, (ONE, 11), wanted(0, 12));
    assert_eq!(told.error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER.0);
    // Its topic made anew has another id; of the old one nobody knows any more.
    let led = partition([0, 0, 0, 0]);
    server.lead(&topic_name("orders"), EVENTS, index(0), led);
    let told = super::followers::told(&server, 17, (ONE, 11), wanted(0, 12));
    assert_eq!(told.error_code, ErrorCode::UNKNOWN_TOPIC_ID.0);
}

fn listed(
    server: &Server,
    version: i16,
    replica: i32,
    number: i32,
    timestamp: i64,
) -> (ErrorCode, i64, i32) {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(number)
        .with_current_leader_epoch(EPOCH)
        .with_timestamp(timestamp);
    let topic = ListOffsetsTopic::default()
        .with_name(messages::TopicName(StrBytes::from_static_str("orders")))
        .with_partitions(vec![partition]);
    let mut request = ListOffsetsRequest::default()
        .with_replica_id(replica.into())
        .with_topics(vec![topic]);
    if version >= 10 {
        request.timeout_ms = 1000;
    }
    // The decoder's newest version has the same fields as the one behind it.
    let mut frame = frame(version.min(10), &request);
    frame[2..4].copy_from_slice(&version.to_be_bytes());
    let answer: ListOffsetsResponse = match server.answer(&frame, &Ends) {
        Reply::Ready(answer) => decode(version.min(10), answer),
        other => panic!("{other:?}"),
    };
    let partition = &answer.topics[0].partitions[0];
    let error = ErrorCode(partition.error_code);
    (error, partition.offset, partition.leader_epoch)
}

#[test]
fn followers_are_told_both_ends_with_their_epochs() {
    let (server, none) = (leader(), ErrorCode::NONE);
    for version in 7..=11 {
        assert_eq!(listed(&server, version, ONE, 0, -1), (none, 25, EPOCH));
        assert_eq!(listed(&server, version, ONE, 0, -2), (none, 10, 2));
        assert_eq!(listed(&server, version, ONE, 0, -4), (none, 10, 2));
        let elsewhere = (ErrorCode::NOT_LEADER_OR_FOLLOWER, -1, -1);
        assert_eq!(listed(&server, version, ONE, 1, -1), elsewhere);
        let stranger = (ErrorCode::UNKNOWN_LEADER_EPOCH, -1, -1);
        assert_eq!(listed(&server, version, 3, 0, -1), stranger);
        let consumer = (ErrorCode::TOPIC_AUTHORIZATION_FAILED, -1, -1);
        assert_eq!(listed(&server, version, -1, 0, -1), consumer);
    }
}

fn ended(server: &Server, replica: i32, number: i32, epoch: i32) -> (ErrorCode, i32, i64) {
    let partition = OffsetForLeaderPartition::default()
        .with_partition(number)
        .with_current_leader_epoch(EPOCH)
        .with_leader_epoch(epoch);
    let topic = OffsetForLeaderTopic::default()
        .with_topic(messages::TopicName(StrBytes::from_static_str("orders")))
        .with_partitions(vec![partition]);
    let request = OffsetForLeaderEpochRequest::default()
        .with_replica_id(replica.into())
        .with_topics(vec![topic]);
    let answer = ask(server, 4, &request);
    let told = &answer.topics[0].partitions[0];
    (
        ErrorCode(told.error_code),
        told.leader_epoch,
        told.end_offset,
    )
}

#[test]
fn followers_are_told_where_epochs_end() {
    let (server, none) = (leader(), ErrorCode::NONE);
    assert_eq!(ended(&server, ONE, 0, 2), (none, 2, 18));
    assert_eq!(ended(&server, ONE, 0, 4), (none, 2, 18));
    assert_eq!(ended(&server, ONE, 0, 5), (none, 5, 25));
    assert_eq!(ended(&server, ONE, 0, 6), (none, -1, -1));
    assert_eq!(ended(&server, 3, 0, 2).0, ErrorCode::UNKNOWN_LEADER_EPOCH);
}

type Marked = (i64, String, i32, ErrorCode);

fn markers(server: &Server, version: i16, wanted: &[(i64, &'static str, i32)]) -> Vec<Marked> {
    let markers = wanted.iter().map(|(producer, topic, number)| {
        let topic = WritableTxnMarkerTopic::default()
            .with_name(messages::TopicName(StrBytes::from_static_str(topic)))
            .with_partition_indexes(vec![*number]);
        WritableTxnMarker::default()
            .with_producer_id((*producer).into())
            .with_topics(vec![topic])
    });
    let request = WriteTxnMarkersRequest::default().with_markers(markers.collect());
    let answer: WriteTxnMarkersResponse = match server.answer(&frame(version, &request), &Ends) {
        Reply::Ready(answer) => decode(version, answer),
        other => panic!("{other:?}"),
    };
    let each = answer.markers.iter().flat_map(|marker| {
        marker.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|part| {
                let error = ErrorCode(part.error_code);
                let producer = marker.producer_id.0;
                (
                    producer,
                    topic.name.to_string(),
                    part.partition_index,
                    error,
                )
            })
        })
    });
    each.collect()
}

/// What a stock coordinator survives to read (`TransactionMarkerRequestCompletionHandler`).
const SAFE: [ErrorCode; 3] = [
    ErrorCode::NONE,
    ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
];

#[test]
fn coordinators_read_only_what_they_survive_and_miss_no_producer() {
    let asked = [
        (7, "orders", 0),
        (7, "orders", 1),
        (8, "absent", 0),
        (9, "no name!", -3),
        (-1, "orders", 2),
    ];
    let told = markers(&leader(), 1, &asked);
    let gone = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    let of = |producer, topic: &str, number, error| (producer, topic.to_owned(), number, error);
    let expected = [
        of(-1, "orders", 2, ErrorCode::NONE),
        of(7, "orders", 0, ErrorCode::NONE),
        of(7, "orders", 1, gone),
        of(8, "absent", 0, gone),
        of(9, "no name!", -3, gone),
    ];
    assert_eq!(told, expected);
    let producers: BTreeSet<i64> = told.iter().map(|marked| marked.0).collect();
    assert_eq!(producers, asked.iter().map(|asked| asked.0).collect());
    assert!(told.iter().all(|marked| SAFE.contains(&marked.3)));

    // Where others have written, whoever leads after us is to write it.
    let mut server = leader();
    let topic = server.by_name("orders").expect("it is led");
    let (id, name) = (topic.id, topic.name.clone());
    let mut partition = topic.partition(0).expect("it is led").clone();
    partition.holds_others = true;
    server.lead(&name, id, index(0), partition);
    let told = markers(&server, 1, &[(7, "orders", 0)]);
    assert_eq!(told, [of(7, "orders", 0, gone)]);
}

#[test]
fn what_is_offered_is_what_is_answered() {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("a"))
        .with_client_software_version(StrBytes::from_static_str("b"));
    let offered = ask(&leader(), 4, &request);
    let ranges: Vec<_> = offered
        .api_keys
        .iter()
        .map(|api| (api.api_key, api.min_version, api.max_version))
        .collect();
    let expected = [(1, 12, 18), (2, 7, 11), (18, 0, 4), (23, 4, 4), (27, 1, 2)];
    assert_eq!(ranges, expected);
    // Nothing else has an answer; a producer has no business here.
    let others = [
        frame(12, &MetadataRequest::default()),
        frame(9, &ProduceRequest::default()),
    ];
    for other in others {
        let reason = closed(&leader(), &other);
        assert!(matches!(reason, CloseReason::Api { .. }), "{reason:?}");
    }
    for (key, version) in [(1, 11), (1, 19), (2, 6), (2, 12), (23, 3), (27, 0), (27, 3)] {
        let mut bytes = frame(17, &FetchRequest::default());
        bytes[..2].copy_from_slice(&i16::to_be_bytes(key));
        bytes[2..4].copy_from_slice(&i16::to_be_bytes(version));
        let reason = closed(&leader(), &bytes);
        assert!(matches!(reason, CloseReason::Version { .. }), "{reason:?}");
    }
    // Consumers' questions are none of its clients'.
    let server = server();
    let reason = closed(&server, &frame(1, &WriteTxnMarkersRequest::default()));
    assert!(matches!(reason, CloseReason::Api { .. }), "{reason:?}");
}

/// A request of every kind and version that the listener takes, without its length.
fn samples() -> Vec<Vec<u8>> {
    let mut samples = Vec::new();
    for version in VERSIONS {
        let parts = [wanted(0, 12), wanted(2, 0).with_last_fetched_epoch(4)];
        let fetch = request(version, (ONE, 11), &[("orders", ORDERS, &parts)]);
        samples.push(frame(version, &fetch));
    }
    let name = messages::TopicName(StrBytes::from_static_str("orders"));
    let topic = ListOffsetsTopic::default()
        .with_name(name.clone())
        .with_partitions(vec![ListOffsetsPartition::default().with_timestamp(-1); 2]);
    let list = ListOffsetsRequest::default().with_topics(vec![topic]);
    samples.extend((7..=10).map(|version| frame(version, &list)));
    let topic = OffsetForLeaderTopic::default()
        .with_topic(name.clone())
        .with_partitions(vec![OffsetForLeaderPartition::default(); 2]);
    samples.push(frame(
        4,
        &OffsetForLeaderEpochRequest::default().with_topics(vec![topic]),
    ));
    let topic = WritableTxnMarkerTopic::default()
        .with_name(name)
        .with_partition_indexes(vec![0, 1, 2]);
    let marker = WritableTxnMarker::default().with_topics(vec![topic]);
    let markers = WriteTxnMarkersRequest::default().with_markers(vec![marker; 2]);
    samples.push(frame(1, &markers));
    samples
}

#[test]
fn hostile_bytes_end_in_a_reply() {
    let server = leader();
    let mut closed_count = 0;
    for sample in samples() {
        let whole = server.answer(&sample, &Ends);
        assert!(!matches!(whole, Reply::Close(_)), "{whole:?}");
        for end in 0..sample.len() {
            let reason = closed(&server, &sample[..end]);
            assert!(matches!(reason, CloseReason::Malformed(_)), "{reason:?}");
        }
        for at in 0..sample.len() {
            for flip in [1, 0x7f, 0x80, 0xff] {
                let mut damaged = sample.clone();
                damaged[at] ^= flip;
                if let Reply::Close(_) = server.answer(&damaged, &Ends) {
                    closed_count += 1;
                }
            }
        }
    }
    assert!(closed_count > 0);
}

proptest! {
    #[test]
    fn garbage_behind_a_header_ends_in_a_reply(
        key in proptest::sample::select(&[1i16, 2, 18, 23, 27][..]), version in 0i16..20,
        garbage in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut frame = [key.to_be_bytes(), version.to_be_bytes()].concat();
        frame.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0]);
        frame.extend_from_slice(&garbage);
        match leader().answer(&frame, &Ends) {
            Reply::Ready(answer) => prop_assert!(answer.len() < 10_000),
            Reply::Fetch(needs) => prop_assert!(needs.ranges().len() < 10),
            Reply::Close(reason) => prop_assert!(!reason.to_string().is_empty()),
        }
    }
}
