//! A live source under `copy --follow`: elections, deaths, growth, deletions, and data that is lost
//! at the source. One cluster of three nodes per release; each scenario has topics and a vault of
//! its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Duration;

use super::vault::{Vault, await_that, await_within};
use super::*;

/// New topics and partitions have to be found within this.
const FOUND_WITHIN: Duration = Duration::from_secs(10);

/// Name and body of what is to be seen.
type Scenario = (&'static str, fn(&mut Cluster));

const SCENARIOS: [Scenario; 8] = [
    ("leaders move by election", leaders_move),
    ("a broker dies and returns", a_broker_dies),
    ("partitions and topics appear", topics_grow_and_appear),
    ("a topic is deleted", a_topic_is_deleted),
    ("a topic is recreated", a_topic_is_recreated),
    ("log start overtakes us", log_start_overtakes),
    (
        "an unclean election truncates the source",
        unclean_election_truncates,
    ),
    (
        "an unclean election is followed where that is allowed",
        unclean_election_is_followed,
    ),
];

#[test]
fn a_followed_source_may_change_in_every_way() {
    let Some(_turn) = Turn::take("a_followed_source_may_change_in_every_way") else {
        return;
    };
    let mut failed = Vec::new();
    for version in versions() {
        let begin = std::time::Instant::now();
        failed.extend(failed_on(&version));
        eprintln!("Kafka {version}: all scenarios in {:?}", begin.elapsed());
    }
    assert!(failed.is_empty(), "failed: {failed:?}");
}

/// The scenarios that fail on one release.
fn failed_on(version: &str) -> Vec<String> {
    let workload = Arc::new(Workload::start(version));
    let mut cluster = Cluster::start(&workload, "following", 3, &[]);
    let wanted = std::env::var("TWINLOG_KAFKA_SCENARIO").unwrap_or_default();
    let mut failed = Vec::new();
    for (name, scenario) in SCENARIOS.iter().filter(|(name, _)| name.contains(&wanted)) {
        eprintln!("Kafka {version}: {name}");
        if catch_unwind(AssertUnwindSafe(|| scenario(&mut cluster))).is_err() {
            failed.push(format!("{name} on {version}"));
        }
        cluster.restart_dead();
    }
    failed
}

/// Six partitions led by all three brokers, and a writer that does not stop.
fn under_load(cluster: &Cluster, topic: &str) {
    cluster.ask(&format!(
        "create topic={topic} assign=1+2+3,2+3+1,3+1+2,1+3+2,2+1+3,3+2+1"
    ));
    cluster.ask(&format!(
        "load id={topic} topic={topic} rate=400 size=200 keys=50 codec=lz4"
    ));
}

fn load_ends(cluster: &Cluster, topic: &str) {
    let written = cluster.ask(&format!("unload id={topic}"));
    assert!(written.number("acknowledged") > 0, "{written:?}");
}

fn leaders_move(cluster: &mut Cluster) {
    under_load(cluster, "moving");
    let vault = Vault::new(cluster, "moving");
    let mut following = vault.follow(cluster, "moving");
    for leader in ["2+3+1", "3+1+2", "1+2+3"] {
        cluster.ask(&format!("reassign topic=moving replicas={leader}"));
        for partition in 0..6 {
            cluster.ask(&format!("elect topic=moving partition={partition}"));
        }
        let before = total_end(&vault, "moving");
        await_that(&mut following, "copying goes on after the election", || {
            total_end(&vault, "moving") > before + 200
        });
    }
    load_ends(cluster, "moving");
    let partitions = vault.await_caught_up(cluster, "moving", &mut following);
    following.stop().expect_code(0);
    vault.assert_identical(cluster, 1, &partitions);
    assert!(
        epochs(&vault, "moving-0") > 1,
        "the elections show in the epoch history"
    );
    dump::complains_not(&cluster.workload, &vault.dir);
}

fn a_broker_dies(cluster: &mut Cluster) {
    under_load(cluster, "dying");
    let vault = Vault::new(cluster, "dying");
    let mut following = vault.follow(cluster, "dying");
    vault.await_begun(cluster, "dying", &mut following);
    cluster.kill(3);
    let before = total_end(&vault, "dying");
    await_that(&mut following, "copying goes on without broker 3", || {
        total_end(&vault, "dying") > before + 400
    });
    cluster.restart(3);
    load_ends(cluster, "dying");
    let partitions = vault.await_caught_up(cluster, "dying", &mut following);
    following.stop().expect_code(0);
    vault.assert_identical(cluster, 1, &partitions);
}

fn topics_grow_and_appear(cluster: &mut Cluster) {
    cluster.ask("create topic=grow.first partitions=1");
    cluster.ask("produce topic=grow.first count=50");
    let vault = Vault::new(cluster, "growing");
    let mut following = vault.follow(cluster, "grow\\..*");
    vault.await_caught_up(cluster, "grow\\..*", &mut following);
    cluster.ask("grow topic=grow.first partitions=3");
    cluster.ask("create topic=grow.second partitions=2");
    cluster.ask("create topic=other.third partitions=1");
    for partition in [
        "grow.first partition=2",
        "grow.second partition=1",
        "other.third partition=0",
    ] {
        cluster.ask(&format!("produce topic={partition} count=20"));
    }
    await_within(
        &mut following,
        "new topics and partitions are found",
        FOUND_WITHIN,
        || {
            ["grow.first-2", "grow.second-1"].iter().all(|name| {
                compare::read(&vault.dir.join(name)).is_ok_and(|batches| batches.end() == Some(20))
            })
        },
    );
    let partitions = vault.await_caught_up(cluster, "grow\\..*", &mut following);
    following.stop().expect_code(0);
    assert!(
        !vault.dir.join("other.third-0").exists(),
        "it does not match"
    );
    for partition in &partitions {
        let leader = leader(cluster, partition);
        vault.assert_partitions_identical(cluster, leader, std::slice::from_ref(partition));
    }
}

fn a_topic_is_deleted(cluster: &mut Cluster) {
    for topic in ["gone.deleted", "gone.kept"] {
        cluster.ask(&format!("create topic={topic} assign=1"));
        cluster.ask(&format!("produce topic={topic} count=300"));
    }
    let vault = Vault::new(cluster, "deleted");
    let mut following = vault.follow(cluster, "gone\\..*");
    vault.await_caught_up(cluster, "gone\\..*", &mut following);
    cluster.ask("delete topic=gone.deleted");
    cluster.ask("produce topic=gone.kept count=100");
    vault.await_caught_up(cluster, "gone\\.kept", &mut following);
    await_that_said(&mut following, "gone.deleted-0 stops");
    following.stop();
    let kept = compare::read(&vault.dir.join("gone.deleted-0")).expect("what was copied stays");
    assert_eq!(kept.end(), Some(300));
    vault.assert_partitions_identical(cluster, 1, &cluster.offsets("gone\\.kept"));
}

fn a_topic_is_recreated(cluster: &mut Cluster) {
    for topic in ["again.new", "again.old"] {
        cluster.ask(&format!("create topic={topic} assign=1"));
        cluster.ask(&format!("produce topic={topic} count=200"));
    }
    let vault = Vault::new(cluster, "recreated");
    let mut following = vault.follow(cluster, "again\\..*");
    vault.await_caught_up(cluster, "again\\..*", &mut following);
    cluster.ask("delete topic=again.new");
    cluster.ask("create topic=again.new assign=1");
    cluster.ask("produce topic=again.new count=700 seed=9");
    await_that_said(&mut following, "again.new-0 stops");
    cluster.ask("produce topic=again.old count=100");
    vault.await_caught_up(cluster, "again\\.old", &mut following);
    following
        .stop()
        .expect_code(1)
        .expect_said(&["again.new", "recreated"]);
    let ours = compare::read(&vault.dir.join("again.new-0")).expect("it is as it was");
    assert_eq!(
        ours.end(),
        Some(200),
        "nothing of the new topic was mixed in"
    );
    // It stays refused when the program is started again.
    vault
        .copy(cluster, "again\\..*", &[])
        .expect_code(1)
        .expect_said(&["again.new", "recreated"]);
    vault.assert_partitions_identical(cluster, 1, &cluster.offsets("again\\.old"));
}

fn log_start_overtakes(cluster: &mut Cluster) {
    cluster.ask("create topic=overtaken assign=1");
    cluster.ask("produce topic=overtaken count=200 batch=2000");
    let vault = Vault::new(cluster, "overtaken");
    vault.copy(cluster, "overtaken", &[]).expect_code(0);
    cluster.ask("produce topic=overtaken count=800 batch=2000 seed=5");
    cluster.ask("trim topic=overtaken before=600");
    let mut following = vault.follow(cluster, "overtaken");
    let partitions = vault.await_caught_up(cluster, "overtaken", &mut following);
    let ended = following.stop();
    assert!(
        ended.stderr.contains("200") && ended.stderr.contains("overtaken-0"),
        "{ended:?}"
    );
    let source = cluster.log_dir(1).join("overtaken-0");
    let copy = vault.dir.join("overtaken-0");
    for range in [0..200, partitions[0].range()] {
        compare::agree(&source, &copy, range).unwrap_or_else(|error| panic!("{error}"));
    }
    let held = compare::read(&copy).expect("readable").whole;
    assert!(
        held.windows(2)
            .any(|pair| pair[0].next == 200 && pair[1].next > 600),
        "the gap"
    );
    let verified = vault.verify(None);
    assert!(
        (verified.stdout + &verified.stderr).contains("gap"),
        "verify shows the gap"
    );
}

fn unclean_election_truncates(cluster: &mut Cluster) {
    cluster.ask("create topic=unclean.cut assign=2+3 c.unclean.leader.election.enable=true");
    cluster.ask("create topic=unclean.whole assign=1");
    cluster.ask("produce topic=unclean.cut count=100 batch=1000");
    let vault = Vault::new(cluster, "unclean");
    let mut following = vault.follow(cluster, "unclean\\..*");
    // Broker 3 misses what broker 2 still gets; then only broker 3 returns.
    cluster.kill(3);
    cluster.ask("produce topic=unclean.cut count=400 batch=1000 seed=6");
    vault.await_caught_up(cluster, "unclean\\.cut", &mut following);
    cluster.kill(2);
    cluster.restart(3);
    // The controller may have elected it already.
    drop(cluster.try_ask("elect topic=unclean.cut unclean=true"));
    cluster.ask("produce topic=unclean.cut count=50 batch=1000 seed=7");
    await_that_said(&mut following, "unclean.cut-0 stops");
    cluster.ask("produce topic=unclean.whole count=100");
    vault.await_caught_up(cluster, "unclean\\.whole", &mut following);
    // Both ends are named: what we hold, and up to where the source agrees with it.
    following
        .stop()
        .expect_code(1)
        .expect_said(&["unclean.cut-0", "500", "100"]);
    let ours = compare::read(&vault.dir.join("unclean.cut-0")).expect("it is as it was");
    assert_eq!(ours.end(), Some(500), "nothing was cut off");
    let dead = cluster.log_dir(2).join("unclean.cut-0");
    compare::agree(&dead, &vault.dir.join("unclean.cut-0"), 0..500)
        .unwrap_or_else(|error| panic!("{error}"));
}

/// The same with `--truncate`: what the source has lost is set aside, cut off, and mirroring goes
/// on.
fn unclean_election_is_followed(cluster: &mut Cluster) {
    cluster.ask("create topic=followed.cut assign=2+3 c.unclean.leader.election.enable=true");
    cluster.ask("produce topic=followed.cut count=100 batch=1000");
    let vault = Vault::new(cluster, "followed");
    let mut following = vault.follow_with(cluster, "followed\\..*", &["--truncate"]);
    cluster.kill(3);
    cluster.ask("produce topic=followed.cut count=400 batch=1000 seed=6");
    vault.await_caught_up(cluster, "followed\\.cut", &mut following);
    await_that(
        &mut following,
        "all of it is written down as durable",
        || vault.recovery_point("followed.cut-0") == 500,
    );
    cluster.kill(2);
    cluster.restart(3);
    // The controller may have elected it already.
    drop(cluster.try_ask("elect topic=followed.cut unclean=true"));
    cluster.ask("produce topic=followed.cut count=50 batch=1000 seed=7");
    await_that_said(&mut following, "the source has lost");
    let partitions = vault.await_caught_up(cluster, "followed\\.cut", &mut following);
    let aside = PathBuf::from(format!("{}.aside", vault.path()));
    let aside = aside.join("followed.cut-0.from-100");
    let ended = following.stop().expect_code(0);
    assert_eq!(ended.number("/cuts/0/to"), 100, "{ended:?}");
    assert_eq!(ended.number("/cuts/0/set_aside/records"), 400, "{ended:?}");
    vault.assert_partitions_identical(cluster, 3, &partitions);
    let end = vault.end(&partitions[0]).expect("it has records");
    assert!((150..500).contains(&end), "{end}");
    let dead = cluster.log_dir(2).join("followed.cut-0");
    compare::agree(&dead, &aside, 100..500).unwrap_or_else(|error| panic!("{error}"));
    vault.verify(None).expect_code(0);
    dump::complains_not(&cluster.workload, &vault.dir);
    // It was closed below where points are doubted since the cut: the end is believed all the same.
    let again = vault.copy(cluster, "followed\\..*", &["--truncate"]);
    again.expect_code(0);
    assert_eq!(vault.end(&partitions[0]), Some(end));
}

fn await_that_said(following: &mut program::Running, word: &str) {
    let begin = std::time::Instant::now();
    while !following.said().contains(word) {
        following.assert_alive();
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "said nothing of {word}:\n{}",
            following.said()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// How far the copies of a topic's partitions reach together. The source is not asked: it may be
/// about to notice that a broker has died.
fn total_end(vault: &Vault, topic: &str) -> i64 {
    let names = vault.partitions_there();
    let ours = names.iter().filter(|name| {
        let number = name
            .strip_prefix(topic)
            .and_then(|rest| rest.strip_prefix('-'));
        number.is_some()
    });
    // What is being written may be half there: then it has not arrived.
    let ends = ours.filter_map(|name| compare::read(&vault.dir.join(name)).ok()?.end());
    ends.sum()
}

/// How many leader epochs a copied partition's history has.
fn epochs(vault: &Vault, partition: &str) -> usize {
    let path = vault.dir.join(partition).join("leader-epoch-checkpoint");
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().skip(2).count()
}

fn leader(cluster: &Cluster, partition: &cluster::Partition) -> u32 {
    let answer = cluster.ask(&format!("describe topic={}", partition.topic));
    let mut lines = answer.words();
    let line = lines
        .find(|words| words[0] == partition.index.to_string())
        .expect("described");
    line[1].parse().expect("it has a leader")
}
