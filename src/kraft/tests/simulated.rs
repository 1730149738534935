//! A quorum of three controllers that lose messages, die, elect, cut their logs and forget their
//! beginnings, and the way between them and one broker: all out of one seed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::kraft::image::{Delta, Image, Partition};
use crate::kraft::*;
use crate::model::{Instant, LeaderEpoch, Offset, PartitionIndex, TopicId};
use crate::protocol::ErrorCode;
use crate::protocol::controller::{IsrAnswer, Leadership, SnapshotId};
use crate::protocol::fetch::Endpoint;
use crate::protocol::metadata_record::{
    MetadataRecord, NewPartition, PartitionChange, Recovery, RegisterBroker, spoken,
};
use crate::record::BatchBuilder;

pub(super) const US: BrokerId = BrokerId(9001);
pub(super) const CLUSTER: &str = "simulated";
const SESSION: Duration = Duration::from_secs(9);
const NODES: usize = 3;

/// A batch of the log.
#[derive(Clone, Debug)]
struct Entry {
    base: i64,
    next: i64,
    epoch: i32,
    values: Vec<Vec<u8>>,
}

impl Entry {
    fn bytes(&self) -> Vec<u8> {
        let base = Offset::new(self.base);
        let mut batch = BatchBuilder::new(base, LeaderEpoch::new(self.epoch), 1_000);
        for value in &self.values {
            batch.push(None, Some(value), &[]);
        }
        batch.finish()
    }
}

/// Whoever waits until its record is settled.
struct Waiter {
    needs: i64,
    reply: Reply,
}

/// An answer on its way.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) lane: Lane,
    pub(super) turn: u64,
    pub(super) answer: Answer,
}

/// What the quorum has and believes.
pub(super) struct Quorum3 {
    log: Vec<Entry>,
    log_start: i64,
    start_epoch: i32,
    pub(super) settled: i64,
    epoch: i32,
    pub(super) leader: Option<usize>,
    pub(super) is_up: [bool; NODES],
    /// What each node believes: leader and epoch.
    views: [(Option<usize>, i32); NODES],
    waiters: Vec<Waiter>,
    contact: Instant,
    /// The image at each end of a settled batch.
    pub(super) images: BTreeMap<i64, Image>,
    /// Heartbeats and proposals that came to who does not lead.
    pub(super) astray: u32,
    pub(super) elections: u32,
    /// Fetches of what the leader's log does not have.
    pub(super) diverged: u32,
    /// Fetches of what only a snapshot has.
    pub(super) snapshots: u32,
    topics: u8,
}

impl Quorum3 {
    pub(super) fn new() -> Quorum3 {
        Quorum3 {
            log: Vec::new(),
            log_start: 0,
            start_epoch: 0,
            settled: 0,
            epoch: 1,
            leader: Some(0),
            is_up: [true; NODES],
            views: [(Some(0), 1); NODES],
            waiters: Vec::new(),
            contact: Instant::default(),
            images: [(0, Image::default())].into(),
            astray: 0,
            elections: 0,
            diverged: 0,
            snapshots: 0,
            topics: 0,
        }
    }

    pub(super) fn truth(&self) -> &Image {
        &self.images[&self.settled]
    }

    /// The image with what is not settled yet: what the leader decides by.
    fn latest(&self) -> Image {
        let mut image = self.truth().clone();
        for entry in self.log.iter().filter(|entry| entry.base >= self.settled) {
            put(&mut image, entry);
        }
        image
    }

    fn end(&self) -> i64 {
        self.log.last().map_or(self.log_start, |last| last.next)
    }

    pub(super) fn append(&mut self, values: Vec<Vec<u8>>) -> i64 {
        let base = self.end();
        let next = base + i64::try_from(values.len()).expect("a few");
        let epoch = self.epoch;
        self.log.push(Entry {
            base,
            next,
            epoch,
            values,
        });
        next
    }

