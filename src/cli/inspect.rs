//! `twinlog inspect`: what is in a vault, in a partition's directory or in one of its files.

mod digest;
mod objects;
mod overview;
mod page;
mod totals;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Ending, Misuse, screen, text};
use crate::io::{Disk, Entry};
use crate::log::{LogFault, Piece, describe, is_known};
use crate::model::TopicPartition;
use crate::uring::RealDisk;
use crate::vault::{VaultFault, is_top_file};

use digest::DigestArguments;
use page::Page;
use totals::Totals;

/// Show what is in a vault, in a partition's directory or in one file of it.
///
/// Of a vault: its partitions, where each begins, ends and is durable, and what is missing. Of a
/// partition: batches with their places, times, epochs and producers; transactions and how they
/// ended; gaps; index entries, held against the segment beside them; snapshots of producers;
/// leader epochs; and what it comes to. Reads the files of a broker as well, changes nothing, and
/// ends with 1 where something is not sound.
///
/// With --json each line is one object, whose "kind" says what it is: log_directory, partition and
/// checkpoint; file, batch, record, transaction, gap, offset_entry, time_entry,
/// aborted_transaction, producer, epoch, text, room, damage and summary; of a digest, digest and
/// whole, or same, differs and alone. Times are milliseconds
/// since 1970, as the files have them.
#[derive(Debug, Args)]
pub(super) struct InspectArguments {
    /// A vault or a broker's log directory, a partition's directory, or one file of either.
    path: PathBuf,
    /// Records too, of batches that are plain or packed with zstd.
    #[arg(long)]
    records: bool,
    /// Only batches, gaps and transactions, not every index entry.
    #[arg(long)]
    batches: bool,
    /// Only what it comes to, and what is wrong.
    #[arg(long, conflicts_with_all = ["records", "batches"])]
    summary: bool,
    /// Of a vault: the insides of every partition too.
    #[arg(long)]
    all: bool,
    /// One JSON object a line instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    digest: DigestArguments,
}

/// What is to be shown.
#[derive(Clone, Copy)]
struct Wants {
    records: bool,
    batches_only: bool,
    summary: bool,
    json: bool,
}

/// Why nothing, or no more, is shown.
enum Stop {
    Misuse(Misuse),
    Fault(String),
}

impl From<LogFault> for Stop {
    fn from(fault: LogFault) -> Stop {
        Stop::Fault(fault.to_string())
    }
}

impl From<VaultFault> for Stop {
    fn from(fault: VaultFault) -> Stop {
        Stop::Fault(fault.to_string())
    }
}

impl InspectArguments {
    pub(super) fn run(self) -> Result<Ending, Misuse> {
        let mut display = Display {
            out: BufWriter::new(io::stdout().lock()),
            wants: Wants {
                records: self.records,
                batches_only: self.batches,
                summary: self.summary,
                json: self.json,
            },
            page: Page::default(),
            written: Ok(()),
            unsound: 0,
        };
        let shown = self.show(&mut display);
        let unsound = display.unsound;
        // Who has read enough closes the pipe.
        drop(display.written.and_then(|()| display.out.flush()));
        match shown {
            Ok(()) if unsound == 0 => Ok(Ending::Done),
            Ok(()) => {
                let path = self.path.display();
                let faults = text::many(unsound, "fault", "faults");
                screen::say(&format!("{path}: {faults}, shown above"));
                Ok(Ending::Incomplete)
            }
            Err(Stop::Misuse(misuse)) => Err(misuse),
            Err(Stop::Fault(fault)) => {
                screen::say(&format!("error: {fault}"));
                Ok(Ending::Incomplete)
            }
        }
    }

    fn show<W: Write>(&self, display: &mut Display<W>) -> Result<(), Stop> {
        if self.digest.digest {
            return self.digest.show(&self.path, display);
        }
        match what_is(&self.path)? {
            Subject::Directory => {
                let partitions = overview::show(&self.path, display)?;
                for id in partitions.iter().filter(|_| self.all) {
                    display.partition(&self.path.join(id.to_string()))?;
                }
                Ok(())
            }
            Subject::Partition => display.partition(&self.path),
            Subject::TopFile => overview::show_file(&self.path, display),
        }
    }
}

/// What a path names.
enum Subject {
    /// A vault or a broker's log directory.
    Directory,
    /// A partition's directory or one of its files.
    Partition,
    /// A file at the top of a log directory.
    TopFile,
}

fn what_is(path: &Path) -> Result<Subject, Stop> {
    let refused = |why: &str| {
        let path = path.display();
        Stop::Misuse(Misuse::Argument(format!(
            "{path} {why}: give a vault, a partition of it such as VAULT/topic-0, or a file in it"
        )))
    };
    let entries = match RealDisk.list(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            return match (is_known(&name), is_top_file(&name)) {
                (true, _) => Ok(Subject::Partition),
                (_, true) => Ok(Subject::TopFile),
                _ => Err(refused("is not a file of a vault or of a log directory")),
            };
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(refused("does not exist"));
        }
        Err(error) => return Err(Stop::Fault(format!("{}: {error}", path.display()))),
    };
    let any = |is: fn(&Entry) -> bool| entries.iter().any(is);
    let is_partition = |entry: &Entry| entry.name.parse::<TopicPartition>().is_ok();
    if any(|entry| !entry.is_dir && is_known(&entry.name)) {
        Ok(Subject::Partition)
    } else if any(|entry| !entry.is_dir && is_top_file(&entry.name))
        || entries
            .iter()
            .any(|entry| entry.is_dir && is_partition(entry))
    {
        Ok(Subject::Directory)
    } else {
        Err(refused("holds no partition and no file of one"))
    }
}

/// Where everything is shown.
struct Display<W> {
    out: W,
    wants: Wants,
    page: Page,
    written: io::Result<()>,
    /// Things that were found not to be sound.
    unsound: u64,
}

impl<W: Write> Display<W> {
    fn line(&mut self, line: &str) {
        if self.written.is_ok() {
            self.written = writeln!(self.out, "{line}");
        }
    }

    /// A partition's directory, or one file of it, and what it comes to.
    fn partition(&mut self, path: &Path) -> Result<(), Stop> {
        let mut totals = Totals::default();
        self.page.begin(path);
        if !self.wants.json {
            self.line(&path.display().to_string());
        }
        let described = describe(&RealDisk, path, &mut |piece| {
            totals.add(&piece);
            self.piece(&piece);
        });
        self.unsound += totals.unsound;
        match self.wants.json {
            true => self.line(&totals.to_json(path).to_string()),
            false => self.line(&totals.to_text()),
        }
        Ok(described?)
    }

    fn piece(&mut self, piece: &Piece<'_>) {
        if !self.wants.shows(piece) {
            return;
        }
        let Display {
            out,
            wants,
            page,
            written,
            ..
        } = self;
        let mut line = |line: String| {
            if written.is_ok() {
                *written = writeln!(out, "{line}");
            }
        };
        match wants.json {
            true => objects::lines(piece, wants.records, &mut line),
            false => page.lines(piece, wants.records, &mut line),
        }
    }
}

impl Wants {
    fn shows(self, piece: &Piece<'_>) -> bool {
        let is_wrong = totals::is_unsound(piece);
        let is_of_segment = matches!(
            piece,
            Piece::File(..) | Piece::Batch(..) | Piece::Gap(..) | Piece::Transaction(..)
        );
        is_wrong || (!self.summary && (is_of_segment || !self.batches_only))
    }
}
