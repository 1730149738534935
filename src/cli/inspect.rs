//! `twinlog inspect`: what is in a partition's directory or in one of its files.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;

use super::{Ending, Misuse, screen, text};
use crate::log::{LogFault, Piece, describe};
use crate::record::{Batch, TimestampType, control};
use crate::uring::RealDisk;

/// Show what is in a partition's directory or in one file of it.
///
/// Batches with their offsets, epochs, producers and places; gaps; index entries; snapshots of
/// producers; leader epochs. Reads the files of twinlog and of a broker alike.
#[derive(Debug, Args)]
pub(super) struct InspectArguments {
    /// A partition's directory, a segment, an index or a snapshot.
    path: PathBuf,
    /// Only segments and gaps, not every index entry.
    #[arg(long)]
    batches: bool,
}

impl InspectArguments {
    pub(super) fn run(self) -> Result<Ending, Misuse> {
        let mut out = BufWriter::new(io::stdout().lock());
        let mut unsound = 0u64;
        let mut written = Ok(());
        let described = describe(&RealDisk, &self.path, &mut |piece| {
            unsound += u64::from(matches!(piece, Piece::NoBatch(..) | Piece::NotReadable(_)));
            if written.is_ok() && (!self.batches || is_of_segment(&piece)) {
                written = writeln!(out, "{}", line(&piece));
            }
        });
        // Who has read enough closes the pipe.
        drop(written.and_then(|()| out.flush()));
        match described {
            Ok(()) if unsound == 0 => Ok(Ending::Done),
            Ok(()) => Ok(Ending::Incomplete),
            Err(LogFault::Io { path, error }) if error.kind() == io::ErrorKind::NotFound => {
                let path = path.display();
                Err(Misuse::Argument(format!(
                    "{path} does not exist: give a partition of a vault, such as VAULT/topic-0"
                )))
            }
            Err(fault) => {
                screen::say(&format!("error: {fault}"));
                Ok(Ending::Incomplete)
            }
        }
    }
}

fn is_of_segment(piece: &Piece<'_>) -> bool {
    matches!(
        piece,
        Piece::Batch(..) | Piece::Gap(..) | Piece::NoBatch(..)
    )
}

fn line(piece: &Piece<'_>) -> String {
    match piece {
        Piece::File(path, size) => format!("{} ({})", path.display(), text::bytes(*size)),
        Piece::Batch(batch, position) => format!("  at {position:>10}  {}", batch_line(batch)),
        Piece::Gap(from, to) => format!("  gap: offsets {from} to {to} are not here"),
        Piece::NoBatch(at, why) => format!("  at {at:>10}  no batch: {why}"),
        Piece::OffsetEntry(last, position) => format!("  offset {last} at {position}"),
        Piece::TimeEntry(timestamp, last) => format!("  timestamp {timestamp} offset {last}"),
        Piece::Aborted(producer, first, last, stable) => {
            format!(
                "  aborted: producer {producer} offsets {first} to {last}, last stable {stable}"
            )
        }
        Piece::Producer(line) => format!("  {line}"),
        Piece::Epoch(epoch, start) => format!("  epoch {epoch} from offset {start}"),
        Piece::Text(line) => format!("  {line}"),
        Piece::NotReadable(why) => format!("  cannot be read: {why}"),
    }
}

fn batch_line(batch: &Batch<'_>) -> String {
    let mut line = format!(
        "offsets {}..{}  records {}  epoch {}  {}  {}",
        batch.base_offset(),
        batch.last_offset(),
        batch.record_count(),
        batch.leader_epoch(),
        batch.codec(),
        text::bytes(batch.bytes().len() as u64),
    );
    let kind = match batch.timestamp_type() {
        TimestampType::CreateTime => "created",
        TimestampType::LogAppendTime => "appended",
    };
    line += &format!(
        "  {kind} {}..{}",
        batch.base_timestamp(),
        batch.max_timestamp()
    );
    if let Some(producer) = batch.producer() {
        let (first, last) = (producer.base_sequence, batch.last_sequence());
        line += &format!("  producer {} epoch {} ", producer.id, producer.epoch);
        line += &format!("sequence {first}..{last}");
    }
    if batch.is_transactional() && !batch.is_control() {
        line += "  transactional";
    }
    if batch.is_control() {
        line += &match control(batch) {
            Ok(control) => format!("  control {control:?}"),
            Err(fault) => format!("  control, not readable: {fault}"),
        };
    }
    line + &format!("  crc {:08x}", batch.header().crc.get())
}
