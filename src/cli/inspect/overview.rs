//! A log directory as a whole, a vault or a broker's, and the files at its top.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::{Display, Stop};
use crate::cli::text;
use crate::io::{Disk, Entry};
use crate::log::last_epoch;
use crate::model::{LeaderEpoch, Offset, TopicPartition};
use crate::uring::RealDisk;
use crate::vault::{
    Checkpoint, Ending, Found, Offsets, PartitionState, TopFile, Vault, VaultFault, read_top_file,
};

/// One partition of the directory.
struct Row {
    id: TopicPartition,
    log_start: Option<Offset>,
    recovery_point: Option<Offset>,
    high_watermark: Option<Offset>,
    segments: u64,
    bytes: u64,
    /// The last leader epoch, or why it cannot be told.
    epoch: Result<LeaderEpoch, String>,
    state: Option<PartitionState>,
}

/// A log directory.
struct Overview {
    /// What only a vault has.
    vault: Option<Found>,
    rows: Vec<Row>,
    /// Directories that are no partitions.
    others: Vec<String>,
}

/// Shows the directory; says which partitions it holds.
pub(super) fn show<W: Write>(
    dir: &Path,
    display: &mut Display<W>,
) -> Result<Vec<TopicPartition>, Stop> {
    let overview = Overview::look(dir)?;
    for row in &overview.rows {
        if let Err(why) = &row.epoch {
            display.unsound += 1;
            let line = match display.wants.json {
                true => json!({ "kind": "damage", "why": why }).to_string(),
                false => format!("NOT READABLE: {why}"),
            };
            display.line(&line);
        }
    }
    match display.wants.json {
        true => {
            for object in overview.to_json(dir) {
                display.line(&object.to_string());
            }
        }
        false => display.line(&overview.to_text(dir)),
    }
    Ok(overview.rows.into_iter().map(|row| row.id).collect())
}

/// Shows one of the files at the top.
pub(super) fn show_file<W: Write>(path: &Path, display: &mut Display<W>) -> Result<(), Stop> {
    let file = read_top_file(&RealDisk, path)?;
    let json = display.wants.json;
    let mut say = |text: String, object: Value| {
        display.line(&match json {
            true => object.to_string(),
            false => text,
        });
    };
    match file {
        TopFile::Offsets(offsets) => {
            let rows = offsets.iter();
            let rows = rows.map(|(id, offset)| vec![id.to_string(), offset.to_string()]);
            let rows: Vec<Vec<String>> = rows.collect();
            if !json {
                display.line(&text::table(&["partition", "offset"], &rows));
                return Ok(());
            }
            for (id, offset) in &offsets {
                let object = json!({
                    "kind": "checkpoint",
                    "topic": id.topic.as_str(),
                    "partition": id.partition.value(),
                    "offset": offset.value(),
                });
                say(String::new(), object);
            }
        }
        TopFile::Lines(lines) => {
            for line in lines {
                let object = json!({ "kind": "text", "line": line });
                say(line.escape_debug().to_string(), object);
            }
        }
    }
    Ok(())
}

impl Overview {
    fn look(dir: &Path) -> Result<Overview, Stop> {
        let entries = RealDisk.list(dir).map_err(|error| io_fault(dir, &error))?;
        let is_vault = entries
            .iter()
            .any(|entry| entry.name == Vault::<RealDisk>::STATE);
        let vault = is_vault.then(|| Vault::look(&RealDisk, dir)).transpose()?;
        let checkpoint =
            |which: Checkpoint| match read_top_file(&RealDisk, &dir.join(which.file_name())) {
                Ok(TopFile::Offsets(offsets)) => Ok(offsets),
                Ok(TopFile::Lines(_)) => Ok(Offsets::new()),
                Err(VaultFault::Io { error, .. })
                    if error.kind() == std::io::ErrorKind::NotFound =>
                {
                    Ok(Offsets::new())
                }
                Err(fault) => Err(fault),
            };
        let starts = checkpoint(Checkpoint::LogStart)?;
        let points = checkpoint(Checkpoint::RecoveryPoint)?;
        let watermarks = checkpoint(Checkpoint::HighWatermark)?;
        let (mut rows, mut others) = (Vec::new(), Vec::new());
        for entry in entries.iter().filter(|entry| entry.is_dir) {
            let Ok(id) = entry.name.parse::<TopicPartition>() else {
                others.push(entry.name.clone());
                continue;
            };
            let inside = dir.join(&entry.name);
            let files = RealDisk.list(&inside);
            let files = files.map_err(|error| io_fault(&inside, &error))?;
            let segments = files.iter().filter(|file| is_segment(file)).count() as u64;
            let state = vault
                .as_ref()
                .and_then(|vault| vault.state.partitions.get(&id));
            rows.push(Row {
                log_start: starts.get(&id).copied(),
                recovery_point: points.get(&id).copied(),
                high_watermark: watermarks.get(&id).copied(),
                segments,
                bytes: files.iter().map(|file| file.bytes).sum(),
                epoch: last_epoch(&RealDisk, &inside).map_err(|fault| fault.to_string()),
                state: state.cloned(),
                id,
            });
        }
        rows.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(Overview {
            vault,
            rows,
            others,
        })
    }

