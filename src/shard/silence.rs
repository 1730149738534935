//! Connections that bring next to nothing while an answer is due: given up, and opened again.

use std::time::Duration;

use super::Shard;
use crate::io::World;
use crate::model::Instant;
use crate::source::LaneId;

/// An answer that is on its way brings at least so many bytes within the time.
const BYTES_MIN: usize = 4096;

/// How long an answer has been due, and what came of it in that time.
#[derive(Default)]
pub(super) struct Vigil {
    since: Option<Instant>,
    bytes: usize,
}

impl<W: World> Shard<W> {
    /// Bytes have arrived.
    pub(super) fn heard(&mut self, lane: LaneId, bytes: usize) {
        if let Some(link) = self.links.get_mut(&lane) {
            link.vigil.bytes += bytes;
        }
    }

    /// Gives up the connections on which an answer is due for too long.
    pub(super) fn lose_the_silent(&mut self) {
        let (now, patience) = (self.now(), self.answer_patience());
        let mut silent = Vec::new();
        for (lane, link) in &mut self.links {
            let is_idle = link.unanswered.is_empty() && link.reader.is_none();
            if is_idle {
                link.vigil = Vigil::default();
                continue;
            }
            let since = *link.vigil.since.get_or_insert(now);
            if now.since(since) < patience {
                continue;
            }
            if link.vigil.bytes < BYTES_MIN {
                silent.push((*lane, link.vigil.bytes));
            }
            link.vigil = Vigil::default();
        }
        for (lane, bytes) in silent {
            let why = format!("it has brought {bytes} bytes of a due answer within {patience:?}");
            self.lose(lane, &why);
        }
    }

    /// When the next connection may have been silent for too long.
    pub(super) fn silence_deadline(&self) -> Option<Instant> {
        let watched = self.links.values().filter_map(|link| link.vigil.since);
        let oldest = watched.min()?;
        Some(oldest.after(self.answer_patience()))
    }

    /// The broker may hold a fetch back; what follows is its own slowness.
    fn answer_patience(&self) -> Duration {
        let held_back = u64::from(self.options.source.fetch_wait_ms);
        Duration::from_millis(held_back + u64::from(self.options.answer_timeout_ms))
    }
}
