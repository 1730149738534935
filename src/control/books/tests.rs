//! What the books say of partitions that no shard has opened yet.

use std::path::Path;

use super::*;
use crate::io::memory::MemoryDisk;
use crate::model::{PartitionIndex, ProducerIdShift, ShardId, TopicId, TopicName};

use crate::shard::inbox::{Recovered, Tally};
use crate::vault::Identity;

const DIR: &str = "vault";

fn id() -> TopicPartition {
    TopicPartition {
        topic: TopicName::new("t").expect("a name"),
        partition: PartitionIndex::new(0).expect("not negative"),
    }
}

fn open(disk: &MemoryDisk) -> Books<MemoryDisk> {
    let identity = Identity {
        cluster_id: "here".to_owned(),
        node_id: 0,
        directory_id: TopicId::new([7; 16]).to_string(),
    };
    let shift = ProducerIdShift::NONE;
    let opened = Vault::open(disk.clone(), Path::new(DIR), &identity, shift);
    let (vault, found) = opened.expect("a vault");
    Books::new(vault, found)
}

/// A ledger of one partition that waits for its shard.
fn unopened(durable: Offset) -> Ledger {
    let line = Line {
        topic_id: TopicId::new([1; 16]),
        shard: ShardId(0),
        phase: Phase::Mirroring,
        tally: Tally::default(),
        log_start: Offset::ZERO,
        began_at: durable,
        log_end: durable,
        durable,
        target: None,
        gaps: Vec::new(),
        gaps_before: Vec::new(),
        recovered: Recovered::default(),
        cuts: Vec::new(),
        tally_before: Tally::default(),
        is_open: false,
    };
    Ledger {
        lines: [(id(), line)].into(),
    }
}

/// A kill between two checkpoints leaves one older than the other; the next copy's notes must not
/// contradict the older one.
#[test]
fn a_kill_between_two_checkpoints_is_no_contradiction_later() {
    let disk = MemoryDisk::default();
    let mut books = open(&disk);
    let at = |offset: i64| Offsets::from([(id(), Offset::new(offset))]);
    disk.create_dir(&books.vault.partition_dir(&id()))
        .expect("made");
    books.write(&unopened(Offset::new(5))).expect("written");
    for which in [Checkpoint::RecoveryPoint, Checkpoint::HighWatermark] {
        books.vault.save(which, &at(5)).expect("saved");
    }
    let further = at(12);
    let saved = books.vault.save(Checkpoint::RecoveryPoint, &further);
    saved.expect("saved");

    let killed = disk.after_kill();
    let mut books = open(&killed);
    let durable = books.known(&id()).expect("it is there").recovery_point;
    assert_eq!(durable, Offset::new(12));
    books.write(&unopened(durable)).expect("written");
    let found = Vault::look(&killed, Path::new(DIR)).expect("a vault");
    assert_eq!(found.damage, [""; 0]);
}

/// A log that was cut ends before where it was noted to; neither a kill in the midst of saying so
/// nor a loss of power leaves a contradiction.
#[test]
fn a_kill_while_a_cut_is_noted_is_no_contradiction_later() {
    let opened = |durable: i64| {
        let mut ledger = unopened(Offset::new(durable));
        for line in ledger.lines.values_mut() {
            line.is_open = true;
        }
        ledger
    };
    let noted = || {
        let disk = MemoryDisk::default();
        let mut books = open(&disk);
        disk.create_dir(&books.vault.partition_dir(&id()))
            .expect("made");
        books.write(&opened(12)).expect("written");
        (disk, books)
    };
    let (disk, mut books) = noted();
    let before = disk.changes();
    books.write(&opened(5)).expect("written");
    for after in 0..disk.changes() - before {
        let (disk, mut books) = noted();
        disk.kill_after(after);
        books.write(&opened(5)).expect_err("killed");
        for left in [disk.after_kill(), disk.after_power_loss(|| 0)] {
            let found = Vault::look(&left, Path::new(DIR)).expect("a vault");
            assert_eq!(found.damage, [""; 0], "killed after {after}");
        }
    }
}
