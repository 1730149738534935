//! A source played by hand: what the shard, the brokers and control would say to it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::super::*;
use crate::protocol::error_code::ErrorCode;
use crate::protocol::fetch::{
    Ask, AskedPartition, Diverging, LeaderHint, PartitionHead, PartitionTail, Replica, Session,
    VERSION_MAX,
};

pub(super) const TOPIC: TopicId = TopicId::new([7; 16]);
/// The leader epoch of every partition at first.
pub(super) const EPOCH: i32 = 1;
/// The high watermark that an answer tells unless it says otherwise.
pub(super) const HIGH: i64 = 1_000;

pub(super) fn offset(number: i64) -> Offset {
    Offset::new(number)
}

pub(super) fn epoch(number: i32) -> LeaderEpoch {
    LeaderEpoch::new(number)
}

pub(super) fn index(number: i32) -> PartitionIndex {
    PartitionIndex::new(number).expect("not negative")
}

/// The only lane to a broker.
pub(super) fn lane(broker: i32) -> LaneId {
    LaneId {
        broker: BrokerId(broker),
        number: 0,
    }
}

/// Sizes small enough to be read in a test.
pub(super) fn options() -> Options {
    Options {
        fetch_bytes_max: 4_000,
        partition_fetch_bytes_max: 1_000,
        batch_bytes_max: 8_000,
        ..Options::default()
    }
}

/// A partition of which we hold nothing, led by `leader`.
pub(super) fn new_log(partition: i32, leader: i32) -> Followed {
    Followed {
        id: format!("t-{partition}").parse().expect("a name"),
        topic_id: TOPIC,
        leader: BrokerId(leader),
        leader_epoch: epoch(EPOCH),
        position: Offset::ZERO,
        last_epoch: LeaderEpoch::NONE,
        log_start: Offset::ZERO,
        is_empty: true,
        until: None,
        may_truncate: false,
    }
}

/// A partition whose log ends at `next` in the epoch `last`.
pub(super) fn held_log(partition: i32, leader: i32, next: i64, last: i32) -> Followed {
    Followed {
        position: offset(next),
        last_epoch: epoch(last),
        is_empty: false,
        ..new_log(partition, leader)
    }
}

/// A request as it left.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) ask: Ask,
    pub(super) partitions: Vec<AskedPartition>,
    pub(super) version: i16,
    pub(super) session: Session,
    /// The numbers of the partitions that the session is to forget.
    pub(super) forgotten: Vec<i32>,
    pub(super) replica: Option<Replica>,
}

impl Sent {
    /// The numbers of the partitions, in their order.
    pub(super) fn order(&self) -> Vec<i32> {
        let numbers = self.partitions.iter().map(|asked| asked.partition.value());
        numbers.collect()
    }

    /// Its only partition.
    pub(super) fn only(&self) -> AskedPartition {
        assert_eq!(self.partitions.len(), 1, "{self:?}");
        self.partitions[0]
    }
}

/// One partition's part of an answer, and what the shard makes of its records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) head: PartitionHead,
    tail: PartitionTail,
    brings: Option<(i64, i32)>,
    outcome: Outcome,
}

impl Part {
    pub(super) fn empty(partition: i32) -> Part {
        Part {
            head: PartitionHead {
                topic: TOPIC,
                partition: index(partition),
                error: ErrorCode::NONE,
                high_watermark: Some(offset(HIGH)),
                log_start: Some(Offset::ZERO),
                records_bytes: 0,
            },
            tail: PartitionTail::default(),
            brings: None,
            outcome: Outcome::Nothing,
        }
    }

    /// Sound records that end at `next` in the first epoch.
    pub(super) fn records(partition: i32, next: i64) -> Part {
        let mut part = Part::empty(partition);
        part.head.records_bytes = 100;
        part.brings = Some((next, EPOCH));
        part.outcome = Outcome::Appended;
        part
    }

    pub(super) fn error(partition: i32, error: ErrorCode) -> Part {
        let mut part = Part::empty(partition);
        part.head.error = error;
        part
    }

    /// Bytes that hold no sound batch.
    pub(super) fn bad(partition: i32, outcome: Outcome) -> Part {
        let mut part = Part::empty(partition);
        part.head.records_bytes = 100;
        part.outcome = outcome;
        part
    }

    /// Of another outcome than its records alone would have.
    pub(super) fn and_then(mut self, outcome: Outcome) -> Part {
        self.outcome = outcome;
        self
    }

    pub(super) fn of_epoch(mut self, number: i32) -> Part {
        let (next, _) = self.brings.expect("it has records");
        self.brings = Some((next, number));
        self
    }

