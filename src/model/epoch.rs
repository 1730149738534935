//! Epochs: how Kafka tells the old holder of a role from the new one.

use std::fmt;

/// A partition leader's epoch; rises with every change of leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaderEpoch(i32);

impl LeaderEpoch {
    /// Kafka's "no epoch known": older than every real one.
    pub const NONE: LeaderEpoch = LeaderEpoch(-1);
    /// The largest number, which no leader comes to.
    pub const MAX: LeaderEpoch = LeaderEpoch(i32::MAX);

    /// An epoch as stated on the wire or in a file; every negative number means [`Self::NONE`].
    #[must_use]
    pub fn new(epoch: i32) -> LeaderEpoch {
        LeaderEpoch(epoch.max(-1))
    }

    /// The number itself, −1 for none.
    #[must_use]
    pub fn value(self) -> i32 {
        self.0
    }

    /// Whether there is an epoch at all.
    #[must_use]
    pub fn is_some(self) -> bool {
        self.0 >= 0
    }
}

impl fmt::Display for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The epoch of one producer id; rises when the producer is initialised again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerEpoch(i16);

impl ProducerEpoch {
    /// The epoch as stated in a batch or a snapshot; −1 where a batch has no producer.
    #[must_use]
    pub fn new(epoch: i16) -> ProducerEpoch {
        ProducerEpoch(epoch)
    }

    /// The number itself.
    #[must_use]
    pub fn value(self) -> i16 {
        self.0
    }
}

impl fmt::Display for ProducerEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A broker's epoch in a KRaft cluster: the metadata log's offset at which it registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerEpoch(i64);

impl BrokerEpoch {
    /// Kafka's "no epoch known": older than every real one.
    pub const NONE: BrokerEpoch = BrokerEpoch(-1);

    /// Whether there is an epoch at all.
    #[must_use]
    pub fn is_some(self) -> bool {
        self.0 >= 0
    }

    /// An epoch as stated on the wire or in a file; every negative number means [`Self::NONE`].
    #[must_use]
    pub fn new(epoch: i64) -> BrokerEpoch {
        BrokerEpoch(epoch.max(-1))
    }

    /// The number itself, −1 for none.
    #[must_use]
    pub fn value(self) -> i64 {
        self.0
    }
}

impl fmt::Display for BrokerEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
