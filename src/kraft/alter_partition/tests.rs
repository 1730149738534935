//! What becomes of changes, and what is asked for again.

use super::*;
use crate::model::BrokerEpoch;
use crate::protocol::metadata_record::Recovery;

const TOPIC: TopicId = TopicId::new([7; 16]);
const NOW: Instant = Instant::from_nanos(1_000_000_000);

fn number(index: i32) -> PartitionIndex {
    PartitionIndex::new(index).expect("not negative")
}

fn change(index: i32, partition_epoch: i32) -> IsrChange {
    IsrChange {
        topic: TOPIC,
        partition: number(index),
        leader_epoch: LeaderEpoch::new(1),
        partition_epoch,
        isr: vec![(BrokerId(9001), BrokerEpoch::new(5))],
    }
}

fn told(index: i32, error: ErrorCode) -> IsrAnswer {
    IsrAnswer {
        topic: TOPIC,
        partition: number(index),
        error,
        leader: Some(BrokerId(9001)),
        leader_epoch: LeaderEpoch::new(1),
        isr: vec![BrokerId(9001)],
        recovery: Recovery::Recovered,
        partition_epoch: 8,
    }
}

fn answer(partitions: Vec<IsrAnswer>) -> AlterPartitionAnswer {
    AlterPartitionAnswer {
        error: ErrorCode::NONE,
        partitions,
    }
}

#[test]
fn each_error_has_its_fate() {
    let options = Options::default();
    let mut proposals = Proposals::default();
    for index in 0..4 {
        proposals.put(change(index, 7));
    }
    assert_eq!(proposals.next(NOW, &options).expect("four").len(), 4);
    assert_eq!(proposals.next(NOW, &options), None, "one request at a time");
    let fates = proposals.answered(
        NOW,
        &answer(vec![
            told(0, ErrorCode::NONE),
            told(1, ErrorCode::INELIGIBLE_REPLICA),
            told(2, ErrorCode::NEW_LEADER_ELECTED),
            told(3, ErrorCode::REQUEST_TIMED_OUT),
            told(9, ErrorCode::NONE),
        ]),
        &options,
    );
    let committed = Fate::Committed {
        isr: vec![BrokerId(9001)],
        leader_epoch: LeaderEpoch::new(1),
        partition_epoch: 8,
    };
    let expected = [
        ((TOPIC, number(0)), committed),
        (
            (TOPIC, number(1)),
            Fate::Reverted(ErrorCode::INELIGIBLE_REPLICA),
        ),
        (
            (TOPIC, number(2)),
            Fate::Overtaken(ErrorCode::NEW_LEADER_ELECTED),
        ),
    ];
    assert_eq!(fates, expected);
    assert_eq!(proposals.next(NOW, &options), None, "not at once again");
    let later = proposals.deadline().expect("one waits");
    assert_eq!(proposals.next(later, &options), Some(vec![change(3, 7)]));
}

#[test]
fn what_is_newer_is_asked_for_in_the_place_of_what_was_lost() {
    let options = Options {
        proposals_max: 1,
        ..Options::default()
    };
    let mut proposals = Proposals::default();
    proposals.put(change(0, 7));
    proposals.put(change(1, 3));
    assert_eq!(proposals.next(NOW, &options), Some(vec![change(0, 7)]));
    proposals.put(change(0, 8));
    proposals.lost(NOW, &options);
    let later = proposals.deadline().expect("two wait");
    assert_eq!(proposals.next(later, &options), Some(vec![change(0, 8)]));
    proposals.answered(later, &answer(vec![told(0, ErrorCode::NONE)]), &options);
    assert_eq!(proposals.next(later, &options), Some(vec![change(1, 3)]));
}
