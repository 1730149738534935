//! What a node asks of the destination's stock brokers and controllers as an admin client, and as
//! the broker that it is there.
//!
//! Each file has its decisions as plain functions, which are tested as such, and beside them the
//! sequence that carries them out over [`Client`]: safe to be cut off at any point and to be done
//! again from the beginning.
//!
//! [`Client`]: crate::session::Client

pub mod producer_ids;
mod together;

use std::collections::BTreeMap;

use crate::model::BrokerId;
use crate::session::BrokerAddress;

/// Stock brokers and where they listen for us.
pub type Brokers = BTreeMap<BrokerId, BrokerAddress>;
