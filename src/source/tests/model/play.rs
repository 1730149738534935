//! The source machine in its small world: who acts next, and what must hold after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::scene::{endpoint, epoch, offset, options};
use super::answers::Line;
use super::chance::Chance;
use super::cluster::{BROKERS, Cluster};
use super::logs::Copy;
use crate::model::{BrokerEpoch, BrokerId, Instant};
use crate::protocol::fetch::Replica;
use crate::source::cursor::Cursor;
use crate::source::{CursorId, Followed, LaneId, Options, Question, Source};
use crate::stdx::prng::mix;

/// Steps after the last fault within which everything has to be copied.
const CALM_STEPS_MAX: usize = 20_000;

/// How those around the source behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// As they should.
    Sound,
    /// The shard appends what the source has told it to ignore.
    Credulous,
    /// Control answers no question.
    Silent,
    /// As they should, and we are a replica of what we follow.
    Replica,
}

/// One partition that we copy.
#[derive(Debug)]
pub(super) struct Mirror {
    pub(super) id: Option<CursorId>,
    pub(super) copy: Copy,
    pub(super) until: Option<i64>,
    pub(super) has_ended: bool,
    /// Nothing is fetched for it until it begins again.
    pub(super) is_ceased: bool,
    /// Answers without one sound batch since the last one that had some.
    pub(super) spoiled: u32,
    /// Where the shard said that the answer under way ends.
    pub(super) foreseen: Option<(i64, i32)>,
}

pub(super) struct Play {
    pub(super) source: Source,
    pub(super) cluster: Cluster,
    pub(super) chance: Chance,
    pub(super) now: Instant,
    pub(super) options: Options,
    /// Whether what the source has lost may be cut off.
    pub(super) may_truncate: bool,
    pub(super) manner: Manner,
    pub(super) mirrors: Vec<Mirror>,
    pub(super) lines: BTreeMap<LaneId, Line>,
    opening: BTreeSet<LaneId>,
    asked: Vec<Question>,
    /// Whether control tells of new leaders unasked.
    refreshes: bool,
    pub(super) is_stormy: bool,
    trace: u64,
    /// Names of all that has happened.
    pub(super) seen: BTreeSet<&'static str>,
}

impl Play {
    pub(super) fn new(seed: u64, manner: Manner) -> Play {
        let mut chance = Chance::new(seed);
        let is_replica = manner == Manner::Replica;
        let options = Options {
            replica: is_replica.then_some(Replica {
                broker: BrokerId(9001),
                epoch: BrokerEpoch::new(77),
            }),
            lanes_per_broker: u16::try_from(chance.between(1, 2)).expect("few"),
            ..options()
        };
        let may_truncate = chance.one_in(2);
        let count = 1 + chance.below(5);
        let mut cluster = Cluster::new(count, is_replica, &mut chance);
        for number in 0..count {
            cluster.produce(number, false, &mut chance);
            if chance.one_in(3) {
                // The last records are gone already.
                cluster.parts[number].log.skip(2);
                cluster.parts[number].log.show_all();
            }
        }
        let mut play = Play {
            source: Source::new(options.clone(), seed),
            cluster,
            now: Instant::from_nanos(1),
            options,
            may_truncate,
            manner,
            mirrors: Vec::new(),
            lines: BTreeMap::new(),
            opening: BTreeSet::new(),
            asked: Vec::new(),
            refreshes: chance.one_in(2),
            is_stormy: true,
            trace: seed,
            seen: BTreeSet::new(),
            chance,
        };
        for number in 0..count {
            let log = &play.cluster.parts[number].log;
            play.mirrors.push(Mirror {
                id: None,
                copy: Copy::beginning_at(log.start),
                until: (play.chance.one_in(3) && !is_replica).then_some(log.high),
                has_ended: false,
                is_ceased: false,
                spoiled: 0,
                foreseen: None,
            });
            play.follow(number);
        }
        play
    }

    pub(super) fn trace(&self) -> u64 {
        self.trace
    }

