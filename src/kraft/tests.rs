//! A member against a simulated quorum, and what it says to whoever refuses it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::model::{LeaderEpoch, Offset, PartitionIndex, TopicId};
use crate::protocol::controller::Leadership;
use crate::protocol::metadata_record::FeatureRange;

mod simulated;

use simulated::{CLUSTER, Quorum3, Reply, US};

const ZERO: Instant = Instant::from_nanos(0);

fn controller(port: u16) -> BrokerAddress {
    BrokerAddress {
        host: "c".to_owned(),
        port,
    }
}

fn identity(incarnation: u8) -> Identity {
    Identity {
        node: US,
        cluster_id: None,
        directory: Uuid::new([9; 16]),
        incarnation: Uuid::new([incarnation; 16]),
        listeners: Vec::new(),
        rack: None,
        previous_epoch: BrokerEpoch::NONE,
        is_cordoned: false,
    }
}

fn member(incarnation: u8, seed: u64) -> Member {
    let controllers = vec![controller(1), controller(2), controller(3)];
    Member::new(identity(incarnation), Options::default(), controllers, seed)
}

fn offer() -> Offer {
    Offer {
        supported: [(METADATA_VERSION.to_owned(), (7, 30))].into(),
        finalized: [(METADATA_VERSION.to_owned(), 30)].into(),
    }
}

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
struct World {
    now: Instant,
    dice: Prng,
    events: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
    quorum: Quorum3,
    member: Member,
    turns: [u64; 3],
    wires: [usize; 3],
    is_calm: bool,
    may_be_refused: bool,
    incarnation: u8,
    seed: u64,
    /// What the news add up to.
    told: Option<BTreeMap<(TopicId, PartitionIndex), Standing>>,
    committed: u32,
    begun: u32,
    last: Vec<News>,
}

