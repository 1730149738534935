//! One partition in a world that loses answers, restarts, and has other leaders: from a seed, any
//! order of events.

use super::*;

const SEEDS: u64 = 400;
const EVENTS: usize = 400;
/// With so many events and no fault among them, everything is where it is wanted.
const CALM_EVENTS: usize = 200;

/// A write on its way.
#[derive(Clone, Debug)]
struct Flight {
    ticket: Ticket,
    record: MirrorPartitionState,
    over: StateEpoch,
    /// An operator asked for it.
    is_recovery: bool,
    desired: Desired,
}

struct World {
    partition: Partition,
    prng: Prng,
    waits: Prng,
    now: Instant,
    epoch: i32,
    /// The last record that is kept, and how many were.
    kept: Option<MirrorPartitionState>,
    landed: usize,
    /// Another leader has written since we last led.
    is_overtaken: bool,
    reading: Option<Ticket>,
    flights: Vec<Flight>,
    /// The write that was asked for last.
    writing: Option<Ticket>,
    acting: Option<(Ticket, Action)>,
    waiting: Option<Instant>,
    old: Vec<Ticket>,
    seen: Vec<State>,
}

impl World {
    fn new(seed: u64) -> World {
        World {
            partition: Partition::new(OPTIONS, Desired::Mirroring),
            prng: Prng::new(seed),
            waits: Prng::new(!seed),
            now: Instant::default(),
            epoch: 0,
            kept: None,
            landed: 0,
            is_overtaken: false,
            reading: None,
            flights: Vec::new(),
            writing: None,
            acting: None,
            waiting: None,
            old: Vec::new(),
            seen: Vec::new(),
        }
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        let at = self.prng.below(of.len() as u64);
        of[at as usize].clone()
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.prng.below(count) == 0
    }

    fn tell(&mut self, input: Input) {
        let is_recovery = input == Input::Recover;
        let step = self.partition.step(self.now, &mut self.waits, input);
        match step {
            None => {}
            Some(Step::Read { ticket }) => {
                self.acting = None;
                self.writing = None;
                self.reading = Some(ticket);
                self.old.push(ticket);
            }
            Some(Step::Write {
                ticket,
                record,
                over,
            }) => {
                // What was acted upon goes on only where the state stays.
                if self.kept.as_ref().map(|kept| kept.state) != Some(record.state) {
                    self.acting = None;
                }
                self.waiting = None;
                self.writing = Some(ticket);
                let desired = self.partition.desired();
                self.old.push(ticket);
                self.flights.push(Flight {
                    ticket,
                    record,
                    over,
                    is_recovery,
                    desired,
                });
            }
            Some(Step::Act { ticket, action }) => {
                self.assert_confirmed(action);
                self.acting = Some((ticket, action));
                self.old.push(ticket);
            }
            Some(Step::Wait { until }) => self.waiting = Some(until),
        }
    }

    /// No action but that of the record which is kept.
    fn assert_confirmed(&self, action: Action) {
        assert_eq!(self.writing, None, "an action beside an unanswered write");
        let known = self.partition.record().expect("an action has a record");
        assert_eq!(Action::of(known.state), Some(action));
        if !self.is_overtaken {
            assert_eq!(self.kept.as_ref(), Some(known));
        }
    }

    /// A write arrives where records are kept; whether it is kept.
    fn land(&mut self, flight: &Flight) -> bool {
        if let Some(kept) = &self.kept {
            let is_fenced =
                kept.leader_epoch > flight.record.leader_epoch || kept.state_epoch > flight.over;
            if is_fenced {
                return false;
            }
            assert!(flight.record.state_epoch > kept.state_epoch);
        }
        let from = self.kept.as_ref().map(|kept| kept.state);
        let to = flight.record.state;
        assert!(allowed(from, to), "{from:?} to {to}");
        assert_ne!(to, State::EpochFencing, "there is no epoch to raise");
        self.assert_terminal_stays(flight);
        self.kept = Some(flight.record.clone());
        self.landed += 1;
        self.seen.push(to);
        true
    }

