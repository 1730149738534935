//! Brokers, as the metadata log has them.

use std::collections::BTreeMap;

use super::ImageFault;
use crate::model::{BrokerEpoch, BrokerId, Uuid};
use crate::protocol::metadata_record::{
    FeatureRange, Listener, RegisterBroker, RegistrationChange,
};

/// One broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Which life of it, by its own word.
    pub incarnation: Uuid,
    /// Which life of it, by the controller's.
    pub epoch: BrokerEpoch,
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// What it supports.
    pub features: Vec<FeatureRange>,
    /// Its rack.
    pub rack: Option<String>,
    /// Not to lead and not to be in sync.
    pub is_fenced: bool,
    /// On its way out.
    pub is_shutting_down: bool,
    /// Its log directories.
    pub directories: Vec<Uuid>,
    /// Those of them that take no new replicas.
    pub cordoned: Vec<Uuid>,
}

impl Broker {
    /// Whether it may be in sync: it lives, and is not about to go.
    #[must_use]
    pub fn is_eligible(&self) -> bool {
        !self.is_fenced && !self.is_shutting_down
    }

    /// Where it listens under a listener's name.
    #[must_use]
    pub fn listener(&self, name: &str) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.name == name)
    }
}

/// All brokers that are registered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brokers {
    all: BTreeMap<BrokerId, Broker>,
}

impl Brokers {
    /// One of them.
    #[must_use]
    pub fn get(&self, id: BrokerId) -> Option<&Broker> {
        self.all.get(&id)
    }

    /// All, by their ids.
    pub fn iter(&self) -> impl Iterator<Item = (BrokerId, &Broker)> {
        self.all.iter().map(|(id, broker)| (*id, broker))
    }

    pub(super) fn register(&mut self, record: &RegisterBroker<'_>) {
        let broker = Broker {
            incarnation: record.incarnation,
            epoch: record.epoch,
            listeners: record.listeners.clone(),
            features: record.features.clone(),
            rack: record.rack.map(str::to_owned),
            is_fenced: record.is_fenced,
            is_shutting_down: record.is_shutting_down,
            directories: record.directories.clone(),
            cordoned: record.cordoned.clone(),
        };
        self.all.insert(record.broker, broker);
    }

    pub(super) fn unregister(
        &mut self,
        id: BrokerId,
        epoch: BrokerEpoch,
    ) -> Result<(), ImageFault> {
        self.living(id, epoch)?;
        self.all.remove(&id);
        Ok(())
    }

    /// A broker in one life of it.
    pub(super) fn living(
        &mut self,
        id: BrokerId,
        epoch: BrokerEpoch,
    ) -> Result<&mut Broker, ImageFault> {
        let found = self.all.get_mut(&id);
        found
            .filter(|broker| broker.epoch == epoch)
            .ok_or(ImageFault::NoBroker { broker: id, epoch })
    }

    pub(super) fn change(&mut self, change: RegistrationChange) -> Result<(), ImageFault> {
        let broker = self.living(change.broker, change.epoch)?;
        let RegistrationChange {
            is_fenced,
            is_shutting_down,
            directories,
            cordoned,
            ..
        } = change;
        broker.is_fenced = is_fenced.unwrap_or(broker.is_fenced);
        broker.is_shutting_down = is_shutting_down.unwrap_or(broker.is_shutting_down);
        if let Some(directories) = directories {
            broker.directories = directories;
        }
        if let Some(cordoned) = cordoned {
            broker.cordoned = cordoned;
        }
        Ok(())
    }
}
