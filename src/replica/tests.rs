//! Who is proposed, who is done without, and what nobody may lack.

pub(crate) mod model;

use std::time::Duration;

use super::*;
use crate::model::{BrokerEpoch, BrokerId, Instant, Offset};
use crate::stdx::prng::Prng;

const US: BrokerId = BrokerId(9001);
const ONE: BrokerId = BrokerId(1);
const TWO: BrokerId = BrokerId(2);
const LAG: Duration = Duration::from_secs(30);

fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

fn offset(value: i64) -> Offset {
    Offset::new(value)
}

fn isr(committed: &[BrokerId]) -> Isr {
    Isr {
        committed: committed.to_vec(),
        proposed: None,
    }
}

/// Everybody, in life 10 plus the id.
fn eligible(ids: &[BrokerId]) -> Eligible {
    ids.iter().map(|id| (*id, life(*id))).collect()
}

fn life(id: BrokerId) -> BrokerEpoch {
    BrokerEpoch::new(10 + i64::from(id.0))
}

fn fetch(follower: BrokerId, from: i64, seconds: u64) -> Fetched {
    Fetched {
        follower,
        epoch: life(follower),
        offset: offset(from),
        at: at(seconds),
    }
}

fn proposal(ids: &[BrokerId]) -> Option<Proposal> {
    Some(ids.iter().map(|id| (*id, life(*id))).collect())
}

fn grown(isr: &Isr, fetched: &Fetched) -> Option<Proposal> {
    let all = [US, ONE, TWO];
    expansion(isr, &all, &eligible(&all), fetched, offset(50), offset(40))
}

#[test]
fn whoever_reaches_the_high_watermark_in_this_epoch_is_proposed() {
    assert_eq!(grown(&isr(&[US]), &fetch(ONE, 50, 1)), proposal(&[US, ONE]));
    assert_eq!(grown(&isr(&[US]), &fetch(ONE, 49, 1)), None);
    let mut behind = fetch(ONE, 50, 1);
    behind.offset = offset(39);
    assert_eq!(grown(&isr(&[US]), &behind), None);
    let late = expansion(
        &isr(&[US]),
        &[US, ONE],
        &eligible(&[US, ONE]),
        &fetch(ONE, 50, 1),
        offset(10),
        offset(51),
    );
    assert_eq!(late, None, "it has nothing of this epoch");
}

#[test]
fn nobody_is_proposed_who_is_in_or_asked_for_or_not_assigned_or_not_trusted() {
    assert_eq!(grown(&isr(&[US, ONE]), &fetch(ONE, 50, 1)), None);
    let mut asked = isr(&[US]);
    asked.proposed = Some(vec![US, TWO]);
    assert_eq!(grown(&asked, &fetch(ONE, 50, 1)), None);
    assert_eq!(grown(&isr(&[US]), &fetch(BrokerId(3), 50, 1)), None);
    let fenced = expansion(
        &isr(&[US]),
        &[US, ONE],
        &eligible(&[US]),
        &fetch(ONE, 50, 1),
        offset(50),
        offset(0),
    );
    assert_eq!(fenced, None);
    let mut other_life = fetch(ONE, 50, 1);
    other_life.epoch = BrokerEpoch::new(3);
    assert_eq!(grown(&isr(&[US]), &other_life), None);
    other_life.epoch = BrokerEpoch::NONE;
    assert!(grown(&isr(&[US]), &other_life).is_some(), "it does not say");
}

#[test]
fn another_member_that_is_fenced_is_not_proposed_again_with_the_new_one() {
    let grown = expansion(
        &isr(&[US, TWO]),
        &[US, ONE, TWO],
        &eligible(&[US, ONE]),
        &fetch(ONE, 50, 1),
        offset(50),
        offset(0),
    );
    assert_eq!(grown, None);
}

fn shrunk(isr: &Isr, followers: &Followers, now: u64, at_least: usize) -> Option<Proposal> {
    let all = eligible(&[US, ONE, TWO]);
    shrinkage(US, isr, followers, &all, at(now), LAG, at_least)
}

