//! The shape of what a generated decoder will read. Every length and count in it is walked first:
//! that decoder allocates what a count says before it looks for the bytes.

use super::primitive::{Malformed, Reader, Unread};

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// So many bytes.
    Bytes(usize),
    /// A string, or none.
    Text,
    /// Strings, or none.
    Texts,
    /// Any number of values of so many bytes each, or none.
    Numbers(usize),
    /// Any number of the same fields, or none.
    List(&'static [Shape]),
    /// Tagged fields that the decoder knows, each by its tag; always the last. In the older
    /// encoding there are none.
    Tagged(&'static [(u32, Shape)]),
}

/// Elements and tagged fields that one request may have in all. The decoder makes some hundred
/// bytes of each.
const ELEMENTS_MAX: usize = 1 << 16;
/// Bytes of memory that a decoder may make of each byte of an answer. Metadata of partitions with
/// one replica needs 5, the settings of topics need 5 as well, reassignments of topics with a
/// partition each some 9.
pub const MEMORY_PER_BYTE: usize = 10;
/// Bytes of memory beside: small answers have room for what is not small in proportion.
pub const MEMORY_BESIDE: usize = 64 << 10;

/// What a string of the decoder occupies, in bytes: a view of the frame.
const TEXT_MEMORY: usize = 32;
/// What a list occupies beside its elements.
const LIST_MEMORY: usize = 24;
/// What every structure has for tagged fields, if there are any or not.
const TAGS_MEMORY: usize = 24;
/// The first tagged field that the decoder does not know brings a node with room for eleven.
const FIRST_TAG_MEMORY: usize = 448;
const TAG_MEMORY: usize = 96;

/// Walks the fields of a request; `flexible` says which encoding it has.
///
/// # Errors
/// A part reaches over the end, cannot be what it says, is one of too many, or bytes are left over.
pub fn walk(shape: &[Shape], flexible: bool, bytes: &[u8]) -> Result<(), Malformed> {
    let mut walk = Walk {
        reader: Reader::new(bytes),
        flexible,
        elements_left: ELEMENTS_MAX,
        memory_left: usize::MAX,
    };
    walk.whole(shape, "a field of a request")
}

/// Walks the fields of an answer, which may have as many elements as it likes: what the decoder
/// makes of them has to stay in proportion to its bytes.
///
/// # Errors
/// As [`walk`].
pub fn walk_answer(shape: &[Shape], flexible: bool, bytes: &[u8]) -> Result<(), Malformed> {
    let memory = bytes.len().saturating_mul(MEMORY_PER_BYTE);
    let mut walk = Walk {
        reader: Reader::new(bytes),
        flexible,
        elements_left: usize::MAX,
        memory_left: memory.saturating_add(MEMORY_BESIDE),
    };
    walk.whole(shape, "a field of an answer")
}

/// What a decoder makes of one structure, in bytes and without what its lists hold.
#[must_use]
pub fn memory(shape: &[Shape]) -> usize {
    let fields = shape.iter().map(held).fold(0, usize::saturating_add);
    fields.saturating_add(TAGS_MEMORY).next_multiple_of(8)
}

/// What one field is in a structure, in bytes.
fn held(field: &Shape) -> usize {
    match field {
        Shape::Bytes(count) => *count,
        Shape::Text => TEXT_MEMORY,
        Shape::Texts | Shape::Numbers(_) | Shape::List(_) => LIST_MEMORY,
        // Whether it is there or not.
        Shape::Tagged(known) => {
            let known = known.iter().map(|(_, field)| held(field));
            known.fold(0, usize::saturating_add)
        }
    }
}

struct Walk<'b> {
    reader: Reader<'b>,
    flexible: bool,
    elements_left: usize,
    memory_left: usize,
}

