//! Connections to the demo's source: frames in, `server`'s replies out, records from the logs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::io::{Buf, Clock, Disk, Stream, World};
use crate::log::{LeaderEpochs, LogFault, Reader};
use crate::model::{LeaderEpoch, Offset, PartitionIndex, TopicId};
use crate::protocol::fetch::Segment;
use crate::protocol::frame::{LENGTH_BYTES, front};
use crate::record::{Expect, scan};
use crate::server::{
    EpochEnd, FetchNeeds, NeededRange, Partition, REQUEST_BYTES_MAX, Reply, Server,
};

/// How often a fetch that is held back looks again.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
const WINDOW_BYTES: usize = 2 << 20;
/// Bytes beside those asked for that are read to find where a range begins.
const SLACK_BYTES: usize = 1 << 20;

type Key = (TopicId, PartitionIndex);

/// What is served, shared by the connections of one thread.
pub(super) struct Served<D: Disk> {
    server: Server,
    readers: BTreeMap<Key, Reader<D>>,
    epochs: BTreeMap<Key, (LeaderEpochs, Offset)>,
}

impl<D: Disk> Served<D> {
    pub(super) fn new(server: Server) -> Served<D> {
        Served {
            server,
            readers: BTreeMap::new(),
            epochs: BTreeMap::new(),
        }
    }

    pub(super) fn reads(&mut self, topic: TopicId, index: PartitionIndex, reader: Reader<D>) {
        self.readers.insert((topic, index), reader);
    }

    pub(super) fn moved(
        &mut self,
        topic: TopicId,
        index: PartitionIndex,
        partition: Partition,
        epochs: LeaderEpochs,
    ) {
        let end = partition.watermarks.log_end;
        self.epochs.insert((topic, index), (epochs, end));
        let is_known = self.server.tell_partition(topic, index, partition);
        assert!(is_known, "a partition of a topic that was told");
    }

    fn answer(&self, frame: &[u8]) -> Reply {
        self.server.answer(frame, &|topic, index, epoch| {
            self.end_of(topic, index, epoch)
        })
    }

    fn again(&self, needs: &FetchNeeds) -> FetchNeeds {
        self.server.again(needs, &|topic, index, epoch| {
            self.end_of(topic, index, epoch)
        })
    }

    fn end_of(
        &self,
        topic: TopicId,
        index: PartitionIndex,
        epoch: LeaderEpoch,
    ) -> Option<EpochEnd> {
        let (epochs, end) = self.epochs.get(&(topic, index))?;
        let (epoch, end) = epochs.end_of(epoch, *end)?;
        Some(EpochEnd { epoch, end })
    }

    /// The records of every range, one after the other, as far as the whole answer has room.
    fn gather(&mut self, needs: &FetchNeeds) -> Result<Vec<Vec<u8>>, LogFault> {
        let mut left = needs.max_bytes();
        let mut gathered = Vec::new();
        for range in needs.ranges() {
            let bytes = match range.is_empty() || left == 0 {
                true => Vec::new(),
                false => self.read(range, left.min(range.max_bytes))?,
            };
            left = left.saturating_sub(bytes.len());
            gathered.push(bytes);
        }
        Ok(gathered)
    }

    /// Whole batches from the one that holds the range's first offset on.
    fn read(&mut self, range: &NeededRange, room: usize) -> Result<Vec<u8>, LogFault> {
        let Some(reader) = self.readers.get_mut(&(range.topic, range.partition)) else {
            return Ok(Vec::new());
        };
        let mut place = reader.find(range.from)?;
        let mut bytes = vec![0; room.saturating_add(SLACK_BYTES)];
        loop {
            let read = reader.read(place, &mut bytes)?;
            let run = scan(&bytes[..read], anything()).run;
            if run.is_empty() {
                return Ok(Vec::new());
            }
            let (mut skipped, mut end) = (0, 0);
            for batch in run.batches() {
                let size = batch.bytes().len();
                if batch.last_offset() < range.from {
                    skipped += size;
                } else if batch.next_offset() > range.end || end + size > room && end > 0 {
                    break;
                } else {
                    end += size;
                }
            }
            if skipped < run.bytes().len() {
                return Ok(bytes[skipped..skipped + end].to_vec());
            }
            place = place.after(skipped);
        }
    }
}

fn anything() -> Expect {
    Expect {
        next: Offset::ZERO,
        may_begin_before: true,
        epoch: LeaderEpoch::NONE,
        batch_bytes_max: i32::MAX as usize,
    }
}

/// Answers one client until it goes.
pub(super) async fn serve<W: World, S: Stream>(
    world: W,
    stream: S,
    served: Rc<RefCell<Served<W::Disk>>>,
) {
    let mut window = Buf::unpooled(WINDOW_BYTES);
    loop {
        loop {
            let (reply, bytes) = match front(window.bytes(), REQUEST_BYTES_MAX) {
                Ok(Some(frame)) => (served.borrow().answer(frame), frame.len() + LENGTH_BYTES),
                Ok(None) => break,
                Err(fault) => (Reply::Close(fault.into()), 0),
            };
            window.consume(bytes);
            let Some(answer) = settle(&world, &served, reply).await else {
                return stream.shutdown();
            };
            let mut out = Buf::unpooled(answer.len());
            out.push(&answer);
            let (_, sent) = stream.send(out).await;
            if sent.is_err() {
                return;
            }
        }
        window.compact();
        if window.room().is_empty() {
            return stream.shutdown();
        }
        let (back, received) = stream.recv(window).await;
        window = back;
        if !matches!(received, Ok(1..)) {
            return;
        }
    }
}

/// The bytes of a reply, held back as its fetch allows. `None`: close.
async fn settle<W: World>(
    world: &W,
    served: &Rc<RefCell<Served<W::Disk>>>,
    reply: Reply,
) -> Option<Vec<u8>> {
    let mut needs = match reply {
        Reply::Ready(bytes) => return Some(bytes),
        Reply::Close(reason) => {
            tracing::warn!("{reason}");
            return None;
        }
        Reply::Fetch(needs) => needs,
    };
    let deadline = world.clock().now().after(needs.max_wait());
    loop {
        let records = served.borrow_mut().gather(&needs);
        let records = records.map_err(|fault| tracing::error!("{fault}")).ok()?;
        let total: usize = records.iter().map(Vec::len).sum();
        let is_late = world.clock().now() >= deadline;
        if needs.is_urgent() || total >= needs.min_bytes() || is_late {
            return Some(written(&needs, &records));
        }
        let next = world.clock().now().after(LOOK_INTERVAL);
        world.clock().sleep_until(next).await;
        let anew = served.borrow().again(&needs);
        *needs = anew;
    }
}

fn written(needs: &FetchNeeds, records: &[Vec<u8>]) -> Vec<u8> {
    let lengths: Vec<usize> = records.iter().map(Vec::len).collect();
    let places: BTreeMap<usize, &Vec<u8>> = needs
        .ranges()
        .iter()
        .map(|range| range.place)
        .zip(records)
        .collect();
    let writer = needs.answer(&lengths);
    let mut out = Vec::with_capacity(writer.frame_bytes());
    for segment in writer.segments() {
        match segment {
            Segment::Bytes(bytes) => out.extend_from_slice(bytes),
            Segment::Records { partition, .. } => out.extend_from_slice(places[&partition]),
        }
    }
    out
}
