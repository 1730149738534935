//! A source cluster in miniature: brokers that lead, lead no more, or do not know it yet.

use std::collections::{BTreeMap, BTreeSet};

use super::super::scene::{epoch_end, index, offset};
use super::chance::Chance;
use super::logs::{Batch, SourceLog};
use super::sessions::{Sessions, Wanted};
use crate::model::{BrokerId, LeaderEpoch, Offset, TopicId};
use crate::protocol::error_code::ErrorCode;
use crate::protocol::fetch::{
    Ask, AskedPartition, Diverging, LAST_EPOCH_FROM, LeaderHint, PartitionHead, PartitionTail,
};
use crate::source::{Answer, Question};

pub(super) const BROKERS: i32 = 3;
/// Without sessions, without leader epochs, without last epochs, without topic ids, with all.
const VERSIONS: [i16; 6] = [4, 8, 11, 12, 18, 18];
/// What a replica asks in.
const REPLICA_VERSIONS: [i16; 3] = [13, 15, 18];
/// From this version on a fetch says which leader it means.
const LEADER_EPOCH_FROM: i16 = 9;

/// One partition, each of a topic of its own.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) topic: TopicId,
    pub(super) leader: i32,
    pub(super) epoch: i32,
    pub(super) log: SourceLog,
    /// Brokers that were leaders, have not heard of the election and serve what they had.
    pub(super) zombies: BTreeMap<i32, (i32, SourceLog)>,
    /// Records that could be seen were lost.
    pub(super) lost: bool,
    pub(super) deleted: bool,
    /// It has a batch larger than we make room for.
    pub(super) has_giant: bool,
}

/// One partition's part of an answer.
#[derive(Debug)]
pub(super) struct PartAnswer {
    pub(super) head: PartitionHead,
    pub(super) tail: PartitionTail,
    /// Whole batches, and which of them are damaged.
    pub(super) batches: Vec<(Batch, bool)>,
    /// A batch that is cut off follows; its size, where enough of it came to tell.
    pub(super) cut: Option<Option<u32>>,
    /// The log start of whoever answers.
    pub(super) start: i64,
    /// The log that ours diverges from.
    pub(super) answerer: Option<SourceLog>,
}

#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) parts: Vec<Part>,
    pub(super) down: BTreeSet<i32>,
    /// The newest version of Fetch that each broker speaks, by its number less one.
    versions: Vec<i16>,
    pub(super) sessions: Sessions,
    next_tag: u64,
    /// Whoever asks is a replica.
    is_followed: bool,
}

impl Cluster {
    pub(super) fn new(parts: usize, is_followed: bool, chance: &mut Chance) -> Cluster {
        let versions = match is_followed {
            true => &REPLICA_VERSIONS[..],
            false => &VERSIONS[..],
        };
        let part = |number: usize| Part {
            topic: TopicId::new([u8::try_from(number + 1).expect("few"); 16]),
            leader: chance.between(1, BROKERS),
            epoch: 0,
            log: SourceLog::new(0),
            zombies: BTreeMap::new(),
            lost: false,
            deleted: false,
            has_giant: false,
        };
        Cluster {
            parts: (0..parts).map(part).collect(),
            down: BTreeSet::new(),
            versions: (0..BROKERS).map(|_| chance.pick(versions)).collect(),
            sessions: Sessions::default(),
            next_tag: 1,
            is_followed,
        }
    }

    pub(super) fn version(&self, broker: i32) -> i16 {
        self.versions[usize::try_from(broker - 1).expect("numbered from 1")]
    }

    pub(super) fn number_of(&self, topic: TopicId) -> usize {
        let place = self.parts.iter().position(|part| part.topic == topic);
        place.expect("no other topics are followed")
    }

