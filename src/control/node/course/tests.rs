//! Partitions brought from everywhere to everywhere, step by step.

use super::*;

fn place() -> Place {
    Place {
        part: Part::Unknown,
        log: LogAt::Closed,
        is_vault: false,
        can_open: true,
        is_new: false,
        is_lost: false,
        has_old_logs: false,
        can_create: true,
        position: None,
        ceased: None,
        is_sealed: false,
        is_noted: false,
        is_drained: false,
        is_apart: false,
        may_harm: false,
        is_fenced: false,
        is_unfenced: false,
        is_verified: false,
        lacks_replicas: false,
        others: None,
        cuts_others: false,
        can_fetch: true,
        way_back: WayBack::None,
        is_asked: false,
        is_at_parting: false,
        exceeds: false,
        taken_back: None,
        is_led_anew: false,
    }
}

/// Carries steps out as they should end.
fn carry_out(place: &mut Place, step: &Next) {
    let epoch = LeaderEpoch::new(3);
    let open = |home, stamp| LogAt::Open {
        home,
        stamp,
        is_fetching: home == Home::Follower,
    };
    match step {
        Next::Create => place.part = Part::Lead(epoch),
        Next::AskCounterpart => {
            let from = Offset::new(5);
            (place.way_back, place.exceeds) = (WayBack::Begun { from }, true);
            (place.part, place.is_asked) = (Part::Foreign { is_led: true }, true);
        }
        Next::Join => place.part = Part::Follow { is_in_sync: false },
        Next::RecordAligned => (place.way_back, place.position) = (WayBack::Aligned, None),
        Next::RecordParting => place.position = Some(Offset::new(5)),
        Next::ForgetWayBack => place.way_back = WayBack::Asked,
        Next::Open(home) => {
            let stamp = (*home == Home::Mirror && !place.is_vault).then_some(epoch);
            place.log = open(*home, stamp);
            if let Part::Follow { is_in_sync } = &mut place.part {
                *is_in_sync = true;
            }
        }
        Next::Release => place.log = LogAt::Closed,
        Next::Stamp(epoch) => place.log = open(Home::Mirror, Some(*epoch)),
        Next::Elect => {
            let epoch = match place.taken_back {
                Some(_) => LeaderEpoch::new(5),
                None => epoch,
            };
            (place.part, place.is_led_anew) = (Part::Lead(epoch), true);
        }
        Next::Yield => place.part = Part::Follow { is_in_sync: true },
        Next::Fetch | Next::Cease => {
            if let LogAt::Open { is_fetching, .. } = &mut place.log {
                *is_fetching = *step == Next::Fetch;
            }
            place.ceased = (*step == Next::Cease).then_some(Offset::new(7));
        }
        Next::ForgetPosition => place.position = None,
        Next::RecordPosition => place.position = place.ceased,
        Next::Seal => (place.is_sealed, place.is_drained, place.is_apart) = (true, true, true),
        Next::RecordHandOver => place.is_noted = true,
        Next::Fence => place.is_fenced = true,
        Next::Unfence => place.is_unfenced = true,
        Next::HandOver => place.part = Part::Foreign { is_led: true },
        Next::Verify => place.is_verified = true,
        Next::Restore => place.lacks_replicas = false,
        Next::Cut(_) => {
            (place.others, place.exceeds, place.taken_back) = (None, false, None);
            (place.is_drained, place.is_at_parting) = (true, true);
        }
        Next::Wait(_) | Next::Done => {}
        Next::Refuse(_) | Next::RefuseLog | Next::RefuseOthers(..) => {}
    }
}

/// All steps until the action ends or waits.
fn run(place: &mut Place, action: Action) -> Vec<Next> {
    let mut steps = Vec::new();
    loop {
        let step = next(Goal::Act(action), place);
        carry_out(place, &step);
        steps.push(step);
        let last = steps.last().expect("just pushed");
        let is_last = matches!(last, Next::Wait(_) | Next::Done | Next::Refuse(_));
        if is_last || matches!(last, Next::RefuseOthers(..)) {
            return steps;
        }
        assert!(steps.len() < 20, "{steps:?}");
    }
}

