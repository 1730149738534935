//! `twinlog unregister`: a node that has ended leaves no trace, and nothing is lost by it.

use std::time::{Duration, Instant};

use twinlog::control::destination::fitness::NODE_LISTENER;
use twinlog::control::destination::topics::create;
use twinlog::control::destination::watch::look;
use twinlog::control::membership::Bootstrap;
use twinlog::kraft::{Offer, are_a_nodes, claimed};
use twinlog::model::Offset;
use twinlog::protocol::controller::Heartbeat;
use twinlog::session::Trial;

use super::super::program::{self, Ended};
use super::topics::topic;
use super::*;

const LISTENERS: [&str; 2] = ["INTERNAL", NODE_LISTENER];
const WITHIN: Duration = Duration::from_secs(60);

#[test]
fn a_node_that_has_ended_leaves_without_a_trace() {
    let Some(_turn) = Turn::take("a_node_that_has_ended_leaves_without_a_trace") else {
        return;
    };
    for version in newest_and_another("departure") {
        let workload = Arc::new(Workload::start(&version));
        let cluster = Cluster::start(&workload, "leaving", 2, &[]);
        let controller = address(&cluster.controllers());
        let at = address(&cluster.broker(2));
        on_control(async |world| {
            is_told_apart(&cluster, &world, &controller).await;
            lives(&world, &controller).await;
            let mut client = connect(&world, &at).await;
            let topics = [topic("ours", &[&[9001, 1, 2]]), topic("alone", &[&[9001]])];
            let made = create(&mut client, &topics, Trial::No).await;
            assert!(made.expect("an answer").values().all(Result::is_ok));
            let alive = unregister(&cluster, US.0).expect_code(1);
            assert!(alive.stderr.contains("is alive"), "{alive:?}");
        });
        is_careful(&cluster);
        cluster.ask("delete topic=alone");
        let left = unregister(&cluster, US.0).expect_code(0);
        assert_eq!(left.number("/partitions"), 1);
        let described = cluster.ask("describe topic=ours");
        let replicas: Vec<&str> = described.words().map(|words| words[2]).collect();
        assert_eq!(replicas, ["1+2"]);
        on_control(async |world| {
            let controllers = Bootstrap::of(vec![controller]);
            let seen = look(&world, &controllers, Security::Plaintext, WITHIN).await;
            let seen = seen.unwrap_or_else(|fault| panic!("{fault}"));
            assert!(seen.image.brokers.get(US).is_none());
        });
        let again = unregister(&cluster, US.0).expect_code(0);
        assert_eq!(again.json()["was_registered"], false);
    }
}

/// Neither the listener alone makes a node, nor has a stock broker the other sign of one.
async fn is_told_apart(cluster: &Cluster, world: &RealWorld, controller: &BrokerAddress) {
    register_as(world, controller, &LISTENERS, stock).await;
    let named_alike = unregister(cluster, US.0).expect_code(1);
    let said = &named_alike.stderr;
    assert!(said.contains("is no node of twinlog"), "{said}");
    let controllers = Bootstrap::of(vec![controller.clone()]);
    let seen = look(world, &controllers, Security::Plaintext, WITHIN).await;
    let seen = seen.unwrap_or_else(|fault| panic!("{fault}"));
    for id in [BrokerId(1), BrokerId(2)] {
        let broker = seen.image.brokers.get(id).expect("it is alive");
        assert!(!are_a_nodes(&broker.features), "{:?}", broker.features);
    }
    super::unregister(world, controller).await;
}

fn a_nodes(client: &Client<RealWorld>) -> Vec<FeatureRange> {
    let finalized = client.versions().finalized().clone();
    claimed(&Offer { finalized }).expect("they were tried")
}

/// By whoever knows brokers only, who say where the controllers listen.
fn unregister(cluster: &Cluster, id: i32) -> Ended {
    let (brokers, id) = (cluster.bootstrap(), id.to_string());
    let args = ["unregister", "--brokers", &brokers, "--id", &id, "--json"];
    program::run(&cluster.dir().join("out"), &args)
}

/// Registers us as a node, trusted for as long as one session lasts.
async fn lives(world: &RealWorld, controller: &BrokerAddress) {
    let us = register_as(world, controller, &LISTENERS, a_nodes).await;
    let heartbeat = Heartbeat {
        broker: us.broker,
        epoch: us.epoch,
        applied: Some(Offset::new(us.epoch.value())),
        want_fence: false,
        want_shut_down: false,
        cordoned: None,
    };
    let mut client = connect(world, controller).await;
    let answer = client.ask(&heartbeat).await.expect("a controller");
    assert!(!answer.is_fenced, "{answer:?}");
}

/// Neither somebody else's registration nor the only copy of anything is given up.
fn is_careful(cluster: &Cluster) {
    let stock = unregister(cluster, 2).expect_code(1);
    assert!(stock.stderr.contains("is no node of twinlog"), "{stock:?}");
    let deadline = Instant::now() + WITHIN;
    let only = loop {
        let only = unregister(cluster, US.0).expect_code(1);
        if !only.stderr.contains("is alive") {
            break only;
        }
        assert!(Instant::now() < deadline, "its session does not end");
    };
    assert!(only.stderr.contains("alone-0"), "{only:?}");
}
