//! `twinlog unregister`: leave a destination for ever, without a trace.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{Ending, Misuse, screen, text};
use crate::control::destination::departure::{Leaving, Left, depart};
use crate::control::membership::Bootstrap;
use crate::model::{BrokerId, TopicName};
use crate::session::{BrokerAddress, Opening, Security};
use crate::uring;

const TIMEOUT: Duration = Duration::from_secs(15);
/// Topics that are named in one line.
const NAMES_MAX: usize = 5;

/// Take a node that has ended off a destination cluster for ever.
///
/// The node's process has to be stopped. Its replicas are removed, then its registration. Topics
/// that only the node has are never given up: the command refuses and names them.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("destination").required(true).multiple(true))]
pub(super) struct UnregisterArguments {
    /// Controllers of the destination to begin with.
    #[arg(
        long,
        value_name = "HOST:PORT",
        value_delimiter = ',',
        group = "destination"
    )]
    controllers: Vec<BrokerAddress>,
    /// Brokers of the destination, which are asked where its controllers listen.
    #[arg(
        long,
        value_name = "HOST:PORT",
        value_delimiter = ',',
        group = "destination"
    )]
    brokers: Vec<BrokerAddress>,
    /// The node's broker id there.
    #[arg(long, value_name = "ID")]
    id: i32,
    /// Let everybody write again to topics that were closed as mirrors.
    #[arg(long)]
    open_fences: bool,
    /// The result as one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

impl UnregisterArguments {
    pub(super) fn run(self) -> Result<Ending, Misuse> {
        uring::probe()?;
        let leaving = Leaving {
            bootstrap: Bootstrap {
                controllers: self.controllers,
                brokers: self.brokers,
            },
            node: BrokerId(self.id),
            opens_fences: self.open_fences,
        };
        let opening = Opening {
            security: Security::Plaintext,
            timeout: TIMEOUT,
        };
        let node = leaving.node;
        let left = uring::run(None, |world| async move {
            depart(&world, opening, &leaving).await
        });
        let left = match left {
            Ok(left) => left,
            Err(fault) => {
                screen::say(&format!("error: broker {node} stays registered: {fault}"));
                return Ok(Ending::Incomplete);
            }
        };
        match self.json {
            true => println!(
                "{}",
                json!({
                    "id": node.0,
                    "was_registered": left.was_registered,
                    "partitions": left.partitions,
                    "opened": names(&left.opened),
                    "closed": names(&left.closed),
                })
            ),
            false => println!("{}", to_text(node, &left)),
        }
        Ok(Ending::Done)
    }
}

fn names(topics: &BTreeSet<TopicName>) -> Vec<&str> {
    topics.iter().map(TopicName::as_str).collect()
}

fn to_text(node: BrokerId, left: &Left) -> String {
    let mut lines = vec![match left.was_registered {
        true => format!(
            "broker {node} is unregistered; it was taken off {}",
            text::many(left.partitions as u64, "partition", "partitions")
        ),
        false => format!("broker {node} is not registered: nothing was to be done"),
    }];
    if !left.opened.is_empty() {
        lines.push(format!("open to writers again: {}", some(&left.opened)));
    }
    if !left.closed.is_empty() {
        lines.push(format!(
            "still closed to writers as mirrors: {}; stop their mirrors, or repeat with \
             --open-fences",
            some(&left.closed)
        ));
    }
    lines.join("\n")
}

fn some(topics: &BTreeSet<TopicName>) -> String {
    let first = topics.iter().take(NAMES_MAX).map(TopicName::as_str);
    let first = first.collect::<Vec<_>>().join(", ");
    match topics.len().saturating_sub(NAMES_MAX) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_and_what_is_left_is_said() {
        let node = BrokerId(9001);
        let nothing = to_text(node, &Left::default());
        assert_eq!(
            nothing,
            "broker 9001 is not registered: nothing was to be done"
        );
        let name = |nth: i32| TopicName::new(&format!("t{nth}")).expect("legal");
        let left = Left {
            was_registered: true,
            partitions: 1,
            opened: BTreeSet::from([name(0)]),
            closed: (1..8).map(name).collect(),
        };
        let text = to_text(node, &left);
        assert!(text.contains("taken off 1 partition\n"), "{text}");
        assert!(text.contains("again: t0\n"), "{text}");
        assert!(text.contains("t5 and 2 more; stop"), "{text}");
    }
}
