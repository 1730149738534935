//! What a node asks of the destination's stock brokers and controllers as an admin client, and as
//! the broker that it is there.
//!
//! Each file has its decisions as plain functions, which are tested as such, and beside them the
//! sequence that carries them out over [`Client`]: safe to be cut off at any point and to be done
//! again from the beginning.
//!
//! [`Client`]: crate::session::Client

pub mod departure;
pub mod evacuation;
pub mod fence;
pub mod fitness;
pub mod producer_ids;
pub mod succession;
mod together;
pub mod topics;
pub mod watch;
pub mod way_back;

use std::collections::BTreeMap;

use crate::io::World;
use crate::model::{BrokerId, TopicPartition};
use crate::session::{BrokerAddress, Client, Refusals, SessionFault};

/// Partitions in one request: a controller writes at most 10,000 records at once.
pub const PARTITIONS_PER_REQUEST: usize = 4_000;

/// Stock brokers and where they listen for us.
pub type Brokers = BTreeMap<BrokerId, BrokerAddress>;

/// Why a whole sequence could not go on; what was done before stays done.
#[derive(Debug, thiserror::Error)]
pub enum DestinationFault {
    /// Somebody cannot be spoken to, or refuses the whole request.
    #[error("{0}")]
    Session(#[from] SessionFault),
}

/// Gives partitions other replicas, the first preferred, in as many requests as it takes.
///
/// # Errors
/// The destination cannot be asked; those of earlier requests are on their way.
pub async fn reassign<W: World>(
    client: &mut Client<W>,
    wanted: &[(TopicPartition, Vec<BrokerId>)],
) -> Result<Refusals<TopicPartition>, DestinationFault> {
    let mut refused = Refusals::new();
    for some in wanted.chunks(PARTITIONS_PER_REQUEST) {
        let some = some
            .iter()
            .map(|(id, replicas)| (id, Some(replicas.clone())));
        refused.extend(client.reassign(some).await?);
    }
    Ok(refused)
}