#[test]
fn a_new_partition_is_made_opened_fetched_stopped_and_handed_over() {
    let mut place = place();
    place.part = Part::Missing;
    let aligned = run(&mut place, Action::Align);
    assert_eq!(
        aligned,
        [Next::Create, Next::Open(Home::Mirror), Next::Done]
    );
    let fetched = run(&mut place, Action::Mirror);
    let waits = Next::Wait("records are fetched");
    assert_eq!(fetched, [Next::Fence, Next::Fetch, waits]);
    let stopped = run(&mut place, Action::Stop);
    let expected = [
        Next::Cease,
        Next::RecordPosition,
        Next::Seal,
        Next::RecordHandOver,
        Next::Unfence,
        Next::HandOver,
        Next::Verify,
        Next::Done,
    ];
    assert_eq!(stopped, expected);
    assert_eq!(next(Goal::Leave, &place), Next::Release);
}

#[test]
fn whoever_was_late_has_a_replica_again_before_the_stop_is_done() {
    let mut place = place();
    place.part = Part::Foreign { is_led: true };
    place.position = Some(Offset::new(7));
    place.lacks_replicas = true;
    let stopped = run(&mut place, Action::Stop);
    let expected = [Next::Unfence, Next::Verify, Next::Restore, Next::Done];
    assert_eq!(stopped, expected);
}

/// A stop is killed, and comes back to less than it had put on record: the record is made anew.
#[test]
fn a_position_is_where_the_log_ends_now() {
    let mut place = place();
    place.part = Part::Lead(LeaderEpoch::new(3));
    place.position = Some(Offset::new(9));
    let stopped = run(&mut place, Action::Stop);
    assert!(stopped.contains(&Next::RecordPosition), "{stopped:?}");
    assert_eq!(place.position, Some(Offset::new(7)));
}

/// What others lead is followed, led, and cut where both sides part, before anything comes of it.
#[test]
fn what_was_handed_over_is_mirrored_back_from_where_both_sides_part() {
    for part in [Part::Taken, Part::Foreign { is_led: true }] {
        let mut place = place();
        place.part = part;
        place.is_new = part == Part::Taken;
        place.position = (part != Part::Taken).then_some(Offset::new(3));
        place.way_back = WayBack::Asked;
        let expected = [
            Next::AskCounterpart,
            Next::Fence,
            Next::Join,
            Next::Open(Home::Follower),
            Next::Elect,
            Next::Release,
            Next::Open(Home::Mirror),
            Next::Cut(Offset::new(5)),
            Next::RecordAligned,
            Next::Done,
        ];
        assert_eq!(run(&mut place, Action::Align), expected, "{part:?}");
        let fetched = run(&mut place, Action::Mirror);
        assert_eq!(fetched.last(), Some(&Next::Wait("records are fetched")));
        assert_eq!(place.position, None, "of the stop before");
        let stopped = run(&mut place, Action::Stop);
        let end = [Next::Verify, Next::ForgetWayBack, Next::Done];
        assert_eq!(stopped[stopped.len() - 3..], end);
    }
}

/// Nothing is cut while the source could not give what follows, nothing follows before all in sync
/// were cut, and nothing is taken back that others have moved away.
#[test]
fn the_way_back_waits_for_both_sides() {
    let mut begun = place();
    let from = Offset::new(5);
    begun.way_back = WayBack::Begun { from };
    begun.is_asked = true;
    begun.part = Part::Foreign { is_led: false };
    let waits = |place: &Place| next(Goal::Act(Action::Align), place);
    assert!(matches!(waits(&begun), Next::Wait(_)), "nobody leads it");
    begun.part = Part::Lead(LeaderEpoch::new(3));
    begun.log = LogAt::Open {
        home: Home::Mirror,
        stamp: Some(LeaderEpoch::new(3)),
        is_fetching: false,
    };
    (begun.exceeds, begun.can_fetch) = (true, false);
    assert!(matches!(waits(&begun), Next::Wait(_)), "the source is away");
    let kept = next(
        Goal::Keep,
        &Place {
            can_fetch: true,
            ..begun.clone()
        },
    );
    assert!(
        matches!(kept, Next::Wait(_)),
        "it has failed, or is paused: {kept:?}"
    );
    (begun.exceeds, begun.is_drained) = (false, false);
    assert!(
        matches!(waits(&begun), Next::Wait(_)),
        "a replica was not cut"
    );
    begun.is_drained = true;
    assert!(
        matches!(waits(&begun), Next::Wait(_)),
        "of the log as it was"
    );
    begun.is_at_parting = true;
    assert_eq!(waits(&begun), Next::RecordAligned);
    let mut moved = place();
    moved.part = Part::Foreign { is_led: true };
    moved.way_back = WayBack::Aligned;
    let step = next(Goal::Act(Action::Mirror), &moved);
    assert!(matches!(step, Next::Refuse(_)), "{step:?}");
}

