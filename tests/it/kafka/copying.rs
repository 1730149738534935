//! What real clients leave behind is copied byte for byte, once, and Kafka's own tools and brokers
//! can read the copy. The whole of it runs on every release that is asked for.

use std::collections::BTreeMap;
use std::fs;
use std::time::SystemTime;

use super::vault::Vault;
use super::*;

/// Every topic of the menagerie, and nothing beside it.
const TOPICS: &str = "zoo\\..*";

#[test]
fn a_copy_equals_the_brokers_own_segments_and_their_tools_can_read_it() {
    let Some(_turn) = Turn::take("a_copy_equals_the_brokers_own_segments") else {
        return;
    };
    for version in newest_and_another("copying") {
        let workload = Arc::new(Workload::start(&version));
        let source = Cluster::start(&workload, "copying", 1, &[]);
        source.ask("menagerie prefix=zoo. seed=11");
        let vault = Vault::new(&source, "copy");
        copies_everything(&source, &vault);
        copies_nothing_twice(&source, &vault);
        copies_only_what_is_new(&source, &vault);
        verifies(&source, &vault);
        fetches_a_batch_larger_than_it_asks_for(&source);
    }
}

fn copies_everything(source: &Cluster, vault: &Vault) {
    vault.copy(source, TOPICS, &[]).expect_code(0);
    let equal = vault.assert_identical(source, 1, &source.offsets(TOPICS));
    assert!(
        equal.partitions >= 76 && equal.batches > 20_000,
        "{equal:?}"
    );
    let read = dump::complains_not(&source.workload, &vault.dir);
    assert!(usize::try_from(read.batches).is_ok_and(|batches| batches == equal.batches));
    eprintln!(
        "Kafka {}: {equal:?}, {read:?}",
        source.workload.release.version
    );
}

fn copies_nothing_twice(source: &Cluster, vault: &Vault) {
    let before = segment_states(vault);
    let second = vault.copy(source, TOPICS, &[]).expect_code(0);
    assert_eq!(second.number("/bytes"), 0, "{}", second.stdout);
    assert_eq!(before, segment_states(vault), "no segment was touched");
}

fn copies_only_what_is_new(source: &Cluster, vault: &Vault) {
    let partitions = source.offsets(TOPICS);
    let before = vault.assert_identical(source, 1, &partitions);
    source.ask("produce topic=zoo.wide count=500 size=300 codec=zstd seed=3");
    source.ask("transact topic=zoo.idempotent id=late count=30 keys=9 txns=2 end=alternate");
    source.ask("random prefix=zoo. seed=12 steps=10");
    let third = vault.copy(source, TOPICS, &[]).expect_code(0);
    let after = vault.assert_identical(source, 1, &source.offsets(TOPICS));
    assert_eq!(third.number("/bytes"), (after.bytes - before.bytes) as u64);
    dump::complains_not(&source.workload, &vault.dir);
}

fn verifies(source: &Cluster, vault: &Vault) {
    vault.verify(None).expect_code(0);
    vault.verify(Some(source)).expect_code(0);
}

/// 5 MiB in one batch, asked for in pieces of 64 KiB: the answer holds no whole batch at first.
fn fetches_a_batch_larger_than_it_asks_for(source: &Cluster) {
    let vault = Vault::new(source, "small-fetches");
    let config = source.dir().join("small-fetches.toml");
    fs::write(&config, "[source]\npartition_bytes_max = 65536\n").expect("the directory is there");
    let config = config.to_str().expect("our paths are text");
    vault
        .copy(source, "zoo\\.large", &["--config", config])
        .expect_code(0);
    vault.assert_identical(source, 1, &source.offsets("zoo\\.large"));
}

/// Size and time of the last change of every segment.
fn segment_states(vault: &Vault) -> BTreeMap<String, (u64, SystemTime)> {
    let partitions = vault::directories(&vault.dir);
    let segments = partitions
        .iter()
        .flat_map(|name| compare::segments(&vault.dir.join(name)));
    segments
        .map(|path| {
            let state = fs::metadata(&path).expect("it is there");
            (
                path.display().to_string(),
                (state.len(), state.modified().expect("Linux has it")),
            )
        })
        .collect()
}
