//! Connections that bring next to nothing while an answer is due: given up, and opened again.

use std::time::Duration;

use super::Shard;
use crate::io::World;
use crate::model::Instant;
use crate::source::LaneId;

/// An answer that is on its way brings at least so many bytes within the time.
const BYTES_MIN: usize = 4096;
/// Within so many times the time it comes to its end, or to a batch that can be appended: ten
/// minutes, as the options are. The largest batch that they allow, 256 MiB, has to come at half a
/// MiB a second then, an ordinary one of 1 MiB at 2 KiB; what comes slower would never be enough.
const TIMES_PER_BATCH: u32 = 20;

/// How long an answer has been due, and what came of it in that time.
#[derive(Default)]
pub(super) struct Vigil {
    since: Option<Instant>,
    bytes: usize,
    /// Since when no batch of it was appended.
    fruitless_since: Option<Instant>,
}

/// Why a connection is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Silence {
    #[error("it has brought {bytes} bytes of a due answer within {within:?}")]
    Few { bytes: usize, within: Duration },
    #[error("it goes on with an answer that has brought no whole batch within {within:?}")]
    Fruitless { within: Duration },
}

impl Vigil {
    /// Looks at the clock while an answer is due.
    fn look(&mut self, now: Instant, patience: Duration) -> Option<Silence> {
        let fruitless_since = *self.fruitless_since.get_or_insert(now);
        let since = *self.since.get_or_insert(now);
        if now.since(since) < patience {
            return None;
        }
        self.since = Some(now);
        let bytes = std::mem::take(&mut self.bytes);
        if bytes < BYTES_MIN {
            let within = patience;
            return Some(Silence::Few { bytes, within });
        }
        let within = patience * TIMES_PER_BATCH;
        let is_fruitless = now.since(fruitless_since) >= within;
        is_fruitless.then_some(Silence::Fruitless { within })
    }
}

impl<W: World> Shard<W> {
    /// Bytes have arrived.
    pub(super) fn heard(&mut self, lane: LaneId, bytes: usize) {
        if let Some(link) = self.links.get_mut(&lane) {
            link.vigil.bytes += bytes;
        }
    }

    /// Batches that have arrived were appended.
    pub(super) fn bore_fruit(&mut self, lane: LaneId) {
        if let Some(link) = self.links.get_mut(&lane) {
            link.vigil.fruitless_since = None;
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
            silent.extend(link.vigil.look(now, patience).map(|why| (*lane, why)));
        }
        for (lane, why) in silent {
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

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// After how many looks, one each time that patience ends, an answer is given up which brings
    /// so many bytes each time, and a batch each so many times.
    fn given_up(bytes: usize, looks_per_batch: u32) -> Option<(u32, Silence)> {
        let mut vigil = Vigil::default();
        (0..100).find_map(|nth| {
            let now = Instant::default().after(PATIENCE * nth);
            let why = vigil.look(now, PATIENCE);
            vigil.bytes += bytes;
            if nth % looks_per_batch == 0 {
                vigil.fruitless_since = None;
            }
            why.map(|why| (nth, why))
        })
    }

    #[test]
    fn an_answer_is_given_up_that_brings_few_bytes_or_no_batch() {
        let within = PATIENCE;
        let few = Silence::Few {
            bytes: 4095,
            within,
        };
        assert_eq!(given_up(4095, 1), Some((1, few)));
        assert_eq!(given_up(4096, 1), None);
        assert_eq!(given_up(4096, 20), None);
        let within = 20 * PATIENCE;
        let fruitless = Silence::Fruitless { within };
        assert_eq!(given_up(4096, 1_000), Some((21, fruitless)));
        assert_eq!(given_up(1 << 30, 22), Some((21, fruitless)));
    }
}
