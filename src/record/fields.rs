//! The fields of a single record, read from bytes that belong to somebody else: zigzag numbers and
//! byte strings.

/// Why a record's bytes are not a record (Kafka: `DefaultRecord`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// A field that reaches over the end of the records or of its record.
    #[error("{field} reaches over the end of its record")]
    Beyond {
        /// What was read.
        field: &'static str,
    },
    /// A number of more bytes than its type has.
    #[error("{field} is a number of too many bytes")]
    Varint {
        /// What was read.
        field: &'static str,
    },
    /// A length or count that cannot be.
    #[error("{field} is {value}, which cannot be")]
    Impossible {
        /// What was read.
        field: &'static str,
        /// What it said.
        value: i64,
    },
    /// Bytes of a record behind its last field.
    #[error("{left} bytes are left over behind a record's last field")]
    LeftOver {
        /// How many.
        left: usize,
    },
}

/// Reads fields from the front of a byte slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields<'b> {
    bytes: &'b [u8],
}

impl<'b> Fields<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Fields<'b> {
        Fields { bytes }
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn bytes(
        &mut self,
        count: usize,
        field: &'static str,
    ) -> Result<&'b [u8], EntryFault> {
        let (bytes, rest) = self
            .bytes
            .split_at_checked(count)
            .ok_or(EntryFault::Beyond { field })?;
        self.bytes = rest;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<[u8; N], EntryFault> {
        let (bytes, rest) = self
            .bytes
            .split_first_chunk::<N>()
            .ok_or(EntryFault::Beyond { field })?;
        self.bytes = rest;
        Ok(*bytes)
    }

    /// A signed 64-bit number of at most ten bytes.
    pub(super) fn varlong(&mut self, field: &'static str) -> Result<i64, EntryFault> {
        let zigzag = self.unsigned(field, u64::BITS)?;
        let sign = (zigzag & 1).wrapping_neg();
        Ok(((zigzag >> 1) ^ sign).cast_signed())
    }

    /// A signed 32-bit number of at most five bytes.
    pub(super) fn varint(&mut self, field: &'static str) -> Result<i32, EntryFault> {
        let zigzag = self.unsigned(field, u32::BITS)?;
        let zigzag = u32::try_from(zigzag).expect("as many bits were read as fit");
        let sign = (zigzag & 1).wrapping_neg();
        Ok(((zigzag >> 1) ^ sign).cast_signed())
    }

    /// Bytes behind their length; none where that is negative.
    pub(super) fn nullable(&mut self, field: &'static str) -> Result<Option<&'b [u8]>, EntryFault> {
        match usize::try_from(self.varint(field)?) {
            Ok(length) => self.bytes(length, field).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// A length or count, which must not be negative.
    pub(super) fn count(&mut self, field: &'static str) -> Result<usize, EntryFault> {
        let value = self.varint(field)?;
        usize::try_from(value).map_err(|_| EntryFault::Impossible {
            field,
            value: i64::from(value),
        })
    }

    /// Seven bits a byte, the lowest first, of a number with `bits` bits.
    fn unsigned(&mut self, field: &'static str, bits: u32) -> Result<u64, EntryFault> {
        let mut value = 0u64;
        for shift in (0..bits).step_by(7) {
            let [byte] = self.array::<1>(field)?;
            let digit = u64::from(byte & 0x7f);
            let room = bits.saturating_sub(shift).min(7);
            if digit >> room != 0 {
                break;
            }
            value |= digit << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(EntryFault::Varint { field })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zigzag_numbers_at_their_limits() {
        let cases: [(&[u8], i64); 6] = [
            (&[0x00], 0),
            (&[0x01], -1),
            (&[0x02], 1),
            (&[0x80, 0x01], 64),
            (
                &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                i64::MAX,
            ),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                i64::MIN,
            ),
        ];
        for (bytes, value) in cases {
            assert_eq!(Fields::new(bytes).varlong("it"), Ok(value));
        }
        let last = |byte| [0xff, 0xff, 0xff, 0xff, byte];
        assert_eq!(Fields::new(&last(0x0f)).varint("it"), Ok(i32::MIN));
        let too_long = Err(EntryFault::Varint { field: "it" });
        assert_eq!(Fields::new(&last(0x1f)).varint("it"), too_long);
        assert_eq!(Fields::new(&last(0x8f)).varint("it"), too_long);
        let too_long = Err(EntryFault::Varint { field: "it" });
        assert_eq!(Fields::new(&[0xff; 11]).varlong("it"), too_long);
        let cut = Err(EntryFault::Beyond { field: "it" });
        assert_eq!(Fields::new(&[0xff; 3]).varint("it"), cut);
    }
}
