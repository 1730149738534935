//! Where our log and the source's part: gaps, lost records, and cuts.

use super::super::divergence::{Alignment, align, cut_below};
use super::super::{Answer, Cause, CursorId, Question, Trouble, Turn, Verdict};
use super::scene::*;
use crate::model::{BrokerId, LeaderEpoch, Offset};
use crate::protocol::error_code::ErrorCode;

const HELD: [(i32, i64); 3] = [(0, 50), (2, 80), (4, 100)];

fn held(asked: LeaderEpoch) -> Option<super::super::EpochEnd> {
    held_by(&HELD)(asked)
}

#[test]
fn epochs_of_both_sides_say_where_the_logs_part() {
    let cut = |to| Alignment::Cut { to: offset(to) };
    let cases = [
        ((4, 100), Alignment::Agreed, "it ends where ours does"),
        ((4, 900), Alignment::Agreed, "it goes on"),
        ((4, 90), cut(90), "it is shorter in the same epoch"),
        ((3, 90), cut(80), "it has an epoch that we never saw"),
        ((2, 80), cut(80), "it lacks our last epoch"),
        (
            (2, 60),
            cut(60),
            "it lacks a part of the one before as well",
        ),
        ((1, 70), cut(50), "it knows only our first epoch's like"),
        ((0, 20), cut(20), "it parted in our first epoch"),
        (
            (5, 100),
            Alignment::Absurd,
            "no broker names a larger epoch",
        ),
    ];
    for ((number, end), expected, why) in cases {
        let found = align(offset(100), epoch(4), epoch_end(number, end), &held);
        assert_eq!(found, expected, "{why}");
    }
    let nothing = align(offset(100), epoch(4), epoch_end(3, 10), &|_| None);
    assert_eq!(nothing, cut(0), "all we hold is younger");
}

#[test]
fn where_the_source_knows_no_epoch_of_ours_the_cut_is_below_the_last() {
    assert_eq!(cut_below(epoch(4), &held), offset(80));
    assert_eq!(cut_below(epoch(2), &held), offset(50));
    assert_eq!(cut_below(epoch(0), &held), offset(0));
    assert_eq!(cut_below(epoch(4), &|_| None), offset(0));
}

fn question(scene: &mut Scene) -> Question {
    let question = scene.source.next_question().expect("a question");
    assert_eq!(scene.source.next_question(), None, "one at a time");
    question
}

/// Our log holds offsets up to 100, the last epoch is 4; so is the leader's.
fn held_scene(may_truncate: bool) -> (Scene, CursorId) {
    let mut followed = held_log(0, 1, 100, 4);
    followed.may_truncate = may_truncate;
    followed.leader_epoch = epoch(4);
    let (mut scene, ids) = Scene::following(options(), [followed]);
    assert!(matches!(question(&mut scene), Question::EpochEnd { .. }));
    assert!(
        scene.connect().is_empty(),
        "not before the logs are compared"
    );
    let agreed = reaches(Some(epoch_end(4, 200)));
    assert_eq!(scene.told(ids[0], agreed, &HELD), Turn::Continue);
    assert_eq!(scene.connect(), [1]);
    (scene, ids[0])
}

fn bounds(start: i64, end: i64) -> Answer {
    Answer::Bounds {
        start: offset(start),
        end: offset(end),
    }
}

fn lost(source_end: i64, number: i32) -> Turn {
    Turn::Stop(Cause::SourceTruncated {
        held_to: offset(100),
        source_end: offset(source_end),
        epoch: epoch(number),
    })
}

#[test]
fn a_log_that_holds_records_is_compared_before_it_is_continued() {
    let mut followed = held_log(0, 1, 100, 4);
    followed.leader_epoch = epoch(6);
    let (mut scene, ids) = Scene::following(options(), [followed]);
    let asked = Question::EpochEnd {
        cursor: ids[0],
        leader: lane(1).broker,
        leader_epoch: epoch(6),
        epoch: epoch(4),
    };
    assert_eq!(question(&mut scene), asked);
    let answer = reaches(Some(epoch_end(4, 90)));
    assert_eq!(scene.told(ids[0], answer, &HELD), lost(90, 4));
}

