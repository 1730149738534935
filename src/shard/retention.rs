//! Logs that lose their beginning: by their topic's settings, and with the source's log. A few at a
//! time, every now and then.

use std::time::Duration;

use super::Shard;
use crate::io::{Clock, World};
use crate::log::Expiry;
use crate::model::{Instant, Offset};
use crate::source::CursorId;

/// Logs that are looked at in one turn of the shard.
const LOGS_PER_TURN: usize = 16;

impl<W: World> Shard<W> {
    /// Looks at the next logs, once it is time.
    pub(super) fn expire(&mut self) {
        let now = self.now();
        if self.to_expire.is_empty() {
            if now < self.expire_at {
                return;
            }
            let interval = u64::from(self.options.retention_interval_ms);
            self.expire_at = now.after(Duration::from_millis(interval));
            let partitions = self.partitions.iter();
            let meant = partitions.filter(|(_, partition)| {
                let mirror = &partition.mirror;
                mirror.retention.is_some() || mirror.follows_log_start
            });
            self.to_expire = meant.map(|(cursor, _)| *cursor).collect();
        }
        for _ in 0..LOGS_PER_TURN {
            let Some(cursor) = self.to_expire.pop() else {
                return;
            };
            self.expire_one(cursor);
        }
    }

    pub(super) fn expire_deadline(&self) -> Option<Instant> {
        match self.to_expire.is_empty() {
            true => (!self.partitions.is_empty()).then_some(self.expire_at),
            false => Some(Instant::default()),
        }
    }

    fn expire_one(&mut self, cursor: CursorId) {
        let wall = self.world.clock().wall();
        let source_start = self.source.progress(cursor);
        let source_start = source_start.and_then(|progress| progress.source_start);
        let Some(partition) = self.partitions.get_mut(&cursor) else {
            return;
        };
        if !partition.has_sound_files() || partition.is_busy() {
            return;
        }
        let end = partition.end();
        let begins = source_start.filter(|_| partition.mirror.follows_log_start);
        let expiry = Expiry {
            retention: partition.mirror.retention.unwrap_or_default(),
            begins: begins.unwrap_or(Offset::ZERO),
            needed: match partition.log.stamp() {
                Some(_) => partition.replicated,
                None => end,
            },
        };
        let log = &mut partition.log;
        match partition.store.expire(log, &expiry, wall) {
            Ok(None) => {}
            Ok(Some(start)) => {
                tracing::debug!("{}: it begins at offset {start} now", partition.id);
                self.source.log_starts_at(cursor, start);
                self.moved.insert(cursor);
                self.announce(cursor);
            }
            Err(fault) => tracing::warn!("{}: old segments stay: {fault}", partition.id),
        }
    }
}
