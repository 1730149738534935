//! `twinlog mirrors`: KIP-1279's operations, asked of a node.

mod planning;
mod properties;
mod requests;
mod showing;
mod starting;
mod stopping;
mod words;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};

use super::{Ending, Misuse, screen};
use crate::session::{BrokerAddress, Client, MirrorFault, Opening, Security};
use crate::uring::{self, RealWorld};

use properties::Properties;

/// How long connecting, and then each answer, may take, unless the properties say otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// Make, start, stop and look at the mirrors of a node, as KIP-1279 has it.
///
/// The node is a running `twinlog serve`; it is found at the admin.listen of its configuration.
#[derive(Debug, Args)]
pub(super) struct MirrorsArguments {
    /// Where the node takes requests: its admin.listen.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', global = true)]
    bootstrap_server: Vec<BrokerAddress>,
    /// A file of properties for the conversation with the node: request.timeout.ms.
    #[arg(long, value_name = "FILE", global = true)]
    command_config: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Create(CreateArguments),
    Start(StartArguments),
    Stop(StopArguments),
    /// Stop fetching topics, which stay read-only.
    Pause(TopicsArguments),
    /// Go on with paused topics.
    Resume(TopicsArguments),
    /// Try failed partitions again, also those that were given up.
    Recover(TopicsArguments),
    /// Remove a mirror whose topics are all stopped.
    Delete {
        /// The mirror.
        #[arg(long, value_name = "NAME")]
        mirror: String,
    },
    List(ListArguments),
    Describe(DescribeArguments),
}

/// Make a mirror, which has no topics until some are started.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("settings").required(true).multiple(true)
    .args(["mirror_config", "config"]))]
struct CreateArguments {
    /// Its name.
    #[arg(long, value_name = "NAME")]
    mirror: String,
    /// A file of properties: bootstrap.servers of the source, and what else is to be set.
    #[arg(long, value_name = "FILE")]
    mirror_config: Option<PathBuf>,
    /// A setting; it goes before one of the file.
    #[arg(long, value_name = "KEY=VALUE")]
    config: Vec<String>,
}

/// Start topics, now and as they appear.
#[derive(Debug, Args)]
struct StartArguments {
    /// The mirror.
    #[arg(long, value_name = "NAME")]
    mirror: String,
    /// Names of topics, and regular expressions that match whole names, with commas between them.
    #[arg(long, value_name = "TOPICS", required = true, value_delimiter = ',')]
    topics: Vec<String>,
    /// Regular expressions that match the whole names of topics to leave out from now on.
    #[arg(long, value_name = "REGEX", value_delimiter = ',')]
    exclude: Vec<String>,
    /// Only say what would be done: what would be copied, and cut off at the destination where a
    /// topic is mirrored back.
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: as JSON on standard output.
    #[arg(long, requires = "dry_run")]
    json: bool,
}

/// Stop topics: they become writable at the destination.
///
/// What has arrived stays; with --planned, everything that the source has arrives first.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("waits").args(["wait", "report"]).multiple(true))]
struct StopArguments {
    /// The mirror.
    #[arg(long, value_name = "NAME")]
    mirror: String,
    /// Names of topics, and regular expressions that match whole names, with commas between them.
    #[arg(long, value_name = "TOPICS", required = true, value_delimiter = ',')]
    topics: Vec<String>,
    /// Return when every one of them is stopped, or cannot be.
    #[arg(long)]
    wait: bool,
    /// With --wait: give up waiting after so long. The stop itself goes on.
    #[arg(long, value_name = "SECONDS", requires = "waits")]
    timeout: Option<u64>,
    /// Not before there is nothing left to copy and the source has been quiet for a while.
    #[arg(long)]
    planned: bool,
    /// Only say what would be done.
    #[arg(long, conflicts_with_all = ["wait", "report"])]
    dry_run: bool,
    /// Although something is in the way that may do harm to who uses the topics then.
    #[arg(long)]
    force: bool,
    /// Wait, then write what was done with each partition to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// The plan or the report as JSON on standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct TopicsArguments {
    /// The mirror.
    #[arg(long, value_name = "NAME")]
    mirror: String,
    /// Names of topics, and regular expressions that match whole names, with commas between them.
    #[arg(long, value_name = "TOPICS", required = true, value_delimiter = ',')]
    topics: Vec<String>,
}

