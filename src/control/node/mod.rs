//! A node: mirrors under control until it is told to end.
//!
//! One loop owns all state. It takes what has happened (a report of a shard, an operator's request,
//! news of the destination, the end of an errand), has the machines of `mirror` and [`course`]
//! decide, writes what must be kept, and only then carries out what was decided. Everything that
//! waits for somebody else is an errand of its own that ends as an [`Event`].
//!
//! A step is said again until it is seen to be done: what an event did not bring, the next look
//! at the same partition brings.

mod asides;
mod asks;
mod away;
mod chores;
mod course;
mod creating;
mod describe;
mod dwelling;
mod event;
mod feed;
mod guarding;
mod handing_over;
mod hearing;
mod held;
mod identity;
mod lifecycle;
mod low_ids;
mod member;
mod mirrored;
mod operators;
mod planned;
mod planned_file;
mod progress;
mod questions;
mod reports;
mod retaining;
mod returning;
mod running;
mod shelf;
mod starting;
mod steps;
mod stops;
mod strangers;
mod taking_back;
mod telling;
mod topics;
mod turns;
mod whose;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::io::World;
use crate::leading::inbox::Tally;
use crate::mirror::{MirrorName, MirrorSettings, PartitionKey, Record, StateLog};
use crate::model::{Instant, ShardId, TopicPartition};
use crate::session::Opening;
use crate::shard::inbox::{Order, Report};
use crate::stdx::prng::Prng;

use super::admin::Asked;
use super::metrics::Snapshot;
use super::questions::Questions;
use super::state_file::StateFile;
use super::{NodeOptions, Options};
use asides::Asides;
use chores::Chores;
use event::Then;
use feed::Feed;
use held::Held;
use member::Membership;
use mirrored::Mirrored;
use planned::Planned;
use shelf::Shelf;
use turns::AnswerDue;

pub use event::Event;
pub use feed::ShardTie;
pub use hearing::Hearing;
pub use identity::{IdentityFault, Kept};
pub use member::MemberTies;
pub use running::{NodeFault, Ties, run};

/// Starts the shards of a mirror that is set so.
pub type Threads = Box<dyn FnMut(&MirrorName, &MirrorSettings) -> Vec<ShardTie>>;

/// All that a node knows.
struct Node<W: World> {
    world: W,
    options: Options,
    chosen: NodeOptions,
    opening: Opening,
    chance: Prng,
    threads: Threads,
    /// What is mirrored and where each partition of it is, as it is kept on disk.
    file: StateFile<W::Disk>,
    /// Records to be kept next, and what each is waited for with.
    writes: Vec<(Record, Then)>,
    /// Not before this moment: the disk has refused them.
    keep_at: Instant,
    feeds: BTreeMap<MirrorName, Feed>,
    /// Whose shards are whose; none for the one that follows leaders of the destination.
    shards: BTreeMap<ShardId, Option<MirrorName>>,
    /// Why it cannot go on.
    fatal: Option<NodeFault>,
    /// CPU time of the shards' threads.
    worked: BTreeMap<ShardId, Duration>,
    /// To every shard that has not ended.
    ties: BTreeMap<ShardId, mpsc::Sender<Order>>,
    partitions: BTreeMap<PartitionKey, Mirrored>,
    by_id: BTreeMap<TopicPartition, PartitionKey>,
    /// Partitions of which something is new.
    touched: BTreeSet<PartitionKey>,
    /// Partitions that have failed because their source was away.
    bereft: BTreeSet<PartitionKey>,
    /// Logs that are opened once their notes no longer are of another topic.
    renamed: Vec<(PartitionKey, Order)>,
    /// Partitions to be looked at again at a moment.
    timers: BTreeSet<(Instant, PartitionKey)>,
    /// The logs: of each mirror where the destination is a vault, all together under no name
    /// where it is a cluster.
    shelves: BTreeMap<Option<MirrorName>, Shelf<W::Disk>>,
    /// No shard that has ended has left a log as a kill would.
    is_clean: bool,
    /// The destination's cluster, unless it is a vault.
    membership: Option<Membership>,
    /// Questions about logs at the destination, and answers that shards are to get.
    destination_questions: Questions,
    answers_due: Vec<AnswerDue>,
    chores: Chores,
    /// What was set aside of its logs.
    asides: Asides,
    /// Topics that are to be stopped once nothing is missing, or whatever comes of it.
    planned: Planned,
    /// Questions that wait for their answer.
    held: Vec<Held>,
    /// What the thread that serves followers has done in all.
    served: Tally,
    reports: mpsc::Receiver<(ShardId, Report)>,
    events_in: mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
    /// From operators.
    operators: mpsc::Receiver<Asked>,
    /// Actions that have failed, by mirror.
    failures: BTreeMap<MirrorName, u64>,
    /// To whoever tells our metrics.
    snapshots: watch::Sender<Arc<Snapshot>>,
    write_books_at: Instant,
    tell_metrics_at: Instant,
}

impl<W: World> Node<W> {
    fn state(&self) -> &StateLog {
        self.file.log()
    }
}
