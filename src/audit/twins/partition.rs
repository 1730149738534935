//! One partition: all of its logs, from where two of them begin to where the last one ended.

use std::time::Duration;

use super::align::{Front, Mark, Row, Side, Wrong, look};
use super::cluster::{Cluster, Question, Reply, Unable, Whom};
use super::parting::{Course, Parting, Why};
use super::shared::{Alike, Origin, Shared, Unvouched};
use super::stream::{Own, Stream, Supply, Wire};
use super::{Alone, Clusters, Finding, Told, Twins, Unread};
use crate::io::{Disk, World};
use crate::model::{BrokerId, LeaderEpoch, Offset, TopicId, TopicPartition};

/// What is doubtful is looked at so often again before it is said.
const LOOKS_MAX: u32 = 3;
/// Before the first of these looks; the others come later and later.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

/// The comparison of one partition.
pub(super) struct Comparing<'a, W: World> {
    clusters: &'a mut Clusters<W>,
    id: &'a TopicPartition,
    streams: Vec<Tracked<W>>,
    twins: Twins,
    is_compacted: bool,
    /// Nothing is looked at that begins behind.
    until: Offset,
    /// What the destination had in the last row, before which it may have parted.
    before: LeaderEpoch,
    /// The row that is looked at again, and how often it was.
    doubt: Option<(Offset, u32)>,
    shared: Shared,
    /// The topic's ids at the source and at the destination, as it is compared.
    topics: [TopicId; 2],
}

/// Our log, verified.
pub(super) struct Ours<D: Disk> {
    pub(super) own: Own<D>,
    pub(super) start: Offset,
    pub(super) end: Offset,
    /// Offsets that are known to be missing in it.
    pub(super) gaps: Vec<(Offset, Offset)>,
}

/// A log, and what has come of it.
struct Tracked<W: World> {
    stream: Stream<W::Disk>,
    /// It is read no further.
    is_closed: bool,
    has_failed: bool,
    compacted: u64,
}