/// List the mirrors of the node.
#[derive(Debug, Args)]
struct ListArguments {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Show where the partitions of mirrors are.
#[derive(Debug, Args)]
struct DescribeArguments {
    /// Only these mirrors.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    mirror: Vec<String>,
    /// Only partitions that have failed, and why.
    #[arg(long)]
    failed: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Why a command did not achieve what it was asked for.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The node did not answer, or refused.
    #[error("{0}")]
    Asked(#[from] MirrorFault),
    /// Something else, in words.
    #[error("{0}")]
    Said(String),
}

/// How the node is found.
struct Node {
    world: RealWorld,
    at: Vec<BrokerAddress>,
    timeout: Duration,
}

impl Node {
    /// A conversation with the first of the addresses where somebody answers.
    async fn connect(&self) -> Result<Client<RealWorld>, MirrorFault> {
        let opening = Opening {
            security: Security::Plaintext,
            timeout: self.timeout,
        };
        let mut refused = None;
        for at in &self.at {
            match Client::connect(&self.world, at, opening).await {
                Ok(client) => return Ok(client),
                Err(fault) => refused = Some(fault),
            }
        }
        Err(refused.expect("one address at least is given").into())
    }
}

impl MirrorsArguments {
    pub(super) fn run(self, quiet: bool) -> Result<Ending, Misuse> {
        if self.bootstrap_server.is_empty() {
            let needed = "--bootstrap-server HOST:PORT is needed: the admin.listen of a node";
            return Err(Misuse::Argument(needed.to_owned()));
        }
        let timeout = match &self.command_config {
            Some(path) => Properties::of_file(path)?
                .patience(path)?
                .unwrap_or(PATIENCE),
            None => PATIENCE,
        };
        let errand = self.verb.errand(quiet)?;
        uring::probe()?;
        let at = self.bootstrap_server;
        let done = uring::run(None, |world| async move {
            let node = Node { world, at, timeout };
            errand.run(&node).await
        });
        Ok(match done {
            Ok(true) => Ending::Done,
            Ok(false) => Ending::Incomplete,
            Err(failure) => {
                screen::say(&format!("error: {failure}"));
                Ending::Incomplete
            }
        })
    }
}

/// What is to be done, once it is clear that it can be asked for.
enum Errand {
    Create(requests::Create),
    Start(starting::Start),
    Stop(stopping::Stop),
    Change(requests::Change),
    Delete(String),
    List { json: bool },
    Describe(DescribeArguments),
}

impl Verb {
    fn errand(self, quiet: bool) -> Result<Errand, Misuse> {
        use requests::Kind;
        let change = |kind, topics: TopicsArguments| {
            let change = requests::Change::new(kind, topics.mirror, &topics.topics)?;
            Ok(Errand::Change(change))
        };
        match self {
            Verb::Create(create) => {
                let file = create.mirror_config.as_deref();
                let made = requests::Create::new(create.mirror, file, &create.config)?;
                Ok(Errand::Create(made))
            }
            Verb::Start(start) => {
                let made = starting::Start::new(start)?;
                Ok(Errand::Start(made))
            }
            Verb::Stop(stop) => Ok(Errand::Stop(stopping::Stop::new(stop, quiet)?)),
            Verb::Pause(topics) => change(Kind::Pause, topics),
            Verb::Resume(topics) => change(Kind::Resume, topics),
            Verb::Recover(topics) => change(Kind::Recover, topics),
            Verb::Delete { mirror } => Ok(Errand::Delete(mirror)),
            Verb::List(list) => Ok(Errand::List { json: list.json }),
            Verb::Describe(describe) => Ok(Errand::Describe(describe)),
        }
    }
}

impl Errand {
    /// Whether all that was asked for was achieved; what was not has been said.
    async fn run(self, node: &Node) -> Result<bool, Failure> {
        match self {
            Errand::Create(create) => create.run(node).await,
            Errand::Start(start) => start.run(node).await,
            Errand::Stop(stop) => stop.run(node).await,
            Errand::Change(change) => change.run(node).await,
            Errand::Delete(mirror) => requests::delete(node, mirror).await,
            Errand::List { json } => showing::list(node, json).await,
            Errand::Describe(describe) => {
                let DescribeArguments {
                    mirror,
                    failed,
                    json,
                } = describe;
                showing::describe(node, mirror, failed, json).await
            }
        }
    }
}
