//! A vault against its source: partition after partition, fetched again.

use std::collections::BTreeMap;

use super::compare::{Lack, Sides};
use super::{AuditFault, Comparison, Subject};
use crate::io::World;
use crate::log::{BatchStream, LogFault, Reader};
use crate::model::{BrokerId, LeaderEpoch, Offset, TopicPartition};
use crate::protocol::ErrorCode;
use crate::protocol::fetch::{Ask, AskedPartition};
use crate::record::{Checked, Expect, Rest, check};
use crate::session::{
    Bound, BrokerAddress, Client, ClusterView, Opening, PartitionAsked, SessionFault, TopicView,
    look_at,
};
use crate::vault::Offsets;

const FETCH_BYTES: i32 = 8 << 20;
/// So many empty answers mean that nothing is left below the high watermark.
const EMPTY_ANSWERS_MAX: u32 = 3;

/// How the source is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// Brokers to begin with.
    pub from: &'a [BrokerAddress],
    /// How connections are opened.
    pub opening: Opening,
    /// The largest batch that a copy takes: it has to come whole here as well.
    pub batch_bytes_max: u32,
}

/// Compares partitions of the vault with the source, each up to the offset to which it was
/// verified. `show` gets each one as it is done: the comparison, or why there is none; then those
/// that the source has of the same topics and the vault has not.
///
/// # Errors
/// The source cannot be asked at all.
pub async fn compare<W: World>(
    world: &W,
    subject: &Subject<W::Disk>,
    asking: Asking<'_>,
    verified: &Offsets,
    show: &mut dyn FnMut(&TopicPartition, Result<Comparison, String>),
) -> Result<(), AuditFault> {
    let opening = asking.opening;
    let (asked, view) = look_at(world, asking.from, opening).await?;
    if view.cluster_id != subject.cluster_id() {
        return Err(AuditFault::OtherSource {
            held: subject.cluster_id().to_owned(),
            asked: asked.to_string(),
            found: view.cluster_id,
        });
    }
    let mut source = Source {
        view,
        clients: BTreeMap::new(),
        compacted: BTreeMap::new(),
        batch_bytes_max: asking.batch_bytes_max,
    };
    for (id, until) in verified {
        let compared = source
            .partition(world, subject, (id, *until), opening)
            .await;
        show(id, compared.map_err(|Unable(why)| why));
    }
    for (id, leader) in source.not_copied(subject) {
        let compared = source.absent(world, &id, leader, opening).await;
        show(&id, compared.map_err(|Unable(why)| why));
    }
    Ok(())
}

/// Why a partition was not compared; the others may be.
struct Unable(String);

impl From<SessionFault> for Unable {
    fn from(fault: SessionFault) -> Unable {
        Unable(fault.to_string())
    }
}

impl From<LogFault> for Unable {
    fn from(fault: LogFault) -> Unable {
        Unable(fault.to_string())
    }
}

struct Source<W: World> {
    view: ClusterView,
    clients: BTreeMap<BrokerId, Client<W>>,
    compacted: BTreeMap<String, bool>,
    batch_bytes_max: u32,
}

/// A partition as its leader has it.
struct Theirs<'a, W: World> {
    client: &'a mut Client<W>,
    topic: &'a TopicView,
    id: &'a TopicPartition,
    batch_bytes_max: u32,
}

impl<W: World> Source<W> {
    async fn partition(
        &mut self,
        world: &W,
        subject: &Subject<W::Disk>,
        (id, until): (&TopicPartition, Offset),
        opening: Opening,
    ) -> Result<Comparison, Unable> {
        let (topic, leader) = self.find(subject, id)?;
        let asked = PartitionAsked {
            id: id.clone(),
            leader_epoch: LeaderEpoch::NONE,
        };
        self.client(world, leader, opening).await?;
        let is_compacted = self.is_compacted(leader, &topic).await?;
        let client = self.clients.get_mut(&leader).expect("connected above");
        let start = bound(client, &asked, Bound::Start).await?;
        let end = bound(client, &asked, Bound::End).await?;
        let dir = subject.dir.join(id.to_string());
        let reader = Reader::open(subject.disk.clone(), &dir)?;
        let local = BatchStream::from(reader, Offset::ZERO)?;
        let state = subject.found.state.partitions.get(id);
        let gaps = state.into_iter().flat_map(|state| &state.gaps);
        let gaps = gaps.map(|gap| (gap.from, gap.to)).collect();
        let shift = subject.producer_id_shift();
        let mut sides = Sides::new(local, is_compacted, gaps, shift, until)?;
        sides.expire(start)?;
        let from = subject.found.log_starts.get(id).copied();
        let begins = from.or(sides.here()).unwrap_or(end);
        let from = begins.max(start);
        let mut theirs = Theirs {
            client,
            topic: &topic,
            id,
            batch_bytes_max: self.batch_bytes_max,
        };
        let outcome = match start < begins && sides.here().is_some() {
            true => theirs.below((start, begins), &mut sides).await,
            false => Ok(()),
        };
        let outcome = match outcome {
            Ok(()) => theirs.walk((from, end), &mut sides).await,
            Err(unable) => Err(unable),
        };
        if outcome.is_err() {
            self.clients.remove(&leader);
        }
        outcome?;
        Ok(sides.finish(start, end))
    }

