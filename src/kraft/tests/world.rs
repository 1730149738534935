//! One broker and its simulated quorum, run through time out of one seed.

use super::*;
use crate::kraft::link::Link;
use crate::protocol::controller::IsrChange;
use crate::stdx::prng::Prng;

enum Event {
    Connected {
        lane: Lane,
        turn: u64,
        node: usize,
    },
    Arrive {
        lane: Lane,
        turn: u64,
        node: usize,
        question: Question,
        waited: bool,
    },
    Reply(Reply),
    Timeout {
        lane: Lane,
        turn: u64,
    },
    Settle,
    Watch,
    Churn,
    Chaos,
    Gossip,
}

/// One broker and its quorum.
pub(super) struct World {
    pub(super) now: Instant,
    dice: Prng,
    events: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
    pub(super) quorum: Quorum3,
    pub(super) member: Member,
    turns: [u64; 3],
    wires: [usize; 3],
    is_calm: bool,
    pub(super) may_be_refused: bool,
    incarnation: u8,
    seed: u64,
    /// What the news add up to.
    told: Option<BTreeMap<(TopicId, PartitionIndex), Standing>>,
    pub(super) committed: u32,
    pub(super) begun: u32,
    pub(super) last: Vec<News>,
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        let mut world = World {
            now: ZERO,
            dice: Prng::new(seed),
            events: BTreeMap::new(),
            sequence: 0,
            quorum: Quorum3::new(),
            member: member(1, seed),
            turns: [0; 3],
            wires: [0; 3],
            is_calm: false,
            may_be_refused: false,
            incarnation: 1,
            seed,
            told: None,
            committed: 0,
            begun: 0,
            last: Vec::new(),
        };
        for event in [
            Event::Settle,
            Event::Watch,
            Event::Churn,
            Event::Chaos,
            Event::Gossip,
        ] {
            world.after_ms(10, event);
        }
        world
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.dice.below(100) < percent
    }

    fn after_ms(&mut self, ms: u64, event: Event) {
        self.sequence += 1;
        let at = self.now.after(Duration::from_millis(ms));
        self.events.insert((at, self.sequence), event);
    }

    fn soon(&mut self, event: Event) {
        let ms = 1 + self.dice.below(if self.is_calm { 5 } else { 60 });
        self.after_ms(ms, event);
    }

    /// Whether a message is lost on its way.
    fn is_lost(&mut self) -> bool {
        !self.is_calm && self.chance(3)
    }

    pub(super) fn run(&mut self, lasts: Duration) {
        let end = self.now.after(lasts);
        self.pump();
        while self.now < end {
            let next = self.events.keys().next().copied();
            let deadline = self.member.next_deadline();
            let at = next.map(|(at, _)| at).into_iter().chain(deadline).min();
            let at = at.expect("the world goes on").max(self.now);
            if next.is_some_and(|(due, _)| due <= at) {
                let (_, event) = self.events.pop_first().expect("just seen");
                self.now = at;
                self.happen(event);
            } else {
                // Somebody who wakes at a moment wakes a moment later.
                self.now = at.after(Duration::from_nanos(1));
            }
            self.pump();
            self.check();
        }
    }

    /// Does all that the member says.
    fn pump(&mut self) {
        for _ in 0..100 {
            let Some(step) = self.member.next_step(self.now) else {
                return self.hear();
            };
            self.carry_out(step);
            self.hear();
        }
        panic!("the member does not come to rest");
    }

    fn carry_out(&mut self, step: Step) {
        let lane = match &step {
            Step::Connect { lane, .. } | Step::Ask { lane, .. } | Step::Close { lane } => *lane,
        };
        self.turns[lane.index()] += 1;
        let turn = self.turns[lane.index()];
        let node = self.wires[lane.index()];
        let is_due_within = |world: &mut World, within: Duration| {
            let ms = u64::try_from(within.as_millis()).expect("short");
            world.after_ms(ms, Event::Timeout { lane, turn });
        };
        match step {
            Step::Connect { to, within, .. } => {
                let node = usize::from(to.port) - 1;
                self.wires[lane.index()] = node;
                is_due_within(self, within);
                self.soon(Event::Connected { lane, turn, node });
            }
            Step::Ask {
                question, within, ..
            } => {
                is_due_within(self, within);
                if !self.is_lost() {
                    self.soon(Event::Arrive {
                        lane,
                        turn,
                        node,
                        question,
                        waited: false,
                    });
                }
            }
            Step::Close { .. } => {}
        }
    }

    fn is_current(&self, lane: Lane, turn: u64) -> bool {
        self.turns[lane.index()] == turn
    }

    fn fail(&mut self, lane: Lane) {
        self.turns[lane.index()] += 1;
        let why = Refusal::Unreachable("lost".to_owned());
        self.member.failed(self.now, lane, why);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Connected { lane, turn, node } => {
                if !self.is_current(lane, turn) {
                } else if self.quorum.is_up[node] {
                    self.turns[lane.index()] += 1;
                    self.member.connected(lane, offer());
                } else {
                    self.fail(lane);
                }
            }
            Event::Arrive {
                lane,
                turn,
                node,
                question,
                waited,
            } => self.arrive(lane, turn, node, question, waited),
            Event::Reply(reply) => {
                if self.is_current(reply.lane, reply.turn) {
                    self.turns[reply.lane.index()] += 1;
                    self.member.answered(self.now, reply.lane, reply.answer);
                }
            }
            Event::Timeout { lane, turn } => {
                if self.is_current(lane, turn) {
                    self.fail(lane);
                }
            }
            Event::Settle => {
                if self.quorum.leader.is_some() {
                    for reply in self.quorum.settle() {
                        self.soon(Event::Reply(reply));
                    }
                }
                let ms = 1 + self.dice.below(if self.is_calm { 30 } else { 1_200 });
                self.after_ms(ms, Event::Settle);
            }
            Event::Watch => {
                self.quorum.watch(self.now);
                self.after_ms(100, Event::Watch);
            }
            Event::Churn => {
                let dice = self.dice.next_u64();
                self.quorum.churn(dice);
                self.suggest();
                let ms = 20 + self.dice.below(1_500);
                self.after_ms(ms, Event::Churn);
            }
            Event::Gossip => {
                self.quorum.gossip();
                self.after_ms(700, Event::Gossip);
            }
            Event::Chaos => {
                if !self.is_calm {
                    self.chaos();
                }
                let ms = 200 + self.dice.below(4_000);
                self.after_ms(ms, Event::Chaos);
            }
        }
    }

    fn arrive(&mut self, lane: Lane, turn: u64, node: usize, question: Question, waited: bool) {
        if !self.quorum.is_up[node] {
            if self.is_current(lane, turn) {
                self.fail(lane);
            }
            return;
        }
        let now = self.now;
        match self.quorum.ask(now, node, lane, turn, &question, waited) {
            Some(reply) if !self.is_lost() => self.soon(Event::Reply(reply)),
            Some(_) => {}
            // A fetch waits here for news; others wait in the quorum until they are settled.
            None if lane == Lane::Log => self.after_ms(
                500,
                Event::Arrive {
                    lane,
                    turn,
                    node,
                    question,
                    waited: true,
                },
            ),
            None => {}
        }
    }

    fn chaos(&mut self) {
        let node = usize::try_from(self.dice.below(3)).expect("small");
        let hears = [0; 3].map(|_| self.chance(50));
        match self.dice.below(10) {
            0 | 1 => {
                let keep = self.chance(50);
                self.quorum.fall(keep);
            }
            2 => self.quorum.is_up[node] = !self.quorum.is_up[node],
            3 if self.chance(40) => self.quorum.forget_beginning(),
            4 => {
                let lane = Lane::ALL[node];
                if !matches!(self.member.links[lane.index()], Link::Down { .. }) {
                    self.fail(lane);
                }
            }
            5 if self.chance(20) => self.be_born_again(),
            6 if self.chance(20) => {
                // The whole process stands still, and wakes up late.
                let ms = self.dice.below(15_000);
                self.now = self.now.after(Duration::from_millis(ms));
                self.quorum.watch(self.now);
                assert!(
                    ms < 9_000 || !self.member.serves(self.now),
                    "a sleeper believes in its lease"
                );
            }
            _ => {}
        }
        if let Some(leader) = self.quorum.leader
            && !self.quorum.is_up[leader]
        {
            self.quorum.fall(true);
        }
        if self.quorum.leader.is_none() && self.chance(70) {
            self.quorum.is_up[node] = true;
            self.quorum.elect(self.now, node, hears);
        }
    }

    /// The process dies, and another comes in its place; sometimes it has kept all.
    fn be_born_again(&mut self) {
        if self.chance(70) {
            self.incarnation = self.incarnation.wrapping_add(1);
        }
        self.seed += 1;
        self.member = member(self.incarnation, self.seed);
        self.turns = self.turns.map(|turn| turn + 1);
        self.told = None;
    }

    /// Proposes to be alone in sync, of a partition that we lead.
    fn suggest(&mut self) {
        if !self.member.serves(self.now) {
            return;
        }
        let Some(told) = &self.told else {
            return;
        };
        let led = told.iter().find(|(_, now)| now.role == Role::Lead);
        if let (Some(((topic, partition), standing)), Some(epoch)) =
            (led, self.member.life().epoch())
        {
            self.member.propose(IsrChange {
                topic: *topic,
                partition: *partition,
                leader_epoch: standing.leader_epoch,
                partition_epoch: standing.partition_epoch,
                isr: vec![(US, epoch)],
            });
        }
    }

    fn hear(&mut self) {
        while let Some(news) = self.member.next_news() {
            match &news {
                News::Begun(all) => {
                    self.begun += 1;
                    self.told = Some(BTreeMap::new());
                    self.fold(all);
                }
                News::Changed { partitions, .. } => self.fold(partitions),
                News::Isr(fates) => {
                    let is_so = |fate: &Fate| matches!(fate, Fate::Committed { .. });
                    let count = fates.iter().filter(|(_, fate)| is_so(fate)).count();
                    self.committed += u32::try_from(count).expect("a few");
                }
                News::Refused(Refusal::Duplicate { .. }) if !self.is_calm => {
                    self.be_born_again();
                    return;
                }
                News::Refused(why) if !self.may_be_refused => panic!("refused: {why}"),
                _ => {}
            }
            self.last.push(news);
        }
    }

    fn fold(&mut self, partitions: &[PartitionNews]) {
        let told = self.told.as_mut().expect("begun before it changed");
        for news in partitions {
            let key = (news.topic_id, news.id.partition);
            match news.now.role {
                Role::Absent => drop(told.remove(&key)),
                _ => drop(told.insert(key, news.now.clone())),
            }
        }
    }

    /// What must hold at every moment.
    fn check(&mut self) {
        let applied = self.member.log.applied().map_or(0, |last| last.value() + 1);
        if self.member.log.is_caught_up() && !self.may_be_refused {
            let then = self.quorum.images.get(&applied);
            let then = then.expect("only what was settled is applied, whole batches of it");
            assert_eq!(self.member.image(), then, "at {applied}");
        }
        if self.member.serves(self.now) {
            let us = self.quorum.truth().brokers.get(US).expect("we serve");
            assert_eq!(Some(us.epoch), self.member.life().epoch());
            assert!(!us.is_fenced, "we believe to serve, and are fenced");
        }
        if self.member.lifeline.has_begun {
            let all = self.member.image().partitions_of(US);
            let all = all.into_iter().map(|news| {
                let key = (news.topic_id, news.id.partition);
                (key, news.now)
            });
            assert_eq!(self.told.as_ref(), Some(&all.collect()));
        }
    }

    /// Everything works from now on.
    pub(super) fn calm_down(&mut self) {
        self.is_calm = true;
        self.quorum.is_up = [true; 3];
        if self.quorum.leader.is_none() {
            self.quorum.elect(self.now, 1, [true; 3]);
        }
        self.quorum.gossip();
    }
}
