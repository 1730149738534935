//! What control orders and what a shard reports: the only words between threads.
//!
//! Orders are obeyed in their order. Reports are level-triggered: a status says where a
//! partition stands, so that a newer one replaces an older one that was not read yet.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::model::{
    BrokerEpoch, BrokerId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, ProducerIdShift,
    SetAside, TopicId, TopicPartition,
};

pub use super::placement::shard_of;
pub use crate::log::{Digested, LeaderEpochs, LogOptions, PRODUCERS_KEPT_MS, Recovered, Retention};
pub use crate::protocol::fetch::Endpoint;
pub use crate::source::{Answer, Cause, CursorId, EpochEnd, Question, Reached};

/// What control wants of a shard.
#[derive(Debug)]
pub enum Order {
    /// Where brokers listen.
    Brokers(Vec<Endpoint>),
    /// Begin to mirror a partition.
    Mirror(Box<Mirror>),
    /// Who leads a partition.
    Leader {
        /// Which partition.
        id: TopicPartition,
        /// Its leader.
        leader: BrokerId,
        /// The leader's epoch.
        epoch: LeaderEpoch,
    },
    /// The answer to a question.
    Answer {
        /// Whose question.
        cursor: CursorId,
        /// The answer.
        answer: Answer,
    },
    /// The recovery points that the vault's checkpoint says from now on, where they have moved.
    Recorded(Vec<(TopicPartition, Offset)>),
    /// Up to these offsets every in-sync replica has the log: retention goes no further.
    Replicated(Vec<(TopicPartition, Offset)>),
    /// The controller has registered us anew, in this epoch. To shards that fetch as a replica.
    Registered(BrokerEpoch),
    /// Lead anew, in a higher epoch; the log stays open. Told: [`Told::Opened`], again.
    Stamp {
        /// Which partition.
        id: TopicPartition,
        /// The epoch, which begins at the log's end.
        epoch: LeaderEpoch,
    },
    /// Fetch from the log's end on; nothing is told.
    Fetch {
        /// Which partition.
        id: TopicPartition,
    },
    /// What goes with time from now on; `None` keeps everything. Nothing is told.
    Retain {
        /// Which partition.
        id: TopicPartition,
        /// Its topic's settings.
        retention: Option<Retention>,
    },
    /// See which of these producers have written to a log that is open. Told: [`Told::Compared`];
    /// nothing of one that is not open.
    Compare {
        /// Which partition.
        id: TopicPartition,
        /// The producers.
        with: Arc<BTreeSet<ProducerId>>,
        /// What the answer is told apart by.
        version: u64,
    },
    /// Fetch no more, and append nothing of what is under way. Told: [`Told::Ceased`].
    Cease {
        /// Which partition.
        id: TopicPartition,
    },
    /// Abort every open transaction of a stamped log that is not fetched, durably. Told:
    /// [`Told::Sealed`]. May be repeated, and then aborts nothing.
    Seal {
        /// Which partition.
        id: TopicPartition,
    },
    /// Cut a log that is not fetched. Told: [`Told::Cut`]. The recovery point that is written down
    /// elsewhere need not be lowered before. Where it fails half-way, the partition is forgotten:
    /// it has to be mirrored again, and may be cut then.
    Cut {
        /// Which partition.
        id: TopicPartition,
        /// Where it is to end, or at the batch boundary below. One that begins later is emptied,
        /// and begins there as well.
        to: Offset,
    },
    /// Make a partition durable, close it cleanly and forget it. Told: [`Told::Released`]. It may
    /// be mirrored again then, by this shard or by another one.
    Release {
        /// Which partition.
        id: TopicPartition,
    },
    /// End a partition, for a reason that control has seen.
    Stop {
        /// Which partition.
        id: TopicPartition,
        /// Why.
        cause: Cause,
    },
    /// Make everything durable, close it, report once more and end.
    Close,
}

