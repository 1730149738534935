//! A copy whose producer ids are shifted: nothing else differs, Kafka's tools and brokers take it,
//! and consumers see what they see at the source.

use super::compare::Batch;
use super::vault::Vault;
use super::*;

const TOPICS: &str = "zoo\\..*";
const SHIFT: i64 = 1 << 40;
const PRODUCER_ID: std::ops::Range<usize> = 43..51;
const CRC: std::ops::Range<usize> = 17..21;

#[test]
fn a_copy_with_shifted_producer_ids_is_adopted_and_read() {
    let Some(_turn) = Turn::take("a_copy_with_shifted_producer_ids_is_adopted_and_read") else {
        return;
    };
    for version in newest_and_another("shifting") {
        let workload = Arc::new(Workload::start(&version));
        let source = Cluster::start(&workload, "shifted", 1, &[]);
        fill(&source);
        let vault = Vault::new(&source, "shifted");
        let shift = SHIFT.to_string();
        let asked = ["--producer-id-shift", shift.as_str()];
        vault.copy(&source, TOPICS, &asked).expect_code(0);
        differs_in_ids_alone(&source, &vault);
        dump::complains_not(&workload, &vault.dir);
        refuses_other_shifts(&source, &vault);
        goes_on(&source, &vault, &asked);
        stops_where_ids_overflow(&source);
        is_served(&workload, &source, &vault);
    }
}

fn fill(source: &Cluster) {
    source.ask("create topic=zoo.plain partitions=2");
    source.ask("produce topic=zoo.plain count=500 size=300 codec=zstd");
    source.ask("create topic=zoo.large partitions=1 c.max.message.bytes=8388608");
    source.ask("produce topic=zoo.large count=2 size=3000000");
    source.ask("create topic=zoo.ids partitions=1");
    source.ask("produce topic=zoo.ids count=200 size=100 batch=500 idempotent=true");
    source.ask("create topic=zoo.txns partitions=2");
    source.ask("transact topic=zoo.txns id=t count=20 txns=6 end=alternate");
    source.ask("transact topic=zoo.txns id=u count=10 txns=3 end=abort codec=lz4");
}

fn id(batch: &Batch) -> i64 {
    i64::from_be_bytes(batch.bytes[PRODUCER_ID].try_into().expect("eight"))
}

fn differs_in_ids_alone(source: &Cluster, vault: &Vault) {
    let (mut shifted, mut others, mut markers) = (0, 0, 0);
    for partition in source.offsets(TOPICS) {
        let dir = source.log_dir(1).join(partition.directory());
        let theirs = compare::read(&dir).unwrap_or_else(|error| panic!("{error}"));
        let ours = compare::read(&vault.partition(&partition));
        let ours = ours.unwrap_or_else(|error| panic!("{error}")).whole;
        let theirs = theirs.within(partition.range());
        assert_eq!(theirs.len(), ours.len(), "{partition:?}");
        for (theirs, mut ours) in theirs.iter().zip(ours) {
            match id(theirs) {
                -1 => others += 1,
                id_there => {
                    assert_eq!(id(&ours), id_there + SHIFT);
                    ours.bytes[PRODUCER_ID].copy_from_slice(&theirs.bytes[PRODUCER_ID]);
                    ours.bytes[CRC].copy_from_slice(&theirs.bytes[CRC]);
                    shifted += 1;
                    markers += usize::from(theirs.bytes[22] & 0x20 != 0);
                }
            }
            assert_eq!(*theirs, ours, "{partition:?}");
        }
    }
    assert!(
        shifted > 20 && others > 0 && markers >= 9,
        "{shifted} shifted, {others} others, {markers} markers"
    );
}

fn refuses_other_shifts(source: &Cluster, vault: &Vault) {
    let advice = format!("--producer-id-shift {SHIFT}");
    for asked in [&[][..], &["--producer-id-shift", "7"][..]] {
        let refused = vault.copy(source, TOPICS, asked).expect_code(1);
        refused.expect_said(&["raised by", &advice]);
    }
}

/// What is new is copied, and all of it equals the source once the shift is taken away.
fn goes_on(source: &Cluster, vault: &Vault, asked: &[&str]) {
    source.ask("transact topic=zoo.txns id=t count=20 txns=2 end=alternate");
    let again = vault.copy(source, TOPICS, asked).expect_code(0);
    assert!(again.number("/batches") > 0, "{}", again.stdout);
    differs_in_ids_alone(source, vault);
    dump::complains_not(&source.workload, &vault.dir);
    vault.verify(None).expect_code(0);
    let verified = vault.verify(Some(source)).expect_code(0);
    assert!(verified.stdout.contains("identical"), "{}", verified.stdout);
    let told = format!("the source's plus {SHIFT}");
    assert!(verified.stdout.contains(&told), "{}", verified.stdout);
}

/// The largest shift leaves room for producer 0 alone: partitions of others stop by name, those
/// without producers are copied.
fn stops_where_ids_overflow(source: &Cluster) {
    let vault = Vault::new(source, "overflowing");
    let largest = i64::MAX.to_string();
    let asked = ["--producer-id-shift", largest.as_str()];
    let stopped = vault.copy(source, TOPICS, &asked).expect_code(1);
    stopped.expect_said(&["zoo.txns-", "cannot be added", "smaller producer-id shift"]);
    let plain = source.offsets("zoo\\.plain");
    vault.assert_partitions_identical(source, 1, &plain);
    vault.verify(None).expect_code(0);
}

/// A stock broker takes it; its own cluster's producers, whose ids begin at 0 as the source's
/// did, write behind it.
fn is_served(workload: &Arc<Workload>, source: &Cluster, vault: &Vault) {
    let mut heir = Cluster::start(workload, "shifted-heir", 2, &[]);
    heir.ask("create topic=zoo.plain assign=2,2");
    heir.ask("create topic=zoo.large assign=2 c.max.message.bytes=8388608");
    heir.ask("create topic=zoo.ids assign=2");
    heir.ask("create topic=zoo.txns assign=2,2");
    heir.stop(2);
    let log_dir = heir.log_dir(2);
    let log_dir = log_dir.to_str().expect("our paths are text");
    let to = heir.bootstrap();
    let to = to.split(',').next().expect("node 1");
    let vault_dir = vault.path();
    let args = [
        "adopt",
        "--vault",
        vault_dir,
        "--log-dir",
        log_dir,
        "--to",
        to,
    ];
    vault.run(&args).expect_code(0);
    heir.restart(2);
    for isolation in ["committed=false", "committed=true"] {
        let question = format!("consume topics={TOPICS} {isolation}");
        let (ours, theirs) = (heir.ask(&question), source.ask(&question));
        assert!(theirs.number("count") > 0);
        assert_eq!(ours.lines, theirs.lines, "{isolation}");
    }
    let read = |cluster: &Cluster| {
        let answer = cluster.ask(&format!("consume topics={TOPICS} committed=true"));
        answer.number("count")
    };
    let before = read(&heir);
    heir.ask("transact topic=zoo.txns id=heirs count=10 txns=2 end=alternate");
    assert_eq!(read(&heir), before + 10, "one of two transactions is valid");
}
