//! The shape of a request that a generated decoder will read. Every length and count in it is
//! walked first: that decoder allocates what a count says before it looks for the bytes.

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
    /// Any number of the same fields, or none.
    List(&'static [Shape]),
}

/// Elements and tagged fields that one request may have in all. The decoder makes some hundred
/// bytes of each.
const ELEMENTS_MAX: usize = 1 << 16;

/// Walks the fields of a request; `flexible` says which encoding it has.
///
/// # Errors
/// A part reaches over the end, cannot be what it says, is one of too many, or bytes are left over.
pub fn walk(shape: &[Shape], flexible: bool, bytes: &[u8]) -> Result<(), Malformed> {
    let mut walk = Walk {
        reader: Reader::new(bytes),
        flexible,
        elements_left: ELEMENTS_MAX,
    };
    match walk.fields(shape) {
        Ok(()) => match walk.reader.left() {
            0 => Ok(()),
            left => Err(Malformed::LeftOver { left }),
        },
        Err(Unread::Malformed(fault)) => Err(fault),
        Err(Unread::Short) => Err(Malformed::BeyondFrame {
            field: "a field of a request",
        }),
    }
}

struct Walk<'b> {
    reader: Reader<'b>,
    flexible: bool,
    elements_left: usize,
}

impl Walk<'_> {
    /// The fields of one structure, with the tagged ones behind them.
    fn fields(&mut self, shape: &[Shape]) -> Result<(), Unread> {
        for field in shape {
            match *field {
                Shape::Bytes(count) => self.pass(count)?,
                Shape::Text => self.text()?,
                Shape::Texts => {
                    for _ in 0..self.count()? {
                        self.text()?;
                    }
                }
                Shape::List(element) => {
                    for _ in 0..self.count()? {
                        self.fields(element)?;
                    }
                }
            }
        }
        if self.flexible {
            self.tags()?;
        }
        Ok(())
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

    fn count(&mut self) -> Result<usize, Unread> {
        let field = "a count of elements";
        let count = if self.flexible {
            self.reader.compact(field)?
        } else {
            nullable(self.reader.i32()?.into(), field)?
        };
        let count = count.unwrap_or(0);
        self.spend(count, field)?;
        Ok(count)
    }

    fn tags(&mut self) -> Result<(), Unread> {
        let field = "a count of tagged fields";
        // A copy of the reader: the count is judged before the fields are walked.
        let mut ahead = self.reader;
        let count = ahead.varint(field)?;
        self.spend(count as usize, field)?;
        self.reader.tagged(|_, _| Ok(()))
    }

    /// No element is shorter than a byte: whatever says otherwise claims too much.
    fn spend(&mut self, count: usize, field: &'static str) -> Result<(), Malformed> {
        let left = self.elements_left.min(self.reader.left());
        if count > left {
            let value = i64::try_from(count).unwrap_or(i64::MAX);
            return Err(Malformed::Impossible { field, value });
        }
        self.elements_left = self.elements_left.saturating_sub(count);
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
