//! What control and shards tell the leading thread and what it reports: the only words between
//! threads, the lease aside.
//!
//! Orders are obeyed in their order. Before any of them, everything is taken in that shards have
//! told up to then: whoever waits for a shard's word before an order can rely on that.

use std::path::PathBuf;

use crate::model::{BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId, TopicPartition};

pub use super::lease::Lease;
pub use crate::log::LeaderEpochs;
pub use crate::protocol::controller::IsrChange;
pub use crate::replica::Eligible;

/// What control wants of the leading thread.
#[derive(Debug)]
pub enum Order {
    /// We lead a partition, or it has changed while we do.
    Lead(Box<Leadership>),
    /// We lead it no longer: whoever fetches is told so, those that are held back at once. Where a
    /// topic of another id is led under the name by now, nothing changes.
    Resign {
        /// Its topic's id in the destination.
        topic_id: TopicId,
        /// Which partition.
        id: TopicPartition,
    },
    /// Brokers that may be in sync: registered, unfenced, not on their way out, with the epochs of
    /// their lives. We are among them, or nothing can be proposed.
    Brokers(Eligible),
    /// What became of a proposal. Every [`Report::Propose`] gets one, but for those that are
    /// forgotten with our life: they are repeated after a while.
    Fate {
        /// The partition's topic.
        topic_id: TopicId,
        /// Its number.
        partition: PartitionIndex,
        /// What it is.
        fate: IsrFate,
    },
    /// End: all connections are closed.
    Close,
}

/// A partition that we lead.
///
/// Sent again in the same leader epoch it brings another partition epoch, other replicas, others in
/// sync, another `min_isr`, another `holds_others`; an older partition epoch changes nothing. What
/// it says of the log counts only where the leader epoch is new: of the present one shards tell
/// more.
///
/// Where nothing of the log is others', all transactions that are open in it are the source's:
/// markers that the destination's own coordinators send for theirs are answered, and nothing is
/// written.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// Its name.
    pub id: TopicPartition,
    /// Its topic's id in the destination.
    pub topic_id: TopicId,
    /// Where its files lie.
    pub dir: PathBuf,
    /// Our epoch as its leader: what its batches are stamped with by now.
    pub leader_epoch: LeaderEpoch,
    /// Counts all changes of the partition.
    pub partition_epoch: i32,
    /// Who has a replica, we among them.
    pub replicas: Vec<BrokerId>,
    /// Who is in sync, we among them.
    pub isr: Vec<BrokerId>,
    /// With fewer in sync nothing is committed: the topic's `min.insync.replicas`, no more than it
    /// has replicas.
    pub min_isr: usize,
    /// Something of the log is not the source's: written by others, or a marker of a stop.
    pub holds_others: bool,
    /// The first offset that we have.
    pub log_start: Offset,
    /// Before our log begins, others have what lies from the one offset to the other: as long as
    /// ours begins no later than that ends, the whole is told to begin with theirs.
    pub before: Option<(Offset, Offset)>,
    /// The log's end.
    pub log_end: Offset,
    /// Where each epoch began; the last one is ours.
    pub epochs: LeaderEpochs,
    /// The high watermark as it was written down last.
    pub high_watermark: Offset,
}

/// What became of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IsrFate {
    /// It is so.
    Committed {
        /// Who is in sync now.
        isr: Vec<BrokerId>,
        /// Counts all changes.
        partition_epoch: i32,
    },
    /// It is as it was before; something else may be proposed.
    Reverted,
    /// The metadata will say what is so; nothing is to be proposed before.
    Overtaken,
}

/// A shard's log that we lead has moved. A newer one replaces an older one of the same stamp.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Which partition.
    pub id: TopicPartition,
    /// The leader epoch that the shard stamps batches with: of another than ours, it is of another
    /// leadership.
    pub stamp: LeaderEpoch,
    /// The first offset that may be read.
    pub log_start: Offset,
    /// The log's end. Everything below lies in the files.
    pub log_end: Offset,
    /// Where each epoch began, where that has changed since it was told last in this epoch.
    pub epochs: Option<LeaderEpochs>,
}

/// What the leading thread tells control.
#[derive(Debug)]
pub enum Report {
    /// Others are to be in sync. Nothing else is proposed for the partition until its fate is told.
    Propose(IsrChange),
    /// Partitions that have moved, each at most once.
    Stood(Vec<Stood>),
    /// What was done in all, where that has changed.
    Tally(Tally),
}

/// Where a partition stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stood {
    /// Which partition.
    pub id: TopicPartition,
    /// Our epoch as its leader.
    pub leader_epoch: LeaderEpoch,
    /// Everybody in sync has what lies below.
    pub high_watermark: Offset,
    /// The log's end.
    pub log_end: Offset,
    /// The high watermark is the log's end, and everybody in sync but us has fetched from there in
    /// this leader epoch. True as well where we are alone in sync: a controller hands over to
    /// nobody then.
    pub is_drained: bool,
    /// From where on each follower has asked last in this leader epoch.
    pub followers: Vec<(BrokerId, Offset)>,
}

/// What was done since the thread began; only `connections` can fall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that are open.
    pub connections: u64,
    /// Fetches that were answered.
    pub fetches: u64,
    /// Bytes of records that were sent.
    pub record_bytes: u64,
    /// Partitions of requests that were not believed: not a follower, not one of the partition's,
    /// or in a life that is over.
    pub refused: u64,
    /// Connections that were closed because of what came over them, or because there were too many.
    pub closed: u64,
    /// Times that a log held what must not be served: a batch that is damaged, or has a leader
    /// epoch above ours.
    pub unservable: u64,
}
