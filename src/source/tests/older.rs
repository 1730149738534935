//! Brokers that cannot be told which epoch our log ends in, and topics that have no ids.

use super::super::{Answer, Cause, Question, Trouble, Turn};
use super::scene::*;
use crate::model::{BrokerId, TopicId};
use crate::protocol::error_code::ErrorCode;
use crate::protocol::fetch::{LAST_EPOCH_FROM, TOPIC_IDS_FROM};

fn next_question(scene: &mut Scene) -> Option<Question> {
    scene.source.next_question()
}

fn about_epoch(cursor: super::super::CursorId, number: i32) -> Question {
    Question::EpochEnd {
        cursor,
        leader: BrokerId(1),
        leader_epoch: epoch(number),
        epoch: epoch(EPOCH),
    }
}

/// The log is compared with each new leader, since the fetch itself would not tell.
fn compared_with_every_leader(version: i16) {
    let mut scene = Scene::new(options());
    scene.version = version;
    let (id, _) = scene.source.follow(new_log(0, 1));
    scene.connect();
    scene.round(Part::records(0, 10));
    assert_eq!(next_question(&mut scene), None, "it began with this leader");
    scene.sent(1);
    scene.source.leader_moved(id, BrokerId(1), epoch(2));
    scene.begin(1);
    scene.give(1, Part::empty(0));
    scene.done(1);
    if version >= LAST_EPOCH_FROM {
        assert_eq!(scene.sent(1).only().leader_epoch, epoch(2));
        assert_eq!(next_question(&mut scene), None);
        return;
    }
    assert!(scene.ask(1).is_none(), "not before it is compared");
    assert_eq!(next_question(&mut scene), Some(about_epoch(id, 2)));
    let agreed = |number| Answer::EpochEnd {
        of: epoch(EPOCH),
        under: epoch(number),
        end: Some(epoch_end(EPOCH, 10)),
    };
    // The next leader comes while the one before is still asked: it is asked as well.
    scene.source.leader_moved(id, BrokerId(1), epoch(3));
    assert_eq!(scene.told(id, agreed(2), &[]), Turn::Continue);
    assert!(scene.ask(1).is_none());
    assert_eq!(next_question(&mut scene), Some(about_epoch(id, 3)));
    assert_eq!(scene.told(id, agreed(3), &[]), Turn::Continue);
    let asked = scene.sent(1).only();
    assert_eq!(
        (asked.fetch_offset, asked.leader_epoch),
        (offset(10), epoch(3))
    );
    scene.answer(1, [Part::records(0, 20)]);
    scene.sent(1);
    assert_eq!(next_question(&mut scene), None);
}

#[test]
fn where_a_fetch_does_not_tell_of_divergence_each_leader_is_asked_first() {
    for version in [4, 8, 11, 12, 13, 18] {
        compared_with_every_leader(version);
    }
}

#[test]
fn an_answer_about_an_epoch_that_the_log_has_left_behind_means_nothing() {
    let (mut scene, ids) = Scene::following(options(), [held_log(0, 1, 10, 1)]);
    let answer = |of, end| Answer::EpochEnd {
        of: epoch(of),
        under: epoch(EPOCH),
        end: Some(epoch_end(of, end)),
    };
    assert_eq!(scene.told(ids[0], answer(0, 5), &[]), Turn::Continue);
    assert!(scene.ask(1).is_none(), "it still waits");
    assert_eq!(scene.told(ids[0], answer(1, 10), &[]), Turn::Continue);
    scene.connect();
    scene.sent(1);
}

#[test]
fn what_a_new_leader_has_lost_is_found_before_anything_is_fetched() {
    let mut scene = Scene::new(options());
    scene.version = 11;
    let (id, _) = scene.source.follow(new_log(0, 1));
    scene.connect();
    scene.round(Part::records(0, 10));
    scene.source.leader_moved(id, BrokerId(1), epoch(2));
    assert!(scene.ask(1).is_none());
    let lost = Answer::EpochEnd {
        of: epoch(EPOCH),
        under: epoch(2),
        end: Some(epoch_end(EPOCH, 7)),
    };
    let cause = Cause::SourceTruncated {
        held_to: offset(10),
        source_end: offset(7),
        epoch: epoch(EPOCH),
    };
    assert_eq!(scene.told(id, lost, &[(EPOCH, 10)]), Turn::Stop(cause));
}

fn nameless() -> super::super::Followed {
    let mut followed = new_log(0, 1);
    followed.topic_id = TopicId::of_name(&followed.id.topic);
    followed
}

#[test]
fn a_topic_without_an_id_is_asked_for_by_its_name_and_its_neighbours_with_it() {
    let mut scene = Scene::new(options());
    let (id, _) = scene.source.follow(nameless());
    scene.source.follow(new_log(1, 1));
    scene.connect();
    assert_eq!(scene.sent(1).version, TOPIC_IDS_FROM - 1);
    scene.source.unfollow(id);
    scene.answer(1, [Part::records(1, 5)]);
    assert_eq!(scene.sent(1).version, scene.version);
}

#[test]
fn a_topic_without_an_id_whose_leaders_count_anew_is_stopped() {
    let mut followed = nameless();
    followed.leader_epoch = epoch(5);
    let (mut scene, ids) = Scene::following(options(), [followed]);
    let mut part = Part::error(0, ErrorCode::UNKNOWN_LEADER_EPOCH);
    part.head.topic = nameless().topic_id;
    let mut turn = Turn::Continue;
    for _ in 0..40 {
        match next_question(&mut scene) {
            Some(Question::Leader { .. }) => turn = scene.told(ids[0], led_by(1, 0), &[]),
            Some(other) => panic!("{other:?}"),
            None if scene.ask(1).is_some() => _ = scene.answer(1, [part]),
            None => _ = scene.sleep(),
        }
        if !matches!(
            turn,
            Turn::Retry {
                trouble: Trouble::NoAnswer,
                ..
            } | Turn::Continue
        ) {
            break;
        }
        scene.source.wake(scene.now);
    }
    let cause = Cause::LeaderEpochFell {
        held: epoch(5),
        now: epoch(0),
    };
    assert_eq!(turn, Turn::Stop(cause));
}
