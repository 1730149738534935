//! A broker of ours registers in a stock cluster, sees what stock tools make there, outlives its
//! controller and the loss of its own process, and leaves without a trace.

use std::time::{Duration, Instant};

use twinlog::control::membership::Parting;
use twinlog::kraft::{Fate, METADATA_VERSION, News, Refusal, Role};
use twinlog::model::{BrokerEpoch, BrokerId, TopicName};
use twinlog::protocol::ErrorCode;

use super::member::Node;
use super::*;

const US: BrokerId = BrokerId(9001);

#[test]
fn a_member_joins_sees_survives_and_leaves_without_a_trace() {
    let test = "a_member_joins_sees_survives_and_leaves_without_a_trace";
    let Some(_turn) = Turn::take(test) else {
        return;
    };
    for version in versions() {
        let workload = Arc::new(Workload::start(&version));
        let settings = [("metadata.log.max.record.bytes.between.snapshots", "3000")];
        let mut cluster = Cluster::start(&workload, "joining", 2, &settings);
        cluster.ask("create topic=before partitions=3");
        let begun = Instant::now();
        let mut node = Node::start(US, 1, &cluster.controllers());
        node.until_serving("unfenced");
        eprintln!(
            "Kafka {version}: registered and unfenced after {:?}",
            begun.elapsed()
        );
        sees_what_is_there(&node, &version);
        sees_what_is_made(&cluster, &mut node);
        leads_when_the_other_goes(&mut cluster, &mut node);
        proposes(&mut node);
        survives_the_controller(&mut cluster, &mut node);
        let node = is_born_again(&cluster, node);
        is_refused(&cluster);
        leaves(&cluster, node);
        joins_by_a_snapshot(&cluster);
        nobody_complains(&cluster);
    }
}

/// Of three controllers the active one dies: the others elect, and we follow.
#[test]
fn a_member_follows_the_quorum_to_another_controller() {
    let Some(_turn) = Turn::take("a_member_follows_the_quorum_to_another_controller") else {
        return;
    };
    for version in versions() {
        let workload = Arc::new(Workload::start(&version));
        let mut cluster = Cluster::start_quorum(&workload, "quorum", (3, 3), &[]);
        let mut node = Node::start(US, 1, &cluster.controllers());
        node.until_serving("unfenced");
        let first = node.controller.expect("somebody has unfenced us");
        let dead = cluster.controller_at(first);
        let alive = dead % 3 + 1;
        let died = Instant::now();
        cluster.kill(dead);
        node.until("another controller", |_, node| {
            node.controller != Some(first)
        });
        eprintln!(
            "Kafka {version}: another controller after {:?}",
            died.elapsed()
        );
        cluster.ask(&format!("create topic=after assign={alive}+9001"));
        node.until("life goes on", |_, node| node.role("after-0").is_some());
        assert_eq!(node.epochs.len(), 1, "nothing was registered anew");
        cluster.ask("delete topic=after");
        node.until("nothing names us", |_, node| node.partitions.is_empty());
        cluster.restart(dead);
        node.unregister();
        nobody_complains(&cluster);
    }
}

fn sees_what_is_there(node: &Node, version: &str) {
    let level = node.image.features[METADATA_VERSION];
    let expected = match version {
        "3.9.2" => 21,
        "4.0.2" => 25,
        "4.1.2" => 27,
        _ => 30,
    };
    assert_eq!(level, expected);
    let stock: Vec<i32> = node.image.brokers.iter().map(|(id, _)| id.0).collect();
    assert_eq!(stock, [1, 2, US.0]);
    for (_, broker) in node.image.brokers.iter() {
        assert!(broker.is_eligible(), "{broker:?}");
    }
    let us = node.image.brokers.get(US).expect("registered");
    assert_eq!(us.listeners[0].name, "INTERNAL");
    assert_eq!(us.epoch, node.epochs[0]);
    let before = TopicName::new("before").expect("legal");
    let id = node
        .image
        .topics
        .id_of(&before)
        .expect("it was made before");
    assert_eq!(
        node.image.topics.get(id).expect("there").partitions.len(),
        3
    );
}

fn sees_what_is_made(cluster: &Cluster, node: &mut Node) {
    let id = cluster.ask("create topic=ours assign=1+9001,2+9001,1+2");
    node.until("partitions of a new topic", |_, node| {
        node.partitions.len() == 2
    });
    assert_eq!(node.role("ours-0"), Some(Role::Follow(BrokerId(1))));
    assert_eq!(node.role("ours-1"), Some(Role::Follow(BrokerId(2))));
    let known = node.partitions["ours-0"].topic_id;
    assert_eq!(id.field("id"), known.to_string());
    let partition = node.partitions["ours-0"].partition.clone().expect("there");
    assert_eq!(
        partition.isr,
        [BrokerId(1), US],
        "all are in sync from birth"
    );
    cluster.ask("configure topic=ours c.min.insync.replicas=2");
    let ours = TopicName::new("ours").expect("legal");
    node.until("a setting", |news, node| {
        matches!(news, News::Changed { .. }) && node.image.min_isr(&ours, 2, 1) == 2
    });
    cluster.ask("create topic=gone assign=1+9001");
    node.until("a topic", |_, node| node.role("gone-0").is_some());
    cluster.ask("delete topic=gone");
    node.until("a deletion", |_, node| node.role("gone-0").is_none());
}

