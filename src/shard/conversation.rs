//! A link's bytes → the steps of an answer, each given to the source and to the logs.

use std::time::Duration;

use super::Shard;
use super::doubt::{PIECE_BYTES_MAX, beyond};
use super::ingest::Expectation;
use super::lanes::LinkNumber;
use super::silence::Vigil;
use crate::io::{Buf, World};
use crate::protocol::Malformed;
use crate::protocol::fetch::{AnswerReader, PartitionHead, Step};
use crate::source::{LaneId, Outcome, Verdict};

/// The partition of an answer whose records arrive.
pub(super) struct Taking {
    /// What its records have to be; none where they are skipped.
    pub(super) expect: Option<Expectation>,
    /// What became of them so far.
    pub(super) outcome: Outcome,
}

/// What a window is to get before the conversation can go on.
enum Pause {
    /// More bytes.
    Receive,
    /// More bytes than it has room for, this many in all.
    Grow(usize),
}

fn at_most(field: &'static str, bytes: usize, most: usize) -> Result<(), Malformed> {
    match bytes > most {
        true => Err(Malformed::Impossible {
            field,
            value: i64::try_from(bytes).unwrap_or(i64::MAX),
        }),
        false => Ok(()),
    }
}

impl<W: World> Shard<W> {
    /// Bytes have arrived on a link.
    pub(super) fn received(
        &mut self,
        lane: LaneId,
        link: LinkNumber,
        mut window: Buf,
        outcome: std::io::Result<usize>,
    ) {
        if !self.is_present(lane, link) {
            return;
        }
        match outcome {
            Ok(0) => return self.lose(lane, &"it has closed the connection"),
            Ok(bytes) => self.heard(lane, bytes),
            Err(error) => return self.lose(lane, &error),
        }
        match self.converse(lane, &mut window) {
            Ok(pause) => {
                let window = self.with_room(window, &pause);
                if let Some(link) = self.links.get(&lane) {
                    link.receive_into(window);
                }
            }
            Err(fault) => self.lose(lane, &format!("its Fetch answer is none: {fault}")),
        }
    }

    /// Takes every step that the window holds whole.
    fn converse(&mut self, lane: LaneId, window: &mut Buf) -> Result<Pause, Malformed> {
        loop {
            let Some(link) = self.links.get_mut(&lane) else {
                return Ok(Pause::Receive);
            };
            if link.reader.is_none() {
                if window.bytes().is_empty() {
                    return Ok(Pause::Receive);
                }
                let (correlation, version) =
                    link.unanswered.pop_front().ok_or(Malformed::LeftOver {
                        left: window.bytes().len(),
                    })?;
                link.reader = Some(AnswerReader::new(version, correlation));
            }
            let reader = link.reader.as_mut().expect("made above");
            let (step, used) = reader.next(window.bytes(), self.source.topics())?;
            let left = reader.frame_left().unwrap_or(0);
            at_most("the length of a frame", left, self.frame_bytes_max)?;
            window.consume(used);
            if let Step::More(bytes) = step {
                let piece = window.bytes().len() + bytes;
                at_most(
                    "the length of what stands beside records",
                    piece,
                    PIECE_BYTES_MAX,
                )?;
            }
            if let Some(pause) = self.step(lane, step, window) {
                return Ok(pause);
            }
        }
    }