    /// Partitions of copied topics that the vault does not hold, and who leads them.
    fn not_copied(&self, subject: &Subject<W::Disk>) -> Vec<(TopicPartition, Option<BrokerId>)> {
        let is_copied = |topic: &&TopicView| {
            let mut held = subject.found.state.partitions.iter();
            held.any(|(id, state)| {
                id.topic == topic.name && state.topic_id.agrees(topic.id, &topic.name)
            })
        };
        let of = |topic: &TopicView| {
            let name = topic.name.clone();
            let each = topic.partitions.iter().map(move |partition| {
                let (topic, partition) = (name.clone(), partition);
                let (partition, leader) = (partition.index, partition.leader);
                (TopicPartition { topic, partition }, leader)
            });
            each.collect::<Vec<_>>()
        };
        let all = self.view.topics.iter().filter(is_copied).flat_map(of);
        all.filter(|(id, _)| subject.found.partitions.binary_search(id).is_err())
            .collect()
    }

    /// How much the source has of a partition of which nothing is here.
    async fn absent(
        &mut self,
        world: &W,
        id: &TopicPartition,
        leader: Option<BrokerId>,
        opening: Opening,
    ) -> Result<Comparison, Unable> {
        let nobody = || Unable("it is not here, and no broker of the source leads it".to_owned());
        let leader = leader.ok_or_else(nobody)?;
        self.client(world, leader, opening).await?;
        let client = self.clients.get_mut(&leader).expect("connected above");
        let asked = PartitionAsked {
            id: id.clone(),
            leader_epoch: LeaderEpoch::NONE,
        };
        let start = bound(client, &asked, Bound::Start).await?;
        let end = bound(client, &asked, Bound::End).await?;
        Ok(Comparison {
            source_end: end,
            behind: end.since(start.min(end)),
            ..Comparison::default()
        })
    }

    /// The topic as the source has it, and who leads the partition.
    fn find(
        &self,
        subject: &Subject<W::Disk>,
        id: &TopicPartition,
    ) -> Result<(TopicView, BrokerId), Unable> {
        let unable = |why: &str| Unable(why.to_owned());
        let topic = self.view.topics.iter().find(|topic| topic.name == id.topic);
        let topic = topic.ok_or_else(|| unable("the source has no such topic any more"))?;
        let state = subject.found.state.partitions.get(id);
        if state.is_some_and(|state| !state.topic_id.agrees(topic.id, &id.topic)) {
            return Err(unable("the source has another topic of that name now"));
        }
        let mut partitions = topic.partitions.iter();
        let partition = partitions.find(|partition| partition.index == id.partition);
        let leader = partition.and_then(|partition| partition.leader);
        let leader = leader.ok_or_else(|| unable("no broker of the source leads it"))?;
        Ok((topic.clone(), leader))
    }

    async fn client(
        &mut self,
        world: &W,
        leader: BrokerId,
        opening: Opening,
    ) -> Result<(), Unable> {
        if self.clients.contains_key(&leader) {
            return Ok(());
        }
        let endpoint = self
            .view
            .brokers
            .iter()
            .find(|endpoint| endpoint.broker == leader);
        let unknown = || Unable(format!("nobody says where broker {leader} listens"));
        let address = BrokerAddress::from(endpoint.ok_or_else(unknown)?);
        let client = Client::connect(world, &address, opening).await?;
        self.clients.insert(leader, client);
        Ok(())
    }