    /// A few batches, most of them small; all but the last may become visible.
    pub(super) fn produce(&mut self, number: usize, giant: bool, chance: &mut Chance) {
        let part = &mut self.parts[number];
        for _ in 0..chance.between(1, 4) {
            let bytes = match chance.below(20) {
                0 => chance.below(1_800) + 1_000,
                1 if giant => 9_000,
                _ => chance.below(300) + 61,
            };
            part.has_giant |= bytes == 9_000;
            if chance.one_in(12) {
                part.log.skip(i64::from(chance.between(1, 3)));
            }
            let bytes = u32::try_from(bytes).expect("small");
            let offsets = i64::from(chance.between(1, 5));
            part.log.append(offsets, bytes, self.next_tag);
            self.next_tag += 1;
        }
        if chance.one_in(2) {
            part.log.show_all();
        }
    }

    pub(super) fn trim(&mut self, number: usize, chance: &mut Chance) {
        let log = &mut self.parts[number].log;
        if log.high > log.start {
            let to = log.start + 1 + chance.below_i64(log.high - log.start);
            log.trim(to);
        }
    }

    /// Another broker leads from now on. `unclean`: one that lacks what could be seen.
    pub(super) fn elect(&mut self, number: usize, unclean: bool, chance: &mut Chance) {
        let part = &mut self.parts[number];
        let before = (part.leader, part.epoch, part.log.clone());
        part.leader = chance.between(1, BROKERS);
        part.epoch += chance.between(1, 2);
        part.zombies.remove(&part.leader);
        if before.0 != part.leader && chance.one_in(2) {
            part.zombies.insert(before.0, (before.1, before.2));
        }
        let (start, shown, end) = (part.log.start, part.log.shown, part.log.end);
        let floor = if unclean { start } else { shown };
        part.log.cut(floor + chance.below_i64(end - floor + 1));
        part.lost |= part.log.end < shown;
        part.log.lead(part.epoch);
        if chance.one_in(2) {
            // A new leader learns the high watermark a little later.
            let known = part.log.high.max(start);
            part.log.high = start + chance.below_i64(known - start + 1);
        }
    }

    /// Whoever does not know yet that it leads no more learns it.
    pub(super) fn wake_zombies(&mut self, number: usize) {
        self.parts[number].zombies.clear();
    }

    /// Everybody is well, and shows all that there is.
    pub(super) fn calm_down(&mut self) {
        self.down.clear();
        for part in &mut self.parts {
            part.zombies.clear();
            part.log.show_all();
        }
    }

    /// The log of `broker` and its leader epoch, if it believes to lead.
    fn led_by(&self, number: usize, broker: i32) -> Option<(i32, &SourceLog)> {
        let part = &self.parts[number];
        if part.deleted {
            return None;
        }
        let zombie = part.zombies.get(&broker).map(|(epoch, log)| (*epoch, log));
        match part.leader == broker {
            true => Some((part.epoch, &part.log)),
            false => zombie,
        }
    }

    /// Who answers a request of `epoch`, or why nobody does.
    fn asked_of(
        &self,
        number: usize,
        broker: i32,
        epoch: Option<LeaderEpoch>,
    ) -> Result<&SourceLog, ErrorCode> {
        if self.parts[number].deleted {
            return Err(ErrorCode::UNKNOWN_TOPIC_ID);
        }
        let Some((known, log)) = self.led_by(number, broker) else {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        };
        match epoch.map_or(known, LeaderEpoch::value).cmp(&known) {
            std::cmp::Ordering::Less => Err(ErrorCode::FENCED_LEADER_EPOCH),
            std::cmp::Ordering::Equal => Ok(log),
            std::cmp::Ordering::Greater => Err(ErrorCode::UNKNOWN_LEADER_EPOCH),
        }
    }

    /// A broker's answer, and the session that it belongs to; `stormy` ones have all kinds of
    /// faults.
    pub(super) fn fetch(
        &mut self,
        broker: i32,
        request: &Wanted,
        stormy: bool,
        chance: &mut Chance,
    ) -> Result<(i32, Vec<PartAnswer>), ErrorCode> {
        let mut sessions = std::mem::take(&mut self.sessions);
        let standing = sessions.take_in(broker, request, stormy, chance);
        let answer = standing.map(|(session, asked, is_first)| {
            let is_partial = session != 0 && !is_first;
            let parts = self.fill_parts(broker, request.ask, &asked, (stormy, is_partial), chance);
            (session, sessions.what_is_new(session, parts))
        });
        self.sessions = sessions;
        answer
    }