    /// The next batch is settled. Replies that waited for it are due.
    pub(super) fn settle(&mut self) -> Vec<Reply> {
        let settled = self.settled;
        let Some(entry) = self.log.iter().find(|entry| entry.base == settled) else {
            return Vec::new();
        };
        let mut image = self.truth().clone();
        put(&mut image, entry);
        self.settled = entry.next;
        self.images.insert(self.settled, image);
        let settled = self.settled;
        let (due, wait) = std::mem::take(&mut self.waiters)
            .into_iter()
            .partition(|waiter: &Waiter| waiter.needs <= settled);
        self.waiters = wait;
        due.into_iter().map(|waiter: Waiter| waiter.reply).collect()
    }

    /// The log's beginning is forgotten, up to what is settled: a snapshot has it.
    pub(super) fn forget_beginning(&mut self) {
        let settled = self.settled;
        if let Some(last) = self.log.iter().rfind(|entry| entry.next <= settled) {
            self.start_epoch = last.epoch;
            self.log_start = settled;
        }
        self.log.retain(|entry| entry.base >= settled);
    }

    /// Nobody leads for now. What was not settled may be lost; whoever waits for it is let down.
    pub(super) fn fall(&mut self, keep_tail: bool) {
        if !keep_tail {
            let settled = self.settled;
            self.log.retain(|entry| entry.next <= settled);
        }
        self.waiters.clear();
        self.leader = None;
        self.epoch += 1;
        for (view, _) in self.views.iter_mut().zip(self.is_up).filter(|(_, up)| *up) {
            *view = (None, self.epoch);
        }
    }

    /// `node` leads. Some hear of it later.
    pub(super) fn elect(&mut self, now: Instant, node: usize, hears: [bool; NODES]) {
        self.elections += 1;
        self.epoch += 1;
        self.leader = Some(node);
        self.contact = now;
        for (other, hears) in hears.into_iter().enumerate() {
            if other == node || (hears && self.is_up[other]) {
                self.views[other] = (self.leader, self.epoch);
            }
        }
        self.append(vec![spoken::bare(20)]);
    }

    /// All who live know who leads.
    pub(super) fn gossip(&mut self) {
        for (view, _) in self.views.iter_mut().zip(self.is_up).filter(|(_, up)| *up) {
            *view = (self.leader, self.epoch);
        }
    }

    /// A broker that is not heard of is fenced.
    pub(super) fn watch(&mut self, now: Instant) {
        if self.leader.is_none() || now.since(self.contact) <= SESSION {
            return;
        }
        let latest = self.latest();
        if let Some(us) = latest.brokers.get(US).filter(|us| !us.is_fenced) {
            let fenced = spoken::change_broker(US, us.epoch, 1, 0);
            let mut records = vec![fenced];
            for (id, topic) in latest.topics.iter() {
                for (number, partition) in &topic.partitions {
                    if partition.leader == Some(US) {
                        let mut change = PartitionChange::of(id, *number);
                        change.leader = Some(Some(BrokerId(1)));
                        records.insert(0, spoken::change_partition(&change));
                    }
                }
            }
            self.append(records);
        }
    }

    /// Something of users' happens: a topic that names us or not, a new leader, a deletion.
    pub(super) fn churn(&mut self, dice: u64) {
        if self.leader.is_none() {
            return;
        }
        let latest = self.latest();
        let some = latest.topics.iter().map(|(id, _)| id).nth(0);
        let records = match (dice % 4, some) {
            (0, _) | (_, None) => self.new_topic(dice),
            (1, Some(topic)) if latest.topics.iter().count() > 4 => {
                vec![spoken::remove_topic(topic)]
            }
            (_, Some(topic)) => {
                let leader = if dice.is_multiple_of(3) {
                    US
                } else {
                    BrokerId(1)
                };
                let number = PartitionIndex::new(0).expect("not negative");
                let mut change = PartitionChange::of(topic, number);
                change.leader = Some(Some(leader));
                vec![spoken::change_partition(&change), spoken::bare(20)]
            }
        };
        self.append(records);
    }

