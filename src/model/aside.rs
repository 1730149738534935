//! What was set aside of a log before it was cut, in the one form that it has everywhere: in the
//! file beside it, in answers and in reports. Hence plain numbers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The part of a log that was set aside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SetAside {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The topic's id, as the log's files name it.
    pub topic_id: Option<String>,
    /// The directory that it lies in. The file beside it does not say so: both may be moved.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// When, in ms since 1970.
    pub timestamp: i64,
    /// Where the log ends without it.
    pub from: i64,
    /// The offset behind its last sound batch; `from` where it has none.
    pub to: i64,
    /// All of its sound batches.
    #[serde(flatten)]
    pub all: Written,
    /// Bytes from the first one on that is not of a sound batch, in each segment.
    pub unreadable_bytes: u64,
    /// Transactions that end in it, and how, wherever they have begun.
    pub committed_transactions: u64,
    /// The same of those that were aborted.
    pub aborted_transactions: u64,
    /// Transactions of the producers listed that have begun in it, and do not end in it.
    pub open_transactions: u64,
    /// Its control batches, those that end transactions for the most part.
    pub control: Written,
    /// What nobody with an id has written.
    pub without_producer: Written,
    /// What producers have written, in the order in which they come.
    pub producers: Vec<WrittenBy>,
    /// What further producers have written, of which there are too many to list.
    pub further_producers: Written,
}

/// How much was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Written {
    /// Batches.
    pub batches: u64,
    /// Their records.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What one producer has written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WrittenBy {
    /// Its id.
    pub producer_id: i64,
    /// Its epoch in its first batch.
    pub first_epoch: i16,
    /// Its epoch in its last batch.
    pub last_epoch: i16,
    /// The first offset of its first batch.
    pub first_offset: i64,
    /// The last offset of its last batch.
    pub last_offset: i64,
    /// The first sequence number of its first batch.
    pub first_sequence: i32,
    /// The last sequence number of its last batch.
    pub last_sequence: i32,
    /// How much, markers not counted.
    #[serde(flatten)]
    pub written: Written,
    /// Where its transaction has begun that does not end here.
    pub open_from: Option<i64>,
}

impl SetAside {
    /// The name of the file in which it is told, beside what was set aside.
    pub const FILE: &str = "set-aside.json";
    /// No more producers are listed.
    pub const PRODUCERS_MAX: usize = 32;

    /// What the file says, or an answer that lists several.
    ///
    /// # Errors
    /// The text is something else, in the parser's words.
    pub fn read<T: for<'de> Deserialize<'de>>(json: &[u8]) -> Result<T, String> {
        serde_json::from_slice(json).map_err(|error| error.to_string())
    }

    /// The same as text.
    ///
    /// # Panics
    /// Never: numbers and texts are JSON.
    #[must_use]
    pub fn write(told: &(impl Serialize + ?Sized)) -> String {
        serde_json::to_string(told).expect("numbers and texts are JSON")
    }
}

impl Written {
    /// One batch more.
    pub fn add(&mut self, records: u32, bytes: usize) {
        self.batches += 1;
        self.records += u64::from(records);
        self.bytes += bytes as u64;
    }
}

impl fmt::Display for SetAside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SetAside { from, to, all, .. } = self;
        let many = |count: u64, one: &str, more: &str| match count {
            1 => format!("1 {one}"),
            _ => format!("{count} {more}"),
        };
        let records = many(all.records, "record", "records");
        let batches = many(all.batches, "batch", "batches");
        write!(f, "offsets {from} up to {to}, {records} in {batches}")?;
        if self.control.batches > 0 {
            let control = many(self.control.batches, "control batch", "control batches");
            write!(f, ", {control} included")?;
        }
        let ids = self.producers.iter().map(|one| one.producer_id.to_string());
        match ids.collect::<Vec<_>>().join(", ") {
            ids if ids.is_empty() => write!(f, ", of no producer with an id")?,
            ids if self.further_producers.batches > 0 => {
                write!(f, ", of producers {ids} and more")?
            }
            ids => write!(f, ", of producers {ids}")?,
        }
        if self.unreadable_bytes > 0 {
            write!(
                f,
                ", and {} bytes that cannot be read",
                self.unreadable_bytes
            )?;
        }
        write!(f, "; it lies in {}", self.path)
    }
}
