//! What the leading thread is told of the logs that we lead: where they end, once their bytes lie
//! in the files.

use std::time::Duration;

use super::Shard;
use crate::io::World;
use crate::leading::inbox::Moved;
use crate::model::Instant;
use crate::source::CursorId;

/// Where the queue has no room, it is tried again after this.
const RETRY: Duration = Duration::from_millis(1);

impl<W: World> Shard<W> {
    /// A log has grown.
    pub(super) fn announce(&mut self, cursor: CursorId) {
        self.announce_with(cursor, false);
    }

    /// A log has changed, its epochs too.
    pub(super) fn announce_all(&mut self, cursor: CursorId) {
        self.announce_with(cursor, true);
    }

    fn announce_with(&mut self, cursor: CursorId, with_epochs: bool) {
        if self.ties.moved.is_none() {
            return;
        }
        let partition = self.partitions.get(&cursor);
        let led = partition.and_then(|partition| Some((partition, partition.log.stamp()?)));
        let Some((partition, stamp)) = led else {
            return;
        };
        let marks = partition.log.watermarks();
        let epochs = with_epochs.then(|| partition.log.epochs().clone());
        if let Some(before) = self.untold.get_mut(&partition.id)
            && before.stamp == stamp
        {
            (before.log_start, before.log_end) = (marks.log_start, marks.log_end);
            before.epochs = epochs.or(before.epochs.take());
            return;
        }
        let moved = Moved {
            id: partition.id.clone(),
            stamp,
            log_start: marks.log_start,
            log_end: marks.log_end,
            epochs,
        };
        self.untold.insert(partition.id.clone(), moved);
    }

    /// Tells what has moved, if there is room for it; otherwise later, with what comes until then.
    pub(super) fn tell_leading(&mut self) {
        let Some(moved) = self.ties.moved.as_ref().filter(|_| !self.untold.is_empty()) else {
            return;
        };
        if let Ok(room) = moved.try_reserve() {
            let untold = std::mem::take(&mut self.untold);
            room.send(untold.into_values().collect());
        } else if moved.is_closed() {
            // Nobody leads any more.
            self.untold.clear();
        }
    }

    pub(super) fn untold_deadline(&self) -> Option<Instant> {
        (!self.untold.is_empty()).then(|| self.now().after(RETRY))
    }
}
