//! Proof of equality: a vault against itself, and against the source that it was copied from; a
//! source, our log and all replicas of a destination against each other.

mod compare;
mod source;
pub mod twins;

use std::path::Path;

use crate::io::Disk;
use crate::log::{self, Claims, LogFault, Verified};
use crate::model::{Offset, ProducerIdShift, TopicId, TopicPartition};
use crate::session::SessionFault;
use crate::vault::{Found, Vault, VaultFault};

pub use compare::{Comparison, Difference, Lack, Lacking};
pub use source::{Asking, compare};

/// Why nothing could be verified.
#[derive(Debug, thiserror::Error)]
pub enum AuditFault {
    /// The vault cannot be read.
    #[error("{0}")]
    Vault(#[from] VaultFault),
    /// A partition's files cannot be read.
    #[error("{0}")]
    Log(#[from] LogFault),
    /// The source cannot be asked.
    #[error("the source cannot be asked: {}; {}", .0, .0.next_step())]
    Source(#[from] SessionFault),
    /// One of two clusters cannot be asked.
    #[error("the {what} cannot be asked: {fault}; {}", .fault.next_step())]
    Cluster {
        /// Which one.
        what: &'static str,
        /// Why.
        fault: SessionFault,
    },
    /// The logs in a directory are of neither cluster.
    #[error(
        "the logs in {} are of cluster {held}, and not of {}: give --vault the data directory of \
         a node of this destination",
        dir.display(), found.join(" or ")
    )]
    OtherLogs {
        /// The directory.
        dir: std::path::PathBuf,
        /// Whose they are.
        held: String,
        /// The clusters that were asked.
        found: Vec<String>,
    },
    /// The vault is of another cluster.
    #[error(
        "the vault is a copy of cluster {held}, but {asked} answers as cluster {found}: \
         give --from a broker of the cluster that it was copied from"
    )]
    OtherSource {
        /// The cluster that was copied.
        held: String,
        /// Whom we asked.
        asked: String,
        /// The cluster that answers.
        found: String,
    },
}

/// What a vault says of itself, and where it lies.
pub struct Subject<D: Disk> {
    disk: D,
    dir: std::path::PathBuf,
    found: Found,
}

impl<D: Disk> Subject<D> {
    /// Looks at the vault in `dir`, without locking it.
    ///
    /// # Errors
    /// Why it is no sound vault.
    pub fn look(disk: D, dir: &Path) -> Result<Subject<D>, AuditFault> {
        let found = Vault::look(&disk, dir)?;
        Ok(Subject {
            disk,
            dir: dir.to_owned(),
            found,
        })
    }

    /// Its partitions, sorted.
    #[must_use]
    pub fn partitions(&self) -> &[TopicPartition] {
        &self.found.partitions
    }

    /// Whether a copy has it open. What it has not called durable yet may be half there.
    ///
    /// # Errors
    /// The disk's.
    pub fn is_written(&self) -> Result<bool, AuditFault> {
        Ok(Vault::is_written(&self.disk, &self.dir)?)
    }

    /// The cluster that it was copied from.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.found.state.source_cluster_id
    }

    /// What was added to every producer id that it holds.
    #[must_use]
    pub fn producer_id_shift(&self) -> ProducerIdShift {
        self.found.state.producer_id_shift
    }

    /// The id of the broker whose logs they are, where that is told.
    ///
    /// # Errors
    /// The disk's.
    pub fn node_id(&self) -> Result<Option<i32>, AuditFault> {
        Ok(Vault::node_id(&self.disk, &self.dir)?)
    }

    /// What is wrong with the files at its top, in words.
    #[must_use]
    pub fn damage(&self) -> &[String] {
        &self.found.damage
    }

    /// Partitions that the vault's notes name and that have no directory.
    pub fn missing(&self) -> impl Iterator<Item = &TopicPartition> {
        let held = |id: &&TopicPartition| self.found.partitions.binary_search(id).is_err();
        self.found.recovery_points.keys().filter(held)
    }

    /// Reads every byte of one partition.
    ///
    /// # Errors
    /// The disk's.
    pub fn verify(&self, id: &TopicPartition) -> Result<Verified, LogFault> {
        let state = self.found.state.partitions.get(id);
        let claims = Claims {
            topic_id: state.map_or(TopicId::ZERO, |state| state.topic_id),
            log_start: self.found.log_starts.get(id).copied(),
            durable: self.durable(id),
            is_clean: self.found.clean,
        };
        let dir = self.dir.join(id.to_string());
        let verified = log::verify(&self.disk, &dir, claims)?;
        if !claims.is_clean || verified.findings.is_empty() || self.is_unchanged() {
            return Ok(verified);
        }
        // A copy has begun since we looked.
        let is_clean = false;
        log::verify(&self.disk, &dir, Claims { is_clean, ..claims })
    }

    /// Nobody has written the vault since it was looked at.
    fn is_unchanged(&self) -> bool {
        let now = Vault::look(&self.disk, &self.dir);
        now.is_ok_and(|now| now.clean && now.recovery_points == self.found.recovery_points)
    }

    fn durable(&self, id: &TopicPartition) -> Offset {
        let point = self.found.recovery_points.get(id);
        point.copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
