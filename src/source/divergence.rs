//! Where two logs last agreed, told from how far their leader epochs reach.

use crate::model::{LeaderEpoch, Offset};

/// How far one leader epoch reaches in one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// The offset after its last record: the next epoch's start, or the log's end.
    pub end: Offset,
}

/// Our own log's answer to the question that the source is asked: the largest epoch not above
/// the given one with its end, or `None` where every epoch we hold is larger.
pub type HeldEpochs<'a> = &'a dyn Fn(LeaderEpoch) -> Option<EpochEnd>;

/// What a source's answer to an epoch question means for our log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alignment {
    /// All we hold is the beginning of the source's log.
    Agreed,
    /// The logs agree up to `to` at most. A cut there is followed by the next question: what
    /// is left may still differ (KIP-101, KIP-279).
    Cut { to: Offset },
    /// The source named an epoch above the one asked for, which no broker does.
    Absurd,
}

/// Compares our log, which ends at `held_to` in the epoch `asked`, with the source's answer
/// about that epoch.
pub(super) fn align(
    held_to: Offset,
    asked: LeaderEpoch,
    source: EpochEnd,
    held: HeldEpochs<'_>,
) -> Alignment {
    if source.epoch > asked {
        return Alignment::Absurd;
    }
    let to = if source.epoch == asked {
        source.end
    } else {
        common_end(source, held)
    };
    if to >= held_to {
        Alignment::Agreed
    } else {
        Alignment::Cut { to }
    }
}

/// The source does not know any of our epochs from `unknown` on.
pub(super) fn cut_below(unknown: LeaderEpoch, held: HeldEpochs<'_>) -> Offset {
    let older = LeaderEpoch::new(unknown.value().saturating_sub(1));
    let known = older.is_some().then(|| held(older)).flatten();
    known.map_or(Offset::ZERO, |ours| ours.end)
}

fn common_end(source: EpochEnd, held: HeldEpochs<'_>) -> Offset {
    match held(source.epoch) {
        Some(ours) => ours.end.min(source.end),
        None => Offset::ZERO,
    }
}