    fn new_topic(&mut self, dice: u64) -> Vec<Vec<u8>> {
        self.topics = self.topics.wrapping_add(1);
        let id = TopicId::new([self.topics; 16]);
        if self.latest().topics.get(id).is_some() {
            return vec![spoken::bare(20)];
        }
        let name = format!("topic-{}", self.topics);
        let replicas = match dice % 3 {
            0 => vec![US, BrokerId(1)],
            1 => vec![BrokerId(1), US],
            _ => vec![BrokerId(1), BrokerId(2)],
        };
        let partition = partition_record(
            id,
            &Partition {
                isr: replicas.clone(),
                leader: Some(replicas[0]),
                replicas,
                removing: Vec::new(),
                adding: Vec::new(),
                leader_epoch: LeaderEpoch::new(0),
                partition_epoch: 0,
                recovery: Recovery::Recovered,
                elr: Vec::new(),
                last_known_elr: Vec::new(),
            },
        );
        vec![spoken::topic(&name, id), partition]
    }

    fn leadership(&self, node: usize) -> Leadership {
        let (leader, epoch) = self.views[node];
        let known = leader.map(|leader| Endpoint {
            broker: BrokerId(101 + i32::try_from(leader).expect("small")),
            host: "c".to_owned(),
            port: u16::try_from(leader).expect("small") + 1,
        });
        Leadership {
            leader: known.as_ref().map(|known| known.broker),
            epoch,
            endpoints: known.into_iter().collect(),
        }
    }

