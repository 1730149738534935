//! Stories of one partition, told step by step; any order of events is the simulation's.

mod simulation;

use super::*;

const EPOCH: LeaderEpoch = LeaderEpoch::NONE;
const OPTIONS: RetryOptions = RetryOptions {
    initial_backoff_ms: 100,
    max_backoff_ms: 1_000,
    max_attempts: 3,
};

/// A partition, and records that are kept as soon as they are asked for.
struct Story {
    partition: Partition,
    chance: Prng,
    now: Instant,
    kept: Option<MirrorPartitionState>,
    /// Every state that was written.
    written: Vec<State>,
    /// Every action that was asked for.
    acted: Vec<Action>,
    /// What is due: an action, a wait, or nothing.
    due: Option<Step>,
}

impl Story {
    /// Begins with what is kept, and goes on until something else than a record is asked for.
    fn begin(kept: Option<MirrorPartitionState>, desired: Desired) -> Story {
        let mut story = Story {
            partition: Partition::new(OPTIONS, desired),
            chance: Prng::new(1),
            now: Instant::default(),
            kept,
            written: Vec::new(),
            acted: Vec::new(),
            due: None,
        };
        story.tell(Input::Leads(EPOCH));
        story
    }

    fn step(&mut self, input: Input) -> Option<Step> {
        self.partition.step(self.now, &mut self.chance, input)
    }

    fn tell(&mut self, input: Input) {
        let mut step = self.step(input);
        loop {
            let answer = match step {
                Some(Step::Read { ticket }) => Input::Read {
                    ticket,
                    record: self.kept.clone(),
                },
                Some(Step::Write { ticket, record, .. }) => {
                    self.written.push(record.state);
                    self.kept = Some(record);
                    self.due = None;
                    Input::Written { ticket }
                }
                other => break self.due = other.or(self.due.take()),
            };
            step = self.step(answer);
        }
        if let Some(Step::Act { action, .. }) = self.due {
            self.acted.push(action);
        }
    }

    fn end(&mut self, how: Ending) {
        let Some(Step::Act { ticket, .. }) = self.due.take() else {
            panic!("no action is under way");
        };
        self.tell(Input::Ended { ticket, how });
    }

    fn fail(&mut self, is_retryable: bool) {
        let why = "no route".to_owned();
        self.end(Ending::Failed { why, is_retryable });
    }

    fn wait(&mut self) {
        let Some(Step::Wait { until }) = self.due.take() else {
            panic!("nobody waits");
        };
        assert!(until > self.now);
        self.now = until;
        self.tell(Input::Tick);
    }

    fn state(&self) -> Option<State> {
        self.kept.as_ref().map(|kept| kept.state)
    }

    fn retry(&self) -> Retry {
        self.kept.as_ref().expect("written").retry
    }
}

fn record(state: State, previous: Option<State>, retry: Retry) -> MirrorPartitionState {
    MirrorPartitionState {
        previous,
        retry,
        state_epoch: StateEpoch::from_wire(7).expect("positive"),
        ..MirrorPartitionState::begun(state)
    }
}

#[test]
fn a_life_in_order() {
    let mut story = Story::begin(None, Desired::Mirroring);
    story.end(Ending::Done);
    story.end(Ending::SourceTruncated);
    story.end(Ending::Done);
    story.tell(Input::Wanted(Desired::Paused));
    story.end(Ending::Done);
    assert_eq!(story.state(), Some(State::Paused));
    story.tell(Input::Wanted(Desired::Mirroring));
    story.tell(Input::Wanted(Desired::Stopped));
    assert!(!story.partition.is_writable());
    story.end(Ending::Done);
    assert!(story.partition.is_writable());
    story.tell(Input::Wanted(Desired::Mirroring));
    assert!(!story.partition.is_writable());
    use State::{LogAlignment, Mirroring, Paused, Pausing, Stopped, Stopping, UleRecovery};
    assert_eq!(
        story.written,
        [
            LogAlignment,
            Mirroring,
            UleRecovery,
            Mirroring,
            Pausing,
            Paused,
            Mirroring,
            Stopping,
            Stopped,
            LogAlignment
        ]
    );
    let epochs = story.kept.expect("written").state_epoch;
    assert_eq!(epochs.value(), 10);
    use Action::{Align, AwaitReplicas, Cease, Mirror, Stop};
    assert_eq!(
        story.acted,
        [
            Align,
            Mirror,
            AwaitReplicas,
            Mirror,
            Cease,
            Mirror,
            Stop,
            Align
        ]
    );
}