#[test]
fn a_log_that_is_said_to_begin_behind_its_end_is_asked_about_again() {
    let (mut scene, id) = held_scene(false);
    scene.round(Part::error(0, ErrorCode::OFFSET_OUT_OF_RANGE));
    assert!(matches!(question(&mut scene), Question::Bounds { .. }));
    let turn = scene.told(id, bounds(1 << 40, 300), &HELD);
    let trouble = Trouble::Crossed {
        broker: BrokerId(1),
        start: offset(1 << 40),
        end: offset(300),
    };
    let is_said = matches!(turn, Turn::Retry { trouble: said, .. } if said == trouble);
    assert!(is_said, "{turn:?}");
    assert_eq!(scene.next_of(id), 100, "nothing is skipped for it");
    scene.sleep();
    assert!(scene.source.plan_connect(scene.now).is_none());
    assert!(matches!(question(&mut scene), Question::Bounds { .. }));
}

#[test]
fn a_fetch_below_the_sources_start_is_a_gap_and_goes_on_there() {
    let (mut scene, id) = held_scene(false);
    let (asked, turn) = scene.round(Part::error(0, ErrorCode::OFFSET_OUT_OF_RANGE));
    assert_eq!(
        (asked.fetch_offset, asked.last_fetched_epoch),
        (offset(100), epoch(4))
    );
    assert_eq!(turn, Turn::Asked);
    assert!(matches!(question(&mut scene), Question::Bounds { .. }));
    let gap = Turn::Gap {
        from: offset(100),
        to: offset(150),
    };
    assert_eq!(scene.told(id, bounds(150, 300), &HELD), gap);
    let asked = scene.sent(1).only();
    assert_eq!(asked.fetch_offset, offset(150));
    assert_eq!(
        asked.last_fetched_epoch,
        LeaderEpoch::NONE,
        "it could only be misread"
    );
    scene.begin(1);
    let Verdict::Append(expected) = scene.head(1, &Part::records(0, 160)) else {
        panic!("it is wanted");
    };
    assert!(
        expected.may_begin_before,
        "the start may lie inside a batch"
    );
    assert_eq!(
        (expected.epoch_min, expected.epoch_max),
        (epoch(4), epoch(4))
    );
    let part = Part::records(0, 160).of_epoch(4);
    let gap = scene.append(id, &part);
    assert_eq!(gap, Some((offset(100), offset(150))), "it is proven now");
    scene.tail(1, &part);
    scene.done(1);
    let asked = scene.sent(1).only();
    assert_eq!(asked.last_fetched_epoch, epoch(4), "stated again");
    scene.begin(1);
    let Verdict::Append(expected) = scene.head(1, &Part::records(0, 170)) else {
        panic!("it is wanted");
    };
    assert!(!expected.may_begin_before, "only the first batch may");
}

#[test]
fn a_gap_that_no_batch_has_proven_is_none_once_the_source_says_otherwise() {
    let (mut scene, id) = held_scene(false);
    scene.round(Part::error(0, ErrorCode::OFFSET_OUT_OF_RANGE));
    question(&mut scene);
    let far = 1 << 40;
    let gap = |to| Turn::Gap {
        from: offset(100),
        to: offset(to),
    };
    assert_eq!(scene.told(id, bounds(far, 2 * far), &HELD), gap(far));
    for start in [far + 7, 60] {
        let (asked, _) = scene.round(Part::error(0, ErrorCode::OFFSET_OUT_OF_RANGE));
        assert!(asked.fetch_offset >= offset(far));
        scene.sleep();
        scene.connect();
        for asked in std::iter::from_fn(|| scene.source.next_question()).collect::<Vec<_>>() {
            assert!(matches!(asked, Question::Bounds { .. }), "{asked:?}");
        }
        let turn = scene.told(id, bounds(start, 2 * far), &HELD);
        match start {
            60 => assert_eq!(turn, Turn::Asked, "where does our last epoch end?"),
            // One gap from the log's end, however often it is told.
            _ => assert_eq!(turn, gap(start)),
        }
    }
    question(&mut scene);
    let agreed = reaches(Some(epoch_end(4, 200)));
    assert_eq!(scene.told(id, agreed, &HELD), Turn::Continue);
    let asked = scene.sent(1).only();
    let place = (asked.fetch_offset, asked.last_fetched_epoch);
    assert_eq!(
        place,
        (offset(100), epoch(4)),
        "as if nothing had been said"
    );
    scene.begin(1);
    let part = Part::records(0, 160).of_epoch(4);
    let Verdict::Append(expected) = scene.head(1, &part) else {
        panic!("it is wanted");
    };
    assert!(!expected.may_begin_before);
    assert_eq!(scene.append(id, &part), None, "nothing is missing");
}