impl World {
    fn new(seed: u64) -> World {
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

    fn run(&mut self, lasts: Duration) {
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
    fn calm_down(&mut self) {
        self.is_calm = true;
        self.quorum.is_up = [true; 3];
        if self.quorum.leader.is_none() {
            self.quorum.elect(self.now, 1, [true; 3]);
        }
        self.quorum.gossip();
    }
}

#[test]
fn in_a_calm_world_we_serve_within_a_moment() {
    let mut world = World::new(1);
    world.calm_down();
    world.run(Duration::from_secs(2));
    assert!(world.member.serves(world.now), "{:?}", world.last);
    assert_eq!(world.begun, 1);
    assert_eq!(world.quorum.astray, 0);
}

/// Losses, delays, deaths, elections that lose what was not settled, snapshots, pauses and new
/// lives of ours: what must hold is checked at every step, and when it is over all is well.
#[test]
fn whatever_happens_we_come_to_serve_with_the_right_picture() {
    let seeds = std::env::var("TWINLOG_SEEDS").ok();
    let seeds = seeds.and_then(|seeds| seeds.parse().ok()).unwrap_or(40);
    let mut sum = (0, 0, 0);
    let mut rare = (0, 0);
    for seed in 0..u64::from(seeds) {
        let mut world = World::new(seed);
        world.run(Duration::from_secs(120));
        world.calm_down();
        world.run(Duration::from_secs(40));
        assert!(
            world.member.serves(world.now),
            "seed {seed}: {:?}",
            world.member.life()
        );
        let applied = world.member.log.applied().expect("something");
        let newest = world.quorum.settled - 1;
        assert!(
            newest - applied.value() < 20,
            "seed {seed}: {applied} of {newest}"
        );
        let elections = world.quorum.elections;
        let astray = world.quorum.astray;
        assert!(
            astray <= 4 * elections + 4,
            "seed {seed}: {astray} in {elections}"
        );
        rare = (
            rare.0 + world.quorum.diverged,
            rare.1 + world.quorum.snapshots,
        );
        sum = (
            sum.0 + elections,
            sum.1 + world.committed,
            sum.2 + world.begun,
        );
    }
    // Each of them is tried at all.
    let is_tried = sum.0 > 2 * seeds && sum.1 > seeds && sum.2 > 2 * seeds;
    assert!(is_tried, "{sum:?}");
    assert!(rare.0 > seeds / 4 && rare.1 > seeds / 4, "{rare:?}");
}

#[test]
fn whoever_leaves_and_is_forgotten_leaves_nothing_behind() {
    let mut world = World::new(3);
    world.calm_down();
    world.run(Duration::from_secs(2));
    world.member.wish(Wish::Unregister);
    assert!(!world.member.serves(world.now), "not while we are leaving");
    world.last.clear();
    world.run(Duration::from_secs(2));
    let is_told = |news: &News| world.last.contains(news);
    assert!(
        is_told(&News::Gone) && is_told(&News::Unregistered),
        "{:?}",
        world.last
    );
    assert_eq!(world.quorum.truth().brokers.get(US), None);
    assert_eq!(world.member.next_deadline(), None);
}

#[test]
fn being_fenced_by_wish_and_trusted_again() {
    let mut world = World::new(4);
    world.calm_down();
    world.run(Duration::from_secs(2));
    world.member.wish(Wish::Fence);
    world.run(Duration::from_secs(1));
    assert!(
        world
            .quorum
            .truth()
            .brokers
            .get(US)
            .expect("registered")
            .is_fenced
    );
    world.member.wish(Wish::Serve);
    world.run(Duration::from_secs(1));
    assert!(world.member.serves(world.now));
}

#[test]
fn whoever_does_not_understand_the_log_has_itself_fenced_before_it_ends() {
    let mut world = World::new(6);
    world.calm_down();
    world.run(Duration::from_secs(2));
    assert!(world.member.serves(world.now));
    world.may_be_refused = true;
    world.quorum.append(vec![vec![1, 29, 0]]);
    world.run(Duration::from_secs(1));
    assert!(!world.member.serves(world.now));
    let us = world.quorum.truth().brokers.get(US).expect("registered");
    assert!(us.is_fenced);
    let last = world.last.last();
    assert!(
        matches!(last, Some(News::Refused(Refusal::Log(_)))),
        "{last:?}"
    );
}

/// A member that has asked for the log, over a connection to the first controller.
fn asking() -> Member {
    let mut member = member(1, 5);
    member.identity.cluster_id = Some(CLUSTER.to_owned());
    let step = member.next_step(ZERO);
    assert!(matches!(
        step,
        Some(Step::Connect {
            lane: Lane::Log,
            ..
        })
    ));
    member.connected(Lane::Log, offer());
    let step = member.next_step(ZERO);
    assert!(matches!(
        step,
        Some(Step::Ask {
            question: Question::Fetch(_),
            ..
        })
    ));
    member
}

fn said(refused: ErrorCode, error: ErrorCode) -> Answer {
    Answer::Fetch(MetadataAnswer {
        refused,
        error,
        leadership: Leadership {
            leader: Some(BrokerId(101)),
            epoch: 1,
            endpoints: Vec::new(),
        },
        diverging: None,
        snapshot: None,
        high_watermark: Some(Offset::ZERO),
        records: Vec::new(),
    })
}

#[test]
fn want_of_rights_is_told_once_and_asked_about_rarely() {
    let mut member = asking();
    let denied = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
    member.answered(ZERO, Lane::Log, said(denied, ErrorCode::NONE));
    let Some(News::Trouble(why)) = member.next_news() else {
        panic!("nothing was told");
    };
    assert!(why.to_string().contains("ClusterAction"), "{why}");
    let step = member.next_step(ZERO);
    assert_eq!(step, Some(Step::Close { lane: Lane::Log }));
    assert_eq!(member.next_step(ZERO), None);
    let later = member.next_deadline().expect("it is tried again");
    assert!(later.since(ZERO) >= Duration::from_secs(8), "{later:?}");
}

#[test]
fn another_cluster_is_refused_for_good() {
    let mut member = asking();
    let other = ErrorCode::INCONSISTENT_CLUSTER_ID;
    member.answered(ZERO, Lane::Log, said(other, ErrorCode::NONE));
    let Some(News::Refused(Refusal::OtherCluster { expected, .. })) = member.next_news() else {
        panic!("nothing was told");
    };
    assert_eq!(expected, CLUSTER);
    assert_eq!(
        member.next_step(ZERO),
        Some(Step::Close { lane: Lane::Log })
    );
    assert_eq!(
        (member.next_step(ZERO), member.next_deadline()),
        (None, None)
    );
}

/// Answers the first question of our life with an error.
fn registration_answered(error: ErrorCode, offer: Offer) -> (Member, Option<Registration>) {
    let mut member = asking();
    member.answered(ZERO, Lane::Log, said(ErrorCode::NONE, ErrorCode::NONE));
    let mut asked = None;
    for _ in 0..10 {
        match member.next_step(ZERO) {
            Some(Step::Connect { lane, .. }) => member.connected(lane, offer.clone()),
            Some(Step::Ask {
                question: Question::Register(question),
                ..
            }) => {
                asked = Some(question);
                let epoch = BrokerEpoch::NONE;
                let answer = Answer::Register(RegistrationAnswer { error, epoch });
                member.answered(ZERO, Lane::Life, answer);
                break;
            }
            Some(_) => {}
            None => break,
        }
    }
    (member, asked)
}

fn refusal(member: &mut Member) -> Option<Refusal> {
    std::iter::from_fn(|| member.next_news()).find_map(|news| match news {
        News::Refused(why) | News::Trouble(why) => Some(why),
        _ => None,
    })
}

#[test]
fn refusals_of_the_registration_say_what_to_change() {
    for (error, part) in [
        (ErrorCode::UNSUPPORTED_VERSION, "metadata.version 21 to 30"),
        (ErrorCode::DUPLICATE_BROKER_REGISTRATION, "another process"),
        (ErrorCode::INVALID_REGISTRATION, "directory"),
        (ErrorCode::INCONSISTENT_CLUSTER_ID, CLUSTER),
        (
            ErrorCode::CLUSTER_AUTHORIZATION_FAILED,
            "grant ClusterAction",
        ),
    ] {
        let (mut member, asked) = registration_answered(error, offer());
        let asked = asked.expect("it was asked");
        let expected = FeatureRange {
            name: METADATA_VERSION.to_owned(),
            least: 21,
            most: 30,
        };
        assert_eq!(asked.features, [expected]);
        let why = refusal(&mut member).expect("something hinders").to_string();
        assert!(why.contains(part), "{why}");
    }
}

#[test]
fn a_level_that_we_do_not_know_is_refused_before_anybody_is_asked() {
    let newer = Offer {
        finalized: [(METADATA_VERSION.to_owned(), 33)].into(),
        ..offer()
    };
    let (mut member, asked) = registration_answered(ErrorCode::NONE, newer);
    assert_eq!(asked, None);
    let why = refusal(&mut member).expect("refused").to_string();
    assert!(why.contains("level 33"), "{why}");
}

#[test]
fn damaged_and_unknown_records_end_in_other_ways() {
    let mut damaged = asking();
    let Answer::Fetch(mut answer) = said(ErrorCode::NONE, ErrorCode::NONE) else {
        unreachable!("it is a fetch");
    };
    let mut batch = crate::record::BatchBuilder::new(Offset::ZERO, LeaderEpoch::new(1), 0);
    batch.push(None, Some(&[1, 29, 0]), &[]);
    answer.records = batch.finish();
    answer.high_watermark = Some(Offset::new(1));
    let unknown = answer.clone();
    *answer.records.last_mut().expect("not empty") ^= 1;
    damaged.answered(ZERO, Lane::Log, Answer::Fetch(answer));
    assert!(
        refusal(&mut damaged)
            .expect("told")
            .to_string()
            .contains("damaged")
    );
    assert!(damaged.next_deadline().is_some(), "it is tried again");
    let mut stopped = asking();
    stopped.answered(ZERO, Lane::Log, Answer::Fetch(unknown));
    let why = refusal(&mut stopped).expect("told").to_string();
    assert!(why.contains("unknown kind 29"), "{why}");
    assert_eq!(stopped.next_deadline(), None);
}
