//! What a partition, or one file of it, comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::text;
use crate::log::{Agreement, Outcome, Piece, Transaction};
use crate::model::{LeaderEpoch, Offset, ProducerId};
use crate::record::Batch;

/// Sums over pieces.
#[derive(Default)]
pub(super) struct Totals {
    segments: u64,
    batches: u64,
    records: u64,
    bytes: u64,
    /// The first batch's base offset and the offset behind the last one.
    range: Option<(Offset, Offset)>,
    /// The least and the largest timestamp in ms.
    times: Option<(i64, i64)>,
    epochs: Option<(LeaderEpoch, LeaderEpoch)>,
    codecs: BTreeMap<String, u64>,
    producers: BTreeSet<ProducerId>,
    committed: u64,
    aborted: u64,
    open: Vec<Transaction>,
    gaps: u64,
    gap_offsets: u64,
    agreeing: u64,
    unchecked: u64,
    differing: u64,
    pub(super) unsound: u64,
}

/// Whether a piece says that something is wrong.
pub(super) fn is_unsound(piece: &Piece<'_>) -> bool {
    let differs = matches!(agreement(piece), Some(Agreement::Differs(_)));
    differs || matches!(piece, Piece::NoBatch(..) | Piece::NotReadable(_))
}

fn agreement(piece: &Piece<'_>) -> Option<Agreement> {
    match piece {
        Piece::OffsetEntry(.., agreement)
        | Piece::TimeEntry(.., agreement)
        | Piece::Aborted(_, agreement) => Some(*agreement),
        _ => None,
    }
}

impl Totals {
    pub(super) fn add(&mut self, piece: &Piece<'_>) {
        self.unsound += u64::from(is_unsound(piece));
        match agreement(piece) {
            None => {}
            Some(Agreement::Agrees) => self.agreeing += 1,
            Some(Agreement::Unknown) => self.unchecked += 1,
            Some(Agreement::Differs(_)) => self.differing += 1,
        }
        match piece {
            Piece::File(path, _) => {
                let is_segment = path.extension().is_some_and(|end| end == "log");
                self.segments += u64::from(is_segment);
            }
            Piece::Batch(batch, _) => self.add_batch(batch),
            Piece::Gap(from, to) => {
                self.gaps += 1;
                self.gap_offsets += to.since(*from);
            }
            Piece::Transaction(transaction) => match transaction.outcome {
                Outcome::Committed => self.committed += 1,
                Outcome::Aborted => self.aborted += 1,
                Outcome::Open => self.open.push(*transaction),
            },
            _ => {}
        }
    }

    fn add_batch(&mut self, batch: &Batch<'_>) {
        self.batches += 1;
        self.records += u64::from(batch.record_count());
        self.bytes += batch.bytes().len() as u64;
        let (first, _) = self.range.unwrap_or((batch.base_offset(), Offset::ZERO));
        self.range = Some((first, batch.next_offset()));
        let epoch = batch.leader_epoch();
        let (least, _) = self.epochs.unwrap_or((epoch, epoch));
        self.epochs = Some((least, epoch));
        *self.codecs.entry(batch.codec().to_string()).or_default() += 1;
        self.producers.extend(batch.producer().map(|one| one.id));
        let stamp = batch.max_timestamp();
        if stamp >= 0 {
            let (least, most) = self.times.unwrap_or((stamp, stamp));
            self.times = Some((least.min(stamp), most.max(stamp)));
        }
    }

    pub(super) fn to_text(&self) -> String {
        let mut rows: Vec<(&str, String)> = Vec::new();
        if self.segments > 0 {
            self.describe_batches(&mut rows);
        }
        let entries = self.agreeing + self.unchecked + self.differing;
        if entries > 0 {
            let mut parts = vec![format!(
                "{} agree with their segments",
                text::count(self.agreeing)
            )];
            if self.unchecked > 0 {
                parts.push(format!(
                    "{} have none beside them",
                    text::count(self.unchecked)
                ));
            }
            if self.differing > 0 {
                parts.push(format!("{} DIFFER", text::count(self.differing)));
            }
            rows.push(("index entries", parts.join(", ")));
        }
        let sound = match self.unsound {
            0 => "yes".to_owned(),
            count => format!("NO: {}, see above", text::many(count, "fault", "faults")),
        };
        rows.push(("sound", sound));
        let lines = rows
            .iter()
            .map(|(name, value)| format!("  {name:<14} {value}"));
        format!("\nin all\n{}", lines.collect::<Vec<_>>().join("\n"))
    }

    fn describe_batches(&self, rows: &mut Vec<(&str, String)>) {
        let size = text::bytes(self.bytes);
        let records = text::many(self.records, "record", "records");
        let segments = text::many(self.segments, "segment", "segments");
        let batches = text::count(self.batches);
        rows.push((
            "batches",
            format!("{batches} with {records}, {size} in {segments}"),
        ));
        if let Some((first, next)) = self.range {
            rows.push(("offsets", format!("{first} up to {next}")));
        }
        if let Some((least, most)) = self.times {
            let (least, most) = (text::instant(least), text::instant(most));
            rows.push(("times", format!("{least} to {most}")));
        }
        if let Some((least, most)) = self.epochs {
            rows.push(("leader epochs", format!("{least} to {most}")));
        }
        let codecs = self.codecs.iter();
        let codecs = codecs.map(|(codec, count)| format!("{codec} {}", text::count(*count)));
        rows.push(("codecs", codecs.collect::<Vec<_>>().join(", ")));
        rows.push(("producers", text::count(self.producers.len() as u64)));
        let open = match self.open.iter().filter_map(|open| open.first).min() {
            Some(first) => format!("{} open, the first from offset {first}", self.open.len()),
            None => "none open".to_owned(),
        };
        let ended = [self.committed, self.aborted].map(text::count);
        let [committed, aborted] = ended;
        rows.push((
            "transactions",
            format!("{committed} committed, {aborted} aborted, {open}"),
        ));
        let gaps = match self.gaps {
            0 => "none".to_owned(),
            gaps => {
                let offsets = text::many(self.gap_offsets, "offset", "offsets");
                format!("{} of {offsets}", text::count(gaps))
            }
        };
        rows.push(("gaps", gaps));
    }

    pub(super) fn to_json(&self, path: &Path) -> Value {
        json!({
            "kind": "summary",
            "path": path.display().to_string(),
            "segments": self.segments,
            "batches": self.batches,
            "records": self.records,
            "bytes": self.bytes,
            "first_offset": self.range.map(|(first, _)| first.value()),
            "next_offset": self.range.map(|(_, next)| next.value()),
            "min_timestamp": self.times.map(|(least, _)| least),
            "max_timestamp": self.times.map(|(_, most)| most),
            "first_epoch": self.epochs.map(|(first, _)| first.value()),
            "last_epoch": self.epochs.map(|(_, last)| last.value()),
            "codecs": self.codecs,
            "producers": self.producers.len(),
            "committed_transactions": self.committed,
            "aborted_transactions": self.aborted,
            "open_transactions": self.open.len(),
            "gaps": self.gaps,
            "gap_offsets": self.gap_offsets,
            "index_entries_agreeing": self.agreeing,
            "index_entries_unchecked": self.unchecked,
            "index_entries_differing": self.differing,
            "unsound": self.unsound,
        })
    }
}
