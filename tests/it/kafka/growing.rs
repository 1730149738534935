//! Mirrors whose topics grow, begin late, have holes and let go of what is old, beside one whose
//! name is taken at the destination.

use std::time::{Duration, Instant};

use super::node::{APART, Described, Node};
use super::serving::{is_readable, replicas_equal};
use super::*;

/// Where the log of a topic begins.
const FAR: i64 = 1_000_000;
/// How many segments the topic has that lets go of them.
const SEGMENTS: i64 = 12;
/// The topic that the destination has already, with other data.
const TAKEN: &str = "on.taken";

#[test]
fn topics_grow_begin_late_and_have_holes() {
    let Some(_turn) = Turn::take("topics_grow_begin_late_and_have_holes") else {
        return;
    };
    for version in oldest_and_newest() {
        grow_begin_late_and_have_holes(&version);
    }
}

fn grow_begin_late_and_have_holes(version: &str) {
    let workload = Arc::new(Workload::start(version));
    let source = Cluster::start(&workload, "growing-source", 1, &[]);
    source.ask("create topic=on.growing partitions=2");
    source.ask("produce topic=on.growing count=500");
    source.ask("create topic=on.taken");
    source.ask("produce topic=on.taken count=10 seed=2");
    begins_late(&source);
    has_many_segments(&source);
    source.ask("compacted prefix=on. seed=4");
    // The source's own bound would keep anybody from writing there; it is no mirror's.
    let settings = [&APART[..], &[("min.insync.replicas", "2")]].concat();
    let mut destination = Cluster::start(&workload, "growing-destination", 2, &settings);
    destination.ask("create topic=on.taken rf=2");
    destination.ask("produce topic=on.taken count=3 seed=8");
    let theirs = destination.offsets("on\\.taken");
    let mut node = Node::member(&destination, "member");
    node.declare("dr", &source, "on\\..*");
    node.configure("[shard]\nretention_interval_ms = 500\n");
    node.start();
    let others = |one: &Described| one.topic == TAKEN || one.is_caught_up();
    let all = node.until("caught up", 6, others);
    is_refused_by_name(&all, &source, &destination);
    grows(&source, &mut node);
    lets_go(&destination, &node);
    assert_eq!(destination.offsets("on\\.taken"), theirs, "untouched");
    destination.ask("delete topic=on.taken");
    node.mirrors(&["recover", "--mirror", "dr", "--topics", TAKEN])
        .expect_code(0);
    let all = node.until("all caught up", 9, |one| one.is_caught_up());
    let mut offsets = source.offsets("on\\..*");
    assert_eq!(all.len(), offsets.len());
    // With more in flight a broker that has just become leader may refuse the first batch and then
    // take the second, of a producer that it has not heard of: after that it never takes the first.
    let one_by_one = "p.max.in.flight.requests.per.connection=1";
    destination.ask(&format!(
        "load id=early topic=on.growing rate=100 {one_by_one}"
    ));
    node.mirrors(&["stop", "--mirror", "dr", "--topics", ".*", "--wait"])
        .expect_code(0);
    takes_who_came_early(&destination, &offsets);
    is_readable(&destination, "on\\..*", &offsets);
    begins_where_it_did(&mut offsets, &destination.offsets("on\\..*"));
    takes_what_two_have(&mut destination);
    destination.stop(1);
    for broker in [1, 2] {
        replicas_equal(&source, &destination.log_dir(broker), &offsets);
    }
    node.stop().expect_code(0);
}

/// A log whose beginning lies far on, within a batch.
fn begins_late(source: &Cluster) {
    source.ask("create topic=on.far c.min.insync.replicas=2");
    let count = FAR + 300;
    source.ask(&format!(
        "produce topic=on.far count={count} size=1 batch=100000 acks=1"
    ));
    source.ask(&format!("trim topic=on.far before={FAR}"));
    let bounds = source.offsets("on\\.far");
    assert_eq!(bounds[0].range(), FAR..count);
}

