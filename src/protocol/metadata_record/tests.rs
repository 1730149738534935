//! Records that are written, read, damaged, or from a later day.

use super::*;
use crate::model::LeaderEpoch;
use crate::stdx::prng::Prng;

const TOPIC: TopicId = TopicId::new([7; 16]);

fn ids(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().map(|id| BrokerId(*id)).collect()
}

fn broker() -> RegisterBroker<'static> {
    RegisterBroker {
        broker: BrokerId(9001),
        incarnation: Uuid::new([3; 16]),
        epoch: BrokerEpoch::new(77),
        listeners: vec![Listener {
            name: "INTERNAL".to_owned(),
            host: "localhost".to_owned(),
            port: 65_535,
            security: 2,
        }],
        features: vec![FeatureRange {
            name: "metadata.version".to_owned(),
            least: 21,
            most: 30,
        }],
        rack: Some("r1"),
        is_fenced: true,
        is_shutting_down: false,
        directories: vec![Uuid::new([4; 16])],
        cordoned: vec![Uuid::new([4; 16])],
    }
}

fn partition() -> NewPartition {
    NewPartition {
        topic: TOPIC,
        partition: PartitionIndex::new(5).expect("not negative"),
        replicas: ids(&[9001, 1, 2]),
        isr: ids(&[9001, 1]),
        removing: ids(&[2]),
        adding: ids(&[1]),
        leader: Some(BrokerId(9001)),
        leader_epoch: LeaderEpoch::new(3),
        partition_epoch: 9,
        recovery: Recovery::Recovering,
        elr: ids(&[2]),
        last_known_elr: ids(&[1]),
    }
}

fn change() -> PartitionChange {
    let mut change = PartitionChange::of(TOPIC, PartitionIndex::new(5).expect("not negative"));
    change.isr = Some(ids(&[1]));
    change.leader = Some(None);
    change.elr = Some(Vec::new());
    change
}

#[test]
fn what_a_controller_writes_is_read() {
    let register = broker();
    let bytes = spoken::register(&register);
    let read = MetadataRecord::read(&bytes).expect("sound");
    assert_eq!(read, MetadataRecord::RegisterBroker(register));
    let bytes = spoken::partition(&partition());
    let read = MetadataRecord::read(&bytes).expect("sound");
    assert_eq!(read, MetadataRecord::Partition(partition()));
    let bytes = spoken::change_partition(&change());
    let read = MetadataRecord::read(&bytes).expect("sound");
    assert_eq!(read, MetadataRecord::PartitionChange(change()));
}

/// Bytes as a 4.3.1 controller has written them, field by field.
#[test]
fn a_change_of_a_broker_is_read_from_its_bytes() {
    let mut bytes = vec![1, 17, 1, 0, 0, 0x23, 0x29, 0, 0, 0, 0, 0, 0, 0, 8];
    bytes.extend([2, 0, 1, 0xff, 1, 1, 1]);
    let expected = RegistrationChange {
        broker: BrokerId(9001),
        epoch: BrokerEpoch::new(8),
        is_fenced: Some(false),
        is_shutting_down: Some(true),
        directories: None,
        cordoned: None,
    };
    let read = MetadataRecord::read(&bytes).expect("sound");
    assert_eq!(read, MetadataRecord::RegistrationChange(expected));
}

#[test]
fn older_versions_have_fewer_fields() {
    let bytes = spoken::record(0, 0, |to| {
        to.i32(1);
        to.bytes(&[3; 16]);
        to.i64(5);
        to.compact(0);
        to.compact(0);
        to.text(None);
        to.bool(false);
        to.no_tags();
    });
    let MetadataRecord::RegisterBroker(read) = MetadataRecord::read(&bytes).expect("sound") else {
        panic!("another record");
    };
    assert_eq!((read.broker, read.is_fenced), (BrokerId(1), false));
    let bytes = spoken::record(3, 0, |to| {
        to.i32(0);
        to.bytes(&TOPIC.bytes());
        for _ in 0..4 {
            spoken::brokers(to, &ids(&[1]));
        }
        to.i32(-1);
        to.i32(2);
        to.i32(3);
        to.no_tags();
    });
    let MetadataRecord::Partition(read) = MetadataRecord::read(&bytes).expect("sound") else {
        panic!("another record");
    };
    assert_eq!((read.leader, read.partition_epoch), (None, 3));
}

#[test]
fn fields_that_are_tagged_and_unknown_are_passed_over() {
    let bytes = spoken::record(2, 0, |to| {
        to.text(Some("orders"));
        to.bytes(&TOPIC.bytes());
        to.tags(&[(9, Some(vec![1, 2, 3]))]);
    });
    let MetadataRecord::Topic { name, id } = MetadataRecord::read(&bytes).expect("sound") else {
        panic!("another record");
    };
    assert_eq!((name.as_str(), id), ("orders", TOPIC));
}

#[test]
fn what_is_not_understood_is_refused_and_what_does_not_matter_is_passed() {
    let unknown = spoken::record(29, 0, |to| to.bytes(&[1, 2, 3]));
    let refused = MetadataRecord::read(&unknown).expect_err("unknown");
    assert!(matches!(refused, RecordFault::Unknown { kind: 29, .. }));
    let newer = spoken::record(5, 3, |to| to.bytes(&[0; 30]));
    let refused = MetadataRecord::read(&newer).expect_err("newer");
    let RecordFault::Version { newest, .. } = refused else {
        panic!("{refused}");
    };
    assert_eq!(newest, 2);
    for kind in [10, 11, 14, 20, 21, 22, 26, 27] {
        let passed = spoken::record(kind, 99, |to| to.bytes(&[0xff; 9]));
        let read = MetadataRecord::read(&passed).expect("of no matter to us");
        assert_eq!(read, MetadataRecord::Passed { kind });
    }
    let framed = [2, 20, 0, 0];
    let refused = MetadataRecord::read(&framed).expect_err("another frame");
    assert_eq!(refused, RecordFault::Frame { found: 2 });
}

#[test]
fn bytes_left_over_and_counts_that_cannot_be_are_refused() {
    let mut bytes = spoken::topic("orders", TOPIC);
    bytes.push(0);
    assert!(MetadataRecord::read(&bytes).is_err());
    let greedy = spoken::record(3, 2, |to| {
        to.i32(0);
        to.bytes(&[7; 16]);
        to.compact(1 << 30);
    });
    let refused = MetadataRecord::read(&greedy).expect_err("too many");
    assert!(refused.to_string().contains("replicas"), "{refused}");
}

/// Every cut of a sound record is refused, and no change of its bytes does worse than that.
#[test]
fn damaged_records_are_refused_or_read_but_never_worse() {
    let sound = [
        spoken::register(&broker()),
        spoken::partition(&partition()),
        spoken::change_partition(&change()),
        spoken::config(2, "orders", "min.insync.replicas", Some("2")),
    ];
    let mut prng = Prng::new(7);
    for bytes in sound {
        for end in 0..bytes.len() {
            assert!(MetadataRecord::read(&bytes[..end]).is_err(), "{end}");
        }
        for _ in 0..2_000 {
            let mut damaged = bytes.clone();
            let at = usize::try_from(prng.below(damaged.len() as u64)).expect("small");
            damaged[at] = u8::try_from(prng.below(256)).expect("a byte");
            drop(MetadataRecord::read(&damaged));
        }
    }
}
