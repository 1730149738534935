//! Who asks, and whether it is believed.

use std::collections::BTreeMap;

use super::{Identity, Partition, Server};
use crate::model::{BrokerEpoch, BrokerId, LeaderEpoch};
use crate::protocol::ErrorCode;
use crate::protocol::versions::{ServedApi, TO_CONSUMERS, TO_FOLLOWERS, TO_OPERATORS};

/// For whom a server is there.
#[derive(Clone, Debug)]
pub(super) enum Audience {
    /// Consumers, of a broker that is alone in its cluster.
    Consumers(Identity),
    /// Operators, of a node that leads nothing for them.
    Operators(Identity),
    /// Brokers of a cluster that follow what we lead in it.
    Followers(Cluster),
}

/// What a leader knows of the cluster of its followers.
#[derive(Clone, Debug, Default)]
pub(super) struct Cluster {
    /// Brokers that are alive by the metadata, each in the epoch of its life.
    brokers: BTreeMap<BrokerId, BrokerEpoch>,
    /// Whether the cluster still takes us for a leader.
    is_trusted: bool,
}

/// Who asks, in its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asker {
    /// The broker that it is; none for a consumer.
    pub(super) replica: Option<BrokerId>,
    /// In which life; none where it does not say.
    pub(super) life: BrokerEpoch,
}

impl Audience {
    /// What is answered to it.
    pub(super) fn served(&self) -> &'static [ServedApi] {
        match self {
            Audience::Consumers(_) => &TO_CONSUMERS,
            Audience::Operators(_) => &TO_OPERATORS,
            Audience::Followers(_) => &TO_FOLLOWERS,
        }
    }
}

impl Asker {
    /// A broker that names its id, or a consumer, and no life.
    pub(super) fn of(replica: i32) -> Asker {
        Asker {
            replica: (replica >= 0).then_some(BrokerId(replica)),
            life: BrokerEpoch::NONE,
        }
    }
}

impl Server {
    /// Who we are to those that may ask.
    pub(super) fn identity(&self) -> &Identity {
        match &self.audience {
            Audience::Consumers(identity) | Audience::Operators(identity) => identity,
            Audience::Followers(_) => unreachable!("followers have no request that asks for it"),
        }
    }

    /// From now on these brokers of our followers' cluster are alive, each in this life.
    pub fn tell_brokers(&mut self, brokers: BTreeMap<BrokerId, BrokerEpoch>) {
        if let Audience::Followers(cluster) = &mut self.audience {
            cluster.brokers = brokers;
        }
    }

    /// From now on the cluster takes us for a leader, or does no longer: then nothing is told of
    /// any partition, but that it has another leader.
    pub fn trust(&mut self, is_trusted: bool) {
        if let Audience::Followers(cluster) = &mut self.audience {
            cluster.is_trusted = is_trusted;
        }
    }

    /// How often somebody was not believed to be a follower of the partition that it asked for.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.get()
    }

    /// Whether `asker` is told of `partition`, of which it takes us for the leader in the epoch
    /// `meant`. The order is Kafka's: first the epoch, then who it is.
    pub(super) fn admits(
        &self,
        partition: &Partition,
        meant: LeaderEpoch,
        asker: Asker,
    ) -> Result<(), ErrorCode> {
        self.leads(partition, meant)?;
        match &self.audience {
            Audience::Consumers(_) | Audience::Operators(_) => Ok(()),
            Audience::Followers(cluster) => {
                let believed = cluster.believes(partition, asker);
                believed.inspect_err(|_| self.refused.set(self.refused.get().saturating_add(1)))
            }
        }
    }

    /// Whether we are the leader of `partition` that somebody means.
    pub(super) fn leads(&self, partition: &Partition, meant: LeaderEpoch) -> Result<(), ErrorCode> {
        match &self.audience {
            Audience::Followers(cluster) if !cluster.is_trusted => {
                Err(ErrorCode::NOT_LEADER_OR_FOLLOWER)
            }
            _ => partition.led_in(meant),
        }
    }

    /// What is said of a partition that we were not told of, though of others of its topic: each
    /// may have another leader.
    pub(super) fn unknown_partition(&self) -> ErrorCode {
        match self.audience {
            Audience::Followers(_) => ErrorCode::NOT_LEADER_OR_FOLLOWER,
            _ => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        }
    }

    /// The follower whose word counts for what is safe: it is in the life that the metadata knows,
    /// or says nothing of its life, as older ones do.
    pub(super) fn counted(&self, asker: Asker) -> Option<(BrokerId, BrokerEpoch)> {
        let Audience::Followers(cluster) = &self.audience else {
            return None;
        };
        let id = asker.replica?;
        let life = *cluster.brokers.get(&id)?;
        (asker.life == life || !asker.life.is_some()).then_some((id, asker.life))
    }
}

impl Cluster {
    /// Whoever has a replica may read, in a life that is not over. One that the metadata does not
    /// know yet may read as well: it may be fenced until it has caught up.
    fn believes(&self, partition: &Partition, asker: Asker) -> Result<(), ErrorCode> {
        // A consumer has found the wrong listener, and would ask for ever.
        let id = asker.replica.ok_or(ErrorCode::TOPIC_AUTHORIZATION_FAILED)?;
        if !partition.followers.contains(&id) {
            // It may know of an assignment that we have yet to hear of.
            return Err(ErrorCode::UNKNOWN_LEADER_EPOCH);
        }
        let is_over = |life: &BrokerEpoch| asker.life.is_some() && asker.life < *life;
        match self.brokers.get(&id).is_some_and(is_over) {
            true => Err(ErrorCode::NOT_LEADER_OR_FOLLOWER),
            false => Ok(()),
        }
    }
}
