//! What the engine needs for a GiB, against what the floor loop needs, in pairs of runs one right
//! after the other: rows 1a (large batches), 1b (small ones) and 2a (one partition on one core).

mod report;
mod runs;
mod targets;

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::batches::{Impossible, Shape};
use crate::size;
use report::Pair;
pub(crate) use runs::tried;
pub(crate) use runs::{Runs, Sample};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Pairs of runs.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pairs: u32,
    /// Bytes that each run moves.
    #[arg(long, value_parser = size::parse, default_value = "4GiB")]
    bytes: u64,
    /// Bytes of a batch.
    #[arg(long, value_parser = size::parse, default_value = "64KiB")]
    batch_bytes: u64,
    /// Partitions of the replayed topic.
    #[arg(long, default_value_t = 8)]
    partitions: u32,
    /// Binds floor and engine to this core, each in its turn; the source goes where it likes.
    #[arg(long)]
    core: Option<usize>,
    /// Copies from this broker instead of the replaying one.
    #[arg(long, requires = "topics")]
    pub(crate) from: Option<String>,
    /// The topics to copy from it, a regular expression.
    #[arg(long, requires = "from")]
    pub(crate) topics: Option<String>,
    /// The engine's program; by default the one beside this program.
    #[arg(long)]
    twinlog: Option<PathBuf>,
    /// Where the runs write; what they write is removed.
    #[arg(long, default_value = "target/perf")]
    pub(crate) dir: PathBuf,
    /// A run that takes more seconds is killed, and with it the measurement.
    #[arg(long, default_value_t = 600)]
    limit_s: u64,
    /// Further arguments for `twinlog copy`, behind `--`.
    #[arg(last = true)]
    engine_arguments: Vec<String>,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The system refused something.
    #[error("{what}: {cause}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system says.
        cause: io::Error,
    },
    /// No such data can be replayed.
    #[error("{0}")]
    Impossible(#[from] Impossible),
    /// A program did not do its work.
    #[error("{program} has failed, {status}; it says: {says}")]
    Failed {
        /// Which.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// Its standard error.
        says: String,
    },
    /// A program did not end in time.
    #[error("{program} did not end within {limit_s} s")]
    Late {
        /// Which.
        program: &'static str,
        /// Its limit.
        limit_s: u64,
    },
    /// A source did not tell its port.
    #[error("{program} does not say its port but '{line}'")]
    NoPort {
        /// Which.
        program: &'static str,
        /// Its first line.
        line: String,
    },
    /// The engine's result has no count of bytes.
    #[error("the last line of twinlog copy is no object with a field 'bytes': '{line}'")]
    NoResult {
        /// The line.
        line: String,
    },
    /// The engine did not copy what is there.
    #[error("twinlog copy has copied {copied} bytes where {held} are held")]
    Incomplete {
        /// What it says.
        copied: u64,
        /// What it should be.
        held: u64,
    },
}

impl Options {
    /// How the source's bytes lie.
    pub(crate) fn shape(&self) -> Result<Shape, Fault> {
        Ok(Shape::new(self.bytes, self.batch_bytes, self.partitions)?)
    }
}

/// Measures pairs, prints each, and then what they say together.
pub(crate) fn run(options: &Options) -> Result<(), Fault> {
    let shape = options.shape()?;
    let mut runs = Runs::new(options, shape)?;
    let buffer = runs.best_buffer()?;
    report::begin(options, shape, buffer);
    let mut pairs = Vec::new();
    for number in 1..=options.pairs {
        // Who comes first alternates, so that a drift of the machine meets both alike.
        let is_floor_first = number % 2 == 1;
        let pair = if is_floor_first {
            let floor = runs.floor(shape.bytes(), buffer)?;
            let engine = runs.engine()?;
            Pair { floor, engine }
        } else {
            let engine = runs.engine()?;
            let floor = runs.floor(shape.bytes(), buffer)?;
            Pair { floor, engine }
        };
        report::pair(number, is_floor_first, &pair);
        pairs.push(pair);
    }
    report::end(options, &pairs);
    Ok(())
}
