//! Whatever happens in the model, its rules hold; and each mistake breaks one.

use super::Fault;
use super::rules::Rule;
use super::search::search;

/// Searches as far as that, and finds nothing; says how many states there are.
fn holds(scope: (u8, u8)) -> usize {
    let found = search(scope, None);
    assert_eq!(found.broken, None, "{scope:?}");
    found.states
}

#[test]
fn the_rules_hold_whatever_happens() {
    // So many that something was tried.
    assert!(holds((3, 0)) > 100_000);
}

#[test]
fn the_rules_hold_whatever_goes_wrong_once() {
    assert!(holds((1, 1)) > 100_000);
}

#[test]
#[ignore = "minutes and gigabytes: run it after a change of what replicas decide"]
fn the_rules_hold_whatever_goes_wrong() {
    holds((3, 1));
    holds((1, 2));
}

#[test]
fn each_mistake_breaks_a_rule() {
    let found = [
        (Fault::MarkIgnoresAFollower, (1, 0), Rule::ReportedIsKept),
        (Fault::MarkIgnoresProposals, (1, 0), Rule::InSyncAgree),
        (Fault::MarkFalls, (1, 0), Rule::MarkNeverFalls),
        (Fault::CountsWhoDiverges, (1, 0), Rule::InSyncAgree),
        (Fault::CountsLivesThatAreOver, (1, 2), Rule::InSyncAgree),
        (Fault::JoinsFromAnywhere, (1, 0), Rule::InSyncAgree),
        (Fault::ShrinksToItself, (1, 0), Rule::NeverAlone),
        (Fault::HandsOverUndrained, (1, 0), Rule::HandOverIsWhole),
        (Fault::StampsAhead, (1, 0), Rule::StampsFollowEpochs),
        (Fault::WritesOnOthers, (2, 1), Rule::SourceFollowsSource),
        (Fault::CutsWhatItHasStamped, (1, 1), Rule::InSyncAgree),
        (Fault::CutsAndAwaitsEverybody, (1, 2), Rule::HandOverIsWhole),
    ];
    for (fault, scope, rule) in found {
        let found = search(scope, Some(fault));
        let (broken, way) = found.broken.expect("a mistake shows");
        assert_eq!(broken, rule, "{fault:?}: {way:?}");
    }
}
