//! Records of one partition: checked, their producer ids shifted where that is asked for, planned,
//! written, committed. The path of every byte.

use super::Shard;
use super::conversation::Taking;
use super::doubt::{Ending, uncontradicted};
use super::lanes::send_plans;
use super::partition::Partition;
use crate::io::{Clock, Disk, World};
use crate::model::{LeaderEpoch, Offset, ProducerIdShift, WallTime};
use crate::record::{BatchFault, Expect, Rest, Run, RunMut, Shifted, check_mut, scan};
use crate::source::{CursorId, Expected, LaneId, Outcome};

/// Lag beyond this is catching up on history, not lag.
const LAG_MS_MAX: i64 = 60_000;

/// What the next records of a partition have to be.
#[derive(Clone, Copy)]
pub(super) struct Expectation {
    pub(super) cursor: CursorId,
    /// What to check them against; none where they are skipped from here on.
    next: Option<(Expect, LeaderEpoch)>,
    /// Where the source's log cannot reach while it answers.
    pub(super) beyond: Option<Offset>,
}

/// What was taken of the bytes shown.
pub(super) struct Taken {
    pub(super) bytes: usize,
    /// The size of the batch that has begun behind them, where that is known.
    pub(super) needs: Option<usize>,
}

impl From<Expected> for Expectation {
    fn from(expected: Expected) -> Expectation {
        let expect = Expect {
            next: expected.next,
            may_begin_before: expected.may_begin_before,
            epoch: expected.epoch_min,
            batch_bytes_max: usize::MAX,
        };
        Expectation {
            cursor: expected.cursor,
            next: Some((expect, expected.epoch_max)),
            beyond: None,
        }
    }
}

impl Expectation {
    /// Nothing is wanted of this partition but how its answer ends.
    pub(super) fn nothing(cursor: CursorId) -> Expectation {
        Expectation {
            cursor,
            next: None,
            beyond: None,
        }
    }
}

impl<W: World> Shard<W> {
    /// Takes whole batches from the front of `records`. At the end of a partition's records
    /// (`is_last`) everything is taken, and a batch that was cut off left out.
    pub(super) fn ingest(
        &mut self,
        lane: LaneId,
        taking: &mut Taking,
        records: &mut [u8],
        is_last: bool,
    ) -> Taken {
        let all = Taken {
            bytes: records.len(),
            needs: None,
        };
        let Some(expectation) = &mut taking.expect else {
            return all;
        };
        let Some((mut expect, epoch_max)) = expectation.next else {
            return all;
        };
        expect.batch_bytes_max = self.options.source.batch_bytes_max as usize;
        if is_last {
            self.ask_ahead(lane, expectation.cursor, records, expect);
        }
        let cursor = expectation.cursor;
        let beyond = expectation.beyond;
        let (sound, rest) = believable(records, expect, epoch_max);
        let (mut believed, rest) = uncontradicted(sound, rest, expect, beyond);
        let epoch = believed.as_run().last_epoch();
        let admitted = self.admit(lane, cursor, &mut believed);
        let Shifted { run, fault } = believed.shifted(self.shift(cursor));
        let sound = run.bytes().len();
        let mut appended = admitted.and_then(|()| self.append(cursor, &run));
        if appended.is_ok() && !run.is_empty() {
            self.bore_fruit(lane);
        }
        if let (Ok(()), Some(fault)) = (appended, fault) {
            self.give_up(cursor, fault.to_string());
            appended = Err(Outcome::Nothing);
        }
        let outcome = match appended {
            Ok(()) => after(taking.outcome, &run, &rest, is_last),
            Err(outcome) => Some(outcome),
        };
        self.suspect(lane, cursor, &rest);
        let follows = Expect {
            next: run.next_offset(),
            may_begin_before: expect.may_begin_before && run.is_empty(),
            epoch,
            ..expect
        };
        taking.outcome = outcome.unwrap_or(taking.outcome);
        // Behind what was not appended, nothing may be.
        let goes_on =
            appended.is_ok() && matches!(taking.outcome, Outcome::Nothing | Outcome::Appended);
        expectation_of(taking).next = goes_on.then_some((follows, epoch_max));
        match rest {
            Ending::Short { need } if goes_on && !is_last => Taken {
                bytes: sound,
                needs: need,
            },
            _ => all,
        }
    }

