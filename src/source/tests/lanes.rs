//! Connections that break, answers nobody waits for, and partitions that leave.

use super::super::{CursorId, Outcome, Question, Trouble, Turn, Verdict};
use super::scene::*;
use crate::model::BrokerId;
use crate::protocol::error_code::ErrorCode;

fn asked_of(scene: &mut Scene) -> Vec<Question> {
    std::iter::from_fn(|| scene.source.next_question()).collect()
}

fn moved(scene: &mut Scene, id: CursorId, leader: i32, number: i32) {
    scene
        .source
        .leader_moved(id, BrokerId(leader), epoch(number));
}

#[test]
fn a_lane_that_is_lost_in_mid_answer_is_opened_again_and_asked_from_the_committed_place() {
    let (mut scene, ids) = Scene::following(options(), (0..3).map(|n| new_log(n, 1)));
    scene.sent(1);
    scene.begin(1);
    scene.give(1, Part::records(0, 4));
    let part = Part::records(1, 9);
    assert!(matches!(scene.head(1, &part), Verdict::Append(_)));
    scene.append(ids[1], &part);
    scene.lose(1);
    assert_eq!(
        asked_of(&mut scene),
        [Question::Broker {
            broker: BrokerId(1)
        }]
    );
    assert!(scene.connect().is_empty(), "not before a wait");
    let slept = scene.sleep();
    assert!((80..=120).contains(&slept), "{slept}");
    assert_eq!(scene.connect(), [1]);
    let sent = scene.sent(1);
    let mut places: Vec<_> = sent
        .partitions
        .iter()
        .map(|asked| (asked.partition.value(), asked.fetch_offset.value()))
        .collect();
    places.sort_unstable();
    assert_eq!(places, [(0, 4), (1, 9), (2, 0)]);
    scene.answer(1, sent.order().into_iter().map(Part::empty));
}

#[test]
fn a_broker_that_fails_is_asked_about_once_and_tried_ever_more_rarely() {
    let mut options = options();
    options.lanes_per_broker = 4;
    let (mut scene, _) = Scene::following(options, (0..40).map(|n| new_log(n, 1)));
    for failure in 0..4 {
        let mut lost = lane(1);
        for number in 0..4 {
            lost.number = number;
            scene.source.lane_lost(scene.now, lost);
        }
        let asked = asked_of(&mut scene);
        assert_eq!(
            asked,
            [Question::Broker {
                broker: BrokerId(1)
            }]
        );
        let slept = scene.sleep();
        let mean = 100 << failure;
        assert!((mean * 8 / 10..=mean * 12 / 10).contains(&slept), "{slept}");
        assert_eq!(scene.connect(), [1; 4]);
    }
}

/// Its answers are cut, or prove to be none, before there is anything to append.
#[test]
fn a_broker_whose_answers_only_begin_well_is_tried_ever_more_rarely() {
    let (mut scene, id) = Scene::of_one(options());
    for failure in 0..6 {
        scene.sent(1);
        scene.begin(1);
        scene.lose(1);
        let slept = scene.sleep();
        let mean = 100 << failure;
        assert!((mean * 8 / 10..=mean * 12 / 10).contains(&slept), "{slept}");
        assert_eq!(scene.connect(), [1]);
    }
    // What was appended counts, though its answer has no end.
    scene.sent(1);
    scene.begin(1);
    let part = Part::records(0, 4);
    assert!(matches!(scene.head(1, &part), Verdict::Append(_)));
    scene.append(id, &part);
    scene.lose(1);
    let slept = scene.sleep();
    assert!(slept <= 120, "{slept}");
}

#[test]
fn a_broker_that_answers_is_forgiven() {
    let (mut scene, _) = Scene::of_one(options());
    for round in 1..=5 {
        scene.round(Part::records(0, round));
        scene.lose(1);
        assert!(scene.sleep() <= 120);
        assert_eq!(scene.connect(), [1]);
    }
}

#[test]
fn a_broker_nobody_told_of_is_asked_about_and_connected_to_once_known() {
    let (mut scene, _) = Scene::following(options(), [new_log(0, 9), new_log(1, 1)]);
    assert_eq!(
        asked_of(&mut scene),
        [Question::Broker {
            broker: BrokerId(9)
        }]
    );
    assert!(scene.connect().is_empty());
    assert_eq!(scene.sent(1).order(), [1], "the others go on");
    assert!(
        scene.source.next_deadline().is_some(),
        "it is looked at again"
    );
    scene.source.broker_at(endpoint(9, 9092));
    assert_eq!(scene.connect(), [9], "news are tried at once");
    assert_eq!(scene.sent(9).order(), [0]);
}

