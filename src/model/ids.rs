//! Who and what: topics, partitions, brokers, producers, shards.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A topic's 128-bit id; printed as Kafka prints it (URL-safe base64 without padding).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId([u8; 16]);

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// 128 bits are 21 digits of six bits and a last one of two.
const BASE64_DIGITS: usize = 22;
/// The name space of ids that stand for a name; our own, so that nobody else's id is one of them.
const BY_NAME: uuid::Uuid = uuid::Uuid::from_u128(0x7477_696e_6c6f_6780_8062_7900_6e61_6d65);

impl TopicId {
    /// The id that stands for "none" on the wire.
    pub const ZERO: TopicId = TopicId([0; 16]);

    /// An id from its sixteen bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> TopicId {
        TopicId(bytes)
    }

    /// The sixteen bytes, as on the wire.
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// What stands for the id of a topic whose cluster tells none (before Kafka 2.8): an id that
    /// follows from the name, so that it is the same each time. It says nothing about whether the
    /// topic is still the one it was.
    #[must_use]
    pub fn of_name(name: &TopicName) -> TopicId {
        TopicId(uuid::Uuid::new_v5(&BY_NAME, name.as_str().as_bytes()).into_bytes())
    }

    /// Whether both can be ids of one topic of this name: they are equal, or one of them only
    /// stands for the name.
    #[must_use]
    pub fn agrees(self, other: TopicId, name: &TopicName) -> bool {
        self == other || [self, other].contains(&TopicId::of_name(name))
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = u128::from_be_bytes(self.0);
        let digits = (0..BASE64_DIGITS).map(|digit| match digit {
            21 => (id << 4) & 63,
            _ => (id >> (122 - 6 * digit)) & 63,
        });
        for digit in digits {
            fmt::Write::write_char(f, char::from(BASE64[digit as usize]))?;
        }
        Ok(())
    }
}

/// A text that is not a topic id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a topic id: 22 characters of URL-safe base64 are expected")]
pub struct UnknownTopicId(pub String);

impl FromStr for TopicId {
    type Err = UnknownTopicId;

    fn from_str(text: &str) -> Result<TopicId, UnknownTopicId> {
        let refuse = || UnknownTopicId(text.to_owned());
        if text.len() != BASE64_DIGITS {
            return Err(refuse());
        }
        let mut id = 0u128;
        for (at, byte) in text.bytes().enumerate() {
            let digit = BASE64
                .iter()
                .position(|known| *known == byte)
                .ok_or_else(refuse)? as u128;
            match at {
                21 if digit & 15 == 0 => id = id << 2 | digit >> 4,
                21 => return Err(refuse()),
                _ => id = id << 6 | digit,
            }
        }
        Ok(TopicId(id.to_be_bytes()))
    }
}

/// A 128-bit id of something that is no topic: a log directory, an incarnation; printed likewise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// An id from its sixteen bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Uuid {
        Uuid(bytes)
    }

    /// The sixteen bytes, as on the wire.
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        TopicId(self.0).fmt(f)
    }
}

/// A topic's name; cheap to clone and shared by the threads that speak of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// The longest name that Kafka accepts, in bytes.
    pub const BYTES_MAX: usize = 249;

    /// A name that Kafka accepts (`Topic.validate`): 1 to 249 of `[a-zA-Z0-9._-]`, not `.` or
    /// `..`. Nothing else may become a directory's name.
    #[must_use]
    pub fn new(name: &str) -> Option<TopicName> {
        TopicName::is_legal(name).then(|| TopicName(name.into()))
    }

    /// Whether it is such a name.
    #[must_use]
    pub fn is_legal(name: &str) -> bool {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=Self::BYTES_MAX).contains(&name.len())
            && name.bytes().all(legal)
            && name != "."
            && name != ".."
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A partition's number within its topic, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionIndex(i32);

impl PartitionIndex {
    /// A partition's number as stated by a peer or a name; `None` where it is negative.
    #[must_use]
    pub fn new(index: i32) -> Option<PartitionIndex> {
        (index >= 0).then_some(PartitionIndex(index))
    }

    /// The number itself.
    #[must_use]
    pub fn value(self) -> i32 {
        self.0
    }
}

impl fmt::Display for PartitionIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One partition of one topic; printed `topic-3`, as Kafka names its directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: TopicName,
    /// The partition's number.
    pub partition: PartitionIndex,
}

impl FromStr for TopicPartition {
    type Err = ();

    /// Reads a directory's name: everything before the last hyphen is the topic.
    fn from_str(name: &str) -> Result<TopicPartition, ()> {
        let (topic, index) = name.rsplit_once('-').ok_or(())?;
        let canonical = index == "0" || !index.starts_with(['0', '+', '-']);
        let partition = index
            .parse()
            .ok()
            .filter(|_| canonical)
            .and_then(PartitionIndex::new);
        Ok(TopicPartition {
            topic: TopicName::new(topic).ok_or(())?,
            partition: partition.ok_or(())?,
        })
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A broker's node id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerId(pub i32);

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An idempotent or transactional producer's id, as the source's cluster gave it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(i64);

impl ProducerId {
    /// The id as stated in a batch; `None` where the batch has no producer (−1 and below).
    #[must_use]
    pub fn from_wire(id: i64) -> Option<ProducerId> {
        (id >= 0).then_some(ProducerId(id))
    }

    /// The number itself.
    #[must_use]
    pub fn value(self) -> i64 {
        self.0
    }
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is added to the producer ids of a copy, so that they do not meet those that the cluster
/// which adopts it gives out. Never negative: a broker takes a negative id for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProducerIdShift(i64);

impl ProducerIdShift {
    /// The ids stay as the source's cluster gave them out.
    pub const NONE: ProducerIdShift = ProducerIdShift(0);

    /// A shift by so much; `None` where it is negative.
    #[must_use]
    pub fn new(shift: i64) -> Option<ProducerIdShift> {
        (shift >= 0).then_some(ProducerIdShift(shift))
    }

    /// The number itself.
    #[must_use]
    pub fn value(self) -> i64 {
        self.0
    }
}

impl fmt::Display for ProducerIdShift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One of our data-plane threads, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