/// Nobody serves behind our listener, but the controller does not know.
fn leads_when_the_other_goes(cluster: &mut Cluster, node: &mut Node) {
    let before = node.partitions["ours-1"].now.leader_epoch;
    cluster.stop(2);
    node.until("leadership", |_, node| {
        node.role("ours-1") == Some(Role::Lead)
    });
    assert!(node.partitions["ours-1"].now.leader_epoch > before);
    cluster.restart(2);
    node.until("the other's return", |_, node| {
        let other = node.image.brokers.get(BrokerId(2));
        other.is_some_and(|other| other.is_eligible())
    });
}

/// The controller takes what a leader may propose, and says why where it may not. Nobody follows us
/// here, so that only the words are tried.
fn proposes(node: &mut Node) {
    let other = BrokerId(2);
    let life = node.image.brokers.get(other).expect("it is back").epoch;
    let earlier = BrokerEpoch::new(life.value() - 1);
    let refused = node.propose(&[(US, node.epochs[0]), (other, earlier)]);
    assert_eq!(refused, Fate::Reverted(ErrorCode::INELIGIBLE_REPLICA));
    for isr in [
        vec![(US, node.epochs[0]), (other, life)],
        vec![(US, node.epochs[0])],
    ] {
        let members: Vec<BrokerId> = isr.iter().map(|(id, _)| *id).collect();
        let fate = node.propose(&isr);
        let Fate::Committed {
            isr: told,
            partition_epoch,
            ..
        } = fate
        else {
            panic!("{fate:?}");
        };
        assert_eq!(told, members);
        let is_so = |node: &Node| {
            let partition = node.partitions["ours-1"].partition.as_ref();
            let partition = partition.expect("there");
            partition.partition_epoch == partition_epoch && partition.isr == members
        };
        // The metadata log may have said so before the answer did.
        if !is_so(node) {
            node.until("what was proposed", |_, node| is_so(node));
        }
    }
    let held = node.partitions["ours-1"].now.partition_epoch;
    let stale = node.propose_at(&[(US, node.epochs[0])], held - 1);
    assert_eq!(stale, Fate::Overtaken(ErrorCode::INVALID_UPDATE_VERSION));
}

fn survives_the_controller(cluster: &mut Cluster, node: &mut Node) {
    cluster.kill(1);
    std::thread::sleep(Duration::from_secs(3));
    cluster.restart(1);
    cluster.ask("create topic=after assign=2+9001");
    node.until("life goes on", |_, node| node.role("after-0").is_some());
    assert_eq!(node.epochs.len(), 1, "nothing was registered anew");
    let us = node.image.brokers.get(US).expect("registered");
    assert_eq!(us.epoch, node.epochs[0]);
}

/// The process dies without a word, and another one comes: first the session has to end.
fn is_born_again(cluster: &Cluster, mut node: Node) -> Node {
    let epoch = node.epochs[0];
    node.orders = None;
    assert!(matches!(node.join(), Parting::Abandoned));
    let mut again = Node::start(US, 2, &cluster.controllers());
    let mut doubles = 0;
    again.until("another life", |news, _| {
        if let News::Trouble(Refusal::Duplicate { .. }) = news {
            doubles += 1;
        }
        *news == News::Unfenced
    });
    assert_eq!(doubles, 1, "told once");
    assert!(again.epochs[0] > epoch);
    assert_eq!(again.role("after-0"), Some(Role::Follow(BrokerId(2))));
    again
}

/// What does not fit is refused with words that say what to change.
fn is_refused(cluster: &Cluster) {
    let mut astray = Node::start(BrokerId(9003), 1, &cluster.broker(1));
    // A broker that has just come back may not listen yet.
    astray.until("an address of no controller", |news, _| {
        matches!(news, News::Trouble(Refusal::NoController(_)))
    });
    assert!(matches!(astray.join(), Parting::Abandoned));
}

fn leaves(cluster: &Cluster, mut node: Node) {
    for topic in ["ours", "after"] {
        cluster.ask(&format!("delete topic={topic}"));
    }
    node.until("nothing names us", |_, node| node.partitions.is_empty());
    node.unregister();
}

fn joins_by_a_snapshot(cluster: &Cluster) {
    let dir = cluster.log_dir(1).join("__cluster_metadata-0");
    let files = std::fs::read_dir(dir).expect("a controller has its log");
    let names = files.map(|file| file.expect("readable").file_name());
    let real = names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.ends_with(".checkpoint") && !name.starts_with(&"0".repeat(20)));
    assert!(real.count() > 0, "the controller has made a snapshot");
    let mut other = Node::start(BrokerId(9002), 1, &cluster.controllers());
    other.until_serving("unfenced by a snapshot");
    let brokers: Vec<i32> = other.image.brokers.iter().map(|(id, _)| id.0).collect();
    assert_eq!(brokers, [1, 2, 9002], "the first one has left no trace");
    for (_, topic) in other.image.topics.iter() {
        for partition in topic.partitions.values() {
            assert!(!partition.replicas.contains(&US), "{partition:?}");
        }
    }
    let before = TopicName::new("before").expect("legal");
    assert!(other.image.topics.id_of(&before).is_some());
    other.unregister();
}

/// Whatever a controller does not expect of a broker, it logs as an error with a stack trace and
/// with the request. Its own nodes' requests may astonish it after its restart; ours may not.
fn nobody_complains(cluster: &Cluster) {
    let logs = (1..).map(|node| cluster.dir().join(format!("node-{node}.log")));
    for log in logs.take_while(|log| log.exists()) {
        let text = std::fs::read_to_string(&log).expect("a node has a log");
        let ours = ["clientId=twinlog", "=9001", "=9002", "=9003"];
        let errors = text.lines().filter(|line| line.contains(" ERROR "));
        let errors = errors.filter(|line| ours.iter().any(|word| line.contains(word)));
        let errors: Vec<&str> = errors.collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", log.display());
    }
}
