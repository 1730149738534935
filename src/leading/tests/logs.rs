//! Small logs with known batches.

use std::path::Path;

use crate::io::Disk;
use crate::io::memory::MemoryDisk;
use crate::log::{Beginning, LeaderEpochs, Log, LogOptions, Opened, Store, open};
use crate::model::{LeaderEpoch, Offset, TopicId, WallTime};
use crate::record::{BatchBuilder, check};

pub(super) const TOPIC: TopicId = TopicId::new([3; 16]);
pub(super) const WALL: WallTime = WallTime(2_000);

/// A log that is written, and its bytes from the beginning on.
pub(super) struct Written<D: Disk> {
    pub(super) log: Log,
    store: Store<D>,
    pub(super) bytes: Vec<u8>,
}

impl<D: Disk> Written<D> {
    /// A new log that begins at `start`, with small segments.
    pub(super) fn new(disk: D, dir: &Path, start: i64) -> Written<D> {
        let known = Beginning {
            log_start: Offset::new(start),
            ..Beginning::anew(TOPIC)
        };
        let options = LogOptions {
            segment_bytes: 2_000,
            index_interval_bytes: 300,
            ..LogOptions::default()
        };
        let opened = open(disk, dir, options, known, WALL).expect("nothing is there");
        let Opened { log, store, .. } = opened;
        Written {
            log,
            store,
            bytes: Vec::new(),
        }
    }

    /// Appends a batch of this epoch with so many records, `skipped` offsets behind the log's end,
    /// and returns its bytes.
    pub(super) fn append(&mut self, epoch: i32, records: u32, skipped: u64) -> Vec<u8> {
        self.append_sized(epoch, records, skipped, 50)
    }

    pub(super) fn append_sized(
        &mut self,
        epoch: i32,
        records: u32,
        skipped: u64,
        value_bytes: usize,
    ) -> Vec<u8> {
        let base = self.end().checked_add(skipped).expect("small");
        let mut batch = BatchBuilder::new(base, LeaderEpoch::new(epoch), 1_000);
        for record in 0..records {
            let value = vec![u8::try_from(record % 251).expect("small"); value_bytes];
            batch.push(None, Some(&value), &[]);
        }
        let batch = batch.finish();
        let run = check(&batch, self.log.expects()).run;
        assert!(!run.is_empty(), "a sound batch");
        self.store
            .append(&mut self.log, WALL, run)
            .expect("the disk is sound");
        self.bytes.extend_from_slice(&batch);
        batch
    }

    pub(super) fn end(&self) -> Offset {
        self.log.watermarks().log_end
    }

    pub(super) fn start(&self) -> Offset {
        self.log.watermarks().log_start
    }

    pub(super) fn epochs(&self) -> LeaderEpochs {
        self.log.epochs().clone()
    }
}

/// Epochs with where each begins.
pub(super) fn epochs(begun: &[(i32, i64)]) -> LeaderEpochs {
    let start = begun.first().map_or(0, |(_, start)| *start);
    let mut written = Written::new(MemoryDisk::default(), Path::new("/log/t-0"), start);
    for (epoch, start) in begun {
        let skipped = Offset::new(*start).since(written.end());
        written.append(*epoch, 1, skipped);
    }
    written.epochs()
}
