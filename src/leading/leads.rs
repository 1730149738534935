//! All that we lead, and what becomes of it when somebody fetches, a shard has moved or control
//! gives an order. Nothing waits here; files are only read.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::connections::{ConnectionId, Connections};
use super::inbox::{Eligible, IsrFate, Leadership, Lease, Moved, Order, Report};
use super::news::News;
use super::options::Options;
use super::partition::{Change, Led};
use super::records::Records;
use crate::io::{Buf, Disk, Net, World};
use crate::model::{
    BrokerId, Instant, LeaderEpoch, Offset, PartitionIndex, TopicId, TopicName, TopicPartition,
};
use crate::replica::Fetched;
use crate::server::{EpochEnd, EpochEnds, FetchNeeds, Partition, Reply, Server};

/// A partition, as followers name it.
pub(super) type Key = (TopicId, PartitionIndex);

pub(super) type StreamOf<W> = <<W as World>::Net as Net>::Stream;

/// How often idle connections are looked for.
const IDLE_INTERVAL: Duration = Duration::from_secs(10);

/// One partition with its files.
pub(super) struct Entry<D: Disk> {
    pub(super) led: Led,
    pub(super) records: Records<D>,
    /// Who holds a fetch of it back.
    pub(super) watchers: Vec<ConnectionId>,
    /// What control was told last of its being drained.
    said_drained: bool,
    /// It was said that it cannot be served.
    pub(super) has_complained: bool,
}

/// All partitions, and where their epochs end.
pub(super) struct Entries<D: Disk>(pub(super) BTreeMap<Key, Entry<D>>);

impl<D: Disk> EpochEnds for Entries<D> {
    fn end_of(
        &self,
        topic: TopicId,
        partition: PartitionIndex,
        epoch: LeaderEpoch,
    ) -> Option<EpochEnd> {
        let (epoch, end) = self.0.get(&(topic, partition))?.led.end_of(epoch)?;
        Some(EpochEnd { epoch, end })
    }

    fn epoch_at(&self, topic: TopicId, partition: PartitionIndex, offset: Offset) -> LeaderEpoch {
        let entry = self.0.get(&(topic, partition));
        entry.map_or(LeaderEpoch::NONE, |entry| entry.led.epoch_at(offset))
    }
}

/// What one thread leads.
pub(super) struct Leads<W: World> {
    us: BrokerId,
    pub(super) world: W,
    pub(super) options: Options,
    lease: Lease,
    pub(super) server: Server,
    pub(super) entries: Entries<W::Disk>,
    keys: BTreeMap<TopicPartition, Key>,
    /// What shards have told of leaderships that control has yet to tell of.
    early: BTreeMap<TopicPartition, Moved>,
    brokers: Eligible,
    /// Partitions with a proposal that has no fate.
    pending: BTreeSet<Key>,
    pub(super) news: News,
    pub(super) connections: Connections<StreamOf<W>>,
    /// Buffers that answers were sent from.
    pub(super) shelf: Vec<Buf>,
    next_lag_look: Instant,
    next_idle_look: Instant,
    /// When the thread takes its next turn by itself.
    next_turn: Instant,
    is_closed: bool,
}

impl<W: World> Leads<W> {
    pub(super) fn new(
        world: W,
        us: BrokerId,
        options: Options,
        lease: Lease,
        reports: mpsc::Sender<Report>,
    ) -> Leads<W> {
        options.assert_sound();
        Leads {
            us,
            world,
            lease,
            server: Server::for_followers(),
            entries: Entries(BTreeMap::new()),
            keys: BTreeMap::new(),
            early: BTreeMap::new(),
            brokers: Eligible::new(),
            pending: BTreeSet::new(),
            news: News::new(reports, options.report_interval()),
            connections: Connections::new(),
            shelf: Vec::new(),
            next_lag_look: Instant::default(),
            next_idle_look: Instant::default(),
            next_turn: Instant::default(),
            is_closed: false,
            options,
        }
    }

    /// What is answered to a request. A fetch counts as the follower's word.
    pub(super) fn hear(&mut self, from: ConnectionId, frame: &[u8], now: Instant) -> Reply {
        self.connections.heard(from, now);
        self.server.trust(self.lease.holds(now));
        let reply = self.server.answer(frame, &self.entries);
        match &reply {
            Reply::Fetch(needs) => self.follow(needs, now),
            Reply::Close(_) => self.news.tally.closed += 1,
            Reply::Ready(_) => {}
        }
        self.news.tally.refused = self.server.refused();
        reply
    }

