//! A stock broker serves a copy of a vault, whatever clients left in it and however often its
//! leaders changed: consumers read it, a second replica joins, a group commits, leaves and returns.

use std::collections::BTreeMap;
use std::fs;

use super::cluster::Partition;
use super::program::Ended;
use super::vault::Vault;
use super::*;

const TOPICS: &str = "zoo\\..*";
/// How often the leader of one topic changes at the source.
const ELECTIONS: u32 = 50;

#[test]
fn a_stock_broker_serves_an_adopted_vault() {
    let Some(_turn) = Turn::take("a_stock_broker_serves_an_adopted_vault") else {
        return;
    };
    for version in newest_and_another("adopting") {
        let workload = Arc::new(Workload::start(&version));
        let mut source = Cluster::start(&workload, "adopted", 2, &[]);
        fill(&mut source);
        let vault = Vault::new(&source, "adopted");
        vault.copy(&source, TOPICS, &[]).expect_code(0);
        let stray = Vault::new(&source, "stray");
        stray.copy(&source, "stray", &[]).expect_code(0);

        let mut heir = Cluster::start(&workload, "adopting", 2, &[]);
        let partitions = source.offsets(TOPICS);
        create(&heir, &partitions);
        refuses(&mut heir, &vault, &stray);
        let before = settings(&heir);
        // What an adoption leaves that was cut off while it raised an epoch.
        heir.ask("reassign topic=zoo.elected replicas=2+1 nowait=true");
        adopt(&heir, &vault)
            .expect_code(0)
            .expect_said(&["raising the leader epochs of"]);
        assert_eq!(settings(&heir), before);
        cut_off(&heir, &partitions);
        adopt(&heir, &vault).expect_code(0);
        written_on(&heir, &vault);
        heir.restart(2);

        serves(&heir, &source, &partitions);
        replicates(&heir, &vault, &partitions);
        remembers_a_group(&heir);
    }
}

/// The menagerie, written on after its leaders changed: by elections, and by a restart.
fn fill(source: &mut Cluster) {
    source.ask("menagerie prefix=zoo. seed=11 tiny=2000");
    source.ask("create topic=stray partitions=1");
    source.ask("create topic=zoo.elected assign=1+2");
    for nth in 0..ELECTIONS {
        let replicas = ["2+1", "1+2"][nth as usize % 2];
        source.ask(&format!(
            "reassign topic=zoo.elected replicas={replicas} nowait=true"
        ));
        source.ask("elect topic=zoo.elected");
        if nth % 10 == 9 {
            source.ask("produce topic=zoo.elected count=50 codec=lz4");
        }
    }
    source.stop(2);
    source.restart(2);
    for topic in ["wide", "codec-gzip", "trimmed", "headers", "large"] {
        source.ask(&format!(
            "produce topic=zoo.{topic} count=300 keys=90 codec=zstd"
        ));
    }
    source.ask("transact topic=zoo.transactions id=late count=20 txns=4 end=alternate");
    source.ask("transact topic=zoo.idempotent id=open count=20 txns=2 end=open");
}

/// The same topics, empty, on broker 2 alone. Their records are of a time that retention forgets.
fn create(heir: &Cluster, partitions: &[Partition]) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for partition in partitions {
        *counts.entry(&partition.topic).or_default() += 1;
    }
    for (topic, count) in counts {
        let assign = vec!["2"; count].join(",");
        heir.ask(&format!(
            "create topic={topic} assign={assign} c.retention.ms=-1 c.max.message.bytes=8388608"
        ));
    }
    heir.ask("configure topic=zoo.elected c.unclean.leader.election.enable=false");
}

/// A broker that runs, one that crashed, and a topic that lies elsewhere. Broker 2 is down then.
fn refuses(heir: &mut Cluster, vault: &Vault, stray: &Vault) {
    let refused = |heir: &Cluster, vault: &Vault, words: &[&str]| {
        adopt(heir, vault).expect_code(1).expect_said(words);
    };
    heir.ask("create topic=stray assign=1");
    refused(heir, vault, &["in use: stop its broker first"]);
    heir.stop(2);
    let mark = heir.log_dir(2).join(".kafka_cleanshutdown");
    let aside = heir.dir().join("aside");
    fs::rename(&mark, &aside).expect("a clean stop leaves it");
    refused(heir, vault, &["not closed cleanly"]);
    fs::rename(&aside, &mark).expect("it was there");
    let only = "make the stopped broker, 2, its only one";
    refused(heir, stray, &["stray-0", only]);
}

