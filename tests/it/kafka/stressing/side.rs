//! One side of the storm: a cluster of two brokers, and the node that mirrors onto it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::super::node::{APART, Node};
use super::super::program::Running;
use super::super::*;
use super::{Id, STEADY, TOPICS, TXNS, partitions};

/// How long a cluster may take to be whole again.
const WITHIN: Duration = Duration::from_secs(120);

pub(super) struct Side {
    pub(super) cluster: Cluster,
    /// From the other side onto this one.
    pub(super) node: Node,
    mirror: &'static str,
    is_begun: bool,
}

impl Side {
    /// Both, with nothing in them and no node that runs.
    pub(super) fn both(workload: &Arc<Workload>) -> [Side; 2] {
        let names = ["first", "second"];
        let clusters = names.map(|name| {
            let name = format!("stressing-{name}");
            Cluster::start(workload, &name, 2, &APART)
        });
        let nodes = [&clusters[0], &clusters[1]].map(|cluster| Node::member(cluster, "storm"));
        let mirrors = ["back", "there"];
        for side in 0..2 {
            let (own, other) = (&nodes[side], 1 - side);
            own.declare_beside(&nodes[other], mirrors[side], &clusters[other], TOPICS);
            // A coordinator ends what was left open here before all turned round: its marker comes
            // into the mirror where a stock broker leads that meanwhile.
            own.set("rogue_writes = \"stop\"", "rogue_writes = \"set-aside\"");
        }
        let sides = clusters.into_iter().zip(nodes).zip(mirrors);
        let sides = sides.map(|((cluster, node), mirror)| Side {
            cluster,
            node,
            mirror,
            is_begun: false,
        });
        let sides: Vec<Side> = sides.collect();
        sides.try_into().unwrap_or_else(|_| panic!("two of each"))
    }

    /// A broker's directory of a partition.
    pub(super) fn replica(&self, broker: u32, (topic, index): Id) -> PathBuf {
        let dir = self.cluster.log_dir(broker);
        dir.join(format!("{topic}-{index}"))
    }

    /// Its node has been started, and may be made to end.
    pub(super) fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Its node mirrors the other side, for the first time or once more.
    pub(super) fn mirrors_again(&mut self) {
        // By name where nobody has seen them yet: what the other side has of them already takes an
        // operator's word. Later by the pattern that the stop has excluded.
        let mut topics = TOPICS.to_owned();
        if !self.is_begun {
            self.node.start();
            self.is_begun = true;
            topics = [STEADY, TXNS].map(|(topic, _)| topic).join(",");
        }
        let start = ["start", "--mirror", self.mirror, "--topics", &topics];
        self.node.mirrors(&start).expect_code(0);
    }

    /// `stop --wait`, which goes on beside the test.
    pub(super) fn begin_stop(&self, more: &[&str]) -> Running {
        let stop = [
            "stop",
            "--mirror",
            self.mirror,
            "--topics",
            TOPICS,
            "--wait",
        ];
        self.node.begin_mirrors(&[&stop[..], more].concat())
    }

    /// Up to where it can be read.
    pub(super) fn ends(&self) -> Vec<(Id, i64)> {
        let told = self.cluster.offsets(TOPICS);
        let end = |(topic, index): Id| {
            let found = told
                .iter()
                .find(|one| one.topic == topic && i64::from(one.index) == index);
            found.expect("it is there").high_watermark
        };
        let all = partitions().into_iter();
        all.map(|id| (id, end(id))).collect()
    }

    /// Waits until somebody leads each partition, and all of its replicas are in sync.
    pub(super) fn until_whole(&self) {
        let begun = Instant::now();
        loop {
            let told = [STEADY, TXNS].map(|(topic, _)| {
                let describe = format!("describe topic={topic}");
                self.cluster.try_ask(&describe).map(|told| told.lines)
            });
            let is_whole = |line: &String| {
                let words: Vec<&str> = line.split(' ').collect();
                let count = |ids: &str| ids.split('+').filter(|id| !id.is_empty()).count();
                count(words[2]) == count(words[3])
            };
            let lines = told.iter().flatten().flatten();
            if told.iter().all(Result::is_ok) && lines.clone().all(is_whole) {
                return;
            }
            assert!(
                begun.elapsed() < WITHIN,
                "not all replicas come to be in sync: {told:?}\n{}",
                self.node.said()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}