#[test]
fn a_new_address_is_tried_at_once_and_a_known_one_is_not() {
    let (mut scene, _) = Scene::of_one(options());
    scene.lose(1);
    scene.source.broker_at(endpoint(1, 9092));
    assert!(scene.connect().is_empty());
    scene.source.broker_at(endpoint(1, 9093));
    let (_, to) = scene.source.plan_connect(scene.now).expect("at once");
    assert_eq!(to, endpoint(1, 9093));
}

#[test]
fn an_answer_tells_where_leaders_listen_and_nobody_else() {
    let (mut scene, id) = Scene::of_one(options());
    for broker in 100..200 {
        scene.source.leader_at(endpoint(broker, 9092));
    }
    assert!((100..200).all(|broker| scene.source.endpoint(BrokerId(broker)).is_none()));
    let known = endpoint(1, 9093);
    scene.source.leader_at(known.clone());
    assert_eq!(scene.source.endpoint(BrokerId(1)), Some(&known));
    moved(&mut scene, id, 150, 2);
    scene.source.leader_at(endpoint(150, 9092));
    assert_eq!(scene.connect(), [150]);
}

#[test]
fn a_connection_is_opened_once_and_closed_ones_are_no_failure() {
    let mut scene = Scene::new(options());
    let (id, _) = scene.source.follow(new_log(0, 1));
    let (opening, _) = scene.source.plan_connect(scene.now).expect("wanted");
    assert!(scene.source.plan_connect(scene.now).is_none(), "on its way");
    assert!(scene.ask(1).is_none(), "it is not up");
    scene.source.lane_up(opening, scene.version);
    scene.sent(1);
    assert!(!scene.source.is_unused(opening));
    scene.source.unfollow(id);
    assert!(scene.source.is_unused(opening));
    assert!(scene.source.lane_closed(opening));
    assert!(!scene.source.lane_closed(opening), "closed already");
    assert!(asked_of(&mut scene).is_empty());
    scene.source.follow(new_log(0, 1));
    assert_eq!(scene.connect(), [1], "without a wait");
}

#[test]
fn answers_of_the_leader_before_are_ignored() {
    let (mut scene, id) = Scene::of_one(options());
    scene.sent(1);
    moved(&mut scene, id, 2, 2);
    assert_eq!(scene.connect(), [2]);
    let asked = scene.sent(2).only();
    assert_eq!(
        (asked.fetch_offset, asked.leader_epoch),
        (offset(0), epoch(2))
    );
    scene.begin(1);
    assert_eq!(scene.head(1, &Part::records(0, 50)), Verdict::Ignore);
    assert_eq!(scene.tail(1, &Part::records(0, 50)), Turn::Continue);
    assert_eq!(scene.done(1), 0);
    assert_eq!(scene.next_of(id), 0);
    scene.answer(2, [Part::records(0, 7).of_epoch(2)]);
    assert_eq!(scene.next_of(id), 7);
}

#[test]
fn a_leader_that_comes_back_is_asked_anew_under_its_new_epoch() {
    let (mut scene, id) = Scene::of_one(options());
    scene.sent(1);
    moved(&mut scene, id, 2, 2);
    moved(&mut scene, id, 1, 3);
    assert!(
        scene.ask(1).is_none(),
        "the lane's answer has to come first"
    );
    scene.begin(1);
    assert_eq!(scene.head(1, &Part::records(0, 50)), Verdict::Ignore);
    scene.tail(1, &Part::records(0, 50));
    scene.done(1);
    let (asked, _) = scene.round(Part::records(0, 7));
    assert_eq!(asked.leader_epoch, epoch(3));
    assert!(scene.connect().is_empty(), "broker 2 is not needed");
    assert_eq!(scene.next_of(id), 7);
}

#[test]
fn a_lane_lost_over_an_answer_nobody_believes_takes_no_turn_from_another_lane() {
    let (mut scene, id) = Scene::of_one(options());
    scene.sent(1);
    scene.begin(1);
    let part = Part::records(0, 5);
    scene.head(1, &part);
    scene.source.look_ahead(id, offset(5), epoch(EPOCH));
    scene.sent(1);
    scene.tail(1, &Part::bad(0, Outcome::Corrupt));
    scene.done(1);
    // The early request's answer is not believed while the partition rests.
    scene.begin(1);
    assert_eq!(scene.head(1, &part), Verdict::Ignore);
    scene.sleep();
    scene.connect();
    moved(&mut scene, id, 2, 2);
    scene.lose(1);
    assert_eq!(scene.connect(), [2]);
    assert_eq!(scene.sent(2).only().fetch_offset, offset(0));
}

