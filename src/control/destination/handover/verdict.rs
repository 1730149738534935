//! What a new leader's answers say about its log.

use super::Drained;
use crate::model::{LeaderEpoch, Offset};
use crate::protocol::ErrorCode;
use crate::session::LogEnd;

/// How a new leader stands to the log that we had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It began where ours ended, and serves all of it.
    Same,
    /// It is not ready to say so.
    Again(ErrorCode),
    /// It began somewhere else.
    Differs(Offset),
}

/// Judges a leader by where its log ends for clients, and by where our epoch ended in it. The
/// latter is exact whatever clients write meanwhile: what comes after it is another epoch's.
pub(super) fn judge(
    drained: &Drained,
    end: Result<LogEnd, ErrorCode>,
    epoch_end: Option<Result<Option<(LeaderEpoch, Offset)>, ErrorCode>>,
) -> Verdict {
    let end = match end {
        Ok(end) => end,
        Err(code) => return Verdict::Again(code),
    };
    let began = match epoch_end {
        Some(Ok(Some((_, began)))) => began,
        // It has not begun an epoch of its own yet.
        Some(Ok(None)) | None => return Verdict::Again(ErrorCode::UNKNOWN_LEADER_EPOCH),
        Some(Err(code)) => return Verdict::Again(code),
    };
    if began != drained.log_end {
        return Verdict::Differs(began);
    }
    // Its followers have to catch up with it before clients may read all.
    if end.offset < drained.log_end || end.leader_epoch <= drained.leader_epoch {
        return Verdict::Again(ErrorCode::OFFSET_NOT_AVAILABLE);
    }
    Verdict::Same
}