    fn step(&mut self, lane: LaneId, step: Step, window: &mut Buf) -> Option<Pause> {
        let now = self.now();
        match step {
            Step::More(bytes) => {
                let needed = window.bytes().len() + bytes;
                return Some(match needed > window.capacity() {
                    true => Pause::Grow(2 * window.capacity()),
                    false => Pause::Receive,
                });
            }
            Step::Head(head) => {
                let throttle_ms = u64::try_from(head.throttle_ms).unwrap_or(0);
                let throttle = Duration::from_millis(throttle_ms);
                let about = (head.error, head.session);
                if let Some(why) = self.source.answer_begun(now, lane, throttle, about) {
                    self.withheld(lane, why);
                }
            }
            Step::Partition(head) => self.partition_begins(lane, &head),
            Step::Records { available, left } => {
                return self.records(lane, window, available, left);
            }
            Step::PartitionEnd(tail) => {
                let taking = self.taking(lane);
                let taking = taking.take().expect("a partition's end has a beginning");
                let cursor = taking.expect.map(|expect| expect.cursor);
                let partition = cursor.and_then(|cursor| self.partitions.get(&cursor));
                let held = |epoch| partition.and_then(|partition| partition.held(epoch));
                let outcome = taking.outcome;
                let turn = self.source.judge_tail(now, lane, &tail, outcome, &held);
                if let Some(expect) = taking.expect {
                    self.turn(expect.cursor, turn);
                }
            }
            Step::End(end) => {
                for endpoint in end.endpoints {
                    self.source.leader_at(endpoint);
                }
                let missing = self.source.answer_done(now, lane);
                if missing > 0 {
                    let broker = lane.broker;
                    tracing::debug!("broker {broker}: its answer leaves out {missing} partitions");
                }
                while let Some((cursor, turn)) = self.source.next_untold() {
                    self.turn(cursor, turn);
                }
                while let Some(cursor) = self.source.next_news() {
                    self.moved.insert(cursor);
                }
                if let Some(link) = self.links.get_mut(&lane) {
                    link.reader = None;
                    link.vigil = Vigil::default();
                }
            }
        }
        None
    }

    fn partition_begins(&mut self, lane: LaneId, head: &PartitionHead) {
        let reader = self.links.get(&lane).and_then(|link| link.reader.as_ref());
        let is_last = reader.is_some_and(AnswerReader::is_at_last_partition);
        let expect = match self.source.judge(lane, head, is_last) {
            Verdict::Append(expected) => {
                let mut expectation = Expectation::from(expected);
                // A leader's log may reach as far above its high watermark as a replica is late.
                let is_replica = self.options.source.replica.is_some();
                expectation.beyond = beyond(head.high_watermark).filter(|_| !is_replica);
                Some(expectation)
            }
            Verdict::Wait { cursor } => Some(Expectation::nothing(cursor)),
            Verdict::Ignore => None,
        };
        *self.taking(lane) = Some(Taking {
            expect,
            outcome: Outcome::Nothing,
        });
    }

    fn taking(&mut self, lane: LaneId) -> &mut Option<Taking> {
        let link = self.links.get_mut(&lane);
        &mut link.expect("a conversation has its link").taking
    }

    /// Takes records out of the window, as far as they are whole batches.
    fn records(
        &mut self,
        lane: LaneId,
        window: &mut Buf,
        available: usize,
        left: usize,
    ) -> Option<Pause> {
        let mut taking = self.taking(lane).take().expect("records have a partition");
        let is_whole = available == left;
        let records = &mut window.bytes_mut()[..available];
        let taken = self.ingest(lane, &mut taking, records, is_whole);
        *self.taking(lane) = Some(taking);
        window.consume(taken.bytes);
        let link = self
            .links
            .get_mut(&lane)
            .expect("a conversation has its link");
        let reader = link.reader.as_mut().expect("records have an answer");
        reader.take_records(taken.bytes);
        if is_whole {
            assert!(
                taken.bytes == available,
                "the end of a partition's records is taken"
            );
            return None;
        }
        Some(match taken.needs {
            // No more comes than the partition has left, whatever its batch claims.
            Some(bytes) if bytes.min(left) > window.capacity() => Pause::Grow(bytes.min(left)),
            _ => Pause::Receive,
        })
    }

    /// The window with room for what is to come.
    fn with_room(&self, mut window: Buf, pause: &Pause) -> Buf {
        let ordinary = self.options.window_bytes as usize;
        let bytes = match pause {
            Pause::Grow(bytes) => *bytes,
            // A large batch has come and gone.
            Pause::Receive if window.bytes().is_empty() && window.capacity() > 2 * ordinary => {
                ordinary
            }
            Pause::Receive if window.bytes().len() < window.capacity() => return window,
            Pause::Receive => {
                window.compact();
                return window;
            }
        };
        let mut fresh = Buf::unpooled(bytes.max(ordinary));
        fresh.push(window.bytes());
        fresh
    }
}
