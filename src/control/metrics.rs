//! The metrics listener: how a node is, in the text of OpenMetrics, to whoever asks over HTTP.
//!
//! The node hands out a [`Snapshot`] now and then; what is asked for is written from the last one,
//! on another thread, so that a large node does not wait for its own description.

mod http;
mod text;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::doors::{Door, send, timely};
use crate::io::{Buf, Clock, Stream, World};
use crate::kraft::Life;
use crate::mirror::{MirrorName, State};
use crate::model::{PartitionIndex, ShardId, TopicName};

use http::{Asked, HEAD_BYTES_MAX, Status, head, response};

/// What a node tells of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The mirrors.
    pub mirrors: Vec<MirrorSample>,
    /// Their partitions.
    pub partitions: Vec<PartitionSample>,
    /// The threads that copy.
    pub shards: Vec<ShardSample>,
    /// Our place in the destination, if we are a member.
    pub member: Option<MemberSample>,
}

/// A mirror.
#[derive(Clone, Debug, PartialEq)]
pub struct MirrorSample {
    /// Its name.
    pub name: MirrorName,
    /// How many topics it has, those that are stopped included.
    pub topics: u64,
    /// How often the source could not be asked for its topics, since the start.
    pub metadata_errors: u64,
    /// How often one of its partitions has failed, since the start.
    pub failures: u64,
}

/// A partition of a mirror. What is not known is none.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionSample {
    /// The mirror.
    pub mirror: MirrorName,
    /// The topic.
    pub topic: TopicName,
    /// The partition's number.
    pub partition: PartitionIndex,
    /// Where it is.
    pub state: Option<State>,
    /// How many offsets the source's high watermark is ahead of our log.
    pub lag_offsets: Option<u64>,
    /// About how many bytes that is.
    pub lag_bytes: Option<u64>,
    /// For how long records of the source have been missing here; zero where none is.
    pub lag: Option<Duration>,
    /// The source's high watermark.
    pub source_offset: Option<u64>,
    /// Where our log ends.
    pub log_end: Option<u64>,
    /// Up to where followers have it too.
    pub high_watermark: Option<u64>,
}

/// A thread that copies.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardSample {
    /// Which.
    pub shard: ShardId,
    /// Whose partitions it copies; none for the destination's own.
    pub mirror: Option<MirrorName>,
    /// How many partitions it has.
    pub partitions: u64,
    /// Bytes of records that it has appended, since the start.
    pub bytes: u64,
    /// Batches, likewise.
    pub batches: u64,
    /// CPU time of its thread, likewise.
    pub busy: Option<Duration>,
}

/// Our place in the destination.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberSample {
    /// How we stand with the controller.
    pub life: Life,
    /// For how long from now on the controller takes us for alive.
    pub lease: Option<Duration>,
    /// Partitions that we lead.
    pub led: u64,
    /// Those of them whose followers in sync have everything.
    pub drained: u64,
    /// Those of them that have a replica out of sync.
    pub under_replicated: u64,
    /// Requests on the inter-broker listener that were refused, since the start.
    pub refused_requests: u64,
    /// Connections of that listener that were closed for what came over them, or for their number.
    pub closed_connections: u64,
}

/// How long a peer may take for its request, and for taking the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers whoever connects, from the last snapshot, until nobody hands one out any more.
pub async fn serve<W: World>(world: W, door: Door<W>, snapshots: watch::Receiver<Arc<Snapshot>>) {
    let mut last = snapshots.clone();
    let closed = async move { while last.changed().await.is_ok() {} };
    let answering = world.clone();
    door.serve(world, closed, |stream| {
        answer(answering.clone(), stream, snapshots.clone())
    })
    .await;
}

/// One connection, which is for one request: no peer needs more than that every few seconds.
async fn answer<W: World, S: Stream>(
    world: W,
    stream: S,
    snapshots: watch::Receiver<Arc<Snapshot>>,
) {
    let deadline = world.clock().now().after(PATIENCE);
    let mut window = Buf::unpooled(HEAD_BYTES_MAX);
    let asked = loop {
        match head(window.bytes()) {
            Ok(Some(asked)) => break Ok(asked),
            Ok(None) if window.room().is_empty() => break Err(Status::TooLarge),
            Ok(None) => {}
            Err(status) => break Err(status),
        }
        let received = timely(&world, &stream, deadline, stream.recv(window)).await;
        let Some((back, Ok(1..))) = received else {
            return;
        };
        window = back;
    };
    let answer = match asked {
        Ok(Asked::Metrics { has_body }) => {
            let snapshot = snapshots.borrow().clone();
            let written = tokio::task::spawn_blocking(move || text::written(&snapshot)).await;
            match written {
                Ok(text) => response(Status::Ok, text::CONTENT_TYPE, &text, has_body),
                Err(_) => plain(Status::Failed, true),
            }
        }
        Ok(Asked::Health { has_body }) => plain(Status::Ok, has_body),
        Err(status) => plain(status, true),
    };
    // A peer that takes no answer has its own reasons.
    send(&world, &stream, PATIENCE, &answer).await;
    stream.shutdown();
}

fn plain(status: Status, has_body: bool) -> Vec<u8> {
    let words = format!("{}\n", status.words());
    response(status, "text/plain; charset=utf-8", &words, has_body)
}

#[cfg(test)]
mod tests;
