//! Partitions that nobody writes to: what they cost on the wire, and what becomes of them when a
//! broker forgets who has asked for them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use twinlog::protocol::fetch::{Ask, Request, Session, Topics, write_request};

use super::gate::{FETCH, Gate, Passed};
use super::older::gated;
use super::vault::{Vault, await_that};
use super::*;

const PARTITIONS: u64 = 500;
/// Kafka's FETCH_SESSION_ID_NOT_FOUND.
pub(super) const SESSION_NOT_FOUND: i16 = 70;
/// The newest version without sessions.
pub(super) const NO_SESSIONS: i16 = 6;
/// What a request or an answer may have when nothing has moved.
const IDLE_BYTES_MAX: u64 = 150;

#[test]
fn idle_partitions_cost_nothing_and_a_session_that_is_evicted_is_begun_anew() {
    let Some(_turn) = Turn::take("idle_partitions_cost_nothing") else {
        return;
    };
    for version in newest_and_another("idling") {
        let (source, gate) = gated(&version, "idling", &[]);
        source.ask(&format!("create topic=idle partitions={PARTITIONS}"));
        source.ask("produce topic=idle count=5000");
        let vault = Vault::new(&source, "in-sessions");
        let mut following = vault.follow_from(&gate.bootstrap(), "idle");
        vault.await_caught_up(&source, "idle", &mut following);
        let in_sessions = watched(&gate);
        let evicted = evict(&source, &gate);
        source.ask("produce topic=idle count=5000 seed=2");
        let partitions = vault.await_caught_up(&source, "idle", &mut following);
        assert!(gate.take_errors().contains(&SESSION_NOT_FOUND));
        await_that(&mut following, "new sessions are begun", || {
            has_begun_anew(&gate, &evicted)
        });
        following.stop().expect_code(0);
        vault.assert_identical(&source, 1, &partitions);

        gate.narrow(&[(FETCH, NO_SESSIONS)]);
        let vault = Vault::new(&source, "without");
        let mut following = vault.follow_from(&gate.bootstrap(), "idle");
        vault.await_caught_up(&source, "idle", &mut following);
        let without = watched(&gate);
        following.stop().expect_code(0);
        compare_costs(&version, in_sessions, without);
    }
}

/// What passes in five seconds.
fn watched(gate: &Gate) -> Passed {
    std::thread::sleep(Duration::from_secs(2));
    gate.take(FETCH);
    std::thread::sleep(Duration::from_secs(5));
    gate.take(FETCH)
}

fn compare_costs(version: &str, in_sessions: Passed, without: Passed) {
    eprintln!("Kafka {version}, {PARTITIONS} idle partitions: {in_sessions:?}, {without:?}");
    let each = |passed: Passed, bytes: u64| bytes / passed.requests.max(1);
    assert!(in_sessions.requests > 4, "it still asks");
    assert!(each(in_sessions, in_sessions.bytes) < IDLE_BYTES_MAX);
    assert!(each(in_sessions, in_sessions.answer_bytes) < IDLE_BYTES_MAX);
    // Sixteen bytes and more for each partition, in requests of at most all of them.
    assert!(without.bytes > in_sessions.bytes * 10);
    assert!(without.answer_bytes > in_sessions.answer_bytes * 10);
}

/// Takes its sessions away from whoever came through the gate, as a broker does that needs the
/// room for others. Says which.
pub(super) fn evict(source: &Cluster, gate: &Gate) -> Vec<i32> {
    let sessions = gate.take_sessions();
    assert!(!sessions.is_empty(), "there are sessions");
    let mut broker = TcpStream::connect(source.bootstrap()).expect("it runs");
    for &id in &sessions {
        let ask = Ask {
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: 1,
        };
        let ends = Request {
            session: Session { id, epoch: -1 },
            ..Request::alone(ask, &[])
        };
        let mut frame = Vec::new();
        write_request(13, 7, "evictor", &ends, Topics::NONE, &mut frame);
        broker.write_all(&frame).expect("it listens");
        let mut length = [0; 4];
        broker.read_exact(&mut length).expect("it answers");
        let mut answer = vec![0; i32::from_be_bytes(length) as usize];
        broker.read_exact(&mut answer).expect("it answers");
    }
    sessions
}

/// Whether there is a session that is none of those: of one of them an answer may have been under
/// way when it was evicted.
pub(super) fn has_begun_anew(gate: &Gate, evicted: &[i32]) -> bool {
    let sessions = gate.take_sessions();
    sessions.iter().any(|id| !evicted.contains(id))
}

#[test]
fn a_broker_without_room_for_sessions_is_copied_from_all_the_same() {
    let Some(_turn) = Turn::take("a_broker_without_room_for_sessions") else {
        return;
    };
    for version in newest_and_another("idling") {
        let slots = ("max.incremental.fetch.session.cache.slots", "1");
        let (source, gate) = gated(&version, "roomless", &[slots]);
        source.ask("create topic=roomless partitions=40");
        source.ask("produce topic=roomless count=2000");
        let vault = Vault::new(&source, "following");
        let mut following = vault.follow_from(&gate.bootstrap(), "roomless");
        vault.await_caught_up(&source, "roomless", &mut following);
        source.ask("produce topic=roomless count=2000 seed=4");
        let partitions = vault.await_caught_up(&source, "roomless", &mut following);
        following.stop().expect_code(0);
        vault.assert_identical(&source, 1, &partitions);
        assert!(gate.take_sessions().len() <= 1);
    }
}
