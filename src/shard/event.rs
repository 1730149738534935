//! Everything that can wake a shard, beside an order and a deadline.

use std::io;

use super::StreamOf;
use super::lanes::LinkNumber;
use crate::io::{Buf, World};
use crate::log::LogFault;
use crate::model::Offset;
use crate::session::{Channel, SessionFault};
use crate::source::{CursorId, LaneId};

/// Something that was waited for has happened.
pub(super) enum Event<W: World> {
    /// A connection was opened, or could not be.
    Opened {
        lane: LaneId,
        /// The channel and the version of Fetch to speak on it.
        outcome: Result<(Channel<StreamOf<W>>, i16), SessionFault>,
    },
    /// Bytes have arrived in a link's window; none at its end.
    Received {
        lane: LaneId,
        link: LinkNumber,
        window: Buf,
        outcome: io::Result<usize>,
    },
    /// A request could not be sent.
    Unsent {
        lane: LaneId,
        link: LinkNumber,
        error: io::Error,
    },
    /// Everything of a log up to `end` is durable, or nobody knows.
    Synced {
        cursor: CursorId,
        end: Offset,
        outcome: Result<(), LogFault>,
    },
    /// The batches of a log up to `end` are durable, or nobody knows.
    Sealed {
        cursor: CursorId,
        end: Offset,
        outcome: Result<(), LogFault>,
    },
}
