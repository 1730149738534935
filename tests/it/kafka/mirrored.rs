//! A source, a stock destination and a node that mirrors from the one onto the other: what the
//! destination's brokers have on disk, against what the source has.

use std::path::Path;
use std::time::{Duration, Instant};

use super::cluster::Partition;
use super::ledger::{Id, Ledger};
use super::node::{APART, Node};
use super::program::{self, Ended};
use super::*;

/// How long records may take that somebody has to come back for.
const WITHIN: Duration = Duration::from_secs(60);

/// Two clusters and the node between them; its mirror is called dr.
pub(super) struct Mirrored {
    pub(super) source: Cluster,
    pub(super) destination: Cluster,
    pub(super) node: Node,
}

impl Mirrored {
    /// One broker at the source, two at the destination, whose node 1 is the controller as well.
    /// The node has not been started.
    pub(super) fn begin(workload: &Arc<Workload>, name: &str, topics: &str) -> Mirrored {
        let source = Cluster::start(workload, &format!("{name}-source"), 1, &[]);
        let destination = Cluster::start(workload, &format!("{name}-destination"), 2, &APART);
        Mirrored::between(source, destination, topics)
    }

    /// Between these two. The node has not been started.
    pub(super) fn between(source: Cluster, destination: Cluster, topics: &str) -> Mirrored {
        let node = Node::member(&destination, "member");
        node.declare("dr", &source, topics);
        Mirrored {
            source,
            destination,
            node,
        }
    }

    /// All that the source has of a topic arrives at both brokers, and is the same there.
    pub(super) fn arrives(&mut self, topic: &str, when: &str) {
        self.arrives_at(&[1, 2], topic, when);
    }

    /// The same at some of the brokers.
    pub(super) fn arrives_at(&mut self, brokers: &[u32], topic: &str, when: &str) {
        let wanted = self.source.offsets(topic);
        self.arrive_at(brokers, &wanted, when);
    }

