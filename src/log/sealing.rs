//! The end of the source's open transactions in a log that we lead: an ABORT marker for each, as
//! its coordinator would have it written (`EndTransactionMarker`).

use crate::io::Disk;
use crate::model::{Offset, ProducerEpoch, ProducerId, WallTime};
use crate::record::{Marker, Rest, check};

use super::append::Log;
use super::fault::LogFault;
use super::store::Store;

/// A transaction that no marker has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenTransaction {
    /// Whose.
    pub producer: ProducerId,
    /// In which life of the producer.
    pub epoch: ProducerEpoch,
    /// Its first offset.
    pub first: Offset,
    /// The largest epoch of a coordinator that is known to have ended one of its producer.
    pub coordinator_epoch: i32,
}

impl<D: Disk> Store<D> {
    /// Aborts every open transaction of the source in a log that we lead, in the order in which
    /// they began. What was aborted before a kill is not aborted again. Those that began behind
    /// what was mirrored are others': they have a coordinator, which may have committed them.
    ///
    /// # Errors
    /// The disk's. The markers that were written stay, and are the log's.
    pub fn seal(&mut self, log: &mut Log, now: WallTime) -> Result<Vec<OpenTransaction>, LogFault> {
        let stamp = log.stamp.expect("only who leads a log writes into it");
        let mirrored = log.mirrored();
        let mut open = log.producers.open();
        open.retain(|transaction| transaction.first < mirrored);
        if open.is_empty() {
            return Ok(open);
        }
        self.note_others(log)?;
        let mut bytes = Vec::new();
        let mut offset = log.watermarks().log_end;
        for transaction in &open {
            let marker = Marker {
                offset,
                leader_epoch: stamp,
                timestamp: now.0,
                producer_id: transaction.producer,
                producer_epoch: transaction.epoch,
                coordinator_epoch: transaction.coordinator_epoch.max(0),
                commits: false,
            };
            bytes.extend_from_slice(&marker.batch());
            offset = offset.checked_add(1).expect("a log is never so long");
        }
        let markers = check(&bytes, log.expects());
        assert!(markers.rest == Rest::Nothing, "our own markers are sound");
        self.append(log, now, markers.run)?;
        let left = log.producers.open();
        let is_theirs = |one: &OpenTransaction| one.first >= mirrored;
        assert!(left.iter().all(is_theirs), "a marker ends its transaction");
        Ok(open)
    }
}
