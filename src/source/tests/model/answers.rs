//! Requests on their way out, answers on their way in: the shard's part of the play.

use std::collections::VecDeque;
use std::time::Duration;

use super::cluster::PartAnswer;
use super::logs::Batch;
use super::play::{Manner, Play};
use super::sessions::Wanted;
use crate::model::LeaderEpoch;
use crate::protocol::error_code::ErrorCode;
use crate::protocol::fetch::AskedPartition;
use crate::source::{CursorId, Expected, LaneId, Outcome, Turn, Verdict};

/// One connection that is up.
#[derive(Debug, Default)]
pub(super) struct Line {
    requests: VecDeque<Request>,
}

#[derive(Debug)]
struct Request {
    wanted: Wanted,
    /// Whose the partitions are.
    cursors: Vec<CursorId>,
    /// What the broker has answered and has not arrived; none before it has looked.
    parts: Option<VecDeque<PartAnswer>>,
    /// The error of the answer as a whole, and its session.
    about: (ErrorCode, i32),
    has_begun: bool,
    open: Option<Open>,
}

/// The part of an answer that is being taken in.
#[derive(Debug)]
struct Open {
    number: usize,
    part: PartAnswer,
    cursor: Option<CursorId>,
    expected: Option<Expected>,
    /// Batches that were looked at.
    at: usize,
    outcome: Outcome,
}

impl Line {
    /// Of what arrives for `id` nothing more is wanted.
    pub(super) fn take_no_more(&mut self, id: CursorId) {
        let open = self.requests.iter_mut().filter_map(|one| one.open.as_mut());
        for open in open {
            open.expected = open.expected.filter(|expected| expected.cursor != id);
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.requests.is_empty()
    }

    /// The partition whose records are being taken in.
    pub(super) fn open_part(&self) -> Option<usize> {
        Some(self.requests.front()?.open.as_ref()?.number)
    }
}

impl Play {
    /// Sends what the source wants to ask on a lane.
    pub(super) fn fetch(&mut self, lane: LaneId) {
        while let Some(plan) = self.source.plan_fetch(self.now, lane) {
            let mut request = Request {
                wanted: Wanted {
                    ask: plan.request.ask,
                    session: plan.request.session,
                    asked: plan.request.partitions.to_vec(),
                    forgotten: plan.request.forgotten.to_vec(),
                },
                cursors: Vec::new(),
                parts: None,
                about: (ErrorCode::NONE, 0),
                has_begun: false,
                open: None,
            };
            let goes_on = request.wanted.session.epoch > 0;
            assert!(
                goes_on || !request.wanted.asked.is_empty(),
                "a request for nothing"
            );
            for asked in &request.wanted.asked {
                let cursor = self.check_asked(lane, asked);
                request.cursors.push(cursor);
            }
            let line = self.lines.get_mut(&lane).expect("only lines are asked on");
            line.requests.push_back(request);
            let in_flight = line.requests.len();
            assert!(in_flight <= 2, "too many requests in flight");
            if in_flight == 2 {
                self.has_seen("early request");
            }
        }
    }

    /// Every request asks for what the log needs now, or for what was foreseen.
    fn check_asked(&self, lane: LaneId, asked: &AskedPartition) -> CursorId {
        let number = self.cluster.number_of(asked.topic);
        let mirror = &self.mirrors[number];
        let copy = &mirror.copy;
        let (from, last) = (asked.fetch_offset.value(), asked.last_fetched_epoch);
        let is_due = from == copy.next && [-1, copy.epoch()].contains(&last.value());
        let is_consumer = self.manner != Manner::Replica;
        let is_foreseen = is_consumer && mirror.foreseen == Some((from, last.value()));
        assert!(
            is_due || is_foreseen,
            "{asked:?} is not what {mirror:?} needs"
        );
        let id = mirror.id.expect("it is followed");
        let (_, _, leader) = self.source.name(id).expect("it is followed");
        assert!(!mirror.has_ended && leader == lane.broker);
        let requests = self.lines.values().flat_map(|line| &line.requests);
        let in_flight =
            requests.flat_map(|request| request.cursors.iter().zip(&request.wanted.asked));
        let is_same = |(cursor, other): &(&CursorId, &AskedPartition)| {
            **cursor == id && other.leader_epoch == asked.leader_epoch
        };
        let before = in_flight.filter(is_same).count();
        assert!(before < 2, "{asked:?} is asked for too often");
        id
    }

