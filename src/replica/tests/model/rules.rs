//! What has to hold in every state, and at every step.

use super::Origin::{Others, Source, SourceAgain};
use super::steps::Step;
use super::{Log, US, World, has, members};

/// What a model of a leader must never break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// What was reported as mirrored is with everybody whom the controller may have lead, and with
    /// whoever does.
    ReportedIsKept,
    /// In an epoch the high watermark falls only where the log is cut.
    MarkNeverFalls,
    /// The high watermark is within the log.
    MarkIsWithinTheLog,
    /// Stamps rise along a log, and none is above the leader epoch of now.
    StampsFollowEpochs,
    /// Only who leads stamps, in its own epoch, and nothing below an epoch that is there already.
    OnlyItsLeaderStamps,
    /// Whoever is handed over to has our log.
    HandOverIsWhole,
    /// All in sync have the same below the high watermark.
    InSyncAgree,
    /// We never propose to be alone in sync.
    NeverAlone,
    /// Nothing of the source follows on what it does not have.
    SourceFollowsSource,
}

/// The first rule that `world` breaks, or that the step to it has broken.
pub(super) fn broken(before: &World, step: Step, world: &World) -> Option<Rule> {
    let checks: [(Rule, bool); 7] = [
        (Rule::MarkIsWithinTheLog, is_mark_within(world)),
        (Rule::StampsFollowEpochs, do_stamps_follow(world)),
        (Rule::NeverAlone, is_never_alone(before, world)),
        (
            Rule::MarkNeverFalls,
            has_mark_not_fallen(before, step, world),
        ),
        (Rule::InSyncAgree, do_in_sync_agree(world)),
        (Rule::ReportedIsKept, is_reported_kept(world)),
        (Rule::SourceFollowsSource, does_source_follow_source(world)),
    ];
    let broken = checks.iter().find(|(_, holds)| !holds);
    broken.map(|(rule, _)| *rule)
}

fn is_mark_within(world: &World) -> bool {
    let end = world.brokers[US].log.end;
    world.lead.is_none_or(|lead| lead.high_watermark <= end)
}

fn do_stamps_follow(world: &World) -> bool {
    let follows = |log: &Log| {
        let rises = log.batches().is_sorted_by_key(|batch| batch.epoch);
        rises && log.last_epoch() <= world.epoch
    };
    world.brokers.iter().all(|broker| follows(&broker.log))
}

fn is_never_alone(before: &World, world: &World) -> bool {
    let (Some(before), Some(lead)) = (before.lead, world.lead) else {
        return true;
    };
    lead.proposed == before.proposed || lead.proposed != 1
}

fn has_mark_not_fallen(before: &World, step: Step, world: &World) -> bool {
    let (Some(before), Some(lead)) = (before.lead, world.lead) else {
        return true;
    };
    let is_same = before.epoch == lead.epoch && step != Step::Cut;
    !is_same || lead.high_watermark >= before.high_watermark
}

/// Those in sync are so with the leader of now.
fn do_in_sync_agree(world: &World) -> bool {
    let Some(lead) = world.lead.filter(|lead| lead.epoch == world.epoch) else {
        return true;
    };
    let mut safe = world.brokers[US].log;
    safe.cut(lead.high_watermark);
    let has_all = |who: usize| world.brokers[who].log.begins_with(&safe);
    members(world.isr).all(has_all)
}

fn is_reported_kept(world: &World) -> bool {
    let has_all = |who: usize| world.brokers[who].log.begins_with(&world.reported);
    (0..world.brokers.len()).all(|who| !has(world.isr, who) || has_all(who))
}

fn does_source_follow_source(world: &World) -> bool {
    let is_well = |log: &Log| {
        let mut pairs = log.batches().windows(2);
        pairs.all(|pair| {
            !matches!(
                (pair[0].origin, pair[1].origin),
                (Others, Source | SourceAgain)
            ) && (pair[0].origin, pair[1].origin) != (SourceAgain, Source)
        })
    };
    world.brokers.iter().all(|broker| is_well(&broker.log))
}
