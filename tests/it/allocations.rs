//! The path of a batch does not allocate: counted by an allocator that counts.

use twinlog::io::World;
use twinlog::log::{Beginning, Log, LogOptions, Opened, Store, open};
use twinlog::model::{
    LeaderEpoch, Offset, ProducerEpoch, ProducerId, ProducerIdShift, TopicId, WallTime,
};
use twinlog::record::{BatchBuilder, Producer, check_mut, scan};
use twinlog::uring::{self, RealDisk};

use crate::counting::allocated;

const BATCHES: i64 = 500;
/// Files are opened and index entries written now and then, however many batches there are.
const ALLOCATIONS_MAX: u64 = 20;

/// Batches one behind the other.
fn batches(from: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for nth in 0..BATCHES {
        let base = Offset::new(from + nth);
        let producer = Producer {
            id: ProducerId::from_wire(nth % 5).expect("not negative"),
            epoch: ProducerEpoch::new(0),
            base_sequence: 0,
        };
        let mut batch = BatchBuilder::new(base, LeaderEpoch::new(0), 1_000 + nth);
        batch = batch.producer(producer);
        batch.push(None, Some(&[7; 900]), &[]);
        bytes.extend(batch.finish());
    }
    bytes
}

fn ingest(log: &mut Log, store: &mut Store<RealDisk>, records: &mut [u8], shift: ProducerIdShift) {
    let expect = log.expects();
    assert_eq!(i64::from(scan(records, expect).run.count()), BATCHES);
    let (mut checked, _) = check_mut(records, expect);
    let shifted = checked.shifted(shift);
    assert_eq!(shifted.fault, None);
    store
        .append(log, WallTime(5_000), shifted.run)
        .expect("there is room");
}

/// Allocations while batches are ingested whose like were ingested before.
fn counted(shift: ProducerIdShift) -> u64 {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let known = Beginning::anew(TopicId::new([1; 16]));
    uring::run(None, |world| async move {
        let disk = *world.disk();
        let path = dir.path().join("t-0");
        let opened = open(disk, &path, LogOptions::default(), known, WallTime(5_000));
        let Opened {
            mut log, mut store, ..
        } = opened.expect("an empty directory");
        // The first round grows what is used again.
        let (mut first, mut second) = (batches(0), batches(BATCHES));
        ingest(&mut log, &mut store, &mut first, shift);
        let before = allocated().count;
        ingest(&mut log, &mut store, &mut second, shift);
        allocated().count - before
    })
}

#[test]
fn batches_are_checked_planned_written_and_committed_without_allocation() {
    let counted = counted(ProducerIdShift::NONE);
    assert!(
        counted <= ALLOCATIONS_MAX,
        "{counted} allocations for {BATCHES} batches"
    );
}

#[test]
fn producer_ids_are_shifted_without_allocation() {
    let counted = counted(ProducerIdShift::new(1 << 40).expect("positive"));
    assert!(
        counted <= ALLOCATIONS_MAX,
        "{counted} allocations for {BATCHES} batches"
    );
}