#[test]
fn whoever_lags_too_long_is_done_without_but_we_are_never_alone() {
    let mut followers = Followers::begin(&[ONE, TWO], at(0));
    let full = isr(&[US, ONE, TWO]);
    assert_eq!(shrunk(&full, &followers, 30, 1), None);
    followers.fetched(fetch(ONE, 100, 20), offset(100));
    assert_eq!(shrunk(&full, &followers, 31, 1), proposal(&[US, ONE]));
    assert_eq!(
        shrunk(&full, &followers, 31, 3),
        None,
        "min.insync.replicas"
    );
    assert_eq!(shrunk(&isr(&[US, TWO]), &followers, 31, 1), None, "alone");
    assert_eq!(shrunk(&full, &followers, 51, 1), None, "both lag");
    let mut asked = full;
    asked.proposed = Some(vec![US, ONE]);
    assert_eq!(shrunk(&asked, &followers, 31, 1), None);
}

#[test]
fn under_a_steady_load_nobody_lags_who_keeps_up() {
    let mut followers = Followers::begin(&[ONE], at(0));
    // It always asks for what was our end when it asked before.
    for second in 1..100u64 {
        let end = i64::try_from(second).expect("small") * 10;
        followers.fetched(fetch(ONE, end - 10, second), offset(end));
    }
    let follower = followers.get(ONE).expect("it fetched");
    assert_eq!(follower.caught_up_at, at(98));
    // It asks again and again for the same, and we grow.
    for second in 100..140 {
        followers.fetched(fetch(ONE, 980, second), offset(2_000));
    }
    assert_eq!(followers.get(ONE).expect("there").caught_up_at, at(98));
}

#[test]
fn the_high_watermark_heeds_all_who_may_be_in_sync_and_never_falls() {
    let mut followers = Followers::begin(&[ONE, TWO], at(0));
    let two = isr(&[US, ONE]);
    let mark = |followers: &Followers, isr: &Isr, min_isr, before| {
        high_watermark(US, offset(100), isr, followers, min_isr, offset(before))
    };
    assert_eq!(
        mark(&followers, &two, 1, 7),
        offset(7),
        "nobody has fetched"
    );
    followers.fetched(fetch(ONE, 60, 1), offset(100));
    assert_eq!(mark(&followers, &two, 1, 7), offset(60));
    assert_eq!(mark(&followers, &two, 1, 80), offset(80));
    assert_eq!(mark(&followers, &two, 3, 7), offset(7), "too few in sync");
    let mut growing = two;
    growing.proposed = Some(vec![US, ONE, TWO]);
    followers.fetched(fetch(TWO, 30, 1), offset(100));
    assert_eq!(
        mark(&followers, &growing, 1, 7),
        offset(30),
        "may be in sync"
    );
    let mut shrinking = isr(&[US, ONE, TWO]);
    shrinking.proposed = Some(vec![US, ONE]);
    assert_eq!(
        mark(&followers, &shrinking, 1, 7),
        offset(30),
        "may still be"
    );
    growing.proposed = Some(vec![US, ONE, TWO]);
    assert_eq!(mark(&followers, &growing, 3, 7), offset(7), "only proposed");
    assert_eq!(mark(&followers, &isr(&[US]), 1, 7), offset(100));
}

#[test]
fn all_is_drained_when_each_in_sync_has_fetched_from_the_end_itself() {
    let all = isr(&[US, ONE, TWO]);
    let drained = |followers: &Followers, isr: &Isr, end, mark| {
        is_drained(US, offset(end), isr, followers, offset(mark))
    };
    // An empty log: its high watermark is its end from birth, but nobody has said so.
    let mut followers = Followers::begin(&[ONE, TWO], at(0));
    assert!(!drained(&followers, &all, 0, 0));
    followers.fetched(fetch(ONE, 0, 1), offset(0));
    assert!(!drained(&followers, &all, 0, 0));
    followers.fetched(fetch(TWO, 0, 1), offset(0));
    assert!(drained(&followers, &all, 0, 0));
    assert!(!drained(&followers, &all, 5, 5), "they lack five");
    followers.fetched(fetch(ONE, 5, 2), offset(5));
    followers.fetched(fetch(TWO, 5, 2), offset(5));
    assert!(drained(&followers, &all, 5, 5));
    assert!(!drained(&followers, &all, 5, 4), "the high watermark lags");
    // Whoever may be in sync counts.
    let mut growing = isr(&[US, ONE]);
    growing.proposed = Some(vec![US, ONE, BrokerId(3)]);
    assert!(!drained(&followers, &growing, 5, 5));
    assert!(drained(&followers, &isr(&[US]), 5, 5), "alone");
}

