//! `twinlog check --destination` against clusters that are fit and unfit.

use super::super::checking::found;
use super::super::cluster::free_ports;
use super::super::node::Node;
use super::super::program;
use super::*;

#[test]
fn a_check_says_what_a_destination_lacks() {
    let Some(_turn) = Turn::take("a_check_says_what_a_destination_lacks") else {
        return;
    };
    for version in versions() {
        let workload = Arc::new(Workload::start(&version));
        is_unfit(&workload, &version);
        is_fit(&workload, &version);
    }
}

/// By whoever knows brokers only.
fn check(cluster: &Cluster, extra: &[&str]) -> program::Ended {
    let brokers = ["--destination-brokers", &cluster.bootstrap()];
    run_check(cluster, &[&brokers, extra].concat())
}

fn check_at(cluster: &Cluster, controllers: &str) -> program::Ended {
    run_check(cluster, &["--destination", controllers, "--id", "1"])
}

fn run_check(cluster: &Cluster, args: &[&str]) -> program::Ended {
    let all = [&["check", "--json"], args].concat();
    program::run(&cluster.dir().join("out"), &all)
}

/// One listener for all, and sessions shorter than a node takes them for.
fn is_unfit(workload: &Arc<Workload>, version: &str) {
    let settings = [("auto.create.topics.enable", "true")];
    let cluster = Cluster::start(workload, "unfit", 1, &settings);
    let unfit = check_at(&cluster, &cluster.controllers()).expect_code(1);
    assert!(found(&unfit, "controllers", "ok").contains("cluster "));
    assert!(found(&unfit, "listeners", "fail").contains("no listener but PLAINTEXT"));
    assert!(found(&unfit, "broker.session.timeout.ms", "fail").contains("6000"));
    assert!(found(&unfit, "write fence", "warn").contains("no authorizer"));
    found(&unfit, "node id", "fail");
    let is_cordoned = version.starts_with("4.3");
    let (internal, automatic) = match is_cordoned {
        true => ("ok", "warn"),
        false => ("fail", "fail"),
    };
    found(&unfit, "internal topics", internal);
    found(&unfit, "auto.create.topics.enable", automatic);
    found(&unfit, "features", "ok");
    found(&unfit, "rights", "ok");
    is_not_joined(&cluster);
    let nowhere = check_at(&cluster, &cluster.broker(1)).expect_code(1);
    let words = found(&nowhere, "controllers", "fail");
    assert!(words.contains("no controller's listener"), "{words}");
}

/// A node that is to be a broker there does not even begin.
fn is_not_joined(cluster: &Cluster) {
    let node = Node::member_of_brokers(cluster, "unfit");
    node.set("unfit = \"register\"", "unfit = \"refuse\"");
    let refused = node.run().expect_code(1);
    let says = ["not fit", "listeners", "inter.broker.listener.name"];
    let said = &refused.stderr;
    assert!(says.iter().all(|word| said.contains(word)), "{said}");
    assert_eq!(cluster.ask("ready").number("alive"), 1);
}

fn is_fit(workload: &Arc<Workload>, version: &str) {
    let port = free_ports(1)[0];
    let internal = format!("{{before}},INTERNAL://127.0.0.1:{port}");
    let settings = [
        ("listeners", internal.as_str()),
        ("advertised.listeners", internal.as_str()),
        (
            "listener.security.protocol.map",
            "{before},INTERNAL:PLAINTEXT",
        ),
        ("inter.broker.listener.name", "INTERNAL"),
        ("broker.session.timeout.ms", "9000"),
        ("default.replication.factor", "1"),
        (
            "authorizer.class.name",
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        ),
        ("super.users", "User:ANONYMOUS"),
    ];
    let cluster = Cluster::start(workload, "fit", 1, &settings);
    cluster.ask("create topic=theirs");
    // As many partitions as the brokers believe it to have: otherwise they never load it.
    for topic in ["__consumer_offsets", "__transaction_state"] {
        cluster.ask(&format!("create topic={topic} partitions=2"));
    }
    cluster.ask("produce topic=theirs count=3 acks=all idempotent=true");
    let before = check(&cluster, &["--id", "9001"]).expect_code(0);
    eprintln!("Kafka {version}:\n{}", before.stdout);
    assert_eq!(
        found(&before, "listeners", "ok"),
        "INTERNAL between brokers, PLAINTEXT for clients"
    );
    assert_eq!(found(&before, "broker.session.timeout.ms", "ok"), "9000");
    assert!(found(&before, "node id", "ok").contains("9001 is free"));
    assert!(found(&before, "producers", "warn").contains("theirs-0"));
    assert!(found(&before, "write fence", "ok").contains("authorizer"));
    assert_eq!(found(&before, "default.replication.factor", "ok"), "1");
    let named = check(&cluster, &["--listener", "OTHER"]).expect_code(1);
    assert!(found(&named, "listeners", "fail").contains("none named OTHER"));
}
