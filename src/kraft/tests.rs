//! A member against a simulated quorum, and what it says to whoever refuses it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::model::{Instant, LeaderEpoch, Offset, PartitionIndex, TopicId};
use crate::protocol::controller::Leadership;
use crate::protocol::metadata_record::FeatureRange;

mod refusals;
mod simulated;
mod world;

use simulated::{CLUSTER, Quorum3, Reply, US};
use world::World;

const ZERO: Instant = Instant::from_nanos(0);

fn controller(port: u16) -> BrokerAddress {
    BrokerAddress {
        host: "c".to_owned(),
        port,
    }
}

fn identity(incarnation: u8) -> Identity {
    Identity {
        node: US,
        cluster_id: None,
        directory: Uuid::new([9; 16]),
        incarnation: Uuid::new([incarnation; 16]),
        listeners: Vec::new(),
        rack: None,
        previous_epoch: BrokerEpoch::NONE,
        is_cordoned: false,
    }
}

fn member(incarnation: u8, seed: u64) -> Member {
    let controllers = vec![controller(1), controller(2), controller(3)];
    Member::new(identity(incarnation), Options::default(), controllers, seed)
}

fn offer() -> Offer {
    Offer {
        finalized: [(METADATA_VERSION.to_owned(), 30)].into(),
    }
}

#[test]
fn whoever_only_looks_sees_all_and_leaves_no_trace() {
    let mut world = World::new(1);
    world.member.wish(Wish::Watch);
    world.calm_down();
    world.run(Duration::from_secs(20));
    assert_eq!(world.member.life(), Life::Absent);
    assert_eq!(world.begun, 1);
    assert!(world.quorum.truth().brokers.get(US).is_none());
    assert_eq!(world.quorum.astray, 0);
    world.member.wish(Wish::Serve);
    world.run(Duration::from_secs(2));
    assert!(world.member.serves(world.now), "{:?}", world.last);
}

#[test]
fn in_a_calm_world_we_serve_within_a_moment() {
    let mut world = World::new(1);
    world.calm_down();
    world.run(Duration::from_secs(2));
    assert!(world.member.serves(world.now), "{:?}", world.last);
    assert_eq!(world.begun, 1);
    assert_eq!(world.quorum.astray, 0);
}

/// Losses, delays, deaths, elections that lose what was not settled, snapshots, pauses and new
/// lives of ours: what must hold is checked at every step, and when it is over all is well.
#[test]
fn whatever_happens_we_come_to_serve_with_the_right_picture() {
    let seeds = std::env::var("TWINLOG_SEEDS").ok();
    let seeds = seeds.and_then(|seeds| seeds.parse().ok()).unwrap_or(40);
    let mut sum = (0, 0, 0);
    let mut rare = (0, 0);
    for seed in 0..u64::from(seeds) {
        let mut world = World::new(seed);
        world.run(Duration::from_secs(120));
        world.calm_down();
        world.run(Duration::from_secs(40));
        assert!(
            world.member.serves(world.now),
            "seed {seed}: {:?}",
            world.member.life()
        );
        let applied = world.member.log.applied().expect("something");
        let newest = world.quorum.settled - 1;
        assert!(
            newest - applied.value() < 20,
            "seed {seed}: {applied} of {newest}"
        );
        let elections = world.quorum.elections;
        let astray = world.quorum.astray;
        assert!(
            astray <= 4 * elections + 4,
            "seed {seed}: {astray} in {elections}"
        );
        rare = (
            rare.0 + world.quorum.diverged,
            rare.1 + world.quorum.snapshots,
        );
        sum = (
            sum.0 + elections,
            sum.1 + world.committed,
            sum.2 + world.begun,
        );
    }
    // Each of them is tried at all.
    let is_tried = sum.0 > 2 * seeds && sum.1 > seeds && sum.2 > 2 * seeds;
    assert!(is_tried, "{sum:?}");
    assert!(rare.0 > seeds / 4 && rare.1 > seeds / 4, "{rare:?}");
}

#[test]
fn whoever_leaves_and_is_forgotten_leaves_nothing_behind() {
    let mut world = World::new(3);
    world.calm_down();
    world.run(Duration::from_secs(2));
    world.member.wish(Wish::Unregister);
    assert!(!world.member.serves(world.now), "not while we are leaving");
    world.last.clear();
    world.run(Duration::from_secs(2));
    let is_told = |news: &News| world.last.contains(news);
    assert!(
        is_told(&News::Gone) && is_told(&News::Unregistered),
        "{:?}",
        world.last
    );
    assert_eq!(world.quorum.truth().brokers.get(US), None);
    assert_eq!(world.member.next_deadline(), None);
}

#[test]
fn being_fenced_by_wish_and_trusted_again() {
    let mut world = World::new(4);
    world.calm_down();
    world.run(Duration::from_secs(2));
    world.member.wish(Wish::Fence);
    world.run(Duration::from_secs(1));
    assert!(
        world
            .quorum
            .truth()
            .brokers
            .get(US)
            .expect("registered")
            .is_fenced
    );
    world.member.wish(Wish::Serve);
    world.run(Duration::from_secs(1));
    assert!(world.member.serves(world.now));
}

#[test]
fn whoever_does_not_understand_the_log_has_itself_fenced_before_it_ends() {
    let mut world = World::new(6);
    world.calm_down();
    world.run(Duration::from_secs(2));
    assert!(world.member.serves(world.now));
    world.may_be_refused = true;
    world.quorum.append(vec![vec![1, 29, 0]]);
    world.run(Duration::from_secs(1));
    assert!(!world.member.serves(world.now));
    let us = world.quorum.truth().brokers.get(US).expect("registered");
    assert!(us.is_fenced);
    let last = world.last.last();
    assert!(
        matches!(last, Some(News::Refused(Refusal::Log(_)))),
        "{last:?}"
    );
}
