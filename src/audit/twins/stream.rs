//! The batches of one log one after the other, over the wire or from our own disk, in memory
//! bounded by one answer.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::align::{Front, Side, Twin};
use super::cluster::{Cluster, Question, Reply, Unable, Whom};
use crate::io::{Disk, World};
use crate::log::{BatchStream, Reader};
use crate::model::{LeaderEpoch, Offset, ProducerIdShift, TopicId, TopicPartition};
use crate::protocol::ErrorCode;
use crate::record::{Expect, Rest, first};

/// So many empty answers mean that nothing is left below the high watermark.
const EMPTY_ANSWERS_MAX: u32 = 3;

/// One log that is read.
pub(super) struct Stream<D: Disk> {
    pub(super) side: Side,
    /// Where the log begins.
    pub(super) start: Offset,
    /// Where it ended when it was looked at first; behind the high watermark for replicas.
    pub(super) log_end: Offset,
    /// The high watermark as it was told last.
    pub(super) high_watermark: Option<Offset>,
    /// Offsets that are known to be missing.
    pub(super) gaps: Vec<(Offset, Offset)>,
    /// Its next batch.
    pub(super) batch: Option<Twin>,
    /// The first offset behind what was read.
    pub(super) next: Offset,
    pub(super) has_ended: bool,
    shift: ProducerIdShift,
    supply: Supply<D>,
}

/// Where batches come from.
pub(super) enum Supply<D: Disk> {
    Wire(Wire),
    Disk(Own<D>),
}

/// An answer that is taken apart batch by batch.
pub(super) struct Wire {
    pub(super) topic: TopicId,
    pub(super) whom: Whom,
    answer: Bytes,
    taken: usize,
    empty: u32,
}

/// Our own log.
pub(super) struct Own<D: Disk> {
    pub(super) disk: D,
    pub(super) dir: PathBuf,
    /// What lies behind was not verified, and may not be whole.
    pub(super) until: Offset,
    pub(super) batches: Option<BatchStream<D>>,
}

impl Wire {
    pub(super) fn new(topic: TopicId, whom: Whom) -> Wire {
        Wire {
            topic,
            whom,
            answer: Bytes::new(),
            taken: 0,
            empty: 0,
        }
    }
}

impl<D: Disk> Stream<D> {
    /// A log that reaches from `start` to `end`, and to whose producer ids `shift` was added.
    pub(super) fn new(
        side: Side,
        (start, end): (Offset, Offset),
        shift: ProducerIdShift,
        supply: Supply<D>,
    ) -> Stream<D> {
        Stream {
            side,
            start,
            log_end: end,
            high_watermark: None,
            gaps: Vec::new(),
            batch: None,
            next: start,
            has_ended: false,
            shift,
            supply,
        }
    }

    /// The same, with what was added to producer ids.
    pub(super) fn with_shift(self, shift: ProducerIdShift) -> Stream<D> {
        Stream { shift, ..self }
    }

