//! BrokerRegistration: a broker asks to be one.

use super::{ControllerCall, no_tags};
use crate::model::{BrokerEpoch, BrokerId, Uuid};
use crate::protocol::ErrorCode;
use crate::protocol::metadata_record::{FeatureRange, Listener};
use crate::protocol::primitive::{Reader, Unread, Writer};

/// Who we are and what we can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Our node id.
    pub broker: BrokerId,
    /// The cluster that we mean.
    pub cluster_id: String,
    /// Which life of ours this is; the same one twice keeps epoch and in-sync replicas.
    pub incarnation: Uuid,
    /// Where we listen.
    pub listeners: Vec<Listener>,
    /// What we support.
    pub features: Vec<FeatureRange>,
    /// Our rack.
    pub rack: Option<String>,
    /// Our log directories.
    pub directories: Vec<Uuid>,
    /// The epoch of an earlier life that has ended cleanly.
    pub previous_epoch: BrokerEpoch,
}

/// What the controller says to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistrationAnswer {
    /// Why not.
    pub error: ErrorCode,
    /// The epoch of this life.
    pub epoch: BrokerEpoch,
}

impl ControllerCall for Registration {
    const KEY: i16 = 62;
    const NAME: &'static str = "BrokerRegistration";
    /// Below 4, features from level 0 on cannot be told.
    const VERSIONS: (i16, i16) = (4, 4);
    type Answer = RegistrationAnswer;

    fn write(&self, _version: i16, to: &mut Writer<'_>) {
        to.i32(self.broker.0);
        to.text(Some(&self.cluster_id));
        to.bytes(&self.incarnation.bytes());
        to.list(self.listeners.iter(), |to, listener| {
            to.text(Some(&listener.name));
            to.text(Some(&listener.host));
            to.u16(listener.port);
            to.i16(listener.security);
            to.no_tags();
        });
        to.list(self.features.iter(), |to, feature| {
            to.text(Some(&feature.name));
            to.i16(feature.least);
            to.i16(feature.most);
            to.no_tags();
        });
        to.text(self.rack.as_deref());
        // We do not come from a cluster with ZooKeeper.
        to.bool(false);
        to.list(self.directories.iter(), |to, id| to.bytes(&id.bytes()));
        to.i64(self.previous_epoch.value());
        to.no_tags();
    }

    fn read(_version: i16, from: &mut Reader<'_>) -> Result<RegistrationAnswer, Unread> {
        let _throttled_ms = from.i32()?;
        let answer = RegistrationAnswer {
            error: ErrorCode(from.i16()?),
            epoch: BrokerEpoch::new(from.i64()?),
        };
        no_tags(from)?;
        Ok(answer)
    }
}
