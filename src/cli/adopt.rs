//! `twinlog adopt`: a vault's logs become those of a stopped stock broker.

mod closing;
mod fitness;
mod notes;
mod progress;
mod raise;
mod replacing;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use self::fitness::{Adoptee, Fitness};
use self::notes::{Notes, NotesFault};
use self::raise::{Brokers, Low, RaiseFault, raise, set_back};
use self::replacing::{ReplaceFault, Replacement};
use super::{Ending, Misuse, screen, text};
use crate::io::{Disk, advice};
use crate::log::LogFault;
use crate::model::BrokerId;
use crate::session::{BrokerAddress, Opening, Security, look_at};
use crate::uring::{self, RealDisk};
use crate::vault::{CLEAN_SHUTDOWN, Checkpoint, Vault, VaultFault, merge_checkpoint};

/// How a broker is spoken to, and how long it may take to answer.
const OPENING: Opening = Opening {
    security: Security::Plaintext,
    timeout: Duration::from_secs(30),
};

/// Give a copy of a vault's logs to a stopped stock broker, which then serves them.
///
/// The topics have been created in the adopting cluster, with the stopped broker as the only
/// replica of their partitions. Their leader epochs are raised to the last ones of the vault's
/// logs, and their empty logs replaced by the vault's, with the adopting cluster's topic ids and
/// offset checkpoints. A vault that was closed cleanly is left as it is. Where adopt was cut off,
/// the same command goes on.
///
/// To raise an epoch by one, another broker is named as a further replica and taken back. Clusters
/// that keep eligible replicas apart (KIP-966) forget the stopped broker: there
/// `unclean.leader.election.enable` of the topics is true for a moment, and set back; where adopt
/// is killed in that moment, the next one sets it back first.
#[derive(Debug, Args)]
pub(super) struct AdoptArguments {
    /// The vault, into which no copy is running. Where the last one was killed, its logs are
    /// recovered first, for which no source is needed.
    #[arg(long, value_name = "DIR")]
    vault: PathBuf,
    /// The log directory of the stopped broker.
    #[arg(long, value_name = "DIR")]
    log_dir: PathBuf,
    /// Other brokers of the adopting cluster, which run.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', required = true)]
    to: Vec<BrokerAddress>,
}

