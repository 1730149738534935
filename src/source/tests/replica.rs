//! Following as a replica: what requests acknowledge, cuts without a question, and having all.

use super::super::{Answer, Options, Outcome, Question, Reached, Trouble, Turn};
use super::scene::*;
use crate::model::{BrokerEpoch, BrokerId, LeaderEpoch};
use crate::protocol::error_code::ErrorCode;
use crate::protocol::fetch::Replica;

fn replica(life: i64) -> Replica {
    Replica {
        broker: BrokerId(9001),
        epoch: BrokerEpoch::new(life),
    }
}

fn as_replica() -> Options {
    Options {
        replica: Some(replica(5)),
        ..options()
    }
}

/// Our log holds offsets up to 100, in the epochs 0, 2 and 4; its leader is in epoch 4.
const HELD: [(i32, i64); 3] = [(0, 50), (2, 80), (4, 100)];

fn held_scene() -> (Scene, super::super::CursorId) {
    let mut followed = held_log(0, 1, 100, 4);
    followed.leader_epoch = epoch(4);
    followed.log_start = offset(20);
    let (mut scene, ids) = Scene::following(as_replica(), [followed]);
    scene.held = HELD.to_vec();
    assert_eq!(scene.source.next_question(), None, "the leader compares");
    (scene, ids[0])
}

fn bounds(start: i64, end: i64) -> Answer {
    Answer::Bounds {
        start: offset(start),
        end: offset(end),
    }
}

fn cut(to: i64) -> Turn {
    Turn::Truncate { to: offset(to) }
}

#[test]
fn requests_say_who_asks_in_which_life_and_where_its_log_begins() {
    let (mut scene, id) = held_scene();
    let sent = scene.sent(1);
    assert_eq!(sent.replica, Some(replica(5)));
    let asked = sent.only();
    assert_eq!(asked.log_start, Some(offset(20)));
    let place = (asked.fetch_offset, asked.last_fetched_epoch);
    assert_eq!(place, (offset(100), epoch(4)));
    scene.answer(1, [Part::records(0, 110).of_epoch(4)]);
    scene.source.registered_as(BrokerEpoch::new(6));
    scene.source.log_starts_at(id, offset(30));
    let sent = scene.sent(1);
    assert_eq!(sent.replica, Some(replica(6)));
    assert_eq!(sent.only().log_start, Some(offset(30)));

    let (mut scene, _) = Scene::of_one(options());
    let sent = scene.sent(1);
    assert_eq!((sent.replica, sent.only().log_start), (None, None));
}

#[test]
fn nothing_is_asked_for_that_would_acknowledge_what_is_not_written_yet() {
    let (mut scene, id) = held_scene();
    scene.sent(1);
    let part = Part::records(0, 110).of_epoch(4);
    scene.begin(1);
    scene.head(1, &part);
    scene.source.look_ahead(id, offset(110), epoch(4));
    assert!(scene.ask(1).is_none());
    scene.append(id, &part);
    scene.tail(1, &part);
    assert!(
        scene
            .ask(1)
            .is_some_and(|sent| sent.only().fetch_offset == offset(110))
    );
}

#[test]
fn records_above_the_high_watermark_are_taken_and_ours_is_not_above_our_end() {
    let (mut scene, id) = held_scene();
    scene.round(Part::records(0, 110).of_epoch(4).high(105));
    let high = |scene: &Scene| scene.source.progress(id).and_then(|one| one.high_watermark);
    assert_eq!((scene.next_of(id), high(&scene)), (110, Some(offset(105))));
    assert_eq!(
        scene.source.next_news(),
        Some(id),
        "the high watermark is news"
    );
    assert_eq!(scene.source.next_news(), None);
    scene.round(Part::records(0, 120).of_epoch(4).high(500));
    assert_eq!(high(&scene), Some(offset(120)));
}