/// A segment for each record, none of them young; nobody lets go of them here.
fn has_many_segments(source: &Cluster) {
    source.ask("create topic=on.short c.segment.ms=1000 c.retention.ms=-1");
    let old = "ts=1700000000000 step=5000 batch=0 p.linger.ms=0";
    source.ask(&format!("produce topic=on.short count={SEGMENTS} {old}"));
}

/// What the destination's topic says of age counts there, and only there.
fn lets_go(destination: &Cluster, node: &Node) {
    let logs = node.data.join("logs/on.short-0");
    let count = compare::segments(&logs).len();
    assert_eq!(count as i64, SEGMENTS);
    destination.ask("configure topic=on.short c.retention.ms=3600000");
    let deadline = Instant::now() + Duration::from_secs(60);
    while compare::segments(&logs).len() > 1 {
        assert!(Instant::now() < deadline, "nothing is let go of");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Both ids are told, so that nobody has to guess which topic is meant.
fn is_refused_by_name(all: &[Described], source: &Cluster, destination: &Cluster) {
    let taken = all.iter().find(|one| one.topic == TAKEN);
    let taken = taken.expect("it is of the mirror");
    let error = taken.error.as_deref().unwrap_or_default();
    for cluster in [source, destination] {
        let answer = cluster.ask("describe topic=on.taken");
        let id = answer.field("id");
        assert!(error.contains(id), "{id}: {error}");
    }
    assert_eq!(taken.state, "FAILED");
}

/// Partitions that are added at the source, twice, are added at the destination and filled.
fn grows(source: &Cluster, node: &mut Node) {
    for (partitions, count) in [(4, 8), (5, 9)] {
        source.ask(&format!("grow topic=on.growing partitions={partitions}"));
        for partition in [0, partitions - 1] {
            let words = format!("partition={partition} count=200 seed={partitions}");
            source.ask(&format!("produce topic=on.growing {words}"));
        }
        let ends = source.offsets("on\\.growing");
        node.until("grown", count, |one| {
            let end = ends
                .iter()
                .find(|end| (&end.topic, i64::from(end.index)) == (&one.topic, one.partition));
            end.is_none_or(|end| one.destination_offset == end.high_watermark)
        });
    }
}

/// What is left of the topic that lets go is what is to be compared of it.
fn begins_where_it_did(source: &mut [cluster::Partition], destination: &[cluster::Partition]) {
    for (theirs, ours) in source.iter_mut().zip(destination) {
        if theirs.topic == "on.short" {
            assert_eq!(theirs.range(), 0..SEGMENTS);
            assert!(ours.log_start >= SEGMENTS - 1, "{ours:?}");
            theirs.log_start = ours.log_start;
        }
        assert_eq!(theirs.log_start, ours.log_start, "{theirs:?} {ours:?}");
    }
    let far = destination.iter().find(|one| one.topic == "on.far");
    assert_eq!(far.expect("mirrored").log_start, FAR);
}

/// Whoever wanted to write while the topic was mirrored has waited, and lost nothing: his records
/// stand behind those of the mirror.
fn takes_who_came_early(destination: &Cluster, offsets: &[cluster::Partition]) {
    std::thread::sleep(Duration::from_secs(1));
    let told = destination.ask("unload id=early");
    assert_eq!(told.number("failed"), 0);
    let end = |all: &[cluster::Partition]| -> i64 {
        let grown = all.iter().filter(|one| one.topic == "on.growing");
        grown.map(|one| one.high_watermark).sum()
    };
    let more = end(&destination.offsets("on\\.growing")) - end(offsets);
    assert_eq!(more, told.number("acknowledged"));
    assert!(more > 50, "{more}");
}

/// Both new replicas are in sync, so that who waits for two is served; with one of them he is not.
fn takes_what_two_have(destination: &mut Cluster) {
    let write = "produce topic=on.growing count=5 acks=all p.retries=0";
    destination.ask(write);
    destination.stop(2);
    let refused = destination.try_ask(write).expect_err("one is too few");
    assert!(refused.contains("NotEnoughReplicas"), "{refused}");
}