    pub(super) fn high(mut self, high_watermark: i64) -> Part {
        self.head.high_watermark = Offset::from_wire(high_watermark);
        self
    }

    pub(super) fn hint(mut self, leader: i32, number: i32) -> Part {
        self.tail.leader = Some(LeaderHint {
            leader: BrokerId(leader),
            epoch: epoch(number),
        });
        self
    }

    pub(super) fn diverging(mut self, number: i32, end: i64) -> Part {
        self.tail.diverging = Some(Diverging {
            epoch: epoch(number),
            end: Offset::from_wire(end),
        });
        self
    }
}

/// A source and the time it is.
pub(super) struct Scene {
    pub(super) source: Source,
    pub(super) now: Instant,
    /// The version of Fetch that all brokers speak.
    pub(super) version: i16,
    /// The session that answers belong to; 0 for none.
    pub(super) session: i32,
    /// The epochs of our log, each with its end, as far as a leader may ask for them.
    pub(super) held: Vec<(i32, i64)>,
    /// Per broker and request how many partitions its answer still has to tell of.
    open: BTreeMap<i32, VecDeque<usize>>,
}

impl Scene {
    /// Brokers 1 to 3 are known; nothing is followed.
    pub(super) fn new(options: Options) -> Scene {
        let mut source = Source::new(options, 1);
        for broker in 1..=3 {
            source.broker_at(endpoint(broker, 9092));
        }
        Scene {
            source,
            now: Instant::from_nanos(1),
            version: VERSION_MAX,
            session: 0,
            held: Vec::new(),
            open: BTreeMap::new(),
        }
    }

    /// Follows, and opens all connections.
    pub(super) fn following(
        options: Options,
        all: impl IntoIterator<Item = Followed>,
    ) -> (Scene, Vec<CursorId>) {
        let mut scene = Scene::new(options);
        let ids = all.into_iter().map(|one| scene.source.follow(one).0);
        let ids = ids.collect();
        scene.connect();
        (scene, ids)
    }

    /// A scene of one partition, led by broker 1, of which we hold nothing.
    pub(super) fn of_one(options: Options) -> (Scene, CursorId) {
        let (scene, ids) = Scene::following(options, [new_log(0, 1)]);
        (scene, ids[0])
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.now = self.now.after(Duration::from_millis(ms));
    }

    /// Sleeps as long as the source allows; says how many milliseconds that was.
    pub(super) fn sleep(&mut self) -> u64 {
        let wake = self.source.next_deadline().expect("there is a deadline");
        let slept = wake.since(self.now);
        self.now = self.now.max(wake);
        u64::try_from(slept.as_millis()).expect("a short sleep")
    }

    /// The connection to a broker breaks.
    pub(super) fn lose(&mut self, broker: i32) {
        self.open.remove(&broker);
        self.source.lane_lost(self.now, lane(broker));
    }

    /// Opens every connection that is wanted now; says which.
    pub(super) fn connect(&mut self) -> Vec<i32> {
        let mut opened = Vec::new();
        while let Some((lane, _)) = self.source.plan_connect(self.now) {
            self.source.lane_up(lane, self.version);
            opened.push(lane.broker.0);
        }
        opened
    }

    /// The next request to `broker`, if there is one.
    pub(super) fn ask(&mut self, broker: i32) -> Option<Sent> {
        let plan = self.source.plan_fetch(self.now, lane(broker))?;
        assert_eq!(plan.lane, lane(broker));
        let asked = plan.request.partitions.len();
        self.open.entry(broker).or_default().push_back(asked);
        let forgotten = plan.request.forgotten.iter();
        Some(Sent {
            ask: plan.request.ask,
            partitions: plan.request.partitions.to_vec(),
            version: plan.version,
            session: plan.request.session,
            forgotten: forgotten.map(|(_, index)| index.value()).collect(),
            replica: plan.request.replica,
        })
    }

    /// The next request to `broker`, which must be there.
    pub(super) fn sent(&mut self, broker: i32) -> Sent {
        self.ask(broker).expect("there is something to ask")
    }

    /// The answer of `broker` begins, of no special note.
    pub(super) fn begin(&mut self, broker: i32) {
        let withheld = self.begin_with(broker, 0, ErrorCode::NONE);
        assert_eq!(withheld, None);
    }

    pub(super) fn begin_with(
        &mut self,
        broker: i32,
        throttle_ms: u64,
        error: ErrorCode,
    ) -> Option<Withheld> {
        let throttle = Duration::from_millis(throttle_ms);
        let about = (error, self.session);
        self.source
            .answer_begun(self.now, lane(broker), throttle, about)
    }