/// What was put on record at another time may not be so any more.
#[test]
fn the_counterpart_is_asked_by_every_start() {
    let mut place = place();
    place.part = Part::Foreign { is_led: true };
    let from = Offset::new(5);
    place.way_back = WayBack::Begun { from };
    place.is_fenced = true;
    let step = next(Goal::Act(Action::Align), &place);
    assert_eq!(step, Next::AskCounterpart);
    place.is_asked = true;
    assert_eq!(next(Goal::Act(Action::Align), &place), Next::Join);
}

/// Whoever stops in the middle leaves what is there.
#[test]
fn a_stop_on_the_way_back_cuts_nothing() {
    for steps in 0..7 {
        let mut place = place();
        place.part = Part::Taken;
        place.is_new = true;
        place.way_back = WayBack::Asked;
        for _ in 0..steps {
            let step = next(Goal::Act(Action::Align), &place);
            carry_out(&mut place, &step);
            place.is_new &= step != Next::Open(Home::Follower);
        }
        let was_begun = place.way_back != WayBack::Asked;
        let stopped = run(&mut place, Action::Stop);
        assert_eq!(stopped.last(), Some(&Next::Done), "{steps}: {stopped:?}");
        let cuts = stopped.iter().any(|step| matches!(step, Next::Cut(_)));
        assert!(!cuts, "{steps}: {stopped:?}");
        assert!(
            !place.is_fenced || stopped.contains(&Next::Unfence),
            "{steps}"
        );
        assert_eq!(
            place.way_back,
            WayBack::Asked,
            "{steps}: the next start asks anew"
        );
        assert_eq!(place.position.is_some(), was_begun, "{steps}");
    }
}

/// Records of others are not mirrored behind: they are cut off, or the partition goes no further.
/// A stop leaves them: whoever wrote them is about to get the partition.
#[test]
fn what_others_have_written_is_cut_off_or_refused() {
    let mut place = place();
    place.part = Part::Lead(LeaderEpoch::new(3));
    let (from, to) = (Offset::new(7), Offset::new(9));
    place.others = Some((from, to));
    let refused = Next::RefuseOthers(from, to);
    assert_eq!(run(&mut place, Action::Mirror).last(), Some(&refused));
    let stopped = run(&mut place.clone(), Action::Stop);
    assert_eq!(stopped.last(), Some(&Next::Done));
    assert!(!stopped.contains(&Next::Cut(from)), "{stopped:?}");
    place.cuts_others = true;
    let waits = Next::Wait("records are fetched");
    assert_eq!(
        run(&mut place, Action::Mirror),
        [Next::Cut(from), Next::Fence, Next::Fetch, waits]
    );
}

/// Whatever a stop was cut off at, and whatever a restart forgets, it comes to the same end.
#[test]
fn a_stop_that_is_cut_off_anywhere_goes_on() {
    for cut in 0..9 {
        let mut place = place();
        place.part = Part::Lead(LeaderEpoch::new(3));
        run(&mut place, Action::Mirror);
        for _ in 0..cut {
            let step = next(Goal::Act(Action::Stop), &place);
            carry_out(&mut place, &step);
        }
        // What only the process knew is gone; another leads, as after a session that has expired.
        place.log = LogAt::Closed;
        (place.ceased, place.is_sealed, place.is_drained) = (None, false, false);
        (place.is_apart, place.is_unfenced, place.is_verified) = (false, false, false);
        if matches!(place.part, Part::Lead(_)) {
            place.part = Part::Follow { is_in_sync: false };
        }
        let steps = run(&mut place, Action::Stop);
        assert_eq!(steps.last(), Some(&Next::Done), "{cut}: {steps:?}");
        assert!(place.is_verified && place.position.is_some(), "{cut}");
    }
}

#[test]
fn nothing_is_handed_over_before_all_that_must_hold_holds() {
    let mut ready = place();
    ready.part = Part::Lead(LeaderEpoch::new(3));
    ready.log = LogAt::Open {
        home: Home::Mirror,
        stamp: Some(LeaderEpoch::new(3)),
        is_fetching: false,
    };
    ready.position = Some(Offset::new(7));
    (ready.is_sealed, ready.is_noted, ready.is_drained) = (true, true, true);
    ready.ceased = ready.position;
    (ready.is_apart, ready.is_unfenced) = (true, true);
    assert_eq!(next(Goal::Act(Action::Stop), &ready), Next::HandOver);
    let spoils: [fn(&mut Place); 8] = [
        |place| place.position = None,
        |place| place.ceased = None,
        |place| place.is_sealed = false,
        |place| place.is_noted = false,
        |place| place.is_drained = false,
        |place| place.is_apart = false,
        |place| place.is_unfenced = false,
        |place| place.part = Part::Lead(LeaderEpoch::new(4)),
    ];
    for spoil in spoils {
        let mut place = ready.clone();
        spoil(&mut place);
        assert_ne!(
            next(Goal::Act(Action::Stop), &place),
            Next::HandOver,
            "{place:?}"
        );
    }
}

