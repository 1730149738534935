//! What one batch costs: its checksum, its walk, its whole check.

use twinlog::model::{LeaderEpoch, Offset};
use twinlog::record::{BatchBuilder, Expect, check, crc::crc32c, scan};

const BATCHES: i64 = 16;

fn main() {
    divan::main();
}

fn batches(value_bytes: usize) -> Vec<u8> {
    let batch = |nth| {
        let mut batch = BatchBuilder::new(Offset::new(nth), LeaderEpoch::new(0), 1_000);
        batch.push(None, Some(&vec![7; value_bytes]), &[]);
        batch.finish()
    };
    (0..BATCHES).flat_map(batch).collect()
}

fn expect() -> Expect {
    Expect {
        next: Offset::ZERO,
        may_begin_before: false,
        epoch: LeaderEpoch::NONE,
        batch_bytes_max: 1 << 20,
    }
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
