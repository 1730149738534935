//! Applications around a failover, on every client library: what they wrote is read once and where
//! it was, what they had not committed never shows, and they go on under the names that they had.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::applications::Application;
use super::node::{APART, Node};
use super::workload::Answer;
use super::*;

/// What groups see: everything, or only what is committed. `gone` stands in the value of every
/// record whose transaction was aborted, or was open when the mirror was stopped.
const LEVELS: [(&str, bool); 2] = [("all", false), ("committed", true)];

/// What stands in the values of those that were open.
const OPEN: [&str; 2] = ["gone-4", "gone-again"];

/// A record as an application saw it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Record {
    topic: String,
    partition: i32,
    offset: i64,
    value: String,
}

type Records = BTreeSet<Record>;

#[test]
fn applications_go_on_where_they_were() {
    let test = "applications_go_on_where_they_were";
    let Some(_turn) = Turn::take(test) else {
        return;
    };
    for version in oldest_and_newest() {
        let workload = Arc::new(Workload::start(&version));
        let applications = Application::all(test);
        let mut source = Cluster::start(&workload, "clients-source", 1, &[]);
        let shop = Shop::open(&mut source, &applications);
        let settings = [&APART[..], &[("offsets.topic.replication.factor", "2")]].concat();
        let mut destination = Cluster::start(&workload, "clients-destination", 2, &settings);
        let mut node = Node::member(&destination, "member");
        node.declare("dr", &source, "shop\\..*");
        node.start();
        let ends = source.offsets("shop\\..*");
        node.until("caught up", ends.len(), |one| one.is_caught_up());
        let stop = ["stop", "--mirror", "dr", "--topics", ".*", "--json"];
        let plan = node.mirrors(&[&stop[..], &["--dry-run"]].concat());
        let report = node.mirrors(&[&stop[..], &["--wait"]].concat());
        let (plan, report) = (plan.expect_code(0).json(), report.expect_code(0).json());
        was_foretold(&plan, &report);
        shop.is_left_where_it_ends(&report, &ends);
        nothing_is_open(&destination);
        shop.goes_on(&source, &destination);
        shop.takes_more(&destination);
        node.stop().expect_code(0);
        // Whoever succeeds the new leaders has all of that as well.
        destination.stop(2);
        shop.is_whole(&destination);
        destination.stop(1);
        for broker in [1, 2] {
            shop.is_aborted_twice(&destination.log_dir(broker), &ends);
        }
    }
}

/// What a stop would do is what it then does with each partition.
fn was_foretold(plan: &serde_json::Value, report: &serde_json::Value) {
    let rows =
        |told: &serde_json::Value| told.as_array().expect("a row for each partition").clone();
    let (plan, report) = (rows(plan), rows(report));
    assert_eq!(plan.len(), report.len());
    for told in &plan {
        let is_it = |done: &&serde_json::Value| {
            (&done["topic"], &done["partition"]) == (&told["topic"], &told["partition"])
        };
        let done = report.iter().find(is_it).expect("it was stopped");
        assert_eq!(told["state"], "MIRRORING", "{told}");
        assert_eq!(told["logEnd"], done["lastMirrorOffset"], "{told} {done}");
        assert_eq!(told["lag"], done["lag"], "{told} {done}");
        let aborted = done["abortedTransactions"].as_array().map(Vec::len);
        assert_eq!(
            told["openTransactions"],
            aborted.unwrap_or_default(),
            "{told} {done}"
        );
        for row in [told, done] {
            assert!(row["newLeader"] == 1 || row["newLeader"] == 2, "{row}");
        }
    }
}

/// Who reads only what is committed comes to the end of every log.
fn nothing_is_open(destination: &Cluster) {
    let ends = |more: &str| destination.ask(&format!("offsets topics=shop\\..*{more}"));
    assert_eq!(ends(" committed=true").lines, ends("").lines);
}

/// Topics of several applications, and what was written to them.
struct Shop<'a> {
    applications: &'a [Application],
    topics: String,
    /// All that can be read at the source.
    written: Records,
    /// What each group has read there.
    early: Vec<Records>,
}

