//! Small worlds at random: brokers that fail, leaders that change, logs that lose their ends,
//! answers that arrive damaged, late or not at all. What we hold stays a copy of what some leader
//! had, and once the faults are over every partition comes to its end.

mod answers;
mod ceasing;
mod chance;
mod cluster;
mod logs;
mod play;
mod sessions;
mod turns;

use std::collections::BTreeSet;

use play::{Manner, Play};

const SEEDS: u64 = 3_000;
const STEPS: usize = 400;

/// What has to happen somewhere, or the worlds are too quiet to prove anything.
const EVENTS: [&str; 23] = [
    "ceased",
    "withheld",
    "asked",
    "gap",
    "truncate",
    "done",
    "refused",
    "corrupt",
    "epoch ahead",
    "diverging",
    "no answer",
    "stop: truncated",
    "stop: deleted",
    "stop: corrupt",
    "stop: too large",
    "left out",
    "early request",
    "ignored",
    "too small",
    "evicted",
    "silence",
    "forgotten",
    "finished in silence",
];

/// Plays one world to its end. Where something breaks, the message names the seed.
fn played(seed: u64, manner: Manner) -> Play {
    let outcome = std::panic::catch_unwind(|| {
        let mut play = Play::new(seed, manner);
        for _ in 0..STEPS {
            play.storm();
        }
        play.calm();
        play
    });
    outcome.unwrap_or_else(|broken| {
        let text = broken.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| broken.downcast_ref::<&str>().copied());
        panic!("seed {seed}: {}", text.unwrap_or("it broke"))
    })
}

#[test]
fn every_world_keeps_its_copies_true_and_comes_to_rest() {
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        seen.extend(played(seed, Manner::Sound).seen().iter().copied());
    }
    for what in EVENTS {
        assert!(seen.contains(what), "no world has seen '{what}'");
    }
}

/// What has to happen to replicas somewhere.
const REPLICA_EVENTS: [&str; 13] = [
    "asked",
    "truncate",
    "restart",
    "cut once",
    "cut again",
    "news",
    "refused",
    "corrupt",
    "epoch ahead",
    "too small",
    "evicted",
    "silence",
    "stop: deleted",
];

/// What leaders have above their high watermarks is copied, and cut again where it was lost with
/// its leader; no request ever acknowledges what is not held.
#[test]
fn every_replica_comes_to_hold_what_its_leader_holds() {
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        seen.extend(played(seed, Manner::Replica).seen().iter().copied());
    }
    for what in REPLICA_EVENTS {
        assert!(seen.contains(what), "no world has seen '{what}'");
    }
    for what in ["gap", "stop: truncated"] {
        assert!(!seen.contains(what), "a replica has seen '{what}'");
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    let traces: Vec<u64> = (0..20)
        .map(|seed| played(seed, Manner::Sound).trace())
        .collect();
    for (seed, trace) in (0..).zip(&traces) {
        assert_eq!(played(seed, Manner::Sound).trace(), *trace, "seed {seed}");
    }
    let different: BTreeSet<_> = traces.iter().collect();
    assert_eq!(different.len(), traces.len());
}

#[test]
#[should_panic(expected = "after")]
fn a_shard_that_believes_every_answer_is_found_out() {
    for seed in 0..SEEDS {
        played(seed, Manner::Credulous);
    }
}

#[test]
#[should_panic(expected = "never comes to rest")]
fn a_source_that_is_not_told_of_leaders_is_found_out() {
    for seed in 0..SEEDS {
        played(seed, Manner::Silent);
    }
}
