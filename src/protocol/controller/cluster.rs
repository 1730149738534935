//! DescribeCluster, for the cluster's id, and UnregisterBroker.

use super::{ControllerCall, no_tags, text};
use crate::model::BrokerId;
use crate::protocol::ErrorCode;
use crate::protocol::fetch::Endpoint;
use crate::protocol::primitive::{Reader, Unread, Writer};

/// Asks a controller which cluster it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescribeCluster;

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterAnswer {
    /// Why not.
    pub error: ErrorCode,
    /// The cluster's id.
    pub cluster_id: String,
    /// Where its controllers listen.
    pub controllers: Vec<Endpoint>,
}

impl ControllerCall for DescribeCluster {
    const KEY: i16 = 60;
    const NAME: &'static str = "DescribeCluster";
    const VERSIONS: (i16, i16) = (1, 1);
    type Answer = ClusterAnswer;

    fn write(&self, _version: i16, to: &mut Writer<'_>) {
        // No rights are asked for, and controllers rather than brokers.
        to.bool(false);
        to.i8(2);
        to.no_tags();
    }

    fn read(_version: i16, from: &mut Reader<'_>) -> Result<ClusterAnswer, Unread> {
        let _throttled_ms = from.i32()?;
        let error = ErrorCode(from.i16()?);
        let _message = from.text("an error's message")?;
        let _kind = from.i8()?;
        let cluster_id = text(from, "a cluster's id")?;
        let _controller = from.i32()?;
        let controllers = from.list(11, "nodes", |from| {
            let id = BrokerId(from.i32()?);
            let host = text(from, "a host")?;
            let port = u16::try_from(from.i32()?).ok();
            let _rack = from.text("a rack")?;
            no_tags(from)?;
            let endpoint = |port| Endpoint {
                broker: id,
                host,
                port,
            };
            Ok(port.map(endpoint))
        })?;
        let _rights = from.i32()?;
        no_tags(from)?;
        Ok(ClusterAnswer {
            error,
            cluster_id,
            controllers: controllers
                .unwrap_or_default()
                .into_iter()
                .flatten()
                .collect(),
        })
    }
}

/// Asks to forget a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unregister {
    /// Which.
    pub broker: BrokerId,
}

/// What the controller says to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnregisterAnswer {
    /// Why not.
    pub error: ErrorCode,
    /// The same in its own words.
    pub message: String,
}

impl ControllerCall for Unregister {
    const KEY: i16 = 64;
    const NAME: &'static str = "UnregisterBroker";
    const VERSIONS: (i16, i16) = (0, 0);
    type Answer = UnregisterAnswer;

    fn write(&self, _version: i16, to: &mut Writer<'_>) {
        to.i32(self.broker.0);
        to.no_tags();
    }

    fn read(_version: i16, from: &mut Reader<'_>) -> Result<UnregisterAnswer, Unread> {
        let _throttled_ms = from.i32()?;
        let answer = UnregisterAnswer {
            error: ErrorCode(from.i16()?),
            message: text(from, "an error's message")?,
        };
        no_tags(from)?;
        Ok(answer)
    }
}