    /// The oldest request of a lane, or its answer, goes one step further.
    pub(super) fn deliver(&mut self, lane: LaneId) {
        if self.is_stormy && self.chance.one_in(60) {
            return self.lose(lane);
        }
        let line = self.lines.get_mut(&lane).expect("it is busy");
        let request = line.requests.front_mut().expect("it is busy");
        let Some(parts) = &mut request.parts else {
            let wanted = &request.wanted;
            let stormy = self.is_stormy;
            let answer = self
                .cluster
                .fetch(lane.broker.0, wanted, stormy, &mut self.chance);
            let (session, parts) = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    request.about.0 = error;
                    (0, Vec::new())
                }
            };
            request.about.1 = session;
            request.parts = Some(parts.into());
            return;
        };
        if !request.has_begun {
            request.has_begun = true;
            let (mut error, session) = request.about;
            let mut throttle_ms = 0;
            // In a session what was told is not told again: it may not be lost on the way.
            let is_whole = request.wanted.session.epoch <= 0;
            if error == ErrorCode::NONE && is_whole {
                (throttle_ms, error) = head_of(self.is_stormy, &mut self.chance);
            }
            if throttle_ms > 0 || error != ErrorCode::NONE {
                parts.clear();
            }
            if error == ErrorCode::FETCH_SESSION_ID_NOT_FOUND {
                self.seen.insert("evicted");
            }
            if parts.is_empty() && !is_whole {
                self.seen.insert("silence");
            }
            if !request.wanted.forgotten.is_empty() {
                self.seen.insert("forgotten");
            }
            let (throttle, about) = (Duration::from_millis(throttle_ms), (error, session));
            let told = self.source.answer_begun(self.now, lane, throttle, about);
            return self.seen.extend(told.map(|_| "withheld"));
        }
        if let Some(open) = request.open.take() {
            return self.take_records(lane, open);
        }
        if let Some(part) = parts.pop_front() {
            return self.begin_part(lane, part);
        }
        line.requests.pop_front();
        if self.source.answer_done(self.now, lane) > 0 {
            self.has_seen("left out");
        }
        while let Some(id) = self.source.next_news() {
            self.has_seen("news");
            assert!(self.number_of(id).is_some(), "news of nobody");
        }
        while let Some((id, turn)) = self.source.next_untold() {
            if turn == Turn::Done {
                self.has_seen("finished in silence");
            }
            let number = self.number_of(id).expect("it is followed");
            self.take_turn(number, turn);
        }
    }

    fn begin_part(&mut self, lane: LaneId, part: PartAnswer) {
        let number = self.cluster.number_of(part.head.topic);
        let line = self.lines.get_mut(&lane).expect("its answer arrives");
        let request = line.requests.front().expect("its answer arrives");
        let is_last = request.parts.as_ref().is_some_and(VecDeque::is_empty);
        let verdict = self.source.judge(lane, &part.head, is_last);
        let (cursor, expected) = match verdict {
            Verdict::Append(expected) => (Some(expected.cursor), Some(expected)),
            Verdict::Wait { cursor } => (Some(cursor), None),
            Verdict::Ignore if self.manner == Manner::Credulous => {
                (self.mirrors[number].id, self.credulous(number))
            }
            Verdict::Ignore => {
                self.has_seen("ignored");
                (None, None)
            }
        };
        if let Some(expected) = expected {
            let due = self.mirrors[number].copy.next;
            assert_eq!(expected.next.value(), due, "an answer to another place");
        }
        let open = Open {
            number,
            part,
            cursor,
            expected,
            at: 0,
            outcome: Outcome::Nothing,
        };
        self.put_back(lane, open);
    }

    fn credulous(&self, number: usize) -> Option<Expected> {
        let mirror = &self.mirrors[number];
        Some(Expected {
            cursor: mirror.id?,
            next: crate::model::Offset::new(mirror.copy.next),
            may_begin_before: true,
            epoch_min: LeaderEpoch::NONE,
            epoch_max: LeaderEpoch::new(i32::MAX),
        })
    }

    fn put_back(&mut self, lane: LaneId, open: Open) {
        let line = self.lines.get_mut(&lane).expect("its answer arrives");
        let request = line.requests.front_mut().expect("its answer arrives");
        request.open = Some(open);
    }

    /// Takes some batches of the open part, or comes to its end.
    fn take_records(&mut self, lane: LaneId, mut open: Open) {
        let left = open.part.batches.len() - open.at;
        let id = self.mirrors[open.number].id;
        let wanted = open.expected.filter(|wanted| id == Some(wanted.cursor));
        let Some(expected) = wanted.filter(|_| left > 0) else {
            return self.end_part(lane, open);
        };
        let count = 1 + self.chance.below(left);
        if count == left {
            self.look_ahead(lane, expected.cursor, &open);
        }
        let run = open.part.batches[open.at..open.at + count].to_vec();
        open.at += count;
        let mut taken = 0;
        let due = self.mirrors[open.number].copy.gap();
        for (batch, is_damaged) in run {
            let stopped = if batch.bytes > self.options.batch_bytes_max {
                let need = Some(batch.bytes);
                Some(Outcome::TooSmall { need })
            } else if is_damaged || batch.epoch < expected.epoch_min.value() {
                Some(Outcome::Corrupt)
            } else if batch.epoch > expected.epoch_max.value() {
                Some(Outcome::EpochAhead)
            } else if !self.continues(open.number, expected, batch) {
                let base = crate::model::Offset::new(batch.base);
                Some(Outcome::Overlaps { base })
            } else {
                None
            };
            if let Some(outcome) = stopped {
                open.outcome = outcome;
                open.expected = None;
                break;
            }
            self.append(&open, batch);
            open.outcome = Outcome::Appended;
            taken += 1;
        }
        if taken > 0 {
            let copy = &self.mirrors[open.number].copy;
            let next = crate::model::Offset::new(copy.next);
            let epoch = LeaderEpoch::new(copy.epoch());
            let gap = self.source.advanced(expected.cursor, next, epoch);
            assert_eq!(gap, due, "a gap is told after a batch has proven it");
        }
        self.put_back(lane, open);
    }

    /// Whether a batch lies behind our end. Where the source lost records and then trimmed
    /// those that would show it, one may not. A replica may hold some that nobody was shown.
    fn continues(&self, number: usize, expected: Expected, batch: Batch) -> bool {
        let copy = &self.mirrors[number].copy;
        let is_first = expected.next.value() == copy.next;
        let may_begin_before = expected.may_begin_before && is_first;
        let from = if may_begin_before {
            copy.end
        } else {
            copy.next
        };
        let continues = copy.batches.is_empty() && may_begin_before || batch.base >= from;
        let part = &self.cluster.parts[number];
        let is_blind = self.manner == Manner::Replica && batch.base < part.log.start;
        let may_differ = part.lost || is_blind;
        assert!(continues || may_differ, "{batch:?} is not after {copy:?}");
        continues
    }

    fn append(&mut self, open: &Open, batch: Batch) {
        let mirror = &mut self.mirrors[open.number];
        mirror.copy.append(batch, open.part.start);
        mirror.spoiled = 0;
        self.note(batch.tag);
    }

    /// Says where the records lead if they are sound; at times it is wrong.
    fn look_ahead(&mut self, lane: LaneId, cursor: CursorId, open: &Open) {
        if self.chance.one_in(3) {
            return;
        }
        let mut places = open.part.batches.iter().map(|(batch, _)| batch);
        let place = match self.chance.one_in(6) {
            true => places.next(),
            false => places.next_back(),
        };
        let place = *place.expect("there are records");
        let (next, epoch) = (place.next, LeaderEpoch::new(place.epoch));
        self.mirrors[open.number].foreseen = Some((next, epoch.value()));
        let next = crate::model::Offset::new(next);
        self.source.look_ahead(cursor, next, epoch);
        self.fetch(lane);
    }

    fn end_part(&mut self, lane: LaneId, open: Open) {
        let mut outcome = open.outcome;
        if let Some(need) = open.part.cut
            && open.expected.is_some()
            && outcome == Outcome::Nothing
        {
            outcome = Outcome::TooSmall { need };
        }
        let is_bad = matches!(
            outcome,
            Outcome::Corrupt | Outcome::TooSmall { .. } | Outcome::Overlaps { .. }
        );
        match outcome {
            Outcome::TooSmall { .. } => self.has_seen("too small"),
            Outcome::EpochAhead => self.has_seen("epoch ahead"),
            _ => {}
        }
        let mirror = &mut self.mirrors[open.number];
        mirror.spoiled += u32::from(is_bad);
        let is_meant = open.cursor.is_some() && mirror.id == open.cursor;
        if is_meant {
            mirror.foreseen = None;
        }
        let copy = &self.mirrors[open.number].copy;
        let held = |asked| copy.epoch_end(asked);
        let turn = self
            .source
            .judge_tail(self.now, lane, &open.part.tail, outcome, &held);
        if is_meant {
            self.judge_cut(&open, &turn);
            self.take_turn(open.number, turn);
        } else {
            assert_eq!(turn, Turn::Continue, "a turn for nobody");
        }
    }
}

