//! `twinlog adopt`: a vault's logs become those of a stopped stock broker.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::{Ending, Misuse, screen, text};
use crate::io::Disk;
use crate::log::last_epoch;
use crate::model::{LeaderEpoch, TopicId, TopicPartition};
use crate::session::{BrokerAddress, ClusterView, Opening, Security, look_at};
use crate::uring::{self, RealDisk};
use crate::vault::{Checkpoint, Vault, VaultFault, merge_checkpoint};

/// How long a broker may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Give a copy of a vault's logs to a stopped stock broker, which then serves them.
///
/// The topics have been created in the adopting cluster, with the stopped broker as the only
/// replica of their partitions. Their empty logs are replaced by the vault's, with the adopting
/// cluster's topic ids and offset checkpoints. The vault is left as it is.
#[derive(Debug, Args)]
pub(super) struct AdoptArguments {
    /// The vault; no copy into it is running, and the last one ended cleanly.
    #[arg(long, value_name = "DIR")]
    vault: PathBuf,
    /// The log directory of the stopped broker.
    #[arg(long, value_name = "DIR")]
    log_dir: PathBuf,
    /// Other brokers of the adopting cluster, which run.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', required = true)]
    to: Vec<BrokerAddress>,
}

/// Why nothing was adopted.
#[derive(Debug, thiserror::Error)]
enum AdoptFault {
    #[error("{0}")]
    Vault(#[from] VaultFault),
    #[error("the adopting cluster cannot be asked: {0}")]
    Cluster(#[from] crate::session::SessionFault),
    #[error("{}: {error}", path.display())]
    Io {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error(
        "{} was not closed cleanly: run twinlog copy on it once more and let it end", .0.display()
    )]
    Unclean(PathBuf),
    #[error("{} is in use: stop its broker first", .0.display())]
    InUse(PathBuf),
    #[error(
        "{} is no log directory of cluster {cluster}: its meta.properties names another",
        dir.display()
    )]
    OtherCluster { dir: PathBuf, cluster: String },
    #[error("nothing was changed, since:\n{}", .0.join("\n"))]
    Unfit(Vec<String>),
}

impl AdoptArguments {
    pub(super) fn run(self, quiet: bool) -> Result<Ending, Misuse> {
        match self.adopt() {
            Ok((partitions, bytes)) => {
                if !quiet {
                    let bytes = text::bytes(bytes);
                    println!("{partitions} partitions adopted, {bytes}; start the broker now");
                }
                Ok(Ending::Done)
            }
            Err(fault) => {
                screen::say(&format!("error: {fault}"));
                Ok(Ending::Incomplete)
            }
        }
    }

    fn adopt(&self) -> Result<(usize, u64), AdoptFault> {
        let found = Vault::look(&RealDisk, &self.vault)?;
        if !found.clean {
            return Err(AdoptFault::Unclean(self.vault.clone()));
        }
        let opening = Opening {
            security: Security::Plaintext,
            timeout: TIMEOUT,
        };
        let to = &self.to;
        let (_, view) = uring::run(
            None,
            |world| async move { look_at(&world, to, opening).await },
        )?;
        let lock = self.log_dir.join(".lock");
        let locked = RealDisk.lock(&lock).map_err(at(&lock))?;
        let _lock = locked.ok_or_else(|| AdoptFault::InUse(self.log_dir.clone()))?;
        self.belongs_to(&view)?;
        let ids = self.fit(&view, &found.partitions)?;
        let mut bytes = 0;
        for (id, topic_id) in &ids {
            bytes += self.replace(id, *topic_id)?;
        }
        for (which, offsets) in [
            (Checkpoint::LogStart, &found.log_starts),
            (Checkpoint::RecoveryPoint, &found.recovery_points),
            (Checkpoint::HighWatermark, &found.high_watermarks),
        ] {
            merge_checkpoint(&RealDisk, &self.log_dir, which, offsets)?;
        }
        RealDisk
            .sync_dir(&self.log_dir)
            .map_err(at(&self.log_dir))?;
        Ok((ids.len(), bytes))
    }

