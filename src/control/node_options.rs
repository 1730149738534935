//! What may be set about a node: who it is, where it listens, where its mirrors land.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::membership::Bootstrap;
use crate::mirror::{MirrorName, MirrorSettings, RetryOptions};
use crate::model::{BrokerAddress, BrokerId};

/// A node. Built by `config`, which has checked what holds between the options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeOptions {
    /// Its id: as a member, its broker id at the destination.
    pub id: Option<BrokerId>,
    /// Where its logs and its state are.
    pub data_dir: PathBuf,
    /// How many cores its data plane may use; 0 for all.
    pub cores: u16,
    /// Where operators find it.
    pub admin: AdminOptions,
    /// Where its mirrors land.
    pub destination: DestinationOptions,
    /// The mirrors that its configuration declares, by name.
    pub mirrors: Vec<DeclaredMirror>,
    /// When a failed partition is tried again.
    pub retry: RetryOptions,
}

/// Where operators find a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminOptions {
    /// Where it takes the requests of KIP-1279.
    pub listen: BrokerAddress,
    /// Where other nodes find that; none where it is the same.
    pub advertised: Option<BrokerAddress>,
    /// Where it tells its metrics; none for nowhere.
    pub metrics: Option<BrokerAddress>,
    /// Connections that each of the two may have.
    pub connections_max: u16,
}

/// Where mirrors land, as it was set. What a member needs is in [`NodeOptions::member`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationOptions {
    /// Which of the two.
    pub kind: DestinationKind,
    /// Controllers of the destination to begin with.
    pub controllers: Vec<BrokerAddress>,
    /// Brokers of it that are asked where its controllers listen.
    pub bootstrap_servers: Vec<BrokerAddress>,
    /// The destination's inter-broker listener.
    pub listener_name: String,
    /// Where we serve it.
    pub listen: Option<BrokerAddress>,
    /// Where the destination's brokers find it, unless that is the same.
    pub advertised: Option<BrokerAddress>,
    /// The rack that we are in; empty for none.
    pub rack: String,
    /// What is done about a destination that is not fit for a node.
    pub unfit: Unfit,
    /// What is done about records that others wrote to a mirror topic.
    pub rogue_writes: RogueWrites,
    /// How many producer ids of the destination may be used up to get past the source's.
    pub producer_id_distance_max: u64,
    /// A follower that has not fetched up to the log's end for so long is out of sync, in
    /// milliseconds.
    pub replica_lag_ms: u32,
    /// `min.insync.replicas` as it would stand in our file, if we were a stock broker: it counts
    /// for topics of which the cluster's metadata tells none, not even as a default.
    pub min_insync_replicas: u16,
}

/// What mirrors are written to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DestinationKind {
    /// Log directories of our own.
    #[default]
    Vault,
    /// A Kafka cluster, of which the node is a broker.
    Member,
}

/// What is done about a destination that is not fit for a node that was never a broker there: most
/// of all one that lacks its internal topics, or makes topics by itself, whose replicas would be
/// put on us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unfit {
    /// The node does not register there.
    #[default]
    Refuse,
    /// It does, and has replicas moved away that land here.
    Register,
}

/// What is done about records that others wrote to a mirror topic while we were away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RogueWrites {
    /// The partition stops, and says so.
    #[default]
    Stop,
    /// They are kept beside the log, and cut off.
    SetAside,
}

/// What a member of a cluster needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberOptions {
    /// Our broker id.
    pub id: BrokerId,
    /// Whom to begin with.
    pub bootstrap: Bootstrap,
    /// The inter-broker listener.
    pub listener_name: String,
    /// Where we serve it.
    pub listen: BrokerAddress,
    /// Where the others find it.
    pub advertised: BrokerAddress,
    /// Our own `min.insync.replicas`.
    pub min_insync_replicas: u16,
}

/// A mirror that the configuration declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredMirror {
    /// Its name.
    pub name: MirrorName,
    /// Its settings, as a request to create it would state them; checked.
    pub settings: BTreeMap<String, String>,
}

impl DeclaredMirror {
    /// The settings, read.
    ///
    /// # Panics
    /// They have not been checked.
    #[must_use]
    pub fn read(&self) -> MirrorSettings {
        MirrorSettings::read(&self.settings).expect("the configuration has been checked")
    }
}

impl NodeOptions {
    /// What we need as a member, if we are to be one.
    ///
    /// # Panics
    /// It has not been checked that all of that is set.
    #[must_use]
    pub fn member(&self) -> Option<MemberOptions> {
        const CHECKED: &str = "the configuration of a member has been checked";
        let destination = &self.destination;
        if destination.kind == DestinationKind::Vault {
            return None;
        }
        let listen = destination.listen.clone().expect(CHECKED);
        let advertised = destination.advertised.clone();
        Some(MemberOptions {
            id: self.id.expect(CHECKED),
            bootstrap: Bootstrap {
                controllers: destination.controllers.clone(),
                brokers: destination.bootstrap_servers.clone(),
            },
            listener_name: destination.listener_name.clone(),
            min_insync_replicas: destination.min_insync_replicas,
            advertised: advertised.unwrap_or_else(|| listen.clone()),
            listen,
        })
    }
}

fn loopback(port: u16) -> BrokerAddress {
    let host = "127.0.0.1".to_owned();
    BrokerAddress { host, port }
}

impl Default for NodeOptions {
    fn default() -> NodeOptions {
        NodeOptions {
            id: None,
            data_dir: PathBuf::from("twinlog-data"),
            cores: 0,
            admin: AdminOptions {
                listen: loopback(9292),
                advertised: None,
                metrics: Some(loopback(9293)),
                connections_max: 64,
            },
            destination: DestinationOptions {
                kind: DestinationKind::default(),
                controllers: Vec::new(),
                bootstrap_servers: Vec::new(),
                listener_name: String::new(),
                listen: None,
                advertised: None,
                rack: String::new(),
                unfit: Unfit::default(),
                rogue_writes: RogueWrites::default(),
                producer_id_distance_max: 100_000_000,
                replica_lag_ms: 30_000,
                min_insync_replicas: 1,
            },
            mirrors: Vec::new(),
            retry: RetryOptions::default(),
        }
    }
}
