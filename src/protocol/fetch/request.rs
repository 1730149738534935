//! The Fetch request of a consumer, who is shown everything up to the high watermark, or of a
//! replica, who is shown everything.

use super::form::Form;
use super::topics::Topics;
use crate::model::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId};
use crate::protocol::header::set_length;
use crate::protocol::primitive::Writer;

/// The replica id of whoever is no broker.
const CONSUMER: i32 = -1;
const READ_UNCOMMITTED: i8 = 0;

/// A replica's state has the tag 1: its id, its epoch and a count of tags.
const REPLICA_STATE: u32 = 1;
const REPLICA_STATE_BYTES: u32 = 13;

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Who asks, where it is a broker that has replicas of the partitions; none for a consumer.
    pub replica: Option<Replica>,
    /// Its bounds.
    pub ask: Ask,
    /// The incremental session that it belongs to. A version without sessions leaves it out.
    pub session: Session,
    /// What is asked for; in a session that goes on, only what has changed.
    pub partitions: &'a [AskedPartition],
    /// What the session is to leave out from now on.
    pub forgotten: &'a [(TopicId, PartitionIndex)],
}

impl<'a> Request<'a> {
    /// A consumer's request that stands alone.
    #[must_use]
    pub fn alone(ask: Ask, partitions: &'a [AskedPartition]) -> Request<'a> {
        Request {
            replica: None,
            ask,
            session: Session::NONE,
            partitions,
            forgotten: &[],
        }
    }
}

/// A broker that follows. What it asks for it does not have: its leader counts all below as
/// held by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Its id.
    pub broker: BrokerId,
    /// Of its present registration, so that nothing it asked for in an earlier one counts
    /// (KIP-903). Only versions from 15 on state it.
    pub epoch: BrokerEpoch,
}

/// An incremental session (KIP-227) as a request names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// The broker's number for it; 0 where there is none.
    pub id: i32,
    /// Which request of the session this is: 0 begins one (and ends the one that `id` names), −1
    /// wants none.
    pub epoch: i32,
}

impl Session {
    /// This request stands alone.
    pub const NONE: Session = Session { id: 0, epoch: -1 };
}

/// What is asked of one broker at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// How long the broker may wait for `min_bytes`, in ms.
    pub max_wait_ms: i32,
    /// Answer as soon as so many bytes are there.
    pub min_bytes: i32,
    /// No more than this, except that one whole batch is always given.
    pub max_bytes: i32,
}

/// One partition in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskedPartition {
    /// The topic.
    pub topic: TopicId,
    /// The partition.
    pub partition: PartitionIndex,
    /// The leader's epoch as we know it, so that another leader refuses.
    pub leader_epoch: LeaderEpoch,
    /// The first offset that is wanted.
    pub fetch_offset: Offset,
    /// The epoch of the last batch that we hold, so that the broker sees a divergence.
    pub last_fetched_epoch: LeaderEpoch,
    /// Where a replica's log begins; none for a consumer.
    pub log_start: Option<Offset>,
    /// No more than this, with the same exception.
    pub max_bytes: i32,
}

/// Appends a whole request frame to `out`, length included. Partitions of one topic stand together
/// where they come one after the other. `topics` knows the names of all that are asked for; only
/// versions without topic ids want to know.
pub fn write_request(
    version: i16,
    correlation: i32,
    client_id: &str,
    request: &Request<'_>,
    topics: &Topics,
    out: &mut Vec<u8>,
) {
    let form = Form::of(version);
    let start = out.len();
    let mut to = Writer::new(out);
    to.i32(0);
    to.i16(super::API_KEY);
    to.i16(version);
    to.i32(correlation);
    to.string(client_id);
    form.write_no_tags(&mut to);
    if form.has_replica_id() {
        to.i32(request.replica.map_or(CONSUMER, |replica| replica.broker.0));
    }
    to.i32(request.ask.max_wait_ms);
    to.i32(request.ask.min_bytes);
    to.i32(request.ask.max_bytes);
    to.i8(READ_UNCOMMITTED);
    if form.has_sessions() {
        to.i32(request.session.id);
        to.i32(request.session.epoch);
    }
    let names = Names { form, topics };
    names.write_topics(&mut to, request.partitions);
    if form.has_sessions() {
        names.write_forgotten(&mut to, request.forgotten);
    }
    if form.has_rack() {
        form.write_text(&mut to, "");
    }
    match request.replica.filter(|_| !form.has_replica_id()) {
        Some(replica) => write_state(&mut to, replica),
        None => form.write_no_tags(&mut to),
    }
    set_length(out, start, 0);
}

fn write_state(to: &mut Writer<'_>, replica: Replica) {
    const TAGS: u32 = 1;
    to.varint(TAGS);
    to.varint(REPLICA_STATE);
    to.varint(REPLICA_STATE_BYTES);
    to.i32(replica.broker.0);
    to.i64(replica.epoch.value());
    to.no_tags();
}

/// How a version calls its topics.
struct Names<'a> {
    form: Form,
    topics: &'a Topics,
}

impl Names<'_> {
    fn write_topics(&self, to: &mut Writer<'_>, partitions: &[AskedPartition]) {
        let same_topic = |one: &AskedPartition, next: &AskedPartition| one.topic == next.topic;
        let topics = partitions.chunk_by(same_topic);
        self.form.write_count(to, topics.clone().count());
        for topic in topics {
            self.write_name(to, topic.first().map(|asked| asked.topic));
            self.form.write_count(to, topic.len());
            for asked in topic {
                write_partition(self.form, to, asked);
            }
            self.form.write_no_tags(to);
        }
    }

    fn write_forgotten(&self, to: &mut Writer<'_>, forgotten: &[(TopicId, PartitionIndex)]) {
        let topics = forgotten.chunk_by(|one, next| one.0 == next.0);
        self.form.write_count(to, topics.clone().count());
        for topic in topics {
            self.write_name(to, topic.first().map(|(topic, _)| *topic));
            self.form.write_count(to, topic.len());
            for (_, partition) in topic {
                to.i32(partition.value());
            }
            self.form.write_no_tags(to);
        }
    }

    fn write_name(&self, to: &mut Writer<'_>, topic: Option<TopicId>) {
        let id = topic.expect("a chunk has an element");
        if self.form.has_topic_ids() {
            return to.bytes(&id.bytes());
        }
        let name = self.topics.name_of(id);
        let name = name.expect("whoever asks for a topic by its name knows it");
        self.form.write_text(to, name.as_str());
    }
}

fn write_partition(form: Form, to: &mut Writer<'_>, asked: &AskedPartition) {
    const NO_LOG_START: i64 = -1;
    to.i32(asked.partition.value());
    if form.has_leader_epoch() {
        to.i32(asked.leader_epoch.value());
    }
    to.i64(asked.fetch_offset.value());
    if form.has_last_epoch() {
        to.i32(asked.last_fetched_epoch.value());
    }
    if form.has_log_start() {
        to.i64(asked.log_start.map_or(NO_LOG_START, Offset::value));
    }
    to.i32(asked.max_bytes);
    form.write_no_tags(to);
}