#[test]
fn what_lies_behind_a_gap_is_compared_where_our_log_ends() {
    let (mut scene, id) = held_scene(false);
    scene.round(Part::error(0, ErrorCode::OFFSET_OUT_OF_RANGE));
    question(&mut scene);
    scene.told(id, bounds(150, 300), &HELD);
    scene.round(Part::empty(0).diverging(4, 120));
    scene.sleep();
    scene.connect();
    question(&mut scene);
    // The epoch ends in the gap: what we hold of it is the source's.
    let agreed = reaches(Some(epoch_end(4, 120)));
    assert_eq!(scene.told(id, agreed, &HELD), Turn::Continue);
    assert_eq!(scene.sent(1).only().fetch_offset, offset(150));
}

#[test]
fn a_fetch_out_of_range_that_is_not_below_the_start_is_looked_into() {
    for (start, end) in [(0, 300), (0, 80), (100, 100)] {
        let (mut scene, id) = held_scene(false);
        scene.round(Part::error(0, ErrorCode::OFFSET_OUT_OF_RANGE));
        question(&mut scene);
        assert_eq!(scene.told(id, bounds(start, end), &HELD), Turn::Asked);
        assert!(matches!(question(&mut scene), Question::EpochEnd { .. }));
        let answer = reaches(Some(epoch_end(2, 80)));
        assert_eq!(scene.told(id, answer, &HELD), lost(80, 2));
    }
}

#[test]
fn a_false_alarm_is_followed_by_another_fetch_and_then_by_waits() {
    let (mut scene, id) = held_scene(false);
    let refusal = Part::error(0, ErrorCode::OFFSET_OUT_OF_RANGE);
    for failure in 1..=4 {
        let (_, turn) = scene.round(refusal);
        if failure == 1 {
            assert_eq!(turn, Turn::Asked);
        } else {
            assert!(matches!(turn, Turn::Retry { .. }), "{turn:?}");
            assert!(scene.source.next_question().is_none());
            scene.sleep();
            scene.connect();
        }
        question(&mut scene);
        scene.told(id, bounds(0, 300), &HELD);
        question(&mut scene);
        let agreed = reaches(Some(epoch_end(4, 200)));
        assert_eq!(scene.told(id, agreed, &HELD), Turn::Continue);
    }
}

#[test]
fn an_empty_log_that_is_in_range_after_all_fetches_again() {
    let (mut scene, id) = Scene::of_one(options());
    scene.round(Part::error(0, ErrorCode::OFFSET_OUT_OF_RANGE));
    question(&mut scene);
    let turn = scene.told(id, bounds(0, 10), &[]);
    assert!(matches!(turn, Turn::Retry { .. }), "{turn:?}");
    scene.sleep();
    let (asked, turn) = scene.round(Part::records(0, 10));
    assert_eq!((asked.fetch_offset, turn), (offset(0), Turn::Continue));
}

#[test]
fn a_diverging_answer_stops_a_partition_that_must_not_be_cut() {
    let (mut scene, id) = held_scene(false);
    let (_, turn) = scene.round(Part::empty(0).diverging(2, 60));
    assert_eq!(turn, Turn::Asked);
    let Question::EpochEnd { epoch: asked, .. } = question(&mut scene) else {
        panic!("the epochs are to be compared");
    };
    assert_eq!(asked, epoch(4));
    let answer = reaches(Some(epoch_end(2, 60)));
    assert_eq!(scene.told(id, answer, &HELD), lost(60, 2));
    assert_eq!(scene.next_of(id), 100, "nothing was cut");
    let said = scene.source.progress(id).map(|progress| progress.committed);
    assert_eq!(said.map(|committed| committed.epoch), Some(epoch(4)));
}

#[test]
fn cuts_and_questions_alternate_until_the_logs_agree() {
    let (mut scene, id) = held_scene(true);
    scene.round(Part::empty(0).diverging(3, 90));
    question(&mut scene);
    let cut = |to| Turn::Truncate { to: offset(to) };
    let answer = reaches(Some(epoch_end(3, 90)));
    assert_eq!(scene.told(id, answer, &HELD), cut(80));
    assert!(scene.ask(1).is_none() && scene.source.next_question().is_none());
    scene.source.truncated(id, offset(80), epoch(2));
    let Question::EpochEnd { epoch: asked, .. } = question(&mut scene) else {
        panic!("what is left is compared again");
    };
    assert_eq!(asked, epoch(2));
    let answer = reaches(Some(epoch_end(2, 70)));
    assert_eq!(scene.told(id, answer, &HELD), cut(70));
    scene.source.truncated(id, offset(70), epoch(2));
    question(&mut scene);
    let answer = reaches(Some(epoch_end(2, 70)));
    assert_eq!(scene.told(id, answer, &HELD), Turn::Continue);
    let asked = scene.sent(1).only();
    assert_eq!(
        (asked.fetch_offset, asked.last_fetched_epoch),
        (offset(70), epoch(2))
    );
}