#[test]
fn a_lane_lost_with_different_partitions_in_both_requests_asks_for_all_again() {
    let (mut scene, ids) = Scene::following(options(), [new_log(0, 1), new_log(1, 1)]);
    scene.sent(1);
    scene.begin(1);
    scene.give(1, Part::records(0, 4));
    scene.head(1, &Part::records(1, 9));
    scene.source.look_ahead(ids[1], offset(9), epoch(EPOCH));
    moved(&mut scene, ids[1], 1, 2);
    assert_eq!(scene.sent(1).order(), [0]);
    scene.lose(1);
    scene.sleep();
    scene.connect();
    let mut order = scene.sent(1).order();
    order.sort_unstable();
    assert_eq!(order, [0, 1]);
}

#[test]
fn an_answer_under_way_when_the_leader_moves_is_taken_to_its_end() {
    for error in [ErrorCode::NONE, ErrorCode::NOT_LEADER_OR_FOLLOWER] {
        let (mut scene, id) = Scene::of_one(options());
        scene.sent(1);
        scene.begin(1);
        let mut part = Part::records(0, 5);
        part.head.error = error;
        scene.head(1, &part);
        moved(&mut scene, id, 2, 2);
        assert!(scene.ask(2).is_none());
        if error == ErrorCode::NONE {
            scene.append(id, &part);
        }
        assert_eq!(
            scene.tail(1, &part),
            Turn::Continue,
            "no failure of the new leader"
        );
        scene.done(1);
        assert_eq!(scene.connect(), [2]);
        let expected = if error == ErrorCode::NONE { 5 } else { 0 };
        assert_eq!(scene.sent(2).only().fetch_offset, offset(expected));
    }
}

#[test]
fn what_is_in_flight_for_a_partition_that_left_is_ignored() {
    let (mut scene, ids) = Scene::following(options(), [new_log(0, 1), new_log(1, 1)]);
    scene.sent(1);
    scene.begin(1);
    assert!(matches!(
        scene.head(1, &Part::records(0, 5)),
        Verdict::Append(_)
    ));
    scene.source.unfollow(ids[0]);
    scene.append(ids[0], &Part::records(0, 5));
    scene.source.look_ahead(ids[0], offset(5), epoch(EPOCH));
    assert_eq!(scene.tail(1, &Part::records(0, 5)), Turn::Continue);
    scene.source.unfollow(ids[1]);
    assert_eq!(scene.head(1, &Part::records(1, 5)), Verdict::Ignore);
    assert_eq!(scene.tail(1, &Part::records(1, 5)), Turn::Continue);
    assert_eq!(scene.done(1), 0);
    assert!(scene.ask(1).is_none());
    assert_eq!(scene.source.progress(ids[0]), None);
    assert_eq!(scene.source.name(ids[1]), None);
    scene.source.unfollow(ids[1]);
}

#[test]
fn who_is_followed_again_does_not_take_the_answer_meant_for_the_one_before() {
    let (mut scene, id) = Scene::of_one(options());
    scene.sent(1);
    scene.source.unfollow(id);
    let (again, _) = scene.source.follow(new_log(0, 1));
    assert_ne!(id, again);
    scene.begin(1);
    assert_eq!(scene.head(1, &Part::records(0, 5)), Verdict::Ignore);
    scene.tail(1, &Part::records(0, 5));
    assert_eq!(scene.done(1), 0);
    scene.round(Part::records(0, 3));
    assert_eq!(scene.next_of(again), 3);
}

#[test]
fn questions_of_who_left_or_stopped_are_not_asked() {
    for stops in [false, true] {
        let (mut scene, ids) = Scene::following(options(), [held_log(0, 1, 10, 1)]);
        match stops {
            true => scene.source.stop(ids[0]),
            false => scene.source.unfollow(ids[0]),
        }
        assert!(asked_of(&mut scene).is_empty());
        let answer = super::super::Answer::TopicDeleted;
        assert_eq!(scene.told(ids[0], answer, &[]), Turn::Continue);
        assert_eq!(scene.source.next_deadline(), None);
    }
}

