//! Others at the destination: they write to a mirror topic while its node is away, and it stops and
//! says so, or sets their records aside and cuts them off at every replica; or they write elsewhere
//! under ids that the source has given as well, and nothing is stopped unless that is forced; or
//! they add partitions to a mirror topic, or make it anew, and what they made is theirs.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::node::{APART, Described, Node};
use super::serving::replicas_equal;
use super::*;

/// The topic that is written to.
const TOPIC: &str = "intruded";
/// Before a planned stop nothing may have come for so long.
const STILL: Duration = Duration::from_secs(5);

#[test]
fn what_others_wrote_is_refused_or_set_aside() {
    let test = "what_others_wrote_is_refused_or_set_aside";
    let Some(_turn) = Turn::take(test) else {
        return;
    };
    for version in oldest_and_newest() {
        is_refused_or_set_aside(&version);
    }
}

fn is_refused_or_set_aside(version: &str) {
    let workload = Arc::new(Workload::start(version));
    let source = Cluster::start(&workload, "intruding-source", 1, &[]);
    source.ask("create topic=intruded assign=1");
    source.ask("produce topic=intruded count=300 batch=1000");
    source.ask("create topic=left assign=1");
    source.ask("transact topic=left id=ours txns=3 count=20 end=commit");
    let mut destination = Cluster::start(&workload, "intruding-destination", 2, &APART);
    let mut node = Node::member(&destination, "intruded");
    node.declare("dr", &source, "intruded|left");
    node.start();
    node.until("caught up", 2, |one| one.is_caught_up());
    for broker in [1, 2] {
        let copy = destination.log_dir(broker).join("intruded-0");
        let deadline = Instant::now() + Duration::from_secs(60);
        while !compare::read(&copy).is_ok_and(|held| held.end() == Some(300)) {
            assert!(Instant::now() < deadline, "broker {broker} does not follow");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    node.kill();
    // As soon as a stock broker is elected, nobody keeps producers away.
    destination.ask("produce topic=intruded count=50 batch=500 seed=9 acks=all");
    destination.ask("transact topic=left id=theirs txns=1 count=30 end=open");
    source.ask("produce topic=intruded count=100 batch=1000 seed=2");
    node.start();
    let failed = node.until("refused", 2, |one| one.state == "FAILED");
    let intruded = failed.iter().find(|one| one.topic == TOPIC);
    let why = intruded
        .and_then(|one| one.error.clone())
        .unwrap_or_default();
    let says = ["300", "350", "rogue_writes", "recover"];
    assert!(says.iter().all(|word| why.contains(word)), "{why}");
    their_transaction_is_committed(&destination, &node);
    node.stop().expect_code(0);
    node.set("rogue_writes = \"stop\"", "rogue_writes = \"set-aside\"");
    node.start();
    node.mirrors(&["recover", "--mirror", "dr", "--topics", TOPIC])
        .expect_code(0);
    node.until("caught up again", 2, |one| {
        one.topic != TOPIC || one.is_caught_up()
    });
    let aside = node.data.join("logs.aside").join("intruded-0.from-300");
    let held = compare::read(&aside).expect("it is a partition's directory");
    assert_eq!(held.end(), Some(350), "all that others wrote, and no more");
    is_listed(&node, &aside);
    let stop = ["stop", "--mirror", "dr", "--topics", TOPIC, "--wait"];
    let stopped = node.mirrors(&stop).expect_code(0);
    let words = "intruded-0: set aside: offsets 300 up to 350, 50 records in ";
    assert!(stopped.stdout.contains(words), "{stopped:?}");
    let offsets = source.offsets(TOPIC);
    let there = destination.offsets(TOPIC);
    assert_eq!(there[0].high_watermark, offsets[0].high_watermark);
    for broker in [2, 1] {
        destination.stop(broker);
        let theirs = source.log_dir(1).join("intruded-0");
        let ours = destination.log_dir(broker).join("intruded-0");
        compare::agree_but_for_epochs(&theirs, &ours, offsets[0].range())
            .unwrap_or_else(|error| panic!("{error}"));
    }
    node.stop().expect_code(0);
}

/// All that others wrote, by nobody with an id.
fn is_listed(node: &Node, aside: &Path) {
    let told = set_aside::told(node);
    let [told] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(told["path"], aside.display().to_string());
    let of = |key: &str| set_aside::number(told, key);
    let ours = (of("from"), of("to"), of("records"));
    assert_eq!(ours, (300, 350, 50), "{told}");
    let theirs = set_aside::number(&told["withoutProducer"], "records");
    assert_eq!(theirs, 50, "{told}");
}

/// It was begun while another broker led, and ends while the node does: whoever leads after it
/// writes the end of it, and the stop has not ended it before.
fn their_transaction_is_committed(destination: &Cluster, node: &Node) {
    destination.ask("finish id=theirs how=commit");
    // Whoever wrote there has an id that is in our log: that is nobody's but his.
    let leave = ["stop", "--mirror", "dr", "--topics", "left", "--wait"];
    node.mirrors(&[&leave[..], &["--force"]].concat())
        .expect_code(0);
    let committed = || {
        destination
            .ask("consume topics=left committed=true")
            .number("count")
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while committed() < 60 + 30 {
        assert!(Instant::now() < deadline, "{} are readable", committed());
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_stop_is_refused_while_producers_may_be_taken_for_others() {
    let test = "a_stop_is_refused_while_producers_may_be_taken_for_others";
    let Some(_turn) = Turn::take(test) else {
        return;
    };
    for version in oldest_and_newest() {
        is_refused_unless_forced(&version);
    }
}

fn is_refused_unless_forced(version: &str) {
    let workload = Arc::new(Workload::start(version));
    let source = Cluster::start(&workload, "twins-source", 1, &[]);
    let mut destination = Cluster::start(&workload, "twins-destination", 2, &APART);
    // The first ids of either cluster are the same ones, where one broker gives them all out.
    destination.stop(2);
    for (cluster, topic) in [
        (&source, "mirrored"),
        (&source, "urgent"),
        (&destination, "theirs"),
    ] {
        cluster.ask(&format!("create topic={topic} assign=1"));
        let produce = format!("produce topic={topic} count=10 acks=all idempotent=true");
        cluster.ask(&produce);
        cluster.ask(&produce);
    }
    destination.restart(2);
    destination.ask("reassign topic=theirs partition=0 replicas=2");
    let mut node = Node::member(&destination, "twins");
    node.declare("dr", &source, "mirrored|urgent");
    node.start();
    node.until("caught up", 2, |one| one.is_caught_up());
    let stop = ["stop", "--mirror", "dr", "--topics", "mirrored"];
    let deadline = Instant::now() + Duration::from_secs(60);
    let plan = [&stop[..], &["--dry-run"]].concat();
    loop {
        let told = node.mirrors(&plan).stdout;
        if told.contains("theirs-0") {
            break;
        }
        let is_late = Instant::now() >= deadline;
        assert!(!is_late, "nobody looks: {told}\n{}", node.said());
        std::thread::sleep(Duration::from_millis(100));
    }
    let wait = [&stop[..], &["--wait"]].concat();
    node.mirrors(&wait)
        .expect_code(1)
        .expect_said(&["theirs-0", "--force"]);
    node.until("it goes on", 2, |one| one.is_caught_up());
    waits_when_it_falls_due(&destination, &mut node);
    node.mirrors(&[&wait[..], &["--planned", "--force"]].concat())
        .expect_code(0);
    node.until_topic("stopped", "mirrored", |one| one.state == "STOPPED");
    // What was said once is not asked for again by another process.
    destination.pause(1);
    node.mirrors(&["stop", "--mirror", "dr", "--topics", "urgent", "--force"])
        .expect_code(0);
    node.kill();
    destination.resume(1);
    node.start();
    node.until_topic("stopped", "urgent", |one| one.state == "STOPPED");
    node.stop().expect_code(0);
}

/// A stop that was ordered when nobody was known to be in danger: it waits for whoever knows of
/// producers and is away, and then for what that one tells.
fn waits_when_it_falls_due(destination: &Cluster, node: &mut Node) {
    node.stop().expect_code(0);
    let wishes = node.data.join("planned-stops");
    std::fs::write(wishes, "mirrored\n").expect("the node's own directory");
    destination.pause(2);
    until_nobody_leads(destination, "theirs");
    node.start();
    let waits = |node: &mut Node, what: &str, why: &str| {
        node.until_topic(what, "mirrored", |one| {
            let error = one.error.as_deref().unwrap_or_default();
            one.is_caught_up() && error.contains(why)
        });
        std::thread::sleep(STILL + Duration::from_secs(2));
        node.until("it waits", 2, |one| one.state == "MIRRORING");
    };
    waits(node, "nobody can tell", "nobody leads it");
    destination.resume(2);
    waits(node, "it is told", "written to theirs-0");
}

fn until_nobody_leads(cluster: &Cluster, topic: &str) {
    let describe = format!("describe topic={topic}");
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let described = cluster.try_ask(&describe);
        if described.is_ok_and(|said| said.words().all(|words| words[1] == "-1")) {
            return;
        }
        assert!(Instant::now() < deadline, "{topic} is led");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn what_others_add_is_theirs_and_the_rest_is_mirrored_on() {
    let test = "what_others_add_is_theirs_and_the_rest_is_mirrored_on";
    let Some(_turn) = Turn::take(test) else {
        return;
    };
    for version in newest() {
        is_theirs_and_the_rest_is_mirrored_on(&version);
    }
}

fn is_theirs_and_the_rest_is_mirrored_on(version: &str) {
    let workload = Arc::new(Workload::start(version));
    let source = Cluster::start(&workload, "adding-source", 1, &[]);
    let mut destination = Cluster::start(&workload, "adding-destination", 2, &APART);
    for topic in ["grown", "again"] {
        source.ask(&format!("create topic={topic} assign=1,1"));
        source.ask(&format!("produce topic={topic} count=200"));
    }
    let mut node = Node::member(&destination, "adding");
    node.declare("dr", &source, "grown|again");
    node.start();
    node.until("caught up", 4, |one| one.is_caught_up());

    // They have as many replicas as the others, one of them on the node, which is to go away.
    destination.ask("grow topic=grown partitions=4 assign=1+2+9001,9001+2+1 nowait=true");
    for partition in [2, 3] {
        let theirs = format!("produce topic=grown partition={partition} count=9 acks=all");
        destination.ask(&theirs);
    }
    // Others are put first, and are elected.
    destination.ask("reassign topic=grown partition=0 replicas=1+9001+2 nowait=true");
    destination.ask("elect topic=grown partition=0");
    source.ask("produce topic=grown count=100 seed=2");
    node.until("mirrored on", 4, |one| one.is_caught_up());
    source.ask("grow topic=grown partitions=4");
    let is_theirs = |one: &Described| one.topic == "grown" && one.partition >= 2;
    let all = node.until("the others are refused", 6, |one| {
        one.is_caught_up() != is_theirs(one) && (one.state == "FAILED") == is_theirs(one)
    });
    let refused = all
        .iter()
        .find(|one| is_theirs(one))
        .expect("there are two");
    let why = refused.error.clone().unwrap_or_default();
    assert!(why.contains("not ours"), "{why}");

    is_made_again(&source, &destination, &mut node);
    let end = |all: &[cluster::Partition], index: usize| all[index].high_watermark;
    let offsets = source.offsets("grown");
    let stop = ["stop", "--mirror", "dr", "--topics", "grown", "--wait"];
    node.mirrors(&stop).expect_code(0);
    let there = destination.offsets("grown");
    assert_eq!(
        [0, 1].map(|one| end(&there, one)),
        [0, 1].map(|one| end(&offsets, one))
    );
    assert_eq!([2, 3].map(|one| end(&there, one)), [9, 9], "untouched");
    node.stop().expect_code(0);
    for broker in [1, 2] {
        destination.stop(broker);
        replicas_equal(&source, &destination.log_dir(broker), &offsets[..2]);
    }
}

/// A topic that is deleted at the destination is not made again over its old logs, and one that
/// somebody else makes in its place is left alone. An operator who wants it mirrored again is told
/// how.
fn is_made_again(source: &Cluster, destination: &Cluster, node: &mut Node) {
    let is_it = |one: &Described| one.topic == "again";
    destination.ask("delete topic=again");
    let gone = node.until("the topic is gone", 6, |one| {
        !is_it(one) || one.state == "FAILED"
    });
    let why = gone.iter().find(|one| is_it(one));
    let why = why.and_then(|one| one.error.clone()).unwrap_or_default();
    assert!(why.contains("&& find ") && why.contains("recover"), "{why}");
    destination.ask("create topic=again rf=2 partitions=2");
    destination.ask("produce topic=again count=30 acks=all");
    let recover = ["recover", "--mirror", "dr", "--topics", "again"];
    node.mirrors(&recover).expect_code(0);
    node.until("theirs is refused", 6, |one| {
        let is_told = || {
            one.error
                .as_deref()
                .is_some_and(|why| why.contains("not ours"))
        };
        !is_it(one) || one.state == "FAILED" && is_told()
    });
    let theirs: i64 = destination
        .offsets("again")
        .iter()
        .map(|one| one.high_watermark)
        .sum();
    assert_eq!(theirs, 30, "untouched");

    destination.ask("delete topic=again");
    node.stop().expect_code(0);
    let command = why
        .split("run ")
        .nth(1)
        .and_then(|rest| rest.split(", start").next());
    let command = command.expect("it is told");
    let done = Command::new("sh").args(["-ec", command]).status();
    assert!(done.expect("there is a shell").success(), "{command}");
    node.start();
    node.mirrors(&recover).expect_code(0);
    node.until("mirrored again", 6, |one| !is_it(one) || one.is_caught_up());
    let ends = |cluster: &Cluster| {
        cluster
            .offsets("again")
            .iter()
            .map(|one| one.range())
            .collect::<Vec<_>>()
    };
    let stop = ["stop", "--mirror", "dr", "--topics", "again", "--wait"];
    node.mirrors(&stop).expect_code(0);
    assert_eq!(ends(source), ends(destination));
}
