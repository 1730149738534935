//! The bytes of a Fetch answer around its records, in their order: whoever has the records puts
//! them where they belong.

use super::answer::{AnswerEnd, AnswerHead, Diverging, Endpoint, LeaderHint, PartitionTail};
use super::topics::Topics;
use super::written::PartitionAnswer;
use super::{LAST_EPOCH_FROM, TOPIC_IDS_FROM, VERSION_MAX};
use crate::model::{Offset, TopicId};
use crate::protocol::header::begin_answer;
use crate::protocol::primitive::Writer;
use crate::protocol::versions::FETCH;

pub(super) const NO_PREFERRED_REPLICA: i32 = -1;
/// Brokers are told to the one who asked from this version on.
pub(super) const ENDPOINTS_FROM: i16 = 16;

/// What an answer tells: partitions in their order, and what an older version calls their topics.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The partitions. Those of one topic stand together where they come one after the other.
    pub partitions: &'a [PartitionAnswer],
    /// The names of topics, for versions without their ids.
    pub named: &'a Topics,
}

/// How far an answer is written.
///
/// [`Around::up_to`] writes everything before the records of one partition but their length; the
/// caller writes that and them, and goes on with a later partition or with [`Around::end`].
/// Partitions that are passed over have no records, whatever length they state.
#[derive(Clone, Copy, Debug)]
pub struct Around {
    version: i16,
    /// The first partition that was not begun.
    next: usize,
    /// Of the partition before it, what follows its records is not written.
    is_open: bool,
}

impl Around {
    /// Writes the beginning, with a length that is not known yet
    /// ([`set_length`](crate::protocol::header::set_length)).
    #[must_use]
    pub fn begin(
        version: i16,
        correlation: i32,
        head: AnswerHead,
        told: Told<'_>,
        out: &mut Vec<u8>,
    ) -> Around {
        let versions = LAST_EPOCH_FROM..=VERSION_MAX;
        assert!(versions.contains(&version), "version {version}");
        let start = begin_answer(FETCH, version, correlation, out);
        assert_eq!(start, 0, "an answer begins a frame of its own");
        let mut to = Writer::new(out);
        to.i32(head.throttle_ms);
        to.i16(head.error.0);
        to.i32(head.session);
        to.compact(told.partitions.chunk_by(same_topic).count());
        Around {
            version,
            next: 0,
            is_open: false,
        }
    }

    /// Writes everything up to the length of the records of this partition, which comes after all
    /// that were written before.
    pub fn up_to(&mut self, number: usize, told: Told<'_>, out: &mut Vec<u8>) {
        assert!(self.next <= number, "answers are written in their order");
        self.pass(number, told, out);
        self.head(told, out);
        self.is_open = true;
    }

    /// Writes what is left.
    pub fn end(mut self, told: Told<'_>, end: &AnswerEnd, out: &mut Vec<u8>) {
        self.pass(told.partitions.len(), told, out);
        let mut to = Writer::new(out);
        if self.next > 0 {
            // The last topic's.
            to.no_tags();
        }
        if self.version < ENDPOINTS_FROM || end.endpoints.is_empty() {
            return to.no_tags();
        }
        let field = endpoints(&end.endpoints);
        // One tagged field, number 0, with its size.
        to.varint(1);
        to.varint(0);
        to.varint(u32::try_from(field.len()).expect("endpoints are short"));
        to.bytes(&field);
    }

    /// Partitions without records, up to this one.
    fn pass(&mut self, number: usize, told: Told<'_>, out: &mut Vec<u8>) {
        loop {
            if std::mem::take(&mut self.is_open) {
                let before = self.next.checked_sub(1);
                let before = before.and_then(|before| told.partitions.get(before));
                tail(&before.expect("it was begun").tail, out);
            }
            if self.next >= number {
                return;
            }
            self.head(told, out);
            Writer::new(out).compact(0);
            self.is_open = true;
        }
    }

    /// The next partition, without its records and what follows them.
    fn head(&mut self, told: Told<'_>, out: &mut Vec<u8>) {
        let rest = told.partitions.get(self.next..).unwrap_or_default();
        let answer = rest.first().expect("one of the answer's partitions");
        let before = self.next.checked_sub(1);
        let before = before.and_then(|before| told.partitions.get(before));
        if before.is_none_or(|before| !same_topic(before, answer)) {
            if before.is_some() {
                Writer::new(out).no_tags();
            }
            self.topic(answer.head.topic, told.named, out);
            let of_topic = rest.iter().take_while(|other| same_topic(answer, other));
            Writer::new(out).compact(of_topic.count());
        }
        let head = &answer.head;
        let mut to = Writer::new(out);
        to.i32(head.partition.value());
        to.i16(head.error.0);
        to.i64(wire(head.high_watermark));
        to.i64(wire(answer.last_stable));
        to.i64(wire(head.log_start));
        // No aborted transactions: they are told only to those who filter by them.
        to.varint(0);
        to.i32(NO_PREFERRED_REPLICA);
        self.next = self.next.saturating_add(1);
    }

    fn topic(&self, id: TopicId, named: &Topics, out: &mut Vec<u8>) {
        let mut to = Writer::new(out);
        if self.version >= TOPIC_IDS_FROM {
            return to.bytes(&id.bytes());
        }
        let name = named.name_of(id).expect("the request has named it");
        to.text(Some(name.as_str()));
    }
}

fn same_topic(one: &PartitionAnswer, next: &PartitionAnswer) -> bool {
    one.head.topic == next.head.topic
}

fn tail(tail: &PartitionTail, out: &mut Vec<u8>) {
    let mut to = Writer::new(out);
    let tags = u32::from(tail.diverging.is_some()).saturating_add(tail.leader.is_some().into());
    to.varint(tags);
    if let Some(Diverging { epoch, end }) = tail.diverging {
        // The tag, and the size: four bytes, eight bytes, no tags.
        to.varint(0);
        to.varint(13);
        to.i32(epoch.value());
        to.i64(wire(end));
        to.no_tags();
    }
    if let Some(LeaderHint { leader, epoch }) = tail.leader {
        to.varint(1);
        to.varint(9);
        to.i32(leader.0);
        to.i32(epoch.value());
        to.no_tags();
    }
}

fn endpoints(endpoints: &[Endpoint]) -> Vec<u8> {
    let mut field = Vec::new();
    let mut to = Writer::new(&mut field);
    to.compact(endpoints.len());
    for Endpoint { broker, host, port } in endpoints {
        to.i32(broker.0);
        to.compact(host.len());
        to.bytes(host.as_bytes());
        to.i32(i32::from(*port));
        // No rack.
        to.varint(0);
        to.no_tags();
    }
    field
}

pub(super) fn wire(offset: Option<Offset>) -> i64 {
    offset.map_or(-1, Offset::value)
}