    /// So much of the source arrives at those brokers, and is the same there.
    pub(super) fn arrive_at(&mut self, brokers: &[u32], wanted: &[Partition], when: &str) {
        let begun = Instant::now();
        for broker in brokers {
            for partition in wanted {
                let dir = self.replica(*broker, partition);
                // While it is written, a batch may be half there.
                let end = || compare::read(&dir).ok().and_then(|batches| batches.end());
                while end().unwrap_or_default() < partition.high_watermark {
                    self.node.assert_alive();
                    assert!(
                        begun.elapsed() < WITHIN,
                        "{when}: broker {broker} has {:?} of {partition:?}\n{}",
                        end(),
                        self.node.said()
                    );
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
        for broker in brokers {
            self.agrees(*broker, wanted);
        }
        nobody_spins(&self.destination);
    }

    /// All that the source has of a topic arrives at those brokers that have a replica of it.
    pub(super) fn arrives_where_it_is(&mut self, topic: &str) {
        let described = self.destination.ask(&format!("describe topic={topic}"));
        let first = described.words().next().map(|words| words[2].to_owned());
        let replicas = first.expect("it has a partition");
        let brokers = replicas.split('+').map(|id| id.parse().expect("an id"));
        let brokers: Vec<u32> = brokers.collect();
        self.arrives_at(&brokers, topic, "at last");
    }

    /// Who is in sync of each partition comes to be those.
    pub(super) fn until_in_sync(&mut self, topic: &str, wanted: &[i64]) {
        self.until_isr(topic, wanted, |all| all.in_sync(topic));
    }

    /// The same by the word of one broker, while another one stands still.
    pub(super) fn until_in_sync_says(&mut self, broker: u32, topic: &str, wanted: &[i64]) {
        let at = self.destination.broker(broker);
        self.until_isr(topic, wanted, |_| {
            let partitions = asking::heard(&at, topic).partitions.into_iter();
            let isr = partitions.map(|one| one.in_sync.into_iter().map(i64::from).collect());
            isr.collect()
        });
    }

    fn until_isr(
        &mut self,
        topic: &str,
        wanted: &[i64],
        look: impl Fn(&Mirrored) -> Vec<Vec<i64>>,
    ) {
        let begun = Instant::now();
        loop {
            let isr = look(self);
            if !isr.is_empty() && isr.iter().all(|isr| isr == wanted) {
                return;
            }
            let is_late = begun.elapsed() >= WITHIN;
            assert!(!is_late, "{topic}: {isr:?}\n{}", self.node.said());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Both brokers have the source's batches there.
    pub(super) fn agree_within(&self, partitions: &[Partition]) {
        self.agrees(1, partitions);
        self.agrees(2, partitions);
    }

    fn agrees(&self, broker: u32, partitions: &[Partition]) {
        for partition in partitions {
            let theirs = self.source.log_dir(1).join(partition.directory());
            let copy = self.replica(broker, partition);
            compare::agree_but_for_epochs(&theirs, &copy, partition.range())
                .unwrap_or_else(|difference| panic!("{difference}"));
            stamps_are_true(&copy);
        }
    }

    /// What all replicas in sync have by the node's own word goes on the ledger: from here on it
    /// may not be missing.
    pub(super) fn notes(&self, ledger: &mut Ledger, ids: &[Id]) {
        for &(topic, index) in ids {
            let mark = self.node.measured("high_watermark", topic, index);
            if let Some(mark) = mark.filter(|mark| *mark > 0) {
                let theirs = self.source.log_dir(1).join(format!("{topic}-{index}"));
                ledger.note((topic, index), mark, &[theirs]);
            }
        }
    }

    /// All that is on the ledger comes to be at these brokers.
    pub(super) fn keep(&self, ledger: &mut Ledger, ids: &[Id], brokers: &[u32], when: &str) {
        for broker in brokers {
            let dir = self.destination.log_dir(*broker);
            for &(topic, index) in ids {
                ledger.is_in((topic, index), &dir.join(format!("{topic}-{index}")), when);
            }
        }
    }

    pub(super) fn replica(&self, broker: u32, partition: &Partition) -> std::path::PathBuf {
        let dir = self.destination.log_dir(broker);
        dir.join(partition.directory())
    }

    /// The last leader epoch of partition 0 in which a record was written.
    pub(super) fn last_epoch(&self, topic: &str) -> i32 {
        let dir = self.destination.log_dir(1).join(format!("{topic}-0"));
        compare::epochs(&dir).last().expect("it has records").0
    }

    /// Whether the leader of each partition is as `is_it` says; −1 is who is not seen by clients.
    pub(super) fn leads(&self, topic: &str, is_it: impl Fn(i64) -> bool) -> bool {
        let described = self.destination.try_ask(&format!("describe topic={topic}"));
        described.is_ok_and(|described| {
            let leaders = described.words().map(|words| words[1].parse());
            leaders
                .into_iter()
                .all(|leader| is_it(leader.expect("an id")))
        })
    }

    /// Who is in sync of each partition, in order.
    fn in_sync(&self, topic: &str) -> Vec<Vec<i64>> {
        let described = self.destination.ask(&format!("describe topic={topic}"));
        let isr = described.words().map(|words| {
            let ids = words[3].split('+').filter(|id| !id.is_empty());
            let mut ids: Vec<i64> = ids.map(|id| id.parse().expect("an id")).collect();
            ids.sort_unstable();
            ids
        });
        isr.collect()
    }

    /// `twinlog unregister`.
    pub(super) fn unregister(&self) -> Ended {
        let controllers = self.destination.controllers();
        let args = [
            "unregister",
            "--controllers",
            &controllers,
            "--id",
            "9001",
            "--open-fences",
            "--json",
        ];
        program::run(self.node.outputs(), &args)
    }
}

/// Every batch has the epoch in which its offset was written: no leader has stamped or served
/// under an epoch that was over.
pub(super) fn stamps_are_true(dir: &Path) {
    let epochs = compare::epochs(dir);
    let batches = compare::read(dir).unwrap_or_else(|fault| panic!("{fault}"));
    for batch in &batches.whole {
        // Before the log start, which may lie within a batch, no epoch is known.
        let begun = epochs.iter().take_while(|(_, start)| *start < batch.next);
        let (epoch, _) = *begun.last().expect("every offset has an epoch");
        let stamp = batch.bytes[12..16].try_into().expect("four");
        let stamp = i32::from_be_bytes(stamp);
        let at = (dir.display(), batch.base);
        assert_eq!(stamp, epoch, "{at:?}: {epochs:?}");
    }
}

/// A batch with an epoch above the leader's would be fetched and skipped for ever.
pub(super) fn nobody_spins(cluster: &Cluster) {
    for node in cluster.nodes() {
        let text = cluster.logged(node);
        let lines = text.lines().filter(|line| line.contains("Skipping batch"));
        let wrong: Vec<&str> = lines.take(5).collect();
        assert!(wrong.is_empty(), "node {node}: {wrong:#?}");
    }
}
