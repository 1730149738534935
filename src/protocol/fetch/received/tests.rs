//! Requests of the generated encoder and of our own, whole, cut and damaged.

use bytes::BytesMut;
use kafka_protocol::messages::fetch_request::{self, FetchTopic, ForgottenTopic, ReplicaState};
use kafka_protocol::messages::{self};
use kafka_protocol::protocol::{Encodable, StrBytes};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::model::BrokerEpoch;
use crate::protocol::RequestHeader;
use crate::protocol::fetch::{
    Ask, AskedPartition, Replica, Request, TOPIC_IDS_FROM, Topics, VERSION_MAX, write_request,
};
use crate::protocol::versions::FETCH;

fn generated(version: i16, replica: i32) -> Vec<u8> {
    let partition = |index| {
        fetch_request::FetchPartition::default()
            .with_partition(index)
            .with_current_leader_epoch(4)
            .with_fetch_offset(99)
            .with_last_fetched_epoch(3)
            .with_log_start_offset(-1)
            .with_partition_max_bytes(1000)
    };
    let topic = |id, partitions| {
        FetchTopic::default()
            .with_topic_id(Uuid::from_bytes([id; 16]))
            .with_partitions(partitions)
    };
    let forgotten = ForgottenTopic::default()
        .with_topic_id(Uuid::from_bytes([9; 16]))
        .with_partitions(vec![7, 8]);
    let mut request = messages::FetchRequest::default()
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_isolation_level(1)
        .with_session_id(12)
        .with_session_epoch(13)
        .with_topics(vec![
            topic(1, vec![partition(0), partition(5)]),
            topic(2, vec![]),
            topic(3, vec![partition(1)]),
        ])
        .with_forgotten_topics_data(vec![forgotten])
        .with_rack_id(StrBytes::from_static_str("here"))
        .with_cluster_id(Some(StrBytes::from_static_str("a cluster")));
    if version < 15 {
        request.replica_id = replica.into();
    } else {
        let state = ReplicaState::default().with_replica_id(replica.into());
        request.replica_state = state.with_replica_epoch(6);
    }
    let mut bytes = BytesMut::new();
    request.encode(&mut bytes, version).unwrap();
    bytes.to_vec()
}

fn topic(id: u8) -> TopicId {
    TopicId::new([id; 16])
}

fn index(index: i32) -> PartitionIndex {
    PartitionIndex::new(index).unwrap()
}

#[test]
fn generated_requests_are_understood() {
    let partition = |id, number| FetchPartition {
        topic: topic(id),
        partition: index(number),
        leader_epoch: LeaderEpoch::new(4),
        fetch_offset: Some(Offset::new(99)),
        last_fetched_epoch: LeaderEpoch::new(3),
        log_start: None,
        max_bytes: 1000,
    };
    for version in TOPIC_IDS_FROM..=VERSION_MAX {
        for (replica, expected) in [(-1, None), (-2, None), (3, Some(BrokerId(3)))] {
            let request = read_request(version, &generated(version, replica));
            let expected = FetchRequest {
                replica: expected,
                replica_epoch: BrokerEpoch::new(if version < 15 { -1 } else { 6 }),
                max_wait: Duration::from_millis(500),
                min_bytes: 1,
                max_bytes: 1 << 20,
                read_committed: true,
                session_id: 12,
                session_epoch: 13,
                partitions: vec![partition(1, 0), partition(1, 5), partition(3, 1)],
                forgotten: vec![(topic(9), index(7)), (topic(9), index(8))],
                named: Topics::default(),
            };
            assert_eq!(request, Ok(expected), "version {version}");
        }
    }
}

#[test]
fn a_request_cut_anywhere_is_refused() {
    for version in [TOPIC_IDS_FROM, VERSION_MAX] {
        let whole = generated(version, 1);
        for end in 0..whole.len() {
            assert!(read_request(version, &whole[..end]).is_err(), "{end}");
        }
        let longer = [&whole[..], &[0]].concat();
        let left = Malformed::LeftOver { left: 1 };
        assert_eq!(read_request(version, &longer), Err(left));
    }
}