impl Walk<'_> {
    fn whole(&mut self, shape: &[Shape], field: &'static str) -> Result<(), Malformed> {
        let walked = self.fields(shape);
        self.exactly(walked, field)
    }

    /// All bytes are here: whatever wants more claims too much, and none may be left.
    fn exactly(&self, walked: Result<(), Unread>, field: &'static str) -> Result<(), Malformed> {
        match walked {
            Err(unread) => Err(unread.malformed_or(Malformed::BeyondFrame { field })),
            Ok(()) => match self.reader.left() {
                0 => Ok(()),
                left => Err(Malformed::LeftOver { left }),
            },
        }
    }

    /// The fields of one structure, with the tagged ones behind them.
    fn fields(&mut self, shape: &[Shape]) -> Result<(), Unread> {
        let mut known: &[(u32, Shape)] = &[];
        for field in shape {
            match *field {
                Shape::Tagged(tagged) => known = tagged,
                field => self.field(field)?,
            }
        }
        if self.flexible {
            self.tags(known)?;
        }
        Ok(())
    }

    fn field(&mut self, field: Shape) -> Result<(), Unread> {
        match field {
            Shape::Bytes(count) => self.pass(count),
            Shape::Text => self.text(),
            Shape::Texts => {
                for _ in 0..self.count(self.least(&[Shape::Text]), TEXT_MEMORY)? {
                    self.text()?;
                }
                Ok(())
            }
            Shape::Numbers(bytes) => {
                let count = self.count(bytes, bytes)?;
                self.pass(count.saturating_mul(bytes))
            }
            Shape::List(element) => {
                let tags = usize::from(self.flexible);
                let least = self.least(element).saturating_add(tags);
                for _ in 0..self.count(least, memory(element))? {
                    self.fields(element)?;
                }
                Ok(())
            }
            Shape::Tagged(_) => Ok(()),
        }
    }

    /// The bytes that fields have at least.
    fn least(&self, shape: &[Shape]) -> usize {
        let field = |field: &Shape| match (field, self.flexible) {
            (Shape::Bytes(count), _) => *count,
            (Shape::Tagged(_), _) => 0,
            (_, true) => 1,
            (Shape::Text, false) => 2,
            (Shape::Texts | Shape::Numbers(_) | Shape::List(_), false) => 4,
        };
        shape.iter().map(field).fold(0, usize::saturating_add)
    }

    fn pass(&mut self, count: usize) -> Result<(), Unread> {
        let _passed = self.reader.bytes(count)?;
        Ok(())
    }

    fn text(&mut self) -> Result<(), Unread> {
        let field = "the length of a string";
        let length = if self.flexible {
            self.reader.compact(field)?
        } else {
            nullable(self.reader.i16()?.into(), field)?
        };
        self.pass(length.unwrap_or(0))
    }

    /// How many elements follow: each has at least so many bytes, and becomes so many of memory.
    fn count(&mut self, least: usize, memory: usize) -> Result<usize, Unread> {
        let field = "a count of elements";
        let count = if self.flexible {
            self.reader.compact(field)?
        } else {
            nullable(self.reader.i32()?.into(), field)?
        };
        let count = count.unwrap_or(0);
        self.spend(count, least, count.saturating_mul(memory), field)?;
        Ok(count)
    }

    fn tags(&mut self, known: &[(u32, Shape)]) -> Result<(), Unread> {
        let field = "a count of tagged fields";
        let count = self.reader.varint(field)?;
        // Each has a tag and a size.
        self.spend(count as usize, 2, 0, field)?;
        let mut memory = FIRST_TAG_MEMORY;
        for _ in 0..count {
            let tag = self.reader.varint("tag")?;
            let size = self.reader.varint("size of a tagged field")?;
            let bytes = self.reader.bytes(size as usize)?;
            match known.iter().find(|(known, _)| *known == tag) {
                Some((_, shape)) => self.tag(*shape, bytes)?,
                None => {
                    self.spend(0, 0, memory, field)?;
                    memory = TAG_MEMORY;
                }
            }
        }
        Ok(())
    }

    /// A tagged field that is known has exactly the bytes that its size says: the decoder reads it
    /// where it stands and does not look at the size.
    fn tag(&mut self, shape: Shape, bytes: &[u8]) -> Result<(), Unread> {
        let mut inner = Walk {
            reader: Reader::new(bytes),
            ..*self
        };
        let walked = inner.field(shape);
        let walked = inner.exactly(walked, "a tagged field");
        self.elements_left = inner.elements_left;
        self.memory_left = inner.memory_left;
        Ok(walked?)
    }

    /// Whatever claims more than the bytes can hold, or than may be made of them, is refused.
    fn spend(
        &mut self,
        count: usize,
        least: usize,
        memory: usize,
        field: &'static str,
    ) -> Result<(), Malformed> {
        let has_bytes = count.saturating_mul(least) <= self.reader.left();
        if !has_bytes || count > self.elements_left || memory > self.memory_left {
            let value = i64::try_from(count).unwrap_or(i64::MAX);
            return Err(Malformed::Impossible { field, value });
        }
        self.elements_left = self.elements_left.saturating_sub(count);
        self.memory_left = self.memory_left.saturating_sub(memory);
        Ok(())
    }
}

/// A length of the older encoding: −1 is none.
fn nullable(stated: i64, field: &'static str) -> Result<Option<usize>, Malformed> {
    match usize::try_from(stated) {
        Ok(length) => Ok(Some(length)),
        Err(_) if stated == -1 => Ok(None),
        Err(_) => Err(Malformed::Impossible {
            field,
            value: stated,
        }),
    }
}

#[cfg(test)]
mod tests;
