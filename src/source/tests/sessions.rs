//! Incremental sessions: what is named, what is forgotten, and what an answer says by silence.

use super::super::{CursorId, Outcome, Question, Turn, Verdict};
use super::scene::*;
use crate::model::BrokerId;
use crate::protocol::error_code::ErrorCode;
use crate::protocol::fetch::Session;

const SESSION: i32 = 99;

/// New logs of broker 1, whose first answer has begun a session.
fn in_session(count: i32) -> (Scene, Vec<CursorId>) {
    let (mut scene, ids) = Scene::following(options(), (0..count).map(|n| new_log(n, 1)));
    let first = scene.sent(1);
    assert_eq!(first.session, Session { id: 0, epoch: 0 });
    scene.session = SESSION;
    scene.answer(1, (0..count).map(Part::empty));
    (scene, ids)
}

/// The next request goes on with the session; names and numbers of what it changes.
fn goes_on(scene: &mut Scene, epoch: i32) -> (Vec<(i32, i64)>, Vec<i32>) {
    let sent = scene.sent(1);
    assert_eq!(sent.session, Session { id: SESSION, epoch });
    let named = sent.partitions.iter();
    let named = named.map(|asked| (asked.partition.value(), asked.fetch_offset.value()));
    (named.collect(), sent.forgotten)
}

#[test]
fn only_what_has_moved_is_named_and_silence_is_no_fault() {
    let (mut scene, ids) = in_session(3);
    assert_eq!(goes_on(&mut scene, 1), (vec![], vec![]));
    assert_eq!(scene.answer(1, []), []);
    assert_eq!(goes_on(&mut scene, 2), (vec![], vec![]));
    scene.answer(1, [Part::records(1, 7)]);
    assert_eq!(goes_on(&mut scene, 3), (vec![(1, 7)], vec![]));
    scene.answer(1, [Part::empty(0)]);
    assert_eq!(goes_on(&mut scene, 4), (vec![], vec![]));
    assert_eq!(scene.next_of(ids[1]), 7);
}

#[test]
fn a_version_without_sessions_asks_for_all_each_time() {
    for version in [4, 6] {
        let mut scene = Scene::new(options());
        scene.version = version;
        scene.source.follow(new_log(0, 1));
        scene.connect();
        for _ in 0..3 {
            let sent = scene.sent(1);
            assert_eq!((sent.session, sent.order()), (Session::NONE, vec![0]));
            scene.answer(1, [Part::empty(0)]);
        }
    }
}

#[test]
fn a_broker_without_room_for_a_session_is_asked_in_full_and_for_one_again() {
    let (mut scene, _) = Scene::following(options(), (0..2).map(|n| new_log(n, 1)));
    for _ in 0..3 {
        let sent = scene.sent(1);
        assert_eq!(sent.session, Session { id: 0, epoch: 0 });
        assert_eq!(sent.order().len(), 2);
        scene.answer(1, sent.order().into_iter().map(Part::empty));
    }
}

#[test]
fn whoever_waits_is_forgotten_and_joins_again() {
    let (mut scene, _) = in_session(2);
    goes_on(&mut scene, 1);
    let turns = scene.answer(1, [Part::error(0, ErrorCode::UNKNOWN_SERVER_ERROR)]);
    assert!(matches!(turns[0], Turn::Retry { .. }));
    assert_eq!(goes_on(&mut scene, 2), (vec![], vec![0]));
    scene.answer(1, []);
    goes_on(&mut scene, 3);
    scene.answer(1, [Part::error(1, ErrorCode::UNKNOWN_SERVER_ERROR)]);
    assert!(scene.ask(1).is_none(), "nobody stands in it");
    scene.sleep();
    // A session without members is not worth going on with.
    let sent = scene.sent(1);
    assert_eq!(
        sent.session,
        Session {
            id: SESSION,
            epoch: 0
        }
    );
    assert_eq!(sent.order(), [0]);
}

#[test]
fn whoever_comes_back_before_it_was_forgotten_waits_for_the_next_request() {
    let (mut scene, ids) = in_session(2);
    goes_on(&mut scene, 1);
    scene.source.leader_moved(ids[0], BrokerId(1), epoch(2));
    scene.answer(1, []);
    let sent = scene.sent(1);
    assert_eq!((sent.order(), sent.forgotten), (vec![], vec![0]));
    assert_eq!(sent.ask.max_wait_ms, 0, "it is not kept waiting");
    scene.answer(1, []);
    let sent = scene.sent(1);
    assert_eq!(sent.only().leader_epoch, epoch(2));
    assert!(sent.ask.max_wait_ms > 0 && sent.forgotten.is_empty());
}

