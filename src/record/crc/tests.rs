//! The checksum by its name, and changes of it against computing it again.

use proptest::prelude::*;

use super::{crc32c, patched};

#[test]
fn it_is_castagnoli_and_not_ieee() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}

/// Changes the eight bytes behind the first `before` of as many bytes as say `before` and
/// `behind`, and patches.
fn check(before: usize, behind: usize, change: u64) {
    let byte = |at: usize| (at.wrapping_mul(0x9e37) >> 7) as u8;
    let mut bytes: Vec<u8> = (0..before + 8 + behind).map(byte).collect();
    let old = crc32c(&bytes);
    for (byte, change) in bytes[before..].iter_mut().zip(change.to_be_bytes()) {
        *byte ^= change;
    }
    let behind_bytes = u32::try_from(behind).expect("small");
    assert_eq!(
        patched(old, change, behind_bytes),
        crc32c(&bytes),
        "{before} before, {behind} behind, {change:016x}"
    );
}

#[test]
fn lengths_around_every_digit_of_the_tables_are_right() {
    let edges = [
        0usize,
        1,
        10,
        255,
        256,
        8_191,
        8_192,
        8_193,
        65_536,
        1 << 20,
    ];
    for behind in edges
        .into_iter()
        .chain([(1 << 26) - 1, 1 << 26, (1 << 26) + 8_193])
    {
        for change in [1, 1 << 63, u64::MAX, 0x0123_4567_89ab_cdef] {
            check(22, behind, change);
        }
    }
}

#[test]
fn no_change_changes_nothing() {
    for behind in [0, 10, 5_000, u32::MAX] {
        assert_eq!(patched(0xdead_beef, 0, behind), 0xdead_beef);
    }
}

/// Lengths that no test can fill with bytes: in one step or in two, it is the same.
#[test]
fn the_largest_lengths_add_up() {
    for (first, second) in [
        (u32::MAX, 0),
        (1 << 31, 1 << 30),
        (0x7fff_ffff, 0x7fff_ffff),
    ] {
        let at_once = patched(0, 0x55aa, first + second);
        let apart = super::polynomial::shifted(patched(0, 0x55aa, first), second);
        assert_eq!(at_once, apart, "{first} and {second}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn a_patch_is_what_computing_it_again_gives(
        before in 0usize..64,
        behind in 0usize..20_000,
        change in any::<u64>(),
    ) {
        check(before, behind, change);
    }
}
