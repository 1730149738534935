//! One core's share of the engine: owns its partitions and connections alone; the only way in is
//! an `Order` or an `Event`.
//!
//! A turn: take what has happened, let `source` and `log` decide, carry it out, then send what
//! may be sent, sync what is due, report what has moved. Nothing is shared with other shards.

mod conversation;
mod cuts;
mod doubt;
mod event;
mod flush;
mod healing;
pub mod inbox;
mod ingest;
mod lanes;
mod moves;
mod options;
mod orders;
mod partition;
mod pauses;
mod placement;
mod reports;
mod retention;
mod silence;
mod tasks;
mod uncut;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hdrhistogram::Histogram;
use tokio::sync::mpsc;

use crate::io::{Clock, Net, World};
use crate::leading::inbox::Moved;
use crate::model::{Instant, ShardId, TopicPartition};
use crate::source::{CursorId, LaneId, Source, Turn};

use event::Event;
use inbox::{Order, Phase, Report};
use lanes::Link;
use partition::Partition;
use pauses::Unopened;

pub use options::Options;

/// Events that may wait: two per connection and sync, and there are few of either.
const EVENTS_MAX: usize = 1024;
/// Events that are taken before the shard looks at what else is due.
const EVENTS_PER_TURN: usize = 64;

type StreamOf<W> = <<W as World>::Net as Net>::Stream;

/// The ends of a shard's queues to and from control.
pub struct Ties {
    /// What control wants.
    pub orders: mpsc::Receiver<Order>,
    /// What control is told, and by whom.
    pub reports: mpsc::Sender<(ShardId, Report)>,
    /// Which shard this is.
    pub shard: ShardId,
    /// What whoever serves our followers is told of the logs that we lead, where anybody does.
    pub moved: Option<mpsc::Sender<Vec<Moved>>>,
}

/// One core's data plane.
pub struct Shard<W: World> {
    world: W,
    options: Options,
    source: Source,
    partitions: BTreeMap<CursorId, Partition<W::Disk>>,
    by_name: BTreeMap<TopicPartition, CursorId>,
    links: BTreeMap<LaneId, Link<W>>,
    next_link: u64,
    /// Why connections were last said to be of no use, and when.
    losses: BTreeMap<LaneId, (Instant, String)>,
    /// No answer to what we ask has more bytes.
    frame_bytes_max: usize,
    events_in: mpsc::Sender<Event<W>>,
    events: mpsc::Receiver<Event<W>>,
    ties: Ties,
    /// Partitions by the moment from which they are due for a sync.
    due: BTreeSet<(Instant, CursorId)>,
    syncs_in_flight: usize,
    /// Partitions whose last batches are to be durable soon.
    to_seal: VecDeque<CursorId>,
    seals_in_flight: usize,
    /// Cuts that the disk has refused, by the moment from which they are tried again.
    cuts_due: BTreeSet<(Instant, CursorId)>,
    /// Partitions that have moved since the last report.
    moved: BTreeSet<CursorId>,
    report: Report,
    next_report: Instant,
    lag_ms: Histogram<u64>,
    /// What the leading thread is still to be told.
    untold: BTreeMap<TopicPartition, Moved>,
    /// Partitions of whose logs the beginning may go.
    to_expire: Vec<CursorId>,
    expire_at: Instant,
    /// Partitions whose logs cannot be opened now.
    unopened: Vec<Unopened>,
    /// No partition's log was refused when it was to be opened.
    all_opened: bool,
}

impl<W: World> Shard<W> {
    /// A shard with nothing to do yet. `seed` spreads its waits after failures.
    #[must_use]
    pub fn new(world: W, options: Options, ties: Ties, seed: u64) -> Shard<W> {
        let (events_in, events) = mpsc::channel(EVENTS_MAX);
        Shard {
            source: Source::new(options.source.clone(), seed),
            frame_bytes_max: doubt::frame_bytes_max(&options.source),
            world,
            options,
            partitions: BTreeMap::new(),
            by_name: BTreeMap::new(),
            links: BTreeMap::new(),
            next_link: 0,
            losses: BTreeMap::new(),
            events_in,
            events,
            ties,
            due: BTreeSet::new(),
            syncs_in_flight: 0,
            to_seal: VecDeque::new(),
            seals_in_flight: 0,
            cuts_due: BTreeSet::new(),
            moved: BTreeSet::new(),
            report: Report::default(),
            next_report: Instant::default(),
            lag_ms: Histogram::new(3).expect("three digits are allowed"),
            untold: BTreeMap::new(),
            to_expire: Vec::new(),
            expire_at: Instant::default(),
            unopened: Vec::new(),
            all_opened: true,
        }
    }

