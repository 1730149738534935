//! The generator repeats itself from its seed and stays below its bound.

use super::*;

#[test]
fn the_sequence_is_that_of_splitmix64() {
    // The first outputs for seed 1234567 as published with the reference implementation.
    let mut prng = Prng::new(1_234_567);
    let first: Vec<u64> = (0..3).map(|_| prng.next_u64()).collect();
    assert_eq!(
        first,
        [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423
        ]
    );
}

#[test]
fn numbers_stay_below_their_bound_and_reach_every_value() {
    let mut prng = Prng::new(7);
    let mut seen = [false; 5];
    for _ in 0..200 {
        let number = prng.below(5);
        seen[usize::try_from(number).expect("below five")] = true;
    }
    assert_eq!(seen, [true; 5]);
    assert_eq!(prng.below(1), 0);
}
