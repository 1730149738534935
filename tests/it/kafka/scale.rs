//! Many partitions of mixed rates on two brokers: each comes forward, none starves another, and
//! memory stays in proportion to their number.
//!
//! A few hundred unless `TWINLOG_SCALE_PARTITIONS=1000` asks for more, which takes minutes; with
//! `TWINLOG_SCALE_BROKERS=1` they are all on one.

use std::time::{Duration, Instant};

use super::cluster::Partition;
use super::program::Running;
use super::vault::{Vault, await_within};
use super::*;

/// How many there are, unless others are asked for.
const PARTITIONS: usize = 250;
/// So many times fewer are copied before, to see what each further one occupies.
const FEWER: usize = 5;
/// What a partition may occupy beyond buffers.
const PARTITION_BYTES: u64 = 64 << 10;
/// The program, and a window for each of two shards' connections to two brokers, each of which
/// may be doubled for a batch.
const BESIDE_BYTES: u64 = 64 << 20;
/// The firehose is this much ahead when copying begins, and goes on.
const BACKLOG_RECORDS: usize = 100_000;
const TRICKLES: usize = 10;
/// A record of a quiet partition arrives within this while a busy one is being caught up with.
const TRICKLE_WITHIN: Duration = Duration::from_secs(5);
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(240);

fn partitions() -> usize {
    let chosen = std::env::var("TWINLOG_SCALE_PARTITIONS");
    chosen.map_or(PARTITIONS, |text| text.parse().expect("a number"))
}

fn brokers() -> u32 {
    let chosen = std::env::var("TWINLOG_SCALE_BROKERS");
    chosen.map_or(2, |text| text.parse().expect("a number"))
}

#[test]
fn many_partitions_come_forward_together() {
    let count = partitions();
    let Some(_turn) = Turn::take("many_partitions_come_forward_together") else {
        return;
    };
    let workload = Arc::new(Workload::start(DEFAULT_VERSION));
    let brokers = brokers();
    let mut cluster = Cluster::start(&workload, "scale", brokers, &[]);
    cluster.ask(&format!("create topic=scale.many partitions={count}"));
    cluster.ask(&format!("create topic=scale.trickle assign=1,{brokers}"));
    cluster.ask(&format!("create topic=scale.firehose assign=1,{brokers}"));
    fill(&cluster, "scale.many", count, 1);
    cluster.ask(&format!(
        "produce topic=scale.firehose count={BACKLOG_RECORDS} size=1000 acks=1"
    ));
    cluster.ask("load id=hose topic=scale.firehose rate=5000 size=1000 idempotent=false");
    let few = peak_of_few(&cluster, count / FEWER);
    let vault = Vault::new(&cluster, "scale");
    let mut following = vault.follow(&cluster, "scale\\.(many|trickle|firehose)");
    let slowest = trickles(&cluster, &vault, &mut following);
    let first = caught_up(&cluster, "scale\\.many", &vault, &mut following);
    fill(&cluster, "scale.many", count, 2);
    let second = caught_up(&cluster, "scale\\.many", &vault, &mut following);
    let stands_still = first.iter().zip(&second).filter(|(before, after)| {
        assert_eq!(before.directory(), after.directory());
        before.high_watermark >= after.high_watermark
    });
    assert_eq!(stands_still.count(), 0, "each partition has got more");
    assert!(cluster.ask("unload id=hose").number("acknowledged") > 0);
    let peak = following.peak_bytes();
    let ended = following.stop().expect_code(0);
    assert!(
        peak <= BESIDE_BYTES + PARTITION_BYTES * count as u64,
        "{peak} bytes for {count} partitions\n{}",
        ended.stderr
    );
    let further = (count - count / FEWER) as u64;
    assert!(
        peak <= few + PARTITION_BYTES * further,
        "{few} bytes, and {peak} with {further} partitions more\n{}",
        ended.stderr
    );
    assert!(
        slowest <= TRICKLE_WITHIN,
        "a trickle has waited for {slowest:?}"
    );
    for (node, partitions) in by_node(&cluster, brokers, &second) {
        cluster.stop(node);
        vault.assert_partitions_identical(&cluster, node, &partitions);
    }
    eprintln!(
        "{count} partitions on {brokers} brokers: peak {} KiB, of a few of them {} KiB, slowest \
         trickle {slowest:?}",
        peak >> 10,
        few >> 10
    );
}

/// What a copy of fewer partitions occupies, with the same firehose beside them.
fn peak_of_few(cluster: &Cluster, count: usize) -> u64 {
    cluster.ask(&format!("create topic=scale.few partitions={count}"));
    fill(cluster, "scale.few", count, 1);
    let vault = Vault::new(cluster, "few");
    let mut following = vault.follow(cluster, "scale\\.(few|firehose)");
    caught_up(cluster, "scale\\.(few|firehose)", &vault, &mut following);
    fill(cluster, "scale.few", count, 2);
    caught_up(cluster, "scale\\.few", &vault, &mut following);
    let peak = following.peak_bytes();
    following.stop().expect_code(0);
    peak
}

/// Records for every partition: many keys are spread evenly.
fn fill(cluster: &Cluster, topic: &str, count: usize, seed: u32) {
    let (records, keys) = (15 * count, 100 * count);
    cluster.ask(&format!(
        "produce topic={topic} count={records} keys={keys} size=100 batch=512 acks=1 seed={seed}"
    ));
}

/// Single records, now and then: how long the slowest one took to arrive.
fn trickles(cluster: &Cluster, vault: &Vault, following: &mut Running) -> Duration {
    await_within(
        following,
        "the trickle's logs are there",
        CAUGHT_UP_WITHIN,
        || {
            ["scale.trickle-0", "scale.trickle-1"]
                .iter()
                .all(|name| vault.dir.join(name).exists())
        },
    );
    let mut slowest = Duration::ZERO;
    for nth in 0..TRICKLES {
        let partition = nth % 2;
        cluster.ask(&format!(
            "produce topic=scale.trickle partition={partition} count=1 seed={nth}"
        ));
        let written = Instant::now();
        let wanted = cluster.offsets("scale\\.trickle");
        let wanted = &wanted[partition];
        await_within(
            following,
            "a trickle arrives",
            Duration::from_secs(60),
            || vault.end(wanted) >= Some(wanted.high_watermark),
        );
        slowest = slowest.max(written.elapsed());
    }
    slowest
}

/// Waits until these partitions have all arrived, and answers them.
fn caught_up(
    cluster: &Cluster,
    which: &str,
    vault: &Vault,
    following: &mut Running,
) -> Vec<Partition> {
    let wanted = cluster.offsets(which);
    let mut missing: Vec<&Partition> = wanted.iter().collect();
    await_within(following, "all partitions arrive", CAUGHT_UP_WITHIN, || {
        missing.retain(|partition| vault.end(partition) < Some(partition.high_watermark));
        missing.is_empty()
    });
    wanted
}

/// The partitions that lie on each node, whose files are compared when it has stopped.
fn by_node(
    cluster: &Cluster,
    brokers: u32,
    partitions: &[Partition],
) -> Vec<(u32, Vec<Partition>)> {
    let lies_on = |node| {
        let dir = cluster.log_dir(node);
        let here = partitions
            .iter()
            .filter(move |of| dir.join(of.directory()).exists());
        (node, here.cloned().collect())
    };
    let nodes: Vec<(u32, Vec<Partition>)> = (1..=brokers).rev().map(lies_on).collect();
    let all: usize = nodes.iter().map(|(_, partitions)| partitions.len()).sum();
    assert_eq!(all, partitions.len(), "every partition has one replica");
    nodes
}