/// What an adoption leaves that was cut off while it copied: the newest segment of each partition
/// is half a copy.
fn cut_off(heir: &Cluster, partitions: &[Partition]) {
    let mut cut = 0;
    for partition in partitions {
        let dir = heir.log_dir(2).join(partition.directory());
        let entries = fs::read_dir(dir).expect("it was adopted");
        let paths = entries.map(|entry| entry.expect("listed").path());
        let logs = paths.filter(|path| path.extension().is_some_and(|end| end == "log"));
        let last = logs.max().expect("every partition has a segment");
        let bytes = fs::read(&last).expect("it is readable");
        let aside = format!("{}.twinlog-adopting", last.display());
        fs::write(aside, &bytes[..bytes.len() / 2]).expect("there is room");
        fs::remove_file(last).expect("it is there");
        cut += usize::from(!bytes.is_empty());
    }
    assert!(cut > 10, "{cut} partitions with records");
}

/// Records that the vault does not hold are nobody's to replace.
fn written_on(heir: &Cluster, vault: &Vault) {
    let log = heir.log_dir(2).join("zoo.wide-0/00000000000000000000.log");
    let bytes = fs::read(&log).expect("it was adopted");
    fs::write(&log, [&bytes[..], b"more"].concat()).expect("there is room");
    let words = ["zoo.wide-0", "records already", "nothing was changed"];
    adopt(heir, vault).expect_code(1).expect_said(&words);
    fs::write(&log, bytes).expect("there is room");
}

/// What two topics have set of their own.
fn settings(heir: &Cluster) -> [Vec<String>; 2] {
    ["zoo.elected", "zoo.wide"].map(|topic| heir.ask(&format!("settings topic={topic}")).lines)
}

fn adopt(heir: &Cluster, vault: &Vault) -> Ended {
    let log_dir = heir.log_dir(2);
    let log_dir = log_dir.to_str().expect("our paths are text");
    let to = heir.bootstrap();
    let to = to.split(',').next().expect("node 1");
    let args = ["adopt", "--vault", vault.path()];
    vault.run(&[&args[..], &["--log-dir", log_dir, "--to", to]].concat())
}

/// Consumers see what they see at the source, the end of what is stable included.
fn serves(heir: &Cluster, source: &Cluster, partitions: &[Partition]) {
    assert_eq!(heir.offsets(TOPICS), partitions);
    for isolation in ["committed=false", "committed=true"] {
        let question = format!("consume topics={TOPICS} {isolation}");
        let (ours, theirs) = (heir.ask(&question), source.ask(&question));
        assert!(theirs.number("count") > 0);
        assert_eq!(ours.lines, theirs.lines, "{isolation}");
    }
}

/// A second replica joins the in-sync set, and both hold the vault's bytes and leader epochs.
fn replicates(heir: &Cluster, vault: &Vault, partitions: &[Partition]) {
    let mut topics: Vec<&str> = partitions.iter().map(|one| one.topic.as_str()).collect();
    topics.dedup();
    for waits in ["nowait=true", "nowait=false"] {
        for topic in &topics {
            heir.ask(&format!("reassign topic={topic} replicas=2+1 {waits}"));
        }
    }
    let mut risen = 0;
    for partition in partitions {
        let mut held = compare::epochs(&vault.partition(partition));
        // A broker's epochs begin at the log start, ours at the batch that it lies in.
        for (_, start) in &mut held {
            *start = partition.log_start.max(*start);
        }
        risen += usize::from(held.last().is_some_and(|(epoch, _)| *epoch > 0));
        let there = compare::epochs(&heir.log_dir(2).join(partition.directory()));
        assert!(there.starts_with(&held), "{partition:?}: {there:?}");
        assert!(held.len() < there.len(), "{partition:?}: {there:?}");
    }
    assert!(risen > 10, "{risen} partitions of an epoch above 0");
    let equal = vault.assert_partitions_identical(heir, 1, partitions);
    assert_eq!(
        equal,
        vault.assert_partitions_identical(heir, 2, partitions)
    );
    let version = &heir.workload.release.version;
    eprintln!("Kafka {version}: adopted {equal:?}, {risen} of an epoch above 0");
}

/// A group commits, leaves, and returns to where it was.
fn remembers_a_group(heir: &Cluster) {
    let all = heir.ask("consume topics=zoo\\.wide").number("count");
    let first = heir.ask("group topic=zoo.wide group=g max=500");
    let first = first.number("count");
    let second = heir.ask("group topic=zoo.wide group=g").number("count");
    assert!(first >= 500 && second > 0, "{first} and {second}");
    assert_eq!(first + second, all, "nothing twice, nothing left out");
}
