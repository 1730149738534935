//! Nobody waits for ever: who is asked for first, and who is asked for alone.

use super::super::Outcome;
use super::scene::*;

const TOO_SMALL: Outcome = Outcome::TooSmall { need: None };

#[test]
fn a_firehose_never_goes_before_a_trickle() {
    let (mut scene, _) = Scene::following(options(), [new_log(0, 1), new_log(1, 1)]);
    assert_eq!(scene.sent(1).order(), [0, 1]);
    for round in 1..=20 {
        // Whoever comes first takes all the room, if it has anything to bring.
        let mut parts = [Part::records(0, round), Part::empty(1)];
        if round > 1 {
            parts.reverse();
        }
        scene.answer(1, parts);
        assert_eq!(scene.sent(1).order(), [1, 0], "round {round}");
    }
}

#[test]
fn firehoses_take_turns_at_the_front() {
    let (mut scene, _) = Scene::following(options(), (0..3).map(|n| new_log(n, 1)));
    let mut first = [0; 3];
    for round in 1..=30 {
        let order = scene.sent(1).order();
        assert_eq!(order.len(), 3);
        first[usize::try_from(order[0]).expect("small")] += 1;
        let parts = order.iter().enumerate().map(|(place, n)| match place {
            0 => Part::records(*n, round),
            _ => Part::empty(*n),
        });
        let parts: Vec<Part> = parts.collect();
        scene.answer(1, parts);
    }
    assert_eq!(first, [10; 3]);
}

#[test]
fn who_needs_a_request_alone_and_the_others_take_turns() {
    let (mut scene, _) = Scene::following(options(), (0..3).map(|n| new_log(n, 1)));
    scene.sent(1);
    let parts = [
        Part::bad(0, TOO_SMALL),
        Part::bad(1, TOO_SMALL),
        Part::empty(2),
    ];
    scene.answer(1, parts);
    let mut asked = Vec::new();
    for next in 1..=4 {
        let order = scene.sent(1).order();
        for n in &order {
            // Partition 2 goes on; 0 and 1 never come to an end.
            let part = match n {
                2 => Part::records(2, next),
                n => Part::bad(*n, TOO_SMALL),
            };
            scene.answer(1, [part]);
        }
        asked.push(order);
    }
    assert_eq!(asked, [[0], [2], [1], [2]]);
}

#[test]
fn a_shared_request_does_not_idle_while_somebody_waits_to_be_alone() {
    let (mut scene, _) = Scene::following(options(), (0..3).map(|n| new_log(n, 1)));
    let idle = i32::try_from(options().fetch_wait_ms).expect("small");
    assert_eq!(scene.sent(1).ask.max_wait_ms, idle);
    let parts = [
        Part::bad(0, TOO_SMALL),
        Part::bad(1, TOO_SMALL),
        Part::empty(2),
    ];
    scene.answer(1, parts);
    assert_eq!(scene.sent(1).ask.max_wait_ms, 0, "1 waits behind 0");
    scene.answer(1, [Part::records(0, 1)]);
    assert_eq!(scene.sent(1).ask.max_wait_ms, 0, "1 waits behind 2 and 0");
    scene.answer(1, [Part::empty(2), Part::empty(0)]);
    assert_eq!(scene.sent(1).ask.max_wait_ms, idle, "nobody waits for 1");
}

#[test]
fn partitions_of_many_lanes_are_asked_on_their_own_lane_only() {
    let mut options = options();
    options.lanes_per_broker = 4;
    let (mut scene, ids) = Scene::following(options, (0..40).map(|n| new_log(n, 1)));
    let mut seen = vec![0; 40];
    let mut lanes_used = 0;
    for number in 0..4 {
        let mut lane = lane(1);
        lane.number = number;
        let Some(plan) = scene.source.plan_fetch(scene.now, lane) else {
            continue;
        };
        lanes_used += 1;
        for asked in plan.request.partitions {
            seen[usize::try_from(asked.partition.value()).expect("small")] += 1;
        }
    }
    assert_eq!(seen, vec![1; 40]);
    assert_eq!(lanes_used, 4, "forty partitions spread over four lanes");
    assert_eq!(ids.len(), 40);
}