#[test]
fn a_diverging_leader_is_obeyed_at_once_in_as_many_rounds_as_it_takes() {
    let (mut scene, id) = held_scene();
    let (_, turn) = scene.round(Part::empty(0).diverging(3, 90));
    assert_eq!(
        turn,
        cut(80),
        "what the leader has of epoch 3 is not ours of 4"
    );
    assert!(scene.ask(1).is_none() && scene.source.next_question().is_none());
    scene.source.truncated(id, offset(80), epoch(2));
    scene.held = vec![(0, 50), (2, 80)];
    let (asked, turn) = scene.round(Part::empty(0).diverging(1, 60));
    let place = (asked.fetch_offset, asked.last_fetched_epoch);
    assert_eq!((place, turn), ((offset(80), epoch(2)), cut(50)));
    scene.source.truncated(id, offset(50), epoch(0));
    scene.held = vec![(0, 50)];
    let (asked, turn) = scene.round(Part::records(0, 60).of_epoch(1));
    let place = (asked.fetch_offset, asked.last_fetched_epoch);
    assert_eq!((place, turn), ((offset(50), epoch(0)), Turn::Continue));
    assert_eq!(scene.next_of(id), 60);
}

#[test]
fn a_leader_that_is_shorter_in_our_last_epoch_cuts_us_there() {
    let (mut scene, id) = held_scene();
    let (_, turn) = scene.round(Part::empty(0).diverging(4, 93));
    assert_eq!(turn, cut(93));
    scene.source.truncated(id, offset(90), epoch(4));
    assert_eq!(scene.sent(1).only().fetch_offset, offset(90));
}

#[test]
fn all_goes_where_none_of_our_epochs_is_the_leaders() {
    let (mut scene, id) = held_scene();
    scene.held = vec![(4, 100)];
    let mut part = Part::empty(0).diverging(3, 90);
    part.head.log_start = Some(offset(7));
    let (_, turn) = scene.round(part);
    assert_eq!(
        turn,
        Turn::Restart { at: offset(7) },
        "all that the leader has is wanted"
    );
    scene.source.restarted(id, offset(7));
    let asked = scene.sent(1).only();
    let place = (asked.fetch_offset, asked.last_fetched_epoch);
    assert_eq!(place, (offset(7), LeaderEpoch::NONE));
}

/// We have led in epoch 4 without appending, and nobody has heard of it.
#[test]
fn an_epoch_without_a_batch_goes_alone() {
    let (mut scene, id) = held_scene();
    scene.held = vec![(0, 50), (2, 100), (4, 100)];
    let (_, turn) = scene.round(Part::empty(0).diverging(2, 100));
    assert_eq!(turn, cut(100));
    scene.source.truncated(id, offset(100), epoch(2));
    let asked = scene.sent(1).only();
    let place = (asked.fetch_offset, asked.last_fetched_epoch);
    assert_eq!(place, (offset(100), epoch(2)));
}

#[test]
fn a_leader_that_contradicts_itself_is_asked_again_later() {
    for (number, end) in [(4, 100), (4, 900), (5, 60)] {
        let (mut scene, id) = held_scene();
        let (_, turn) = scene.round(Part::empty(0).diverging(number, end));
        let waits = matches!(
            turn,
            Turn::Retry {
                trouble: Trouble::Diverging,
                ..
            }
        );
        assert!(waits, "{turn:?}");
        assert_eq!(scene.next_of(id), 100);
        scene.sleep();
        assert_eq!(scene.sent(1).only().fetch_offset, offset(100));
    }
}

#[test]
fn a_leader_that_was_replaced_meanwhile_cuts_nothing() {
    let (mut scene, id) = held_scene();
    scene.sent(1);
    let part = Part::empty(0).diverging(3, 90);
    scene.begin(1);
    scene.head(1, &part);
    scene.source.leader_moved(id, BrokerId(2), epoch(5));
    assert_eq!(scene.tail(1, &part), Turn::Continue);
    scene.done(1);
    scene.connect();
    assert_eq!(scene.sent(2).only().fetch_offset, offset(100));
}

