//! `twinlog check`: whether this machine, a source and a destination are ready, and what to do if
//! not.

mod destination;
mod machine;
mod source;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{Ending, Misuse};
use crate::control::Selection;
use crate::control::destination::fitness::Joining;
use crate::control::membership::Bootstrap;
use crate::model::BrokerId;
use crate::session::BrokerAddress;

/// Check this machine, a source or a destination and what we may do there, before anything is
/// copied.
///
/// Changes nothing. Each line says ok, warn or fail and, where it is not ok, what to do.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("clusters").required(true).multiple(true))]
#[command(group = clap::ArgGroup::new("joined").multiple(true))]
pub(super) struct CheckArguments {
    /// Brokers of the source to begin with.
    #[arg(
        long,
        value_name = "HOST:PORT",
        value_delimiter = ',',
        group = "clusters"
    )]
    from: Vec<BrokerAddress>,
    /// Controllers of the cluster that a node is to join as a broker.
    #[arg(
        long,
        value_name = "HOST:PORT",
        value_delimiter = ',',
        groups = ["clusters", "joined"]
    )]
    destination: Vec<BrokerAddress>,
    /// Brokers of that cluster, which are asked where its controllers listen.
    #[arg(
        long,
        value_name = "HOST:PORT",
        value_delimiter = ',',
        groups = ["clusters", "joined"]
    )]
    destination_brokers: Vec<BrokerAddress>,
    /// The destination's inter-broker listener [default: as its brokers say].
    #[arg(long, value_name = "NAME", requires = "joined")]
    listener: Option<String>,
    /// The broker id that the node is to have there.
    #[arg(long, value_name = "ID", requires = "joined")]
    id: Option<i32>,
    /// How long a session lasts there for the node, in milliseconds.
    #[arg(long, value_name = "MS", requires = "joined", default_value = "9000")]
    session_timeout_ms: u32,
    /// How many replicas in sync make what the node leads committed there, where the cluster's
    /// metadata tells nothing.
    #[arg(long, value_name = "COUNT", requires = "joined", default_value = "1")]
    min_insync_replicas: u16,
    /// Topics that are to be copied: a regular expression that matches their whole names.
    #[arg(long, value_name = "REGEX", default_value = ".*")]
    topics: String,
    /// Topics to leave out [default: __.*].
    #[arg(long, value_name = "REGEX")]
    exclude: Option<String>,
    /// Where the vault is or will be.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// The result as one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// How something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    status: Status,
    about: String,
    found: String,
    /// What to do about it; empty where nothing is to be done.
    next: String,
}

/// Everything that was looked at, in its order.
#[derive(Debug, Default)]
struct Lines(Vec<Line>);

impl Lines {
    fn ok(&mut self, about: &str, found: impl Into<String>) {
        self.add(Status::Ok, about, found, "");
    }

    fn warn(&mut self, about: &str, found: impl Into<String>, next: impl Into<String>) {
        self.add(Status::Warn, about, found, next);
    }

    fn fail(&mut self, about: &str, found: impl Into<String>, next: impl Into<String>) {
        self.add(Status::Fail, about, found, next);
    }

    fn add(
        &mut self,
        status: Status,
        about: &str,
        found: impl Into<String>,
        next: impl Into<String>,
    ) {
        self.0.push(Line {
            status,
            about: about.to_owned(),
            found: found.into(),
            next: next.into(),
        });
    }

    fn worst(&self) -> Status {
        self.0
            .iter()
            .map(|line| line.status)
            .max()
            .unwrap_or(Status::Ok)
    }
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Warn => "warn",
            Status::Fail => "fail",
        }
    }
}

impl CheckArguments {
    pub(super) fn run(self) -> Result<Ending, Misuse> {
        let selection = Selection::new(&self.topics, self.exclude.as_deref());
        let selection = selection.map_err(|fault| Misuse::Argument(fault.to_string()))?;
        let mut lines = Lines::default();
        let has_ring = machine::check(&mut lines);
        let mut bytes = None;
        if !has_ring {
            let found = "not looked at: they are asked through io_uring";
            lines.fail("clusters", found, "make io_uring usable first");
        }
        if has_ring && !self.from.is_empty() {
            bytes = source::check(&self.from, &selection, &mut lines);
        }
        let bootstrap = Bootstrap {
            controllers: self.destination,
            brokers: self.destination_brokers,
        };
        if has_ring && !bootstrap.is_empty() {
            let joining = Joining {
                bootstrap,
                listener: self.listener,
                node: self.id.map(BrokerId),
                session_timeout_ms: self.session_timeout_ms,
                min_insync_replicas: self.min_insync_replicas,
            };
            destination::check(&joining, &mut lines);
        }
        if let Some(into) = &self.into {
            machine::check_disk(into, bytes, &mut lines);
        }
        match self.json {
            true => println!("{}", to_json(&lines)),
            false => println!("{}", to_text(&lines)),
        }
        Ok(match lines.worst() {
            Status::Ok | Status::Warn => Ending::Done,
            Status::Fail => Ending::Incomplete,
        })
    }
}

fn to_text(lines: &Lines) -> String {
    let width = lines.0.iter().map(|line| line.about.chars().count());
    let width = width.max().unwrap_or(0);
    let one = |line: &Line| {
        let head = format!("{:<4}  {:<width$}  ", line.status.name(), line.about);
        let next = match line.next.is_empty() {
            true => String::new(),
            false => format!("\n{:1$}-> {2}", "", head.chars().count(), line.next),
        };
        format!("{head}{}{next}", line.found)
    };
    lines.0.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn to_json(lines: &Lines) -> Value {
    let one = |line: &Line| {
        json!({
            "status": line.status.name(),
            "about": line.about,
            "found": line.found,
            "next": (!line.next.is_empty()).then_some(&line.next),
        })
    };
    json!({
        "status": lines.worst().name(),
        "lines": lines.0.iter().map(one).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests;
