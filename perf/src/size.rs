//! Sizes as people write them: `65536`, `64KiB`, `4GiB`.

/// One GiB, the unit that costs are stated in.
pub(crate) const GIB: u64 = 1 << 30;

const UNITS: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", GIB)];

/// A text that is no size.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a size: a whole number of bytes, KiB, MiB or GiB is expected")]
pub(crate) struct UnknownSize(String);

/// The bytes that `text` says; more than zero.
///
/// # Errors
/// It is something else.
pub(crate) fn parse(text: &str) -> Result<u64, UnknownSize> {
    let (number, unit) = UNITS
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))
        .unwrap_or((text, 1));
    let bytes = number.parse::<u64>().ok();
    bytes
        .and_then(|number| number.checked_mul(unit))
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| UnknownSize(text.to_owned()))
}

/// `bytes` as a number of GiB.
pub(crate) fn gib(bytes: u64) -> f64 {
    bytes as f64 / GIB as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_whole_numbers_with_binary_units() {
        assert_eq!(parse("65536"), Ok(65_536));
        assert_eq!(parse("64KiB"), Ok(65_536));
        assert_eq!(parse("4GiB"), Ok(4 << 30));
        for wrong in ["", "0", "GiB", "1.5GiB", "4GB", "-1", "99999999999GiB"] {
            assert_eq!(parse(wrong), Err(UnknownSize(wrong.to_owned())));
        }
    }
}