/// A partition to be mirrored.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// Its name.
    pub id: TopicPartition,
    /// Its topic's id at the source.
    pub topic_id: TopicId,
    /// The topic's id that its files name, where that is another one: the destination's.
    pub held_topic_id: Option<TopicId>,
    /// Where its files lie or will lie.
    pub dir: PathBuf,
    /// The source's broker that leads it.
    pub leader: BrokerId,
    /// That leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// Where the log begins: as the vault knows, or as the source says for a new one.
    pub log_start: Offset,
    /// Below it the vault's files were synced.
    pub recovery_point: Offset,
    /// The vault was closed cleanly.
    pub is_clean: bool,
    /// From here on the source still has all that the vault had, just as it was.
    pub refetchable: Option<Offset>,
    /// The topic's settings of segments.
    pub options: LogOptions,
    /// What is added to the producer ids of its batches; the vault remembers it.
    pub producer_id_shift: ProducerIdShift,
    /// Done once this is reached; `None` follows for ever.
    pub until: Option<Offset>,
    /// The epoch in which we lead it at the destination: batches get it, and it begins where the
    /// log ends. `None` leaves the source's in them.
    pub stamp: Option<LeaderEpoch>,
    /// It is fetched at once; otherwise only opened, and fetched when that is ordered.
    pub fetches: bool,
    /// What its files hold is dropped first: it begins, and ends, at `log_start`.
    pub restarts: bool,
    /// The source's epochs of all that a stamped log holds, where they are known better than by
    /// the file beside it.
    pub source_epochs: Option<LeaderEpochs>,
    /// What the source has lost may be cut off here as well.
    pub may_truncate: bool,
    /// Where what is cut off is set aside first: a directory outside all logs' directories.
    pub aside: Option<PathBuf>,
    /// The log begins no earlier than the source's.
    pub follows_log_start: bool,
    /// What goes with time; `None` keeps everything.
    pub retention: Option<Retention>,
}

/// What a shard tells control.
#[derive(Debug, Default)]
pub struct Report {
    /// Partitions that have moved, each at most once.
    pub statuses: Vec<Status>,
    /// What only control can find out.
    pub questions: Vec<Asked>,
    /// What has happened, each told once, in its order.
    pub told: Vec<Told>,
    /// CPU time that the shard's thread has used since it began.
    pub worked: Duration,
    /// Set in the last report: the shard is closed.
    pub closed: Option<Closed>,
}

