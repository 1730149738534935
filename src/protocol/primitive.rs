//! Kafka's primitive types, read from and written to bytes that belong to somebody else.

/// Bytes that are not what the protocol says they should be: the peer's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A length or count that cannot be.
    #[error("{field} is {value}, which cannot be")]
    Impossible {
        /// What was read.
        field: &'static str,
        /// What it said.
        value: i64,
    },
    /// A part that reaches over the end of the frame.
    #[error("{field} reaches over the end of its frame")]
    BeyondFrame {
        /// What was read.
        field: &'static str,
    },
    /// A variable-length number of too many bytes.
    #[error("{field} is a number of too many bytes")]
    Varint {
        /// What was read.
        field: &'static str,
    },
    /// A text that is no UTF-8.
    #[error("{field} is no text")]
    Text {
        /// What was read.
        field: &'static str,
    },
    /// A frame that ended before or after its content.
    #[error("{left} bytes are left over behind the last field")]
    LeftOver {
        /// How many.
        left: usize,
    },
    /// The answer to another request.
    #[error("an answer to request {found} came where {expected} was due")]
    Correlation {
        /// The request that was due.
        expected: i32,
        /// The one that was answered.
        found: i32,
    },
}

/// What the length of a frame is called in a fault.
pub(super) const FRAME_LENGTH: &str = "the length of a frame";

impl Malformed {
    /// The other protocol that was heard, where the first four bytes give it away.
    #[must_use]
    pub fn spoken(&self) -> Option<&'static str> {
        let Malformed::Impossible { field, value } = self else {
            return None;
        };
        let heard = i32::try_from(*value).ok()?.to_be_bytes();
        match heard {
            _ if *field != FRAME_LENGTH => None,
            [b'H', b'T', b'T', b'P'] => Some("HTTP"),
            [b'S', b'S', b'H', b'-'] => Some("SSH"),
            // A record of TLS: an alert or a handshake, in any version.
            [0x15 | 0x16, 3, ..] => Some("TLS"),
            _ => None,
        }
    }
}

/// What a read ends with that finds fewer bytes than it needs: more have to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short;

/// Why a field could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// The bytes end before it does.
    Short,
    /// It cannot be what it claims to be.
    Malformed(Malformed),
}

impl Unread {
    /// What it means where all bytes are there: to want more is `beyond`.
    #[must_use]
    pub fn malformed_or(self, beyond: Malformed) -> Malformed {
        match self {
            Unread::Malformed(fault) => fault,
            Unread::Short => beyond,
        }
    }
}

impl From<Short> for Unread {
    fn from(_: Short) -> Unread {
        Unread::Short
    }
}

impl From<Malformed> for Unread {
    fn from(fault: Malformed) -> Unread {
        Unread::Malformed(fault)
    }
}

/// Reads fields from the front of a byte slice.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'b> {
    bytes: &'b [u8],
    taken: usize,
}

impl<'b> Reader<'b> {
    /// Reads from the beginning of `bytes`.
    #[must_use]
    pub fn new(bytes: &'b [u8]) -> Reader<'b> {
        Reader { bytes, taken: 0 }
    }

    /// Bytes that were read.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Bytes that are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.bytes.len()
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn bytes(&mut self, count: usize) -> Result<&'b [u8], Short> {
        let (bytes, rest) = self.bytes.split_at_checked(count).ok_or(Short)?;
        self.bytes = rest;
        self.taken = self.taken.saturating_add(count);
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let (bytes, rest) = self.bytes.split_first_chunk::<N>().ok_or(Short)?;
        self.bytes = rest;
        self.taken = self.taken.saturating_add(N);
        Ok(*bytes)
    }

    /// A signed byte.
    ///
    /// # Errors
    /// Fewer bytes are left.
    pub fn i8(&mut self) -> Result<i8, Short> {
        self.array::<1>().map(i8::from_be_bytes)
    }

    /// Two bytes, big-endian, as all numbers here.
    ///
    /// # Errors
    /// Fewer bytes are left.
    pub fn i16(&mut self) -> Result<i16, Short> {
        self.array().map(i16::from_be_bytes)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// Fewer bytes are left.
    pub fn i32(&mut self) -> Result<i32, Short> {
        self.array().map(i32::from_be_bytes)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// Fewer bytes are left.
    pub fn i64(&mut self) -> Result<i64, Short> {
        self.array().map(i64::from_be_bytes)
    }

    /// Two bytes without a sign.
    ///
    /// # Errors
    /// Fewer bytes are left.
    pub fn u16(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_be_bytes)
    }

    /// A byte that is true unless it is 0.
    ///
    /// # Errors
    /// Fewer bytes are left.
    pub fn bool(&mut self) -> Result<bool, Short> {
        self.array::<1>().map(|[byte]| byte != 0)
    }

    /// Sixteen bytes.
    ///
    /// # Errors
    /// Fewer bytes are left.
    pub fn uuid(&mut self) -> Result<[u8; 16], Short> {
        self.array()
    }

    /// An unsigned number of one to five bytes, seven bits each.
    ///
    /// # Errors
    /// Fewer bytes are left, or it has more than 32 bits.
    pub fn varint(&mut self, field: &'static str) -> Result<u32, Unread> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28u32] {
            let [byte] = self.array::<1>()?;
            let digit = u32::from(byte & 0x7f);
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= digit << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::Varint { field }.into())
    }

    /// The length of something compact: the number on the wire less one, none where that is 0.
    ///
    /// # Errors
    /// Fewer bytes are left, or it has more than 32 bits.
    pub fn compact(&mut self, field: &'static str) -> Result<Option<usize>, Unread> {
        let stated = self.varint(field)?;
        Ok(stated.checked_sub(1).map(|length| length as usize))
    }