impl Play {
    /// A cut that a leader's answer asks for takes nothing away that this leader has.
    fn judge_cut(&mut self, open: &Open, turn: &Turn) {
        let (Turn::Truncate { to }, Some(theirs)) = (turn, &open.part.answerer) else {
            return;
        };
        let mut after = self.mirrors[open.number].copy.clone();
        after.cut(to.value());
        let is_theirs = |batch: &Batch| theirs.batches.iter().any(|other| other.tag == batch.tag);
        let copy = &self.mirrors[open.number].copy;
        let lost = copy.batches[after.batches.len()..]
            .iter()
            .find(|one| is_theirs(one));
        assert!(
            lost.is_none(),
            "a cut at {to} takes {lost:?} from {copy:?}, {theirs:?}"
        );
        let is_left = after.batches.last().is_none_or(is_theirs) || after.end <= theirs.start;
        self.has_seen(match is_left {
            true => "cut once",
            false => "cut again",
        });
    }
}

/// What an answer says of itself as a whole: its throttle in ms, and its error.
fn head_of(stormy: bool, chance: &mut super::chance::Chance) -> (u64, ErrorCode) {
    if stormy && chance.one_in(40) {
        return (chance.below(300) as u64, ErrorCode::NONE);
    }
    if stormy && chance.one_in(60) {
        return (0, ErrorCode::UNKNOWN_SERVER_ERROR);
    }
    (0, ErrorCode::NONE)
}
