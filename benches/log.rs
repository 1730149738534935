//! What the log and the protocol cost a batch: plan, write and commit; index entries and searches;
//! the reading of a Fetch answer.
#![expect(
    clippy::disallowed_methods,
    reason = "a bench stands outside: it makes the files that are read"
)]

use std::path::{Path, PathBuf};

use divan::counter::ItemsCount;
use twinlog::io::World as _;
use twinlog::log::{Beginning, Log, LogOptions, Opened, Reader, Store, open};
use twinlog::model::{
    BrokerId, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, TopicId, WallTime,
};
use twinlog::protocol::ErrorCode;
use twinlog::protocol::fetch::{
    AnswerEnd, AnswerHead, AnswerReader, AnswerWriter, Endpoint, PartitionAnswer, PartitionHead,
    PartitionTail, Segment, Step, Topics, VERSION_MAX,
};
use twinlog::record::{BatchBuilder, Expect, Producer, scan};
use twinlog::uring::{self, RealDisk};

const BATCHES: i64 = 64;
const CORRELATION: i32 = 5;
const WALL: WallTime = WallTime(5_000);

fn main() {
    divan::main();
}

fn batches(value_bytes: usize) -> Vec<u8> {
    let batch = |nth: i64| {
        let producer = Producer {
            id: ProducerId::from_wire(nth % 5).expect("not negative"),
            epoch: ProducerEpoch::new(0),
            base_sequence: 0,
        };
        let mut batch = BatchBuilder::new(Offset::new(nth), LeaderEpoch::new(0), 1_000 + nth);
        batch = batch.producer(producer);
        batch.push(None, Some(&vec![7; value_bytes]), &[]);
        batch.finish()
    };
    (0..BATCHES).flat_map(batch).collect()
}

/// A log in a directory of its own, which has to outlive it.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        // In memory where there is such a place: what is measured is not the disk.
        let shm = Path::new("/dev/shm");
        let dir = match shm.is_dir() {
            true => tempfile::tempdir_in(shm),
            false => tempfile::tempdir(),
        };
        Place {
            dir: dir.expect("there is a temporary directory"),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("t-0")
    }

    fn open(&self, disk: RealDisk) -> (Log, Store<RealDisk>) {
        let known = Beginning::anew(TopicId::new([1; 16]));
        let opened = open(disk, &self.path(), LogOptions::default(), known, WALL);
        let Opened { log, store, .. } = opened.expect("a new directory");
        (log, store)
    }
}

fn expect(next: Offset) -> Expect {
    Expect::after(next, LeaderEpoch::NONE)
}

/// Sixty-four batches are planned, written with one call and committed, index entries among it, one
/// for each 4 KiB. Their headers are walked, their checksums are not looked at. They are always the
/// same but for their offsets, which no checksum covers: to write those costs next to nothing.
#[divan::bench(args = [200, 1024, 4096])]
fn append(bencher: divan::Bencher<'_, '_>, value_bytes: usize) {
    let place = Place::new();
    let mut bytes = batches(value_bytes);
    let batch_bytes = bytes.len() / usize::try_from(BATCHES).expect("positive");
    uring::run(None, |world| async move {
        let (mut log, mut store) = place.open(*world.disk());
        bencher
            .counter(ItemsCount::new(BATCHES.unsigned_abs()))
            .bench_local(|| {
                let next = log.watermarks().log_end;
                for (offset, batch) in (next.value()..).zip(bytes.chunks_exact_mut(batch_bytes)) {
                    batch[..8].copy_from_slice(&offset.to_be_bytes());
                }
                let run = scan(&bytes, expect(next)).run;
                store.append(&mut log, WALL, run).expect("there is room");
            });
    });
}

/// From an offset to the place of its batch, through an index of so many entries.
#[divan::bench(args = [100, 10_000, 100_000])]
fn index_search(bencher: divan::Bencher<'_, '_>, entries: i32) {
    let place = Place::new();
    let path = place.path();
    std::fs::create_dir_all(&path).expect("it is ours");
    let index = (1..=entries).flat_map(|nth| {
        let (relative, position) = (8 * nth, 64 * nth);
        [relative.to_be_bytes(), position.to_be_bytes()].concat()
    });
    let index: Vec<u8> = index.collect();
    for (suffix, bytes) in [("index", &index[..]), ("log", &[])] {
        std::fs::write(path.join(format!("{:020}.{suffix}", 0)), bytes).expect("there is room");
    }
    let mut reader = Reader::open(RealDisk, &path).expect("it was made");
    let mut offset = 0;
    bencher.bench_local(|| {
        offset = (offset + 7_919) % (8 * i64::from(entries));
        reader.find(Offset::new(offset)).expect("it can be read")
    });
}

/// A Fetch answer of so many partitions, a KiB of records in each, read from one window.
#[divan::bench(args = [1, 100, 1_000])]
fn fetch_answer(bencher: divan::Bencher<'_, '_>, partitions: i32) {
    let frame = answer(partitions);
    bencher
        .counter(ItemsCount::new(partitions.unsigned_abs()))
        .bench_local(|| read(divan::black_box(&frame)));
}

fn answer(partitions: i32) -> Vec<u8> {
    let part = |index| PartitionAnswer {
        head: PartitionHead {
            topic: TopicId::new([7; 16]),
            partition: PartitionIndex::new(index).expect("not negative"),
            error: ErrorCode::NONE,
            high_watermark: Some(Offset::new(100)),
            log_start: Some(Offset::ZERO),
            records_bytes: 1 << 10,
        },
        last_stable: Some(Offset::new(100)),
        tail: PartitionTail::default(),
    };
    let parts: Vec<PartitionAnswer> = (0..partitions).map(part).collect();
    let head = AnswerHead {
        session: 0,
        throttle_ms: 0,
        error: ErrorCode::NONE,
    };
    let end = AnswerEnd {
        endpoints: vec![Endpoint {
            broker: BrokerId(1),
            host: "there".to_owned(),
            port: 9092,
        }],
    };
    let writer = AnswerWriter::new(VERSION_MAX, CORRELATION, head, &parts, Topics::NONE, &end);
    let mut frame = Vec::new();
    for segment in writer.segments() {
        match segment {
            Segment::Bytes(bytes) => frame.extend_from_slice(bytes),
            Segment::Records { bytes, .. } => frame.resize(frame.len() + bytes, 7),
        }
    }
    frame
}

fn read(frame: &[u8]) -> usize {
    let mut reader = AnswerReader::new(VERSION_MAX, CORRELATION);
    let (mut at, mut partitions) = (0, 0);
    loop {
        let (step, used) = reader
            .next(&frame[at..], Topics::NONE)
            .expect("our own answer");
        at += used;
        match step {
            Step::Records { available, .. } => {
                reader.take_records(available);
                at += available;
            }
            Step::Partition(_) => partitions += 1,
            Step::End(_) => return partitions,
            _ => {}
        }
    }
}