/// Why the vault was not adopted.
#[derive(Debug, thiserror::Error)]
enum AdoptFault {
    #[error("{0}")]
    Vault(#[from] VaultFault),
    #[error("{0}")]
    Log(#[from] LogFault),
    #[error("the adopting cluster cannot be asked: {}; {}", .0, .0.next_step())]
    Cluster(#[from] crate::session::SessionFault),
    #[error("{}: {error}{}", path.display(), advice(error))]
    Io {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error(
        "{} was killed before it took note of all its partitions: run twinlog copy on it once \
         more and let it end",
        .0.display()
    )]
    Unclean(PathBuf),
    #[error("{} is in use: stop its broker first", .0.display())]
    InUse(PathBuf),
    #[error("{} was not closed cleanly: start its broker and stop it once more", .0.display())]
    Killed(PathBuf),
    #[error(
        "{} is no log directory of cluster {cluster}: its meta.properties names another",
        dir.display()
    )]
    OtherCluster { dir: PathBuf, cluster: String },
    #[error("{} names no node.id: give the log directory of a broker", .0.display())]
    Nameless(PathBuf),
    #[error("nothing was changed, since:\n{}", .0.join("\n"))]
    Unfit(Vec<String>),
    #[error("{0}")]
    Replace(#[from] ReplaceFault),
    #[error("no log was changed, since {0}")]
    Raise(#[from] RaiseFault),
    #[error("{0}")]
    Notes(#[from] NotesFault),
}

/// A log directory that is ours until this value is gone.
struct Claim {
    broker: BrokerId,
    /// Held, never read: the lock ends with the file.
    _lock: <RealDisk as Disk>::File,
}

impl AdoptArguments {
    pub(super) fn run(self, quiet: bool) -> Result<Ending, Misuse> {
        match self.adopt(quiet) {
            Ok((partitions, bytes)) => {
                if !quiet {
                    let bytes = text::bytes(bytes);
                    screen::tell(&format!(
                        "{partitions} partitions adopted, {bytes}; start the broker now"
                    ));
                }
                Ok(Ending::Done)
            }
            Err(fault) => {
                screen::say(&format!("error: {fault}"));
                Ok(Ending::Incomplete)
            }
        }
    }

    fn adopt(&self, quiet: bool) -> Result<(usize, u64), AdoptFault> {
        let mut found = Vault::look(&RealDisk, &self.vault)?;
        if !found.clean {
            found = closing::close(&self.vault, &found.state)?;
        }
        let to = &self.to;
        let (at, view) = uring::run(
            None,
            |world| async move { look_at(&world, to, OPENING).await },
        )?;
        let claim = self.claim(&view.cluster_id)?;
        let mut notes = Notes::read(&self.log_dir)?;
        uring::run(None, |world| {
            let notes = &mut notes;
            async move { set_back(&world, OPENING, at, notes).await }
        })?;
        let fitness = Fitness {
            vault: &self.vault,
            log_dir: &self.log_dir,
            view: &view,
            broker: claim.broker,
        };
        let adoptees = fitness.of_all(&found.partitions)?;
        let low: Vec<Low> = adoptees.iter().filter_map(Adoptee::low).collect();
        if !low.is_empty() {
            let brokers = Brokers {
                at,
                adopting: claim.broker,
                others: fitness.others(),
            };
            let (low, notes) = (&low, &mut notes);
            uring::run(None, |world| async move {
                raise(&world, OPENING, brokers, low, notes, quiet).await
            })?;
        }
        let mut bytes = 0;
        for adoptee in &adoptees {
            let id = adoptee.id.to_string();
            let (from, to) = (self.vault.join(&id), self.log_dir.join(&id));
            bytes += Replacement::plan(&from, &to, adoptee.topic_id)?.carry_out()?;
        }
        for (which, offsets) in [
            (Checkpoint::LogStart, &found.log_starts),
            (Checkpoint::RecoveryPoint, &found.recovery_points),
            (Checkpoint::HighWatermark, &found.high_watermarks),
        ] {
            merge_checkpoint(&RealDisk, &self.log_dir, which, offsets)?;
        }
        let synced = RealDisk.sync_dir(&self.log_dir);
        synced.map_err(self::at(&self.log_dir))?;
        Ok((adoptees.len(), bytes))
    }

    /// Takes the log directory for us. It is one of a broker of the adopting cluster.
    fn claim(&self, cluster: &str) -> Result<Claim, AdoptFault> {
        let lock = self.log_dir.join(".lock");
        let locked = RealDisk.lock(&lock).map_err(at(&lock))?;
        let locked = locked.ok_or_else(|| AdoptFault::InUse(self.log_dir.clone()))?;
        let path = self.log_dir.join("meta.properties");
        let text = fs::read_to_string(&path).map_err(at(&path))?;
        let text = text.replace('\\', "");
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
        if value("cluster.id=") != Some(cluster) {
            return Err(AdoptFault::OtherCluster {
                dir: self.log_dir.clone(),
                cluster: cluster.to_owned(),
            });
        }
        // Where eligible replicas are kept apart, a broker that comes back from a crash is none.
        if fs::metadata(self.log_dir.join(CLEAN_SHUTDOWN)).is_err() {
            return Err(AdoptFault::Killed(self.log_dir.clone()));
        }
        let id = value("node.id=").or_else(|| value("broker.id="));
        let id = id.and_then(|id| id.trim().parse().ok());
        Ok(Claim {
            broker: BrokerId(id.ok_or(AdoptFault::Nameless(path))?),
            _lock: locked,
        })
    }
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> AdoptFault + '_ {
    |error| AdoptFault::Io {
        path: path.to_owned(),
        error,
    }
}
