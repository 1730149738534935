//! The source's errors and what they ask of us: its leaders, its topics, its throttles.

use super::super::{Answer, Cause, CursorId, Question, Trouble, Turn, Withheld};
use super::scene::*;
use crate::model::{BrokerId, TopicId};
use crate::protocol::error_code::ErrorCode;

/// Lets the source look at the clock; says what it wants to know.
fn questions(scene: &mut Scene) -> Vec<Question> {
    assert!(scene.source.plan_connect(scene.now).is_none());
    std::iter::from_fn(|| scene.source.next_question()).collect()
}

fn refused(code: ErrorCode) -> (Scene, CursorId, Turn) {
    let (mut scene, id) = Scene::of_one(options());
    let (_, turn) = scene.round(Part::error(0, code));
    (scene, id, turn)
}

#[test]
fn who_is_no_leader_any_more_makes_us_ask_for_the_leader_at_once() {
    for code in [
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::FENCED_LEADER_EPOCH,
    ] {
        let (mut scene, id, turn) = refused(code);
        assert_eq!(turn, Turn::Asked, "{code}");
        assert_eq!(questions(&mut scene), [Question::Leader { cursor: id }]);
        assert!(questions(&mut scene).is_empty(), "asked once");
        assert!(scene.ask(1).is_none());
        assert_eq!(scene.told(id, led_by(2, 2), &[]), Turn::Continue);
        assert_eq!(scene.connect(), [2]);
        assert_eq!(scene.sent(2).only().leader_epoch, epoch(2));
    }
}

#[test]
fn troubles_of_a_broker_or_its_metadata_are_waited_out_before_the_leader_is_asked_for() {
    for code in [
        ErrorCode::UNKNOWN_TOPIC_ID,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode::INCONSISTENT_TOPIC_ID,
        ErrorCode::LEADER_NOT_AVAILABLE,
        ErrorCode::REPLICA_NOT_AVAILABLE,
        ErrorCode::KAFKA_STORAGE_ERROR,
    ] {
        let (mut scene, id, turn) = refused(code);
        let Turn::Retry {
            at,
            trouble,
            failures,
        } = turn
        else {
            panic!("{code}: {turn:?}");
        };
        assert_eq!((trouble, failures), (Trouble::Refused(code), 1));
        assert!(questions(&mut scene).is_empty());
        assert_eq!(scene.source.next_deadline(), Some(at));
        scene.sleep();
        assert_eq!(questions(&mut scene), [Question::Leader { cursor: id }]);
    }
}

#[test]
fn everything_else_is_waited_out_and_every_third_time_the_leader_is_doubted() {
    for code in [
        ErrorCode::UNKNOWN_LEADER_EPOCH,
        ErrorCode::OFFSET_NOT_AVAILABLE,
        ErrorCode::UNKNOWN_SERVER_ERROR,
        ErrorCode::TOPIC_AUTHORIZATION_FAILED,
        ErrorCode(12_345),
    ] {
        let (mut scene, id) = Scene::of_one(options());
        for failure in 1..=7 {
            let (_, turn) = scene.round(Part::error(0, code));
            let said = matches!(turn, Turn::Retry { failures, .. } if failures == failure);
            assert!(said, "{code}: {turn:?}");
            scene.sleep();
            let asked = questions(&mut scene);
            if failure % 3 == 0 {
                assert_eq!(asked, [Question::Leader { cursor: id }]);
                scene.told(id, led_by(1, EPOCH), &[]);
            } else {
                assert!(asked.is_empty(), "{code}: {asked:?}");
            }
        }
    }
}