#[test]
fn who_is_stopped_in_mid_answer_stays_stopped() {
    let (mut scene, id) = Scene::of_one(options());
    scene.sent(1);
    scene.begin(1);
    let part = Part::records(0, 5);
    scene.head(1, &part);
    scene.append(id, &part);
    scene.source.stop(id);
    assert_eq!(scene.tail(1, &part), Turn::Continue);
    assert_eq!(scene.done(1), 0);
    assert_eq!(scene.next_of(id), 5);
    assert!(scene.ask(1).is_none());
    moved(&mut scene, id, 2, 2);
    assert!(scene.connect().is_empty());
    assert_eq!(scene.source.next_deadline(), None);
}

#[test]
fn who_is_stopped_while_its_log_is_cut_stays_stopped() {
    let mut followed = held_log(0, 1, 10, 1);
    followed.may_truncate = true;
    let (mut scene, ids) = Scene::following(options(), [followed]);
    asked_of(&mut scene);
    let answer = reaches(Some(epoch_end(1, 6)));
    let turn = scene.told(ids[0], answer, &[(1, 10)]);
    assert_eq!(turn, Turn::Truncate { to: offset(6) });
    scene.source.stop(ids[0]);
    scene.source.truncated(ids[0], offset(6), epoch(1));
    assert_eq!(scene.next_of(ids[0]), 6);
    assert!(asked_of(&mut scene).is_empty() && scene.connect().is_empty());
}

#[test]
fn partitions_that_an_answer_leaves_out_are_counted_and_wait() {
    let (mut scene, ids) = Scene::following(options(), (0..3).map(|n| new_log(n, 1)));
    scene.sent(1);
    scene.begin(1);
    scene.give(1, Part::records(1, 5));
    assert_eq!(scene.done(1), 2);
    assert_eq!(scene.sent(1).order(), [1]);
    scene.answer(1, [Part::records(1, 6)]);
    assert_eq!(scene.sent(1).order(), [1]);
    scene.pass(150);
    scene.answer(1, [Part::records(1, 7)]);
    assert_eq!(scene.sent(1).order(), [0, 2, 1]);
    assert_eq!(scene.next_of(ids[1]), 7);
}

#[test]
fn who_is_left_out_again_and_again_doubts_its_leader() {
    let (mut scene, id) = Scene::of_one(options());
    for failure in 1..=3 {
        scene.sent(1);
        scene.begin(1);
        assert_eq!(scene.done(1), 1);
        let (broker, next) = (BrokerId(1), offset(0));
        let said = scene.source.next_untold();
        let is_said = matches!(said, Some((whom, Turn::Retry { trouble, failures, .. }))
            if whom == id
                && trouble == Trouble::Missing { broker, next }
                && failures == failure);
        assert!(is_said, "{said:?}");
        scene.sleep();
        scene.connect();
        let expected = if failure == 3 { 1 } else { 0 };
        let asked = asked_of(&mut scene);
        assert_eq!(asked.len(), expected, "{asked:?}");
    }
    assert_eq!(scene.told(id, led_by(1, EPOCH), &[]), Turn::Continue);
}

#[test]
fn parts_in_another_order_twice_or_never_asked_for_do_no_harm() {
    let (mut scene, ids) = Scene::following(options(), (0..3).map(|n| new_log(n, 1)));
    scene.sent(1);
    scene.begin(1);
    let parts = [(2, 6), (0, 4), (0, 9), (7, 3), (1, 5), (2, 9)];
    for (partition, next) in parts {
        scene.give(1, Part::records(partition, next));
    }
    assert_eq!(scene.done(1), 0);
    let places: Vec<i64> = ids.iter().map(|id| scene.next_of(*id)).collect();
    assert_eq!(places, [4, 5, 6]);
    assert_eq!(scene.sent(1).order().len(), 3);
}

#[test]
fn a_lanes_queues_forget_who_has_left() {
    let mut scene = Scene::new(options());
    let all = (0..200).map(|n| scene.source.follow(new_log(n, 1)).0);
    let ids: Vec<CursorId> = all.collect();
    for number in 2..100 {
        // One partition goes to and fro, and leaves a place in a queue each time.
        moved(&mut scene, ids[0], 1 + number % 2, number);
    }
    for id in &ids[1..] {
        scene.source.unfollow(*id);
        for lane in scene.source.lanes.values() {
            lane.assert_invariants();
        }
    }
    assert_eq!(scene.connect(), [2], "nobody needs broker 1");
    assert_eq!(scene.sent(2).order(), [0]);
}
