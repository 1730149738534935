//! Bytes written by hand, bytes there and back, and bytes that nobody should trust.

use super::*;
use crate::stdx::prng::Prng;

const TOPIC: [u8; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

fn key() -> PartitionKey {
    PartitionKey {
        mirror: MirrorName::new("dr").expect("sound"),
        topic: TopicId::new(TOPIC),
        partition: PartitionIndex::new(258).expect("positive"),
    }
}

fn partition_bytes(kind: i16) -> Vec<u8> {
    let mut bytes = kind.to_be_bytes().to_vec();
    bytes.extend([0, 2, b'd', b'r']);
    bytes.extend(TOPIC);
    bytes.extend([0, 0, 1, 2]);
    bytes
}

#[track_caller]
fn check(record: Record, key: &[u8], value: Option<&[u8]>) {
    assert_eq!(record.key(), key);
    assert_eq!(record.value().as_deref(), value);
    assert_eq!(Record::read(key, value), Ok(record));
}

#[test]
fn the_state_of_a_partition_byte_by_byte() {
    let failed = MirrorPartitionState {
        state: State::Failed,
        leader_epoch: LeaderEpoch::new(5),
        state_epoch: StateEpoch::from_wire(0x0102).expect("positive"),
        error: Some("no".to_owned()),
        retry: Retry::Never,
        previous: Some(State::Stopping),
    };
    #[rustfmt::skip]
    let value = [
        0, 0,                   // version
        8,                      // FAILED
        0, 0, 0, 5,             // leader epoch
        0, 0, 1, 2,             // state epoch
        3, b'n', b'o',          // error
        0xff, 0xff,             // not to be tried again
        6,                      // was STOPPING
        0,                      // no tagged fields
    ];
    let bytes = partition_bytes(1);
    check(Record::State(key(), Some(failed)), &bytes, Some(&value));
    let begun = MirrorPartitionState::begun(State::LogAlignment);
    #[rustfmt::skip]
    let value = [
        0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0,
        0,                      // no error
        0, 0,                   // no failure
        0xff,                   // no state before
        0,
    ];
    check(Record::State(key(), Some(begun)), &bytes, Some(&value));
    check(Record::State(key(), None), &bytes, None);
}

#[test]
fn the_last_position_byte_by_byte() {
    let position = LastMirrorEpochs {
        epoch: LeaderEpoch::new(7),
        offset: Some(Offset::new(0x0100_0000_0000)),
    };
    #[rustfmt::skip]
    let value = [
        0, 0,                   // version
        0, 0, 0, 7,             // epoch
        0, 0, 1, 0, 0, 0, 0, 0, // offset
        0,                      // no tagged fields
    ];
    let bytes = partition_bytes(0);
    check(
        Record::Position(key(), Some(position)),
        &bytes,
        Some(&value),
    );
    check(Record::Position(key(), None), &bytes, None);
}

#[test]
fn a_hand_over_byte_by_byte() {
    let said = HandOver {
        topic: TopicId::new([8; 16]),
        position: Offset::new(7),
        end: Offset::new(9),
        leader_epoch: LeaderEpoch::new(4),
        late: vec![BrokerId(2)],
    };
    let mut value = vec![0, 0];
    value.extend([8; 16]);
    #[rustfmt::skip]
    value.extend([
        0, 0, 0, 0, 0, 0, 0, 7, // position
        0, 0, 0, 0, 0, 0, 0, 9, // end
        0, 0, 0, 4,             // leader epoch
        2, 0, 0, 0, 2,          // who was late
        0,                      // no tagged fields
    ]);
    let bytes = partition_bytes(1_002);
    let written = Record::HandOver(key(), Some(said));
    check(written, &bytes, Some(&value));
    check(Record::HandOver(key(), None), &bytes, None);
}

#[test]
fn a_way_back_byte_by_byte() {
    let said = WayBack {
        topic: TopicId::new([8; 16]),
        from: Offset::new(7),
        log_start: Offset::new(5),
        epoch: LeaderEpoch::new(4),
        is_aligned: true,
    };
    let mut value = vec![0, 0];
    value.extend([8; 16]);
    #[rustfmt::skip]
    value.extend([
        0, 0, 0, 0, 0, 0, 0, 7, // from
        0, 0, 0, 0, 0, 0, 0, 5, // log start
        0, 0, 0, 4,             // source's epoch
        1,                      // aligned
        0,                      // no tagged fields
    ]);
    let bytes = partition_bytes(1_003);
    check(Record::WayBack(key(), Some(said)), &bytes, Some(&value));
    check(Record::WayBack(key(), None), &bytes, None);
}

#[test]
fn a_topic_and_a_mirror_byte_by_byte() {
    let topic = MirrorTopic {
        id: TopicId::new(TOPIC),
        mirror: MirrorName::new("dr").expect("sound"),
        desired: Desired::Paused,
        partitions: 3,
    };
    let name = TopicName::new("t.1").expect("sound");
    let bytes = [0x03, 0xe8, 0, 3, b't', b'.', b'1'];
    let mut value = vec![0, 0];
    value.extend(TOPIC);
    value.extend([3, b'd', b'r', 5, 0, 0, 0, 3, 0]);
    check(
        Record::Topic(name.clone(), Some(topic)),
        &bytes,
        Some(&value),
    );
    check(Record::Topic(name, None), &bytes, None);

    let mirror = ClusterMirror {
        source_cluster_id: Some("c".to_owned()),
        include: vec!["a.*".to_owned(), "b{1,2}".to_owned()],
        exclude: Vec::new(),
        settings: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
    };
    let name = MirrorName::new("dr").expect("sound");
    let bytes = [0x03, 0xe9, 0, 2, b'd', b'r'];
    let value = [
        &[0, 0, 2, b'c', 3, 4, b'a', b'.', b'*', 7][..],
        b"b{1,2}",
        &[1, 2, 2, b'k', 2, b'v', 0, 0][..],
    ];
    let value = value.concat();
    check(
        Record::Mirror(name.clone(), Some(mirror)),
        &bytes,
        Some(&value),
    );
    check(Record::Mirror(name, None), &bytes, None);
}

/// Any record, long texts among them.
fn any_offset(chance: &mut Prng) -> Offset {
    Offset::new((chance.next_u64() >> 1) as i64)
}

fn any_hand_over(chance: &mut Prng) -> HandOver {
    HandOver {
        topic: TopicId::new([chance.below(9) as u8; 16]),
        position: any_offset(chance),
        end: any_offset(chance),
        leader_epoch: LeaderEpoch::new(chance.next_u64() as i32),
        late: (0..chance.below(4) as i32).map(BrokerId).collect(),
    }
}

fn any_way_back(topic: TopicId, chance: &mut Prng) -> WayBack {
    WayBack {
        topic,
        from: any_offset(chance),
        log_start: any_offset(chance),
        epoch: LeaderEpoch::new(chance.next_u64() as i32),
        is_aligned: chance.below(2) == 0,
    }
}

fn any(chance: &mut Prng) -> Record {
    let text = |chance: &mut Prng| "é".repeat(chance.below(200) as usize);
    let name = format!("n{}", chance.below(9));
    let mirror = MirrorName::new(&name).expect("sound");
    let id = TopicId::new(std::array::from_fn(|_| chance.next_u64() as u8));
    let key = PartitionKey {
        mirror: mirror.clone(),
        topic: id,
        partition: PartitionIndex::new((chance.next_u64() >> 33) as i32).expect("positive"),
    };
    let is_there = chance.below(5) > 0;
    match chance.below(6) {
        5 => Record::WayBack(key, is_there.then(|| any_way_back(id, chance))),
        4 => Record::HandOver(key, is_there.then(|| any_hand_over(chance))),
        0 => {
            let position = LastMirrorEpochs {
                epoch: LeaderEpoch::new(chance.next_u64() as i32),
                offset: Offset::from_wire(chance.next_u64() as i64),
            };
            Record::Position(key, is_there.then_some(position))
        }
        1 => {
            let state = MirrorPartitionState {
                state: State::ALL[chance.below(9) as usize],
                leader_epoch: LeaderEpoch::new(chance.next_u64() as i32),
                state_epoch: StateEpoch((chance.next_u64() >> 33) as i32),
                error: (chance.below(2) == 0).then(|| text(chance)),
                retry: match chance.below(3) {
                    0 => Retry::Never,
                    _ => Retry::Counted((chance.next_u64() >> 49) as u16),
                },
                previous: State::from_id(chance.below(10) as i8 - 1),
            };
            Record::State(key, is_there.then_some(state))
        }
        2 => {
            let topic = MirrorTopic {
                id,
                mirror,
                desired: Desired::ALL[chance.below(3) as usize],
                partitions: (chance.next_u64() >> 33) as u32,
            };
            let name = TopicName::new(&name).expect("sound");
            Record::Topic(name, is_there.then_some(topic))
        }
        _ => {
            let texts = |chance: &mut Prng| (0..chance.below(4)).map(|_| text(chance)).collect();
            let settings = 0..chance.below(4);
            let said = ClusterMirror {
                source_cluster_id: (chance.below(2) == 0).then(|| text(chance)),
                include: texts(chance),
                exclude: texts(chance),
                settings: settings.map(|at| (at.to_string(), text(chance))).collect(),
            };
            Record::Mirror(mirror, is_there.then_some(said))
        }
    }
}

#[test]
fn whatever_is_written_is_read() {
    let mut chance = Prng::new(11);
    for _ in 0..2_000 {
        let record = any(&mut chance);
        let (key, value) = (record.key(), record.value());
        assert_eq!(Record::read(&key, value.as_deref()), Ok(record.clone()));
        let taken_back = Record::read(&key, None).expect("the key is sound");
        assert_eq!(taken_back, record.tombstone());
    }
}

#[test]
fn a_part_or_more_than_all_is_refused() {
    let mut chance = Prng::new(12);
    for _ in 0..200 {
        let record = any(&mut chance);
        let (key, value) = (record.key(), record.value());
        for end in 0..key.len() {
            assert!(
                Record::read(&key[..end], value.as_deref()).is_err(),
                "{end}"
            );
        }
        let more = [&key[..], &[0]].concat();
        let left = RecordFault::Malformed(Malformed::LeftOver { left: 1 });
        assert_eq!(Record::read(&more, value.as_deref()), Err(left.clone()));
        if let Some(value) = value {
            for end in 0..value.len() {
                assert!(Record::read(&key, Some(&value[..end])).is_err(), "{end}");
            }
            let more = [&value[..], &[0]].concat();
            assert_eq!(Record::read(&key, Some(&more)), Err(left));
        }
    }
}

#[test]
fn changed_bytes_are_another_record_or_a_fault() {
    let mut chance = Prng::new(13);
    let mut faults = 0;
    for _ in 0..20_000 {
        let record = any(&mut chance);
        let (mut key, mut value) = (record.key(), record.value().unwrap_or_default());
        let changed = match chance.below(2) {
            0 => &mut key,
            _ => &mut value,
        };
        if !changed.is_empty() {
            let at = chance.below(changed.len() as u64) as usize;
            changed[at] ^= 1 << chance.below(8);
        }
        match Record::read(&key, Some(&value)) {
            Ok(read) => {
                // What was understood can be said again.
                let again = Record::read(&read.key(), read.value().as_deref());
                assert_eq!(again, Ok(read));
            }
            Err(_) => faults += 1,
        }
    }
    assert!(faults > 1_000, "{faults}");
}

#[test]
fn what_cannot_be_says_so() {
    let fault = |field, value| {
        Err(RecordFault::Malformed(Malformed::Impossible {
            field,
            value,
        }))
    };
    let key = partition_bytes(1);
    let state = Record::State(
        self::key(),
        Some(MirrorPartitionState::begun(State::Stopped)),
    );
    let sound = state.value().expect("no tombstone");
    let with = |at: usize, bytes: &[u8]| {
        let mut value = sound.clone();
        value[at..at + bytes.len()].copy_from_slice(bytes);
        Record::read(&key, Some(&value))
    };
    assert_eq!(with(2, &[0xff]), fault("a partition's state", -1));
    assert_eq!(with(2, &[9]), fault("a partition's state", 9));
    assert_eq!(with(7, &[0xff]), fault("a state epoch", -0x0100_0000));
    assert_eq!(with(12, &[0xff, 0xfe]), fault("a count of failures", -2));
    assert_eq!(with(14, &[16]), fault("a previous state", 16));
    let text = Malformed::BeyondFrame {
        field: "a record's value",
    };
    assert_eq!(with(11, &[0x70]), Err(RecordFault::Malformed(text)));

    let unknown = Err(RecordFault::Version {
        kind: 1,
        version: 1,
    });
    assert_eq!(with(0, &[0, 1]), unknown);
    assert_eq!(
        Record::read(&[0, 2], None),
        Err(RecordFault::Kind { kind: 2 })
    );
    let text = |field| Err(RecordFault::Malformed(Malformed::Text { field }));
    let slash = [3, 0xe9, 0, 2, b'a', b'/'];
    assert_eq!(Record::read(&slash, None), text("a mirror's name"));
    let latin = [3, 0xe9, 0, 2, b'a', 0xe9];
    assert_eq!(Record::read(&latin, None), text("a name in a key"));
    let null = [3, 0xe8, 0xff, 0xff];
    assert_eq!(Record::read(&null, None), fault("a name in a key", -1));
}

#[test]
fn a_count_is_not_believed_before_the_bytes_are_there() {
    let key = [3, 0xe9, 0, 2, b'd', b'r'];
    // No cluster id, then two thousand million patterns.
    let value = [0, 0, 0, 0xff, 0xff, 0xff, 0xff, 7];
    let field = "patterns to include";
    let value_stated = 0x7fff_fffe;
    assert_eq!(
        Record::read(&key, Some(&value)),
        Err(RecordFault::Malformed(Malformed::Impossible {
            field,
            value: value_stated
        }))
    );
}

#[test]
fn tagged_fields_of_later_hands_are_passed_over() {
    let begun = Record::State(key(), Some(MirrorPartitionState::begun(State::Paused)));
    let mut value = begun.value().expect("no tombstone");
    value.pop();
    value.extend([1, 9, 2, 0xaa, 0xbb]);
    assert_eq!(Record::read(&begun.key(), Some(&value)), Ok(begun));
}
