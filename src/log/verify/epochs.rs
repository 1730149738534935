//! The checkpoints of leader epochs against the batches.

use std::path::PathBuf;

use super::Audit;
use crate::io::Disk;
use crate::log::LogFault;
use crate::log::epochs::LeaderEpochs;
use crate::log::fact::BatchFact;
use crate::log::layout::{CUT, EPOCHS, LED_EPOCHS, SOURCE_EPOCHS};
use crate::log::limit::Limit;
use crate::model::{LeaderEpoch, Offset, Position};

impl<D: Disk> Audit<'_, D> {
    /// What the checkpoint says of the epochs of a log that is led, which has the source's beside
    /// it. An epoch begins there with its leader, and not with its first batch.
    pub(super) fn led(&self) -> Result<Option<LeaderEpochs>, LogFault> {
        if self.content(&self.dir.join(SOURCE_EPOCHS))?.is_none() {
            return Ok(None);
        }
        let text = self.content(&self.dir.join(EPOCHS))?.unwrap_or_default();
        Ok(LeaderEpochs::from_text(&String::from_utf8_lossy(&text)).ok())
    }

    /// A batch of a log that is led has the epoch that the checkpoint says of its offsets.
    pub(super) fn compare_led(&mut self, fact: &BatchFact, path: PathBuf, position: Position) {
        let Some(stored) = &self.led else {
            return;
        };
        let behind_first = fact.base.checked_add(1).unwrap_or(fact.base);
        let told = [stored.before(behind_first), stored.before(fact.next())];
        if told != [fact.epoch; 2] {
            let why = format!(
                "the batch has leader epoch {}, not {}, which {EPOCHS} tells",
                fact.epoch, told[0]
            );
            self.find(path, Some(position.value()), why);
        }
    }

    pub(super) fn compare_epochs(&mut self) -> Result<(), LogFault> {
        let path = self.dir.join(EPOCHS);
        let Some(bytes) = self.content(&path)? else {
            if self
                .verified
                .range
                .is_some_and(|(first, _)| self.is_settled(first))
            {
                self.find_missing(path);
            }
            return Ok(());
        };
        let text = String::from_utf8_lossy(&bytes);
        match LeaderEpochs::from_text(&text) {
            Err(fault) => self.find(path, None, fault.to_string()),
            // Each batch was compared.
            Ok(_) if self.led.is_some() => {}
            Ok(stored) if !self.agree(&stored) => {
                let why = "it does not agree with the epochs of the batches";
                self.find(path, None, why);
            }
            Ok(stored) if stored.to_text() != text => self.find(path, None, "its form is wrong"),
            Ok(_) => {}
        }
        Ok(())
    }

    /// Epochs that are settled are stored, and none that the batches do not tell of. Those behind
    /// may be stored already or not yet, and may begin where nothing was read.
    fn agree(&self, stored: &LeaderEpochs) -> bool {
        let end = self.verified.range.map_or(self.next, |(_, end)| end);
        let was_read = |(_, start): &(LeaderEpoch, Offset)| self.claims.is_clean || *start < end;
        let stored: Vec<_> = stored.iter().filter(was_read).collect();
        let told: Vec<_> = self.epochs.iter().collect();
        let settled = told.iter().filter(|(_, start)| self.is_settled(*start));
        told.starts_with(&stored) && stored.len() >= settled.count()
    }

    /// The source's epochs of a log that is led, and those in which we led it. Nothing here tells
    /// whether they are true.
    pub(super) fn compare_source_epochs(&mut self) -> Result<(), LogFault> {
        for name in [SOURCE_EPOCHS, LED_EPOCHS] {
            let path = self.dir.join(name);
            let Some(bytes) = self.content(&path)? else {
                continue;
            };
            let text = String::from_utf8_lossy(&bytes);
            match LeaderEpochs::from_text(&text) {
                Err(fault) => self.find(path, None, fault.to_string()),
                Ok(stored) if stored.to_text() != text => {
                    self.find(path, None, "its form is wrong");
                }
                Ok(_) => {}
            }
        }
        Ok(())
    }

    pub(super) fn compare_cut(&mut self) -> Result<(), LogFault> {
        let path = self.dir.join(CUT);
        if let Some(bytes) = self.content(&path)?
            && Limit::from_text(&String::from_utf8_lossy(&bytes)).is_none()
        {
            self.find(path, None, "it cannot be read");
        }
        Ok(())
    }
}