#[test]
fn counts_beyond_the_bytes_are_refused() {
    // Version 15: wait, least and most bytes, isolation, session; then the count of topics.
    let mut bytes = vec![0; 21];
    bytes.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
    bytes.resize(1000, 0);
    let refused = Malformed::Impossible {
        field: "a count of topics",
        value: i64::from(u32::MAX) - 1,
    };
    assert_eq!(read_request(15, &bytes), Err(refused));
}

#[test]
fn negative_numbers_are_none_zero_or_refused() {
    let bytes = generated(15, 1);
    // The first partition: topic count, id, partition count lie between it and the session.
    let at = 21 + 1 + 16 + 1;
    let with = |from: usize, value: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[from..from + value.len()].copy_from_slice(value);
        read_request(15, &bytes)
    };
    let refused = Malformed::Impossible {
        field: "a partition",
        value: -1,
    };
    assert_eq!(with(at, &[0xff; 4]), Err(refused));
    let before_all_logs = with(at + 8, &[0xff; 8]).unwrap();
    assert_eq!(before_all_logs.partitions[0].fetch_offset, None);
    let no_bytes = with(4, &[0xff; 8]).unwrap();
    assert_eq!((no_bytes.min_bytes, no_bytes.max_bytes), (0, 0));
    assert_eq!(with(0, &[0xff; 4]).unwrap().max_wait, Duration::ZERO);
}

fn asked() -> impl Strategy<Value = AskedPartition> {
    (
        0u8..3,
        0..i32::MAX,
        -1i32..9,
        0..i64::MAX,
        -1i32..9,
        0..i32::MAX,
    )
        .prop_map(
            |(id, partition, epoch, offset, fetched, max_bytes)| AskedPartition {
                topic: topic(id),
                partition: index(partition),
                leader_epoch: LeaderEpoch::new(epoch),
                fetch_offset: Offset::new(offset),
                last_fetched_epoch: LeaderEpoch::new(fetched),
                log_start: (fetched > 4).then_some(Offset::new(offset / 2)),
                max_bytes,
            },
        )
}

proptest! {
    #[test]
    fn what_we_write_as_a_client_we_read_as_a_broker(
        version in TOPIC_IDS_FROM..=VERSION_MAX,
        asked in proptest::collection::vec(asked(), 0..20),
        max_wait_ms in 0..i32::MAX,
        max_bytes in 0..i32::MAX,
        broker in proptest::option::of(0..i32::MAX),
    ) {
        let ask = Ask { max_wait_ms, min_bytes: 5, max_bytes };
        let mut frame = Vec::new();
        let replica = broker.map(|id| Replica {
            broker: BrokerId(id),
            epoch: BrokerEpoch::new(id.into()),
        });
        let request = Request { replica, ..Request::alone(ask, &asked) };
        write_request(version, 77, "twinlog", &request, Topics::NONE, &mut frame);
        let (header, body) = RequestHeader::read(&frame[4..], &[FETCH]).unwrap();
        prop_assert_eq!((header.version, header.correlation), (version, 77));
        let request = read_request(version, body).unwrap();
        prop_assert_eq!(request.max_wait.as_millis(), u128::try_from(max_wait_ms).unwrap());
        prop_assert_eq!(request.max_bytes, usize::try_from(max_bytes).unwrap());
        let found = (request.replica, request.read_committed);
        prop_assert_eq!(found, (broker.map(BrokerId), false));
        prop_assert_eq!((request.session_id, request.session_epoch), (0, -1));
        let expected: Vec<FetchPartition> = asked
            .iter()
            .map(|asked| FetchPartition {
                topic: asked.topic,
                partition: asked.partition,
                leader_epoch: asked.leader_epoch,
                fetch_offset: Some(asked.fetch_offset),
                last_fetched_epoch: asked.last_fetched_epoch,
                log_start: asked.log_start,
                max_bytes: usize::try_from(asked.max_bytes).unwrap(),
            })
            .collect();
        prop_assert_eq!(request.partitions, expected);
    }

    #[test]
    fn damage_ends_in_a_request_or_a_fault(
        version in TOPIC_IDS_FROM..=VERSION_MAX, at in 0usize..500, value: u8,
    ) {
        let mut bytes = generated(version, 1);
        let at = at % bytes.len();
        bytes[at] = value;
        if let Ok(request) = read_request(version, &bytes) {
            let most = bytes.len() / PARTITION_BYTES_MIN;
            prop_assert!(request.partitions.len() <= most);
        }
    }
}
