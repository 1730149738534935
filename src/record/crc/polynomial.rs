//! Polynomials over GF(2) modulo the one of CRC-32C, in portable integer arithmetic.
//!
//! A remainder is a `u32` whose highest bit is the coefficient of x⁰ and whose lowest is that of
//! x³¹, as the reflected checksum keeps it. Multiplying by x⁸ is one byte of zeros.

/// The polynomial without x³², reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// 1.
const ONE: u32 = 1 << 31;

/// The lowest bits of a count of bytes, which one table of powers stands for: a product does for
/// 8 KiB. The table is 32 KiB, of which a call touches one line.
const LOW_BITS: u32 = 13;
const LOW_POWERS: usize = 1 << LOW_BITS;
/// The bits above, so many at a time: each digit of them that is not 0 is a few look-ups more.
const DIGIT_BITS: u32 = 4;
const DIGITS: usize = (u32::BITS - LOW_BITS).div_ceil(DIGIT_BITS) as usize;

/// x⁸ to the powers below [`LOW_POWERS`].
static LOW: [u32; LOW_POWERS] = powers(BYTE);
/// `HIGH[n][d]`: multiplying by x⁸ to the power of d × 2¹³ × 16ⁿ.
static HIGH: [[Factor; 1 << DIGIT_BITS]; DIGITS] = factors();
/// x⁸.
const BYTE: u32 = ONE >> 8;

/// A fixed factor: what each value of each byte of the other one contributes to the product.
type Factor = [[u32; 256]; 4];

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
    let mut left = bytes >> LOW_BITS;
    // Batches are of similar sizes: the processor guesses these well.
    for factors in &HIGH {
        if left == 0 {
            break;
        }
        let digit = left as usize & factors.len().wrapping_sub(1);
        if digit != 0 {
            value = times(value, factors.get(digit).expect("it is below their number"));
        }
        left >>= DIGIT_BITS;
    }
    value
}

fn times(value: u32, factor: &Factor) -> u32 {
    let [first, second, third, fourth] = value.to_be_bytes();
    let [a, b, c, d] = factor;
    at(a, first) ^ at(b, second) ^ at(c, third) ^ at(d, fourth)
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

/// All of [`HIGH`].
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the compiler runs it: what is out of bounds does not compile"
)]
const fn factors() -> [[Factor; 1 << DIGIT_BITS]; DIGITS] {
    let mut all = [[[[0; 256]; 4]; 1 << DIGIT_BITS]; DIGITS];
    let mut base = raised(BYTE, LOW_BITS);
    let mut nth = 0;
    while nth < DIGITS {
        let mut power = ONE;
        let mut digit = 0;
        while digit < 1 << DIGIT_BITS {
            all[nth][digit] = factor(power);
            power = slow_product(power, base);
            digit += 1;
        }
        base = power;
        nth += 1;
    }
    all
}

/// The products of every byte, in each of its places, with one number.
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the compiler runs it: what is out of bounds does not compile"
)]
const fn factor(power: u32) -> Factor {
    let mut tables = [[0; 256]; 4];
    let mut place = 0;
    while place < 4 {
        let mut byte = 1;
        while byte < 256 {
            let rest = byte & (byte - 1);
            tables[place][byte] = match rest {
                0 => slow_product((byte as u32) << (8 * (3 - place)), power),
                rest => tables[place][rest] ^ tables[place][byte ^ rest],
            };
            byte += 1;
        }
        place += 1;
    }
    tables
}

/// `base` squared so many times.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "the compiler runs it: what overflows does not compile"
)]
const fn raised(base: u32, squarings: u32) -> u32 {
    let (mut power, mut done) = (base, 0);
    while done < squarings {
        power = slow_product(power, power);
        done += 1;
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
