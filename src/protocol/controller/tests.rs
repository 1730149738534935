//! Answers field by field, requests byte by byte, and damage.

use super::*;
use crate::model::{BrokerEpoch, LeaderEpoch, Offset, PartitionIndex, TopicId, Uuid};
use crate::protocol::ErrorCode;
use crate::protocol::metadata_record::Recovery;
use crate::protocol::primitive::written;
use crate::stdx::prng::Prng;

/// An answer's content: correlation, no tags, then its fields.
fn content(fields: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    written(|to| {
        to.i32(7);
        to.no_tags();
        fields(to);
    })
}

fn endpoint(to: &mut Writer<'_>) {
    to.i32(102);
    to.text(Some("localhost"));
}

fn not_leader() -> Vec<u8> {
    content(|to| {
        to.i32(0);
        to.i16(0);
        to.i32(0);
        to.compact(1);
        to.bytes(&METADATA_TOPIC_ID.bytes());
        to.compact(1);
        to.i32(0);
        to.i16(6);
        to.i64(-1);
        to.i64(-1);
        to.i64(0);
        to.varint(0);
        to.i32(-1);
        to.varint(1);
        let leader = written(|to| {
            to.i32(102);
            to.i32(3);
            to.no_tags();
        });
        to.tags(&[(1, Some(leader))]);
        to.no_tags();
        let nodes = written(|to| {
            to.compact(1);
            endpoint(to);
            to.i32(9093);
            to.text(None);
            to.no_tags();
        });
        to.tags(&[(0, Some(nodes))]);
    })
}