    /// What is added to the producer ids of a partition.
    fn shift(&self, cursor: CursorId) -> ProducerIdShift {
        let partition = self.partitions.get(&cursor);
        partition.map_or(ProducerIdShift::NONE, |partition| {
            partition.mirror.producer_id_shift
        })
    }

    /// Sends the request that follows before the bytes of this answer are checked and written.
    fn ask_ahead(&mut self, lane: LaneId, cursor: CursorId, records: &[u8], expect: Expect) {
        let ahead = scan(records, expect).run;
        if ahead.is_empty() {
            return;
        }
        self.source
            .look_ahead(cursor, ahead.next_offset(), ahead.last_epoch());
        let now = self.now();
        if let Some(link) = self.links.get_mut(&lane) {
            send_plans(&mut self.source, now, lane, link);
        }
    }

    /// Makes a run fit to be appended: one that continues the log, and has the epoch in which we
    /// lead it. The error is what to tell the source.
    fn admit(
        &mut self,
        lane: LaneId,
        cursor: CursorId,
        run: &mut RunMut<'_>,
    ) -> Result<(), Outcome> {
        let taking = self.partitions.get_mut(&cursor);
        let Some(partition) = taking.filter(|partition| partition.takes_records()) else {
            return Err(Outcome::Nothing);
        };
        if let Some(base) = overlap(partition, &run.as_run()) {
            let (broker, end) = (lane.broker, partition.end());
            let what =
                format!("broker {broker} sent batches from below offset {end}, where we are");
            partition.suspicion = Some(what);
            return Err(Outcome::Overlaps { base });
        }
        if let Some(why) = partition.unhealed(&run.as_run()) {
            self.give_up(cursor, why);
            return Err(Outcome::Nothing);
        }
        let Some(stamp) = partition.log.stamp() else {
            return Ok(());
        };
        if run.as_run().last_epoch() == LeaderEpoch::MAX {
            // It marks what is not the source's, and no leader comes to it.
            let what = format!("broker {} sent a batch of the largest epoch", lane.broker);
            partition.suspicion = Some(what);
            return Err(Outcome::Corrupt);
        }
        let Partition { log, store, .. } = partition;
        if let Err(fault) = store.note_source_epochs(log, &run.as_run()) {
            return Err(self.unwritten(cursor, &fault));
        }
        run.stamp(stamp);
        Ok(())
    }

    /// Appends a run to the partition's log. The error is what to tell the source.
    fn append(&mut self, cursor: CursorId, run: &Run<'_>) -> Result<(), Outcome> {
        if run.is_empty() {
            return Ok(());
        }
        let wall = self.world.clock().wall();
        let Some(partition) = self.partitions.get_mut(&cursor) else {
            return Err(Outcome::Nothing);
        };
        let before = partition.end();
        let Partition { log, store, .. } = partition;
        if let Err(fault) = store.append(log, wall, *run) {
            // What lay before the trouble is the log's.
            let (end, epoch) = (partition.end(), partition.their_epoch());
            if end > before {
                self.advanced(cursor, end, epoch);
            }
            return Err(self.unwritten(cursor, &fault));
        }
        partition.tally.bytes += run.bytes().len() as u64;
        partition.tally.batches += u64::from(run.count());
        let (end, epoch) = (run.next_offset(), partition.their_epoch());
        let newest = partition.log.last_timestamp();
        self.note_lag(wall, newest);
        self.advanced(cursor, end, epoch);
        self.goes_well(cursor);
        Ok(())
    }

