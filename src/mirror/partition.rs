//! One mirrored partition, as the leader's node drives it: decide, write, act.

mod exchange;

use std::time::Duration;

use crate::model::{Instant, LeaderEpoch};
use crate::stdx::prng::Prng;

use super::lifecycle::{Decision, Desired, State, allowed, decide, is_terminal, resumed};
use super::records::{MirrorPartitionState, StateEpoch};
use super::retry::{Retry, RetryOptions};

pub use exchange::{Action, Ending, Input, Step, Ticket, WriteRefusal};

/// After an answer that says nothing about the record, it is asked for again so much later.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// More than so much of an error's words is not put on record.
pub(super) const ERROR_BYTES_MAX: usize = 1_024;

/// One partition. Control owns one for each that this node leads or may lead.
///
/// ```text
///  Aside ── leads ──▶ Reading ── read ──▶ Writing ── written ──▶ Settled ─┐
///    ▲                   ▲  ▲                │ ▲                   │      │
///    │                   │  └─── refused ────┘ └── wanted, ended, ─┘      │
///    │                   └────────── after a while: Waiting ◀─ FAILED ────┘
///    └── lost, or a newer leader: from everywhere
/// ```
#[derive(Clone, Debug)]
pub struct Partition {
    options: RetryOptions,
    desired: Desired,
    leading: Option<LeaderEpoch>,
    /// As last confirmed while we lead.
    record: Option<MirrorPartitionState>,
    phase: Phase,
    /// The action that is under way; a record may be written beside it.
    acting: Option<Ticket>,
    tickets: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Aside,
    Reading(Ticket),
    Writing {
        ticket: Ticket,
        record: MirrorPartitionState,
        /// How the action ended in the meantime that goes on beside the write.
        ended: Option<Ending>,
    },
    Settled,
    Waiting {
        until: Instant,
        next: AfterWait,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterWait {
    Read,
    Retry,
}

impl Partition {
    /// A partition that we do not lead yet.
    #[must_use]
    pub fn new(options: RetryOptions, desired: Desired) -> Partition {
        Partition {
            options,
            desired,
            leading: None,
            record: None,
            phase: Phase::Aside,
            acting: None,
            tickets: 0,
        }
    }

    /// The record as last confirmed; none while we do not lead, or have not read it yet.
    #[must_use]
    pub fn record(&self) -> Option<&MirrorPartitionState> {
        self.record.as_ref()
    }

    /// What is wanted.
    #[must_use]
    pub fn desired(&self) -> Desired {
        self.desired
    }

    /// Whether anybody but the mirror may write into the partition: STOPPED, by wish and in fact.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        let state = self.record.as_ref().map(|record| record.state);
        self.desired == Desired::Stopped && state == Some(State::Stopped)
    }

    /// Takes in what happened; says what is to be done now, if anything. A step that is not
    /// answered yet stays due, unless a new one takes its place.
    ///
    /// # Panics
    /// An action is said to have ended as it cannot.
    pub fn step(&mut self, now: Instant, chance: &mut Prng, input: Input) -> Option<Step> {
        match input {
            Input::Wanted(desired) => self.wanted(desired),
            Input::Leads(epoch) => {
                self.leading = Some(epoch);
                Some(self.read())
            }
            Input::Lost => self.stand_aside(),
            Input::Read { ticket, record } => self.found(ticket, record),
            Input::Written { ticket } => self.written(now, chance, ticket),
            Input::Refused { ticket, why } => self.refused(now, ticket, why),
            Input::Progressed { ticket } => self.progressed(ticket),
            Input::Ended { ticket, how } => self.ended(ticket, how),
            Input::Reassert => self.reassert(),
            Input::Recover => self.recover(),
            Input::Tick => self.tick(now),
        }
    }

    fn wanted(&mut self, desired: Desired) -> Option<Step> {
        self.desired = desired;
        match self.phase {
            Phase::Settled
            | Phase::Waiting {
                next: AfterWait::Retry,
                ..
            } => self.overruled(),
            // Whatever comes back is compared with what is wanted by then.
            _ => None,
        }
    }

    /// The write of another state, where what is wanted asks for one.
    fn overruled(&mut self) -> Option<Step> {
        match decide(self.record.as_ref(), self.desired) {
            Decision::Become(next) => Some(self.become_(next)),
            Decision::Stay => None,
        }
    }

    fn found(&mut self, ticket: Ticket, record: Option<MirrorPartitionState>) -> Option<Step> {
        if self.phase != Phase::Reading(ticket) {
            return None;
        }
        let written_by = record.as_ref().map(|record| record.leader_epoch);
        if written_by > self.leading {
            return self.stand_aside();
        }
        self.record = record;
        // Written again even where nothing changes: from then on no write lands any more that is
        // still on its way from whoever led before us, ourselves included.
        self.overruled().or_else(|| {
            let state = self.known().state;
            Some(self.become_(state))
        })
    }

    fn written(&mut self, now: Instant, chance: &mut Prng, ticket: Ticket) -> Option<Step> {
        let (record, ended) = match &mut self.phase {
            Phase::Writing {
                ticket: due,
                record,
                ended,
            } if *due == ticket => (record.clone(), ended.take()),
            _ => return None,
        };
        self.record = Some(record);
        self.phase = Phase::Settled;
        if let Some(step) = self.overruled() {
            return Some(step);
        }
        match (self.acting, ended) {
            (Some(ticket), Some(how)) => self.ended(ticket, how),
            (Some(_), None) => None,
            (None, _) => self.settle(now, chance),
        }
    }

    /// Does what the state on record asks for, which is where the partition is wanted for now.
    fn settle(&mut self, now: Instant, chance: &mut Prng) -> Option<Step> {
        self.phase = Phase::Settled;
        let record = self.known();
        if record.state == State::Failed {
            let Retry::Counted(failures) = record.retry else {
                return None;
            };
            if is_terminal(record, &self.options) {
                return None;
            }
            let until = now.after(self.options.wait(failures, chance));
            return Some(self.wait(until, AfterWait::Retry));
        }
        self.act()
    }

    fn act(&mut self) -> Option<Step> {
        let action = Action::of(self.known().state)?;
        let ticket = self.ticket();
        self.acting = Some(ticket);
        Some(Step::Act { ticket, action })
    }

    fn refused(&mut self, now: Instant, ticket: Ticket, why: WriteRefusal) -> Option<Step> {
        let is_write = match &self.phase {
            Phase::Reading(due) if *due == ticket => false,
            Phase::Writing { ticket: due, .. } if *due == ticket => true,
            _ => return None,
        };
        match why {
            WriteRefusal::NewerLeader => self.stand_aside(),
            // It may have been kept: only the record itself can tell.
            WriteRefusal::NewerState | WriteRefusal::Unknown if is_write => Some(self.read()),
            _ => {
                self.acting = None;
                Some(self.wait(now.after(READ_AGAIN), AfterWait::Read))
            }
        }
    }

    fn progressed(&mut self, ticket: Ticket) -> Option<Step> {
        if self.acting != Some(ticket) || self.phase != Phase::Settled {
            return None;
        }
        let known = self.known();
        let is_clear = known.error.is_none() && known.retry == Retry::NONE;
        if known.state != State::Mirroring || is_clear {
            return None;
        }
        let cleared = MirrorPartitionState {
            error: None,
            retry: Retry::NONE,
            ..known.clone()
        };
        Some(self.write(cleared))
    }

    fn ended(&mut self, ticket: Ticket, how: Ending) -> Option<Step> {
        if self.acting != Some(ticket) {
            return None;
        }
        if let Phase::Writing { ended, .. } = &mut self.phase {
            *ended = Some(how);
            return None;
        }
        let next = match (self.known().state, how) {
            (_, Ending::Failed { why, is_retryable }) => {
                return Some(self.fail(&why, is_retryable));
            }
            (State::LogAlignment | State::UleRecovery, Ending::Done) => State::Mirroring,
            (State::Pausing, Ending::Done) => State::Paused,
            (State::Stopping, Ending::Done) => State::Stopped,
            (State::Mirroring, Ending::SourceTruncated) => State::UleRecovery,
            (state, how) => panic!("what {state} asks for does not end so: {how:?}"),
        };
        Some(self.become_(next))
    }

    fn fail(&mut self, why: &str, is_retryable: bool) -> Step {
        let known = self.known();
        let failed = MirrorPartitionState {
            state: State::Failed,
            error: Some(clipped(why)),
            retry: self.options.counted(known.retry, is_retryable),
            previous: Some(known.state),
            ..known.clone()
        };
        self.acting = None;
        self.write(failed)
    }

    fn reassert(&mut self) -> Option<Step> {
        match self.phase {
            Phase::Settled if self.acting.is_some() => self.act(),
            _ => {
                // The action that goes on beside a write begins again after it.
                self.acting = None;
                None
            }
        }
    }

    fn recover(&mut self) -> Option<Step> {
        let is_still = matches!(
            self.phase,
            Phase::Settled
                | Phase::Waiting {
                    next: AfterWait::Retry,
                    ..
                }
        );
        let failed = self.record.clone().filter(|_| is_still)?;
        if failed.state != State::Failed {
            return None;
        }
        let recovered = MirrorPartitionState {
            state: resumed(failed.previous),
            error: None,
            retry: Retry::NONE,
            previous: Some(State::Failed),
            ..failed
        };
        Some(self.write(recovered))
    }

    fn tick(&mut self, now: Instant) -> Option<Step> {
        match self.phase {
            Phase::Waiting { until, .. } if now < until => Some(Step::Wait { until }),
            Phase::Waiting {
                next: AfterWait::Read,
                ..
            } => Some(self.read()),
            Phase::Waiting {
                next: AfterWait::Retry,
                ..
            } => {
                let target = resumed(self.known().previous);
                Some(self.become_(target))
            }
            _ => None,
        }
    }

    fn read(&mut self) -> Step {
        let ticket = self.ticket();
        self.record = None;
        self.acting = None;
        self.phase = Phase::Reading(ticket);
        Step::Read { ticket }
    }

    fn wait(&mut self, until: Instant, next: AfterWait) -> Step {
        self.phase = Phase::Waiting { until, next };
        Step::Wait { until }
    }

    fn stand_aside(&mut self) -> Option<Step> {
        self.leading = None;
        self.record = None;
        self.acting = None;
        self.phase = Phase::Aside;
        None
    }

    /// The write of `state`, be it the same again. Not for new failures.
    fn become_(&mut self, state: State) -> Step {
        let next = match &self.record {
            None => MirrorPartitionState::begun(state),
            Some(known) if known.state == state => known.clone(),
            Some(known) => {
                let forgets = forgets_errors(known, state);
                MirrorPartitionState {
                    state,
                    error: known.error.clone().filter(|_| !forgets),
                    retry: if forgets { Retry::NONE } else { known.retry },
                    previous: Some(known.state),
                    ..known.clone()
                }
            }
        };
        self.acting = None;
        self.write(next)
    }

    /// The write of `record`, in our leader epoch and the next state epoch. The action that is
    /// under way goes on.
    fn write(&mut self, mut record: MirrorPartitionState) -> Step {
        let from = self.record.as_ref().map(|known| known.state);
        let to = record.state;
        assert!(allowed(from, to), "{from:?} does not become {to}");
        let leading = self.leading.expect("only a leader's record is written");
        let over = match &self.record {
            Some(known) => known.state_epoch,
            None => StateEpoch::FIRST,
        };
        record.leader_epoch = record.leader_epoch.max(leading);
        record.state_epoch = over.next();
        let ticket = self.ticket();
        self.phase = Phase::Writing {
            ticket,
            record: record.clone(),
            ended: None,
        };
        Step::Write {
            ticket,
            record,
            over,
        }
    }

    fn known(&self) -> &MirrorPartitionState {
        let known = self.record.as_ref();
        known.expect("without a record every wish asks for a write first")
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }
}

/// Whether earlier errors are forgotten on the way from `known` to `next`: what was wanted has been
/// reached, or something else is tried, which has failures of its own.
fn forgets_errors(known: &MirrorPartitionState, next: State) -> bool {
    let is_stop_again = known.state == State::Failed && known.previous == Some(State::Stopping);
    match next {
        State::Paused | State::Stopped => true,
        State::Stopping => !is_stop_again,
        _ => false,
    }
}

/// As much of an error's words as is put on record.
fn clipped(why: &str) -> String {
    let mut words = why.to_owned();
    while words.len() > ERROR_BYTES_MAX {
        words.pop();
    }
    words
}

#[cfg(test)]
mod tests;
