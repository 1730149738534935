//! What is said of a partition by what both sides have.

use super::*;
use crate::mirror::WayBack;
use crate::model::{LeaderEpoch, PartitionIndex};

fn id() -> TopicPartition {
    TopicPartition {
        topic: TopicName::new("orders").expect("legal"),
        partition: PartitionIndex::new(0).expect("positive"),
    }
}

fn draft(sought: bool) -> Draft {
    let here = PartitionAsked {
        id: id(),
        leader_epoch: LeaderEpoch::new(1),
    };
    Draft {
        id: id(),
        plan: StartPlan::default(),
        source: None,
        sought: sought.then(|| Sought {
            here,
            topic: TopicId::new([7; 16]),
            source_topic: TopicId::new([9; 16]),
            leader: "127.0.0.1:1".parse().expect("an address"),
            source: None,
            own: None,
        }),
    }
}

fn ends(start: i64, end: i64) -> BTreeMap<TopicPartition, (Offset, Offset)> {
    [(id(), (Offset::new(start), Offset::new(end)))].into()
}

fn parts_at(from: i64, end: i64) -> BTreeMap<TopicPartition, Found> {
    let parting = WayBack {
        topic: TopicId::new([7; 16]),
        from: Offset::new(from),
        log_start: Offset::ZERO,
        epoch: LeaderEpoch::NONE,
        is_aligned: false,
    };
    let end = Offset::new(end);
    [(id(), Found::At { parting, end })].into()
}

fn offsets(from: i64, to: i64) -> Option<LostRange> {
    Some(LostRange { from, to })
}

#[test]
fn what_is_new_is_copied_from_its_beginning() {
    let plan = draft(false).decided(&ends(5, 90), &BTreeMap::new());
    assert_eq!((plan.cut, plan.copy), (None, offsets(5, 90)));
    assert_eq!(plan.parts_at, None);
}

#[test]
fn what_is_mirrored_back_is_cut_and_copied_from_where_both_sides_part() {
    let plan = draft(true).decided(&ends(5, 90), &parts_at(60, 70));
    assert_eq!((plan.cut, plan.copy), (offsets(60, 70), offsets(60, 90)));
    assert_eq!(plan.parts_at, Some(60));
    let equal = draft(true).decided(&ends(5, 60), &parts_at(60, 60));
    assert_eq!((equal.cut, equal.copy), (None, None), "nothing differs");
    let deleted = draft(true).decided(&ends(80, 90), &parts_at(60, 70));
    assert_eq!(deleted.copy, offsets(80, 90), "the source has deleted some");
}

#[test]
fn what_cannot_be_told_is_in_the_way() {
    let never: BTreeMap<_, _> = [(id(), Found::Never("another one".to_owned()))].into();
    for (found, words) in [(never, "another one"), (BTreeMap::new(), "not heard of")] {
        let plan = draft(true).decided(&ends(5, 90), &found);
        assert!(plan.hindrances[0].contains(words), "{plan:?}");
        assert_eq!((plan.cut, plan.copy), (None, None));
    }
}