#[test]
fn an_answer_that_names_the_leader_is_followed_without_a_question() {
    let (mut scene, id) = Scene::of_one(options());
    let refusal = Part::error(0, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let (_, turn) = scene.round(refusal.hint(2, 2));
    assert_eq!(turn, Turn::Continue);
    assert!(scene.source.next_question().is_none());
    assert_eq!(scene.connect(), [2]);
    assert!(scene.ask(1).is_none());
    let asked = scene.sent(2).only();
    assert_eq!(asked.leader_epoch, epoch(2));
    let part = Part::records(0, 3).of_epoch(2);
    assert_eq!(scene.answer(2, [part]), [Turn::Continue]);
    assert_eq!(scene.next_of(id), 3);
}

/// Whoever always names another one is not followed for ever.
#[test]
fn leaders_that_only_name_each_other_are_doubted() {
    let (mut scene, id) = Scene::of_one(options());
    let refusal = || Part::error(0, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let (_, turn) = scene.round(refusal().hint(2, 2));
    assert_eq!(turn, Turn::Continue);
    scene.connect();
    assert!(scene.ask(1).is_none());
    scene.sent(2).only();
    let turns = scene.answer(2, [refusal().hint(1, 3)]);
    // It may not have heard of its election yet: the first doubt costs no wait.
    assert_eq!(turns, [Turn::Asked]);
    assert_eq!(questions(&mut scene), [Question::Leader { cursor: id }]);
    scene.told(id, led_by(1, 3), &[]);
    scene.sent(1).only();
    let turns = scene.answer(1, [refusal().hint(2, 4)]);
    let turn = turns.first().expect("one partition was asked for");
    assert!(matches!(turn, Turn::Retry { failures: 2, .. }), "{turn:?}");
    scene.sleep();
    assert_eq!(questions(&mut scene), [Question::Leader { cursor: id }]);
}

/// Nobody is at 77: its partition would wait there, and no metadata would call it back.
#[test]
fn a_leader_that_is_no_news_or_that_nobody_knows_is_not_followed() {
    for (leader, number) in [(2, EPOCH), (2, EPOCH - 1), (-1, 5), (77, 1 << 30)] {
        let (mut scene, id) = Scene::of_one(options());
        let refusal = Part::error(0, ErrorCode::FENCED_LEADER_EPOCH);
        let (_, turn) = scene.round(refusal.hint(leader, number));
        assert_eq!(turn, Turn::Asked, "{leader} {number}");
        assert_eq!(questions(&mut scene), [Question::Leader { cursor: id }]);
    }
}

#[test]
fn a_second_refusal_is_not_asked_about_before_a_wait() {
    let (mut scene, id, _) = refused(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    questions(&mut scene);
    scene.told(id, led_by(1, EPOCH), &[]);
    let (_, turn) = scene.round(Part::error(0, ErrorCode::NOT_LEADER_OR_FOLLOWER));
    assert!(matches!(turn, Turn::Retry { failures: 2, .. }), "{turn:?}");
    assert!(questions(&mut scene).is_empty());
    scene.sleep();
    assert_eq!(questions(&mut scene), [Question::Leader { cursor: id }]);
}

#[test]
fn a_broker_that_has_not_heard_of_the_election_is_asked_again() {
    let (mut scene, id, _) = refused(ErrorCode::FENCED_LEADER_EPOCH);
    questions(&mut scene);
    let turn = scene.told(id, led_by(3, EPOCH - 1), &[]);
    assert!(matches!(turn, Turn::Retry { failures: 2, .. }), "{turn:?}");
    scene.sleep();
    assert_eq!(questions(&mut scene), [Question::Leader { cursor: id }]);
    let turn = scene.told(id, Answer::Unavailable, &[]);
    assert!(matches!(turn, Turn::Retry { failures: 3, .. }), "{turn:?}");
    scene.sleep();
    assert_eq!(questions(&mut scene), [Question::Leader { cursor: id }]);
}

#[test]
fn news_of_the_leader_end_the_wait_for_it() {
    for rests in [false, true] {
        let code = match rests {
            true => ErrorCode::KAFKA_STORAGE_ERROR,
            false => ErrorCode::FENCED_LEADER_EPOCH,
        };
        let (mut scene, id, _) = refused(code);
        scene.source.leader_moved(id, BrokerId(3), epoch(4));
        assert_eq!(scene.connect(), [3]);
        assert_eq!(scene.sent(3).only().leader_epoch, epoch(4));
        let asked = std::iter::from_fn(|| scene.source.next_question());
        assert_eq!(asked.count(), 0, "nobody wants to know any more");
        assert_eq!(scene.told(id, led_by(2, 9), &[]), Turn::Continue);
        scene.answer(3, [Part::records(0, 2)]);
        assert_eq!(scene.next_of(id), 2);
    }
}

#[test]
fn old_news_of_the_leader_are_ignored() {
    let (mut scene, id) = Scene::of_one(options());
    scene.sent(1);
    for number in [EPOCH, EPOCH - 1] {
        scene.source.leader_moved(id, BrokerId(2), epoch(number));
    }
    assert!(scene.connect().is_empty());
    scene.answer(1, [Part::records(0, 2)]);
    assert_eq!(scene.next_of(id), 2);
}

#[test]
fn a_topic_that_is_gone_or_another_stops_its_partition() {
    let now = TopicId::new([9; 16]);
    let cases = [
        (Answer::TopicDeleted, Cause::TopicDeleted),
        (
            Answer::TopicRecreated { topic_id: now },
            Cause::TopicRecreated { held: TOPIC, now },
        ),
    ];
    for (answer, cause) in cases {
        let (mut scene, id, _) = refused(ErrorCode::UNKNOWN_TOPIC_ID);
        scene.sleep();
        questions(&mut scene);
        assert_eq!(scene.told(id, answer, &[]), Turn::Stop(cause));
        assert!(scene.ask(1).is_none());
        assert_eq!(scene.source.next_deadline(), None);
        scene.source.unfollow(id);
        let mut anew = new_log(0, 1);
        anew.topic_id = now;
        let (_, turn) = scene.source.follow(anew);
        assert_eq!(turn, Turn::Continue);
        assert_eq!(scene.sent(1).only().topic, now);
    }
}

#[test]
fn an_error_of_the_whole_answer_is_waited_out_by_the_lane_and_told_each_time() {
    let (mut scene, id) = Scene::of_one(options());
    let error = ErrorCode::UNKNOWN_SERVER_ERROR;
    for failure in 0..4 {
        scene.sent(1);
        let told = scene.begin_with(1, 0, error);
        assert_eq!(told, Some(Withheld::Refused(error)));
        assert_eq!(scene.done(1), 0, "nothing is missing");
        assert!(scene.ask(1).is_none());
        let slept = scene.sleep();
        let mean = 100 << failure;
        assert!((mean * 8 / 10..=mean * 12 / 10).contains(&slept), "{slept}");
    }
    scene.round(Part::records(0, 1));
    assert_eq!(scene.next_of(id), 1);
    scene.sent(1);
    scene.begin_with(1, 0, ErrorCode::UNKNOWN_SERVER_ERROR);
    scene.done(1);
    assert!(
        scene.sleep() <= 120,
        "an answer without an error is a new beginning"
    );
}

#[test]
fn a_throttle_is_obeyed_up_to_a_minute() {
    for (throttle_ms, obeyed_ms) in [(250, 250), (3_600_000, 60_000)] {
        let (mut scene, _) = Scene::of_one(options());
        scene.sent(1);
        scene.begin_with(1, throttle_ms, ErrorCode::NONE);
        assert_eq!(
            scene.done(1),
            0,
            "a throttled answer is empty, nothing is missing"
        );
        assert!(scene.ask(1).is_none());
        scene.pass(obeyed_ms - 1);
        assert!(scene.ask(1).is_none());
        assert_eq!(scene.sleep(), 1);
        scene.sent(1);
    }
}

#[test]
fn throttles_are_told_once_they_are_all_that_comes() {
    let (mut scene, id) = Scene::of_one(options());
    scene.session = 5;
    scene.round(Part::records(0, 1));
    assert!(scene.sent(1).session.epoch > 0);
    for answers in 1..=12 {
        let told = scene.begin_with(1, 10, ErrorCode::NONE);
        let expected = (answers >= 10).then_some(Withheld::Throttled { answers });
        assert_eq!(told, expected);
        scene.done(1);
        scene.sleep();
        // The first answer of another session tells everybody that this is over.
        assert_eq!(scene.sent(1).session.epoch > 0, answers < 10);
    }
    scene.answer(1, [Part::records(0, 2)]);
    assert_eq!(scene.next_of(id), 2);
    scene.sent(1);
    assert_eq!(
        scene.begin_with(1, 10, ErrorCode::NONE),
        None,
        "a new beginning"
    );
}

#[test]
fn high_watermarks_that_bring_no_records_are_believed_for_a_while() {
    let mut followed = new_log(0, 1);
    followed.until = Some(offset(10));
    let (mut scene, ids) = Scene::following(options(), [followed]);
    scene.round(Part::records(0, 1).high(10));
    for high in 11..=40 {
        let (asked, turn) = scene.round(Part::empty(0).high(high));
        assert_eq!(asked.fetch_offset, offset(1));
        let trouble = Trouble::Promised {
            broker: BrokerId(1),
            next: offset(1),
            high_watermark: offset(high),
        };
        let is_said = matches!(turn, Turn::Retry { trouble: said, .. } if said == trouble);
        assert_eq!(is_said, high >= 30, "{high}: {turn:?}");
        if is_said {
            scene.sleep();
            for question in questions(&mut scene) {
                assert_eq!(question, Question::Leader { cursor: ids[0] });
                scene.told(ids[0], led_by(1, EPOCH), &[]);
            }
        }
    }
    let (_, turn) = scene.round(Part::records(0, 2).high(50));
    assert_eq!(turn, Turn::Continue);
    let (_, turn) = scene.round(Part::empty(0).high(51));
    assert_eq!(turn, Turn::Continue, "a new beginning");
}

#[test]
fn an_answer_without_a_high_watermark_is_a_failure() {
    let (mut scene, id) = Scene::of_one(options());
    let broker = BrokerId(1);
    let (_, turn) = scene.round(Part::empty(0).high(-1));
    let is_said = matches!(turn, Turn::Retry { trouble: Trouble::NoWatermark { broker: said }, .. }
        if said == broker);
    assert!(is_said, "{turn:?}");
    scene.sleep();
    scene.round(Part::records(0, 4).high(-1));
    assert_eq!(scene.next_of(id), 4, "records speak for themselves");
}

#[test]
fn a_batch_of_a_newer_epoch_than_its_sender_makes_us_ask_for_the_leader() {
    let (mut scene, id) = Scene::of_one(options());
    let part = Part::records(0, 3).and_then(super::super::Outcome::EpochAhead);
    let (_, turn) = scene.round(part);
    assert_eq!(turn, Turn::Asked);
    assert_eq!(scene.next_of(id), 3, "what came before it is kept");
    assert_eq!(questions(&mut scene), [Question::Leader { cursor: id }]);
}

#[test]
fn a_log_is_not_compared_with_a_leader_older_than_its_last_epoch() {
    let mut followed = held_log(0, 1, 100, 5);
    followed.leader_epoch = epoch(4);
    followed.until = Some(offset(100));
    for pushed in [false, true] {
        let (mut scene, ids) = Scene::following(options(), [followed.clone()]);
        let id = ids[0];
        assert_eq!(questions(&mut scene), [Question::Leader { cursor: id }]);
        // One that does not know of the epoch in which our last batch was written.
        let turn = scene.told(id, led_by(1, 4), &[]);
        assert!(matches!(turn, Turn::Retry { failures: 1, .. }), "{turn:?}");
        scene.sleep();
        assert_eq!(questions(&mut scene), [Question::Leader { cursor: id }]);
        match pushed {
            true => scene.source.leader_moved(id, BrokerId(2), epoch(5)),
            false => assert_eq!(scene.told(id, led_by(2, 5), &[]), Turn::Asked),
        }
        let asked = Question::EpochEnd {
            cursor: id,
            leader: BrokerId(2),
            leader_epoch: epoch(5),
            epoch: epoch(5),
        };
        assert_eq!(questions(&mut scene), [asked]);
        let agreed = reaches(Some(epoch_end(5, 100)));
        assert_eq!(scene.told(id, agreed, &[(5, 100)]), Turn::Done);
    }
}

#[test]
fn a_source_that_stays_older_than_the_log_is_compared_in_the_end() {
    let mut followed = held_log(0, 1, 100, 5);
    followed.leader_epoch = epoch(4);
    let (mut scene, ids) = Scene::following(options(), [followed]);
    let mut waits = 0;
    loop {
        assert_eq!(questions(&mut scene), [Question::Leader { cursor: ids[0] }]);
        if scene.told(ids[0], led_by(1, 4), &[]) == Turn::Asked {
            break;
        }
        waits += 1;
        scene.sleep();
    }
    assert_eq!(waits, 10);
    assert!(matches!(
        questions(&mut scene)[0],
        Question::EpochEnd { .. }
    ));
    assert_eq!(scene.told(ids[0], reaches(None), &[]), Turn::Asked);
}

#[test]
fn news_of_a_leader_that_is_still_too_old_end_no_wait() {
    let mut followed = held_log(0, 1, 100, 5);
    followed.leader_epoch = epoch(3);
    let (mut scene, ids) = Scene::following(options(), [followed]);
    scene.source.leader_moved(ids[0], BrokerId(2), epoch(4));
    assert_eq!(questions(&mut scene), [Question::Leader { cursor: ids[0] }]);
    scene.source.leader_moved(ids[0], BrokerId(3), epoch(6));
    let asked = questions(&mut scene);
    assert!(
        matches!(asked[..], [Question::EpochEnd { .. }]),
        "{asked:?}"
    );
}