#[test]
fn whoever_does_not_lead_says_who_does() {
    let bytes = not_leader();
    let read = answer::<MetadataFetch>(&bytes, 17, 7).expect("sound");
    assert_eq!(read.error, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert_eq!(read.leadership.leader, Some(BrokerId(102)));
    assert_eq!(read.leadership.epoch, 3);
    assert_eq!(read.leadership.endpoints[0].port, 9093);
    assert_eq!(read.high_watermark, None);
    let wrong = answer::<MetadataFetch>(&bytes, 17, 8);
    assert!(matches!(
        wrong,
        Err(Malformed::Correlation { found: 7, .. })
    ));
}

fn fetched() -> Vec<u8> {
    content(|to| {
        to.i32(0);
        to.i16(0);
        to.i32(0);
        to.compact(1);
        to.bytes(&METADATA_TOPIC_ID.bytes());
        to.compact(1);
        to.i32(0);
        to.i16(0);
        to.i64(42);
        to.i64(42);
        to.i64(0);
        to.varint(0);
        to.i32(-1);
        to.compact(3);
        to.bytes(b"abc");
        let diverging = written(|to| {
            to.i32(2);
            to.i64(40);
            to.no_tags();
        });
        let snapshot = written(|to| {
            to.i64(30);
            to.i32(1);
            to.no_tags();
        });
        to.tags(&[(0, Some(diverging)), (2, Some(snapshot))]);
        to.no_tags();
        to.no_tags();
    })
}

#[test]
fn records_divergence_and_snapshots_are_read() {
    let read = answer::<MetadataFetch>(&fetched(), 18, 7).expect("sound");
    assert_eq!(read.high_watermark, Some(Offset::new(42)));
    assert_eq!(read.records, b"abc");
    assert_eq!(read.diverging, Some((LeaderEpoch::new(2), Offset::new(40))));
    let id = SnapshotId {
        end: Offset::new(30),
        epoch: LeaderEpoch::new(1),
    };
    assert_eq!(read.snapshot, Some(id));
}

fn piece() -> Vec<u8> {
    content(|to| {
        to.i32(0);
        to.i16(0);
        to.compact(1);
        to.text(Some(METADATA_TOPIC));
        to.compact(1);
        to.i32(0);
        to.i16(0);
        to.i64(52);
        to.i32(1);
        to.no_tags();
        to.i64(3000);
        to.i64(10);
        to.compact(2);
        to.bytes(b"xy");
        to.no_tags();
        to.no_tags();
        let nodes = written(|to| {
            to.compact(1);
            endpoint(to);
            to.u16(9093);
            to.no_tags();
        });
        to.tags(&[(0, Some(nodes))]);
    })
}

#[test]
fn a_piece_of_a_snapshot_is_read() {
    let read = answer::<SnapshotFetch>(&piece(), 1, 7).expect("sound");
    assert_eq!((read.size, read.position), (3000, 10));
    assert_eq!(read.bytes, b"xy");
    assert_eq!(read.leadership.endpoints[0].host, "localhost");
}

fn altered() -> Vec<u8> {
    content(|to| {
        to.i32(0);
        to.i16(0);
        to.compact(1);
        to.bytes(&[7; 16]);
        to.compact(1);
        to.i32(4);
        to.i16(108);
        to.i32(1);
        to.i32(5);
        to.compact(1);
        to.i32(1);
        to.i8(1);
        to.i32(9);
        to.no_tags();
        to.no_tags();
        to.no_tags();
    })
}

#[test]
fn what_became_of_a_change_is_read() {
    let read = answer::<AlterPartition>(&altered(), 3, 7).expect("sound");
    let expected = IsrAnswer {
        topic: TopicId::new([7; 16]),
        partition: PartitionIndex::new(4).expect("not negative"),
        error: ErrorCode::NEW_LEADER_ELECTED,
        leader: Some(BrokerId(1)),
        leader_epoch: LeaderEpoch::new(5),
        isr: vec![BrokerId(1)],
        recovery: Recovery::Recovering,
        partition_epoch: 9,
    };
    assert_eq!(read.partitions, [expected]);
}

#[test]
fn a_heartbeat_says_what_is_cordoned_only_to_those_who_listen() {
    let heartbeat = Heartbeat {
        broker: BrokerId(9001),
        epoch: BrokerEpoch::new(5),
        applied: Some(Offset::new(5)),
        want_fence: false,
        want_shut_down: true,
        cordoned: Some(vec![Uuid::new([9; 16])]),
    };
    let older = frame(&heartbeat, 1, 7, "twinlog");
    let newer = frame(&heartbeat, 2, 7, "twinlog");
    let fields = [
        0, 0, 0x23, 0x29, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 5, 0, 1,
    ];
    // Length, key, version, correlation, client id, no tags.
    let header = 4 + 2 + 2 + 4 + 2 + 7 + 1;
    assert_eq!(&older[header..], &[&fields[..], &[0]].concat());
    let tagged = [&[1, 1, 17, 2][..], &[9; 16]].concat();
    assert_eq!(&newer[header..], &[&fields[..], &tagged].concat());
    assert_eq!(older[..4], 41i32.to_be_bytes());
}

/// A quorum of 101 to 103 that 102 leads; 103 has no listener, 102 has two, and 1 observes.
fn quorum() -> Vec<u8> {
    let replica = |to: &mut Writer<'_>, id: i32| {
        to.i32(id);
        to.bytes(&[3; 16]);
        for number in [42, -1, -1] {
            to.i64(number);
        }
        to.no_tags();
    };
    let node = |to: &mut Writer<'_>, (id, ports): (i32, &[u16])| {
        to.i32(id);
        to.list(ports.iter(), |to, port| {
            to.text(Some("CONTROLLER"));
            to.text(Some("localhost"));
            to.u16(*port);
            to.no_tags();
        });
        to.no_tags();
    };
    let nodes: [(i32, &[u16]); 4] = [(1, &[1]), (101, &[9]), (102, &[7, 8]), (103, &[])];
    written(|to| {
        to.i32(7);
        to.no_tags();
        to.i16(0);
        to.text(None);
        to.list([()].into_iter(), |to, ()| {
            to.text(Some(METADATA_TOPIC));
            to.list([()].into_iter(), |to, ()| {
                to.i32(0);
                to.i16(0);
                to.text(None);
                to.i32(102);
                to.i32(5);
                to.i64(42);
                to.list([101, 102, 103].into_iter(), replica);
                to.list([1].into_iter(), replica);
                to.no_tags();
            });
            to.no_tags();
        });
        to.list(nodes.into_iter(), node);
        to.no_tags();
    })
}

#[test]
fn whoever_leads_the_quorum_is_named_first_and_who_only_observes_is_not() {
    let asked = frame(&DescribeQuorum, 2, 7, "twinlog");
    let header = 4 + 2 + 2 + 4 + 2 + 7 + 1;
    assert_eq!(asked[4..8], [0, 55, 0, 2]);
    let name = METADATA_TOPIC.as_bytes();
    let fields = [&[2, 19][..], name, &[2, 0, 0, 0, 0, 0, 0, 0]];
    assert_eq!(asked[header..], fields.concat());
    let read = answer::<DescribeQuorum>(&quorum(), 2, 7).expect("sound");
    let voters = read.voters.iter().map(|voter| (voter.broker.0, voter.port));
    assert_eq!(voters.collect::<Vec<_>>(), [(102, 7), (101, 9)]);
    assert_eq!(read.error, ErrorCode::NONE);
}