    /// What a fetch that was held back needs by now.
    pub(super) fn again(&mut self, held: &FetchNeeds, now: Instant) -> FetchNeeds {
        self.server.trust(self.lease.holds(now));
        self.server.again(held, &self.entries)
    }

    fn follow(&mut self, needs: &FetchNeeds, now: Instant) {
        let Some((follower, epoch)) = needs.follower() else {
            return;
        };
        for range in needs.ranges() {
            let key = (range.topic, range.partition);
            let entry = self.entries.0.get_mut(&key);
            let entry = entry.expect("what is told of was led just now");
            let fetched = Fetched {
                follower,
                epoch,
                offset: range.from,
                at: now,
            };
            let (is_news, proposal) = entry.led.fetched(&fetched, &self.brokers);
            if let Some(change) = proposal {
                self.pending.insert(key);
                self.news.propose(change);
            }
            if is_news {
                self.moved_on(key);
            }
        }
    }

    /// Something has changed that is told of a partition.
    fn moved_on(&mut self, key: Key) {
        let Some(entry) = self.entries.0.get_mut(&key) else {
            return;
        };
        let marks = entry.led.watermarks();
        let is_known = self.server.tell_watermarks(key.0, key.1, marks);
        assert!(is_known, "the server was told of what we lead");
        let is_drained = entry.led.is_drained();
        self.news.moved(key, is_drained != entry.said_drained);
        entry.said_drained = is_drained;
    }

    /// Shards have moved.
    pub(super) fn moved(&mut self, moves: Vec<Moved>, now: Instant) {
        for told in moves {
            let key = self.keys.get(&told.id).copied();
            let entry = key.and_then(|key| self.entries.0.get_mut(&key));
            match (key, entry) {
                (Some(key), Some(entry)) if told.stamp <= entry.led.leader_epoch => {
                    let change = entry.led.moved(now, told);
                    if change == Change::Cut {
                        entry.records.forget();
                        entry.has_complained = false;
                    }
                    if change != Change::None {
                        self.connections.wake(&mut entry.watchers);
                        self.moved_on(key);
                    }
                }
                _ => self.keep_for_later(told),
            }
        }
    }

    fn keep_for_later(&mut self, mut told: Moved) {
        if let Some(before) = self.early.remove(&told.id) {
            if before.stamp > told.stamp {
                told = before;
            } else if before.stamp == told.stamp {
                told.epochs = told.epochs.or(before.epochs);
            }
        }
        self.early.insert(told.id.clone(), told);
    }

    /// Does what control wants, but to end.
    pub(super) fn obey(&mut self, order: Order, now: Instant) {
        match order {
            Order::Lead(told) => self.lead(*told, now),
            Order::Resign { topic_id, id } => self.resign(&id, topic_id),
            Order::Brokers(brokers) => {
                self.server.tell_brokers(brokers.clone());
                self.brokers = brokers;
            }
            Order::Fate {
                topic_id,
                partition,
                fate,
            } => self.fate((topic_id, partition), fate, now),
            Order::Close => unreachable!("the thread ends by itself"),
        }
    }

    fn lead(&mut self, told: Leadership, now: Instant) {
        let (id, key) = (told.id.clone(), (told.topic_id, told.id.partition));
        self.resign_namesakes(&id.topic, told.topic_id);
        let held = self.entries.0.get_mut(&key);
        match held {
            Some(entry) if told.leader_epoch < entry.led.leader_epoch => return,
            Some(entry) if told.leader_epoch == entry.led.leader_epoch => {
                entry.led.change(now, &told);
                entry.records.retain(&entry.led.replicas);
            }
            _ => self.begin(told, now),
        }
        self.keys.insert(id.clone(), key);
        let entry = self.entries.0.get_mut(&key).expect("it is led now");
        let partition = Partition {
            leader_epoch: entry.led.leader_epoch,
            watermarks: entry.led.watermarks(),
            held_from: entry.led.held_from(),
            followers: entry.led.replicas.clone(),
            holds_others: entry.led.holds_others,
        };
        self.server.lead(&id.topic, key.0, key.1, partition);
        self.connections.wake(&mut entry.watchers);
        if !entry.led.is_pending() {
            self.pending.remove(&key);
        }
        self.moved_on(key);
    }

