//! `twinlog serve`: a node that mirrors what it is told to, until it is stopped.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::sync::mpsc;

use super::engine::Stop;
use super::plant::Plant;
use super::{Ending, Misuse, screen};
use crate::config::Config;
use crate::control::Unfit;
use crate::control::destination::fitness::{Joining, Level, survey};
use crate::control::node::{self, Kept, NodeFault};
use crate::session::{Opening, Security};
use crate::uring;

/// Reports of shards that may wait for the node.
const REPORTS_MAX: usize = 256;
/// Other events that may.
const EVENTS_MAX: usize = 4_096;

/// Run a node: mirrors as its configuration and its operators want them, until SIGTERM.
///
/// Operators speak to it at admin.listen, in the requests of KIP-1279: twinlog mirrors is their
/// client. With destination.kind = "vault" each mirror has a vault in node.data_dir; with "member"
/// the node is a broker of the destination's cluster, whose own brokers follow it.
#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// The configuration; config.toml at the root of the repository shows every key.
    #[arg(long, value_name = "FILE", default_value = "config.toml")]
    config: PathBuf,
}

impl ServeArguments {
    pub(super) fn run(self) -> Result<Ending, Misuse> {
        let config = super::config(Some(&self.config))?;
        uring::probe()?;
        if let Some(why) = unfit(&config)? {
            screen::say(&format!(
                "error: the destination is not fit for a node:\n{why}"
            ));
            return Ok(Ending::Incomplete);
        }
        Ok(match serve(&config)? {
            Ok(()) => Ending::Done,
            Err(fault) => {
                screen::say(&format!("error: {fault}"));
                Ending::Incomplete
            }
        })
    }
}

/// Why a node should not become a broker of the destination: its replicas would land on it. One
/// that was a broker there before goes back whatever has become of the cluster since.
fn unfit(config: &Config) -> Result<Option<String>, Misuse> {
    let node = &config.node;
    let Some(member) = node
        .member()
        .filter(|_| node.destination.unfit == Unfit::Refuse)
    else {
        return Ok(None);
    };
    let was_member = Kept::was_member(&uring::RealDisk, &node.data_dir);
    if was_member.map_err(|fault| Misuse::Argument(fault.to_string()))? {
        return Ok(None);
    }
    let joining = Joining {
        bootstrap: member.bootstrap,
        listener: Some(member.listener_name),
        node: Some(member.id),
        session_timeout_ms: config.kraft.session_timeout_ms,
        min_insync_replicas: member.min_insync_replicas,
    };
    let opening = Opening {
        security: Security::Plaintext,
        timeout: Duration::from_millis(u64::from(config.control.request_timeout_ms)),
    };
    let findings = uring::run(None, |world| async move {
        survey(&world, opening, &joining).await
    });
    for warning in findings.iter().filter(|one| one.level == Level::Warn) {
        screen::say(&warning.to_string());
    }
    let refused = findings.iter().filter(|one| one.level == Level::Refuse);
    let lines: Vec<String> = refused.map(ToString::to_string).collect();
    Ok((!lines.is_empty()).then(|| lines.join("\n")))
}

/// A thread that is lost would leave a broker that lives and serves nobody: the process ends, and
/// the destination's controller lets others lead.
fn end_by_panics() {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        told(panic);
        std::process::abort();
    }));
}

/// Runs a node until it is told to stop, or cannot go on.
fn serve(config: &Config) -> Result<Result<(), NodeFault>, Misuse> {
    end_by_panics();
    let stop = Stop::listen();
    let (reports_in, reports) = mpsc::channel(REPORTS_MAX);
    let (events_in, events) = mpsc::channel(EVENTS_MAX);
    let plant = Plant::new(config, reports_in);
    let (options, chosen) = (config.control.clone(), config.node.clone());
    let member = config.node.member();
    let member = member.map(|member| plant.member(&member, &events_in));
    let member = member.transpose()?;
    let maker = plant.clone();
    let ended = uring::run(None, |world| async move {
        let ties = node::Ties {
            reports,
            events_in,
            events,
            member,
            threads: Box::new(move |mirror, settings| maker.shards(mirror, settings)),
        };
        node::run(world, options, chosen, ties, stop.wanted(None)).await
    });
    plant.join();
    Ok(ended)
}