#[test]
fn nothing_is_done_before_the_record_is_kept() {
    let mut partition = Partition::new(OPTIONS, Desired::Mirroring);
    let mut chance = Prng::new(1);
    let mut step = |input| partition.step(Instant::default(), &mut chance, input);
    let Some(Step::Read { ticket }) = step(Input::Leads(EPOCH)) else {
        panic!("the record is read first");
    };
    let record = None;
    let Some(Step::Write { ticket, .. }) = step(Input::Read { ticket, record }) else {
        panic!("then it is written");
    };
    assert_eq!(step(Input::Tick), None);
    assert_eq!(step(Input::Wanted(Desired::Paused)), None);
    assert_eq!(step(Input::Reassert), None);
    let aligned = step(Input::Written { ticket });
    let action = Action::Align;
    assert!(matches!(aligned, Some(Step::Act { action: found, .. }) if found == action));
    assert_eq!(step(Input::Written { ticket }), None, "told twice");
}

#[test]
fn a_write_of_which_nobody_knows_is_read_back() {
    for was_kept in [false, true] {
        let mut partition = Partition::new(OPTIONS, Desired::Mirroring);
        let mut chance = Prng::new(1);
        let mut step = |input| partition.step(Instant::default(), &mut chance, input);
        let Some(Step::Read { ticket }) = step(Input::Leads(EPOCH)) else {
            panic!("read");
        };
        let record = None;
        let Some(Step::Write { ticket, record, .. }) = step(Input::Read { ticket, record }) else {
            panic!("written");
        };
        let why = WriteRefusal::Unknown;
        let Some(Step::Read { ticket }) = step(Input::Refused { ticket, why }) else {
            panic!("read again");
        };
        let record = was_kept.then_some(record);
        let again = step(Input::Read { ticket, record });
        let Some(Step::Write { record, over, .. }) = again else {
            panic!("written again, not acted upon");
        };
        assert_eq!(record.state, State::LogAlignment);
        assert_eq!(over.value(), i32::from(was_kept));
    }
}

#[test]
fn a_newer_leader_is_left_alone() {
    let mut story = Story::begin(None, Desired::Mirroring);
    story.kept.as_mut().expect("written").leader_epoch = LeaderEpoch::new(4);
    let step = story.step(Input::Leads(LeaderEpoch::new(3)));
    let Some(Step::Read { ticket }) = step else {
        panic!("read");
    };
    let record = story.kept.clone();
    assert_eq!(story.step(Input::Read { ticket, record }), None);
    assert_eq!(story.partition.record(), None);
    assert_eq!(story.step(Input::Wanted(Desired::Stopped)), None);
    story.tell(Input::Leads(LeaderEpoch::new(5)));
    let kept = story.kept.clone().expect("written");
    assert_eq!(kept.state, State::Stopping);
    assert_eq!(kept.leader_epoch.value(), 5);
}

#[test]
fn failures_are_tried_again_until_there_were_too_many() {
    let mut story = Story::begin(None, Desired::Mirroring);
    story.end(Ending::Done);
    for failures in 1..=3 {
        story.fail(true);
        assert_eq!(story.state(), Some(State::Failed));
        assert_eq!(story.retry(), Retry::Counted(failures));
        if failures < 3 {
            story.wait();
            assert_eq!(story.state(), Some(State::Mirroring));
            assert_eq!(story.retry(), Retry::Counted(failures), "still counted");
        }
    }
    assert_eq!(story.due, None);
    story.tell(Input::Tick);
    story.tell(Input::Wanted(Desired::Paused));
    story.tell(Input::Wanted(Desired::Mirroring));
    story.tell(Input::Leads(EPOCH));
    assert_eq!(story.state(), Some(State::Failed));
    story.tell(Input::Recover);
    assert_eq!(story.state(), Some(State::Mirroring));
    assert_eq!(story.retry(), Retry::NONE);
    story.fail(false);
    assert_eq!((story.retry(), &story.due), (Retry::Never, &None));
    story.tell(Input::Recover);
    assert_eq!(story.acted.last(), Some(&Action::Mirror));
}