    fn assert_terminal_stays(&self, flight: &Flight) {
        let Some(kept) = &self.kept else {
            return;
        };
        if is_terminal(kept, &OPTIONS) && flight.record.state != State::Failed {
            let is_first_stop = flight.record.state == State::Stopping
                && flight.desired == Desired::Stopped
                && kept.previous != Some(State::Stopping);
            assert!(flight.is_recovery || is_first_stop, "{kept:?} {flight:?}");
        }
    }

    fn refusal(&self, flight: &Flight) -> WriteRefusal {
        let newer = self.kept.as_ref().map(|kept| kept.leader_epoch);
        match newer > Some(flight.record.leader_epoch) {
            true => WriteRefusal::NewerLeader,
            false => WriteRefusal::NewerState,
        }
    }

    /// The answer to what was asked of the records; at times a wrong one, or none.
    fn answer(&mut self, is_calm: bool) {
        if let Some(ticket) = self.reading.take() {
            if !is_calm && self.one_in(4) {
                let why = self.pick(&[WriteRefusal::Loading, WriteRefusal::Unknown]);
                return self.tell(Input::Refused { ticket, why });
            }
            let record = self.kept.clone();
            return self.tell(Input::Read { ticket, record });
        }
        if self.flights.is_empty() {
            return;
        }
        let at = self.prng.below(self.flights.len() as u64) as usize;
        let flight = self.flights.remove(at);
        let ticket = flight.ticket;
        let is_lost = !is_calm && self.one_in(8);
        let is_kept = !is_lost && self.land(&flight);
        let why = match is_kept || is_lost {
            true => self.pick(&[WriteRefusal::Unknown; 2]),
            false => self.refusal(&flight),
        };
        if self.writing == Some(ticket) {
            self.writing = None;
        }
        match is_kept && (is_calm || !self.one_in(8)) {
            true => self.tell(Input::Written { ticket }),
            false => {
                let why = match is_lost && self.one_in(2) {
                    true => WriteRefusal::Loading,
                    false => why,
                };
                self.tell(Input::Refused { ticket, why });
            }
        }
    }

    fn end_action(&mut self, is_calm: bool) {
        let Some((ticket, action)) = self.acting else {
            return;
        };
        let fails = !is_calm && self.one_in(2);
        let how = match action {
            _ if fails => Ending::Failed {
                why: "trouble".to_owned(),
                is_retryable: !self.one_in(4),
            },
            Action::Mirror if is_calm => return self.tell(Input::Progressed { ticket }),
            Action::Mirror => Ending::SourceTruncated,
            _ => Ending::Done,
        };
        self.acting = None;
        self.tell(Input::Ended { ticket, how });
    }

    /// What was asked for long ago is answered now.
    fn say_again(&mut self) {
        let due = [
            self.reading,
            self.writing,
            self.acting.map(|(ticket, _)| ticket),
        ];
        let old = self.old.iter().copied();
        let old: Vec<Ticket> = old.filter(|old| !due.contains(&Some(*old))).collect();
        if old.is_empty() {
            return;
        }
        let ticket = self.pick(&old);
        let record = Some(MirrorPartitionState::begun(State::Stopped));
        let how = Ending::Done;
        let why = WriteRefusal::Unknown;
        let input = self.pick(&[
            Input::Read { ticket, record },
            Input::Written { ticket },
            Input::Refused { ticket, why },
            Input::Ended { ticket, how },
            Input::Progressed { ticket },
        ]);
        self.tell(input);
    }

    /// The node dies and comes back; what was on its way may still arrive.
    fn crash(&mut self) {
        let desired = self.partition.desired();
        self.partition = Partition::new(OPTIONS, desired);
        self.forget();
        self.old.clear();
        for flight in std::mem::take(&mut self.flights) {
            if self.one_in(2) {
                self.land(&flight);
            }
        }
        self.lead();
    }

