//! A source that does not hold fetches back: it is not asked without rest while it has nothing.

use super::super::{Followed, Turn};
use super::scene::*;

/// One round in which nothing comes after so many milliseconds; how long nothing is asked then.
fn empty_round(scene: &mut Scene, after_ms: u64) -> u64 {
    scene.sent(1);
    scene.pass(after_ms);
    scene.answer(1, [Part::empty(0).high(0)]);
    let until = scene.source.next_deadline().expect("it is asked again");
    let rest = until.since(scene.now).as_millis();
    scene.now = scene.now.max(until);
    u64::try_from(rest).expect("a short rest")
}

#[test]
fn a_source_that_answers_nothing_at_once_is_asked_ever_more_rarely() {
    let (mut scene, _) = Scene::of_one(options());
    let rests: Vec<u64> = (0..22).map(|_| empty_round(&mut scene, 0)).collect();
    let mut expected = vec![0; 10];
    expected.extend([1, 2, 4, 8, 16, 32, 64, 128, 256, 500, 500, 500]);
    assert_eq!(rests, expected);
}

#[test]
fn a_source_that_holds_fetches_back_is_asked_at_once() {
    let (mut scene, _) = Scene::of_one(options());
    for _ in 0..50 {
        assert_eq!(empty_round(&mut scene, 125), 0);
    }
    for _ in 0..15 {
        empty_round(&mut scene, 124);
    }
    assert_eq!(empty_round(&mut scene, 500), 0, "it holds back after all");
    assert_eq!(empty_round(&mut scene, 0), 0, "that was forgotten");
}

#[test]
fn records_end_the_rests() {
    let (mut scene, _) = Scene::of_one(options());
    for _ in 0..15 {
        empty_round(&mut scene, 0);
    }
    scene.round(Part::records(0, 4).high(4));
    assert_eq!(scene.source.next_deadline(), Some(scene.now));
    scene.round(Part::empty(0).high(4));
    assert_eq!(scene.source.next_deadline(), Some(scene.now));
}

#[test]
fn empty_answers_that_are_counted_come_without_rest() {
    let mut to_end = new_log(0, 1);
    to_end.until = Some(offset(60));
    let (mut scene, _) = Scene::following(options(), [Followed { ..to_end }]);
    let rounds = (0..).find(|_| {
        let (_, turn) = scene.round(Part::empty(0).high(40));
        assert!(matches!(turn, Turn::Continue | Turn::Done), "{turn:?}");
        turn == Turn::Done
    });
    assert_eq!(rounds, Some(59));
}
