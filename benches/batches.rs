//! What one batch costs: its checksum, its walk, its whole check, another producer id in it.

use divan::counter::ItemsCount;
use twinlog::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, ProducerIdShift};
use twinlog::record::{BatchBuilder, Expect, Producer, check, check_mut, crc::crc32c, scan};

const BATCHES: i64 = 16;

fn main() {
    divan::main();
}

fn batches(value_bytes: usize) -> Vec<u8> {
    let producer = Producer {
        id: ProducerId::from_wire(4_321).expect("not negative"),
        epoch: ProducerEpoch::new(0),
        base_sequence: 0,
    };
    let batch = |nth| {
        let mut batch = BatchBuilder::new(Offset::new(nth), LeaderEpoch::new(0), 1_000);
        batch = batch.producer(producer);
        batch.push(None, Some(&vec![7; value_bytes]), &[]);
        batch.finish()
    };
    (0..BATCHES).flat_map(batch).collect()
}

fn expect() -> Expect {
    Expect::first()
}

#[divan::bench(args = [200, 4096, 65536])]
fn checksum(bencher: divan::Bencher<'_, '_>, value_bytes: usize) {
    let bytes = batches(value_bytes);
    bencher.bench(|| crc32c(divan::black_box(&bytes)));
}

#[divan::bench(args = [200, 4096, 65536])]
fn walk(bencher: divan::Bencher<'_, '_>, value_bytes: usize) {
    let bytes = batches(value_bytes);
    bencher.bench(|| scan(divan::black_box(&bytes), expect()).run.count());
}

#[divan::bench(args = [200, 4096, 65536])]
fn checked(bencher: divan::Bencher<'_, '_>, value_bytes: usize) {
    let bytes = batches(value_bytes);
    bencher.bench(|| check(divan::black_box(&bytes), expect()).run.count());
}

/// Sixteen batches an iteration, headers in the cache as a check leaves them.
#[divan::bench(args = [200, 4096, 65536, 1 << 20, 20 << 20])]
fn producer_ids_shifted(bencher: divan::Bencher<'_, '_>, value_bytes: usize) {
    let mut bytes = batches(value_bytes);
    let shift = ProducerIdShift::new(0x1234_5678).expect("not negative");
    let (mut run, _) = check_mut(&mut bytes, expect());
    bencher
        .counter(ItemsCount::new(BATCHES.unsigned_abs()))
        .bench_local(|| divan::black_box(&mut run).shifted(shift).run.count());
}
