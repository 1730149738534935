//! Answers with too little, with damage or with nothing in them.

use super::super::judge::OVERSIZED_ANSWERS_MAX;
use super::super::{Cause, Outcome, Trouble, Turn};
use super::scene::*;
use crate::model::BrokerId;

fn too_small(need: Option<u32>) -> Part {
    Part::bad(0, Outcome::TooSmall { need })
}

#[test]
fn a_batch_that_did_not_fit_is_asked_for_alone_and_with_room() {
    let (mut scene, _) = Scene::following(options(), [new_log(0, 1), new_log(1, 1)]);
    let sent = scene.sent(1);
    assert_eq!(sent.ask.max_bytes, 4_000);
    assert_eq!(sent.partitions[0].max_bytes, 1_000);
    let turns = scene.answer(1, [too_small(Some(5_000)), Part::empty(1)]);
    assert_eq!(turns, [Turn::Continue, Turn::Continue]);
    let sent = scene.sent(1);
    assert_eq!(
        (sent.only().partition, sent.only().max_bytes),
        (index(0), 5_000)
    );
    assert_eq!(sent.ask.max_bytes, 5_000, "its own room is the request's");
    scene.answer(1, [Part::records(0, 1)]);
    assert_eq!(scene.sent(1).order(), [1, 0], "they share again");
}

#[test]
fn where_the_need_is_unknown_the_room_doubles_up_to_the_bound() {
    let (mut scene, id) = Scene::of_one(options());
    let mut rooms = Vec::new();
    for round in 0..5 {
        let (asked, turn) = scene.round(too_small(None));
        assert_eq!(turn == Turn::Continue, round < 4, "{turn:?}");
        rooms.push(asked.max_bytes);
    }
    assert_eq!(rooms, [1_000, 1_000, 2_000, 4_000, 8_000]);
    assert_eq!(scene.next_of(id), 0);
}

#[test]
fn what_does_not_come_whole_with_all_the_room_there_is_counts_as_damage() {
    for need in [None, Some(8_000)] {
        let (mut scene, _) = Scene::of_one(options());
        let turn = (0..10).find_map(|_| match scene.round(too_small(need)).1 {
            Turn::Continue => None,
            turn => Some(turn),
        });
        let said = matches!(
            turn,
            Some(Turn::Retry {
                trouble: Trouble::Corrupt,
                failures: 1,
                ..
            })
        );
        assert!(said, "{need:?}: {turn:?}");
    }
}

#[test]
fn a_claim_of_more_bytes_than_allowed_stops_when_it_is_repeated() {
    let (mut scene, _) = Scene::of_one(options());
    let claim = too_small(Some(8_001));
    for _ in 1..OVERSIZED_ANSWERS_MAX {
        let (_, turn) = scene.round(claim);
        let trouble = Trouble::Corrupt;
        assert!(
            matches!(turn, Turn::Retry { trouble: told, .. } if told == trouble),
            "{turn:?}"
        );
        scene.sleep();
    }
    let (_, turn) = scene.round(claim);
    let cause = Cause::BatchTooLarge {
        next: offset(0),
        need: 8_001,
        batch_bytes_max: 8_000,
    };
    assert_eq!(turn, Turn::Stop(cause));
}

#[test]
fn damage_is_waited_out_ever_longer_and_then_stops_with_place_and_broker() {
    let (mut scene, _) = Scene::of_one(options());
    scene.round(Part::records(0, 7));
    let damaged = Part::bad(0, Outcome::Corrupt);
    for failure in 1..options().corrupt_answers_max {
        let (asked, turn) = scene.round(damaged);
        assert_eq!(asked.fetch_offset, offset(7));
        let Turn::Retry {
            at,
            trouble,
            failures,
        } = turn
        else {
            panic!("{turn:?}");
        };
        assert_eq!((trouble, failures), (Trouble::Corrupt, failure));
        let waited = at.since(scene.now).as_millis();
        let mean = 100 << (failure - 1);
        assert!(
            (mean * 8 / 10..=mean * 12 / 10).contains(&waited),
            "{waited}"
        );
        assert!(scene.ask(1).is_none(), "not before the wait is over");
        scene.sleep();
        // In the middle of a series the leader is doubted once.
        scene.source.plan_connect(scene.now);
        if let Some(super::super::Question::Leader { cursor }) = scene.source.next_question() {
            assert_eq!(scene.told(cursor, led_by(1, EPOCH), &[]), Turn::Continue);
        }
    }
    let (_, turn) = scene.round(damaged);
    let cause = Cause::Corrupt {
        broker: BrokerId(1),
        next: offset(7),
        answers: 5,
    };
    assert_eq!(turn, Turn::Stop(cause));
    let said = cause.to_string();
    assert!(
        said.contains("broker 1") && said.contains("offset 7"),
        "{said}"
    );
    assert_eq!(scene.source.next_deadline(), None);
}

