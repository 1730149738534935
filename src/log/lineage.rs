//! What of a log is the source's, and in which of its epochs, where its batches have the epochs of
//! a destination.
//!
//! `source-leader-epoch-checkpoint` says it, in the form of `leader-epoch-checkpoint`. The largest
//! epoch of all begins where the log goes on with what is not the source's: markers of our own, or
//! what another leader has taken in. The file says so before the first such batch is written, and
//! of each epoch of the source before the first batch of it is. So it may know more than the log
//! holds: after a loss of power, batches that are fetched back from a follower are what it says.
//! `led-leader-epoch-checkpoint` says of which epochs that is true: those in which we led.

use std::path::Path;

use crate::io::{Disk, Durability, replace};
use crate::model::{LeaderEpoch, Offset};
use crate::record::Run;

use super::append::Log;
use super::epochs::LeaderEpochs;
use super::fault::{LogFault, replacing};
use super::layout::{self, LED_EPOCHS, SOURCE_EPOCHS};
use super::store::Store;

/// Begins where the log is not the source's any more.
const OTHERS: LeaderEpoch = LeaderEpoch::MAX;

/// The source's epochs of a log, and where it ends being the source's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lineage(LeaderEpochs);

impl Lineage {
    /// Nothing of a log that begins at `start` is known to be the source's.
    fn unknown(start: Offset) -> Lineage {
        let mut epochs = LeaderEpochs::default();
        epochs.assign(OTHERS, start);
        Lineage(epochs)
    }

    /// Up to where a log that ends at `end` is the source's.
    fn mirrored(&self, end: Offset) -> Offset {
        self.others().map_or(end, |start| start.min(end))
    }

    /// Where the log goes on with what is not the source's.
    fn others(&self) -> Option<Offset> {
        let last = self.0.iter().last();
        let others = last.filter(|(epoch, _)| *epoch == OTHERS);
        others.map(|(_, start)| start)
    }

    /// The same, with what `run` brings, which is the source's.
    fn with(&self, run: &Run<'_>) -> Lineage {
        let mut epochs = self.0.clone();
        for batch in run.batches() {
            epochs.assign(batch.leader_epoch(), batch.base_offset());
        }
        Lineage(epochs)
    }

    /// The same, with what is not the source's from `start` on.
    fn with_others(&self, start: Offset) -> Lineage {
        let mut epochs = self.0.clone();
        epochs.cut(start);
        epochs.assign(OTHERS, start);
        Lineage(epochs)
    }

    fn write<D: Disk>(&self, disk: &D, dir: &Path) -> Result<(), LogFault> {
        let path = dir.join(SOURCE_EPOCHS);
        let text = self.0.to_text();
        replace(disk, &path, text.as_bytes(), Durability::PowerLoss).map_err(replacing(&path))
    }
}

impl Log {
    /// The epoch in which we lead it, where we do.
    #[must_use]
    pub fn stamp(&self) -> Option<LeaderEpoch> {
        self.stamp
    }

    /// Up to where the log is known to be the source's.
    #[must_use]
    pub fn mirrored(&self) -> Offset {
        let end = self.watermarks().log_end;
        let lineage = self.lineage.as_ref();
        lineage.map_or(end, |lineage| lineage.mirrored(end))
    }

    /// The source's epochs of what is the source's.
    #[must_use]
    pub fn source_epochs(&self) -> &LeaderEpochs {
        self.lineage
            .as_ref()
            .map_or(&self.epochs, |lineage| &lineage.0)
    }

    /// The source's epoch of the last batch that is the source's; [`LeaderEpoch::NONE`] where there
    /// is none.
    #[must_use]
    pub fn source_epoch(&self) -> LeaderEpoch {
        self.source_epochs()
            .before(self.mirrored().min(self.log_end))
    }
}

/// Where the file in `dir` says that what is not the source's begins.
///
/// # Errors
/// The disk's.
pub(super) fn others<D: Disk>(disk: &D, dir: &Path) -> Result<Option<Offset>, LogFault> {
    let bytes = layout::content(disk, &dir.join(SOURCE_EPOCHS))?.unwrap_or_default();
    let stored = LeaderEpochs::from_text(&String::from_utf8_lossy(&bytes)).ok();
    Ok(stored.and_then(|epochs| Lineage(epochs).others()))
}

/// Takes in what the files in `dir` say of `log`, if they are there.
///
/// # Errors
/// The disk's.
pub(super) fn load<D: Disk>(disk: &D, dir: &Path, log: &mut Log) -> Result<(), LogFault> {
    log.led = led_epochs(disk, dir)?;
    let path = dir.join(SOURCE_EPOCHS);
    let Some(bytes) = layout::content(disk, &path)? else {
        return Ok(());
    };
    let stored = LeaderEpochs::from_text(&String::from_utf8_lossy(&bytes));
    log.lineage = Some(match stored {
        Ok(epochs) => Lineage(epochs),
        Err(fault) => {
            let path = path.display();
            tracing::warn!("{path} is damaged: {fault}; nothing is known to be the source's");
            Lineage::unknown(log.log_start)
        }
    });
    match &log.lineage {
        Some(lineage) if lineage.0.to_text().as_bytes() != bytes => lineage.write(disk, dir),
        _ => Ok(()),
    }
}

