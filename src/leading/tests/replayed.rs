//! What the code of a leader has decided, replayed on the model in which every interleaving was
//! tried: the same things happen to both, and both say the same of them.
//!
//! A trace is what happened and what came of it, in order, as [`Led`] has it; the dice that make
//! it up know only what followers and the controller could do.

use std::path::PathBuf;
use std::time::Duration;

use super::logs::TOPIC;
use crate::leading::inbox::{IsrChange, IsrFate, LeaderEpochs, Leadership, Moved};
use crate::leading::partition::Led;
use crate::model::{Instant, LeaderEpoch, PartitionIndex, TopicName, TopicPartition};
use crate::replica::tests::model::lead::{Fate, Lead, Told, id, life, offset};
use crate::replica::tests::model::{MIN_ISR, NONE, Set, US, members};
use crate::replica::{Eligible, Fetched};
use crate::stdx::prng::Prng;

const LAG_MAX: Duration = Duration::from_secs(30);
const EPOCH: u8 = 2;

/// What happened.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Something of which the leader has yet to hear.
    Elsewhere,
    /// The log ends there now.
    Moved(u8),
    /// It was cut there, before anything was written in the epoch.
    Cut(u8),
    /// A follower has fetched, in this life and from there.
    Fetched(usize, u8, u8),
    /// The metadata was heard.
    Told(Told),
    /// The leader has looked for those who lag.
    Looked,
    /// The fate of its proposal was heard.
    Fate(Fate),
    /// The fate was not heard for too long.
    Repeat,
}

/// What was so afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Decided {
    high_watermark: u8,
    /// What was proposed at that: who, in which partition epoch.
    proposed: Option<(Set, u8)>,
    is_pending: bool,
    is_drained: bool,
    heard: Vec<(usize, u8)>,
}

type Trace = Vec<(Event, Decided)>;

fn number(value: i64) -> u8 {
    u8::try_from(value).expect("small")
}

fn first() -> Told {
    Told {
        epoch: EPOCH,
        partition_epoch: 0,
        isr: 0b111,
        unfenced: 0b111,
        lives: [0; 3],
    }
}

fn leadership(told: Told) -> Leadership {
    let begun = vec![
        (LeaderEpoch::new(1), offset(0)),
        (LeaderEpoch::new(i32::from(EPOCH)), offset(START)),
    ];
    Leadership {
        id: TopicPartition {
            topic: TopicName::new("t").expect("a name"),
            partition: PartitionIndex::default(),
        },
        topic_id: TOPIC,
        dir: PathBuf::new(),
        leader_epoch: LeaderEpoch::new(i32::from(told.epoch)),
        partition_epoch: i32::from(told.partition_epoch),
        replicas: [0, 1, 2].map(id).to_vec(),
        isr: members(told.isr).map(id).collect(),
        min_isr: MIN_ISR,
        holds_others: false,
        before: None,
        log_start: offset(0),
        log_end: offset(START),
        epochs: LeaderEpochs::of(begun).expect("they rise"),
        high_watermark: offset(MARK),
    }
}

/// Where our epoch begins, and the high watermark that was written down.
const START: u8 = 5;
const MARK: u8 = 2;

fn eligible(told: Told) -> Eligible {
    let unfenced = members(told.unfenced);
    unfenced
        .map(|who| (id(who), life(told.lives[who])))
        .collect()
}

/// A leader of the real code, and what is around it.
struct Story {
    dice: Prng,
    led: Led,
    now: u64,
    end: u8,
    start: u8,
    /// What the controller has, and what the leader has heard of it.
    truth: Told,
    heard: Told,
    /// What waits for its fate.
    change: Option<IsrChange>,
}

