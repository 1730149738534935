//! The length of a batch, damaged, costs no memory: what a batch claims to have is held once it is
//! known to be one.
#![expect(
    clippy::disallowed_methods,
    reason = "tests stand outside: they damage what lies on the disk"
)]

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use twinlog::io::World;
use twinlog::log::{
    BatchStream, Beginning, Claims, LogOptions, Opened, Reader, open, truncate, verify,
};
use twinlog::model::{LeaderEpoch, Offset, TopicId, WallTime};
use twinlog::record::{BatchBuilder, check};
use twinlog::uring::{self, RealDisk};

use crate::counting::allocated;

/// A few windows of one MiB.
const MEMORY_MAX: u64 = 16 << 20;
const WALL: WallTime = WallTime(5_000);
const TOPIC: TopicId = TopicId::new([1; 16]);
const SEGMENT: &str = "00000000000000000000.log";

fn batch(offset: i64) -> Vec<u8> {
    let mut batch = BatchBuilder::new(Offset::new(offset), LeaderEpoch::new(0), 1_000 + offset);
    batch.push(None, Some(&[7; 900]), &[]);
    batch.finish()
}

/// A log of three batches, of which the indexes name the last one.
fn log_in(disk: RealDisk, dir: &Path) {
    let options = LogOptions {
        index_interval_bytes: 0,
        ..LogOptions::default()
    };
    let opened = open(disk, dir, options, Beginning::anew(TOPIC), WALL);
    let Opened {
        mut log, mut store, ..
    } = opened.expect("an empty directory");
    let bytes: Vec<u8> = (0..3).flat_map(batch).collect();
    let run = check(&bytes, log.expects()).run;
    store.append(&mut log, WALL, run).expect("there is room");
    store.close(&mut log, WALL).expect("the disk works");
}

/// Its last batch claims so many bytes behind its length, and the file has as many.
fn damage(dir: &Path, claimed: u32, file_bytes: Option<u64>) {
    let segment: File = OpenOptions::new()
        .write(true)
        .open(dir.join(SEGMENT))
        .expect("it is there");
    let place = 2 * batch(0).len() as u64;
    let length = claimed.to_be_bytes();
    segment.write_all_at(&length, place + 8).expect("writable");
    if let Some(bytes) = file_bytes {
        segment.set_len(bytes).expect("nothing is in it");
    }
}

fn known(is_clean: bool) -> Beginning<'static> {
    Beginning {
        recovery_point: Offset::new(if is_clean { 3 } else { 0 }),
        is_clean,
        ..Beginning::anew(TOPIC)
    }
}

/// By its name, what reads batches of a segment in a directory.
type Named = (&'static str, fn(RealDisk, &Path));

/// Whatever reads batches of a segment.
const READERS: [Named; 5] = [
    ("a stream of batches", |disk, dir| {
        let reader = Reader::open(disk, dir).expect("it is there");
        let mut batches = BatchStream::from(reader, Offset::ZERO).expect("it is there");
        while let Ok(Some(_)) = batches.next_batch() {}
    }),
    ("verify", |disk, dir| {
        let claims = Claims {
            topic_id: TOPIC,
            log_start: Some(Offset::ZERO),
            durable: Offset::new(3),
            is_clean: true,
        };
        let verified = verify(&disk, dir, claims).expect("readable");
        assert!(!verified.findings.is_empty());
    }),
    ("an open of what was closed", |disk, dir| {
        let opened = open(disk, dir, LogOptions::default(), known(true), WALL);
        assert!(opened.is_err());
    }),
    ("an open after a kill", |disk, dir| {
        let opened = open(disk, dir, LogOptions::default(), known(false), WALL);
        let log = opened.expect("nothing of it was durable").log;
        assert_eq!(log.watermarks().log_end, Offset::new(2));
    }),
    ("a cut", |disk, dir| {
        let end = truncate(&disk, dir, Offset::new(3)).expect("works");
        assert_eq!(end, Some(Offset::new(2)));
    }),
];

#[test]
fn a_length_that_is_damaged_costs_no_memory() {
    const LARGE: u32 = 48 << 20;
    for (claimed, file_bytes) in [(i32::MAX as u32 - 64, None), (LARGE, Some(64 << 20))] {
        for (what, read) in READERS {
            let dir = tempfile::tempdir().expect("there is a temporary directory");
            uring::run(None, |world| async move {
                let (disk, path): (_, PathBuf) = (*world.disk(), dir.path().join("t-0"));
                log_in(disk, &path);
                damage(&path, claimed, file_bytes);
                let before = allocated().bytes;
                read(disk, &path);
                let bytes = allocated().bytes - before;
                assert!(bytes <= MEMORY_MAX, "{what}: {bytes} bytes for {claimed}");
            });
        }
    }
}

/// What has as many bytes as it says is read as before.
#[test]
fn a_batch_that_is_large_is_read() {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let value = vec![7; 40 << 20];
    let mut large = BatchBuilder::new(Offset::ZERO, LeaderEpoch::new(0), 1_000);
    large.push(None, Some(&value), &[]);
    let bytes = [large.finish(), batch(1)].concat();
    uring::run(None, |world| async move {
        let (disk, path) = (*world.disk(), dir.path().join("t-0"));
        fs::create_dir(&path).expect("writable");
        fs::write(path.join(SEGMENT), &bytes).expect("writable");
        let opened = open(disk, &path, LogOptions::default(), known(false), WALL);
        let log = opened.expect("sound").log;
        assert_eq!(log.watermarks().log_end, Offset::new(2));
        let reader = Reader::open(disk, &path).expect("it is there");
        let mut batches = BatchStream::from(reader, Offset::ZERO).expect("it is there");
        let mut read = Vec::new();
        while let Some(batch) = batches.next_batch().expect("sound") {
            read.extend_from_slice(batch.bytes());
        }
        assert!(read == bytes);
    });
}