    /// What `node` says at once; nothing where the answer waits. `waited` is a fetch that has
    /// waited for news already.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        node: usize,
        lane: Lane,
        turn: u64,
        question: &Question,
        waited: bool,
    ) -> Option<Reply> {
        let answer = match question {
            Question::Cluster(_) => Answer::Cluster(ClusterAnswer {
                error: ErrorCode::NONE,
                cluster_id: CLUSTER.to_owned(),
                controllers: Vec::new(),
            }),
            Question::Fetch(fetch) => Answer::Fetch(self.fetch(node, fetch, waited)?),
            Question::Snapshot(fetch) => Answer::Snapshot(self.snapshot(node, fetch)),
            question => {
                if self.leader != Some(node) {
                    self.astray += 1;
                    let answer = refused(question, ErrorCode::NOT_CONTROLLER);
                    return Some(Reply { lane, turn, answer });
                }
                let answer = self.control(now, question);
                // Answers wait for all that was written before, whether or not they wrote.
                let needs = self.end();
                let reply = Reply { lane, turn, answer };
                if needs > self.settled {
                    self.waiters.push(Waiter { needs, reply });
                    return None;
                }
                return Some(reply);
            }
        };
        Some(Reply { lane, turn, answer })
    }

    /// The leader's own answers.
    fn control(&mut self, now: Instant, question: &Question) -> Answer {
        let latest = self.latest();
        let us = latest.brokers.get(US);
        match question {
            Question::Register(asked) => {
                let is_alive = now.since(self.contact) <= SESSION;
                let is_same = us.is_some_and(|us| us.incarnation == asked.incarnation);
                if us.is_some() && is_alive && !is_same {
                    let code = ErrorCode::DUPLICATE_BROKER_REGISTRATION;
                    return refused(question, code);
                }
                self.contact = now;
                let kept = us.filter(|_| is_same);
                let epoch = kept.map_or(BrokerEpoch::new(self.end()), |us| us.epoch);
                let record = spoken::register(&RegisterBroker {
                    broker: US,
                    incarnation: asked.incarnation,
                    epoch,
                    listeners: asked.listeners.clone(),
                    features: asked.features.clone(),
                    rack: None,
                    is_fenced: kept.is_none_or(|us| us.is_fenced),
                    is_shutting_down: false,
                    directories: asked.directories.clone(),
                    cordoned: Vec::new(),
                });
                let error = ErrorCode::NONE;
                self.append(vec![record]);
                Answer::Register(RegistrationAnswer { error, epoch })
            }
            Question::Heartbeat(beat) => match us {
                Some(us) if us.epoch == beat.epoch => {
                    self.contact = now;
                    let (us, applied) = (us.clone(), beat.applied.map_or(-1, Offset::value));
                    self.beat(&us, applied >= us.epoch.value(), beat)
                }
                _ => refused(question, ErrorCode::STALE_BROKER_EPOCH),
            },
            Question::Unregister(_) => {
                if let Some(us) = us {
                    let gone = spoken::unregister(US, us.epoch);
                    self.append(vec![gone]);
                }
                refused(question, ErrorCode::NONE)
            }
            Question::Propose(asked) => self.alter(&latest, asked),
            _ => unreachable!("the others are for everybody"),
        }
    }

    fn beat(&mut self, us: &Broker, is_caught_up: bool, beat: &Heartbeat) -> Answer {
        let fenced = beat.want_fence || (us.is_fenced && !is_caught_up) || beat.want_shut_down;
        if fenced != us.is_fenced {
            let turn = if fenced { 1 } else { -1 };
            self.append(vec![spoken::change_broker(US, us.epoch, turn, 0)]);
        }
        let answer = HeartbeatAnswer {
            error: ErrorCode::NONE,
            is_caught_up,
            is_fenced: fenced,
            should_shut_down: beat.want_shut_down,
        };
        Answer::Heartbeat(answer)
    }

    fn alter(&mut self, latest: &Image, asked: &AlterPartition) -> Answer {
        let mut partitions = Vec::new();
        let mut records = Vec::new();
        for change in &asked.changes {
            let held = latest.topics.partition(change.topic, change.partition);
            let error = match held {
                None => ErrorCode::UNKNOWN_TOPIC_ID,
                Some(held) if held.leader_epoch > change.leader_epoch => {
                    ErrorCode::FENCED_LEADER_EPOCH
                }
                Some(held) if held.partition_epoch > change.partition_epoch => {
                    ErrorCode::INVALID_UPDATE_VERSION
                }
                Some(_) => ErrorCode::NONE,
            };
            let isr: Vec<BrokerId> = change.isr.iter().map(|(id, _)| *id).collect();
            if error == ErrorCode::NONE {
                let mut record = PartitionChange::of(change.topic, change.partition);
                record.isr = Some(isr.clone());
                records.push(spoken::change_partition(&record));
            }
            partitions.push(IsrAnswer {
                topic: change.topic,
                partition: change.partition,
                error,
                leader: held.and_then(|held| held.leader),
                leader_epoch: change.leader_epoch,
                isr,
                recovery: Recovery::Recovered,
                partition_epoch: change.partition_epoch + 1,
            });
        }
        let error = ErrorCode::NONE;
        if !records.is_empty() {
            self.append(records);
        }
        let answer = AlterPartitionAnswer { error, partitions };
        Answer::Propose(answer)
    }

    /// How `node` takes a request that is for the leader in an epoch.
    fn judge(&self, node: usize, epoch: i32) -> ErrorCode {
        let (leader, known) = self.views[node];
        if epoch < known {
            ErrorCode::FENCED_LEADER_EPOCH
        } else if epoch > known {
            ErrorCode::UNKNOWN_LEADER_EPOCH
        } else if leader != Some(node) || self.leader != Some(node) {
            ErrorCode::NOT_LEADER_OR_FOLLOWER
        } else {
            ErrorCode::NONE
        }
    }

    fn fetch(
        &mut self,
        node: usize,
        asked: &MetadataFetch,
        waited: bool,
    ) -> Option<MetadataAnswer> {
        let mut answer = MetadataAnswer {
            refused: ErrorCode::NONE,
            error: self.judge(node, asked.leader_epoch),
            leadership: self.leadership(node),
            diverging: None,
            snapshot: None,
            high_watermark: None,
            records: Vec::new(),
        };
        if answer.error.is_error() {
            return Some(answer);
        }
        answer.high_watermark = Some(Offset::new(self.settled));
        let (offset, last) = (asked.offset.value(), asked.last_epoch.value());
        // What comes before the log's beginning is known by the snapshot's epoch alone.
        let begins = self.log_start;
        let is_unknown = begins > 0
            && (last < self.start_epoch || (offset == begins && last != self.start_epoch));
        if offset < begins || is_unknown {
            self.snapshots += 1;
            answer.snapshot = Some(self.snapshot_id());
            return Some(answer);
        }
        let (epoch, end) = self.end_of(last);
        if offset > end || epoch < last {
            self.diverged += 1;
            answer.diverging = Some((LeaderEpoch::new(epoch), Offset::new(end)));
            return Some(answer);
        }
        let found = self.log.iter().filter(|entry| entry.base >= offset).take(3);
        answer.records = found.flat_map(Entry::bytes).collect();
        let known = asked.high_watermark.map_or(-1, Offset::value);
        let is_news = !answer.records.is_empty() || known < self.settled;
        (is_news || waited).then_some(answer)
    }

    /// The largest epoch up to `epoch`, and where it ends.
    fn end_of(&self, epoch: i32) -> (i32, i64) {
        let upto = self.log.iter().rfind(|entry| entry.epoch <= epoch);
        upto.map_or((self.start_epoch.min(epoch), self.log_start), |last| {
            (last.epoch, last.next)
        })
    }

    fn snapshot_id(&self) -> SnapshotId {
        SnapshotId {
            end: Offset::new(self.log_start),
            epoch: LeaderEpoch::new(self.start_epoch),
        }
    }

    fn snapshot(&self, node: usize, asked: &SnapshotFetch) -> SnapshotAnswer {
        let whole = dump(&self.images[&self.log_start]);
        let mut answer = SnapshotAnswer {
            refused: ErrorCode::NONE,
            error: self.judge(node, asked.leader_epoch),
            leadership: self.leadership(node),
            id: Some(self.snapshot_id()),
            size: whole.len() as u64,
            position: asked.position,
            bytes: Vec::new(),
        };
        if answer.error == ErrorCode::NONE && asked.id != self.snapshot_id() {
            answer.error = ErrorCode::SNAPSHOT_NOT_FOUND;
        }
        if answer.error == ErrorCode::NONE {
            let from = usize::try_from(asked.position).expect("small");
            let to = whole.len().min(from + 77);
            answer.bytes = whole[from..to].to_vec();
        }
        answer
    }
}

