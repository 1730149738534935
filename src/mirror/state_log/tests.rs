//! Replays: what counts, what is gone, and what ends one.

use std::collections::BTreeMap;

use super::*;
use crate::mirror::lifecycle::{Desired, State};
use crate::mirror::name::MirrorName;
use crate::mirror::partition::{Action, Ending, Input, Partition, Step};
use crate::mirror::records::{ClusterMirror, LastMirrorEpochs, MirrorTopic};
use crate::mirror::retry::RetryOptions;
use crate::model::{BrokerId, LeaderEpoch, PartitionIndex, TopicId, TopicName};
use crate::stdx::prng::Prng;

fn key(partition: i32) -> PartitionKey {
    PartitionKey {
        mirror: MirrorName::new("dr").expect("sound"),
        topic: TopicId::new([7; 16]),
        partition: PartitionIndex::new(partition).expect("positive"),
    }
}

fn state(partition: i32, state: State) -> Record {
    Record::State(key(partition), Some(MirrorPartitionState::begun(state)))
}

fn mirror(include: &str) -> Record {
    let said = ClusterMirror {
        include: vec![include.to_owned()],
        ..ClusterMirror::default()
    };
    Record::Mirror(MirrorName::new("dr").expect("sound"), Some(said))
}

fn topic(name: &str, desired: Desired) -> Record {
    let said = MirrorTopic {
        id: TopicId::new([7; 16]),
        mirror: MirrorName::new("dr").expect("sound"),
        desired,
        partitions: 2,
    };
    Record::Topic(TopicName::new(name).expect("sound"), Some(said))
}

fn replayed(records: &[Record]) -> StateLog {
    let mut log = StateLog::new();
    for (offset, record) in records.iter().enumerate() {
        let offset = Offset::new(offset as i64 * 3);
        let value = record.value();
        log.replay(offset, &record.key(), value.as_deref())
            .expect("our own record");
    }
    log
}

fn handed_over(position: Offset) -> HandOver {
    HandOver {
        topic: TopicId::new([8; 16]),
        position,
        end: Offset::new(position.value() + 2),
        leader_epoch: LeaderEpoch::new(4),
        late: vec![BrokerId(2)],
    }
}

fn way_back(from: Offset) -> WayBack {
    WayBack {
        topic: TopicId::new([8; 16]),
        from,
        log_start: Offset::ZERO,
        epoch: LeaderEpoch::new(4),
        is_aligned: false,
    }
}

#[test]
fn a_hand_over_is_of_the_stop_with_its_position() {
    let stopped = |offset| {
        let said = LastMirrorEpochs {
            epoch: LeaderEpoch::new(3),
            offset: Some(Offset::new(offset)),
        };
        Record::Position(key(0), Some(said))
    };
    let first = handed_over(Offset::new(9));
    let mut records = vec![
        mirror("a"),
        topic("t", Desired::Stopped),
        stopped(9),
        Record::HandOver(key(0), Some(first.clone())),
    ];
    assert_eq!(replayed(&records).hand_over(&key(0)), Some(&first));
    assert_eq!(replayed(&records).hand_over(&key(1)), None);
    records.push(stopped(12));
    assert_eq!(
        replayed(&records).hand_over(&key(0)),
        None,
        "an earlier one"
    );
    records.push(stopped(9).tombstone());
    assert_eq!(replayed(&records).hand_over(&key(0)), None);
}