#[test]
fn a_position_of_an_earlier_stop_is_gone_before_the_first_record() {
    let mut place = place();
    place.part = Part::Lead(LeaderEpoch::new(3));
    place.position = Some(Offset::new(7));
    let steps = run(&mut place, Action::Mirror);
    let fetch = steps.iter().position(|step| *step == Next::Fetch);
    let forget = steps.iter().position(|step| *step == Next::ForgetPosition);
    assert!(forget < fetch && fetch.is_some(), "{steps:?}");
}

#[test]
fn a_vault_is_stopped_without_anybody_else() {
    let mut place = place();
    place.is_vault = true;
    place.part = Part::Lead(LeaderEpoch::NONE);
    run(&mut place, Action::Align);
    run(&mut place, Action::Mirror);
    let stopped = run(&mut place, Action::Stop);
    let expected = [Next::Cease, Next::RecordPosition, Next::Release, Next::Done];
    assert_eq!(stopped, expected);
}

#[test]
fn what_is_not_ours_is_refused_and_what_never_was_is_stopped() {
    let mut place = place();
    place.part = Part::Missing;
    place.has_old_logs = true;
    let refused = next(Goal::Act(Action::Mirror), &place);
    assert_eq!(refused, Next::RefuseLog, "of another topic");
    place.is_unfenced = true;
    for part in [Part::Foreign { is_led: true }, Part::Taken] {
        place.part = part;
        for action in [Action::Align, Action::Mirror] {
            let step = next(Goal::Act(action), &place);
            assert!(matches!(step, Next::Refuse(_)), "{part:?} {action:?}");
        }
        assert_eq!(next(Goal::Act(Action::Stop), &place), Next::Done);
    }
    // Whatever was handed over there before.
    place.position = Some(Offset::new(7));
    assert_eq!(next(Goal::Act(Action::Stop), &place), Next::Done);
    place.part = Part::Missing;
    assert_eq!(next(Goal::Act(Action::Stop), &place), Next::Done);
}

/// Whoever has the topic then could not write to it, and would not know why.
#[test]
fn a_fence_of_ours_goes_whatever_has_become_of_the_topic() {
    for part in [
        Part::Foreign { is_led: true },
        Part::Foreign { is_led: false },
        Part::Taken,
        Part::Missing,
    ] {
        let mut place = place();
        place.part = part;
        let steps = run(&mut place, Action::Stop);
        assert_eq!(steps, [Next::Unfence, Next::Done], "{part:?}");
        (place.is_unfenced, place.is_new) = (false, true);
        let steps = run(&mut place, Action::Stop);
        assert_eq!(steps, [Next::Done], "{part:?}: there was never one of ours");
    }
    let mut place = place();
    place.part = Part::Foreign { is_led: true };
    place.position = Some(Offset::new(7));
    let steps = run(&mut place, Action::Stop);
    assert_eq!(steps, [Next::Unfence, Next::Verify, Next::Done]);
    // Others have made a topic of the name, and are locked out of it.
    place.part = Part::Taken;
    place.is_unfenced = false;
    let steps = run(&mut place, Action::Mirror);
    assert!(
        matches!(steps[..], [Next::Unfence, Next::Refuse(_)]),
        "{steps:?}"
    );
}

#[test]
fn nothing_is_handed_over_while_whoever_writes_to_it_may_come_to_harm() {
    let mut place = place();
    place.part = Part::Lead(LeaderEpoch::new(3));
    run(&mut place, Action::Mirror);
    place.may_harm = true;
    let steps = run(&mut place, Action::Stop);
    let last = steps.last().expect("some");
    let waits = matches!(last, Next::Wait(why) if why.contains("--force"));
    assert!(waits && !steps.contains(&Next::Unfence), "{steps:?}");
    place.may_harm = false;
    let steps = run(&mut place, Action::Stop);
    assert_eq!(steps[..2], [Next::Unfence, Next::HandOver]);
}