    pub(super) fn front(&self) -> Front<'_> {
        Front {
            side: self.side,
            start: self.start,
            batch: self.batch.as_ref(),
            end: self.next,
            gaps: &self.gaps,
        }
    }

    /// Goes on at `offset`, and forgets what was read from there on.
    pub(super) fn seek(&mut self, offset: Offset) {
        self.next = offset.max(self.start);
        self.batch = None;
        self.has_ended = false;
        match &mut self.supply {
            Supply::Wire(wire) => (wire.answer, wire.taken, wire.empty) = (Bytes::new(), 0, 0),
            Supply::Disk(own) => own.batches = None,
        }
    }

    /// Takes the next batch, if there is one that begins below `until`.
    pub(super) async fn fill<W: World>(
        &mut self,
        cluster: &mut Cluster<W>,
        id: &TopicPartition,
        until: Offset,
    ) -> Result<(), Unable> {
        while self.batch.is_none() && !self.has_ended {
            if self.next >= until {
                self.has_ended = true;
                break;
            }
            match &mut self.supply {
                Supply::Disk(own) => {
                    let twin = own.next_twin(self.next, self.shift);
                    self.take(twin?);
                }
                Supply::Wire(wire) => {
                    let (twin, next) = (wire.next_twin(self.next, self.shift)?, self.next);
                    match twin {
                        Some(twin) => self.take(Some(twin)),
                        None => self.fetch(cluster, id, next).await?,
                    }
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, twin: Option<Twin>) {
        match twin {
            Some(twin) => {
                self.next = twin.next;
                self.batch = Some(twin);
            }
            None => self.has_ended = true,
        }
    }

    /// One more answer, from offset `next` on.
    async fn fetch<W: World>(
        &mut self,
        cluster: &mut Cluster<W>,
        id: &TopicPartition,
        next: Offset,
    ) -> Result<(), Unable> {
        let Supply::Wire(wire) = &mut self.supply else {
            return Ok(());
        };
        let most = i32::try_from(cluster.manners.batch_bytes_max).unwrap_or(i32::MAX);
        let least = cluster.manners.answer_bytes;
        let room = match wire.empty {
            0 => least,
            _ => most.max(least),
        };
        let asked = (wire.topic, id);
        let question = Question::Records { from: next, room };
        let Reply::Records(fetched) = cluster.ask(asked, wire.whom, question).await? else {
            return Ok(());
        };
        if fetched.head.error == ErrorCode::OFFSET_OUT_OF_RANGE {
            let reply = cluster.ask(asked, wire.whom, Question::Bounds).await?;
            if let Reply::Bounds { start, .. } = reply {
                self.out_of_range(start);
            }
            return Ok(());
        }
        let high_watermark = fetched.head.high_watermark.unwrap_or(next);
        self.high_watermark = Some(high_watermark);
        self.start = self.start.max(fetched.head.log_start.unwrap_or_default());
        if !fetched.records.is_empty() {
            (wire.answer, wire.taken) = (fetched.records, 0);
            wire.empty += 1;
            return Ok(());
        }
        wire.empty += 1;
        if next >= high_watermark || wire.empty >= EMPTY_ANSWERS_MAX {
            self.has_ended = true;
            // Nothing is left up to there; what follows may come yet.
            self.next = next.max(high_watermark);
        }
        Ok(())
    }

    /// The log begins behind what was asked for, or ends before it.
    fn out_of_range(&mut self, start: Offset) {
        match start > self.next {
            true => (self.start, self.next) = (start, start),
            false => self.has_ended = true,
        }
    }
}

impl Wire {
    /// The next batch of the answer; none where there is no whole one left.
    fn next_twin(&mut self, next: Offset, shift: ProducerIdShift) -> Result<Option<Twin>, Unable> {
        let expect = Expect {
            next,
            may_begin_before: self.taken == 0,
            epoch: LeaderEpoch::NONE,
            batch_bytes_max: i32::MAX as usize,
        };
        match first(self.answer.get(self.taken..).unwrap_or_default(), expect) {
            Ok(batch) => {
                self.taken += batch.bytes().len();
                self.empty = 0;
                Ok(Some(Twin::of(&batch, shift)))
            }
            Err(Rest::Nothing | Rest::Short { .. }) => {
                (self.answer, self.taken) = (Bytes::new(), 0);
                match self.empty < EMPTY_ANSWERS_MAX {
                    true => Ok(None),
                    false => Err(Unable::fault(format!(
                        "no whole batch comes from offset {next} on: give a --config with a \
                         larger source.batch_bytes_max"
                    ))),
                }
            }
            Err(Rest::Fault(fault)) => Err(Unable::fault(format!(
                "what it has from offset {next} on is damaged: {fault}"
            ))),
        }
    }
}

impl<D: Disk> Own<D> {
    pub(super) fn new(disk: D, dir: &Path, until: Offset) -> Own<D> {
        Own {
            disk,
            dir: dir.to_owned(),
            until,
            batches: None,
        }
    }

    /// The next batch that reaches beyond `next`.
    fn next_twin(&mut self, next: Offset, shift: ProducerIdShift) -> Result<Option<Twin>, Unable> {
        let unable = |fault: crate::log::LogFault| Unable::fault(fault.to_string());
        if self.batches.is_none() {
            let reader = Reader::open(self.disk.clone(), &self.dir).map_err(unable)?;
            self.batches = Some(BatchStream::from(reader, next).map_err(unable)?);
        }
        let batches = self.batches.as_mut().expect("made above");
        while let Some(batch) = batches.next_batch().map_err(unable)? {
            if batch.next_offset() > self.until {
                return Ok(None);
            }
            if batch.next_offset() > next {
                return Ok(Some(Twin::of(&batch, shift)));
            }
        }
        Ok(None)
    }
}
