//! Pieces as JSON, an object a line. Numbers stand as the files have them.

use serde_json::{Map, Value, json};

use super::page::UNPACKED_BYTES_MAX;
use crate::log::{Agreement, Outcome, Piece};
use crate::model::Offset;
use crate::record::{Batch, Contents, Control, Record, TimestampType, control};

/// The lines of a piece: one, and one more for each record where those are wanted.
pub(super) fn lines(piece: &Piece<'_>, records: bool, out: &mut dyn FnMut(String)) {
    out(object(piece).to_string());
    if let Piece::Batch(batch, _) = piece
        && records
    {
        push_records(batch, out);
    }
}

fn object(piece: &Piece<'_>) -> Value {
    match piece {
        Piece::File(path, size) => {
            json!({ "kind": "file", "path": path.display().to_string(), "bytes": size })
        }
        Piece::Batch(found, position) => batch(found, position.value()),
        Piece::Gap(from, to) => json!({ "kind": "gap", "from": from.value(), "to": to.value() }),
        Piece::NoBatch(at, why) => json!({ "kind": "damage", "position": at, "why": why }),
        Piece::Transaction(one) => json!({
            "kind": "transaction",
            "producer_id": one.producer.value(),
            "producer_epoch": one.epoch.value(),
            "first_offset": one.first.map(Offset::value),
            "last_offset": one.last.value(),
            "batches": one.batches,
            "records": one.records,
            "outcome": match one.outcome {
                Outcome::Committed => "committed",
                Outcome::Aborted => "aborted",
                Outcome::Open => "open",
            },
        }),
        Piece::OffsetEntry(last, position, agreement) => checked(
            json!({ "kind": "offset_entry", "offset": last.value(), "position": position.value() }),
            *agreement,
        ),
        Piece::TimeEntry(timestamp, last, agreement) => checked(
            json!({ "kind": "time_entry", "timestamp": timestamp, "offset": last.value() }),
            *agreement,
        ),
        Piece::Aborted(one, agreement) => checked(
            json!({
                "kind": "aborted_transaction",
                "producer_id": one.producer.value(),
                "first_offset": one.first.value(),
                "last_offset": one.last.value(),
                "last_stable_offset": one.last_stable.value(),
            }),
            *agreement,
        ),
        Piece::Room(bytes) => json!({ "kind": "room", "bytes": bytes }),
        Piece::Producer(known) => json!({
            "kind": "producer",
            "producer_id": known.id.value(),
            "producer_epoch": known.epoch.value(),
            "last_sequence": known.last_sequence,
            "last_offset": known.last_offset.map(Offset::value),
            "offset_delta": known.offset_delta,
            "timestamp": known.timestamp,
            "coordinator_epoch": known.coordinator_epoch,
            "open_since": known.open_since.map(Offset::value),
        }),
        Piece::Epoch(epoch, start) => {
            json!({ "kind": "epoch", "epoch": epoch.value(), "start_offset": start.value() })
        }
        Piece::Text(line) => json!({ "kind": "text", "line": line }),
        Piece::NotReadable(why) => json!({ "kind": "damage", "why": why }),
    }
}

/// Says of an index entry whether its segment agrees: null where there is none beside it.
fn checked(mut object: Value, agreement: Agreement) -> Value {
    object["agrees"] = match agreement {
        Agreement::Agrees => json!(true),
        Agreement::Unknown => Value::Null,
        Agreement::Differs(why) => {
            object["why"] = json!(why);
            json!(false)
        }
    };
    object
}

fn batch(batch: &Batch<'_>, position: u64) -> Value {
    let header = batch.header();
    let (said, coordinator_epoch, fault) = said(batch);
    json!({
        "kind": "batch",
        "position": position,
        "bytes": batch.bytes().len(),
        "base_offset": batch.base_offset().value(),
        "last_offset": batch.last_offset().value(),
        "records": batch.record_count(),
        "codec": batch.codec().to_string(),
        "leader_epoch": batch.leader_epoch().value(),
        "timestamp_type": match batch.timestamp_type() {
            TimestampType::CreateTime => "CreateTime",
            TimestampType::LogAppendTime => "LogAppendTime",
        },
        "base_timestamp": batch.base_timestamp(),
        "max_timestamp": batch.max_timestamp(),
        "delete_horizon": batch.has_delete_horizon(),
        "producer_id": header.producer_id.get(),
        "producer_epoch": header.producer_epoch.get(),
        "base_sequence": header.base_sequence.get(),
        "last_sequence": batch.last_sequence(),
        "transactional": batch.is_transactional(),
        "control": said,
        "coordinator_epoch": coordinator_epoch,
        "control_fault": fault,
        "crc": header.crc.get(),
    })
}

/// What a control batch says, under which coordinator's epoch, or why that cannot be read.
fn said(batch: &Batch<'_>) -> (Option<String>, Option<i32>, Option<String>) {
    if !batch.is_control() {
        return (None, None, None);
    }
    let marker = |what: &str, epoch| (Some(what.to_owned()), Some(epoch), None);
    match control(batch) {
        Ok(Control::Commit { coordinator_epoch }) => marker("commit", coordinator_epoch),
        Ok(Control::Abort { coordinator_epoch }) => marker("abort", coordinator_epoch),
        Ok(Control::LeaderChange) => (Some("leader-change".to_owned()), None, None),
        Ok(Control::Other(kind)) => (Some(format!("type-{kind}")), None, None),
        Err(fault) => (Some("unreadable".to_owned()), None, Some(fault.to_string())),
    }
}

fn push_records(batch: &Batch<'_>, out: &mut dyn FnMut(String)) {
    let unreadable = |fault: &dyn std::fmt::Display| {
        json!({ "kind": "record", "why_not_shown": fault.to_string() }).to_string()
    };
    match Contents::of(batch, UNPACKED_BYTES_MAX) {
        Err(fault) => out(unreadable(&fault)),
        Ok(contents) => contents.records().for_each(|one| {
            out(match one {
                Ok(one) => record(&one).to_string(),
                Err(fault) => unreadable(&fault),
            });
        }),
    }
}

fn record(record: &Record<'_>) -> Value {
    let mut object = Map::new();
    object.insert("kind".to_owned(), json!("record"));
    object.insert("offset".to_owned(), json!(record.offset.value()));
    object.insert("timestamp".to_owned(), json!(record.timestamp));
    put(&mut object, "key", record.key);
    put(&mut object, "value", record.value);
    let headers = record.headers.clone().map(|header| {
        let mut object = Map::new();
        put(&mut object, "name", Some(header.key));
        put(&mut object, "value", header.value);
        Value::Object(object)
    });
    object.insert("headers".to_owned(), headers.collect());
    Value::Object(object)
}

/// Bytes as text where they are some, in hexadecimal as `…_hex` where not.
fn put(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    let Some(bytes) = bytes else {
        object.insert(name.to_owned(), Value::Null);
        return;
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(name.to_owned(), json!(text)),
        Err(_) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            object.insert(format!("{name}_hex"), json!(hex))
        }
    };
}
