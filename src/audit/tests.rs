//! A whole vault with every byte flipped, one at a time: the audit finds it by itself.

use std::path::Path;

use super::*;
use crate::generator::{LoadedTopic, PartitionLoad, Sizes, Traffic, topics};
use crate::io::memory::MemoryDisk;
use crate::log::{Beginning, LogOptions, Opened, open};
use crate::model::WallTime;
use crate::record::check;
use crate::vault::{Checkpoint, Ending, Identity, PartitionState, State};

const DIR: &str = "/vault";
const WALL: WallTime = WallTime(2_000);
const BATCHES: usize = 24;
const OPTIONS: LogOptions = LogOptions {
    segment_bytes: 3_000,
    segment_ms: i64::MAX,
    index_interval_bytes: 300,
    index_bytes_max: 1 << 20,
};

/// A vault that was closed, and what its source has of each partition.
struct Scene {
    disk: MemoryDisk,
    source: Vec<(TopicPartition, Vec<Vec<u8>>)>,
}

fn scene() -> Scene {
    let disk = MemoryDisk::default();
    let identity = Identity {
        cluster_id: "here".to_owned(),
        node_id: 0,
        directory_id: TopicId::new([7; 16]).to_string(),
    };
    let opened = Vault::open(
        disk.clone(),
        Path::new(DIR),
        &identity,
        ProducerIdShift::NONE,
    );
    let (vault, _) = opened.expect("a new vault");
    let mut state = State {
        source_cluster_id: "here".to_owned(),
        ..State::default()
    };
    let wanted = [Traffic::Plain, Traffic::Transactions, Traffic::Compacted];
    let mut topics = topics(7, 1);
    topics.retain(|topic| wanted.contains(&topic.traffic));
    let mut source = Vec::new();
    for topic in topics {
        let id: TopicPartition = format!("{}-0", topic.name).parse().expect("a name");
        let batches = batches(&topic);
        let end = write(&disk, &vault.partition_dir(&id), topic.id, &batches);
        let noted = PartitionState {
            topic_id: topic.id,
            position: end,
            log_start: Some(Offset::ZERO),
            gaps: Vec::new(),
            ending: Ending::CaughtUp,
        };
        state.partitions.insert(id.clone(), noted);
        source.push((id, batches));
    }
    let all = |offset: fn(&PartitionState) -> Offset| {
        let each = state.partitions.iter();
        each.map(|(id, state)| (id.clone(), offset(state)))
            .collect()
    };
    for which in [Checkpoint::RecoveryPoint, Checkpoint::HighWatermark] {
        vault
            .save(which, &all(|state| state.position))
            .expect("saved");
    }
    vault
        .save(Checkpoint::LogStart, &all(|_| Offset::ZERO))
        .expect("saved");
    vault.save_state(&state).expect("saved");
    vault.close().expect("closed");
    Scene { disk, source }
}

fn batches(topic: &LoadedTopic) -> Vec<Vec<u8>> {
    let sizes = Sizes {
        records: 3,
        value_bytes: 40,
    };
    let mut load = PartitionLoad::new(topic, 0, sizes);
    let batch = |nth: usize| {
        if nth % 7 == 6 {
            load.elect();
        }
        load.next_batch(1_000 + nth as i64)
    };
    (0..BATCHES).map(batch).collect()
}

fn write(disk: &MemoryDisk, dir: &Path, topic_id: TopicId, batches: &[Vec<u8>]) -> Offset {
    let known = Beginning::anew(topic_id);
    let opened = open(disk.clone(), dir, OPTIONS, known, WALL);
    let Opened {
        mut log, mut store, ..
    } = opened.expect("a new log");
    for batch in batches {
        let run = check(batch, log.expects()).run;
        store.append(&mut log, WALL, run).expect("there is room");
    }
    store.close(&mut log, WALL).expect("there is room")
}

impl Scene {
    /// What the audit says of a vault that differs from this one in the file at `path`.
    fn is_found(&self, damaged: &MemoryDisk, path: &Path) -> bool {
        let Ok(subject) = Subject::look(damaged.clone(), Path::new(DIR)) else {
            return true;
        };
        let is_damaged = |id: &TopicPartition| {
            let verified = subject.verify(id);
            verified.map_or(true, |verified| !verified.findings.is_empty())
        };
        let mut ids = self.source.iter().map(|(id, _)| id);
        !subject.damage().is_empty()
            || subject.missing().next().is_some()
            || ids.any(|id| path.starts_with(Path::new(DIR).join(id.to_string())) && is_damaged(id))
    }
}

/// No checksum covers a batch's base offset, nor says whether one belongs there: the digest does.
#[test]
fn any_changed_byte_of_a_vault_is_found() {
    let scene = scene();
    let nothing = Path::new("");
    assert!(!scene.is_found(&scene.disk, nothing), "it is sound");
    for path in scene.disk.paths() {
        let bytes = scene.disk.bytes(&path).expect("listed");
        for at in 0..bytes.len() {
            for change in [1, 1 << (at % 7 + 1), 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                let damaged = scene.disk.after_kill();
                damaged.put(&path, &changed);
                let what = format!("{} byte {at} changed by {change:#x}", path.display());
                assert!(scene.is_found(&damaged, &path), "{what}");
            }
        }
    }
}
