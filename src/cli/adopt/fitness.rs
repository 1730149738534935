//! What of a vault a stopped broker can adopt, and what is in the way.

use std::path::Path;

use super::AdoptFault;
use super::raise::Low;
use super::replacing::stranger;
use crate::io::{Disk, advice};
use crate::log::last_epoch;
use crate::model::{BrokerId, LeaderEpoch, TopicId, TopicPartition};
use crate::session::{ClusterView, PartitionView};
use crate::uring::RealDisk;

/// Both sides, as they are looked at.
pub(super) struct Fitness<'a> {
    pub(super) vault: &'a Path,
    pub(super) log_dir: &'a Path,
    pub(super) view: &'a ClusterView,
    /// The stopped broker.
    pub(super) broker: BrokerId,
}

/// A partition that can be adopted, once its leader epoch is high enough.
pub(super) struct Adoptee {
    pub(super) id: TopicPartition,
    /// In the adopting cluster.
    pub(super) topic_id: TopicId,
    /// Likewise.
    there: PartitionView,
    /// The last leader epoch of the vault's log.
    held: LeaderEpoch,
}

impl Adoptee {
    /// What is to be raised, if anything: a leader whose epoch is below the log's last would cut
    /// the epoch history, and its followers would never catch up.
    pub(super) fn low(&self) -> Option<Low> {
        let is_cut_off = self.there.replicas.len() > 1;
        (self.there.epoch < self.held || is_cut_off).then(|| Low {
            id: self.id.clone(),
            epoch: self.there.epoch,
            wanted: self.held,
            is_cut_off,
            is_without_isr: self.there.in_sync.is_empty(),
        })
    }
}

impl Fitness<'_> {
    /// All that is in the way is told at once.
    pub(super) fn of_all(&self, ids: &[TopicPartition]) -> Result<Vec<Adoptee>, AdoptFault> {
        let mut adoptees = Vec::new();
        let mut unfit = Vec::new();
        for id in ids {
            match self.of_one(id) {
                Ok(adoptee) => adoptees.push(adoptee),
                Err(why) => unfit.push(format!("{id}: {why}")),
            }
        }
        match unfit.is_empty() {
            true => Ok(adoptees),
            false => Err(AdoptFault::Unfit(unfit)),
        }
    }

    /// The brokers that run beside the one that adopts.
    pub(super) fn others(&self) -> Vec<BrokerId> {
        let all = self.view.brokers.iter().map(|endpoint| endpoint.broker);
        all.filter(|id| *id != self.broker).collect()
    }

    fn of_one(&self, id: &TopicPartition) -> Result<Adoptee, String> {
        let mut topics = self.view.topics.iter();
        if !topics.any(|topic| topic.name == id.topic) {
            return Err("the adopting cluster has no such topic: create it first".to_owned());
        }
        let found = self.view.find(id);
        let (topic, there) = found.ok_or("the topic has too few partitions there: add some")?;
        self.is_alone(there)?;
        self.is_empty(id)?;
        let held = last_epoch(&RealDisk, &self.vault.join(id.to_string()));
        Ok(Adoptee {
            id: id.clone(),
            topic_id: topic.id,
            there: there.clone(),
            held: held.map_err(|fault| fault.to_string())?,
        })
    }

    /// No other broker's log counts. One further replica without a leader is what an adoption
    /// leaves that was cut off while it raised an epoch; it is taken back.
    fn is_alone(&self, there: &PartitionView) -> Result<(), String> {
        let broker = self.broker;
        let is_led = there.leader.is_some_and(|leader| leader != broker);
        if there.replicas.first() == Some(&broker) && there.replicas.len() <= 2 && !is_led {
            return Ok(());
        }
        let ids = there.replicas.iter().map(ToString::to_string);
        Err(format!(
            "its replicas there are {}: make the stopped broker, {broker}, its only one",
            ids.collect::<Vec<_>>().join(", ")
        ))
    }

    /// There are no records but those that an adoption has copied which was cut off.
    fn is_empty(&self, id: &TopicPartition) -> Result<(), String> {
        let id = id.to_string();
        let (from, dir) = (self.vault.join(&id), self.log_dir.join(&id));
        if RealDisk.list(&dir).is_err() {
            let dir = dir.display();
            return Err(format!(
                "{dir} is not there: give the log directory that the broker has it in"
            ));
        }
        match stranger(&from, &dir) {
            Ok(None) => Ok(()),
            Ok(Some(log)) => Err(format!(
                "{} holds records already that are not the vault's: delete the topic there and \
                 create it anew",
                log.display()
            )),
            Err(error) => Err(format!("{}: {error}{}", dir.display(), advice(&error))),
        }
    }
}
