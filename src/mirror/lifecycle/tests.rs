//! The drawing as a matrix written by hand, and every row of the decision.

use super::*;

fn record(state: State, previous: Option<State>) -> MirrorPartitionState {
    MirrorPartitionState {
        previous,
        ..MirrorPartitionState::begun(state)
    }
}

#[test]
fn the_drawing_is_the_matrix() {
    // Columns as the rows below none: LA EF UR MI PG PD SG SD FA.
    let matrix = [
        (None, [1, 0, 0, 0, 0, 0, 0, 0, 1]),
        (Some(State::LogAlignment), [1, 0, 0, 1, 0, 0, 1, 0, 1]),
        (Some(State::EpochFencing), [0, 1, 0, 1, 0, 0, 1, 0, 1]),
        (Some(State::UleRecovery), [0, 0, 1, 1, 0, 0, 1, 0, 1]),
        (Some(State::Mirroring), [0, 1, 1, 1, 1, 0, 1, 0, 1]),
        (Some(State::Pausing), [0, 0, 0, 0, 1, 1, 1, 0, 1]),
        (Some(State::Paused), [0, 0, 0, 1, 0, 1, 1, 0, 1]),
        (Some(State::Stopping), [0, 0, 0, 0, 0, 0, 1, 1, 1]),
        (Some(State::Stopped), [1, 0, 0, 0, 0, 0, 0, 1, 1]),
        (Some(State::Failed), [1, 0, 0, 1, 0, 0, 1, 0, 1]),
    ];
    for (from, row) in matrix {
        let found = State::ALL.map(|to| u8::from(allowed(from, to)));
        assert_eq!(found, row, "from {from:?}");
    }
}

#[test]
fn numbers_and_names_are_those_of_the_kip() {
    let told = State::ALL.map(|state| (state.id(), state.name()));
    let expected = [
        (0, "LOG_ALIGNMENT"),
        (1, "EPOCH_FENCING"),
        (2, "ULE_RECOVERY"),
        (3, "MIRRORING"),
        (4, "PAUSING"),
        (5, "PAUSED"),
        (6, "STOPPING"),
        (7, "STOPPED"),
        (8, "FAILED"),
    ];
    assert_eq!(told, expected);
    for id in i8::MIN..=i8::MAX {
        let known = (0..=8).contains(&id);
        assert_eq!(State::from_id(id).map(State::id), known.then_some(id));
    }
}

#[test]
fn every_row_of_the_decision() {
    use State::{
        EpochFencing, LogAlignment, Mirroring, Paused, Pausing, Stopped, Stopping, UleRecovery,
    };
    // What becomes of a state where MIRRORING, PAUSED and STOPPED are wanted; none: it stays.
    let table = [
        (None, [Some(LogAlignment); 3]),
        (Some(LogAlignment), [None, None, Some(Stopping)]),
        (
            Some(EpochFencing),
            [Some(Mirroring), Some(Mirroring), Some(Stopping)],
        ),
        (Some(UleRecovery), [None, None, Some(Stopping)]),
        (Some(Mirroring), [None, Some(Pausing), Some(Stopping)]),
        (Some(Pausing), [None, None, Some(Stopping)]),
        (Some(Paused), [Some(Mirroring), None, Some(Stopping)]),
        (Some(Stopping), [None, None, None]),
        (
            Some(Stopped),
            [Some(LogAlignment), Some(LogAlignment), None],
        ),
    ];
    for (state, row) in table {
        let record = state.map(|state| record(state, None));
        for (desired, next) in Desired::ALL.into_iter().zip(row) {
            let expected = next.map_or(Decision::Stay, Decision::Become);
            let found = decide(record.as_ref(), desired);
            assert_eq!(found, expected, "{state:?}, {desired} wanted");
        }
    }
}

#[test]
fn a_failure_waits_but_where_a_stop_is_wanted_that_was_not_tried() {
    let previous = State::ALL.map(Some).into_iter().chain([None]);
    for previous in previous {
        let failed = record(State::Failed, previous);
        for desired in [Desired::Mirroring, Desired::Paused] {
            assert_eq!(decide(Some(&failed), desired), Decision::Stay);
        }
        let expected = match previous {
            Some(State::Stopping) => Decision::Stay,
            _ => Decision::Become(State::Stopping),
        };
        assert_eq!(decide(Some(&failed), Desired::Stopped), expected);
    }
}

#[test]
fn decisions_and_retries_follow_the_arrows() {
    let previous: Vec<_> = State::ALL.map(Some).into_iter().chain([None]).collect();
    for desired in Desired::ALL {
        for state in State::ALL {
            for &previous in &previous {
                let record = record(state, previous);
                if let Decision::Become(next) = decide(Some(&record), desired) {
                    assert!(allowed(Some(state), next), "{state} to {next}");
                    assert_ne!(state, next);
                }
            }
        }
        let Decision::Become(next) = decide(None, desired) else {
            panic!("nothing stays nothing");
        };
        assert!(allowed(None, next));
    }
    for previous in previous {
        assert!(allowed(Some(State::Failed), resumed(previous)));
    }
}

#[test]
fn a_failed_recovery_does_not_mirror_before_the_replicas_agree() {
    assert_eq!(resumed(Some(State::UleRecovery)), State::LogAlignment);
    assert_eq!(resumed(Some(State::Stopping)), State::Stopping);
    assert_eq!(resumed(Some(State::Paused)), State::Mirroring);
}
