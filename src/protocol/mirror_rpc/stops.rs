//! What a stop would do and has done, as the JSON in our own tagged fields and in reports.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::model::SetAside;

/// What a stop would do with a partition. Of a topic's plan there is a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StopPlan {
    /// Its number.
    pub partition: i32,
    /// The name of its state now.
    pub state: String,
    /// Where our log ends.
    pub log_end: Option<i64>,
    /// How many offsets the source is ahead.
    pub lag: Option<i64>,
    /// Transactions that are open, and would be aborted.
    pub open_transactions: Option<u64>,
    /// The broker that would lead it; none where nothing is handed over.
    pub new_leader: Option<i32>,
    /// What is in the way, in words; a stop would wait for it, or refuse.
    pub hindrances: Vec<String>,
}

/// What a stop has done with a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StopReport {
    /// LMO: where the log ended that both sides have in common.
    pub last_mirror_offset: Option<i64>,
    /// LME: the source's leader epoch there.
    pub last_mirror_epoch: Option<i32>,
    /// What the batches below LMO come to, as `twinlog inspect --digest` says it of any replica.
    pub digest: Option<LogDigest>,
    /// Transactions that were open, and are aborted here.
    pub aborted_transactions: Vec<AbortedTransaction>,
    /// How many offsets the source was ahead when fetching ended, by its last answer; none if it
    /// was not heard then.
    pub lag: Option<i64>,
    /// For how long records had been missing by then, in ms.
    pub lag_ms: Option<i64>,
    /// Offsets that were at the source then and are not here; none if it was not heard, or nothing
    /// is lost.
    pub lost: Option<LostRange>,
    /// Brokers that did not answer, and may give out producer ids of the source's if they run on.
    pub not_drained: Vec<i32>,
    /// The broker that leads it now; none where nothing was handed over.
    pub new_leader: Option<i32>,
    /// Its leader epoch there.
    pub leader_epoch: Option<i32>,
    /// Where its log ends there.
    pub log_end: Option<i64>,
    /// How long it took from the request on, in ms.
    pub took_ms: Option<i64>,
    /// Its steps, as far as it has come.
    pub steps: Vec<StepBegun>,
}

/// A partition of an exported report: what its stop has done, and between which topics of which
/// clusters, so that whoever mirrors back may be told by it where both sides part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExportedStop {
    /// The mirror.
    pub mirror: String,
    /// The cluster that it was mirrored from.
    pub source_cluster_id: Option<String>,
    /// The cluster that it was mirrored onto; none where that is a vault.
    pub destination_cluster_id: Option<String>,
    /// The topic.
    pub topic: String,
    /// Its id at the source.
    pub topic_id: Option<String>,
    /// Its id at the destination, as it was handed over.
    pub destination_topic_id: Option<String>,
    /// The partition's number.
    pub partition: i32,
    /// The name of its state.
    pub state: String,
    /// Why it has failed.
    pub error_message: Option<String>,
    /// The leader epoch, at the destination, in which it was handed over.
    pub led_epoch: Option<i32>,
    /// What was set aside of its log before that was cut, the oldest first, wherever it lies now.
    /// Who mirrors back has no use for it.
    #[serde(skip_deserializing)]
    pub set_aside: Vec<SetAside>,
    /// What its stop has done.
    #[serde(flatten)]
    pub report: StopReport,
}

impl ExportedStop {
    /// The partitions of an exported report.
    ///
    /// # Errors
    /// The bytes are something else, in the parser's words.
    pub fn read_all(json: &[u8]) -> Result<Vec<ExportedStop>, String> {
        let stops: Stops = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        Ok(stops.0)
    }
}

/// A few bytes stand for an entry of hundreds: so many at most.
const STOPS_MAX: usize = 100_000;

struct Stops(Vec<ExportedStop>);

impl<'de> Deserialize<'de> for Stops {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Stops, D::Error> {
        from.deserialize_seq(Stops(Vec::new()))
    }
}

impl<'de> Visitor<'de> for Stops {
    type Value = Stops;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of up to {STOPS_MAX} partitions")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut all: A) -> Result<Stops, A::Error> {
        while let Some(stop) = all.next_element()? {
            if self.0.len() == STOPS_MAX {
                return Err(A::Error::invalid_length(STOPS_MAX + 1, &self));
            }
            self.0.push(stop);
        }
        Ok(self)
    }
}

/// What the batches of a range of offsets come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogDigest {
    /// The first offset.
    pub from: i64,
    /// The one behind the last.
    pub to: i64,
    /// How many batches begin there.
    pub batches: u64,
    /// Their headers' digest, in hexadecimal digits.
    pub digest: String,
}

/// A step of a stop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StepBegun {
    /// What it is about, in words.
    pub step: String,
    /// When it began, in ms from the request on.
    pub at_ms: i64,
}

/// A transaction that ended with a stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AbortedTransaction {
    /// Whose it was.
    pub producer_id: i64,
    /// In which epoch.
    pub producer_epoch: i16,
    /// Where it began.
    pub first_offset: i64,
}

/// Offsets from the first one to before the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LostRange {
    /// The first.
    pub from: i64,
    /// The one behind the last.
    pub to: i64,
}

impl StopPlan {
    /// The plans of a topic's partitions.
    ///
    /// # Errors
    /// The text is something else, in the parser's words.
    pub fn read_all(json: &str) -> Result<Vec<StopPlan>, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    /// The same as text.
    ///
    /// # Panics
    /// Never: numbers and texts are JSON.
    #[must_use]
    pub fn write_all(plans: &[StopPlan]) -> String {
        serde_json::to_string(plans).expect("numbers and texts are JSON")
    }
}

impl StopReport {
    /// The report of a partition.
    ///
    /// # Errors
    /// The text is something else, in the parser's words.
    pub fn read(json: &str) -> Result<StopReport, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    /// The same as text.
    ///
    /// # Panics
    /// Never: numbers and texts are JSON.
    #[must_use]
    pub fn write(&self) -> String {
        serde_json::to_string(self).expect("numbers and texts are JSON")
    }
}
