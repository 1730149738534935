//! Why a cluster does not have us, in words that say what to change.

use super::LogFault;
use crate::model::{BrokerId, Uuid};
use crate::protocol::ErrorCode;
use crate::session::BrokerAddress;

/// A refusal. Some pass by themselves or when somebody changes something: [`super::News`] tells
/// which of the two it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another cluster than the one that we mean.
    #[error(
        "the controllers at {at} are of another cluster than {expected}: correct `controllers` \
         or `bootstrap.servers`, or begin with an empty data directory"
    )]
    OtherCluster {
        /// Whom we asked.
        at: BrokerAddress,
        /// The cluster that we mean.
        expected: String,
    },
    /// Somebody else is a broker by our id.
    #[error(
        "broker id {node} is taken by another process whose session is alive: end it, or choose \
         another `id`; after a crash of our own this passes when its session expires"
    )]
    Duplicate {
        /// Our id.
        node: BrokerId,
    },
    /// A controller has our id.
    #[error("id {node} is a controller's of this cluster: choose another `id`")]
    Controller {
        /// Our id.
        node: BrokerId,
    },
    /// We lack rights.
    #[error("{what} is not allowed: grant {right} on the cluster to this principal ({code})")]
    NotAllowed {
        /// What we asked for.
        what: &'static str,
        /// Which right it takes.
        right: &'static str,
        /// The error.
        code: ErrorCode,
    },
    /// A feature has a level that we have not been tried with.
    #[error(
        "the cluster has {feature} at level {level}, and this twinlog knows levels {least} to \
         {most}: use a twinlog that knows it, or change the level with kafka-features"
    )]
    FeatureLevel {
        /// Which.
        feature: String,
        /// Its level in the cluster.
        level: i16,
        /// What we know.
        least: i16,
        /// What we know.
        most: i16,
    },
    /// A feature that we have not heard of is in use.
    #[error(
        "the cluster has {feature} at level {level}, which this twinlog does not know: use a \
         newer one, or disable the feature with kafka-features"
    )]
    UnknownFeature {
        /// Which.
        feature: String,
        /// Its level in the cluster.
        level: i16,
    },
    /// The controller does not take the features that we offered.
    #[error(
        "the controller does not take what we support ({offered}): the cluster's features were \
         changed meanwhile, or it demands one that is not among them ({code})"
    )]
    Features {
        /// What we said.
        offered: String,
        /// The error.
        code: ErrorCode,
    },
    /// The controller does not take the registration.
    #[error(
        "the controller does not take broker {node} with directory {directory}: the directory may \
         belong to another broker's registration ({code})"
    )]
    Registration {
        /// Our id.
        node: BrokerId,
        /// Our directory.
        directory: Uuid,
        /// The error.
        code: ErrorCode,
    },
    /// A request was answered with an error that says nothing about us.
    #[error("the controller answers {what} with {code}")]
    Other {
        /// What we asked for.
        what: &'static str,
        /// The error.
        code: ErrorCode,
    },
    /// An address that is no controller's.
    #[error(
        "{0} is no controller's listener: `controllers` must name the addresses of \
         controller.quorum.bootstrap.servers or controller.quorum.voters"
    )]
    NoController(BrokerAddress),
    /// No broker says where the controllers listen.
    #[error(
        "no broker says where the controllers listen: {0}; correct `bootstrap.servers`, or name \
         the controllers' addresses in `controllers`"
    )]
    NotFound(String),
    /// A controller cannot be spoken to.
    #[error("{0}")]
    Unreachable(String),
    /// The metadata log cannot be followed.
    #[error("{0}")]
    Log(#[from] LogFault),
}