    /// The log reaches further; what the source has lost before that is known now.
    fn advanced(&mut self, cursor: CursorId, end: Offset, epoch: LeaderEpoch) {
        let gap = self.source.advanced(cursor, end, epoch);
        let partition = self.partitions.get_mut(&cursor);
        if let Some(((from, to), partition)) = gap.zip(partition) {
            let id = &partition.id;
            tracing::warn!("{id}: the source has lost offsets {from} to {to}; a gap remains");
            partition.gaps.push((from, to));
        }
        self.appended(cursor);
    }

    fn note_lag(&mut self, wall: WallTime, newest: i64) {
        let lag_ms = wall.0.saturating_sub(newest);
        if newest > 0 && (0..=LAG_MS_MAX).contains(&lag_ms) {
            self.lag_ms.saturating_record(lag_ms.unsigned_abs().max(1));
        }
    }

    /// Keeps what is wrong with an answer, and who sent it, for when its partition ends.
    fn suspect(&mut self, lane: LaneId, cursor: CursorId, rest: &Ending) {
        let what = match rest {
            Ending::Fault(fault) => fault.to_string(),
            Ending::EpochAhead { at, epoch, most } => format!(
                "the batch at offset {at} has leader epoch {epoch}, its sender leads in {most}"
            ),
            Ending::Beyond { at, end } => {
                format!("the batch at offset {at} lies far behind the log's end near {end}")
            }
            Ending::Nothing | Ending::Short { .. } => return,
        };
        if let Some(partition) = self.partitions.get_mut(&cursor) {
            partition.suspicion = Some(format!("broker {} sent it: {what}", lane.broker));
        }
    }
}

/// Where a run begins that would be written over what is there: a batch may begin below what was
/// asked for, but never below our own end.
fn overlap<D: Disk>(partition: &Partition<D>, run: &Run<'_>) -> Option<Offset> {
    let begins = run.batches().next()?.base_offset();
    let is_over = !partition.log.is_empty() && begins < partition.end();
    is_over.then_some(begins)
}

/// The sound batches that are not newer than the epoch under which the source has answered.
fn believable(records: &mut [u8], expect: Expect, epoch_max: LeaderEpoch) -> (RunMut<'_>, Ending) {
    let (run, rest) = check_mut(records, expect);
    let all = run.as_run();
    if all.is_empty() || all.last_epoch() <= epoch_max {
        let ending = match rest {
            Rest::Nothing => Ending::Nothing,
            Rest::Short { need, .. } => Ending::Short { need },
            Rest::Fault(fault) => Ending::Fault(fault),
        };
        return (run, ending);
    }
    let believed = all
        .batches()
        .take_while(|batch| batch.leader_epoch() <= epoch_max)
        .count();
    let ahead = all.batches().nth(believed);
    let ahead = ahead.expect("the last of them is");
    let ending = Ending::EpochAhead {
        at: ahead.base_offset(),
        epoch: ahead.leader_epoch(),
        most: epoch_max,
    };
    (run.front(believed), ending)
}

fn after(before: Outcome, run: &Run<'_>, ending: &Ending, is_last: bool) -> Option<Outcome> {
    let has_some = !run.is_empty() || before == Outcome::Appended;
    match ending {
        Ending::Fault(BatchFault::Length { length, most, .. })
            if u64::try_from(*length).is_ok_and(|length| length > *most as u64) =>
        {
            let need = Some(u32::try_from(*length).unwrap_or(u32::MAX));
            Some(if has_some {
                Outcome::Appended
            } else {
                Outcome::TooSmall { need }
            })
        }
        Ending::Fault(_) | Ending::Beyond { .. } => Some(Outcome::Corrupt),
        Ending::EpochAhead { .. } => Some(Outcome::EpochAhead),
        _ if has_some => Some(Outcome::Appended),
        Ending::Short { need } if is_last => Some(Outcome::TooSmall {
            need: need.map(|need| u32::try_from(need).unwrap_or(u32::MAX)),
        }),
        _ => None,
    }
}

fn expectation_of(taking: &mut Taking) -> &mut Expectation {
    taking.expect.as_mut().expect("it was there before")
}