    /// The log directory is the adopting cluster's.
    fn belongs_to(&self, view: &ClusterView) -> Result<(), AdoptFault> {
        let path = self.log_dir.join("meta.properties");
        let text = fs::read_to_string(&path).map_err(at(&path))?;
        let line = format!("cluster.id={}", view.cluster_id);
        match text.lines().any(|found| found.replace('\\', "") == line) {
            true => Ok(()),
            false => Err(AdoptFault::OtherCluster {
                dir: self.log_dir.clone(),
                cluster: view.cluster_id.clone(),
            }),
        }
    }

    /// The ids of the topics in the adopting cluster. All that is in the way is told at once.
    fn fit(
        &self,
        view: &ClusterView,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, TopicId>, AdoptFault> {
        let mut ids = BTreeMap::new();
        let mut unfit = Vec::new();
        for id in partitions {
            match self.fit_one(view, id) {
                Ok(topic_id) => drop(ids.insert(id.clone(), topic_id)),
                Err(why) => unfit.push(format!("{id}: {why}")),
            }
        }
        match unfit.is_empty() {
            true => Ok(ids),
            false => Err(AdoptFault::Unfit(unfit)),
        }
    }

    fn fit_one(&self, view: &ClusterView, id: &TopicPartition) -> Result<TopicId, String> {
        let topic = view.topics.iter().find(|topic| topic.name == id.topic);
        let topic = topic.ok_or("the adopting cluster has no such topic: create it first")?;
        let partition = topic
            .partitions
            .iter()
            .find(|partition| partition.index == id.partition);
        let partition = partition.ok_or("the topic has too few partitions there: add some")?;
        let held = last_epoch(&RealDisk, &self.vault.join(id.to_string()));
        let held = held.map_err(|fault| fault.to_string())?;
        if partition.epoch < held.max(LeaderEpoch::new(0)) {
            return Err(format!(
                "its leader epoch there is {}, below the log's last, {held}: raise it by moving \
                 the partition to another broker and back (kafka-reassign-partitions) until it \
                 is {held}",
                partition.epoch
            ));
        }
        let dir = self.log_dir.join(id.to_string());
        let entries = match RealDisk.list(&dir) {
            Ok(entries) => entries,
            Err(_) => {
                return Err(format!(
                    "{} is not there: the stopped broker is no replica",
                    dir.display()
                ));
            }
        };
        let is_log = |name: &str| name.ends_with(".log");
        match entries
            .iter()
            .any(|entry| is_log(&entry.name) && entry.bytes > 0)
        {
            true => Err(format!("{} holds records already", dir.display())),
            false => Ok(topic.id),
        }
    }

    /// Replaces a partition's empty files by the vault's, durably. Says how many bytes.
    fn replace(&self, id: &TopicPartition, topic_id: TopicId) -> Result<u64, AdoptFault> {
        let (from, to) = (
            self.vault.join(id.to_string()),
            self.log_dir.join(id.to_string()),
        );
        for entry in RealDisk.list(&to).map_err(at(&to))? {
            let path = to.join(&entry.name);
            fs::remove_file(&path).map_err(at(&path))?;
        }
        let mut bytes = 0;
        for entry in RealDisk.list(&from).map_err(at(&from))? {
            let path = to.join(&entry.name);
            if entry.name == "partition.metadata" {
                let text = format!("version: 0\ntopic_id: {topic_id}");
                fs::write(&path, text).map_err(at(&path))?;
            } else {
                bytes += fs::copy(from.join(&entry.name), &path).map_err(at(&path))?;
            }
            let synced = fs::File::open(&path).and_then(|file| file.sync_all());
            synced.map_err(at(&path))?;
        }
        RealDisk.sync_dir(&to).map_err(at(&to))?;
        Ok(bytes)
    }
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> AdoptFault + '_ {
    |error| AdoptFault::Io {
        path: path.to_owned(),
        error,
    }
}