fn block() -> Vec<u8> {
    content(|to| {
        to.i32(0);
        to.i16(0);
        to.i64(101_000);
        to.i32(1_000);
        to.no_tags();
    })
}

#[test]
fn a_block_of_producer_ids_is_asked_for_and_read() {
    let call = AllocateProducerIds {
        broker: BrokerId(9001),
        epoch: BrokerEpoch::new(5),
    };
    let asked = frame(&call, 0, 7, "twinlog");
    let header = 4 + 2 + 2 + 4 + 2 + 7 + 1;
    assert_eq!(asked[4..8], [0, 67, 0, 0]);
    let fields = [0, 0, 0x23, 0x29, 0, 0, 0, 0, 0, 0, 0, 5, 0];
    assert_eq!(asked[header..], fields);
    let read = answer::<AllocateProducerIds>(&block(), 0, 7).expect("sound");
    let expected = ProducerIdsAnswer {
        error: ErrorCode::NONE,
        start: 101_000,
        count: 1_000,
    };
    assert_eq!(read, expected);
}

/// One replica was assigned, and the other's topic is not known.
fn assigned() -> Vec<u8> {
    content(|to| {
        to.i32(0);
        to.i16(0);
        to.compact(1);
        to.bytes(&[5; 16]);
        to.compact(1);
        to.bytes(&[7; 16]);
        to.compact(2);
        for (number, error) in [(0, 0), (1, 100)] {
            to.i32(number);
            to.i16(error);
            to.no_tags();
        }
        to.no_tags();
        to.no_tags();
        to.no_tags();
    })
}

#[test]
fn replicas_are_said_to_be_in_a_directory() {
    let partition = |number| PartitionIndex::new(number).expect("not negative");
    let (one, other) = (TopicId::new([7; 16]), TopicId::new([8; 16]));
    let call = AssignReplicas {
        broker: BrokerId(9001),
        epoch: BrokerEpoch::new(5),
        directory: Uuid::new([5; 16]),
        replicas: vec![
            (one, partition(0)),
            (one, partition(1)),
            (other, partition(0)),
        ],
    };
    let asked = frame(&call, 0, 7, "twinlog");
    let header = 4 + 2 + 2 + 4 + 2 + 7 + 1;
    assert_eq!(asked[4..8], [0, 73, 0, 0]);
    let ends = [0, 0, 0, 0, 0];
    let fields = [
        &[0, 0, 0x23, 0x29, 0, 0, 0, 0, 0, 0, 0, 5, 2][..],
        &[5; 16],
        &[3],
        &[7; 16],
        &[3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
        &[8; 16],
        &[2],
        &ends,
        &[0, 0, 0],
    ];
    assert_eq!(asked[header..], fields.concat());
    let read = answer::<AssignReplicas>(&assigned(), 0, 7).expect("sound");
    assert_eq!(read, ErrorCode(100));
}

/// What is hostile is refused or read, never worse, and makes no more of its bytes than there is.
#[test]
fn damaged_answers_are_refused_or_read_but_never_worse() {
    let mut prng = Prng::new(11);
    for (nth, sound) in [
        not_leader(),
        fetched(),
        piece(),
        altered(),
        assigned(),
        block(),
        quorum(),
    ]
    .iter()
    .enumerate()
    {
        let read = |bytes: &[u8]| match nth {
            0 | 1 => answer::<MetadataFetch>(bytes, 18, 7).is_ok(),
            2 => answer::<SnapshotFetch>(bytes, 1, 7).is_ok(),
            3 => answer::<AlterPartition>(bytes, 3, 7).is_ok(),
            4 => answer::<AssignReplicas>(bytes, 0, 7).is_ok(),
            5 => answer::<AllocateProducerIds>(bytes, 0, 7).is_ok(),
            _ => answer::<DescribeQuorum>(bytes, 2, 7).is_ok(),
        };
        assert!(read(sound));
        for end in 0..sound.len() {
            assert!(!read(&sound[..end]), "answer {nth} cut at {end}");
        }
        for _ in 0..2_000 {
            let mut damaged = sound.clone();
            let at = usize::try_from(prng.below(damaged.len() as u64)).expect("small");
            damaged[at] = u8::try_from(prng.below(256)).expect("a byte");
            read(&damaged);
        }
    }
}
