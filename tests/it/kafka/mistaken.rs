//! What operators and configurations get wrong is named, or waited out, and all else goes on.

use std::time::{Duration, Instant};

use super::node::{APART, Node};
use super::*;
use crate::saying::listener;

/// A node that is refused for good ends within this.
const AT_ONCE: Duration = Duration::from_secs(5);

#[test]
fn what_is_wrong_is_named_and_all_else_goes_on() {
    let Some(_turn) = Turn::take("what_is_wrong_is_named_and_all_else_goes_on") else {
        return;
    };
    for version in oldest_and_newest() {
        is_named(&version);
    }
}

fn is_named(version: &str) {
    let workload = Arc::new(Workload::start(version));
    let source = Cluster::start(&workload, "mistaken-source", 1, &[]);
    source.ask("create topic=good partitions=2");
    source.ask("produce topic=good count=400");
    let settings = [&APART[..], &[("default.replication.factor", "2")]].concat();
    let mut destination = Cluster::start(&workload, "mistaken-destination", 2, &settings);
    destination.stop(2);
    destination.await_running();
    let mut node = Node::member(&destination, "member");
    node.declare("dr", &source, "good");
    node.configure(&format!(
        "[[mirrors]]\nname = \"astray\"\n\"bootstrap.servers\" = \"127.0.0.1:1\"\n\
         [[mirrors]]\nname = \"other\"\n\"bootstrap.servers\" = \"{}\"\n\
         \"source.cluster.id\" = \"AAAAAAAAAAAAAAAAAAAAAA\"\n\"topics.include\" = [\"bad\"]\n\
         [retry]\nmax_backoff_ms = 1000\n",
        source.bootstrap()
    ));
    node.start();
    node.until("too few brokers", 2, |one| {
        let error = one.error.as_deref().unwrap_or_default();
        error.contains("2 replicas beside ours") && error.contains("1 stock brokers")
    });
    destination.restart(2);
    node.until("caught up", 2, |one| one.is_caught_up());
    for words in [
        "astray: the source cannot be asked",
        "of the mirror 'other'",
    ] {
        assert!(node.said().contains(words), "{}", node.said());
    }
    operators_are_told(&node, &source);
    is_somebody_elses_id(&destination);
    is_no_plaintext(&destination);
    node.mirrors(&["stop", "--mirror", "dr", "--topics", "good", "--wait"])
        .expect_code(0);
    node.stop().expect_code(0);
    is_of_another_cluster(node, &destination, &source);
}

/// Wrong usage ends with 2 and asks nobody; what the node refuses ends with 1. Nothing of it
/// counts.
fn operators_are_told(node: &Node, source: &Cluster) {
    let servers = format!("bootstrap.servers={}", source.bootstrap());
    let create = |name: &str, more: &[&str]| {
        let args = [&["create", "--mirror", name, "--config"], more].concat();
        node.mirrors(&args)
    };
    create("a b", &[&servers])
        .expect_code(1)
        .expect_said(&["'a b' is not a mirror's name"]);
    create("dr", &[&servers])
        .expect_code(1)
        .expect_said(&["the mirror 'dr' exists already"]);
    create("new", &["bootstrap.servers="])
        .expect_code(1)
        .expect_said(&["bootstrap.servers"]);
    create("new", &[&servers, "--config", "topics.include=orders-("])
        .expect_code(1)
        .expect_said(&["'orders-(' is not a regular expression"]);
    create("new", &[&servers, "--config", "topics.inclde=orders"])
        .expect_code(1)
        .expect_said(&["topics.inclde"]);
    node.mirrors(&["start", "--mirror", "dr", "--topics", "orders-("])
        .expect_code(2)
        .expect_said(&["orders-("]);
    node.mirrors(&["start", "--mirror", "nobody", "--topics", "good"])
        .expect_code(1)
        .expect_said(&["there is no mirror 'nobody'"]);
    node.mirrors(&["start", "--mirror", "other", "--topics", "good"])
        .expect_code(1)
        .expect_said(&["the topic 'good' is mirrored by 'dr' already"]);
    node.mirrors(&["stop", "--mirror", "dr", "--topics", "goood", "--wait"])
        .expect_code(1)
        .expect_said(&["goood"]);
    node.mirrors(&["delete", "--mirror", "dr"])
        .expect_code(1)
        .expect_said(&["the mirror 'dr' is not empty"]);
    let list = node.mirrors(&["list", "--json"]).expect_code(0).json();
    let names = list.as_array().into_iter().flatten();
    let names: Vec<&str> = names.filter_map(|one| one["mirror"].as_str()).collect();
    assert_eq!(names, ["astray", "dr", "other"]);
}

/// A second node by the id of the first, or of a stock broker or controller, is told so, and
/// disturbs nobody.
fn is_somebody_elses_id(destination: &Cluster) {
    for id in [9001, 2] {
        let mut second = Node::member(destination, &format!("second-{id}"));
        second.set("id = 9001", &format!("id = {id}"));
        second.start();
        second.until_said(&format!("broker id {id} is taken"));
        second.stop().expect_code(0);
    }
    let third = Node::member(destination, "third");
    third.set("id = 9001", "id = 1");
    let begun = Instant::now();
    let ended = third.run().expect_code(1);
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    ended.expect_said(&["id 1 is a controller's of this cluster"]);
}

/// A node that is given a port where TLS is spoken says so and what to give it, and waits.
fn is_no_plaintext(destination: &Cluster) {
    let at = listener(&[0x15, 3, 3, 0, 2, 2, 0x50]);
    let mut astray = Node::member(destination, "astray");
    astray.set(&destination.controllers(), &at);
    astray.start();
    astray.until_said("speaks TLS");
    let said = astray.said();
    assert!(said.contains(&at) && said.contains("PLAINTEXT"), "{said}");
    astray.stop().expect_code(0);
}

/// A node that has been in one cluster does not take another one for it.
fn is_of_another_cluster(node: Node, was: &Cluster, other: &Cluster) {
    let cluster = was.ask("ready").field("cluster").to_owned();
    node.set(&was.controllers(), &other.controllers());
    node.run().expect_code(1).expect_said(&[
        &format!("of another cluster than {cluster}"),
        "begin with an empty data directory",
    ]);
}
