//! A member's mirrors of a real source, each behind a proxy that lies in its own way (see
//! `lying.rs` for the lies): no lie reaches a stock broker, what is not lied about goes on, and
//! when the lying ends the stock brokers come to have what the source has.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Instant;

use super::cluster::Partition;
use super::mirrored::Mirrored;
use super::node::{APART, Node};
use super::*;
use crate::lying::IMPATIENT;
use crate::lying::lies::{FRAMES, InFrame, Lie, RARE, RECORDS, Rare};
use crate::lying::proxy::{Often, Plan, Proxy};

/// Records of each partition before the lying; as many are written before it begins.
const HALF: i64 = 60;
/// The offset in whose batch the lie is: in the midst of what is lied about.
const DAMAGED: i64 = 90;
/// Mirrored straight from the source.
const UNTOUCHED: &str = "untouched";
/// So often a lie is told that keeps its partition where it is.
const LASTING: u32 = 3;

#[test]
fn no_lie_reaches_a_stock_broker() {
    let Some(_turn) = Turn::take("no_lie_reaches_a_stock_broker") else {
        return;
    };
    for version in newest_and_another("misled") {
        let begun = Instant::now();
        let told = |what: &str| eprintln!("Kafka {version}: {what} after {:?}", begun.elapsed());
        let mut scene = Scene::begin(&version);
        told("mirrored");
        scene.is_lied_to();
        told("lied to");
        scene.is_measured();
        scene.goes_on_where_nobody_lies();
        told("the others went on");
        scene.is_told_the_truth();
        told("all is there");
    }
}

/// Each kind of lie. Left out are those that a leader tells of where its log begins: they are
/// believed where they can be true, and nothing contradicts them later.
fn lies() -> Vec<Lie> {
    let mut all = RECORDS.map(Lie::Records).to_vec();
    all.extend(FRAMES.map(Lie::Frame));
    let rare = FRAMES.into_iter().zip(RARE.into_iter().cycle());
    all.extend(rare.map(|(lie, about)| Lie::Rare(about, lie)));
    all.extend([
        Lie::Ending(HALF),
        Lie::Elsewhere(1 << 40, 2 << 40),
        Lie::Refused,
        Lie::Throttled,
        Lie::LeftOut,
        Lie::Renamed,
    ]);
    all
}

/// A mirror that is lied to, about partition 0 of its only topic.
struct Misled {
    lie: Lie,
    /// The mirror's name, and its topic's.
    name: String,
    proxy: Proxy,
}

impl Misled {
    fn begin(source: &Cluster, node: &Node, lie: Lie) -> Misled {
        let name = lied_to::name(lie);
        let plan = Plan {
            lie,
            often: Often::Never,
            topic: name.clone(),
            offset: DAMAGED,
        };
        let proxy = lied_to::before(source, plan);
        node.declare_at(&name, &format!("127.0.0.1:{}", proxy.port), &name);
        let one = Misled { lie, name, proxy };
        if !one.is_about_beginnings() {
            one.make(source);
        }
        one
    }

    fn make(&self, source: &Cluster) {
        let (topic, partitions) = (&self.name, self.partitions());
        source.ask(&format!("create topic={topic} partitions={partitions}"));
        for partition in 0..partitions {
            write(source, topic, partition);
        }
    }

    /// What is lied about is asked for each partition once, when nothing of it is there.
    fn is_about_beginnings(&self) -> bool {
        matches!(self.lie, Lie::Rare(Rare::ListOffsets, _) | Lie::Ending(_))
    }

    /// Of a topic of whose records is lied, another partition is not lied about.
    fn partitions(&self) -> usize {
        1 + usize::from(matches!(self.lie, Lie::Records(_)))
    }

    /// How often it has to be told.
    fn told_min(&self) -> u32 {
        let is_rare = self.is_about_beginnings() || matches!(self.lie, Lie::Rare(..));
        match self.is_past() || is_rare {
            true => 1,
            false => LASTING,
        }
    }

    /// Whether something of what is lied about arrives: a slow answer is none the worse for that,
    /// and of one that is cut counts what comes before.
    fn is_past(&self) -> bool {
        use InFrame::{ByteByByte, Cut, HugeField, Reset};
        matches!(self.lie, Lie::Frame(HugeField | Cut | Reset | ByteByByte))
    }

    /// Where its replicas may end while the lie lasts.
    fn ends(&self) -> RangeInclusive<i64> {
        match self.lie {
            Lie::Records(_) => HALF..=DAMAGED,
            _ if self.is_about_beginnings() => 0..=2 * HALF,
            Lie::Rare(..) => HALF..=2 * HALF,
            _ if self.is_past() => HALF..=2 * HALF,
            _ => HALF..=HALF,
        }
    }
}

fn write(source: &Cluster, topic: &str, partition: usize) {
    source.ask(&format!(
        "produce topic={topic} partition={partition} count={HALF} size=300 batch=1000"
    ));
}

/// Bytes of the batches that a log has from an offset on.
fn bytes_behind(log: &Path, offset: i64) -> i64 {
    let batches = compare::read(log).unwrap_or_else(|fault| panic!("{fault}"));
    let missing = batches.whole.iter().filter(|batch| batch.base >= offset);
    let missing: usize = missing.map(|batch| batch.bytes.len()).sum();
    i64::try_from(missing).expect("few")
}

struct Scene {
    mirrored: Mirrored,
    all: Vec<Misled>,
}

