//! A whole vault with every byte flipped, one at a time: what the audit finds by itself, and what
//! only a comparison with the source shows.

use std::path::{Path, PathBuf};

use super::compare::Sides;
use super::*;
use crate::generator::{LoadedTopic, PartitionLoad, Sizes, Traffic, topics};
use crate::io::memory::MemoryDisk;
use crate::log::{BatchStream, Beginning, LogOptions, Opened, Reader, open};
use crate::model::WallTime;
use crate::record::{Expect, check};
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

    /// Whether comparing the partition of the file at `path` with the source shows a difference.
    fn differs(&self, damaged: &MemoryDisk, path: &Path) -> bool {
        let dir = path.parent().expect("it lies in the vault");
        let of = |(id, _): &&(TopicPartition, Vec<Vec<u8>>)| dir.ends_with(id.to_string());
        let (_, batches) = self.source.iter().find(of).expect("a partition's file");
        let reader = Reader::open(damaged.clone(), dir).expect("it is there");
        let local = BatchStream::from(reader, Offset::ZERO).expect("it is there");
        let until = Offset::new(i64::MAX);
        let sides = Sides::new(local, true, Vec::new(), ProducerIdShift::NONE, until);
        let mut sides = sides.expect("readable");
        for batch in batches {
            let run = check(batch, Expect::first()).run;
            let theirs = run.batches().next().expect("a batch");
            if !sides.compare(&theirs).expect("readable") {
                break;
            }
        }
        sides.comparison.difference.is_some()
    }
}

/// No checksum covers a batch's base offset. Where it is not the last one, begins no segment, epoch
/// or transaction and has no index entry, only the batches about it tell where it belongs: within a
/// gap that compaction has left it can move.
fn is_base_offset(bytes: &[u8], at: usize) -> bool {
    let mut begin = 0;
    let run = check(bytes, Expect::first()).run;
    run.batches().any(|batch| {
        let place = begin;
        begin += batch.bytes().len();
        (place..place + 8).contains(&at)
    })
}

#[test]
fn any_changed_byte_of_a_vault_is_found_or_shows_beside_the_source() {
    let scene = scene();
    let nothing = Path::new("");
    assert!(!scene.is_found(&scene.disk, nothing), "it is sound");
    let mut missed: Vec<(PathBuf, usize)> = Vec::new();
    for path in scene.disk.paths() {
        let bytes = scene.disk.bytes(&path).expect("listed");
        for at in 0..bytes.len() {
            for change in [1, 1 << (at % 7 + 1), 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                let damaged = scene.disk.after_kill();
                damaged.put(&path, &changed);
                if scene.is_found(&damaged, &path) {
                    continue;
                }
                let what = format!("{} byte {at} changed by {change:#x}", path.display());
                assert!(is_base_offset(&bytes, at), "{what}");
                assert!(
                    scene.differs(&damaged, &path),
                    "{what}: nor beside the source"
                );
                missed.push((path.clone(), at));
            }
        }
    }
    assert!(!missed.is_empty(), "the class is there");
    let has_gaps = |path: &Path| path.starts_with(Path::new(DIR).join("demo-compacted-0"));
    assert!(missed.iter().all(|(path, _)| has_gaps(path)), "{missed:?}");
}