    /// What is wanted, filled in its order. In a session nobody is left out by mistake.
    fn fill_parts(
        &self,
        broker: i32,
        ask: Ask,
        asked: &[AskedPartition],
        (stormy, is_partial): (bool, bool),
        chance: &mut Chance,
    ) -> Vec<PartAnswer> {
        let mut left = u32::try_from(ask.max_bytes).expect("positive");
        let mut fed = false;
        let mut parts = Vec::new();
        for one in asked {
            if stormy && !is_partial && chance.one_in(60) {
                continue;
            }
            let mut part = self.fetch_one(broker, one, stormy, chance);
            let room = u32::try_from(one.max_bytes).expect("positive").min(left);
            let bytes = fill(&mut part, room, fed, chance);
            if stormy {
                spoil(&mut part, chance);
            }
            part.head.records_bytes = bytes as usize;
            left = left.saturating_sub(bytes);
            fed |= bytes > 0;
            parts.push(part);
        }
        if stormy && chance.one_in(30) && parts.len() > 1 {
            parts.rotate_left(1);
        }
        parts
    }

    /// Everything from the offset asked for on; see Kafka's `Partition.fetchRecords`.
    fn fetch_one(
        &self,
        broker: i32,
        asked: &AskedPartition,
        stormy: bool,
        chance: &mut Chance,
    ) -> PartAnswer {
        let number = self.number_of(asked.topic);
        let mut answer = PartAnswer {
            head: PartitionHead {
                topic: asked.topic,
                partition: index(0),
                error: ErrorCode::NONE,
                high_watermark: None,
                log_start: None,
                records_bytes: 0,
            },
            tail: PartitionTail::default(),
            batches: Vec::new(),
            cut: None,
            start: 0,
            answerer: None,
        };
        let found = match stormy && chance.one_in(50) {
            true => Err(chance.pick(&PASSING)),
            false => {
                let epoch = Some(asked.leader_epoch);
                let says = self.version(broker) >= LEADER_EPOCH_FROM;
                self.asked_of(number, broker, epoch.filter(|_| says))
            }
        };
        let says = self.version(broker) >= LAST_EPOCH_FROM;
        let checked = found.and_then(|log| Ok((log, in_range(log, asked, says)?)));
        let (log, diverging) = match checked {
            Ok(found) => found,
            Err(error) => {
                answer.head.error = error;
                answer.tail.leader = self.hint(number, error, chance);
                return answer;
            }
        };
        answer.tail.diverging = diverging;
        // A broker may hear of its successor between the check and the read (KAFKA-18723).
        let is_late = stormy && chance.one_in(20) && diverging.is_none();
        let log = if is_late {
            &self.parts[number].log
        } else {
            log
        };
        answer.start = log.start;
        answer.head.high_watermark = Offset::from_wire(log.high);
        answer.head.log_start = Offset::from_wire(log.start);
        if diverging.is_none() {
            let from = asked.fetch_offset.value();
            let shown = |batch: &&Batch| self.is_followed || batch.next <= log.high;
            let shown = log.there(from).filter(shown);
            answer.batches = shown.map(|batch| (*batch, false)).collect();
        } else if self.is_followed {
            answer.answerer = Some(log.clone());
        }
        answer
    }

    fn hint(&self, number: usize, error: ErrorCode, chance: &mut Chance) -> Option<LeaderHint> {
        let hints = [
            ErrorCode::NOT_LEADER_OR_FOLLOWER,
            ErrorCode::FENCED_LEADER_EPOCH,
        ];
        let part = &self.parts[number];
        (hints.contains(&error) && chance.one_in(2)).then_some(LeaderHint {
            leader: BrokerId(part.leader),
            epoch: LeaderEpoch::new(part.epoch),
        })
    }