impl Scene {
    fn begin(version: &str) -> Scene {
        let workload = Arc::new(Workload::start(version));
        let source = Cluster::start(&workload, "misled-source", 1, &[]);
        let destination = Cluster::start(&workload, "misled-destination", 2, &APART);
        let node = Node::member(&destination, "misled");
        let impatient = format!("{IMPATIENT}request_timeout_ms = 1000\n");
        node.set("[source]\n", &impatient);
        node.configure("[retry]\nmax_backoff_ms = 300\nmax_attempts = 32767\n");
        node.declare(UNTOUCHED, &source, UNTOUCHED);
        source.ask(&format!("create topic={UNTOUCHED}"));
        write(&source, UNTOUCHED, 0);
        let begin = |lie| Misled::begin(&source, &node, lie);
        let all = lies().into_iter().map(begin).collect();
        let mirrored = Mirrored {
            source,
            destination,
            node,
        };
        let mut scene = Scene { mirrored, all };
        scene.mirrored.node.start();
        scene.catches_up("at first");
        scene
    }

    /// All that the source has arrives at both brokers, and is the same there.
    fn catches_up(&mut self, when: &str) {
        let all = self.mirrored.source.offsets(".*");
        self.mirrored.arrive_at(&[1, 2], &all, when);
    }

    /// Each mirror is lied to from its start on, about records that it has not had yet.
    fn is_lied_to(&mut self) {
        let Mirrored { source, node, .. } = &mut self.mirrored;
        node.stop().expect_code(0);
        for one in &self.all {
            if one.is_about_beginnings() {
                one.make(source);
            }
            write(source, &one.name, 0);
            one.proxy.lies(Often::Always);
        }
        node.start();
        for one in &self.all {
            let what = format!("{:?} is told {} times", one.lie, one.told_min());
            node.await_that(&what, |_| one.proxy.told() >= one.told_min());
            if matches!(one.lie, Lie::Records(_)) {
                node.until_said(&format!("{}-0 waits: broker 1 sent it: ", one.name));
            }
        }
    }

    /// What is missing by the node's own word: how many offsets, about how many bytes, and for how
    /// long. No bytes are known where nothing has come that tells how large a record is.
    fn is_measured(&mut self) {
        let Mirrored { source, node, .. } = &mut self.mirrored;
        let log_dir = source.log_dir(1);
        let mut with_bytes = 0;
        for one in &self.all {
            if !matches!(one.lie, Lie::Records(_)) {
                continue;
            }
            let name = one.name.as_str();
            let (mut end, mut bytes) = (None, None);
            node.await_that(&format!("{name} lags"), |node| {
                let measured = |what| node.measured(what, name, 0);
                (end, bytes) = (measured("destination_offset"), measured("lag_bytes"));
                let lag = measured("lag_offsets");
                let is_whole = end.zip(lag).is_some_and(|(end, lag)| end + lag == 2 * HALF);
                is_whole && measured("lag_seconds") >= Some(2)
            });
            let end = end.expect("just seen");
            assert!(one.ends().contains(&end), "{name} ends at {end}");
            assert_eq!(
                bytes.is_some(),
                end > HALF,
                "{name} ends at {end}: {bytes:?}"
            );
            let missing = bytes_behind(&log_dir.join(format!("{name}-0")), end);
            // All records are of one size, and all batches but the last of so many.
            let is_about = |bytes: i64| (bytes - missing).abs() * 4 < missing;
            assert!(
                bytes.is_none_or(is_about),
                "{name}: {bytes:?} for {missing}"
            );
            with_bytes += usize::from(bytes.is_some());
        }
        assert!(with_bytes > 0, "every lie was about the first batch");
    }

    /// The lies last.
    fn goes_on_where_nobody_lies(&mut self) {
        let mut sound = vec![(UNTOUCHED, 0)];
        let pairs = self.all.iter().filter(|one| one.partitions() > 1);
        sound.extend(pairs.map(|one| (one.name.as_str(), 1)));
        for (topic, partition) in &sound {
            write(&self.mirrored.source, topic, *partition);
        }
        let wanted = sound.iter().map(|(topic, partition)| Partition {
            topic: (*topic).to_owned(),
            index: i32::try_from(*partition).expect("one of two"),
            log_start: 0,
            high_watermark: 2 * HALF,
        });
        let wanted: Vec<Partition> = wanted.collect();
        self.mirrored
            .arrive_at(&[1, 2], &wanted, "while others are lied about");
        for broker in [1, 2] {
            self.has_no_lie(&self.mirrored.destination.log_dir(broker));
        }
    }

    /// What a broker has of the partitions that are lied about is the source's.
    fn has_no_lie(&self, logs: &Path) {
        for one in &self.all {
            let partition = format!("{}-0", one.name);
            let held = logs.join(&partition);
            let (start, end) = compare::range(&held).expect("whole batches");
            assert_eq!(start, 0, "{}", held.display());
            assert!(
                one.ends().contains(&end),
                "{} ends at {end}",
                held.display()
            );
            let theirs = self.mirrored.source.log_dir(1).join(&partition);
            compare::agree_but_for_epochs(&theirs, &held, start..end)
                .unwrap_or_else(|error| panic!("{error}"));
        }
    }

    fn is_told_the_truth(&mut self) {
        for one in &self.all {
            one.proxy.lies(Often::Never);
        }
        self.catches_up("when the lying has ended");
        let node = &mut self.mirrored.node;
        node.await_that("nothing is missing", |node| {
            let lags = ["lag_offsets", "lag_bytes", "lag_seconds"];
            lags.iter().all(|lag| node.summed(lag) == 0)
        });
        let names = self.all.iter().map(|one| one.name.as_str());
        let mirrors: Vec<&str> = names.chain([UNTOUCHED]).collect();
        self.mirrored.node.stop_mirrors(&mirrors);
        let ends = |cluster: &Cluster| cluster.offsets(".*");
        assert_eq!(
            ends(&self.mirrored.destination),
            ends(&self.mirrored.source)
        );
        self.catches_up("after the stop");
        self.mirrored.node.stop().expect_code(0);
    }
}