fn put(image: &mut Image, entry: &Entry) {
    for value in &entry.values {
        // Nobody here knows what a test has made up.
        let Ok(record) = MetadataRecord::read(value) else {
            continue;
        };
        let applied = image.apply(record, &mut Delta::default());
        applied.expect("the leader writes what fits");
    }
}

/// An answer that is nothing but an error.
fn refused(question: &Question, error: ErrorCode) -> Answer {
    match question {
        Question::Register(_) => Answer::Register(RegistrationAnswer {
            error,
            epoch: BrokerEpoch::NONE,
        }),
        Question::Heartbeat(_) => Answer::Heartbeat(HeartbeatAnswer {
            error,
            is_caught_up: false,
            is_fenced: true,
            should_shut_down: false,
        }),
        Question::Unregister(_) => Answer::Unregister(UnregisterAnswer {
            error,
            message: String::new(),
        }),
        Question::Propose(_) => Answer::Propose(AlterPartitionAnswer {
            error,
            partitions: Vec::new(),
        }),
        other => unreachable!("{other:?} is refused in its own words"),
    }
}

fn partition_record(topic: TopicId, partition: &Partition) -> Vec<u8> {
    spoken::partition(&NewPartition {
        topic,
        partition: PartitionIndex::new(0).expect("not negative"),
        replicas: partition.replicas.clone(),
        isr: partition.isr.clone(),
        removing: partition.removing.clone(),
        adding: partition.adding.clone(),
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        recovery: partition.recovery,
        elr: partition.elr.clone(),
        last_known_elr: partition.last_known_elr.clone(),
    })
}

/// An image as a snapshot's bytes.
fn dump(image: &Image) -> Vec<u8> {
    let mut values = vec![spoken::bare(20)];
    for (id, broker) in image.brokers.iter() {
        values.push(spoken::register(&RegisterBroker {
            broker: id,
            incarnation: broker.incarnation,
            epoch: broker.epoch,
            listeners: broker.listeners.clone(),
            features: broker.features.clone(),
            rack: broker.rack.as_deref(),
            is_fenced: broker.is_fenced,
            is_shutting_down: broker.is_shutting_down,
            directories: broker.directories.clone(),
            cordoned: broker.cordoned.clone(),
        }));
    }
    for (id, topic) in image.topics.iter() {
        values.push(spoken::topic(topic.name.as_str(), id));
        for partition in topic.partitions.values() {
            values.push(partition_record(id, partition));
        }
    }
    let next = i64::try_from(values.len()).expect("a few");
    Entry {
        base: 0,
        next,
        epoch: 1,
        values,
    }
    .bytes()
}
