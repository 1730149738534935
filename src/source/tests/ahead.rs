//! The request that leaves before the answer under way is taken in, and when it is believed.

use super::super::{Outcome, Turn, Verdict};
use super::scene::*;
use crate::protocol::fetch::AskedPartition;

/// Partition 0 with an answer under way that is foreseen to end at `next`.
fn foreseen(scene: &mut Scene, next: i64) -> (super::super::CursorId, Part) {
    let part = Part::records(0, next);
    scene.begin(1);
    let Verdict::Append(expected) = scene.head(1, &part) else {
        panic!("the answer is wanted");
    };
    let id = expected.cursor;
    scene.source.look_ahead(id, offset(next), epoch(EPOCH));
    (id, part)
}

/// The same, with the request for what follows sent.
fn early(scene: &mut Scene, next: i64) -> (super::super::CursorId, Part, AskedPartition) {
    scene.sent(1);
    let (id, part) = foreseen(scene, next);
    let asked = scene.sent(1).only();
    (id, part, asked)
}

#[test]
fn the_next_request_leaves_while_the_answer_arrives_and_is_believed() {
    let (mut scene, _) = Scene::of_one(options());
    let (id, part, asked) = early(&mut scene, 10);
    assert_eq!(asked.fetch_offset, offset(10));
    assert_eq!(asked.last_fetched_epoch, epoch(EPOCH));
    assert!(scene.ask(1).is_none(), "two in flight are the most");
    assert_eq!(scene.next_of(id), 0, "what is foreseen is not committed");
    scene.append(id, &part);
    assert_eq!(scene.tail(1, &part), Turn::Continue);
    assert_eq!(scene.done(1), 0);
    assert!(scene.ask(1).is_none(), "it was asked for already");
    assert_eq!(scene.answer(1, [Part::records(0, 20)]), [Turn::Continue]);
    assert_eq!(scene.next_of(id), 20);
}

#[test]
fn nothing_leaves_early_while_another_partition_of_the_answer_is_open() {
    let (mut scene, _) = Scene::following(options(), [new_log(0, 1), new_log(1, 1)]);
    scene.sent(1);
    let (id, part) = foreseen(&mut scene, 10);
    assert!(scene.ask(1).is_none());
    scene.append(id, &part);
    scene.tail(1, &part);
    let last = Part::records(1, 5);
    let Verdict::Append(expected) = scene.head(1, &last) else {
        panic!("the answer is wanted");
    };
    assert!(scene.ask(1).is_none(), "1 is open and not foreseen");
    let one = expected.cursor;
    scene.source.look_ahead(one, offset(5), epoch(EPOCH));
    let sent = scene.sent(1);
    assert_eq!(sent.order(), [0, 1]);
    assert_eq!(sent.partitions[0].fetch_offset, offset(10));
    assert_eq!(sent.partitions[1].fetch_offset, offset(5));
}

#[test]
fn between_the_last_part_and_the_end_of_an_answer_the_next_request_may_leave() {
    let (mut scene, _) = Scene::of_one(options());
    scene.sent(1);
    scene.begin(1);
    scene.give(1, Part::records(0, 10));
    assert_eq!(scene.sent(1).only().fetch_offset, offset(10));
    assert_eq!(scene.done(1), 0);
    scene.answer(1, [Part::records(0, 20)]);
}

#[test]
fn a_wrong_foresight_is_not_believed() {
    let (mut scene, _) = Scene::of_one(options());
    let (id, _, _) = early(&mut scene, 10);
    let shorter = Part::records(0, 6);
    scene.append(id, &shorter);
    scene.tail(1, &shorter);
    scene.done(1);
    assert!(scene.ask(1).is_none(), "the early request is in the way");
    scene.begin(1);
    assert_eq!(scene.head(1, &Part::records(0, 20)), Verdict::Ignore);
    scene.tail(1, &Part::bad(0, Outcome::Nothing));
    scene.done(1);
    assert_eq!(scene.next_of(id), 6);
    assert_eq!(scene.sent(1).only().fetch_offset, offset(6));
}

