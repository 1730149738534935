//! CRC-32C (Castagnoli), the checksum of magic 2: of bytes, and of bytes of which a few change.

mod polynomial;

/// The CRC-32C of `bytes`.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// The same of bytes that come in pieces.
pub struct Pieces(crc_fast::Digest);

impl Default for Pieces {
    fn default() -> Pieces {
        Pieces(crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi))
    }
}

impl Pieces {
    /// What follows the pieces before.
    pub fn push(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The CRC-32C of all of them.
    #[must_use]
    pub fn crc32c(&self) -> u32 {
        u32::try_from(self.0.finalize()).expect("it has 32 bits")
    }
}

/// The CRC-32C of bytes that had `crc` before eight of them changed. `change` is the exclusive or
/// of the old and the new eight, read as a big-endian number; `behind` bytes follow them.
///
/// Checksums of equal length are linear: they differ by the remainder of the change alone, moved
/// up by what follows it. So the other bytes are not read, and damage in them that the old
/// checksum tells of, the new one tells of too.
#[must_use]
pub fn patched(crc: u32, change: u64, behind: u32) -> u32 {
    crc ^ polynomial::shifted(polynomial::remainder(change.swap_bytes()), behind)
}

#[cfg(test)]
mod tests;