#[test]
fn sound_batches_before_the_damage_begin_a_new_series() {
    let (mut scene, id) = Scene::of_one(options());
    for round in 1..=10 {
        let (_, turn) = scene.round(Part::records(0, round).and_then(Outcome::Corrupt));
        assert!(matches!(turn, Turn::Retry { failures: 1, .. }), "{turn:?}");
        scene.sleep();
    }
    assert_eq!(scene.next_of(id), 10);
}

#[test]
fn waits_do_not_grow_beyond_their_bound() {
    let mut options = options();
    options.corrupt_answers_max = 100;
    let (mut scene, id) = Scene::of_one(options);
    for _ in 0..80 {
        scene.round(Part::bad(0, Outcome::Corrupt));
        assert!(scene.sleep() <= 5_000);
        scene.source.plan_connect(scene.now);
        while scene.source.next_question().is_some() {
            scene.told(id, led_by(1, EPOCH), &[]);
        }
    }
}

#[test]
fn nothing_at_the_high_watermark_is_all_there_is() {
    let (mut scene, id) = Scene::of_one(options());
    assert!(!scene.is_caught_up(id), "nothing was told yet");
    scene.round(Part::records(0, 10).high(10));
    assert!(scene.is_caught_up(id));
    scene.round(Part::empty(0).high(11));
    assert!(!scene.is_caught_up(id));
}

#[test]
fn nothing_below_the_high_watermark_is_believed_after_some_answers_only() {
    let (mut scene, id) = Scene::of_one(options());
    for _ in 0..3 {
        assert!(!scene.is_caught_up(id));
        scene.round(Part::empty(0));
    }
    assert!(scene.is_caught_up(id));
    scene.round(Part::empty(0).high(HIGH + 1));
    assert!(
        !scene.is_caught_up(id),
        "a moved high watermark begins anew"
    );
    scene.round(Part::empty(0).high(HIGH + 1));
    scene.round(Part::records(0, 5).high(HIGH + 1));
    scene.round(Part::empty(0).high(HIGH + 1));
    assert!(!scene.is_caught_up(id), "records begin anew");
}

#[test]
fn nothing_behind_a_partition_that_took_room_says_nothing() {
    let (mut scene, ids) = Scene::following(options(), [new_log(0, 1), new_log(1, 1)]);
    scene.sent(1);
    scene.answer(1, [Part::records(0, 1), Part::empty(1)]);
    for next in 2..10 {
        assert_eq!(scene.sent(1).order(), [1, 0]);
        // The broker answers in an order of its own.
        scene.answer(1, [Part::records(0, next), Part::empty(1)]);
    }
    assert!(!scene.is_caught_up(ids[1]));
}

/// Empty answers until a partition that was to reach `until` gives up, at most a hundred.
fn answers_until_done(until: i64, high: i64) -> usize {
    let mut followed = new_log(0, 1);
    followed.until = Some(offset(until));
    let (mut scene, _) = Scene::following(options(), [followed]);
    let turns = (1..=100).map(|_| scene.round(Part::empty(0).high(high)).1);
    turns.take_while(|turn| *turn != Turn::Done).count() + 1
}

#[test]
fn records_that_compaction_took_are_not_waited_for_for_ever() {
    assert_eq!(answers_until_done(10, 10), 3);
    assert_eq!(
        answers_until_done(10, 9),
        60,
        "the high watermark may be late"
    );
}

#[test]
fn a_partition_is_done_when_the_log_reaches_its_end_and_not_before() {
    let mut followed = new_log(0, 1);
    followed.until = Some(offset(10));
    let (mut scene, _) = Scene::following(options(), [followed.clone()]);
    assert_eq!(scene.round(Part::records(0, 9)).1, Turn::Continue);
    assert_eq!(scene.round(Part::records(0, 12)).1, Turn::Done);
    assert!(scene.ask(1).is_none());
    followed.until = Some(offset(0));
    let (_, turn) = Scene::new(options()).source.follow(followed);
    assert_eq!(turn, Turn::Done, "there was nothing to copy");
}
