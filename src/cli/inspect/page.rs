//! Pieces as lines for people: tables with heads, whose columns only ever grow.

use std::path::{Path, PathBuf};

use crate::cli::text;
use crate::log::{Aborted, Agreement, KnownProducer, Outcome, Piece, Transaction};
use crate::record::{Batch, Contents, Control, Record, TimestampType, control};

/// Bytes that the records of one batch may unpack to.
pub(super) const UNPACKED_BYTES_MAX: usize = 64 << 20;
/// Characters of a key or value that are shown.
const SHOWN_MAX: usize = 60;

const BATCH: &Table = &[
    ("position", Side::Right),
    ("offsets", Side::Left),
    ("records", Side::Right),
    ("bytes", Side::Right),
    ("codec", Side::Left),
    ("epoch", Side::Right),
    ("time", Side::Left),
    ("producer", Side::Left),
    ("sequence", Side::Left),
    ("crc", Side::Left),
    ("", Side::Left),
];
const OFFSETS: &Table = &[
    ("offset", Side::Right),
    ("position", Side::Right),
    ("", Side::Left),
];
const TIMES: &Table = &[
    ("time", Side::Left),
    ("offset", Side::Right),
    ("", Side::Left),
];
const ABORTED: &Table = &[
    ("producer", Side::Right),
    ("first offset", Side::Right),
    ("last offset", Side::Right),
    ("last stable", Side::Right),
    ("", Side::Left),
];
const PRODUCERS: &Table = &[
    ("producer", Side::Left),
    ("last sequence", Side::Right),
    ("last offset", Side::Right),
    ("time", Side::Left),
    ("coordinator epoch", Side::Right),
    ("open since", Side::Right),
];
const EPOCHS: &Table = &[("epoch", Side::Right), ("start offset", Side::Right)];