#[test]
fn a_log_that_is_cut_to_nothing_goes_on_without_a_question() {
    let (mut scene, id) = held_scene(true);
    scene.round(Part::empty(0).diverging(3, 90));
    question(&mut scene);
    let answer = reaches(Some(epoch_end(3, 90)));
    let turn = scene.told(id, answer, &[(4, 100)]);
    assert_eq!(turn, Turn::Truncate { to: Offset::ZERO });
    scene.source.truncated(id, Offset::ZERO, LeaderEpoch::NONE);
    assert_eq!(scene.source.next_question(), None);
    let (asked, _) = scene.round(Part::records(0, 5));
    assert_eq!(
        (asked.fetch_offset, asked.last_fetched_epoch),
        (offset(0), LeaderEpoch::NONE)
    );
}

#[test]
fn a_source_that_knows_none_of_our_epochs_is_asked_where_it_ends() {
    for may in [false, true] {
        let (mut scene, id) = held_scene(may);
        scene.round(Part::empty(0).diverging(-1, -1));
        question(&mut scene);
        assert_eq!(scene.told(id, reaches(None), &HELD), Turn::Asked);
        assert!(matches!(question(&mut scene), Question::Bounds { .. }));
        let turn = scene.told(id, bounds(0, 30), &HELD);
        match may {
            false => assert_eq!(turn, lost(30, 4)),
            true => assert_eq!(turn, Turn::Truncate { to: offset(80) }),
        }
    }
}

#[test]
fn answers_that_cannot_be_are_not_acted_on() {
    let (mut scene, id) = held_scene(true);
    scene.round(Part::empty(0).diverging(2, 60));
    question(&mut scene);
    let absurd = reaches(Some(epoch_end(9, 60)));
    let turn = scene.told(id, absurd, &HELD);
    let waits = matches!(
        turn,
        Turn::Retry {
            trouble: Trouble::NoAnswer,
            ..
        }
    );
    assert!(waits, "{turn:?}");
    // An answer to another question, and one that comes while nobody asks.
    assert_eq!(scene.told(id, bounds(900, 999), &HELD), Turn::Continue);
    scene.sleep();
    scene.connect();
    assert!(matches!(question(&mut scene), Question::EpochEnd { .. }));
    assert_eq!(scene.told(id, bounds(900, 999), &HELD), Turn::Continue);
    assert_eq!(scene.told(id, led_by(3, 9), &HELD), Turn::Continue);
    assert_eq!(scene.next_of(id), 100);
    let answer = reaches(Some(epoch_end(2, 60)));
    assert_eq!(
        scene.told(id, answer, &HELD),
        Turn::Truncate { to: offset(60) }
    );
}

#[test]
fn an_empty_log_cannot_diverge() {
    let (mut scene, _) = Scene::of_one(options());
    let (_, turn) = scene.round(Part::empty(0).diverging(0, 0));
    let waits = matches!(
        turn,
        Turn::Retry {
            trouble: Trouble::Diverging,
            ..
        }
    );
    assert!(waits, "{turn:?}");
    assert_eq!(scene.source.next_question(), None);
}

#[test]
fn a_question_nobody_can_answer_makes_us_doubt_the_leader() {
    let mut followed = held_log(0, 1, 100, 4);
    followed.leader_epoch = epoch(4);
    followed.until = Some(offset(100));
    let (mut scene, ids) = Scene::following(options(), [followed]);
    for failure in 1..=3 {
        assert!(matches!(question(&mut scene), Question::EpochEnd { .. }));
        let turn = scene.told(ids[0], Answer::Unavailable, &HELD);
        let waits = matches!(turn, Turn::Retry { failures, .. } if failures == failure);
        assert!(waits, "{turn:?}");
        if failure < 3 {
            scene.sleep();
            scene.connect();
        }
    }
    let broker = lane(1).broker;
    assert_eq!(question(&mut scene), Question::Broker { broker });
    scene.source.leader_moved(ids[0], lane(2).broker, epoch(5));
    scene.sleep();
    scene.connect();
    let Question::EpochEnd { leader, .. } = question(&mut scene) else {
        panic!("that the end is reached does not make the logs equal");
    };
    assert_eq!(leader, lane(2).broker);
    let answer = reaches(Some(epoch_end(4, 90)));
    assert_eq!(scene.told(ids[0], answer, &HELD), lost(90, 4));
}