    /// Works until it is told to close, or until nobody is there to tell it.
    pub async fn run(mut self) {
        loop {
            self.act();
            let deadline = self.deadline();
            let clock = self.world.clock().clone();
            tokio::select! {
                biased;
                order = self.ties.orders.recv() => match order {
                    None | Some(Order::Close) => break,
                    Some(order) => self.obey(order),
                },
                event = self.events.recv() => {
                    self.take(event.expect("the shard holds a sender itself"));
                }
                () = sleep(&clock, deadline) => {}
            }
            for _ in 0..EVENTS_PER_TURN {
                let Ok(event) = self.events.try_recv() else {
                    break;
                };
                self.take(event);
            }
        }
        self.close().await;
    }

    fn take(&mut self, event: Event<W>) {
        match event {
            Event::Opened { lane, outcome } => self.opened(lane, outcome),
            Event::Received {
                lane,
                link,
                window,
                outcome,
            } => self.received(lane, link, window, outcome),
            Event::Unsent { lane, link, error } => {
                if self.is_present(lane, link) {
                    self.lose(lane, &error);
                }
            }
            Event::Synced {
                cursor,
                end,
                outcome,
            } => self.synced(cursor, end, outcome),
            Event::Sealed {
                cursor,
                end,
                outcome,
            } => self.sealed(cursor, end, outcome),
        }
    }

    /// Everything that is due now.
    fn act(&mut self) {
        self.reopen();
        self.cut_again();
        self.connect();
        self.fetch();
        self.lose_the_silent();
        self.hang_up();
        self.flush();
        self.expire();
        self.ask();
        self.tell_leading();
        self.tell();
    }

    fn deadline(&self) -> Option<Instant> {
        let report = self.has_news().then_some(self.next_report);
        let sources = [
            self.source.next_deadline(),
            self.flush_deadline(),
            self.silence_deadline(),
            self.reopen_deadline(),
            self.uncut_deadline(),
            self.expire_deadline(),
            self.untold_deadline(),
            report,
        ];
        sources.into_iter().flatten().min()
    }

    fn now(&self) -> Instant {
        self.world.clock().now()
    }

    /// How a partition goes on, as the source has decided.
    fn turn(&mut self, cursor: CursorId, turn: Turn) {
        let Some(partition) = self.partitions.get_mut(&cursor) else {
            return;
        };
        match turn {
            Turn::Continue => {
                partition.suspicion = None;
                let mark = self.source.progress(cursor);
                let mark = mark.and_then(|progress| progress.high_watermark);
                if mark != partition.told_mark {
                    // Nothing may have arrived with it: it is news all the same.
                    partition.told_mark = mark;
                    self.moved.insert(cursor);
                }
                return self.goes_well(cursor);
            }
            Turn::Asked => return,
            Turn::Retry { trouble, .. } => {
                let why = partition.suspicion.take();
                let why = why.unwrap_or_else(|| trouble.to_string());
                return self.pause(cursor, why);
            }
            Turn::Gap { from, to } => {
                let id = &partition.id;
                tracing::debug!("{id}: the source says that it has lost offsets {from} to {to}");
            }
            Turn::Done => {
                if let Some(why) = partition.unhealed_end() {
                    return self.give_up(cursor, why);
                }
                partition.is_complete = true;
                let next = partition.theirs();
                if let Some(until) = partition.mirror.until.filter(|until| next < *until) {
                    let id = &partition.id;
                    tracing::warn!(
                        "{id}: the source says that its log ends at offset {until}, which is not \
                         reached: it gives nothing behind {next}"
                    );
                }
                self.sync_soon(cursor);
            }
            Turn::Stop(cause) => {
                let why = match partition.suspicion.take() {
                    Some(suspicion) => format!("{cause}: {suspicion}"),
                    None => cause.to_string(),
                };
                return self.give_up(cursor, why);
            }
            Turn::Truncate { to } => return self.source_truncated(cursor, to),
            Turn::Restart { at } => return self.source_restarted(cursor, at),
        }
        self.moved.insert(cursor);
    }

    /// Ends a partition; what it has is kept, and synced where its files are sound.
    fn give_up(&mut self, cursor: CursorId, why: String) {
        self.source.stop(cursor);
        let Some(partition) = self.partitions.get_mut(&cursor) else {
            return;
        };
        tracing::error!("{} stops: {why}", partition.id);
        partition.phase = Phase::Stopped(why);
        self.moved.insert(cursor);
        self.next_report = Instant::default();
        self.take_no_more(cursor);
        self.sync_soon(cursor);
    }
}

async fn sleep<C: Clock>(clock: &C, until: Option<Instant>) {
    match until {
        Some(moment) => clock.sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