    pub(super) fn seen(&self) -> &BTreeSet<&'static str> {
        &self.seen
    }

    pub(super) fn has_seen(&mut self, what: &'static str) {
        self.seen.insert(what);
    }

    pub(super) fn note(&mut self, what: u64) {
        self.trace = mix(self.trace ^ what).wrapping_add(self.now.nanos());
    }

    pub(super) fn number_of(&self, id: CursorId) -> Option<usize> {
        let is_it = |mirror: &Mirror| mirror.id == Some(id);
        self.mirrors.iter().position(is_it)
    }

    fn pass(&mut self, ms_max: usize) {
        let ms = self.chance.below(ms_max) as u64;
        self.now = self.now.after(Duration::from_millis(ms));
    }

    /// One step in bad weather.
    pub(super) fn storm(&mut self) {
        let is_slow = self.chance.one_in(20);
        self.pass(if is_slow { 1_000 } else { 20 });
        if !self.chance.one_in(4) {
            self.act();
        }
        match self.chance.below(40) {
            0..24 => _ = self.go_on(),
            24..34 => self.change_source(),
            34..36 => self.change_brokers(),
            36 if self.chance.one_in(2) => self.cease_or_begin(),
            37 if self.refreshes => self.refresh(|_| true),
            38 => self.restart(),
            39 if self.chance.one_in(20) => self.stop(),
            _ => {}
        }
        self.check();
    }

    /// Lets the faults be over and plays on until everything is copied.
    pub(super) fn calm(&mut self) {
        self.is_stormy = false;
        self.cluster.calm_down();
        self.begin_all_again();
        for step in 0..CALM_STEPS_MAX {
            self.pass(20);
            self.act();
            if !self.go_on() {
                let wake = self.source.next_deadline();
                self.now = self.now.max(wake.unwrap_or(self.now));
            }
            self.check();
            if step % 16 == 0 && self.is_at_rest() {
                return;
            }
        }
        panic!(
            "it never comes to rest: {:?} {:?}",
            self.mirrors, self.source
        );
    }

    /// The shard's turn: everything that the source has to give.
    fn act(&mut self) {
        while let Some((lane, to)) = self.source.plan_connect(self.now) {
            assert_eq!(to.broker, lane.broker);
            let is_new = self.opening.insert(lane) && !self.lines.contains_key(&lane);
            assert!(is_new, "{lane:?} is opened twice");
        }
        let lanes: Vec<LaneId> = self.lines.keys().copied().collect();
        for lane in lanes {
            self.fetch(lane);
            if self.source.is_unused(lane) {
                self.lines.remove(&lane);
                assert!(self.source.lane_closed(lane));
            }
        }
        while let Some(question) = self.source.next_question() {
            self.take_question(question);
        }
    }

    fn take_question(&mut self, question: Question) {
        if let Some(id) = subject_of(&question) {
            assert!(self.number_of(id).is_some(), "{question:?} is about nobody");
            let kind = std::mem::discriminant(&question);
            let is_same = |other: &&Question| {
                subject_of(other) == Some(id) && std::mem::discriminant(*other) == kind
            };
            // News of a leader end a question before its answer comes; that answer may then be
            // taken for a failure to answer the next one, which is asked again.
            let before = self.asked.iter().filter(is_same).count();
            assert!(before < 2, "{question:?} is asked too often");
        }
        if self.manner != Manner::Silent {
            self.asked.push(question);
        }
    }

    /// Something that is under way goes one step further. Says whether there was anything.
    fn go_on(&mut self) -> bool {
        let busy = self.lines.iter().filter(|(_, line)| line.is_busy());
        let busy: Vec<LaneId> = busy.map(|(lane, _)| *lane).collect();
        let choices = busy.len() + self.opening.len() + self.asked.len();
        if choices == 0 {
            return false;
        }
        let choice = self.chance.below(choices);
        self.note(choice as u64);
        if let Some(lane) = busy.get(choice) {
            self.deliver(*lane);
        } else if let Some(lane) = self.opening.iter().nth(choice - busy.len()).copied() {
            self.open(lane);
        } else {
            let question = self.asked.remove(choice - busy.len() - self.opening.len());
            self.answer(question);
        }
        true
    }

    fn open(&mut self, lane: LaneId) {
        self.opening.remove(&lane);
        let fails = self.is_stormy && self.chance.one_in(10);
        if fails || self.cluster.down.contains(&lane.broker.0) {
            self.source.lane_lost(self.now, lane);
        } else {
            let version = self.cluster.version(lane.broker.0);
            self.source.lane_up(lane, version);
            self.lines.insert(lane, Line::default());
        }
    }

    pub(super) fn lose(&mut self, lane: LaneId) {
        if let Some(line) = self.lines.remove(&lane) {
            if let Some(number) = line.open_part() {
                self.mirrors[number].foreseen = None;
            }
            self.source.lane_lost(self.now, lane);
        }
    }

    /// Control comes back with an answer.
    fn answer(&mut self, question: Question) {
        let Some(id) = subject_of(&question) else {
            let Question::Broker { broker } = question else {
                unreachable!("every other question names a cursor");
            };
            return self.refresh(|leader| leader == broker);
        };
        let Some(number) = self.number_of(id) else {
            return;
        };
        let mut answer = self.cluster.answer(number, question);
        if self.is_stormy && self.chance.one_in(8) {
            answer = crate::source::Answer::Unavailable;
        }
        let copy = &self.mirrors[number].copy;
        let held = |asked| copy.epoch_end(asked);
        let turn = self.source.answered(self.now, id, answer, &held);
        self.take_turn(number, turn);
    }

    /// Control tells where brokers listen, and who leads what was led by some.
    fn refresh(&mut self, is_meant: impl Fn(BrokerId) -> bool) {
        for broker in 1..=BROKERS {
            self.source.broker_at(endpoint(broker, 9092));
        }
        for (mirror, part) in self.mirrors.iter().zip(&self.cluster.parts) {
            let Some(id) = mirror.id else { continue };
            let (_, _, leader) = self.source.name(id).expect("it is followed");
            if is_meant(leader) && !part.deleted {
                let to = BrokerId(part.leader);
                self.source.leader_moved(id, to, epoch(part.epoch));
            }
        }
    }

    fn change_source(&mut self) {
        let number = self.chance.below(self.mirrors.len());
        let (cluster, chance) = (&mut self.cluster, &mut self.chance);
        match chance.below(20) {
            0..10 => {
                let giant = chance.one_in(200);
                cluster.produce(number, giant, chance);
            }
            10..13 => cluster.parts[number].log.show_all(),
            13..15 => cluster.elect(number, false, chance),
            15 => cluster.elect(number, chance.one_in(3), chance),
            16..18 => cluster.wake_zombies(number),
            18 => cluster.trim(number, chance),
            _ => cluster.parts[number].deleted |= chance.one_in(30),
        }
    }

    fn change_brokers(&mut self) {
        let broker = self.chance.between(1, BROKERS);
        let breaks = self.chance.one_in(3);
        if !breaks && !self.cluster.down.remove(&broker) {
            return;
        }
        if breaks && self.chance.one_in(2) {
            self.cluster.down.insert(broker);
        }
        let lanes = self.lines.keys().filter(|lane| lane.broker.0 == broker);
        for lane in lanes.copied().collect::<Vec<_>>() {
            self.lose(lane);
        }
    }

    /// A partition is followed anew, from what its log holds.
    fn restart(&mut self) {
        let number = self.chance.below(self.mirrors.len());
        if let Some(id) = self.mirrors[number].id.take() {
            self.source.unfollow(id);
        }
        self.mirrors[number].has_ended = false;
        self.mirrors[number].is_ceased = false;
        self.follow(number);
    }

    fn follow(&mut self, number: usize) {
        let (part, mirror) = (&self.cluster.parts[number], &mut self.mirrors[number]);
        mirror.copy.next = mirror.copy.end;
        mirror.spoiled = 0;
        mirror.foreseen = None;
        let (mut leader, mut known) = (part.leader, part.epoch);
        if known > 0 && self.chance.one_in(4) {
            (leader, known) = (self.chance.between(1, BROKERS), known - 1);
        }
        let (id, turn) = self.source.follow(Followed {
            id: format!("t{number}-0").parse().expect("a name"),
            topic_id: part.topic,
            leader: BrokerId(leader),
            leader_epoch: epoch(known),
            position: offset(mirror.copy.end),
            last_epoch: epoch(mirror.copy.epoch()),
            log_start: offset(mirror.copy.start),
            is_empty: mirror.copy.batches.is_empty(),
            until: mirror.until.map(offset),
            may_truncate: self.may_truncate,
        });
        mirror.id = Some(id);
        self.take_turn(number, turn);
    }

    fn stop(&mut self) {
        let number = self.chance.below(self.mirrors.len());
        if let Some(id) = self.mirrors[number].id {
            self.source.stop(id);
            self.mirrors[number].has_ended = true;
        }
    }

    /// What holds after every step.
    fn check(&self) {
        assert!(
            self.source.untold.is_empty(),
            "the end of a partition is not heard"
        );
        for mirror in &self.mirrors {
            let Some(id) = mirror.id.filter(|_| !mirror.is_ceased) else {
                continue;
            };
            let progress = self.source.progress(id).expect("it is followed");
            let committed = progress.committed;
            let told = (committed.next.value(), committed.epoch.value());
            assert_eq!(told, (mirror.copy.next, mirror.copy.epoch()));
            if self.manner == Manner::Replica {
                let high = progress.high_watermark;
                assert!(high.is_none_or(|high| high <= committed.next));
            }
        }
        for (_, cursor) in self.source.cursors.iter() {
            cursor.assert_invariants();
        }
        for (lane, known) in &self.source.lanes {
            known.assert_invariants();
            self.check_session(*lane);
        }
    }

    /// While nothing is under way, the broker wants of us just what stands in its session, and
    /// whatever stands there is what the log needs or will be asked for anew.
    fn check_session(&self, lane: LaneId) {
        let known = &self.source.lanes[&lane];
        let Some(session) = &known.session else {
            return;
        };
        let of_lane = |cursor: &&Cursor| cursor.lane == lane;
        let cursors = self.source.cursors.iter().map(|(_, cursor)| cursor);
        let members = cursors.filter(of_lane);
        let members = members.filter(|cursor| cursor.member_of == Some(session.number));
        let members: Vec<&Cursor> = members.collect();
        assert_eq!(members.len(), session.members);
        for cursor in &members {
            let waits = cursor.ticket.is_some() || cursor.answering;
            assert!(
                cursor.is_asked() || waits,
                "{cursor:?} stands there for nothing"
            );
        }
        let Some(there) = self.cluster.sessions.members(session.id) else {
            return;
        };
        if known.in_flight.is_empty() {
            let leaving = session.leaving.iter().copied();
            let ours = members
                .iter()
                .map(|cursor| (cursor.topic_id, cursor.name.partition));
            let ours: BTreeSet<_> = ours.chain(leaving).collect();
            let theirs = there.iter().map(|asked| (asked.topic, asked.partition));
            assert_eq!(ours, theirs.collect(), "the broker remembers others");
        }
    }

    fn is_at_rest(&self) -> bool {
        let mut all = self.mirrors.iter().zip(&self.cluster.parts);
        all.all(|(mirror, part)| {
            let progress = mirror.id.and_then(|id| self.source.progress(id));
            let is_caught_up = progress.is_some_and(|progress| progress.is_caught_up);
            let is_copied = mirror.until.is_none() && mirror.copy.equals(&part.log);
            // A replica that cannot come to the high watermark never has all, nor does its leader
            // think so.
            let is_stuck = self.manner == Manner::Replica && part.log.has_gap_at_its_end();
            mirror.has_ended || !part.deleted && (is_caught_up || is_stuck) && is_copied
        })
    }
}

fn subject_of(question: &Question) -> Option<CursorId> {
    match question {
        Question::Broker { .. } => None,
        Question::EpochEnd { cursor, .. }
        | Question::Bounds { cursor, .. }
        | Question::Leader { cursor } => Some(*cursor),
    }
}