impl<'a, W: World> Comparing<'a, W> {
    /// Looks where all logs begin and end.
    pub(super) async fn begin(
        clusters: &'a mut Clusters<W>,
        id: &'a TopicPartition,
        log: Option<Ours<W::Disk>>,
    ) -> Comparing<'a, W> {
        let found = clusters.destination.view.find(id);
        let leader = found.and_then(|(_, partition)| partition.leader);
        let mut comparing = Comparing {
            clusters,
            id,
            streams: Vec::new(),
            twins: Twins::default(),
            is_compacted: false,
            until: Offset::ZERO,
            before: LeaderEpoch::NONE,
            doubt: None,
            shared: Shared::with(leader),
            topics: [TopicId::ZERO; 2],
        };
        comparing.open_source().await;
        if let Some(log) = log {
            comparing.open_log(log);
        }
        comparing.open_replicas().await;
        comparing
    }

    async fn open_source(&mut self) {
        let Some(source) = &mut self.clusters.source else {
            return;
        };
        let Some((topic, _)) = source.view.find(self.id) else {
            return;
        };
        let topic = topic.id;
        self.topics[0] = topic;
        self.is_compacted |= source.is_compacted(&self.id.topic).await;
        let wire = Wire::new(topic, Whom::Leader);
        let opened = opened::<W>(source, self.id, Side::Source, wire).await;
        self.opened(Side::Source, opened);
    }

    fn open_log(&mut self, log: Ours<W::Disk>) {
        let supply = Supply::Disk(log.own);
        let (shift, bounds) = (self.clusters.log_shift, (log.start, log.end.max(log.start)));
        let mut stream = Stream::new(Side::Log, bounds, shift, supply);
        stream.gaps = log.gaps;
        self.opened(Side::Log, Ok(stream));
    }

    async fn open_replicas(&mut self) {
        let found = self.clusters.destination.view.find(self.id);
        let Some((topic, partition)) = found else {
            return;
        };
        let (topic, mut replicas) = (topic.id, partition.replicas.clone());
        replicas.sort_unstable();
        self.topics[1] = topic;
        let destination = &mut self.clusters.destination;
        self.is_compacted |= destination.is_compacted(&self.id.topic).await;
        for broker in replicas {
            let side = Side::Replica(broker);
            if !self.clusters.destination.sees(broker) {
                self.unseen(broker);
                continue;
            }
            let wire = Wire::new(topic, Whom::Replica(broker));
            let opened = opened::<W>(&mut self.clusters.destination, self.id, side, wire).await;
            let shift = self.clusters.replica_shift;
            self.opened(side, opened.map(|stream| stream.with_shift(shift)));
        }
    }

    /// A replica on a broker that has no listener for clients, or is not alive.
    fn unseen(&mut self, broker: BrokerId) {
        if self.clusters.node == Some(broker) {
            return;
        }
        self.twins.unread.push(Unread {
            side: Side::Replica(broker),
            why: "no broker of that id answers clients: it is a node of ours, or down".to_owned(),
            is_fault: false,
        });
    }

    fn opened(&mut self, side: Side, opened: Result<Stream<W::Disk>, Unable>) {
        match opened {
            Ok(stream) => self.streams.push(Tracked {
                stream,
                is_closed: false,
                has_failed: false,
                compacted: 0,
            }),
            Err(unable) => self.unread(side, unable),
        }
    }

    fn unread(&mut self, side: Side, Unable { why, is_fault }: Unable) {
        self.twins.unread.push(Unread {
            side,
            why,
            is_fault,
        });
    }

    /// Compares all that there is to compare.
    pub(super) async fn compare(
        mut self,
        course: &mut dyn FnMut(&TopicPartition) -> Course,
    ) -> Twins {
        let ends = self.streams.iter().map(|one| one.stream.log_end);
        self.until = ends.max().unwrap_or_default();
        if let [only] = &self.streams[..] {
            let side = only.stream.side;
            let why = "there is no other log to compare it with".to_owned();
            let is_fault = false;
            self.unread(side, Unable { why, is_fault });
        }
        let mut starts: Vec<Offset> = self.streams.iter().map(|one| one.stream.start).collect();
        starts.sort_unstable();
        // Below, no two have anything.
        let begin = starts.get(1).copied().unwrap_or_default();
        for one in &mut self.streams {
            one.stream.seek(begin);
        }
        while self.goes_on() {
            self.fill().await;
            let open: Vec<usize> = self.open().collect();
            let Some(row) = look(&fronts(&self.streams, &open), self.is_compacted) else {
                break;
            };
            if row.is_doubtful() && self.doubts(row.at) {
                self.look_again(row.at).await;
                continue;
            }
            self.shared.take(&row, &fronts(&self.streams, &open));
            self.settle(&open, &row, course).await;
        }
        let known = course(self.id);
        self.finish(known)
    }

    fn open(&self) -> impl Iterator<Item = usize> + '_ {
        let all = self.streams.iter().enumerate();
        all.filter(|(_, one)| !one.is_closed).map(|(nth, _)| nth)
    }

    /// Whether two logs have something to say, or one of the destination goes on where the source
    /// has ended.
    fn goes_on(&self) -> bool {
        let open = || self.streams.iter().filter(|one| !one.is_closed);
        let reading = open().filter(|one| !one.stream.has_ended || one.stream.batch.is_some());
        let has_source = open().any(|one| one.stream.side == Side::Source);
        match reading.clone().count() {
            0 => false,
            1 => has_source && reading.clone().any(|one| one.stream.side != Side::Source),
            _ => true,
        }
    }

    /// Fills what is empty. What cannot be read is tried once more.
    async fn fill(&mut self) {
        for nth in 0..self.streams.len() {
            let (id, until) = (self.id, self.until);
            let Tracked {
                stream, is_closed, ..
            } = &mut self.streams[nth];
            if *is_closed {
                continue;
            }
            let cluster = match (stream.side, &mut self.clusters.source) {
                (Side::Source, Some(source)) => source,
                _ => &mut self.clusters.destination,
            };
            let mut filled = stream.fill(cluster, id, until).await;
            if filled.is_err() {
                stream.seek(stream.next);
                cluster.pause(LOOK_AGAIN).await;
                filled = stream.fill(cluster, id, until).await;
            }
            if let Err(unable) = filled {
                let (side, at) = (stream.side, stream.next);
                self.streams[nth].is_closed = true;
                self.streams[nth].has_failed = true;
                self.shared.unread(side);
                match unable.is_fault {
                    true => self.finds(side.to_string(), at, unable.why),
                    false => self.unread(side, unable),
                }
            }
        }
    }

    fn finds(&mut self, who: String, at: Offset, what: String) {
        self.twins.findings.push(Finding { who, at, what });
    }

    /// Whether a row is worth another look, and not yet the last.
    fn doubts(&mut self, at: Offset) -> bool {
        let looked = self.doubt.filter(|(last, _)| *last == at);
        let looks = looked.map_or(0, |(_, looks)| looks);
        self.doubt = Some((at, looks + 1));
        looks < LOOKS_MAX
    }

    /// Reads everything again from there on: an election or a deletion may have come between.
    async fn look_again(&mut self, at: Offset) {
        let looks = self.doubt.map_or(1, |(_, looks)| looks);
        let destination = &mut self.clusters.destination;
        destination.pause(LOOK_AGAIN * looks).await;
        destination.look().await;
        if let Some(source) = &mut self.clusters.source {
            source.look().await;
        }
        let log_start = self.clusters.log_start(self.id);
        for one in &mut self.streams {
            if one.stream.side == Side::Log {
                one.stream.start = one.stream.start.max(log_start);
            }
            if !one.is_closed {
                one.stream.seek(at);
            }
        }
    }

    /// A row is as it is.
    async fn settle(
        &mut self,
        open: &[usize],
        row: &Row,
        course: &mut dyn FnMut(&TopicPartition) -> Course,
    ) {
        let agreeing = row.agreeing();
        if agreeing > 1 {
            self.twins.identical += 1;
            self.twins.equal_to = Some(row.next);
        }
        let speaker = row.destination.map(|nth| open[nth]);
        for (nth, mark) in open.iter().copied().zip(&row.marks) {
            match mark {
                Mark::Same | Mark::Removed | Mark::Gap | Mark::Behind => {}
                Mark::Compacted => self.streams[nth].compacted += 1,
                Mark::Wrong(wrong) => {
                    self.close(nth);
                    let who = self.streams[nth].stream.side.to_string();
                    self.finds(who, row.at, wrong.to_string());
                }
                Mark::Parted(wrong) => {
                    self.close(nth);
                    let speaker = speaker.expect("the source has parted from somebody");
                    self.parted(row.at, speaker, wrong, course).await;
                }
            }
        }
        if let Some(speaker) = speaker {
            let batch = self.streams[speaker].stream.batch.as_ref();
            let batch = batch.filter(|batch| batch.base == row.at);
            self.before = batch.map_or(self.before, |batch| batch.epoch);
        }
        for one in &mut self.streams {
            if one
                .stream
                .batch
                .as_ref()
                .is_some_and(|batch| batch.base == row.at)
            {
                let bytes = one.stream.batch.take().map_or(0, |batch| batch.bytes.len());
                self.twins.bytes += bytes as u64;
            }
        }
    }

    fn close(&mut self, nth: usize) {
        self.streams[nth].is_closed = true;
        self.streams[nth].has_failed = true;
    }

    /// Source and destination say different things from there on.
    async fn parted(
        &mut self,
        at: Offset,
        speaker: usize,
        wrong: &Wrong,
        course: &mut dyn FnMut(&TopicPartition) -> Course,
    ) {
        let batch = self.streams[speaker].stream.batch.as_ref();
        let parting = Parting {
            at,
            batch: batch.filter(|batch| batch.base == at),
            before: self.before,
            is_led_by_stock: self.clusters.destination.is_led_in_sight(self.id),
        };
        let known = course(self.id);
        if let Some(why) = parting.why(known) {
            self.twins.alone = Some(Alone { from: at, why });
            return;
        }
        let what = match known {
            Course::Stopped(end) => format!(
                "{wrong}, although it was mirrored up to offset {end} before it was stopped"
            ),
            _ => wrong.to_string(),
        };
        self.finds("the destination".to_owned(), at, what);
    }

    fn finish(mut self, known: Course) -> Twins {
        if let Course::Stopped(at) = known {
            self.was_stopped(at);
        }
        let all = self.streams.iter();
        let first = all.map(|one| one.stream.start).min().unwrap_or_default();
        let told = self.streams.iter().map(|one| {
            let stream = &one.stream;
            Told {
                side: stream.side,
                log_start: stream.start,
                high_watermark: stream.high_watermark,
                log_end: stream.log_end.max(stream.next),
                read_to: stream.next,
                behind: match one.has_failed {
                    true => 0,
                    false => self.behind(stream.side, stream.next),
                },
                removed: stream.start.since(first),
                compacted: one.compacted,
            }
        });
        self.twins.logs = told.collect();
        self.twins.common = self.common();
        self.twins
    }

    fn common(&mut self) -> Option<Result<Alike, Unvouched>> {
        let (source, destination) = (self.clusters.source.as_ref()?, &self.clusters.destination);
        let shared = std::mem::replace(&mut self.shared, Shared::with(None));
        let end = |is_it: &dyn Fn(Side) -> bool| {
            let mut all = self.streams.iter().map(|one| &one.stream);
            let found = all.find(|stream| is_it(stream.side));
            found.map(|stream| stream.log_end.max(stream.next))
        };
        let ends = [
            end(&|side| side == Side::Source),
            end(&|side| side != Side::Source && shared.is_one(side)),
        ];
        let mut topics = self.topics.into_iter();
        let named = [&source.view, &destination.view].map(|view| {
            let found = view.find(self.id);
            Origin {
                cluster: view.cluster_id.clone(),
                topic: topics.next().expect("one of each"),
                epoch: found.map_or(LeaderEpoch::NONE, |(_, partition)| partition.epoch),
            }
        });
        Some(shared.verdict(ends, &self.twins.findings, named))
    }

    /// The mirror was stopped there: the destination has all up to there, and goes on alone, even
    /// where nothing of its own has come yet.
    fn was_stopped(&mut self, at: Offset) {
        let has_failed = self.streams.iter().any(|one| one.has_failed);
        match self.reached() {
            Some(reached) if reached < at && !has_failed => {
                let what = format!("it ends there, although it was mirrored up to offset {at}");
                self.finds("the destination".to_owned(), reached, what);
            }
            Some(reached) if reached >= at => {
                let why = Why::Stopped(at);
                self.twins.alone.get_or_insert(Alone { from: at, why });
            }
            _ => {}
        }
    }

    /// Logs that were read for as long as there was another to compare them with.
    fn sound(&self) -> impl Iterator<Item = &Tracked<W>> {
        self.streams.iter().filter(|one| !one.has_failed)
    }

    /// How far the longest log of the destination was read.
    fn reached(&self) -> Option<Offset> {
        let all = self.sound().map(|one| &one.stream);
        let of_destination = all.filter(|stream| stream.side != Side::Source);
        of_destination.map(|stream| stream.next).max()
    }

    /// Offsets that are still to come to a log that was read up to `end`. Where the destination
    /// goes on alone, ours and the source's are done at the offset from which it does.
    fn behind(&self, side: Side, end: Offset) -> u64 {
        let all = self.sound().map(|one| one.stream.next).max();
        let most = match (self.twins.alone, side) {
            (None, _) => all,
            (Some(alone), Side::Source | Side::Log) => Some(alone.from),
            (Some(_), Side::Replica(_)) => self.reached(),
        };
        let most = most.unwrap_or_default();
        most.since(end.min(most))
    }
}

fn fronts<'s, W: World>(streams: &'s [Tracked<W>], open: &[usize]) -> Vec<Front<'s>> {
    let open = open.iter();
    open.map(|nth| streams[*nth].stream.front()).collect()
}

/// A log that is read over the wire, once it is known where it begins and ends.
async fn opened<W: World>(
    cluster: &mut Cluster<W>,
    id: &TopicPartition,
    side: Side,
    wire: Wire,
) -> Result<Stream<W::Disk>, Unable> {
    let asked = (wire.topic, id);
    let reply = cluster.ask(asked, wire.whom, Question::Bounds).await?;
    let Reply::Bounds { start, end } = reply else {
        return Err(Unable::fault("its answer says something else"));
    };
    Ok(Stream::new(
        side,
        (start, end.max(start)),
        crate::model::ProducerIdShift::NONE,
        Supply::Wire(wire),
    ))
}
