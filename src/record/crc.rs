//! CRC-32C (Castagnoli), the checksum of magic 2.

/// The CRC-32C of `bytes`.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_castagnoli_and_not_ieee() {
        assert_eq!(super::crc32c(b"123456789"), 0xe306_9283);
    }
}