#[test]
fn whoever_comes_into_sync_is_given_time() {
    let mut followers = Followers::begin(&[ONE], at(0));
    let full = isr(&[US, ONE, TWO]);
    followers.fetched(fetch(ONE, 5, 90), offset(5));
    followers.expect(&[ONE, TWO], at(80));
    assert_eq!(followers.get(ONE).expect("there").log_end, offset(5));
    assert_eq!(shrunk(&full, &followers, 100, 1), None);
    assert_eq!(shrunk(&full, &followers, 111, 1), proposal(&[US, ONE]));
    assert_eq!(followers.heard().count(), 1);
}

/// A follower dies with the high watermark at its log's end, because too few are left: it must
/// not come back into the proposals while it is silent. Seen once as sixteen changes a second.
#[test]
fn a_dead_follower_at_the_high_watermark_does_not_flap() {
    let all = [US, ONE];
    let mut followers = Followers::begin(&[ONE], at(0));
    followers.fetched(fetch(ONE, 50, 1), offset(50));
    let mut state = isr(&[US, ONE, TWO]);
    let mut proposals = 0;
    let mut mark = offset(50);
    for second in 2..200 {
        let end = offset(50 + i64::try_from(second).expect("small"));
        mark = high_watermark(US, end, &state, &followers, 2, mark);
        if let Some(wanted) = shrinkage(US, &state, &followers, &eligible(&all), at(second), LAG, 1)
        {
            state.committed = wanted.into_iter().map(|(id, _)| id).collect();
            proposals += 1;
        }
    }
    assert!(proposals <= 1, "{proposals}");
    assert_eq!(mark, offset(50));
}

/// Whatever is fetched and decided, the high watermark is never above what a member has.
#[test]
fn nobody_in_sync_lacks_what_lies_below_the_high_watermark() {
    for seed in 0..200 {
        let mut dice = Prng::new(seed);
        let all = [US, ONE, TWO];
        let lives = eligible(&all);
        let mut followers = Followers::begin(&[ONE, TWO], at(0));
        let mut state = isr(&all);
        let (mut end, mut mark) = (0i64, offset(0));
        let mut ends = [0i64; 2];
        for second in 1..300 {
            let who = usize::try_from(dice.below(2)).expect("small");
            match dice.below(4) {
                0 => end += 1 + i64::try_from(dice.below(20)).expect("small"),
                1 | 2 => {
                    ends[who] = (ends[who] + 15).min(end);
                    let fetched = fetch([ONE, TWO][who], ends[who], second);
                    followers.fetched(fetched, offset(end));
                    let grown = expansion(&state, &all, &lives, &fetched, mark, offset(0));
                    if let Some(wanted) = grown {
                        state.proposed = Some(wanted.iter().map(|(id, _)| *id).collect());
                    }
                }
                _ => {
                    let lag = Duration::from_secs(3);
                    let less = shrinkage(US, &state, &followers, &lives, at(second), lag, 1);
                    if let Some(wanted) = less {
                        state.proposed = Some(wanted.iter().map(|(id, _)| *id).collect());
                    }
                }
            }
            // The controller takes it, refuses it, or is slow.
            match (dice.below(3), state.proposed.take()) {
                (0, Some(proposed)) => state.committed = proposed,
                (1, proposed) => state.proposed = proposed,
                _ => {}
            }
            mark = high_watermark(US, offset(end), &state, &followers, 2, mark);
            for (id, has) in [(ONE, ends[0]), (TWO, ends[1])] {
                let counts = state.committed.contains(&id);
                assert!(
                    !counts || mark.value() <= has,
                    "seed {seed}: {id} has {has} of {mark}"
                );
            }
        }
    }
}