#[test]
fn the_last_record_of_a_key_counts_and_a_tombstone_takes_it_away() {
    let position = LastMirrorEpochs {
        epoch: LeaderEpoch::new(3),
        offset: Some(Offset::new(9)),
    };
    let position = Record::Position(key(0), Some(position));
    let log = replayed(&[
        mirror("a"),
        topic("t", Desired::Mirroring),
        state(0, State::LogAlignment),
        state(1, State::LogAlignment),
        position.clone(),
        state(0, State::Mirroring),
        topic("t", Desired::Paused),
        state(1, State::LogAlignment).tombstone(),
        mirror("b"),
    ]);
    let states: Vec<_> = log
        .states()
        .iter()
        .map(|(key, said)| (key, said.state))
        .collect();
    assert_eq!(states, [(&key(0), State::Mirroring)]);
    assert_eq!(log.positions().len(), 1);
    assert_eq!(log.last(), Some(Offset::new(24)));
    let name = TopicName::new("t").expect("sound");
    let known = log.registry().topic(&name).expect("known");
    assert_eq!(known.desired, Desired::Paused);
    let (_, known) = log.registry().mirror("dr").expect("known");
    assert!(known.takes(&TopicName::new("b").expect("sound")));
    assert!(!known.takes(&TopicName::new("a").expect("sound")));
    assert_eq!(
        replayed(&[position.clone(), position.tombstone()])
            .positions()
            .len(),
        0
    );
}

#[test]
fn what_is_not_understood_is_told_with_its_offset() {
    let at = Offset::new(41);
    let (key, mut value) = {
        let record = state(0, State::Mirroring);
        (record.key(), record.value().expect("no tombstone"))
    };
    value[1] = 1;
    let mut log = replayed(&[mirror("a")]);
    let before = log.clone();
    let fault = log
        .replay(at, &key, Some(&value))
        .expect_err("a version of tomorrow");
    assert_eq!(fault.offset, at);
    let told = "the state log at offset 41: a record of kind 1 in version 1; 0 is the newest known";
    assert_eq!(fault.to_string(), told);
    let fault = log
        .replay(at, &[0, 9], None)
        .expect_err("a kind of tomorrow");
    let told = "the state log at offset 41: a record of kind 9, which this twinlog does not know";
    assert_eq!(fault.to_string(), told);
    let fault = log.replay(at, &[1], None).expect_err("no key");
    assert!(matches!(
        fault.why,
        ReplayFaultKind::Record(RecordFault::Malformed(_))
    ));
    let bad = mirror("a(");
    let fault = log.apply(at, bad).expect_err("no pattern");
    assert!(matches!(fault.why, ReplayFaultKind::Pattern(_)));
    assert_eq!(log, before, "nothing has changed");
}

#[test]
fn offsets_rise() {
    let mut log = replayed(&[mirror("a"), state(0, State::Stopped)]);
    let after = Offset::new(3);
    for offset in [0, 3] {
        let offset = Offset::new(offset);
        let fault = log
            .apply(offset, state(0, State::Failed))
            .expect_err("behind");
        assert_eq!(fault.why, ReplayFaultKind::Order { after });
    }
    assert_eq!(log.states()[&key(0)].state, State::Stopped);
    log.apply(Offset::new(4), state(0, State::Failed))
        .expect("ahead");
}

#[test]
fn writers_are_fenced_by_both_epochs() {
    let epoch = |number| StateEpoch::from_wire(number).expect("positive");
    let record = |leader| MirrorPartitionState {
        leader_epoch: LeaderEpoch::new(leader),
        ..MirrorPartitionState::begun(State::Mirroring)
    };
    let kept = MirrorPartitionState {
        state_epoch: epoch(5),
        ..record(3)
    };
    let log = replayed(&[Record::State(key(0), Some(kept))]);
    let table = [
        (3, 5, None),
        (4, 5, None),
        (2, 5, Some(WriteRefusal::NewerLeader)),
        (3, 4, Some(WriteRefusal::NewerState)),
        (4, 4, Some(WriteRefusal::NewerState)),
        (2, 4, Some(WriteRefusal::NewerLeader)),
    ];
    for (leader, over, expected) in table {
        let found = log.fences(&key(0), &record(leader), epoch(over));
        assert_eq!(found, expected, "leader {leader} over {over}");
    }
    assert_eq!(log.fences(&key(1), &record(-1), epoch(0)), None);
}

