//! DescribeQuorum: where the controllers listen, by the word of any broker, which asks the active
//! controller for it.

use std::collections::BTreeSet;

use super::{ControllerCall, METADATA_TOPIC, no_tags, text};
use crate::model::BrokerId;
use crate::protocol::ErrorCode;
use crate::protocol::fetch::Endpoint;
use crate::protocol::primitive::{Reader, Unread, Writer};

/// No quorum has so many.
const VOTERS_MAX: usize = 100;

/// Asks for the quorum of the metadata log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescribeQuorum;

/// What is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumAnswer {
    /// Why not.
    pub error: ErrorCode,
    /// Where its voters listen, the leader first: the first listener of each that has any.
    pub voters: Vec<Endpoint>,
}

impl ControllerCall for DescribeQuorum {
    const KEY: i16 = 55;
    const NAME: &'static str = "DescribeQuorum";
    /// Listeners are told from version 2 on, which is Kafka 3.9.
    const VERSIONS: (i16, i16) = (2, 2);
    type Answer = QuorumAnswer;

    fn write(&self, _version: i16, to: &mut Writer<'_>) {
        to.list([()].into_iter(), |to, ()| {
            to.text(Some(METADATA_TOPIC));
            to.list([()].into_iter(), |to, ()| {
                to.i32(0);
                to.no_tags();
            });
            to.no_tags();
        });
        to.no_tags();
    }

    fn read(_version: i16, from: &mut Reader<'_>) -> Result<QuorumAnswer, Unread> {
        let refused = ErrorCode(from.i16()?);
        let _message = from.text("an error's message")?;
        let topics = from.list(3, "topics", |from| {
            let _name = from.text("a topic's name")?;
            let partitions = from.list(26, "partitions", partition)?;
            no_tags(from)?;
            Ok(partitions.unwrap_or_default())
        })?;
        let nodes = from.list(6, "nodes", node)?;
        no_tags(from)?;
        let quorum = topics.unwrap_or_default().into_iter().flatten().next();
        let quorum = quorum.unwrap_or_default();
        let error = match refused {
            ErrorCode::NONE => quorum.error,
            refused => refused,
        };
        let nodes = nodes.unwrap_or_default().into_iter().flatten();
        let is_voter: BTreeSet<BrokerId> = quorum.voters.into_iter().collect();
        let mut voters: Vec<Endpoint> = nodes
            .filter(|node| is_voter.contains(&node.broker))
            .collect();
        voters.sort_by_key(|voter| voter.broker != quorum.leader);
        voters.truncate(VOTERS_MAX);
        Ok(QuorumAnswer { error, voters })
    }
}

struct Quorum {
    error: ErrorCode,
    leader: BrokerId,
    voters: Vec<BrokerId>,
}

impl Default for Quorum {
    fn default() -> Quorum {
        Quorum {
            error: ErrorCode::NONE,
            leader: BrokerId(-1),
            voters: Vec::new(),
        }
    }
}

fn partition(from: &mut Reader<'_>) -> Result<Quorum, Unread> {
    let _partition = from.i32()?;
    let error = ErrorCode(from.i16()?);
    let _message = from.text("an error's message")?;
    let leader = BrokerId(from.i32()?);
    let _epoch = from.i32()?;
    let _high_watermark = from.i64()?;
    let voters = from.list(45, "voters", replica)?.unwrap_or_default();
    let _observers = from.list(45, "observers", replica)?;
    no_tags(from)?;
    Ok(Quorum {
        error,
        leader,
        voters,
    })
}

fn replica(from: &mut Reader<'_>) -> Result<BrokerId, Unread> {
    let id = BrokerId(from.i32()?);
    let _directory = from.uuid()?;
    let _log_end = from.i64()?;
    let _fetched_ms = from.i64()?;
    let _caught_up_ms = from.i64()?;
    no_tags(from)?;
    Ok(id)
}

/// None where it has no listener.
fn node(from: &mut Reader<'_>) -> Result<Option<Endpoint>, Unread> {
    let broker = BrokerId(from.i32()?);
    let listeners = from.list(5, "listeners", |from| {
        let _name = from.text("a listener's name")?;
        let (host, port) = (text(from, "a host")?, from.u16()?);
        no_tags(from)?;
        Ok(Endpoint { broker, host, port })
    })?;
    no_tags(from)?;
    Ok(listeners.unwrap_or_default().into_iter().next())
}