    /// Control's answer to a question about partition `number`.
    pub(super) fn answer(&self, number: usize, question: Question) -> Answer {
        let part = &self.parts[number];
        if part.deleted {
            return Answer::TopicDeleted;
        }
        let log_of = |leader: BrokerId, epoch| match self.down.contains(&leader.0) {
            true => Err(ErrorCode::NETWORK_EXCEPTION),
            false => self.asked_of(number, leader.0, Some(epoch)),
        };
        match question {
            Question::Leader { .. } => Answer::Leader {
                leader: BrokerId(part.leader),
                epoch: LeaderEpoch::new(part.epoch),
            },
            Question::EpochEnd {
                leader,
                leader_epoch,
                epoch,
                ..
            } => log_of(leader, leader_epoch).map_or(Answer::Unavailable, |log| {
                let end = log.epoch_end(epoch.value());
                Answer::EpochEnd {
                    of: epoch,
                    under: leader_epoch,
                    end: end.map(|(number, end)| epoch_end(number, end)),
                }
            }),
            Question::Bounds {
                leader,
                leader_epoch,
                ..
            } => log_of(leader, leader_epoch).map_or(Answer::Unavailable, |log| Answer::Bounds {
                start: offset(log.start),
                end: offset(if self.is_followed { log.end } else { log.high }),
            }),
            Question::Broker { .. } => unreachable!("it names no partition"),
        }
    }
}

/// Errors that come and go.
const PASSING: [ErrorCode; 6] = [
    ErrorCode::KAFKA_STORAGE_ERROR,
    ErrorCode::UNKNOWN_TOPIC_ID,
    ErrorCode::UNKNOWN_SERVER_ERROR,
    ErrorCode::OFFSET_OUT_OF_RANGE,
    ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ErrorCode::UNKNOWN_LEADER_EPOCH,
];

/// The checks of a fetch against a leader's log, in Kafka's order (`Partition.readRecords`).
fn in_range(
    log: &SourceLog,
    asked: &AskedPartition,
    says_last: bool,
) -> Result<Option<Diverging>, ErrorCode> {
    let from = asked.fetch_offset.value();
    let last = asked.last_fetched_epoch;
    let mut diverging = None;
    if last.is_some() && says_last {
        let known = log.epoch_end(last.value());
        let (epoch, end) = known.ok_or(ErrorCode::OFFSET_OUT_OF_RANGE)?;
        if from >= log.start && (epoch < last.value() || end < from) {
            diverging = Some(Diverging {
                epoch: LeaderEpoch::new(epoch),
                end: Offset::from_wire(end),
            });
        }
    }
    match diverging {
        None if from < log.start || from > log.end => Err(ErrorCode::OFFSET_OUT_OF_RANGE),
        diverging => Ok(diverging),
    }
}

/// Leaves as much of `part` as fits: whole batches, one at least where it is the first to
/// bring any, and perhaps the beginning of the next. Says how many bytes that are.
fn fill(part: &mut PartAnswer, room: u32, fed: bool, chance: &mut Chance) -> u32 {
    let mut bytes = 0;
    let mut whole = 0;
    for (batch, _) in &part.batches {
        let first_of_all = whole == 0 && !fed;
        if bytes + batch.bytes > room && !first_of_all {
            break;
        }
        bytes += batch.bytes;
        whole += 1;
    }
    let next = part.batches.get(whole).map(|(batch, _)| batch.bytes);
    part.batches.truncate(whole);
    let left = room.saturating_sub(bytes);
    if let Some(need) = next
        && left > 0
        && chance.one_in(2)
    {
        part.cut = Some((left >= 17).then_some(need));
        bytes += left;
    }
    bytes
}

/// What may happen to records on their way.
fn spoil(part: &mut PartAnswer, chance: &mut Chance) {
    for (_, damaged) in &mut part.batches {
        *damaged = chance.one_in(60);
    }
    if chance.one_in(60)
        && let Some((batch, _)) = part.batches.pop()
    {
        part.cut = Some(chance.one_in(2).then_some(batch.bytes));
    }
}
