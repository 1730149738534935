//! What a copy leaves in the vault about itself: checkpoints and state, now and then and at the
//! end.

use std::collections::BTreeMap;

use super::ledger::{Ledger, Line};
use crate::io::Disk;
use crate::model::{Offset, TopicId, TopicPartition};
use crate::shard::inbox::Phase;
use crate::vault::{
    Checkpoint, Ending, Found, Gap, Offsets, PartitionState, State, Vault, VaultFault,
};

/// The vault and what stood in it when it was opened.
pub(super) struct Books<D: Disk> {
    vault: Vault<D>,
    found: Found,
    written: Option<(State, [Offsets; 3])>,
}

/// What the vault knows of a partition.
pub(super) struct Known {
    /// The topic that its notes name; none where a log has no notes yet.
    pub(super) topic_id: Option<TopicId>,
    pub(super) log_start: Offset,
    pub(super) recovery_point: Offset,
    pub(super) gaps: Vec<(Offset, Offset)>,
}

impl<D: Disk> Books<D> {
    pub(super) fn new(vault: Vault<D>, found: Found) -> Books<D> {
        Books {
            vault,
            found,
            written: None,
        }
    }

    pub(super) fn vault(&self) -> &Vault<D> {
        &self.vault
    }

    pub(super) fn found(&self) -> &Found {
        &self.found
    }

    /// The topic that a partition's notes name, as they were written last.
    pub(super) fn noted(&self, id: &TopicPartition) -> Option<TopicId> {
        let written = self.written.as_ref().map(|(state, _)| state);
        let state = written.unwrap_or(&self.found.state);
        Some(state.partitions.get(id)?.topic_id)
    }

    /// What the vault knows of a partition; `None` where it has no log of it.
    pub(super) fn known(&self, id: &TopicPartition) -> Option<Known> {
        self.found.partitions.binary_search(id).ok()?;
        let offset = |offsets: &Offsets| offsets.get(id).copied();
        let start = offset(&self.found.log_starts).unwrap_or(Offset::ZERO);
        let state = self.found.state.partitions.get(id);
        let gaps = state.into_iter().flat_map(|state| &state.gaps);
        Some(Known {
            topic_id: state.map(|state| state.topic_id),
            log_start: start,
            recovery_point: offset(&self.found.recovery_points).unwrap_or(start),
            gaps: gaps.map(|gap| (gap.from, gap.to)).collect(),
        })
    }

    /// Writes what the ledger says, where it says anything new. Says which recovery points have
    /// moved by that.
    pub(super) fn write(&mut self, ledger: &Ledger) -> Result<Offsets, VaultFault> {
        let state = self.state(ledger);
        let offsets = self.offsets(ledger);
        let (state_before, offsets_before) = match &self.written {
            Some((state, offsets)) => (Some(state), Some(offsets)),
            None => (None, None),
        };
        let whichs = [
            Checkpoint::LogStart,
            Checkpoint::RecoveryPoint,
            Checkpoint::HighWatermark,
        ];
        // Notes may lag behind the checkpoints, and never say more than they do.
        let has_fallen = self.has_fallen(&state);
        if has_fallen {
            self.vault.save_state(&state)?;
        }
        for (nth, which) in whichs.into_iter().enumerate() {
            if offsets_before.map(|before| &before[nth]) != Some(&offsets[nth]) {
                self.vault.save(which, &offsets[nth])?;
            }
        }
        if state_before != Some(&state) && !has_fallen {
            self.vault.save_state(&state)?;
        }
        let [_, before, _] = offsets_before.cloned().unwrap_or_default();
        let moved = offsets[1].iter();
        let moved = moved.filter(|(id, point)| before.get(id) != Some(point));
        let moved = moved.map(|(id, point)| (id.clone(), *point)).collect();
        self.written = Some((state, offsets));
        Ok(moved)
    }

    /// Whether a partition ends before where the notes say that it does: it was cut.
    fn has_fallen(&self, state: &State) -> bool {
        let before = self.written.as_ref().map(|(before, _)| before);
        let before = before.unwrap_or(&self.found.state);
        let mut partitions = state.partitions.iter();
        partitions.any(|(id, now)| {
            let before = before.partitions.get(id);
            before.is_some_and(|before| now.position < before.position)
        })
    }

    /// Writes the books for the last time. The vault is marked as clean if every log in it is.
    pub(super) fn close(mut self, ledger: &Ledger, is_clean: bool) -> Result<(), VaultFault> {
        self.write(ledger)?;
        let is_open = |id| ledger.lines.get(id).is_some_and(|line: &Line| line.is_open);
        let others_are_clean = self.found.clean || self.found.partitions.iter().all(is_open);
        match is_clean && others_are_clean {
            true => self.vault.close(),
            false => Ok(()),
        }
    }

    fn state(&self, ledger: &Ledger) -> State {
        let mut partitions: BTreeMap<TopicPartition, PartitionState> =
            self.found.state.partitions.clone();
        for (id, line) in &ledger.lines {
            let ending = match &line.phase {
                Phase::Mirroring | Phase::Waiting(_) => Ending::Running,
                Phase::Done => Ending::CaughtUp,
                Phase::Stopped(why) => Ending::Stopped { why: why.clone() },
            };
            let gap = |(from, to): &(Offset, Offset)| Gap {
                from: *from,
                to: *to,
            };
            let state = PartitionState {
                topic_id: line.topic_id,
                position: line.durable,
                log_start: match line.is_open {
                    true => Some(line.log_start),
                    false => partitions
                        .get(id)
                        .filter(|before| before.topic_id == line.topic_id)
                        .and_then(|before| before.log_start),
                },
                gaps: line.gaps.iter().map(gap).collect(),
                ending,
            };
            partitions.insert(id.clone(), state);
        }
        State {
            source_cluster_id: self.found.state.source_cluster_id.clone(),
            directory_id: self.found.state.directory_id.clone(),
            producer_id_shift: self.found.state.producer_id_shift,
            partitions,
        }
    }

    /// Log starts, recovery points, high watermarks.
    fn offsets(&self, ledger: &Ledger) -> [Offsets; 3] {
        let found = &self.found;
        let mut starts = found.log_starts.clone();
        let mut points = found.recovery_points.clone();
        // What is known of a topic that had the name before says nothing of the present one.
        let is_another = |id, line: &Line| {
            let before = found.state.partitions.get(id);
            before.is_some_and(|before| before.topic_id != line.topic_id)
        };
        let lines = ledger.lines.iter();
        let lines = lines.filter(|(id, line)| line.is_open || is_another(*id, line));
        for (id, line) in lines {
            starts.insert(id.clone(), line.log_start);
            points.insert(id.clone(), line.durable);
        }
        // One place: a kill may have left the file of the one older than that of the other.
        let watermarks = points.clone();
        [starts, points, watermarks]
    }
}

#[cfg(test)]
mod tests;