#[test]
fn a_log_below_the_leaders_start_begins_anew_there() {
    let (mut scene, id) = held_scene();
    let (_, turn) = scene.round(Part::error(0, ErrorCode::OFFSET_OUT_OF_RANGE));
    assert_eq!(turn, Turn::Asked);
    let question = scene.source.next_question();
    assert!(matches!(question, Some(Question::Bounds { .. })));
    let at = offset(1_000_000);
    assert_eq!(
        scene.told(id, bounds(1_000_000, 1_000_500), &HELD),
        Turn::Restart { at }
    );
    assert!(scene.ask(1).is_none());
    scene.source.restarted(id, at);
    let asked = scene.sent(1).only();
    assert_eq!((asked.fetch_offset, asked.log_start), (at, Some(at)));
    assert_eq!(asked.last_fetched_epoch, LeaderEpoch::NONE);
    let part = Part::records(0, 1_000_010).of_epoch(0);
    assert_eq!(
        scene.answer(1, [part]),
        [Turn::Continue],
        "epochs count from here"
    );
}

#[test]
fn an_empty_log_behind_the_leaders_end_begins_anew_as_well() {
    let mut followed = new_log(0, 1);
    (followed.position, followed.log_start) = (offset(700), offset(700));
    let (mut scene, ids) = Scene::following(as_replica(), [followed]);
    scene.round(Part::error(0, ErrorCode::OFFSET_OUT_OF_RANGE));
    scene.source.next_question();
    let turn = scene.told(ids[0], bounds(10, 500), &[]);
    assert_eq!(turn, Turn::Restart { at: offset(10) });
}

/// It has deleted what would show that our epoch 4 was never its own.
#[test]
fn a_log_that_differs_though_no_epoch_says_so_is_cut_when_that_is_sure() {
    let (mut scene, id) = held_scene();
    let answers_max = options().corrupt_answers_max;
    for answers in 1..=answers_max {
        let overlaps = Outcome::Overlaps { base: offset(95) };
        let (_, turn) = scene.round(Part::bad(0, overlaps));
        if answers == answers_max {
            assert_eq!(turn, cut(95));
        } else {
            assert!(matches!(turn, Turn::Retry { .. }), "{turn:?}");
            scene.sleep();
            scene.connect();
            if scene.source.next_question().is_some() {
                scene.told(id, led_by(1, 4), &HELD);
            }
        }
    }
    scene.source.truncated(id, offset(90), epoch(4));
    assert_eq!(scene.sent(1).only().fetch_offset, offset(90));
}

/// Partition.readRecords calls an epoch that it cannot place out of range, too.
#[test]
fn a_leader_that_knows_no_epoch_of_ours_cuts_the_last_one_off() {
    for (end, to) in [(300, 80), (60, 60)] {
        let (mut scene, id) = held_scene();
        scene.round(Part::error(0, ErrorCode::OFFSET_OUT_OF_RANGE));
        scene.source.next_question();
        assert_eq!(scene.told(id, bounds(0, end), &HELD), Turn::Asked);
        let question = scene.source.next_question();
        assert!(matches!(question, Some(Question::EpochEnd { .. })));
        assert_eq!(scene.told(id, reaches(None), &HELD), Turn::Asked);
        scene.source.next_question();
        assert_eq!(scene.told(id, bounds(0, end), &HELD), cut(to));
    }
}

#[test]
fn a_leader_that_does_not_know_yet_that_we_follow_is_asked_again() {
    let (mut scene, _) = held_scene();
    for _ in 0..2 {
        let (_, turn) = scene.round(Part::error(0, ErrorCode::UNKNOWN_LEADER_EPOCH));
        assert!(matches!(turn, Turn::Retry { .. }), "{turn:?}");
        assert_eq!(scene.source.next_question(), None);
        scene.sleep();
    }
    let (_, turn) = scene.round(Part::records(0, 110).of_epoch(4));
    assert_eq!(turn, Turn::Continue);
}

