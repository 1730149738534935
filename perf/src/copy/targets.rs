//! What the rows ask for.

/// So many CPU seconds per GiB for batches of a size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// The row's name.
    pub(super) row: &'static str,
    /// It speaks of batches that have so many bytes at least.
    batch_bytes_min: u64,
    /// So many times the floor …
    factor: f64,
    /// … and so many CPU seconds for each GiB on top.
    allowance: f64,
}

const fn cost(row: &'static str, batch_bytes_min: u64, factor: f64, allowance: f64) -> Cost {
    Cost {
        row,
        batch_bytes_min,
        factor,
        allowance,
    }
}

const COSTS: [Cost; 4] = [
    cost("1a", 64 << 10, 1.30, 0.05),
    cost("1b", 4 << 10, 1.6, 0.0),
    cost("1b", 1 << 10, 2.2, 0.0),
    cost("1b", 0, 4.0, 0.0),
];

/// The throughput of one partition on one core, as a part of the floor's on the same core.
const SPEED: f64 = 0.80;

impl Cost {
    /// What is asked for with batches of `batch_bytes`.
    pub(super) fn of(batch_bytes: u64) -> Cost {
        let row = COSTS
            .into_iter()
            .find(|row| batch_bytes >= row.batch_bytes_min);
        row.expect("the last row begins at zero")
    }

    /// Whether the engine's cost is within it, in words.
    pub(super) fn judged(&self, floor: f64, engine: f64) -> String {
        let bound = self.factor * floor + self.allowance;
        format!(
            "row {}: engine <= {:.2} x floor + {:.2} CPU-s/GiB: {engine:.3} <= {bound:.3}: {}",
            self.row,
            self.factor,
            self.allowance,
            answer(engine <= bound),
        )
    }
}

/// Whether the engine is as fast as row 2a asks, in words.
pub(super) fn judged_speed(floor: f64, engine: f64) -> String {
    let bound = SPEED * floor;
    format!(
        "row 2a: engine >= {SPEED:.2} x floor GiB/s: {engine:.3} >= {bound:.3}: {}",
        answer(engine >= bound),
    )
}

fn answer(holds: bool) -> &'static str {
    if holds { "yes" } else { "no" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_holds_up_to_its_bound_and_not_above() {
        let check = |batch_bytes, engine, answer: &str| {
            let line = Cost::of(batch_bytes).judged(0.5, engine);
            assert!(line.ends_with(answer), "{line}");
        };
        check(1 << 20, 0.699, ": yes");
        check(64 << 10, 0.701, ": no");
        check((64 << 10) - 1, 0.799, ": yes");
        check(4 << 10, 0.801, ": no");
        check(1 << 10, 1.099, ": yes");
        check(1 << 10, 1.101, ": no");
        check(200, 1.999, ": yes");
        check(200, 2.001, ": no");
    }

    #[test]
    fn a_speed_holds_from_its_bound_on() {
        assert!(judged_speed(1.0, 0.81).ends_with(": yes"));
        assert!(judged_speed(1.0, 0.79).ends_with(": no"));
    }
}
