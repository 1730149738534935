//! What is printed: every pair, then medians, spreads and what the rows ask for.

use super::targets::{Cost, judged_speed};
use super::{Options, Sample, Shape};
use crate::size::gib;
use crate::spread::Spread;

/// Two runs, one right after the other.
pub(super) struct Pair {
    /// The floor loop's.
    pub(super) floor: Sample,
    /// The engine's.
    pub(super) engine: Sample,
}

/// Says what is going to be measured.
pub(super) fn begin(options: &Options, shape: Shape, buffer: u64) {
    let source = match &options.from {
        Some(from) => format!("from {from}"),
        None => format!(
            "replayed: {} partitions, batches of {} bytes",
            shape.partitions, shape.batch_bytes
        ),
    };
    println!(
        "{} pairs of {:.3} GiB, {source}; the floor's buffer has {buffer} bytes",
        options.pairs,
        gib(shape.bytes()),
    );
    println!(
        "each run: CPU-s/GiB, GiB/s [GiB, source CPU-s/GiB, peak MiB, s to sync what it left]"
    );
}

/// Says what one pair has cost.
pub(super) fn pair(number: u32, is_floor_first: bool, pair: &Pair) {
    println!(
        "pair {number} ({} first): floor {}; engine {}; ratio {:.3}",
        if is_floor_first { "floor" } else { "engine" },
        text(&pair.floor),
        text(&pair.engine),
        pair.ratio(),
    );
}

/// Says what all pairs say together, of which there is at least one.
pub(super) fn end(options: &Options, pairs: &[Pair]) {
    let of = |value: fn(&Pair) -> f64| Spread::of(pairs.iter().map(value));
    let floor = of(|pair| pair.floor.cpu_per_gib);
    let engine = of(|pair| pair.engine.cpu_per_gib);
    println!("median (min..max) of {} pairs", pairs.len());
    println!("  floor  CPU-s/GiB  {floor}");
    println!("  engine CPU-s/GiB  {engine}");
    let floor_speed = of(|pair| pair.floor.gib_per_s);
    let engine_speed = of(|pair| pair.engine.gib_per_s);
    println!("  floor  GiB/s      {floor_speed}");
    println!("  engine GiB/s      {engine_speed}");
    println!("  ratio in a pair   {}", of(Pair::ratio));
    println!("  ratio of medians  {:.3}", engine.median / floor.median);
    let cost = Cost::of(options.batch_bytes);
    println!("{}", cost.judged(floor.median, engine.median));
    if options.partitions == 1 && options.core.is_some() {
        println!("{}", judged_speed(floor_speed.median, engine_speed.median));
    }
}

impl Pair {
    fn ratio(&self) -> f64 {
        self.engine.cpu_per_gib / self.floor.cpu_per_gib
    }
}

fn text(sample: &Sample) -> String {
    let source = match sample.source_cpu_per_gib {
        Some(cost) => format!("{cost:.3}"),
        None => "-".to_owned(),
    };
    format!(
        "{:.3}, {:.3} [{:.3}, {source}, {}, {:.3}]",
        sample.cpu_per_gib,
        sample.gib_per_s,
        gib(sample.bytes),
        sample.peak_bytes >> 20,
        sample.unsynced_s,
    )
}
