//! One vault of one source cluster: copying into it, and comparing it with the brokers' own files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::cluster::{Cluster, Partition};
use super::compare::{self, Equal};
use super::program::{self, Ended, Running};

/// A vault's directory and where the program's output for it is kept.
pub(super) struct Vault {
    /// The vault itself.
    pub(super) dir: PathBuf,
    outputs: PathBuf,
}

impl Vault {
    /// A vault that does not exist yet, beside the cluster's own directories.
    pub(super) fn new(cluster: &Cluster, name: &str) -> Self {
        let outputs = cluster.dir().join(format!("{name}-output"));
        Self {
            dir: cluster.dir().join(format!("{name}-vault")),
            outputs,
        }
    }

    /// `twinlog copy --json` until it has caught up.
    pub(super) fn copy(&self, cluster: &Cluster, topics: &str, more: &[&str]) -> Ended {
        self.copy_from(&cluster.bootstrap(), topics, more)
    }

    /// The same from other addresses.
    pub(super) fn copy_from(&self, from: &str, topics: &str, more: &[&str]) -> Ended {
        program::run(&self.outputs, &self.copy_args(from, topics, more))
    }

    /// `twinlog copy --follow --json`.
    pub(super) fn follow(&self, cluster: &Cluster, topics: &str) -> Running {
        self.follow_with(cluster, topics, &[])
    }

    /// The same with more arguments.
    pub(super) fn follow_with(&self, cluster: &Cluster, topics: &str, more: &[&str]) -> Running {
        let bootstrap = cluster.bootstrap();
        let more = [&["--follow"], more].concat();
        Running::start(&self.outputs, &self.copy_args(&bootstrap, topics, &more))
    }

    /// Below which offset a partition is durable, as the vault says; 0 where it says nothing.
    pub(super) fn recovery_point(&self, partition: &str) -> i64 {
        let path = self.dir.join("recovery-point-offset-checkpoint");
        let text = fs::read_to_string(path).unwrap_or_default();
        let points = text.lines().filter_map(|line| {
            let (name, offset) = line.rsplit_once(' ')?;
            Some((name.replace(' ', "-"), offset))
        });
        let mut points = points.filter(|(name, _)| name == partition);
        points.next().map_or(0, |(_, offset)| {
            offset.parse().expect("a checkpoint holds offsets")
        })
    }

    /// `twinlog copy --follow --json` from other addresses.
    pub(super) fn follow_from(&self, from: &str, topics: &str) -> Running {
        Running::start(&self.outputs, &self.copy_args(from, topics, &["--follow"]))
    }

    fn copy_args<'a>(&'a self, from: &'a str, topics: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let mut args = vec![
            "copy",
            "--from",
            from,
            "--topics",
            topics,
            "--into",
            self.path(),
        ];
        args.push("--json");
        args.extend(more);
        args
    }

    /// `twinlog verify`, against the source where one is given.
    pub(super) fn verify(&self, source: Option<&Cluster>) -> Ended {
        let from = source.map(Cluster::bootstrap);
        let mut args = vec!["verify", "--vault", self.path()];
        if let Some(from) = &from {
            args.extend(["--from", from]);
        }
        program::run(&self.outputs, &args)
    }

    /// Starts any command of the program, its output kept with this vault's.
    pub(super) fn start(&self, args: &[&str]) -> Running {
        Running::start(&self.outputs, args)
    }

    /// Any other command of the program, its output kept with this vault's.
    pub(super) fn run(&self, args: &[&str]) -> Ended {
        program::run(&self.outputs, args)
    }

    /// Its path as an argument.
    pub(super) fn path(&self) -> &str {
        self.dir.to_str().expect("our paths are text")
    }

    /// Where the copy of a partition lies.
    pub(super) fn partition(&self, partition: &Partition) -> PathBuf {
        self.dir.join(partition.directory())
    }

    /// Where the copy of a partition ends; `None` where there is no batch.
    pub(super) fn end(&self, partition: &Partition) -> Option<i64> {
        // While it is written, a directory or a batch may be half there: then it has not arrived.
        compare::read(&self.partition(partition))
            .ok()
            .and_then(|batches| batches.end())
    }

    /// Waits until the copies of all partitions of `topics` reach the source's high watermark, and
    /// answers them.
    pub(super) fn await_caught_up(
        &self,
        cluster: &Cluster,
        topics: &str,
        running: &mut Running,
    ) -> Vec<Partition> {
        let mut partitions = Vec::new();
        await_that(running, &format!("{topics} has arrived"), || {
            partitions = cluster.offsets(topics);
            partitions.iter().all(|partition| {
                partition.log_start == partition.high_watermark
                    || self.end(partition) == Some(partition.high_watermark)
            })
        });
        partitions
    }

    /// Waits until every partition of `topics` has arrived in part.
    pub(super) fn await_begun(&self, cluster: &Cluster, topics: &str, running: &mut Running) {
        await_that(running, &format!("{topics} begins to arrive"), || {
            cluster
                .offsets(topics)
                .iter()
                .all(|partition| self.end(partition).is_some())
        });
    }

    /// The names of the partitions that it holds; none where it is not there yet.
    pub(super) fn partitions_there(&self) -> Vec<String> {
        if self.dir.exists() {
            directories(&self.dir)
        } else {
            Vec::new()
        }
    }

    /// Checks that the vault holds these partitions' readable batches as `node` has them, and no
    /// other partition.
    pub(super) fn assert_identical(
        &self,
        cluster: &Cluster,
        node: u32,
        partitions: &[Partition],
    ) -> Equal {
        let wanted: BTreeSet<String> = partitions.iter().map(Partition::directory).collect();
        let found: BTreeSet<String> = directories(&self.dir).into_iter().collect();
        assert_eq!(
            found, wanted,
            "the vault holds what matched and nothing else"
        );
        self.assert_partitions_identical(cluster, node, partitions)
    }

    /// Checks these partitions only.
    pub(super) fn assert_partitions_identical(
        &self,
        cluster: &Cluster,
        node: u32,
        partitions: &[Partition],
    ) -> Equal {
        let mut equal = Equal::default();
        for partition in partitions {
            let source = cluster.log_dir(node).join(partition.directory());
            let copy = self.partition(partition);
            equal += compare::identical(&source, &copy, partition.range())
                .unwrap_or_else(|error| panic!("{error}"));
        }
        equal
    }
}

/// The names of the directories inside, in order.
pub(super) fn directories(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let paths = entries
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.is_dir());
    let names = paths.map(|path| {
        path.file_name()
            .expect("it has one")
            .to_string_lossy()
            .into_owned()
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Waits for a state that the program is to reach; panics where it ends or takes over a minute.
pub(super) fn await_that(
    running: &mut Running,
    what: &str,
    condition: impl FnMut() -> bool,
) -> Duration {
    await_within(running, what, Duration::from_secs(60), condition)
}

/// The same with another patience; answers how long it took.
pub(super) fn await_within(
    running: &mut Running,
    what: &str,
    within: Duration,
    mut condition: impl FnMut() -> bool,
) -> Duration {
    let begin = Instant::now();
    while !condition() {
        running.assert_alive();
        assert!(
            begin.elapsed() < within,
            "not within {within:?}: {what}\n{}",
            running.said()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    begin.elapsed()
}