impl<'a> Shop<'a> {
    /// Fills the topics at the source: some of every kind, and a transaction that is not ended.
    fn open(source: &mut Cluster, applications: &'a [Application]) -> Shop<'a> {
        source.ask("compacted prefix=shop. seed=9");
        let mut topics = vec!["shop.compacted".to_owned()];
        for application in applications {
            for kind in ["plain", "money"] {
                let topic = format!("shop.{}-{kind}", application.name());
                source.ask(&format!("create topic={topic} partitions=2"));
                topics.push(topic);
            }
        }
        // Leader epochs rise.
        source.stop(1);
        source.restart(1);
        for application in applications {
            put(source, application, "plain", "kept-0", 120);
            deal(source, application, ("one", "commit"), "kept-1");
            deal(source, application, ("two", "abort"), "gone-2");
            deal(source, application, ("one", "commit"), "kept-3");
            deal(source, application, ("open", "open"), "gone-4");
            deal(source, application, ("one", "commit"), "kept-5");
            // Whoever takes the id up has the coordinator end what was open under it.
            deal(source, application, ("twice", "open"), "gone-twice");
            deal(source, application, ("twice", "open"), "gone-again");
            put(source, application, "money", "kept-6", 20);
        }
        let mut shop = Shop {
            applications,
            topics: topics.join(","),
            written: Records::new(),
            early: Vec::new(),
        };
        shop.written = shop.take(&applications[0], source, ("truth", false), "");
        for (application, level) in shop.groups() {
            let read = shop.take(application, source, level, " max=150");
            assert_eq!(read.len(), 150, "{} {}", application.name(), level.0);
            shop.early.push(read);
        }
        shop
    }

    /// One group of each application for each level.
    fn groups(&self) -> Vec<(&'a Application, (&'static str, bool))> {
        let applications = self.applications.iter();
        let groups = applications.flat_map(|one| LEVELS.map(|level| (one, level)));
        groups.collect()
    }

    fn take(
        &self,
        application: &Application,
        cluster: &Cluster,
        (level, committed): (&str, bool),
        more: &str,
    ) -> Records {
        let (name, topics) = (application.name(), &self.topics);
        let group = format!("group={name}-{level} committed={committed}");
        records(&application.ask(cluster, &format!("take {group} topics={topics}{more}")))
    }

    /// The report of the stop: each partition ended where the source's did, and every transaction
    /// that was open there, two for each application in two partitions, was aborted.
    fn is_left_where_it_ends(&self, report: &serde_json::Value, ends: &[cluster::Partition]) {
        let rows = report.as_array().expect("a row for each partition");
        let mut aborted = 0;
        for row in rows {
            let end = ends.iter().find(|end| {
                row["topic"] == end.topic.as_str() && row["partition"] == i64::from(end.index)
            });
            let end = end.unwrap_or_else(|| panic!("{row}"));
            assert_eq!(row["lastMirrorOffset"], end.high_watermark, "{row}");
            assert!(row["lag"] == 0 && row["lost"].is_null(), "{row}");
            // The source's own, which has risen since the other topic was written.
            let epoch = if end.topic == "shop.compacted" { 0 } else { 2 };
            assert!(row["lastMirrorEpoch"].as_i64() >= Some(epoch), "{row}");
            let all = row["abortedTransactions"].as_array().into_iter().flatten();
            let since = all.filter_map(|one| one["firstOffset"].as_i64());
            let since: BTreeSet<i64> = since.collect();
            assert_eq!(since, self.open_since(end), "{row}");
            aborted += since.len();
        }
        assert_eq!(rows.len(), ends.len());
        assert_eq!(aborted, 2 * 2 * self.applications.len());
    }

    /// Where the transactions begin that nobody has ended at the source.
    fn open_since(&self, partition: &cluster::Partition) -> BTreeSet<i64> {
        let is_here = |record: &&Record| {
            record.topic == partition.topic && record.partition == partition.index
        };
        let since = OPEN.map(|tag| {
            let all = self.written.iter().filter(is_here);
            let all = all.filter(|record| record.value.contains(tag));
            all.map(|record| record.offset).min()
        });
        since.into_iter().flatten().collect()
    }

    /// Each group goes on at the destination: with what it read at the source it has seen
    /// everything, each record once and where it was.
    fn goes_on(&self, source: &Cluster, destination: &Cluster) {
        let (from, to) = (source.bootstrap(), destination.bootstrap());
        for ((application, level), early) in self.groups().into_iter().zip(&self.early) {
            let what = format!("{} {}", application.name(), level.0);
            let group = format!("{}-{}", application.name(), level.0);
            let carry = format!("carry from={from} to={to} group={group}");
            source.workload.ask(&carry);
            let late = self.take(application, destination, level, "");
            let twice: Vec<&Record> = late.intersection(early).collect();
            assert!(twice.is_empty(), "{what} read twice: {twice:#?}");
            let seen: Records = late.union(early).cloned().collect();
            assert_same(&seen, &visible(&self.written, level.1), &what);
        }
    }

    /// Each application writes on: by new producers, and under the transactional ids that it had,
    /// one of them with a transaction that it had not ended. Nothing of that is lost or hidden.
    fn takes_more(&self, destination: &Cluster) {
        let mut more = Records::new();
        for application in self.applications {
            for producer in 0..5 {
                let tag = format!("kept-new-{producer}");
                more.extend(put(destination, application, "plain", &tag, 40));
            }
            for (id, end, tag) in [
                ("one", "commit", "kept-7"),
                ("open", "commit", "kept-8"),
                ("open", "abort", "gone-9"),
                ("two", "commit", "kept-10"),
                ("twice", "commit", "kept-11"),
            ] {
                more.extend(deal(destination, application, (id, end), tag));
            }
        }
        for (application, level) in self.groups() {
            let read = self.take(application, destination, level, "");
            let what = format!("{} {} afterwards", application.name(), level.0);
            assert_same(&read, &visible(&more, level.1), &what);
        }
    }

