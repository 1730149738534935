//! Big-endian numbers out of a slice, where the slice may be too short.

/// Two bytes at `at`.
#[must_use]
pub fn be_i16(bytes: &[u8], at: usize) -> Option<i16> {
    array(bytes, at).map(i16::from_be_bytes)
}

/// Four bytes at `at`.
#[must_use]
pub fn be_i32(bytes: &[u8], at: usize) -> Option<i32> {
    array(bytes, at).map(i32::from_be_bytes)
}

/// Eight bytes at `at`.
#[must_use]
pub fn be_i64(bytes: &[u8], at: usize) -> Option<i64> {
    array(bytes, at).map(i64::from_be_bytes)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}
