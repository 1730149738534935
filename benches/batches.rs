//! What one batch costs: its checksum, its walk, its whole check, its digest, another producer id.

use divan::counter::ItemsCount;
use twinlog::log::Chain;
use twinlog::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, ProducerIdShift};
use twinlog::record::{BatchBuilder, Expect, Producer, check, check_mut, crc::crc32c, scan};
use twinlog::stdx::prng::Prng;

const BATCHES: i64 = 16;
/// So many of all sizes: no branch can be foretold by their order.
const MIXED: i64 = 512;

fn main() {
    divan::main();
}

fn batches(value_bytes: usize) -> Vec<u8> {
    (0..BATCHES)
        .flat_map(|nth| batch(nth, value_bytes))
        .collect()
}

/// Batches of 200 B to 1 MiB in a random order that is always the same, as many of one order of
/// magnitude as of another.
fn mixed() -> Vec<u8> {
    let mut prng = Prng::new(7);
    let mut value_bytes = || {
        let least = 200u64 << prng.below(13);
        let bytes = (least + prng.below(least)).min(1 << 20);
        usize::try_from(bytes).expect("below 2 MiB")
    };
    (0..MIXED)
        .flat_map(|nth| batch(nth, value_bytes()))
        .collect()
}

fn batch(nth: i64, value_bytes: usize) -> Vec<u8> {
    let producer = Producer {
        id: ProducerId::from_wire(4_321).expect("not negative"),
        epoch: ProducerEpoch::new(0),
        base_sequence: 0,
    };
    let mut batch = BatchBuilder::new(Offset::new(nth), LeaderEpoch::new(0), 1_000);
    batch = batch.producer(producer);
    batch.push(None, Some(&vec![7; value_bytes]), &[]);
    batch.finish()
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

/// What the digest of a log costs for each of its batches.
#[divan::bench(args = [200, 4096, 65536])]
fn digested(bencher: divan::Bencher<'_, '_>, value_bytes: usize) {
    let bytes = batches(value_bytes);
    let run = scan(&bytes, expect()).run;
    let count = ItemsCount::new(BATCHES.unsigned_abs());
    bencher.counter(count).bench(|| {
        let mut chain = Chain::default();
        let batches = divan::black_box(&run).batches();
        batches.for_each(|batch| chain.take(&batch));
        chain
    });
}

/// Sixteen batches an iteration, headers in the cache as a check leaves them.
#[divan::bench(args = [200, 4096, 65536, 1 << 20, 20 << 20])]
fn producer_ids_shifted(bencher: divan::Bencher<'_, '_>, value_bytes: usize) {
    shifted(bencher, BATCHES, batches(value_bytes));
}

/// The same where the batch before says nothing about the next one's size.
#[divan::bench]
fn producer_ids_shifted_mixed(bencher: divan::Bencher<'_, '_>) {
    shifted(bencher, MIXED, mixed());
}

fn shifted(bencher: divan::Bencher<'_, '_>, count: i64, mut bytes: Vec<u8>) {
    let shift = ProducerIdShift::new(0x1234_5678).expect("not negative");
    let (mut run, _) = check_mut(&mut bytes, expect());
    bencher
        .counter(ItemsCount::new(count.unsigned_abs()))
        .bench_local(|| divan::black_box(&mut run).shifted(shift).run.count());
}