    /// A compact string, or none.
    ///
    /// # Errors
    /// Fewer bytes are left, or they are no UTF-8.
    pub fn text(&mut self, field: &'static str) -> Result<Option<&'b str>, Unread> {
        let Some(length) = self.compact(field)? else {
            return Ok(None);
        };
        let text = str::from_utf8(self.bytes(length)?);
        Ok(Some(text.map_err(|_| Malformed::Text { field })?))
    }

    /// How many elements a compact list has, each of at least `least` bytes, or none. Only where
    /// all bytes are there: a count that they cannot hold is refused before anyone makes room.
    ///
    /// # Errors
    /// Fewer bytes are left, or not enough for so many elements.
    pub fn count(&mut self, least: usize, field: &'static str) -> Result<Option<usize>, Unread> {
        match self.compact(field)? {
            Some(count) if count.saturating_mul(least) > self.left() => {
                let value = i64::try_from(count).unwrap_or(i64::MAX);
                Err(Malformed::Impossible { field, value }.into())
            }
            count => Ok(count),
        }
    }

    /// A compact list of elements of `least` bytes or more, or none; as [`Reader::count`].
    ///
    /// # Errors
    /// As [`Reader::count`], or what `element` says.
    pub fn list<T>(
        &mut self,
        least: usize,
        field: &'static str,
        mut element: impl FnMut(&mut Reader<'b>) -> Result<T, Unread>,
    ) -> Result<Option<Vec<T>>, Unread> {
        let Some(count) = self.count(least, field)? else {
            return Ok(None);
        };
        let elements = (0..count).map(|_| element(self));
        elements.collect::<Result<Vec<T>, Unread>>().map(Some)
    }

    /// Tagged fields; each is given to `take` with its bytes, which knows some of them.
    ///
    /// # Errors
    /// Fewer bytes are left, or what `take` says.
    pub fn tagged(
        &mut self,
        mut take: impl FnMut(u32, Reader<'b>) -> Result<(), Unread>,
    ) -> Result<(), Unread> {
        let count = self.varint("count of tagged fields")?;
        for _ in 0..count {
            let tag = self.varint("tag")?;
            let size = self.varint("size of a tagged field")?;
            let bytes = self.bytes(size as usize)?;
            match take(tag, Reader::new(bytes)) {
                // All its bytes are here, so that a field that wants more claims too much.
                Err(Unread::Short) => {
                    return Err(Malformed::BeyondFrame {
                        field: "a tagged field",
                    }
                    .into());
                }
                taken => taken?,
            }
        }
        Ok(())
    }
}

/// Writes fields behind one another.
#[derive(Debug)]
pub struct Writer<'b> {
    out: &'b mut Vec<u8>,
}

impl<'b> Writer<'b> {
    /// Writes behind what `out` holds already.
    pub fn new(out: &'b mut Vec<u8>) -> Writer<'b> {
        Writer { out }
    }

    /// A signed byte.
    pub fn i8(&mut self, value: i8) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    /// Two bytes, big-endian, as all numbers here.
    pub fn i16(&mut self, value: i16) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    /// Four bytes.
    pub fn i32(&mut self, value: i32) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    /// Eight bytes.
    pub fn i64(&mut self, value: i64) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, value: &[u8]) {
        self.out.extend_from_slice(value);
    }

    /// An unsigned number, seven bits a byte.
    pub fn varint(&mut self, mut value: u32) {
        while value > 0x7f {
            let digit = u8::try_from(value & 0x7f).expect("seven bits fit a byte");
            self.out.push(digit | 0x80);
            value >>= 7;
        }
        self.out
            .push(u8::try_from(value).expect("seven bits fit a byte"));
    }

    /// The length of something compact, which is stated plus one.
    pub fn compact(&mut self, length: usize) {
        let stated = u32::try_from(length)
            .ok()
            .and_then(|length| length.checked_add(1));
        self.varint(stated.expect("nothing of ours is longer than 4 GiB"));
    }

    /// A byte for a yes or no.
    pub fn bool(&mut self, value: bool) {
        self.out.push(u8::from(value));
    }

    /// Two bytes without a sign.
    pub fn u16(&mut self, value: u16) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    /// A compact string, or none.
    pub fn text(&mut self, value: Option<&str>) {
        match value {
            None => self.varint(0),
            Some(text) => {
                self.compact(text.len());
                self.bytes(text.as_bytes());
            }
        }
    }

    /// A compact list.
    pub fn list<T>(
        &mut self,
        elements: impl ExactSizeIterator<Item = T>,
        mut element: impl FnMut(&mut Writer<'_>, T),
    ) {
        self.compact(elements.len());
        for one in elements {
            element(self, one);
        }
    }

    /// Tagged fields by rising tags, each with its bytes; those with none are left out.
    pub fn tags(&mut self, fields: &[(u32, Option<Vec<u8>>)]) {
        let there = fields
            .iter()
            .filter_map(|(tag, bytes)| Some((tag, bytes.as_ref()?)));
        let count = there.clone().count();
        self.varint(u32::try_from(count).expect("a handful"));
        for (tag, bytes) in there {
            self.varint(*tag);
            self.varint(u32::try_from(bytes.len()).expect("our tagged fields are short"));
            self.bytes(bytes);
        }
    }

    /// A nullable string of the older, not compact kind.
    pub fn string(&mut self, value: &str) {
        let length = i16::try_from(value.len()).expect("our strings are short");
        self.i16(length);
        self.bytes(value.as_bytes());
    }

    /// No tagged fields.
    pub fn no_tags(&mut self) {
        self.out.push(0);
    }
}

/// The bytes that `write` writes, for a tagged field.
#[must_use]
pub fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut Writer::new(&mut out));
    out
}
