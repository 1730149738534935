//! One record as its bytes say, borrowed from the records of its batch.

use super::fields::{EntryFault, Fields};

/// A record whose offset and timestamp are still relative to its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry<'b> {
    /// In ms.
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: u32,
    pub(super) key: Option<&'b [u8]>,
    pub(super) value: Option<&'b [u8]>,
    pub(super) headers: RecordHeaders<'b>,
}

/// The headers of a record in their order; names may come twice. They are read where they lie:
/// each occupies many times the two bytes that it may have there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHeaders<'b> {
    fields: Fields<'b>,
    left: usize,
}

impl<'b> Iterator for RecordHeaders<'b> {
    type Item = RecordHeader<'b>;

    fn next(&mut self) -> Option<RecordHeader<'b>> {
        self.left = self.left.checked_sub(1)?;
        Some(header(&mut self.fields).expect("they were all read before"))
    }
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader<'b> {
    /// Its name: UTF-8 as Kafka's clients write it, which nobody checks.
    pub key: &'b [u8],
    /// Its value.
    pub value: Option<&'b [u8]>,
}

/// A header's name and value each have a length of one byte at least.
const HEADER_BYTES_MIN: usize = 2;

impl<'b> Entry<'b> {
    /// Reads the record at the front of `fields`, which must end where its length says.
    pub(super) fn read(fields: &mut Fields<'b>) -> Result<Entry<'b>, EntryFault> {
        let length = fields.count("the length of a record")?;
        let mut record = Fields::new(fields.bytes(length, "a record")?);
        let [_attributes] = record.array("the attributes of a record")?;
        let timestamp_delta = record.varlong("a timestamp delta")?;
        let offset_delta = record.varint("an offset delta")?;
        let offset_delta = u32::try_from(offset_delta).map_err(|_| EntryFault::Impossible {
            field: "an offset delta",
            value: i64::from(offset_delta),
        })?;
        let entry = Entry {
            timestamp_delta,
            offset_delta,
            key: record.nullable("a key")?,
            value: record.nullable("a value")?,
            headers: headers(&mut record)?,
        };
        match record.left() {
            0 => Ok(entry),
            left => Err(EntryFault::LeftOver { left }),
        }
    }
}

/// Reads over all of them, so that they can be read again.
fn headers<'b>(record: &mut Fields<'b>) -> Result<RecordHeaders<'b>, EntryFault> {
    let left = record.count("a count of headers")?;
    if left > record.left() / HEADER_BYTES_MIN {
        return Err(EntryFault::Beyond { field: "headers" });
    }
    let fields = record.clone();
    for _ in 0..left {
        header(record)?;
    }
    Ok(RecordHeaders { fields, left })
}

fn header<'b>(record: &mut Fields<'b>) -> Result<RecordHeader<'b>, EntryFault> {
    let length = record.count("the length of a header's name")?;
    let key = record.bytes(length, "a header's name")?;
    let value = record.nullable("a header's value")?;
    Ok(RecordHeader { key, value })
}
