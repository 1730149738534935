//! What a node asks of a stock destination, asked of real ones: each call, and each sequence of
//! them.

mod barrier;
mod departure;
mod fence;
mod fitness;
mod succession;
mod topics;

use std::future::Future;

use twinlog::control::destination::Brokers;
use twinlog::control::destination::producer_ids::Registered;
use twinlog::model::{BrokerEpoch, BrokerId, Uuid};
use twinlog::protocol::ErrorCode;
use twinlog::protocol::controller::{DescribeCluster, Registration, Unregister};
use twinlog::protocol::metadata_record::{FeatureRange, Listener};
use twinlog::session::{BrokerAddress, Client, Opening, Security};
use twinlog::uring::{self, RealWorld};

use super::*;

const US: BrokerId = BrokerId(9001);
const OPENING: Opening = Opening {
    security: Security::Plaintext,
    timeout: std::time::Duration::from_secs(30),
};

fn address(text: &str) -> BrokerAddress {
    text.parse().expect("an address")
}

/// Some nodes of a cluster as those who are asked.
fn brokers(cluster: &Cluster, nodes: &[u32]) -> Brokers {
    let each = nodes.iter().map(|node| {
        let id = BrokerId(i32::try_from(*node).expect("small"));
        (id, address(&cluster.broker(*node)))
    });
    each.collect()
}

/// Runs a sequence as the control thread does.
fn on_control<F: Future>(main: impl FnOnce(RealWorld) -> F) -> F::Output {
    uring::run(None, main)
}

async fn connect(world: &RealWorld, at: &BrokerAddress) -> Client<RealWorld> {
    let client = Client::connect(world, at, OPENING).await;
    client.unwrap_or_else(|fault| panic!("{fault}"))
}

/// Registers us without a sign of life: enough for what only asks for a registration.
async fn register(world: &RealWorld, controller: &BrokerAddress) -> Registered {
    register_as(world, controller, &["INTERNAL"], stock).await
}

/// What a stock broker of the controller's release claims.
fn stock(client: &Client<RealWorld>) -> Vec<FeatureRange> {
    let supported = client.versions().supported().iter();
    let features = supported.map(|(name, (least, most))| FeatureRange {
        name: name.clone(),
        least: *least,
        most: *most,
    });
    features.collect()
}

async fn register_as(
    world: &RealWorld,
    controller: &BrokerAddress,
    listeners: &[&str],
    claims: fn(&Client<RealWorld>) -> Vec<FeatureRange>,
) -> Registered {
    let mut client = connect(world, controller).await;
    let cluster = client.ask(&DescribeCluster).await.expect("a controller");
    let features = claims(&client);
    let listeners = listeners.iter().map(|name| Listener {
        name: (*name).to_owned(),
        host: "127.0.0.1".to_owned(),
        port: 9,
        security: 0,
    });
    let registration = Registration {
        broker: US,
        cluster_id: cluster.cluster_id,
        incarnation: Uuid::new([7; 16]),
        listeners: listeners.collect(),
        features,
        rack: None,
        directories: vec![Uuid::new([8; 16])],
        previous_epoch: BrokerEpoch::NONE,
    };
    let answer = client.ask(&registration).await.expect("a controller");
    assert_eq!(answer.error, ErrorCode::NONE);
    Registered {
        broker: US,
        epoch: answer.epoch,
    }
}

async fn unregister(world: &RealWorld, controller: &BrokerAddress) {
    let mut client = connect(world, controller).await;
    let answer = client.ask(&Unregister { broker: US }).await;
    assert_eq!(answer.expect("a controller").error, ErrorCode::NONE);
}