    fn forget(&mut self) {
        self.reading = None;
        self.writing = None;
        self.acting = None;
        self.waiting = None;
    }

    fn lead(&mut self) {
        self.forget();
        self.epoch += i32::from(self.is_overtaken || self.one_in(2));
        self.is_overtaken = false;
        self.tell(Input::Leads(LeaderEpoch::new(self.epoch)));
    }

    /// Somebody else leads, and writes whatever may follow.
    fn overtake(&mut self) {
        self.epoch += 1;
        self.is_overtaken = true;
        let from = self.kept.as_ref().map(|kept| kept.state);
        let next: Vec<State> = State::ALL
            .into_iter()
            .filter(|to| allowed(from, *to))
            .collect();
        let state = self.pick(&next);
        let over = self.kept.as_ref().map(|kept| kept.state_epoch);
        let retry = self.pick(&[
            Retry::NONE,
            Retry::Counted(1),
            Retry::Counted(3),
            Retry::Never,
        ]);
        self.kept = Some(MirrorPartitionState {
            leader_epoch: LeaderEpoch::new(self.epoch),
            state_epoch: over.unwrap_or(StateEpoch::FIRST).next(),
            previous: from,
            retry: if state == State::Failed {
                retry
            } else {
                Retry::NONE
            },
            ..MirrorPartitionState::begun(state)
        });
    }

    fn happen(&mut self) {
        match self.prng.below(20) {
            0..8 => self.answer(false),
            8..12 => self.end_action(false),
            12 | 13 => self.pass(),
            14 => {
                let desired = self.pick(&Desired::ALL);
                self.tell(Input::Wanted(desired));
            }
            15 => self.say_again(),
            16 => match self.prng.below(4) {
                0 => self.tell(Input::Recover),
                1 => self.tell(Input::Reassert),
                2 => {
                    self.forget();
                    self.tell(Input::Lost);
                }
                _ => self.overtake(),
            },
            17 => match self.one_in(2) {
                true => self.crash(),
                false => self.lead(),
            },
            _ => {
                if let Some((ticket, Action::Mirror)) = self.acting {
                    self.tell(Input::Progressed { ticket });
                }
            }
        }
    }

    fn pass(&mut self) {
        let wait = self.prng.below(1_500);
        self.now = self.now.after(Duration::from_millis(wait));
        self.tell(Input::Tick);
    }

    /// No more faults: it comes to where it is wanted, with an operator's help at the most once.
    fn calm(&mut self, desired: Desired) {
        self.lead();
        self.tell(Input::Wanted(desired));
        for turn in 0..CALM_EVENTS {
            self.answer(true);
            self.end_action(true);
            self.pass();
            if turn == CALM_EVENTS / 2 {
                self.tell(Input::Recover);
            }
        }
        let kept = self.kept.as_ref().expect("written");
        assert_eq!(kept.state, desired.fulfilled(), "{kept:?}");
        assert_eq!((kept.retry, &kept.error), (Retry::NONE, &None));
        let acting = self.acting.map(|(_, action)| action);
        assert_eq!(acting, Action::of(kept.state));
    }
}

#[test]
fn any_order_of_events_keeps_the_rules_and_ends_where_it_is_wanted() {
    let mut seen = Vec::new();
    let mut landed = 0;
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        world.lead();
        for _ in 0..EVENTS {
            world.happen();
        }
        let desired = Desired::ALL[(seed % 3) as usize];
        world.calm(desired);
        landed += world.landed;
        seen.append(&mut world.seen);
    }
    // A world in which little happens proves little.
    assert!(landed as u64 > 20 * SEEDS, "{landed} records");
    for state in State::ALL
        .into_iter()
        .filter(|state| *state != State::EpochFencing)
    {
        let times = seen.iter().filter(|seen| **seen == state).count() as u64;
        assert!(times > SEEDS / 2, "{state} {times} times");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = |seed| {
        let mut world = World::new(seed);
        world.lead();
        (0..EVENTS).for_each(|_| world.happen());
        (world.kept, world.seen)
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}
