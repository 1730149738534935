//! Polynomials over GF(2) modulo the one of CRC-32C, in portable integer arithmetic.
//!
//! A remainder is a `u32` whose highest bit is the coefficient of x⁰ and whose lowest is that of
//! x³¹, as the reflected checksum keeps it. Multiplying by x⁸ is one byte of zeros.

/// The polynomial without x³², reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// 1.
const ONE: u32 = 1 << 31;

/// Bits of a count of bytes that one table of powers stands for. With thirteen, one product does
/// for 8 KiB and two for 64 MiB; a table is 32 KiB, of which a call touches one line.
const DIGIT_BITS: u32 = 13;
const DIGITS: usize = 1 << DIGIT_BITS;
/// What is left of 32 bits above two digits.
const TOP_DIGITS: usize = 1 << (u32::BITS - 2 * DIGIT_BITS);

/// x⁸ to the powers below [`DIGITS`], of that many bytes, and of that many of those.
static LOW: [u32; DIGITS] = powers(BYTE);
static MIDDLE: [u32; DIGITS] = powers(DIGIT);
static HIGH: [u32; TOP_DIGITS] = powers(TWO_DIGITS);
/// x⁸.
const BYTE: u32 = ONE >> 8;
const DIGIT: u32 = raised(BYTE);
const TWO_DIGITS: u32 = raised(DIGIT);

/// `BYTES[n][b]`: the remainder of byte `b` with n further bytes of zeros behind it.
static BYTES: [[u32; 256]; 8] = bytes();

/// The remainder of eight bytes times x³², which is their CRC without its first and last
/// inversion. The first byte is the lowest of the number.
pub(super) fn remainder(bytes: u64) -> u32 {
    let [a, b, c, d, e, f, g, h] = BYTES.each_ref();
    let [first, second, third, fourth, fifth, sixth, seventh, eighth] = lowest_first(bytes);
    at(h, first)
        ^ at(g, second)
        ^ at(f, third)
        ^ at(e, fourth)
        ^ at(d, fifth)
        ^ at(c, sixth)
        ^ at(b, seventh)
        ^ at(a, eighth)
}

/// `value` times x⁸ to the power of `bytes`.
pub(super) fn shifted(value: u32, bytes: u32) -> u32 {
    let mut value = product(value, power(&LOW, bytes));
    // Batches are of similar sizes: the processor guesses these well.
    if bytes >> DIGIT_BITS != 0 {
        value = product(value, power(&MIDDLE, bytes >> DIGIT_BITS));
    }
    if bytes >> (2 * DIGIT_BITS) != 0 {
        value = product(value, power(&HIGH, bytes >> (2 * DIGIT_BITS)));
    }
    value
}

/// The power that the lowest bits of `exponent` stand for.
fn power<const N: usize>(powers: &[u32; N], exponent: u32) -> u32 {
    const { assert!(N.is_power_of_two()) };
    let digit = exponent as usize & (N.wrapping_sub(1));
    *powers.get(digit).expect("a digit has its table's bits")
}

/// The product of two remainders.
fn product(a: u32, b: u32) -> u32 {
    let bits = carryless(a, b) << 1;
    let (high, low) = ((bits >> 32) as u32, bits as u32);
    let [a, b, c, d, ..] = BYTES.each_ref();
    let [first, second, third, fourth, ..] = lowest_first(u64::from(low));
    high ^ at(d, first) ^ at(c, second) ^ at(b, third) ^ at(a, fourth)
}

/// The product without carries. Every fourth bit is taken at a time: at most eight of them meet
/// in one place, whose sum stays within the three bits of zeros above it.
fn carryless(a: u32, b: u32) -> u64 {
    const EVERY_FOURTH: u64 = 0x1111_1111_1111_1111;
    let part = |number: u32, nth: u32| u64::from(number) & (EVERY_FOURTH << nth);
    let [a0, a1, a2, a3] = [part(a, 0), part(a, 1), part(a, 2), part(a, 3)];
    let [b0, b1, b2, b3] = [part(b, 0), part(b, 1), part(b, 2), part(b, 3)];
    let times = u64::wrapping_mul;
    let sums = [
        times(a0, b0) ^ times(a1, b3) ^ times(a2, b2) ^ times(a3, b1),
        times(a0, b1) ^ times(a1, b0) ^ times(a2, b3) ^ times(a3, b2),
        times(a0, b2) ^ times(a1, b1) ^ times(a2, b0) ^ times(a3, b3),
        times(a0, b3) ^ times(a1, b2) ^ times(a2, b1) ^ times(a3, b0),
    ];
    let [s0, s1, s2, s3] = sums;
    (s0 & EVERY_FOURTH)
        | (s1 & (EVERY_FOURTH << 1))
        | (s2 & (EVERY_FOURTH << 2))
        | (s3 & (EVERY_FOURTH << 3))
}

fn at(table: &[u32; 256], byte: u8) -> u32 {
    *table.get(usize::from(byte)).expect("a byte is below 256")
}

fn lowest_first(number: u64) -> [u8; 8] {
    number.swap_bytes().to_be_bytes()
}

const fn times_x(value: u32) -> u32 {
    match value & 1 {
        0 => value >> 1,
        _ => (value >> 1) ^ POLYNOMIAL,
    }
}

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the compiler runs it: what is out of bounds does not compile"
)]
const fn bytes() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut nth = 0;
        while nth < 64 {
            value = times_x(value);
            nth += 1;
            if nth % 8 == 0 {
                tables[nth / 8 - 1][byte] = value;
            }
        }
        byte += 1;
    }
    tables
}

/// The powers of `base` from 0 up.
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the compiler runs it: what is out of bounds does not compile"
)]
const fn powers<const N: usize>(base: u32) -> [u32; N] {
    let mut powers = [ONE; N];
    let mut nth = 1;
    while nth < N {
        powers[nth] = slow_product(base, powers[nth - 1]);
        nth += 1;
    }
    powers
}

/// `base` to the power of [`DIGITS`].
#[expect(
    clippy::arithmetic_side_effects,
    reason = "the compiler runs it: what overflows does not compile"
)]
const fn raised(base: u32) -> u32 {
    let (mut power, mut squarings) = (base, 0);
    while squarings < DIGIT_BITS {
        power = slow_product(power, power);
        squarings += 1;
    }
    power
}

/// Bit by bit.
const fn slow_product(a: u32, b: u32) -> u32 {
    let (mut sum, mut term, mut left) = (0, b, a);
    while left != 0 {
        if left & ONE != 0 {
            sum ^= term;
        }
        term = times_x(term);
        left <<= 1;
    }
    sum
}