fn led_epochs<D: Disk>(disk: &D, dir: &Path) -> Result<LeaderEpochs, LogFault> {
    let path = dir.join(LED_EPOCHS);
    let Some(bytes) = layout::content(disk, &path)? else {
        return Ok(LeaderEpochs::default());
    };
    let stored = LeaderEpochs::from_text(&String::from_utf8_lossy(&bytes));
    Ok(stored.unwrap_or_else(|fault| {
        let path = path.display();
        tracing::warn!("{path} is damaged: {fault}; what others give back is not taken for ours");
        LeaderEpochs::default()
    }))
}

impl<D: Disk> Store<D> {
    /// From now on we lead the log in `epoch`, which begins at its end: with the return of this,
    /// durably. `source_epochs` are what the caller knows of the source's epochs of what it holds;
    /// otherwise the file beside it says them.
    ///
    /// # Errors
    /// The disk's, or the log is or was led in a later epoch.
    pub fn lead(
        &mut self,
        log: &mut Log,
        epoch: LeaderEpoch,
        source_epochs: Option<LeaderEpochs>,
    ) -> Result<(), LogFault> {
        let last = log.stamp.unwrap_or(log.last_epoch());
        if epoch < last {
            let dir = self.dir.clone();
            return Err(LogFault::Led { dir, epoch, last });
        }
        let lineage = match (source_epochs, &log.lineage) {
            _ if log.is_empty => Lineage::default(),
            (Some(mut epochs), _) => {
                epochs.cut(log.log_end);
                Lineage(epochs)
            }
            (None, Some(lineage)) => {
                let mut epochs = lineage.0.clone();
                epochs.cut(log.log_end);
                Lineage(epochs)
            }
            (None, None) => Lineage::unknown(log.log_start),
        };
        self.write_lineage(log, lineage)?;
        self.write_led(log, epoch)?;
        let mut epochs = log.epochs.clone();
        // An epoch that is known already was begun before, and written then.
        if epochs.assign(epoch, log.watermarks().log_end) {
            self.write_epochs(&epochs)?;
            log.epochs = epochs;
            log.epochs_changed = false;
        }
        log.stamp = Some(epoch);
        Ok(())
    }

    /// The source's epochs of `run`, which is about to be stamped and appended.
    ///
    /// # Errors
    /// The disk's. Then nothing of it may be appended.
    pub fn note_source_epochs(&mut self, log: &mut Log, run: &Run<'_>) -> Result<(), LogFault> {
        let lineage = log.lineage.as_ref().expect("a log that is led has one");
        assert!(
            log.mirrored() == log.watermarks().log_end,
            "what is the source's would follow on what is not"
        );
        let Some(first) = run.batches().next() else {
            return Ok(());
        };
        let latest = lineage.0.latest();
        if (first.leader_epoch(), run.last_epoch()) == (latest, latest) {
            return Ok(());
        }
        let lineage = lineage.with(run);
        self.write_lineage(log, lineage)
    }

    /// What another leader gives us is the source's where we had led when it was written, and as
    /// far as was noted then.
    pub(super) fn note_origin(&mut self, log: &mut Log, run: &Run<'_>) -> Result<(), LogFault> {
        let is_ours = |epoch| log.led.iter().any(|(led, _)| led == epoch);
        let mut batches = run.batches();
        let theirs = batches.find(|batch| !is_ours(batch.leader_epoch()));
        match (theirs.map(|batch| batch.base_offset()), &log.lineage) {
            (Some(start), Some(lineage)) if lineage.mirrored(start) == start => {
                let lineage = lineage.with_others(start);
                self.write_lineage(log, lineage)
            }
            _ => Ok(()),
        }
    }

    fn write_led(&mut self, log: &mut Log, epoch: LeaderEpoch) -> Result<(), LogFault> {
        let end = log.watermarks().log_end;
        let mut led = log.led.clone();
        led.cut(end);
        led.assign(epoch, end);
        if led != log.led {
            let path = self.dir.join(LED_EPOCHS);
            let text = led.to_text();
            replace(&self.disk, &path, text.as_bytes(), Durability::PowerLoss)
                .map_err(replacing(&path))?;
            log.led = led;
        }
        Ok(())
    }

    /// What is appended next is not the source's.
    pub(super) fn note_others(&mut self, log: &mut Log) -> Result<(), LogFault> {
        match &log.lineage {
            Some(lineage) if lineage.0.latest() != OTHERS => {
                let lineage = lineage.with_others(log.log_end.max(log.log_start));
                self.write_lineage(log, lineage)
            }
            _ => Ok(()),
        }
    }

    fn write_lineage(&mut self, log: &mut Log, lineage: Lineage) -> Result<(), LogFault> {
        if log.lineage.as_ref() != Some(&lineage) {
            lineage.write(&self.disk, &self.dir)?;
        }
        log.digest.turns_at(lineage.others());
        log.lineage = Some(lineage);
        Ok(())
    }
}