/// Something that has happened to a partition, an order carried out most of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Its log is open. Where it is stamped, that epoch has begun, and its checkpoint says so.
    Opened {
        /// Which partition.
        id: TopicPartition,
        /// Its log's start.
        log_start: Offset,
        /// Its log's end.
        log_end: Offset,
        /// Its epochs, of the destination where it is stamped.
        epochs: LeaderEpochs,
        /// The epoch in which we lead it.
        stamp: Option<LeaderEpoch>,
        /// Up to where the log is known to be the source's. It can be fetched where that is all of
        /// it; otherwise it has to be cut there first, or opened with what is known of the source's
        /// epochs.
        mirrored: Offset,
        /// The source's epoch of the last batch below; none where there is no batch.
        source_epoch: LeaderEpoch,
    },
    /// Nothing more is fetched or appended.
    Ceased {
        /// Which partition.
        id: TopicPartition,
        /// Its log's end.
        log_end: Offset,
        /// Up to where the log is the source's: the last mirrored offset. Below the log's end only
        /// where it was sealed before, or another leader has taken something in.
        mirrored: Offset,
        /// The source's epoch of the last batch below: the last mirrored epoch. None where there is
        /// no batch.
        source_epoch: LeaderEpoch,
        /// The digest of what is the source's, from where it is known on; none where it is not, and
        /// where the files have failed.
        digest: Option<Digested>,
    },
    /// A log was compared with producers, as it was then.
    Compared {
        /// Which partition.
        id: TopicPartition,
        /// As it was asked.
        version: u64,
        /// Those that have written to it.
        met: Vec<ProducerId>,
    },
    /// Every transaction has ended, and all of the log is durable.
    Sealed {
        /// Which partition.
        id: TopicPartition,
        /// Its log's end, behind the markers.
        log_end: Offset,
        /// The transactions that were aborted, in the order of their markers.
        aborted: Vec<Aborted>,
    },
    /// What is about to be cut off was set aside.
    SetAside {
        /// Which partition.
        id: TopicPartition,
        /// What it comes to.
        aside: Box<SetAside>,
    },
    /// The log was cut, as ordered.
    Cut {
        /// Which partition.
        id: TopicPartition,
        /// Its log's start.
        log_start: Offset,
        /// Its log's end now.
        log_end: Offset,
        /// Its epochs now.
        epochs: LeaderEpochs,
    },
    /// The source has lost what was copied from it, and the log was cut likewise.
    SourceTruncated {
        /// Which partition.
        id: TopicPartition,
        /// Its log's end now.
        to: Offset,
    },
    /// The same of a log that is stamped, which is as it was, and not fetched any more: replicas
    /// have it too, so that it can be cut in another epoch only.
    SourceTookBack {
        /// Which partition.
        id: TopicPartition,
        /// From where on the source has not got what the log has.
        from: Offset,
    },
    /// Its files failed: what they hold beyond `durable` is not known. It may be released and
    /// mirrored again.
    Broken {
        /// Which partition.
        id: TopicPartition,
        /// All below is there, whatever happens to the power.
        durable: Offset,
        /// What failed.
        why: String,
    },
    /// It is closed and forgotten.
    Released {
        /// Which partition.
        id: TopicPartition,
        /// Its log's start.
        log_start: Offset,
        /// Its log's end.
        log_end: Offset,
        /// All of it is durable, and its files are as a clean stop leaves them.
        is_clean: bool,
    },
    /// An order could not be carried out.
    Failed {
        /// Which partition.
        id: TopicPartition,
        /// The order, as a verb.
        what: &'static str,
        /// Why.
        why: String,
    },
}

/// A transaction that was ended here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted {
    /// Whose.
    pub producer: ProducerId,
    /// In which life of the producer.
    pub epoch: ProducerEpoch,
    /// Where it began.
    pub first_offset: Offset,
}

/// A question with the names that control needs to ask it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The question.
    pub question: Question,
    /// The partition that it is about; none where it is about a broker.
    pub id: Option<(TopicPartition, TopicId)>,
}

/// Where a partition stands.
#[derive(Clone, Debug)]
pub struct Status {
    /// Which partition.
    pub id: TopicPartition,
    /// What it is doing.
    pub phase: Phase,
    /// What it has copied since it was opened.
    pub tally: Tally,
    /// Its log's start.
    pub log_start: Offset,
    /// Its log's end.
    pub log_end: Offset,
    /// Everything below is on disk, whatever happens to the power.
    pub durable: Offset,
    /// The source's high watermark, once told.
    pub high_watermark: Option<Offset>,
    /// What the source had lost before we came: first missing offset, first one behind.
    pub gaps: Vec<(Offset, Offset)>,
    /// What opening it took.
    pub recovered: Recovered,
    /// The source's epoch of its last batch that is the source's; none where there is none.
    pub source_epoch: LeaderEpoch,
    /// Transactions that no marker has ended yet.
    pub open_transactions: usize,
    /// The largest producer id that it is known to hold.
    pub largest_producer_id: Option<ProducerId>,
    /// Where a replica had all that its leader had.
    pub reached: Option<Reached>,
}

/// What a partition is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Copying, or waiting for more.
    Mirroring,
    /// Something failed and is tried again; in words.
    Waiting(String),
    /// All that was asked for is durable.
    Done,
    /// It goes no further; the others do. In words.
    Stopped(String),
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes of batches.
    pub bytes: u64,
    /// Batches.
    pub batches: u64,
}

/// A closed shard's last words.
#[derive(Debug)]
pub struct Closed {
    /// Every log of it is synced and closed as a clean stop demands.
    pub is_clean: bool,
    /// Milliseconds from a batch's largest timestamp to its commit here, of batches that were
    /// committed within a minute of it.
    pub lag_ms: Histogram<u64>,
}