impl Story {
    fn new(seed: u64) -> Story {
        Story {
            dice: Prng::new(seed),
            led: Led::begin(id(US), Instant::default(), leadership(first())),
            now: 0,
            end: START,
            start: START,
            truth: first(),
            heard: first(),
            change: None,
        }
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.now * 1_000_000_000)
    }

    /// Something happens.
    fn happens(&mut self) -> (Event, Decided) {
        self.now += self.dice.below(12);
        let before = self.change.is_some();
        let (event, proposed) = match self.dice.below(12) {
            0 if self.end < 100 => self.grows(),
            1 if self.end == self.start && self.end > 1 => self.is_cut(),
            2 => self.hears(),
            3 => (Event::Looked, self.looks()),
            4 if before => self.fate(),
            5 if before => self.repeats(),
            6 => self.controller_moves(),
            _ => self.fetches(),
        };
        if proposed.is_some() {
            self.change.clone_from(&proposed);
        }
        (event, self.decided(proposed))
    }

    fn decided(&self, proposed: Option<IsrChange>) -> Decided {
        let stood = self.led.stood();
        let set = |change: &IsrChange| change.isr.iter().map(|(who, _)| 1 << who.0).sum();
        let heard = stood.followers.iter();
        Decided {
            high_watermark: number(stood.high_watermark.value()),
            proposed: proposed.map(|change| {
                let lives = eligible(self.heard);
                assert!(change.isr.iter().all(|(who, life)| lives[who] == *life));
                (set(&change), number(change.partition_epoch.into()))
            }),
            is_pending: self.led.is_pending(),
            is_drained: stood.is_drained,
            heard: heard
                .map(|(who, end)| (usize::try_from(who.0).expect("few"), number(end.value())))
                .collect(),
        }
    }

    fn moved(&mut self, end: u8, epochs: Option<LeaderEpochs>) {
        self.end = end;
        let told = Moved {
            id: leadership(first()).id,
            stamp: LeaderEpoch::new(i32::from(EPOCH)),
            log_start: offset(0),
            log_end: offset(end),
            epochs,
        };
        let _change = self.led.moved(self.now(), told);
    }

    fn grows(&mut self) -> (Event, Option<IsrChange>) {
        self.moved(self.end + 1, None);
        (Event::Moved(self.end), None)
    }

    fn is_cut(&mut self) -> (Event, Option<IsrChange>) {
        let end = self.end - 1;
        let begun = [(1, 0), (i32::from(EPOCH), end)];
        let begun = begun.map(|(epoch, start)| (LeaderEpoch::new(epoch), offset(start)));
        self.start = end;
        self.moved(end, LeaderEpochs::of(begun.to_vec()));
        (Event::Cut(end), None)
    }

    fn fetches(&mut self) -> (Event, Option<IsrChange>) {
        let who = 1 + usize::from(self.dice.below(2) == 0);
        let from = self.end - number(self.dice.below(4).min(self.end.into()).cast_signed());
        let lived = self.heard.lives[who];
        let brokers = eligible(self.heard);
        if !brokers.contains_key(&id(who)) {
            return (Event::Elsewhere, None);
        }
        let fetched = Fetched {
            follower: id(who),
            epoch: life(lived),
            offset: offset(from),
            at: self.now(),
        };
        let (_, proposed) = self.led.fetched(&fetched, &brokers);
        (Event::Fetched(who, lived, from), proposed)
    }

    fn looks(&mut self) -> Option<IsrChange> {
        self.led.shrink(self.now(), &eligible(self.heard), LAG_MAX)
    }

    /// The controller fences somebody, or takes somebody back in another life; nobody hears of it.
    fn controller_moves(&mut self) -> (Event, Option<IsrChange>) {
        let who = 1 + usize::from(self.dice.below(2) == 0);
        let it = 1 << who;
        match self.truth.unfenced & it {
            0 => {
                self.truth.unfenced |= it;
                self.truth.lives[who] += 1;
            }
            _ if self.dice.below(4) == 0 && self.truth.lives[who] < 100 => {
                self.truth.unfenced &= !it;
                self.truth.partition_epoch += u8::from(self.truth.isr & it != 0);
                self.truth.isr &= !it;
            }
            _ => {}
        }
        (Event::Elsewhere, None)
    }

    fn hears(&mut self) -> (Event, Option<IsrChange>) {
        self.heard = self.truth;
        self.led.change(self.now(), &leadership(self.truth));
        (Event::Told(self.heard), None)
    }

    /// As the controller judges; now and then it is only slow.
    fn fate(&mut self) -> (Event, Option<IsrChange>) {
        let change = self.change.take().expect("something is proposed");
        let lives = eligible(self.truth);
        let is_well = change
            .isr
            .iter()
            .all(|(who, life)| lives.get(who) == Some(life));
        let is_of_now = change.partition_epoch == i32::from(self.truth.partition_epoch);
        let fate = match (is_of_now, is_well) {
            (false, _) => Fate::Overtaken,
            (true, false) => Fate::Reverted,
            (true, true) => {
                self.truth.isr = change.isr.iter().map(|(who, _)| 1 << who.0).sum();
                self.truth.partition_epoch += 1;
                Fate::Committed(self.truth.partition_epoch)
            }
        };
        // The metadata may be faster than the answer.
        if self.dice.below(4) == 0 && is_of_now && is_well {
            self.change = Some(change);
            return self.hears();
        }
        self.led.fate(self.now(), in_words(fate, &change));
        (Event::Fate(fate), None)
    }

    fn repeats(&mut self) -> (Event, Option<IsrChange>) {
        let change = self.led.repeat(self.now(), Duration::ZERO);
        assert!(change.is_none() || change == self.change, "just as it was");
        if change.is_none() {
            self.change = None;
        }
        (Event::Repeat, None)
    }
}

