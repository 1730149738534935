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
    pub(super) headers: Vec<RecordHeader<'b>>,
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

fn headers<'b>(record: &mut Fields<'b>) -> Result<Vec<RecordHeader<'b>>, EntryFault> {
    let count = record.count("a count of headers")?;
    if count > record.left() / HEADER_BYTES_MIN {
        return Err(EntryFault::Beyond { field: "headers" });
    }
    let mut headers = Vec::with_capacity(count);
    for _ in 0..count {
        let length = record.count("the length of a header's name")?;
        let key = record.bytes(length, "a header's name")?;
        let value = record.nullable("a header's value")?;
        headers.push(RecordHeader { key, value });
    }
    Ok(headers)
}