#[test]
fn a_compacted_log_says_the_same() {
    let mut chance = Prng::new(5);
    for _ in 0..200 {
        let records: Vec<Record> = (0..40).map(|_| any(&mut chance)).collect();
        let whole = replayed(&records);
        // The last of each key at its old offset; tombstones may be there or not.
        let mut last = BTreeMap::new();
        for (offset, record) in records.iter().enumerate() {
            last.insert(record.key(), (offset as i64 * 3, record));
        }
        let mut kept: Vec<_> = last.into_values().collect();
        kept.sort_by_key(|(offset, _)| *offset);
        let end = kept.last().map(|(offset, _)| *offset);
        kept.retain(|(offset, record)| {
            record.value().is_some() || Some(*offset) == end || chance.below(2) == 0
        });
        let mut compacted = StateLog::new();
        for (offset, record) in kept {
            let offset = Offset::new(offset);
            compacted.apply(offset, record.clone()).expect("sound");
        }
        assert_eq!(compacted, whole);
        let mut again = StateLog::new();
        for (offset, record) in whole.records().enumerate() {
            let offset = Offset::new(offset as i64);
            again.apply(offset, record).expect("sound");
        }
        let says = |log: &StateLog| log.records().collect::<Vec<_>>();
        assert_eq!(says(&again), says(&whole));
    }
}

fn any(chance: &mut Prng) -> Record {
    let desired = Desired::ALL[chance.below(3) as usize];
    let actual = State::ALL[chance.below(9) as usize];
    let record = match chance.below(4) {
        0 => mirror(["a", "b.*", "c{1,2}"][chance.below(3) as usize]),
        1 => topic(["t", "u"][chance.below(2) as usize], desired),
        2 => state(chance.below(4) as i32, actual),
        _ => {
            let epoch = LeaderEpoch::new(chance.below(9) as i32);
            let offset = Offset::from_wire(chance.below(99) as i64);
            let key = key(chance.below(4) as i32);
            match (chance.below(3), offset) {
                (0, Some(position)) => Record::HandOver(key, Some(handed_over(position))),
                (1, Some(from)) => Record::WayBack(key, Some(way_back(from))),
                _ => Record::Position(key, Some(LastMirrorEpochs { epoch, offset })),
            }
        }
    };
    match chance.below(4) {
        0 => record.tombstone(),
        _ => record,
    }
}

/// Drives a partition with what the log says, each write through its bytes, and a new node after
/// each: whatever the moment of its death, the next one comes where it is wanted.
#[test]
fn a_node_that_dies_after_any_record_goes_on_where_it_was() {
    let mut lives = 0;
    for deaths in 0..12 {
        let mut log = replayed(&[mirror("a"), topic("t", Desired::Mirroring)]);
        for death in 0..=deaths {
            let writes = if death == deaths {
                usize::MAX
            } else {
                death % 3
            };
            log = live(log, writes);
            lives += 1;
        }
        assert_eq!(log.states()[&key(0)].state, State::Mirroring);
    }
    assert_eq!(lives, 78);
}

/// One life of a node: until it has nothing to do, or dies after so many records.
fn live(mut log: StateLog, writes: usize) -> StateLog {
    let mut chance = Prng::new(1);
    let now = crate::model::Instant::default();
    let mut partition = Partition::new(RetryOptions::default(), Desired::Mirroring);
    let mut step = partition.step(now, &mut chance, Input::Leads(LeaderEpoch::NONE));
    let mut written = 0;
    while let Some(due) = step {
        let answer = match due {
            Step::Read { ticket } => {
                let record = log.states().get(&key(0)).cloned();
                Input::Read { ticket, record }
            }
            Step::Write { .. } if written == writes => break,
            Step::Write {
                ticket,
                record,
                over,
            } => {
                assert_eq!(log.fences(&key(0), &record, over), None);
                let after = log.last().expect("a mirror is on record");
                let record = Record::State(key(0), Some(record));
                let value = record.value();
                let offset = after.checked_add(1).expect("small");
                let kept = log.replay(offset, &record.key(), value.as_deref());
                kept.expect("our own record");
                written += 1;
                Input::Written { ticket }
            }
            Step::Act {
                action: Action::Mirror,
                ..
            } => break,
            Step::Act { ticket, .. } => {
                let how = Ending::Done;
                Input::Ended { ticket, how }
            }
            Step::Wait { .. } => panic!("nothing fails here"),
        };
        step = partition.step(now, &mut chance, answer);
    }
    log
}
