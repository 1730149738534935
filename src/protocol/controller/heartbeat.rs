//! BrokerHeartbeat: a broker says that it lives, and what it wants.

use super::{ControllerCall, no_tags};
use crate::model::{BrokerEpoch, BrokerId, Offset, Uuid};
use crate::protocol::ErrorCode;
use crate::protocol::primitive::{Reader, Unread, Writer, written};

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Our node id.
    pub broker: BrokerId,
    /// The epoch of this life.
    pub epoch: BrokerEpoch,
    /// The last offset of the metadata log that we have applied, if any.
    pub applied: Option<Offset>,
    /// We do not want to lead or be in sync.
    pub want_fence: bool,
    /// We want to leave, once others lead what we do.
    pub want_shut_down: bool,
    /// Directories of ours that take no new replicas. Controllers from 4.3 on listen to it.
    pub cordoned: Option<Vec<Uuid>>,
}

/// What the controller says to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    /// Why not.
    pub error: ErrorCode,
    /// We have applied our own registration.
    pub is_caught_up: bool,
    /// We are not to lead.
    pub is_fenced: bool,
    /// We may go.
    pub should_shut_down: bool,
}

impl ControllerCall for Heartbeat {
    const KEY: i16 = 63;
    const NAME: &'static str = "BrokerHeartbeat";
    const VERSIONS: (i16, i16) = (1, 2);
    type Answer = HeartbeatAnswer;

    fn write(&self, version: i16, to: &mut Writer<'_>) {
        to.i32(self.broker.0);
        to.i64(self.epoch.value());
        to.i64(self.applied.map_or(-1, Offset::value));
        to.bool(self.want_fence);
        to.bool(self.want_shut_down);
        let cordoned = self.cordoned.as_ref().filter(|_| version >= 2);
        let cordoned =
            cordoned.map(|ids| written(|to| to.list(ids.iter(), |to, id| to.bytes(&id.bytes()))));
        to.tags(&[(1, cordoned)]);
    }

    fn read(_version: i16, from: &mut Reader<'_>) -> Result<HeartbeatAnswer, Unread> {
        let _throttled_ms = from.i32()?;
        let answer = HeartbeatAnswer {
            error: ErrorCode(from.i16()?),
            is_caught_up: from.bool()?,
            is_fenced: from.bool()?,
            should_shut_down: from.bool()?,
        };
        no_tags(from)?;
        Ok(answer)
    }
}
