//! Partitions that are fetched no more for a while, and then from where their logs end by then.

use super::super::{Question, Turn, Verdict};
use super::scene::*;
use crate::model::{BrokerId, LeaderEpoch};

#[test]
fn who_is_ceased_in_mid_answer_is_not_asked_for_and_not_believed() {
    let (mut scene, ids) = Scene::following(options(), (0..2).map(|n| new_log(n, 1)));
    scene.sent(1);
    scene.begin(1);
    let part = Part::records(0, 5);
    scene.head(1, &part);
    scene.append(ids[0], &part);
    scene.source.cease(ids[0]);
    assert_eq!(scene.tail(1, &part), Turn::Continue);
    // Nor is what comes for it later in the same answer, if it were its turn again.
    scene.source.cease(ids[1]);
    assert_eq!(scene.head(1, &Part::records(1, 5)), Verdict::Ignore);
    assert_eq!(scene.tail(1, &Part::records(1, 5)), Turn::Continue);
    assert_eq!(scene.done(1), 0);
    assert!(scene.ask(1).is_none());
    assert_eq!((scene.next_of(ids[0]), scene.next_of(ids[1])), (5, 0));
    scene.source.leader_moved(ids[0], BrokerId(2), epoch(2));
    assert!(scene.connect().is_empty());
    assert_eq!(scene.source.next_deadline(), None);
}

#[test]
fn who_begins_again_in_the_same_answer_asks_from_its_new_place() {
    let (mut scene, id) = Scene::of_one(options());
    scene.sent(1);
    scene.begin(1);
    let part = Part::records(0, 5);
    scene.head(1, &part);
    scene.append(id, &part);
    scene.source.cease(id);
    // Its log was emptied meanwhile.
    let turn = scene.source.begin_again(id, offset(0), LeaderEpoch::NONE);
    assert_eq!(turn, Turn::Continue);
    assert_eq!(scene.tail(1, &part), Turn::Continue);
    assert_eq!(scene.done(1), 0);
    let (asked, _) = scene.round(Part::records(0, 3));
    assert_eq!(asked.fetch_offset, offset(0));
    assert_eq!(scene.next_of(id), 3);
}

#[test]
fn who_begins_again_with_records_asks_first_whether_the_source_has_them() {
    let (mut scene, id) = Scene::of_one(options());
    scene.round(Part::records(0, 5));
    scene.sent(1);
    scene.source.cease(id);
    let turn = scene.source.begin_again(id, offset(4), epoch(EPOCH));
    assert_eq!(turn, Turn::Asked);
    let question = scene.source.next_question();
    assert!(matches!(
        question,
        Some(Question::EpochEnd { cursor, epoch: asked, .. })
            if cursor == id && asked == epoch(EPOCH)
    ));
    // The answer to what was asked before is for another place.
    scene.answer(1, [Part::records(0, 9)]);
    assert_eq!(scene.next_of(id), 4);
    let answer = reaches(Some(epoch_end(EPOCH, 9)));
    assert_eq!(scene.told(id, answer, &[(EPOCH, 4)]), Turn::Continue);
    let (asked, _) = scene.round(Part::records(0, 9));
    assert_eq!(asked.fetch_offset, offset(4));
}

#[test]
fn a_question_of_who_is_ceased_is_not_asked() {
    let (mut scene, ids) = Scene::following(options(), [held_log(0, 1, 10, 1)]);
    scene.source.cease(ids[0]);
    assert_eq!(scene.source.next_question(), None);
    let answer = reaches(Some(epoch_end(1, 20)));
    assert_eq!(scene.told(ids[0], answer, &[(1, 10)]), Turn::Continue);
    assert!(scene.connect().is_empty() && scene.ask(1).is_none());
}

#[test]
fn who_is_ceased_leaves_the_session() {
    let (mut scene, ids) = Scene::following(options(), (0..2).map(|n| new_log(n, 1)));
    scene.session = 7;
    scene.sent(1);
    scene.answer(1, [Part::records(0, 5), Part::records(1, 5)]);
    scene.sent(1);
    scene.answer(1, []);
    scene.source.cease(ids[0]);
    assert_eq!(scene.sent(1).forgotten, [0]);
    scene.answer(1, []);
    let turn = scene
        .source
        .begin_again(ids[0], offset(0), LeaderEpoch::NONE);
    assert_eq!(turn, Turn::Continue);
    let sent = scene.sent(1);
    assert_eq!((sent.order(), sent.forgotten), (vec![0], vec![]));
}
