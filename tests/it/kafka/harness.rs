//! The harness tested by itself: every release starts, the menagerie is what it claims, and the
//! comparison finds two replicas of Kafka's own equal and a flipped byte different.

use std::path::Path;

use super::*;

/// Two replicas of every topic are equal byte by byte, so the comparison has something true to say.
#[test]
fn replicas_of_real_brokers_compare_equal_and_dump_clean() {
    let Some(_turn) = Turn::take("replicas_of_real_brokers_compare_equal_and_dump_clean") else {
        return;
    };
    for version in newest_and_another("harness") {
        let workload = Arc::new(Workload::start(&version));
        let mut cluster = Cluster::start(&workload, "harness", 2, &[]);
        cluster.ask("menagerie prefix=zoo. seed=7 rf=2 tiny=2000");
        menagerie_has_what_it_claims(&cluster);
        let offsets = cluster.offsets("zoo\\..*");
        cluster.stop(2);
        cluster.stop(1);
        let mut equal = compare::Equal::default();
        for partition in offsets
            .iter()
            .filter(|partition| partition.topic != "zoo.compacted")
        {
            let [one, two] = [1, 2].map(|node| cluster.log_dir(node).join(partition.directory()));
            equal += compare::agree(&one, &two, partition.range())
                .unwrap_or_else(|error| panic!("{error}"));
        }
        assert!(equal.batches > 2000, "{equal:?}");
        let read = dump::complains_not(&workload, &cluster.log_dir(2));
        eprintln!("Kafka {version}: {equal:?}, {read:?}");
    }
}

/// Every kind of topic shows on disk what it was written for.
fn menagerie_has_what_it_claims(cluster: &Cluster) {
    batches_are_of_every_kind(&cluster.log_dir(1));
    partitions_are_of_every_kind(cluster);
}

/// The batches of one partition of the menagerie.
fn read(dir: &Path, partition: &str) -> compare::Batches {
    compare::read(&dir.join(partition)).unwrap_or_else(|error| panic!("{error}"))
}

fn batches_are_of_every_kind(dir: &Path) {
    let read = |partition: &str| read(dir, partition);
    for (codec, name) in ["none", "gzip", "snappy", "lz4", "zstd"].iter().enumerate() {
        let batches = read(&format!("zoo.codec-{name}-0"));
        assert!(
            batches
                .whole
                .iter()
                .all(|batch| usize::from(batch.bytes[22] & 7) == codec),
            "{name}"
        );
    }
    let records =
        |batch: &compare::Batch| i32::from_be_bytes(batch.bytes[57..61].try_into().expect("four"));
    let compacted = read("zoo.compacted-0").whole;
    assert!(
        compacted
            .iter()
            .any(|batch| i64::from(records(batch)) < batch.next - batch.base)
    );
    assert!(
        compacted.windows(2).any(|pair| pair[0].next < pair[1].base),
        "a gap between batches"
    );
    assert!(
        read("zoo.large-0")
            .whole
            .iter()
            .any(|batch| batch.bytes.len() > 5 << 20)
    );
    assert!(
        read("zoo.tiny-0")
            .whole
            .iter()
            .filter(|batch| records(batch) == 1)
            .count()
            >= 2000
    );
    assert!(compare::segments(&dir.join("zoo.rolled-0")).len() > 8);
    let control = |batch: &&compare::Batch| batch.is_marker();
    assert!(
        read("zoo.transactions-0")
            .whole
            .iter()
            .filter(control)
            .count()
            > 8
    );
}

fn partitions_are_of_every_kind(cluster: &Cluster) {
    let offsets = cluster.offsets("zoo\\..*");
    let trimmed = offsets
        .iter()
        .find(|partition| partition.topic == "zoo.trimmed")
        .expect("created");
    let cut = read(&cluster.log_dir(1), "zoo.trimmed-0").whole;
    assert!(
        cut.iter()
            .any(|batch| batch.base < trimmed.log_start && trimmed.log_start < batch.next)
    );
    assert_eq!(
        offsets
            .iter()
            .filter(|partition| partition.topic == "zoo.wide")
            .count(),
        50
    );
    assert!(
        offsets
            .iter()
            .any(|partition| partition.high_watermark == 0),
        "some are empty"
    );
    assert!(offsets.iter().any(|partition| partition.topic.len() == 249));
    let stable = cluster.ask("offsets topics=zoo\\.transactions committed=true");
    let stable: Vec<i64> = stable
        .words()
        .map(|words| words[3].parse().expect("an offset"))
        .collect();
    let open = offsets
        .iter()
        .filter(|partition| partition.topic == "zoo.transactions");
    assert!(
        open.zip(&stable)
            .any(|(partition, &stable)| stable < partition.high_watermark)
    );
}
