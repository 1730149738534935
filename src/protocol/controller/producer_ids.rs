//! AllocateProducerIds: a broker asks for its next block of ids.

use super::{ControllerCall, no_tags};
use crate::model::{BrokerEpoch, BrokerId};
use crate::protocol::ErrorCode;
use crate::protocol::primitive::{Reader, Unread, Writer};

/// Asks for a block. Nobody else is ever given the ids in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocateProducerIds {
    /// Our node id.
    pub broker: BrokerId,
    /// The epoch of our life.
    pub epoch: BrokerEpoch,
}

/// The block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdsAnswer {
    /// Why there is none.
    pub error: ErrorCode,
    /// Its first id.
    pub start: i64,
    /// How many ids it has.
    pub count: i32,
}

impl ControllerCall for AllocateProducerIds {
    const KEY: i16 = 67;
    const NAME: &'static str = "AllocateProducerIds";
    const VERSIONS: (i16, i16) = (0, 0);
    type Answer = ProducerIdsAnswer;

    fn write(&self, _version: i16, to: &mut Writer<'_>) {
        to.i32(self.broker.0);
        to.i64(self.epoch.value());
        to.no_tags();
    }

    fn read(_version: i16, from: &mut Reader<'_>) -> Result<ProducerIdsAnswer, Unread> {
        let _throttled_ms = from.i32()?;
        let answer = ProducerIdsAnswer {
            error: ErrorCode(from.i16()?),
            start: from.i64()?,
            count: from.i32()?,
        };
        no_tags(from)?;
        Ok(answer)
    }
}