type Table = [(&'static str, Side)];

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Left,
    Right,
}

/// How far the page is written.
#[derive(Default)]
pub(super) struct Page {
    /// What paths are shown without.
    dir: PathBuf,
    table: Option<&'static Table>,
    widths: Vec<usize>,
}

impl Page {
    /// A partition's directory, or one of its files, comes next.
    pub(super) fn begin(&mut self, path: &Path) {
        self.dir = path.to_owned();
        self.table = None;
    }

    /// The lines of a piece.
    pub(super) fn lines(&mut self, piece: &Piece<'_>, records: bool, out: &mut dyn FnMut(String)) {
        match piece {
            Piece::File(path, size) => {
                self.table = None;
                let inside = path.strip_prefix(&self.dir).unwrap_or(path);
                let name = match inside.as_os_str().is_empty() {
                    true => path.file_name().map(Path::new).unwrap_or(path),
                    false => inside,
                };
                out(String::new());
                out(format!("{}  {}", name.display(), text::bytes(*size)));
            }
            Piece::Batch(batch, position) => {
                self.row(BATCH, batch_cells(batch, position.value()), out);
                if records {
                    show_records(batch, out);
                }
            }
            Piece::Gap(from, to) => {
                let offsets = text::many(to.since(*from), "offset", "offsets");
                out(format!("  gap: {offsets} from {from} up to {to} not here"));
            }
            Piece::NoBatch(at, why) => out(format!("  NO BATCH at position {at}: {why}")),
            Piece::Transaction(one) => out(format!("  {}", transaction(one))),
            Piece::OffsetEntry(last, position, agreement) => {
                let cells = vec![last.to_string(), position.value().to_string()];
                self.row(OFFSETS, with(cells, *agreement), out);
            }
            Piece::TimeEntry(timestamp, last, agreement) => {
                let cells = vec![text::instant(*timestamp), last.to_string()];
                self.row(TIMES, with(cells, *agreement), out);
            }
            Piece::Aborted(one, agreement) => {
                self.row(ABORTED, with(aborted_cells(one), *agreement), out);
            }
            Piece::Room(bytes) => {
                let bytes = text::bytes(*bytes);
                out(format!("  {bytes} of room for further entries"));
            }
            Piece::Producer(known) => self.row(PRODUCERS, producer_cells(known), out),
            Piece::Epoch(epoch, start) => {
                self.row(EPOCHS, vec![epoch.to_string(), start.to_string()], out);
            }
            Piece::Text(line) => out(format!("  {}", line.escape_debug())),
            Piece::NotReadable(why) => out(format!("  NOT READABLE: {why}")),
        }
    }

    /// A row of a table, under its heads where the table begins.
    fn row(&mut self, table: &'static Table, cells: Vec<String>, out: &mut dyn FnMut(String)) {
        if self.table != Some(table) {
            self.table = Some(table);
            self.widths = vec![0; table.len()];
            let heads = table.iter().map(|(head, _)| (*head).to_owned());
            let heads: Vec<String> = heads.collect();
            self.widen(&heads);
            self.widen(&cells);
            out(self.padded(table, &heads));
        }
        self.widen(&cells);
        out(self.padded(table, &cells));
    }

    fn widen(&mut self, cells: &[String]) {
        for (width, cell) in self.widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }

    fn padded(&self, table: &Table, cells: &[String]) -> String {
        let columns = table.iter().zip(cells).zip(&self.widths);
        let padded = columns.map(|(((_, side), cell), width)| match side {
            Side::Left => format!("{cell:<width$}"),
            Side::Right => format!("{cell:>width$}"),
        });
        let line = padded.collect::<Vec<_>>().join("  ");
        format!("  {}", line.trim_end())
    }
}

fn with(mut cells: Vec<String>, agreement: Agreement) -> Vec<String> {
    cells.push(match agreement {
        Agreement::Agrees => String::new(),
        Agreement::Unknown => "not checked: there is no segment beside it".to_owned(),
        Agreement::Differs(why) => format!("WRONG: {why}"),
    });
    cells
}

fn batch_cells(batch: &Batch<'_>, position: u64) -> Vec<String> {
    let (producer, sequence) = match batch.producer() {
        None => ("-".to_owned(), "-".to_owned()),
        Some(one) => {
            let first = one.base_sequence;
            let sequence = match first {
                ..0 => "-".to_owned(),
                _ => range(first, batch.last_sequence()),
            };
            (format!("{}/{}", one.id, one.epoch), sequence)
        }
    };
    vec![
        position.to_string(),
        range(batch.base_offset(), batch.last_offset()),
        batch.record_count().to_string(),
        text::bytes(batch.bytes().len() as u64),
        batch.codec().to_string(),
        batch.leader_epoch().to_string(),
        times(batch),
        producer,
        sequence,
        format!("{:08x}", batch.header().crc.get()),
        notes(batch),
    ]
}

fn range<T: PartialEq + std::fmt::Display>(first: T, last: T) -> String {
    match first == last {
        true => first.to_string(),
        false => format!("{first}..{last}"),
    }
}

/// The first timestamp and how far the largest lies behind it.
fn times(batch: &Batch<'_>) -> String {
    let (base, most) = (batch.base_timestamp(), batch.max_timestamp());
    let is_base_a_time = !batch.has_delete_horizon() && (0..most).contains(&base);
    match is_base_a_time {
        true => format!(
            "{} +{} ms",
            text::instant(base),
            text::count(most.abs_diff(base))
        ),
        false => text::instant(most),
    }
}

fn notes(batch: &Batch<'_>) -> String {
    let mut notes = Vec::new();
    if batch.timestamp_type() == TimestampType::LogAppendTime {
        notes.push("append time".to_owned());
    }
    if batch.has_delete_horizon() {
        let horizon = text::instant(batch.base_timestamp());
        notes.push(format!("delete horizon {horizon}"));
    }
    if batch.is_transactional() && !batch.is_control() {
        notes.push("transactional".to_owned());
    }
    if batch.is_control() {
        notes.push(match control(batch) {
            Ok(Control::Commit { coordinator_epoch }) => {
                format!("COMMIT by coordinator epoch {coordinator_epoch}")
            }
            Ok(Control::Abort { coordinator_epoch }) => {
                format!("ABORT by coordinator epoch {coordinator_epoch}")
            }
            Ok(Control::LeaderChange) => "leader change".to_owned(),
            Ok(Control::Other(kind)) => format!("control record of type {kind}"),
            Err(fault) => format!("control batch, not readable: {fault}"),
        });
    }
    notes.join(", ")
}

fn transaction(one: &Transaction) -> String {
    let (producer, epoch) = (one.producer, one.epoch);
    let whose = format!("transaction of producer {producer}/{epoch}");
    let Some(first) = one.first else {
        return format!("{whose}: nothing of it is here");
    };
    let records = text::many(one.records, "record", "records");
    let batches = text::many(one.batches, "batch", "batches");
    let what = format!("{records} in {batches} from offset {first}");
    match one.outcome {
        Outcome::Committed => format!("{whose}: {what}, committed"),
        Outcome::Aborted => format!("{whose}: {what}, aborted"),
        Outcome::Open => format!("{whose}: {what}, OPEN"),
    }
}

fn aborted_cells(one: &Aborted) -> Vec<String> {
    let offsets = [one.first, one.last, one.last_stable];
    let mut cells = vec![one.producer.to_string()];
    cells.extend(offsets.map(|offset| offset.to_string()));
    cells
}

fn producer_cells(known: &KnownProducer) -> Vec<String> {
    let or_none = |offset: Option<crate::model::Offset>| match offset {
        Some(offset) => offset.to_string(),
        None => "-".to_owned(),
    };
    let from_zero = |number: i32| match number {
        ..0 => "-".to_owned(),
        _ => number.to_string(),
    };
    vec![
        format!("{}/{}", known.id, known.epoch),
        from_zero(known.last_sequence),
        or_none(known.last_offset),
        text::instant(known.timestamp),
        from_zero(known.coordinator_epoch),
        or_none(known.open_since),
    ]
}

fn show_records(batch: &Batch<'_>, out: &mut dyn FnMut(String)) {
    let unreadable = |fault: &dyn std::fmt::Display| format!("    records not shown: {fault}");
    match Contents::of(batch, UNPACKED_BYTES_MAX) {
        Err(fault) => out(unreadable(&fault)),
        Ok(contents) => contents.records().for_each(|record| {
            out(match record {
                Ok(record) => record_line(&record),
                Err(fault) => unreadable(&fault),
            });
        }),
    }
}

fn record_line(record: &Record<'_>) -> String {
    let mut line = format!(
        "    {}  {}  key {}  value {}",
        record.offset,
        text::instant(record.timestamp),
        excerpt(record.key),
        excerpt(record.value),
    );
    for header in record.headers.clone() {
        let name = String::from_utf8_lossy(header.key);
        let name = name.escape_debug();
        line += &format!("  {name}={}", excerpt(header.value));
    }
    line
}

/// The beginning of a key or value, as text where it is some.
fn excerpt(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else {
        return "none".to_owned();
    };
    let size = text::bytes(bytes.len() as u64);
    let mut shown: String = match std::str::from_utf8(bytes) {
        Ok(text) => {
            let letters = text.escape_debug().take(SHOWN_MAX);
            format!("\"{}\"", letters.collect::<String>())
        }
        Err(_) => {
            let pairs = bytes.iter().take(SHOWN_MAX / 2);
            pairs.map(|byte| format!("{byte:02x}")).collect()
        }
    };
    if shown.chars().count() >= SHOWN_MAX {
        shown.push('…');
    }
    format!("{shown} ({size})")
}