#[test]
fn records_that_arrive_clear_the_error_and_fetching_goes_on() {
    let mut story = Story::begin(None, Desired::Mirroring);
    story.end(Ending::Done);
    story.fail(true);
    story.wait();
    let Some(Step::Act { ticket, .. }) = story.due else {
        panic!("fetching");
    };
    let Some(Step::Write { ticket: write, .. }) = story.step(Input::Progressed { ticket }) else {
        panic!("cleared on record");
    };
    let why = "gone".to_owned();
    let is_retryable = true;
    let how = Ending::Failed { why, is_retryable };
    assert_eq!(
        story.step(Input::Ended { ticket, how }),
        None,
        "kept in mind"
    );
    let Some(Step::Write { record, .. }) = story.step(Input::Written { ticket: write }) else {
        panic!("the failure is next");
    };
    assert_eq!(
        (record.state, record.retry),
        (State::Failed, Retry::Counted(1))
    );
    assert_eq!(record.error.as_deref(), Some("gone"));
}

#[test]
fn stopped_is_reached_from_every_state() {
    let exhausted = [Retry::NONE, Retry::Counted(3), Retry::Never];
    for state in State::ALL.map(Some).into_iter().chain([None]) {
        for retry in exhausted {
            let kept = state.map(|state| record(state, Some(State::Mirroring), retry));
            let mut story = Story::begin(kept, Desired::Stopped);
            if state != Some(State::Stopped) {
                assert_eq!(story.acted, [Action::Stop], "from {state:?}");
                story.end(Ending::Done);
            }
            assert!(story.partition.is_writable(), "from {state:?}");
        }
    }
}

#[test]
fn a_stop_that_failed_for_good_waits_for_an_operator() {
    let mut story = Story::begin(None, Desired::Stopped);
    assert_eq!(story.written, [State::LogAlignment, State::Stopping]);
    story.fail(false);
    story.tell(Input::Wanted(Desired::Stopped));
    story.tell(Input::Leads(EPOCH));
    assert_eq!(story.state(), Some(State::Failed));
    story.tell(Input::Recover);
    story.end(Ending::Done);
    assert!(story.partition.is_writable());
}

#[test]
fn a_failed_partition_that_is_to_pause_fetches_no_more() {
    let failed = record(State::Failed, Some(State::Pausing), Retry::Counted(1));
    let mut story = Story::begin(Some(failed), Desired::Paused);
    story.wait();
    let again = [State::Failed, State::Mirroring, State::Pausing];
    assert_eq!(story.written, again);
    assert_eq!(story.acted, [Action::Cease]);
}

#[test]
fn a_new_leader_writes_before_it_goes_on() {
    for (state, action) in [
        (State::Mirroring, Some(Action::Mirror)),
        (State::Stopping, Some(Action::Stop)),
        (State::Paused, None),
    ] {
        let desired = match state {
            State::Mirroring => Desired::Mirroring,
            State::Stopping => Desired::Stopped,
            _ => Desired::Paused,
        };
        let kept = record(state, None, Retry::NONE);
        let story = Story::begin(Some(kept), desired);
        assert_eq!(story.acted, Vec::from_iter(action));
        assert_eq!(story.written, [state]);
    }
}

#[test]
fn another_way_to_the_source_begins_the_action_again() {
    let mut story = Story::begin(None, Desired::Mirroring);
    let Some(Step::Act { ticket: old, .. }) = story.due else {
        panic!("aligning");
    };
    story.tell(Input::Reassert);
    assert_eq!(story.acted, [Action::Align, Action::Align]);
    let how = Ending::Done;
    assert_eq!(story.step(Input::Ended { ticket: old, how }), None);
    story.end(Ending::Done);
    assert_eq!(story.state(), Some(State::Mirroring));
}

#[test]
fn what_another_program_left_in_epoch_fencing_goes_on() {
    let kept = record(State::EpochFencing, Some(State::Mirroring), Retry::NONE);
    let story = Story::begin(Some(kept), Desired::Mirroring);
    assert_eq!(story.written, [State::Mirroring]);
}

#[test]
fn long_words_of_an_error_are_cut_between_letters() {
    let long = format!("x{}", "é".repeat(ERROR_BYTES_MAX));
    let clipped = clipped(&long);
    assert_eq!(clipped.len(), ERROR_BYTES_MAX - 1);
    assert!(long.starts_with(&clipped));
    assert_eq!(super::clipped("short"), "short");
}