#[test]
fn what_was_never_opened_is_handed_over_as_it_is() {
    let mut place = place();
    place.part = Part::Lead(LeaderEpoch::new(3));
    (place.can_open, place.is_new) = (false, true);
    let waits = run(&mut place, Action::Mirror);
    assert_eq!(waits, [Next::Wait("the source was not heard of yet")]);
    assert_eq!(next(Goal::Act(Action::Stop), &place), Next::Unfence);
    place.is_unfenced = true;
    assert_eq!(next(Goal::Act(Action::Stop), &place), Next::HandOver);
    place.part = Part::Taken;
    assert_eq!(next(Goal::Act(Action::Stop), &place), Next::Done);
}

#[test]
fn a_log_that_is_gone_is_led_by_nobody_before_it_is_followed() {
    let mut place = place();
    place.part = Part::Lead(LeaderEpoch::new(3));
    place.is_lost = true;
    for action in [Action::Align, Action::Mirror, Action::Stop] {
        let step = next(Goal::Act(action), &place);
        assert!(matches!(step, Next::Refuse(_)), "{action:?}");
    }
    place.part = Part::Follow { is_in_sync: false };
    let follows = next(Goal::Act(Action::Mirror), &place);
    assert_eq!(follows, Next::Open(Home::Follower));
}

#[test]
fn what_has_failed_is_not_fetched_on() {
    let mut place = place();
    place.part = Part::Lead(LeaderEpoch::new(3));
    run(&mut place, Action::Mirror);
    assert_eq!(next(Goal::Keep, &place), Next::Cease);
    carry_out(&mut place, &Next::Cease);
    assert_eq!(next(Goal::Keep, &place), Next::Wait("nothing is fetched"));
}

#[test]
fn whoever_has_lost_the_lead_follows_and_is_elected_again() {
    let mut place = place();
    place.part = Part::Follow { is_in_sync: false };
    place.log = LogAt::Open {
        home: Home::Mirror,
        stamp: Some(LeaderEpoch::new(2)),
        is_fetching: true,
    };
    let steps = run(&mut place, Action::Mirror);
    let expected = [
        Next::Release,
        Next::Open(Home::Follower),
        Next::Elect,
        Next::Release,
        Next::Open(Home::Mirror),
        Next::Fence,
        Next::Fetch,
        Next::Wait("records are fetched"),
    ];
    assert_eq!(steps, expected);
}

#[test]
fn what_the_source_takes_back_is_cut_in_an_epoch_that_begins_there() {
    let mut place = place();
    place.part = Part::Lead(LeaderEpoch::new(3));
    place.log = LogAt::Open {
        home: Home::Mirror,
        stamp: Some(LeaderEpoch::new(3)),
        is_fetching: false,
    };
    place.is_fenced = true;
    place.taken_back = Some(Offset::new(6));
    let alone = Place {
        is_led_anew: true,
        ..place.clone()
    };
    let waits = next(Goal::Keep, &place);
    assert_eq!(waits, Next::Wait("nothing is fetched"), "it is paused");
    assert_eq!(next(Goal::Keep, &alone), waits, "nor is it cut then");
    let steps = run(&mut place, Action::AwaitReplicas);
    let [rest @ .., Next::Cut(to), Next::Done] = &steps[..] else {
        panic!("{steps:?}");
    };
    assert_eq!(*to, Offset::new(6));
    let (yields, elected) = (rest.first(), rest.contains(&Next::Elect));
    assert_eq!((yields, elected), (Some(&Next::Yield), true), "{steps:?}");
    for action in [Action::Align, Action::Mirror, Action::AwaitReplicas] {
        assert_eq!(next(Goal::Act(action), &alone), Next::Cut(Offset::new(6)));
    }
    // A failover keeps whatever has arrived.
    assert_eq!(next(Goal::Act(Action::Stop), &alone), Next::Cease);
    let unheard = Place {
        can_fetch: false,
        ..alone.clone()
    };
    let step = next(Goal::Act(Action::AwaitReplicas), &unheard);
    assert!(matches!(step, Next::Wait(_)), "{step:?}");
    // What somebody has written in the meantime goes only where that is said.
    let theirs = (Offset::new(4), Offset::new(9));
    let mut written = Place {
        others: Some(theirs),
        ..alone
    };
    let step = next(Goal::Act(Action::AwaitReplicas), &written);
    assert_eq!(step, Next::RefuseOthers(theirs.0, theirs.1));
    written.cuts_others = true;
    let step = next(Goal::Act(Action::AwaitReplicas), &written);
    assert_eq!(step, Next::Cut(theirs.0));
}