    /// The answer under way tells of so many partitions.
    pub(super) fn tells_of(&mut self, broker: i32, count: usize) {
        *self.open_in(broker) = count;
    }

    fn open_in(&mut self, broker: i32) -> &mut usize {
        let open = self.open.get_mut(&broker).and_then(VecDeque::front_mut);
        open.expect("a request is in flight")
    }

    pub(super) fn head(&mut self, broker: i32, part: &Part) -> Verdict {
        let open = self.open_in(broker);
        *open = open.saturating_sub(1);
        let is_last = *open == 0;
        self.source.judge(lane(broker), &part.head, is_last)
    }

    /// The log takes the part's records. Says which gap they leave before them.
    pub(super) fn append(&mut self, id: CursorId, part: &Part) -> Option<(Offset, Offset)> {
        let (next, number) = part.brings?;
        self.source.advanced(id, offset(next), epoch(number))
    }

    pub(super) fn tail(&mut self, broker: i32, part: &Part) -> Turn {
        let held = held_by(&self.held);
        self.source
            .judge_tail(self.now, lane(broker), &part.tail, part.outcome, &held)
    }

    /// A whole part; its records are appended where they are wanted.
    pub(super) fn give(&mut self, broker: i32, part: Part) -> Turn {
        match self.head(broker, &part) {
            Verdict::Append(expected) => _ = self.append(expected.cursor, &part),
            Verdict::Ignore | Verdict::Wait { .. } => {}
        }
        self.tail(broker, &part)
    }

    pub(super) fn done(&mut self, broker: i32) -> usize {
        self.open.get_mut(&broker).and_then(VecDeque::pop_front);
        self.source.answer_done(self.now, lane(broker))
    }

    /// A whole answer that leaves nothing out.
    pub(super) fn answer(
        &mut self,
        broker: i32,
        parts: impl IntoIterator<Item = Part>,
    ) -> Vec<Turn> {
        self.begin(broker);
        let parts: Vec<Part> = parts.into_iter().collect();
        self.tells_of(broker, parts.len());
        let turns = parts.into_iter().map(|part| self.give(broker, part));
        let turns = turns.collect();
        assert_eq!(self.done(broker), 0, "the answer leaves something out");
        turns
    }

    /// A request to broker 1 that asks for one partition alone, and its answer.
    pub(super) fn round(&mut self, part: Part) -> (AskedPartition, Turn) {
        let asked = self.sent(1).only();
        let turn = self.answer(1, [part]).remove(0);
        (asked, turn)
    }

    /// Control's answer, where our log holds no epoch but `held`, up to the offset beside it.
    pub(super) fn told(&mut self, id: CursorId, answer: Answer, held: &[(i32, i64)]) -> Turn {
        let mut answer = answer;
        if let Answer::EpochEnd { of, .. } = &mut answer
            && !of.is_some()
        {
            *of = self.source.cursor(id).committed.epoch;
        }
        self.source.answered(self.now, id, answer, &held_by(held))
    }

    pub(super) fn next_of(&self, id: CursorId) -> i64 {
        let progress = self.source.progress(id).expect("it is followed");
        progress.committed.next.value()
    }

    pub(super) fn is_caught_up(&self, id: CursorId) -> bool {
        self.source
            .progress(id)
            .expect("it is followed")
            .is_caught_up
    }
}

/// What a log says of its epochs, of which each has its end beside it.
pub(super) fn held_by(held: &[(i32, i64)]) -> impl Fn(LeaderEpoch) -> Option<EpochEnd> {
    move |asked| {
        let mut known = held.iter().rev();
        let found = known.find(|(number, _)| *number <= asked.value());
        found.map(|(number, end)| epoch_end(*number, *end))
    }
}

pub(super) fn endpoint(broker: i32, port: u16) -> Endpoint {
    Endpoint {
        broker: BrokerId(broker),
        host: format!("broker-{broker}"),
        port,
    }
}

pub(super) fn epoch_end(number: i32, end: i64) -> EpochEnd {
    EpochEnd {
        epoch: epoch(number),
        end: offset(end),
    }
}

/// The answer that tells how far the epoch reaches that our log ends in.
pub(super) fn reaches(end: Option<EpochEnd>) -> Answer {
    Answer::EpochEnd {
        of: LeaderEpoch::NONE,
        under: epoch(EPOCH),
        end,
    }
}

/// The answer that names a leader.
pub(super) fn led_by(leader: i32, number: i32) -> Answer {
    Answer::Leader {
        leader: BrokerId(leader),
        epoch: epoch(number),
    }
}