    async fn is_compacted(&mut self, leader: BrokerId, topic: &TopicView) -> Result<bool, Unable> {
        if let Some(known) = self.compacted.get(topic.name.as_str()) {
            return Ok(*known);
        }
        let client = self
            .clients
            .get_mut(&leader)
            .expect("the caller has connected");
        let settings = client
            .topic_settings(std::slice::from_ref(&topic.name))
            .await?;
        let policy = settings
            .get(&topic.name)
            .and_then(|all| all.get("cleanup.policy"));
        let is_compacted = policy.is_some_and(|policy| policy.contains("compact"));
        self.compacted
            .insert(topic.name.as_str().to_owned(), is_compacted);
        Ok(is_compacted)
    }
}

async fn bound<W: World>(
    client: &mut Client<W>,
    asked: &PartitionAsked,
    bound: Bound,
) -> Result<Offset, Unable> {
    let replies = client
        .list_offsets(std::slice::from_ref(asked), bound)
        .await?;
    let reply = replies.into_iter().find(|(id, _)| *id == asked.id);
    match reply.map(|(_, offset)| offset) {
        Some(Ok(offset)) => Ok(offset),
        Some(Err(code)) => Err(Unable(format!("the source answers {code}"))),
        None => Err(Unable("the source's answer leaves it out".to_owned())),
    }
}

impl<W: World> Theirs<'_, W> {
    /// Looks at what the source has from its log's `start` on, where the log here `begins` later.
    async fn below<D: crate::io::Disk>(
        &mut self,
        (start, begins): (Offset, Offset),
        sides: &mut Sides<D>,
    ) -> Result<(), Unable> {
        let mut room = FETCH_BYTES;
        for _ in 0..EMPTY_ANSWERS_MAX {
            let records = self.fetch(start, room).await?;
            let checked = sound(&records, start)?;
            if let Some(first) = checked.run.batches().next() {
                // The log here may begin within a batch, and compaction may have left nothing
                // below.
                if first.next_offset() <= begins {
                    let from = first.base_offset().max(start);
                    sides.lacks((from, begins), Lack::Below);
                }
                return Ok(());
            }
            room = self.more(room);
        }
        Ok(())
    }

    /// Fetches from offset `next` on to where the vault's log ends, and compares.
    async fn walk<D: crate::io::Disk>(
        &mut self,
        (mut next, end): (Offset, Offset),
        sides: &mut Sides<D>,
    ) -> Result<(), Unable> {
        let mut room = FETCH_BYTES;
        let mut empty = 0;
        while sides.here().is_some() && sides.comparison.difference.is_none() {
            if next >= end || empty >= EMPTY_ANSWERS_MAX {
                sides.source_ends(end)?;
                break;
            }
            let records = self.fetch(next, room).await?;
            let checked = sound(&records, next)?;
            if checked.run.is_empty() {
                empty += 1;
                room = self.more(room);
                continue;
            }
            (empty, room) = (0, FETCH_BYTES);
            for batch in checked.run.batches() {
                if !sides.compare(&batch)? {
                    break;
                }
            }
            next = checked.run.next_offset();
        }
        Ok(())
    }

    /// One answer's records, from offset `next` on.
    async fn fetch(&mut self, next: Offset, room: i32) -> Result<bytes::Bytes, Unable> {
        let ask = Ask {
            max_wait_ms: 100,
            min_bytes: 1,
            max_bytes: room,
        };
        let asked = AskedPartition {
            topic: self.topic.id,
            partition: self.id.partition,
            leader_epoch: LeaderEpoch::NONE,
            fetch_offset: next,
            last_fetched_epoch: LeaderEpoch::NONE,
            log_start: None,
            max_bytes: room,
        };
        let name = &self.topic.name;
        let fetched = self.client.fetch(ask, name, asked, self.batch_bytes_max);
        let fetched = fetched.await?;
        if fetched.head.error != ErrorCode::NONE {
            return Err(Unable(format!("the source answers {}", fetched.head.error)));
        }
        Ok(fetched.records)
    }

    /// More room than was not enough: for one batch, however large.
    fn more(&self, room: i32) -> i32 {
        let most = i32::try_from(self.batch_bytes_max).unwrap_or(i32::MAX);
        room.max(room.saturating_mul(2).min(most))
    }
}

/// The batches of an answer from offset `next` on.
fn sound(records: &[u8], next: Offset) -> Result<Checked<'_>, Unable> {
    let expect = Expect {
        next,
        may_begin_before: true,
        epoch: LeaderEpoch::NONE,
        batch_bytes_max: i32::MAX as usize,
    };
    let checked = check(records, expect);
    match &checked.rest {
        Rest::Fault(fault) => Err(Unable(format!("the source sends damage: {fault}"))),
        _ => Ok(checked),
    }
}