    fn to_text(&self, dir: &Path) -> String {
        let mut lines = vec![match &self.vault {
            Some(_) => format!("{}: a vault", dir.display()),
            None => format!("{}: a broker's log directory", dir.display()),
        }];
        if let Some(vault) = &self.vault {
            let state = &vault.state;
            lines.push(format!(
                "  copied from    cluster {}",
                state.source_cluster_id
            ));
            lines.push(format!(
                "  closed         {}",
                match vault.clean {
                    true => "cleanly",
                    false => "no: it is being written, or its last copy was killed",
                }
            ));
            let shift = state.producer_id_shift.value();
            if shift != 0 {
                lines.push(format!("  producer ids   the source's plus {shift}"));
            }
        }
        lines.push(String::new());
        lines.push(self.table());
        for row in &self.rows {
            for gap in row.state.iter().flat_map(|state| &state.gaps) {
                let (id, from, to) = (&row.id, gap.from, gap.to);
                lines.push(format!(
                    "{id}: the source had lost offsets {from} up to {to}"
                ));
            }
            if let Some(Ending::Stopped { why }) = row.state.as_ref().map(|state| &state.ending) {
                lines.push(format!("{} stopped: {}", row.id, why.escape_debug()));
            }
        }
        for name in &self.others {
            lines.push(format!("{} is no partition", name.escape_debug()));
        }
        lines.join("\n")
    }

    fn table(&self) -> String {
        let heads = [
            "partition",
            "log start",
            "durable",
            "high watermark",
            "segments",
            "bytes",
            "epoch",
            "copy",
        ];
        let offset = |offset: Option<Offset>| match offset {
            Some(offset) => offset.to_string(),
            None => "-".to_owned(),
        };
        let row = |row: &Row| {
            vec![
                row.id.to_string(),
                offset(row.log_start),
                offset(row.recovery_point),
                offset(row.high_watermark),
                text::count(row.segments),
                text::bytes(row.bytes),
                match &row.epoch {
                    Ok(LeaderEpoch::NONE) => "-".to_owned(),
                    Ok(epoch) => epoch.to_string(),
                    Err(_) => "?".to_owned(),
                },
                row.ending().to_owned(),
            ]
        };
        text::table(&heads, &self.rows.iter().map(row).collect::<Vec<_>>())
    }

    fn to_json(&self, dir: &Path) -> Vec<Value> {
        let mut head = json!({
            "kind": "log_directory",
            "path": dir.display().to_string(),
            "is_vault": self.vault.is_some(),
            "other_directories": self.others,
        });
        if let Some(vault) = &self.vault {
            head["source_cluster_id"] = json!(vault.state.source_cluster_id);
            head["producer_id_shift"] = json!(vault.state.producer_id_shift.value());
            head["closed_cleanly"] = json!(vault.clean);
        }
        let rows = self.rows.iter().map(Row::to_json);
        std::iter::once(head).chain(rows).collect()
    }
}

impl Row {
    /// How copying it ended.
    fn ending(&self) -> &'static str {
        match self.state.as_ref().map(|state| &state.ending) {
            None => "-",
            Some(Ending::Running) => "running",
            Some(Ending::CaughtUp) => "caught up",
            Some(Ending::Stopped { .. }) => "stopped",
        }
    }

    fn to_json(&self) -> Value {
        let state = self.state.as_ref();
        let gaps = state.into_iter().flat_map(|state| &state.gaps);
        let gaps = gaps.map(|gap| json!({ "from": gap.from.value(), "to": gap.to.value() }));
        let why = match state.map(|state| &state.ending) {
            Some(Ending::Stopped { why }) => Some(why),
            _ => None,
        };
        json!({
            "kind": "partition",
            "topic": self.id.topic.as_str(),
            "partition": self.id.partition.value(),
            "topic_id": state.map(|state| state.topic_id.to_string()),
            "log_start": self.log_start.map(Offset::value),
            "durable": self.recovery_point.map(Offset::value),
            "high_watermark": self.high_watermark.map(Offset::value),
            "segments": self.segments,
            "bytes": self.bytes,
            "last_epoch": self.epoch.as_ref().ok().map(|epoch| epoch.value()),
            "copy": self.ending(),
            "why": why,
            "gaps": gaps.collect::<Vec<_>>(),
        })
    }
}

fn is_segment(file: &Entry) -> bool {
    !file.is_dir && file.name.ends_with(".log")
}

fn io_fault(path: &Path, error: &std::io::Error) -> Stop {
    Stop::Fault(format!("{}: {error}", path.display()))
}