#[test]
fn an_early_request_after_damage_is_ignored_and_then_repeated() {
    let (mut scene, _) = Scene::of_one(options());
    let (id, _, _) = early(&mut scene, 10);
    let turn = scene.tail(1, &Part::bad(0, Outcome::Corrupt));
    assert!(matches!(turn, Turn::Retry { failures: 1, .. }), "{turn:?}");
    scene.done(1);
    scene.sleep();
    assert!(scene.ask(1).is_none(), "the early request is in the way");
    scene.begin(1);
    assert_eq!(scene.head(1, &Part::records(0, 20)), Verdict::Ignore);
    assert_eq!(scene.tail(1, &Part::empty(0)), Turn::Continue);
    scene.done(1);
    assert_eq!(scene.next_of(id), 0);
    assert_eq!(scene.sent(1).only().fetch_offset, offset(0));
}

#[test]
fn nothing_leaves_early_when_the_answer_brings_the_end() {
    let mut followed = new_log(0, 1);
    followed.until = Some(offset(10));
    let (mut scene, _) = Scene::following(options(), [followed]);
    scene.sent(1);
    let (id, part) = foreseen(&mut scene, 10);
    assert!(scene.ask(1).is_none());
    scene.append(id, &part);
    assert_eq!(scene.tail(1, &part), Turn::Done);
    scene.done(1);
    assert!(scene.ask(1).is_none());
}

#[test]
fn an_early_request_to_the_leader_before_is_not_believed() {
    let (mut scene, _) = Scene::of_one(options());
    let (id, part, _) = early(&mut scene, 10);
    scene.source.leader_moved(id, lane(2).broker, epoch(2));
    scene.append(id, &part);
    assert_eq!(scene.tail(1, &part), Turn::Continue);
    assert_eq!(scene.next_of(id), 10, "it was sound when it began");
    scene.done(1);
    scene.begin(1);
    assert_eq!(scene.head(1, &Part::records(0, 20)), Verdict::Ignore);
    scene.tail(1, &Part::empty(0));
    scene.done(1);
    assert_eq!(scene.connect(), [2]);
    let asked = scene.sent(2).only();
    assert_eq!(
        (asked.fetch_offset, asked.leader_epoch),
        (offset(10), epoch(2))
    );
    assert!(scene.ask(1).is_none());
}

#[test]
fn a_lane_that_is_lost_loses_both_requests() {
    let (mut scene, _) = Scene::of_one(options());
    let (id, _, _) = early(&mut scene, 10);
    scene.lose(1);
    scene.source.look_ahead(id, offset(10), epoch(EPOCH));
    scene.sleep();
    assert_eq!(scene.connect(), [1]);
    let sent = scene.sent(1);
    assert_eq!(sent.only().fetch_offset, offset(0));
    scene.answer(1, [Part::records(0, 3)]);
    assert_eq!(scene.next_of(id), 3);
}

#[test]
fn looking_ahead_again_corrects_what_is_asked_until_it_is_sent() {
    let (mut scene, _) = Scene::of_one(options());
    scene.sent(1);
    let (id, _) = foreseen(&mut scene, 10);
    scene.source.look_ahead(id, offset(15), epoch(EPOCH));
    assert_eq!(scene.sent(1).only().fetch_offset, offset(15));
    scene.source.look_ahead(id, offset(20), epoch(EPOCH));
    assert!(scene.ask(1).is_none(), "it has left");
    let part = Part::records(0, 15);
    scene.append(id, &part);
    scene.tail(1, &part);
    scene.done(1);
    scene.answer(1, [Part::records(0, 30)]);
    assert_eq!(scene.next_of(id), 30);
}

#[test]
fn a_foresight_of_nothing_new_asks_nothing() {
    let (mut scene, id) = Scene::of_one(options());
    scene.round(Part::records(0, 10));
    scene.sent(1);
    for next in [9, 10] {
        if next == 9 {
            foreseen(&mut scene, next);
        } else {
            scene.source.look_ahead(id, offset(next), epoch(EPOCH));
        }
        assert!(scene.ask(1).is_none(), "{next} is behind us");
    }
}
