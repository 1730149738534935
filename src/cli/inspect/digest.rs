//! What the batches of a partition come to, window by window, and where another export differs.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Display, Stop};
use crate::cli::{Misuse, text};
use crate::log::{self, Chain, Compared, Digested, Span};
use crate::model::Offset;
use crate::uring::RealDisk;

/// What of the digest is shown.
#[derive(Debug, Args)]
pub(super) struct DigestArguments {
    /// What the batches' headers come to, window by window: the same for each log that has the
    /// same batches, whatever its segments and leader epochs are.
    #[arg(long, conflicts_with_all = ["records", "batches", "summary", "all"])]
    pub(super) digest: bool,
    /// Only batches that begin at this offset or behind.
    #[arg(long, value_name = "OFFSET", requires = "digest")]
    #[arg(value_parser = clap::value_parser!(i64).range(0..))]
    from: Option<i64>,
    /// Only batches that begin below this offset.
    #[arg(long, value_name = "OFFSET", requires = "digest")]
    #[arg(value_parser = clap::value_parser!(i64).range(0..))]
    to: Option<i64>,
    /// What is noted beside a log of ours, without reading it.
    #[arg(long, requires = "digest", conflicts_with_all = ["from", "to"])]
    noted: bool,
    /// Compare with what --digest --json has printed of another log.
    #[arg(long, value_name = "FILE", requires = "digest")]
    against: Option<PathBuf>,
}

/// One line of an export.
#[derive(Serialize, Deserialize)]
struct Line {
    kind: String,
    from: i64,
    to: i64,
    batches: u64,
    digest: String,
    /// The other log's, where that is another one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    other: Option<(u64, String)>,
}

impl DigestArguments {
    pub(super) fn show<W: Write>(&self, path: &Path, display: &mut Display<W>) -> Result<(), Stop> {
        if !path.is_dir() {
            let path = path.display();
            let why = format!("{path} is no directory: --digest wants that of a partition");
            return Err(Stop::Misuse(Misuse::Argument(why)));
        }
        // Whose notes they are goes by the directory's name.
        let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let offset = |given: Option<i64>| given.map(Offset::new);
        let span = Span {
            from: offset(self.from),
            to: offset(self.to),
        };
        let ranges = match self.noted {
            true => log::noted_digest(&RealDisk, path)?,
            false => log::digest(RealDisk, path, span)?,
        };
        let Some(against) = &self.against else {
            let windows = ranges.iter().map(|range| Line::of("digest", range));
            let all = log::whole(&ranges).map(|all| Line::of("whole", &all));
            display.lines_of(&windows.chain(all).collect::<Vec<_>>());
            return Ok(());
        };
        let compared = log::compare(&ranges, &read(against)?);
        let lines: Vec<Line> = compared.iter().map(Line::compared).collect();
        display.unsound += lines.iter().filter(|line| line.kind == "differs").count() as u64;
        if !compared
            .iter()
            .any(|one| !matches!(one, Compared::Alone(_)))
        {
            // Nothing that both tell of: that is no agreement.
            display.unsound += 1;
        }
        display.lines_of(&lines);
        Ok(())
    }
}

/// The ranges of an export.
fn read(path: &Path) -> Result<Vec<Digested>, Stop> {
    let refused = |why: &str| {
        let path = path.display();
        Stop::Misuse(Misuse::Argument(format!(
            "{path}: {why}; give what `twinlog inspect DIR --digest --json` has printed"
        )))
    };
    let content = std::fs::read_to_string(path).map_err(|error| refused(&error.to_string()))?;
    let lines = content.lines().map(serde_json::from_str::<Line>);
    let mut ranges: Vec<Digested> = Vec::new();
    for line in lines {
        let line = line.map_err(|error| refused(&error.to_string()))?;
        if line.kind != "digest" {
            continue;
        }
        let range = line
            .read()
            .ok_or_else(|| refused("a digest cannot be read"))?;
        let goes_on = ranges.last().is_none_or(|last| last.to == range.from);
        if !goes_on || range.from > range.to {
            return Err(refused("its ranges do not follow each other"));
        }
        ranges.push(range);
    }
    Ok(ranges)
}

impl Line {
    fn of(kind: &str, range: &Digested) -> Line {
        Line {
            kind: kind.to_owned(),
            from: range.from.value(),
            to: range.to.value(),
            batches: range.chain.batches,
            digest: range.chain.to_string(),
            other: None,
        }
    }

    fn compared(compared: &Compared) -> Line {
        match compared {
            Compared::Same(range) => Line::of("same", range),
            Compared::Alone(range) => Line::of("alone", range),
            Compared::Differs(range, other) => Line {
                other: Some((other.chain.batches, other.chain.to_string())),
                ..Line::of("differs", range)
            },
        }
    }

    fn read(&self) -> Option<Digested> {
        let value = u128::from_str_radix(&self.digest, 16).ok()?;
        let batches = self.batches;
        Some(Digested {
            from: Offset::from_wire(self.from)?,
            to: Offset::from_wire(self.to)?,
            chain: Chain { batches, value },
        })
    }

    fn cells(&self) -> Vec<String> {
        let (batches, digest) = match &self.other {
            Some((batches, digest)) => (format!("/{batches}"), format!("/{digest}")),
            None => (String::new(), String::new()),
        };
        vec![
            self.kind.clone(),
            format!("{}..{}", self.from, self.to),
            format!("{}{batches}", self.batches),
            format!("{}{digest}", self.digest),
        ]
    }
}

impl<W: Write> Display<W> {
    fn lines_of(&mut self, lines: &[Line]) {
        if !self.wants.json {
            let rows: Vec<Vec<String>> = lines.iter().map(Line::cells).collect();
            let heads = ["kind", "offsets", "batches", "digest"];
            return self.line(&text::table(&heads, &rows));
        }
        for line in lines {
            self.line(&serde_json::to_string(line).expect("numbers and texts are JSON"));
        }
    }
}