    fn begin(&mut self, told: Leadership, now: Instant) {
        let key = (told.topic_id, told.id.partition);
        let records = Records::new(self.world.disk().clone(), &told.dir);
        let early = self.early.remove(&told.id);
        let mut led = Led::begin(self.us, now, told);
        match early {
            // Of a leadership that is still to come.
            Some(early) if early.stamp > led.leader_epoch => self.keep_for_later(early),
            Some(early) => {
                let _change = led.moved(now, early);
            }
            None => {}
        }
        let before = self.entries.0.remove(&key);
        let entry = Entry {
            led,
            records,
            watchers: before.map_or_else(Vec::new, |before| before.watchers),
            said_drained: false,
            has_complained: false,
        };
        self.entries.0.insert(key, entry);
        self.pending.remove(&key);
        // Control is to hear at least once where it stands.
        self.news.moved(key, true);
    }

    /// A topic that was made anew has another id: of the one before nothing is led any more.
    fn resign_namesakes(&mut self, topic: &TopicName, id: TopicId) {
        let first = TopicPartition {
            topic: topic.clone(),
            partition: PartitionIndex::default(),
        };
        let all = self.keys.range(first..);
        let all = all.take_while(|(of, _)| of.topic == *topic);
        let stale = all.filter(|(_, key)| key.0 != id);
        let stale = stale.map(|(of, key)| (of.clone(), key.0));
        for (stale, topic_id) in stale.collect::<Vec<_>>() {
            self.resign(&stale, topic_id);
        }
    }

    fn resign(&mut self, id: &TopicPartition, topic_id: TopicId) {
        let key = (topic_id, id.partition);
        if self.keys.get(id) != Some(&key) {
            return;
        }
        self.keys.remove(id);
        if let Some(mut entry) = self.entries.0.remove(&key) {
            self.connections.wake(&mut entry.watchers);
        }
        self.server.resign(key.0, key.1);
        self.pending.remove(&key);
        self.news.forget(key);
    }

    fn fate(&mut self, key: Key, fate: IsrFate, now: Instant) {
        if let Some(entry) = self.entries.0.get_mut(&key) {
            entry.led.fate(now, fate);
            self.pending.remove(&key);
            self.moved_on(key);
        }
    }

    /// A new connection, unless there are too many.
    pub(super) fn connected(
        &mut self,
        stream: &StreamOf<W>,
        now: Instant,
    ) -> Option<(ConnectionId, Rc<Notify>)> {
        if self.is_closed || self.connections.count() >= self.options.connections_max as usize {
            self.news.tally.closed += 1;
            return None;
        }
        Some(self.connections.add(stream.clone(), now))
    }

    /// Ends all connections, and takes no more.
    pub(super) fn end(&mut self) {
        self.is_closed = true;
        self.connections.end();
    }

    /// Does what is due, and says when to come again.
    pub(super) fn take_turn(&mut self, now: Instant) -> Instant {
        self.turn(now);
        self.next_turn = self.deadline();
        self.next_turn
    }

    /// Whether something is due before the next turn.
    pub(super) fn is_due_early(&self) -> bool {
        self.deadline() < self.next_turn
    }

    fn deadline(&self) -> Instant {
        let looks = self.next_lag_look.min(self.next_idle_look);
        let news = self.news.deadline();
        news.map_or(looks, |news| news.min(looks))
    }

    fn turn(&mut self, now: Instant) {
        if now >= self.next_lag_look {
            self.look_for_lag(now);
        }
        if now >= self.next_idle_look {
            self.next_idle_look = now.after(IDLE_INTERVAL);
            self.connections.end_idle(now, self.options.idle_timeout());
            for entry in self.entries.0.values_mut() {
                entry.records.rest();
            }
        }
        self.news.tally.connections = self.connections.count() as u64;
        let entries = &self.entries.0;
        let stood = |key| entries.get(&key).map(|entry| entry.led.stood());
        self.news.tell(now, stood);
    }

    /// Whoever lags is proposed to be done without; proposals without a fate are repeated.
    fn look_for_lag(&mut self, now: Instant) {
        let lag_max = self.options.replica_lag_max();
        let timeout = self.options.proposal_timeout();
        self.next_lag_look = now.after((lag_max.min(timeout)) / 2);
        if !self.lease.holds(now) {
            return;
        }
        for (key, entry) in &mut self.entries.0 {
            if let Some(change) = entry.led.shrink(now, &self.brokers, lag_max) {
                self.pending.insert(*key);
                self.news.propose(change);
            }
        }
        let pending = std::mem::take(&mut self.pending);
        for key in pending {
            let entry = self.entries.0.get_mut(&key);
            let entry = entry.expect("what is pending is led");
            if let Some(change) = entry.led.repeat(now, timeout) {
                self.news.propose(change);
            }
            if entry.led.is_pending() {
                self.pending.insert(key);
            }
        }
    }
}