    /// A group that begins anew reads everything, old and new.
    fn is_whole(&self, destination: &Cluster) {
        for (level, committed) in [("late-all", false), ("late-committed", true)] {
            let read = self.take(&self.applications[0], destination, (level, committed), "");
            let old = visible(&self.written, committed);
            assert!(old.is_subset(&read), "{level}");
            let more: Vec<&Record> = read.difference(&old).collect();
            let writers = self.applications.len();
            // Of each 5 * 40 records by new producers, and 4 or 5 transactions of 20.
            let expected = writers * if committed { 280 } else { 300 };
            assert_eq!(more.len(), expected, "{level}");
        }
    }

    /// Of the id that was taken up while a transaction was open under it, one broker has both
    /// transactions, and both are aborted: the first by the source's coordinator, in an epoch that
    /// shuts its producer out, and the second by us, behind all that is the source's.
    fn is_aborted_twice(&self, logs: &Path, ends: &[cluster::Partition]) {
        let money = ends.iter().filter(|end| end.topic.ends_with("-money"));
        let mut partitions = 0;
        for end in money {
            let held = compare::read(&logs.join(end.directory())).expect("it is readable");
            let mut writers: BTreeMap<i64, Vec<&compare::Batch>> = BTreeMap::new();
            for batch in &held.whole {
                writers.entry(batch.producer().0).or_default().push(batch);
            }
            let is_it = |batches: &&Vec<&compare::Batch>| is_taken_up(batches, end.high_watermark);
            let found = writers.values().filter(is_it).count();
            assert_eq!(found, 1, "{end:?}: {:?}", told(&writers));
            partitions += 1;
        }
        assert_eq!(partitions, 2 * self.applications.len());
    }
}

/// Whether these are two transactions of one id, the second of which took the id up while the
/// first was open and was open itself where the source's log ended.
fn is_taken_up(batches: &[&compare::Batch], end: i64) -> bool {
    let parts: Vec<&[&compare::Batch]> =
        batches.split_inclusive(|batch| batch.is_marker()).collect();
    let [first, second] = parts[..] else {
        return false;
    };
    let of = |part: &[&compare::Batch]| match part {
        [written @ .., marker] if marker.is_abort() && !written.is_empty() => {
            let epochs = [written[0], marker].map(|batch| batch.producer().1);
            Some((epochs, marker.base))
        }
        _ => None,
    };
    let (Some((first, fenced_at)), Some((second, ended_at))) = (of(first), of(second)) else {
        return false;
    };
    first[0] < first[1] && first[1] < second[0] && fenced_at < end && end <= ended_at
}

/// For each producer where its batches begin, their epochs, and which of them are aborts.
fn told(writers: &BTreeMap<i64, Vec<&compare::Batch>>) -> BTreeMap<i64, Vec<(i64, i16, bool)>> {
    let tell = |batch: &&compare::Batch| (batch.base, batch.producer().1, batch.is_abort());
    let all = writers.iter();
    all.map(|(id, batches)| (*id, batches.iter().map(tell).collect()))
        .collect()
}

fn put(
    cluster: &Cluster,
    application: &Application,
    kind: &str,
    tag: &str,
    count: usize,
) -> Records {
    let name = application.name();
    let command = format!("put topic=shop.{name}-{kind} tag={name}-{tag} count={count}");
    written(&application.ask(cluster, &command), count)
}

fn deal(
    cluster: &Cluster,
    application: &Application,
    (id, end): (&str, &str),
    tag: &str,
) -> Records {
    let name = application.name();
    let words = format!("id=shop-{name}-{id} tag={name}-{tag} count=20 end={end}");
    let command = format!("deal topic=shop.{name}-money {words}");
    written(&application.ask(cluster, &command), 20)
}

fn written(answer: &Answer, count: usize) -> Records {
    let acknowledged = records(answer);
    assert_eq!(acknowledged.len(), count);
    acknowledged
}

/// The records that an answer tells of, each of them once.
fn records(answer: &Answer) -> Records {
    let mut records = Records::new();
    for words in answer.words() {
        let record = Record {
            topic: words[0].to_owned(),
            partition: words[1].parse().expect("a number"),
            offset: words[2].parse().expect("an offset"),
            value: words[3].to_owned(),
        };
        assert!(records.insert(record), "twice: {words:?}");
    }
    records
}

fn visible(all: &Records, committed: bool) -> Records {
    let is_visible = |record: &&Record| !committed || !record.value.contains("gone");
    all.iter().filter(is_visible).cloned().collect()
}

fn assert_same(seen: &Records, expected: &Records, what: &str) {
    let missing: Vec<&Record> = expected.difference(seen).take(9).collect();
    let extra: Vec<&Record> = seen.difference(expected).take(9).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "{what}: lacks {missing:#?}, has besides {extra:#?}"
    );
}