#[test]
fn a_fenced_replica_follows_the_hint_or_asks_who_leads() {
    for error in [
        ErrorCode::FENCED_LEADER_EPOCH,
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ] {
        let (mut scene, id) = held_scene();
        let (_, turn) = scene.round(Part::error(0, error));
        assert_eq!(turn, Turn::Asked);
        assert_eq!(
            scene.source.next_question(),
            Some(Question::Leader { cursor: id })
        );
        assert_eq!(scene.told(id, led_by(2, 6), &HELD), Turn::Continue);
        scene.connect();
        let asked = scene.sent(2).only();
        assert_eq!(
            (asked.leader_epoch, asked.fetch_offset),
            (epoch(6), offset(100))
        );
    }
}

/// It may not have heard of the election yet; it could only fence us.
#[test]
fn a_leader_older_than_our_last_batch_is_not_asked() {
    let (scene, ids) = Scene::following(as_replica(), [held_log(0, 1, 100, 4)]);
    let mut scene = scene;
    let question = scene.source.next_question();
    assert_eq!(question, Some(Question::Leader { cursor: ids[0] }));
    assert!(scene.ask(1).is_none());
    assert_eq!(scene.told(ids[0], led_by(2, 4), &HELD), Turn::Continue);
    scene.connect();
    assert_eq!(scene.sent(2).only().fetch_offset, offset(100));
}

#[test]
fn it_has_all_when_the_leader_has_no_more_for_it_in_this_epoch() {
    let (mut scene, id) = held_scene();
    let reached = |scene: &Scene| {
        let progress = scene.source.progress(id).expect("followed");
        (progress.is_caught_up, progress.reached)
    };
    scene.round(Part::records(0, 110).of_epoch(4).high(50));
    assert_eq!(reached(&scene), (false, None), "there may be more");
    scene.round(Part::empty(0).high(111));
    assert_eq!(reached(&scene), (false, None), "there is more");
    while scene.source.next_news().is_some() {}
    scene.round(Part::empty(0).high(60));
    let here = |end| {
        Some(Reached {
            leader_epoch: epoch(4),
            end: offset(end),
        })
    };
    assert_eq!(reached(&scene), (true, here(110)));
    assert_eq!(scene.source.next_news(), Some(id));
    scene.round(Part::records(0, 120).of_epoch(4));
    assert_eq!(reached(&scene), (false, here(110)), "it was so");
    scene.round(Part::empty(0).high(120));
    assert_eq!(reached(&scene), (true, here(120)));
    scene.source.leader_moved(id, BrokerId(1), epoch(5));
    assert_eq!(
        reached(&scene),
        (false, here(120)),
        "nothing is known of this leader"
    );
    scene.round(Part::empty(0).diverging(4, 115));
    scene.source.truncated(id, offset(115), epoch(4));
    assert_eq!(reached(&scene), (false, None));
}

#[test]
fn in_a_session_silence_says_that_it_has_all_while_there_was_room() {
    let all = (0..2).map(|number| new_log(number, 1));
    let (mut scene, ids) = Scene::following(as_replica(), all);
    scene.sent(1);
    scene.session = 99;
    scene.answer(1, [Part::records(0, 10), Part::records(1, 10)]);
    assert_eq!(scene.sent(1).order(), [0, 1]);
    let mut full = Part::records(0, 20);
    full.head.records_bytes = 4_000;
    scene.answer(1, [full.high(10)]);
    assert!(!scene.is_caught_up(ids[1]), "the answer was full");
    assert_eq!(scene.sent(1).order(), [0]);
    scene.answer(1, [Part::records(0, 30).high(1_000)]);
    assert!(
        !scene.is_caught_up(ids[1]),
        "its high watermark was told to be above"
    );
    scene.sent(1);
    scene.answer(1, [Part::empty(1).high(10)]);
    assert!(scene.is_caught_up(ids[1]));
    scene.sent(1);
    scene.answer(1, [Part::records(1, 20).high(20)]);
    assert!(!scene.is_caught_up(ids[1]));
    scene.sent(1);
    while scene.source.next_news().is_some() {}
    scene.answer(1, [Part::records(0, 40).high(1_000)]);
    assert!(scene.is_caught_up(ids[1]), "of it nothing was said");
    assert_eq!(scene.source.next_news(), Some(ids[1]));
}