fn in_words(fate: Fate, change: &IsrChange) -> IsrFate {
    match fate {
        Fate::Committed(partition_epoch) => IsrFate::Committed {
            isr: change.isr.iter().map(|(who, _)| *who).collect(),
            partition_epoch: partition_epoch.into(),
        },
        Fate::Reverted => IsrFate::Reverted,
        Fate::Overtaken => IsrFate::Overtaken,
        Fate::Sent => unreachable!("that is no fate"),
    }
}

/// The model, to which the same happens.
struct Model {
    lead: Lead,
    end: u8,
    start: u8,
}

impl Model {
    /// What the model says of an event. Who lags it does not know: whoever was proposed to be done
    /// without has to be one of those who may be.
    fn decides(&mut self, event: Event, decided: &Decided) -> Decided {
        let before = self.lead.pending;
        match event {
            Event::Elsewhere => {}
            Event::Moved(end) => {
                self.end = end;
                self.lead.moved(end, false, None);
            }
            Event::Cut(end) => {
                (self.end, self.start) = (end, end);
                self.lead.moved(end, true, None);
            }
            Event::Fetched(who, life, from) => {
                let log = (self.end, self.start);
                self.lead.fetched((who, life, from), log, None);
            }
            Event::Told(told) => self.lead.change(told, self.end),
            Event::Looked => {
                if let Some((isr, _)) = decided.proposed {
                    let laggards = self.lead.committed & !isr;
                    assert!(
                        self.lead.shrinks(laggards, None),
                        "nobody may be done without"
                    );
                }
            }
            Event::Fate(fate) => {
                if let Some(pending) = &mut self.lead.pending {
                    pending.fate = fate;
                }
                self.lead.fate(self.end, None);
            }
            Event::Repeat => self.lead.repeat(),
        }
        let proposed = self.lead.pending.filter(|_| before.is_none());
        let heard = self.lead.heard.iter().enumerate();
        let heard = heard.filter(|(_, (from, _))| *from != NONE);
        Decided {
            high_watermark: self.lead.high_watermark,
            proposed: proposed.map(|pending| (pending.isr, pending.partition_epoch)),
            is_pending: self.lead.pending.is_some(),
            is_drained: self.lead.is_drained(self.end),
            heard: heard.map(|(who, (from, _))| (who, *from)).collect(),
        }
    }
}

fn replay(seed: u64, trace: &Trace) {
    let mut model = Model {
        lead: Lead::begin(first(), MARK, START),
        end: START,
        start: START,
    };
    for (nth, (event, decided)) in trace.iter().enumerate() {
        let said = model.decides(*event, decided);
        assert_eq!(said, *decided, "seed {seed}, step {nth}: {event:?}");
    }
}

fn recorded(seed: u64) -> Trace {
    let mut story = Story::new(seed);
    (0..200).map(|_| story.happens()).collect()
}

#[test]
#[should_panic(expected = "seed 0, step 100")]
fn a_trace_that_says_something_else_is_refused() {
    let mut trace = recorded(0);
    trace[100].1.high_watermark += 1;
    replay(0, &trace);
}

#[test]
fn what_a_leader_decides_is_what_the_model_decides() {
    let (mut proposals, mut moves, mut cuts) = (0, 0, 0);
    for seed in 0..300 {
        let trace = recorded(seed);
        replay(seed, &trace);
        proposals += trace
            .iter()
            .filter(|(_, one)| one.proposed.is_some())
            .count();
        let marks = trace.windows(2);
        moves += marks
            .filter(|pair| pair[0].1.high_watermark < pair[1].1.high_watermark)
            .count();
        cuts += trace
            .iter()
            .filter(|(event, _)| matches!(event, Event::Cut(_)))
            .count();
    }
    // It was about something.
    assert!(
        proposals > 1_000 && moves > 1_000 && cuts > 100,
        "{proposals} {moves} {cuts}"
    );
}
