//! Nodes that are told what to mirror while they run, and clusters that get what they mirrored.

use std::path::Path;

use twinlog::model::BrokerId;

use super::node::{APART, Node};
use super::*;

/// A vault: mirrored as declared, stopped, started, paused and resumed by operators, over restarts.
#[test]
fn a_node_keeps_a_vault_as_its_operators_want() {
    let test = "a_node_keeps_a_vault_as_its_operators_want";
    let Some(_turn) = Turn::take(test) else {
        return;
    };
    let workload = Arc::new(Workload::start(DEFAULT_VERSION));
    let source = Cluster::start(&workload, "serving-vault", 1, &[]);
    source.ask("menagerie prefix=zoo. seed=3 rf=1 tiny=500");
    let count = source.offsets("zoo\\..*").len();
    let mut node = Node::vault(&source, "vault");
    node.declare("dr", &source, "zoo\\..*");
    node.start();
    node.until("caught up", count, |one| one.is_caught_up());
    node.stop().expect_code(0);
    node.start();
    node.until("caught up again", count, |one| one.is_caught_up());
    node.mirrors(&["pause", "--mirror", "dr", "--topics", "zoo.tiny"])
        .expect_code(0);
    node.until("paused", count, |one| {
        (one.topic == "zoo.tiny") == (one.state == "PAUSED")
    });
    node.mirrors(&["resume", "--mirror", "dr", "--topics", "zoo.tiny"])
        .expect_code(0);
    node.until("resumed", count, |one| one.is_caught_up());
    node.mirrors(&["stop", "--mirror", "dr", "--topics", ".*", "--wait"])
        .expect_code(0);
    node.until("stopped", count, |one| one.state == "STOPPED");
    node.kill();
    node.start();
    node.until("still stopped", count, |one| one.state == "STOPPED");
    node.stop().expect_code(0);
    let vault = node.vault_of("dr");
    let vault = vault.to_str().expect("our paths are text");
    program::run(
        node.outputs(),
        &["verify", "--vault", vault, "--from", &source.bootstrap()],
    )
    .expect_code(0);
}

/// Onto a stock cluster: replicas byte-identical but for the leader epoch, then handed over.
#[test]
fn a_member_mirrors_onto_a_stock_cluster_and_hands_over() {
    let test = "a_member_mirrors_onto_a_stock_cluster_and_hands_over";
    let Some(_turn) = Turn::take(test) else {
        return;
    };
    for version in versions() {
        let workload = Arc::new(Workload::start(&version));
        let source = Cluster::start(&workload, "serving-source", 1, &[]);
        source.ask("menagerie prefix=zoo. seed=5 rf=1 tiny=500");
        let count = source.offsets("zoo\\..*").len();
        let mut destination = Cluster::start(&workload, "serving-destination", 2, &APART);
        source.ask("create topic=aviary partitions=1");
        let mut node = Node::member_of_brokers(&destination, "member");
        node.declare("dr", &source, "zoo\\..*|aviary");
        node.configure("\"topics.exclude\" = ['avi.*']\n");
        let operators = node.admin().replace("127.0.0.1", "localhost");
        node.set("[admin]", &format!("[admin]\nadvertised = \"{operators}\""));
        node.start();
        node.until("caught up", count, |one| one.is_caught_up());
        assert_eq!(destination.offsets("aviary"), [], "it was to be left out");
        tells_nodes_where_its_operators_find_it(&destination, &operators);
        what_is_no_mirror_leaves(&destination);
        // Nothing comes while it is paused, and nothing is missing once it goes on.
        let tiny = ["--mirror", "dr", "--topics", "zoo.tiny"];
        node.mirrors(&[&["pause"], &tiny[..]].concat())
            .expect_code(0);
        let paused = node.until("paused", count, |one| {
            (one.topic == "zoo.tiny") == (one.state == "PAUSED")
        });
        // Nor does anybody else write to it: clients are shown nobody who leads it.
        let patience = "p.request.timeout.ms=2000 p.delivery.timeout.ms=3000 p.max.block.ms=3000";
        let refused = destination.try_ask(&format!("produce topic=zoo.tiny count=1 {patience}"));
        refused.expect_err("a mirror that is paused is still one");
        source.ask("produce topic=zoo.tiny count=100");
        let end = |all: &[node::Described]| {
            let tiny = all.iter().filter(|one| one.topic == "zoo.tiny");
            tiny.map(|one| one.destination_offset).sum::<i64>()
        };
        assert_eq!(end(&node.describe()), end(&paused));
        node.mirrors(&[&["resume"], &tiny[..]].concat())
            .expect_code(0);
        let offsets = source.offsets("zoo\\..*");
        node.until("resumed", count, |one| {
            let of = |theirs: &&cluster::Partition| {
                theirs.topic == one.topic && i64::from(theirs.index) == one.partition
            };
            let theirs = offsets.iter().find(of).expect("it was there before");
            one.is_caught_up() && one.destination_offset == theirs.high_watermark
        });
        node.mirrors(&["stop", "--mirror", "dr", "--topics", ".*", "--wait"])
            .expect_code(0);
        node.until("stopped", count, |one| one.state == "STOPPED");
        is_readable(&destination, "zoo\\..*", &offsets);
        destination.stop(2);
        destination.stop(1);
        for broker in [1, 2] {
            replicas_equal(&source, &destination.log_dir(broker), &offsets);
        }
        node.stop().expect_code(0);
    }
}

/// Other nodes find it by a listener of its registration, whatever the address is that it binds.
fn tells_nodes_where_its_operators_find_it(destination: &Cluster, advertised: &str) {
    let image = stale::seen(destination).image;
    let us = image.brokers.get(BrokerId(9001)).expect("registered");
    let names: Vec<&str> = us.listeners.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["INTERNAL", "TWINLOG"]);
    let listener = us.listener("TWINLOG").expect("just seen");
    let at = format!("{}:{}", listener.host, listener.port);
    assert_eq!(at, advertised);
}

/// A topic that is laid upon the node, some of it upon the node alone, is led by stock brokers
/// before long and takes records. From 4.3 on only whoever names the node can lay it there.
fn what_is_no_mirror_leaves(destination: &Cluster) {
    for (topic, assignment) in [("alone", "9001,9001"), ("beside", "9001+1,2+9001")] {
        destination.ask(&format!("create topic={topic} assign={assignment}"));
        destination.ask(&format!("produce topic={topic} count=90 acks=all"));
        let offsets = destination.offsets(topic);
        let ends = offsets.iter().map(|one| one.high_watermark);
        assert_eq!(ends.sum::<i64>(), 90, "{topic}");
    }
}

/// What the source showed is where it was, at least.
pub(super) fn is_readable(destination: &Cluster, topics: &str, offsets: &[cluster::Partition]) {
    let now = destination.offsets(topics);
    assert_eq!(now.len(), offsets.len());
    for (was, now) in offsets.iter().zip(&now) {
        assert_eq!((&was.topic, was.index), (&now.topic, now.index));
        assert!(now.high_watermark >= was.high_watermark, "{was:?} {now:?}");
    }
}

/// One broker's logs hold what the source showed, but for the epochs of its batches.
pub(super) fn replicas_equal(source: &Cluster, logs: &Path, offsets: &[cluster::Partition]) {
    for partition in offsets {
        let theirs = source.log_dir(1).join(partition.directory());
        let ours = logs.join(partition.directory());
        compare::agree_but_for_epochs(&theirs, &ours, partition.range())
            .unwrap_or_else(|error| panic!("{error}"));
    }
}