#[test]
fn whoever_leaves_is_forgotten_and_a_namesake_is_not_taken_for_it() {
    let (mut scene, ids) = in_session(2);
    goes_on(&mut scene, 1);
    scene.source.unfollow(ids[0]);
    let (again, _) = scene.source.follow(new_log(0, 1));
    scene.begin(1);
    scene.tells_of(1, 1);
    assert_eq!(scene.head(1, &Part::records(0, 5)), Verdict::Ignore);
    scene.tail(1, &Part::empty(0));
    scene.done(1);
    assert_eq!(goes_on(&mut scene, 2), (vec![], vec![0]));
    scene.answer(1, []);
    assert_eq!(goes_on(&mut scene, 3), (vec![(0, 0)], vec![]));
    scene.answer(1, [Part::records(0, 5)]);
    assert_eq!(scene.next_of(again), 5);
}

#[test]
fn a_session_that_is_gone_is_begun_anew_at_once_and_then_after_a_wait() {
    let gone = [
        (ErrorCode::FETCH_SESSION_ID_NOT_FOUND, 0),
        (ErrorCode::INVALID_FETCH_SESSION_EPOCH, SESSION),
        (ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR, SESSION),
    ];
    for (error, closed) in gone {
        let (mut scene, _) = in_session(3);
        goes_on(&mut scene, 1);
        scene.begin_with(1, 0, error);
        assert_eq!(scene.done(1), 0);
        let sent = scene.sent(1);
        let begins = Session {
            id: closed,
            epoch: 0,
        };
        assert_eq!(sent.session, begins, "{error}");
        let mut order = sent.order();
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2]);
        // What it answers now is about no session that we know of.
        scene.begin_with(1, 0, error);
        scene.done(1);
        assert!(scene.ask(1).is_none(), "{error}: twice in a row");
        scene.sleep();
        assert_eq!(scene.sent(1).session, Session { id: 0, epoch: 0 });
    }
}

#[test]
fn an_answer_of_another_session_ends_ours() {
    let (mut scene, _) = in_session(2);
    goes_on(&mut scene, 1);
    scene.session = 0;
    scene.answer(1, []);
    let sent = scene.sent(1);
    assert_eq!(
        sent.session,
        Session {
            id: SESSION,
            epoch: 0
        }
    );
    assert_eq!(sent.order().len(), 2);
}

#[test]
fn a_session_goes_on_over_a_throttle_and_ends_with_its_connection() {
    let (mut scene, _) = in_session(2);
    goes_on(&mut scene, 1);
    scene.begin_with(1, 50, ErrorCode::NONE);
    scene.done(1);
    assert!(scene.ask(1).is_none());
    assert_eq!(scene.sleep(), 50);
    assert_eq!(goes_on(&mut scene, 2), (vec![], vec![]));
    scene.lose(1);
    scene.sleep();
    scene.connect();
    let sent = scene.sent(1);
    assert_eq!(sent.session, Session { id: 0, epoch: 0 });
    assert_eq!(sent.order().len(), 2);
}

#[test]
fn the_first_answer_of_a_session_has_to_tell_of_everybody() {
    let (mut scene, _) = Scene::following(options(), (0..2).map(|n| new_log(n, 1)));
    scene.sent(1);
    scene.session = SESSION;
    scene.begin(1);
    scene.tells_of(1, 1);
    scene.give(1, Part::records(0, 4));
    assert_eq!(scene.done(1), 1);
    let (named, forgotten) = goes_on(&mut scene, 1);
    assert_eq!((named, forgotten), (vec![(0, 4)], vec![1]));
}

#[test]
fn a_session_that_begins_with_a_throttle_is_begun_again() {
    let (mut scene, _) = Scene::following(options(), [new_log(0, 1)]);
    scene.sent(1);
    scene.session = SESSION;
    scene.begin_with(1, 50, ErrorCode::NONE);
    scene.done(1);
    scene.sleep();
    let sent = scene.sent(1);
    let again = Session {
        id: SESSION,
        epoch: 0,
    };
    assert_eq!((sent.session, sent.order()), (again, vec![0]));
}

#[test]
fn the_next_request_of_a_session_leaves_while_the_answer_arrives() {
    let (mut scene, ids) = in_session(3);
    goes_on(&mut scene, 1);
    scene.begin(1);
    scene.tells_of(1, 2);
    scene.give(1, Part::records(2, 5));
    assert!(scene.ask(1).is_none(), "another partition follows");
    let last = Part::records(0, 10);
    scene.head(1, &last);
    scene.source.look_ahead(ids[0], offset(10), epoch(EPOCH));
    assert_eq!(goes_on(&mut scene, 2), (vec![(2, 5), (0, 10)], vec![]));
    scene.append(ids[0], &last);
    scene.tail(1, &last);
    scene.done(1);
    assert!(scene.ask(1).is_none(), "it has left");
    scene.answer(1, [Part::records(0, 20)]);
    assert_eq!(scene.next_of(ids[0]), 20);
    assert_eq!(goes_on(&mut scene, 3), (vec![(0, 20)], vec![]));
}

