//! Choices that follow from a seed.

use crate::stdx::prng::Prng;

pub(super) struct Chance(Prng);

impl Chance {
    pub(super) fn new(seed: u64) -> Chance {
        Chance(Prng::new(seed))
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        let drawn = self.0.below(bound as u64);
        usize::try_from(drawn).expect("smaller than the bound")
    }

    pub(super) fn below_i64(&mut self, bound: i64) -> i64 {
        let bound = u64::try_from(bound).expect("positive");
        i64::try_from(self.0.below(bound)).expect("smaller than the bound")
    }

    pub(super) fn between(&mut self, low: i32, high: i32) -> i32 {
        let drawn = self.below_i64(i64::from(high - low) + 1);
        low + i32::try_from(drawn).expect("a small range")
    }

    pub(super) fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}
