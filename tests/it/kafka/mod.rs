//! The program against real Apache Kafka: black-box scenarios, and the harness that starts the
//! brokers.
//!
//! Where Java 17 and Maven are not found, every test here says that it was skipped and passes;
//! `TWINLOG_KAFKA=require` turns that into a failure. `TWINLOG_KAFKA_VERSIONS` (commas between)
//! chooses the releases of the tests that run on several. Where releases are known to differ a test
//! runs on all of them; others run on the last and on one or none besides, or with
//! `TWINLOG_KAFKA_MATRIX=whole` on all. A few run at a time, since each starts several JVMs.
#![expect(
    clippy::disallowed_methods,
    reason = "tests stand outside: real files, threads and clocks"
)]

mod administering;
mod adopting;
mod applications;
mod archives;
mod asking;
mod awaiting;
mod checking;
mod clients;
mod cluster;
mod compare;
mod converging;
mod copying;
mod crashing;
mod cut_off;
mod damaging;
mod deleting;
mod demonstrating;
mod destination;
mod dump;
mod failing_back;
mod failing_disk;
mod failing_over;
mod follower;
mod follower_disks;
mod following;
mod gate;
mod growing;
mod harness;
mod hazards;
mod idling;
mod inspecting;
mod interrupting;
mod intruding;
mod jars;
mod joining;
mod jvm;
mod leading;
mod ledger;
mod lied_to;
mod marking;
mod member;
mod mirrored;
mod misled;
mod mistaken;
mod node;
mod older;
mod outliving;
mod program;
mod refusing_back;
mod replicating;
mod restarting;
mod scale;
mod serving;
mod set_aside;
mod sharing;
mod shifting;
mod sourced;
mod stale;
mod stressing;
mod taking_back;
mod turning_back;
mod twin_ids;
mod upgrading;
mod vault;
mod walled;
mod watching;
mod wiping;
mod workload;

use std::fs::File;
use std::sync::Arc;

use cluster::Cluster;
use workload::Workload;

/// The release that is used where one is enough.
const DEFAULT_VERSION: &str = "4.3.1";

/// So many tests run brokers at a time: a test waits for its brokers more than it works.
const TURNS: u32 = 3;
/// How often a turn is looked for.
const TURN_LOOK: std::time::Duration = std::time::Duration::from_millis(200);

/// The right to run brokers; held for as long as a test needs them.
struct Turn {
    _lock: File,
}

impl Turn {
    /// Waits for other Kafka tests on this machine to end. `None`, and said so, where there
    /// is no Java or Maven.
    fn take(test: &str) -> Option<Self> {
        if let Some(what) = jars::missing() {
            skip(test, &format!("{what}; needs Java 17 and Maven"));
            return None;
        }
        loop {
            for turn in 0..TURNS {
                let lock = jars::root().join(format!("turn-{turn}.lock"));
                let lock = File::create(lock).expect("target is writable");
                if lock.try_lock().is_ok() {
                    return Some(Self { _lock: lock });
                }
            }
            std::thread::sleep(TURN_LOOK);
        }
    }
}

/// Says that a test, or a part of one, is left out for want of something; where nothing may be left
/// out, that is a failure.
pub(crate) fn skip(what: &str, missing: &str) {
    let required = std::env::var("TWINLOG_KAFKA").is_ok_and(|value| value == "require");
    assert!(!required, "TWINLOG_KAFKA=require, but {missing}");
    // Past the test runner's capture: nobody should believe that it was asked.
    let notice = format!("SKIPPED: {what} ({missing})\n");
    drop(std::io::Write::write_all(
        &mut std::io::stderr(),
        notice.as_bytes(),
    ));
}

/// The releases that the matrix tests run on.
fn versions() -> Vec<String> {
    let chosen =
        std::env::var("TWINLOG_KAFKA_VERSIONS").unwrap_or_else(|_| DEFAULT_VERSION.to_owned());
    chosen
        .split([',', ' '])
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The last of them and one of the others, by the test's name so that each has some, or all where
/// nobody minds the time.
fn newest_and_another(test: &str) -> Vec<String> {
    let mut all = versions();
    if all.len() > 2 && !is_whole_matrix() {
        let newest = all.pop().expect("more than two");
        let chosen = crc32fast::hash(test.as_bytes()) as usize % all.len();
        all = vec![all.swap_remove(chosen), newest];
    }
    all
}

/// The first and the last of them, or all where nobody minds the time.
fn oldest_and_newest() -> Vec<String> {
    let mut all = versions();
    if all.len() > 2 && !is_whole_matrix() {
        all.drain(1..all.len() - 1);
    }
    all
}

/// The last of them, or all where nobody minds the time.
fn newest() -> Vec<String> {
    let mut all = versions();
    if !is_whole_matrix() {
        all.drain(..all.len().saturating_sub(1));
    }
    all
}

fn is_whole_matrix() -> bool {
    std::env::var("TWINLOG_KAFKA_MATRIX").is_ok_and(|value| value == "whole")
}