#[test]
fn a_wrong_foresight_is_corrected_by_the_request_after_it() {
    let (mut scene, ids) = in_session(1);
    goes_on(&mut scene, 1);
    scene.begin(1);
    scene.tells_of(1, 1);
    let part = Part::records(0, 6);
    scene.head(1, &part);
    scene.source.look_ahead(ids[0], offset(10), epoch(EPOCH));
    assert_eq!(goes_on(&mut scene, 2), (vec![(0, 10)], vec![]));
    scene.append(ids[0], &part);
    scene.tail(1, &part);
    scene.done(1);
    scene.begin(1);
    scene.tells_of(1, 1);
    assert_eq!(scene.head(1, &Part::records(0, 15)), Verdict::Ignore);
    scene.tail(1, &Part::empty(0));
    scene.done(1);
    assert_eq!(goes_on(&mut scene, 3), (vec![(0, 6)], vec![]));
}

#[test]
fn who_needs_a_request_alone_asks_outside_of_the_session_and_both_take_turns() {
    let (mut scene, _) = in_session(2);
    goes_on(&mut scene, 1);
    scene.answer(1, [Part::bad(0, Outcome::TooSmall { need: Some(5_000) })]);
    let alone = scene.sent(1);
    assert_eq!(
        (alone.session, alone.only().max_bytes),
        (Session::NONE, 5_000)
    );
    scene.session = 0;
    scene.answer(1, [Part::bad(0, Outcome::TooSmall { need: Some(6_000) })]);
    scene.session = SESSION;
    let sent = scene.sent(1);
    assert_eq!(
        sent.session,
        Session {
            id: SESSION,
            epoch: 2
        }
    );
    assert_eq!((sent.order(), sent.forgotten), (vec![], vec![0]));
    assert_eq!(sent.ask.max_wait_ms, 0, "somebody waits");
    scene.answer(1, [Part::records(1, 3)]);
    assert_eq!(scene.sent(1).only().max_bytes, 8_000);
    scene.session = 0;
    scene.answer(1, [Part::records(0, 1)]);
    scene.session = SESSION;
    let (mut named, forgotten) = goes_on(&mut scene, 3);
    named.sort_unstable();
    assert_eq!((named, forgotten), (vec![(0, 1), (1, 3)], vec![]));
}

#[test]
fn records_that_are_gone_are_not_waited_for_though_answers_are_silent() {
    let mut followed = new_log(0, 1);
    followed.until = Some(offset(HIGH));
    let (mut scene, ids) = Scene::following(options(), [followed, new_log(1, 1)]);
    scene.sent(1);
    scene.session = SESSION;
    scene.answer(1, [Part::empty(0), Part::empty(1)]);
    let patience = i32::try_from(options().empty_answers_max).expect("small");
    for epoch in 1..patience {
        assert_eq!(scene.source.next_untold(), None);
        assert!(!scene.is_caught_up(ids[1]));
        goes_on(&mut scene, epoch);
        scene.answer(1, []);
    }
    assert_eq!(scene.source.next_untold(), Some((ids[0], Turn::Done)));
    let other = scene.source.next_untold();
    assert_eq!(other, None, "the other goes on for ever");
    assert!(scene.is_caught_up(ids[1]));
    assert_eq!(goes_on(&mut scene, patience), (vec![], vec![0]));
}

#[test]
fn silence_says_nothing_while_others_take_the_room() {
    let mut followed = new_log(0, 1);
    followed.until = Some(offset(HIGH));
    let (mut scene, _) = Scene::following(options(), [followed, new_log(1, 1)]);
    scene.sent(1);
    scene.session = SESSION;
    scene.answer(1, [Part::empty(0), Part::empty(1)]);
    for round in 1..20 {
        goes_on(&mut scene, i32::try_from(round).expect("small"));
        scene.answer(1, [Part::records(1, round)]);
        assert_eq!(scene.source.next_untold(), None);
    }
}

#[test]
fn what_is_said_of_a_partition_is_kept_though_its_records_are_not_wanted() {
    let (mut scene, ids) = in_session(1);
    goes_on(&mut scene, 1);
    scene.begin_with(1, 0, ErrorCode::NONE);
    scene.tells_of(1, 1);
    scene.give(1, Part::records(0, 4));
    // The early request asks for an offset that is wrong; its answer tells of a watermark.
    scene.done(1);
    goes_on(&mut scene, 2);
    scene.answer(1, [Part::empty(0).high(4)]);
    assert!(scene.is_caught_up(ids[0]));
    assert_eq!(scene.source.next_question(), None::<Question>);
}

#[test]
fn a_sessions_epochs_never_come_back_to_its_beginning() {
    let (mut scene, _) = in_session(1);
    let session = scene.source.lane_mut(lane(1)).session.as_mut();
    session.expect("begun").epoch = i32::MAX;
    assert_eq!(goes_on(&mut scene, i32::MAX), (vec![], vec![]));
    scene.answer(1, []);
    goes_on(&mut scene, 1);
}
