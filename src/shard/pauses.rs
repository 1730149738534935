//! What fails and may pass: partitions that wait and say why, and logs that are opened later.

use std::time::Duration;

use super::Shard;
use super::inbox::{Mirror, Order, Phase, Recovered, Status, Tally, Told};
use super::tasks::subject;
use crate::io::World;
use crate::log::{LogFault, discard};
use crate::model::{Instant, LeaderEpoch, TopicPartition};
use crate::source::{CursorId, LaneId, Outcome, Withheld};

/// What the disk refuses is tried again after this.
pub(super) const DISK_RETRY: Duration = Duration::from_secs(1);
/// A partition that goes on waiting says so again after this.
const SAY_AGAIN: Duration = Duration::from_secs(30);

/// A partition whose log could not be opened, and may be later.
pub(super) struct Unopened {
    pub(super) mirror: Mirror,
    since: Instant,
    again_at: Instant,
}

impl<W: World> Shard<W> {
    /// Drops what is not wanted of a log any more; once.
    fn drop_log(&self, mirror: &mut Mirror) -> Result<(), LogFault> {
        if mirror.restarts {
            discard(self.world.disk(), &mirror.dir, mirror.recovery_point)?;
            mirror.recovery_point = mirror.log_start;
            (mirror.restarts, mirror.is_clean) = (false, false);
        }
        Ok(())
    }

    /// Opens a partition's log. What may pass is tried again for as long as the copy has
    /// patience, counted from `since`.
    pub(super) fn open_or_wait(&mut self, mut mirror: Mirror, since: Instant) {
        let opened = self.drop_log(&mut mirror);
        let fault = match opened.and_then(|()| self.open(&mirror)) {
            Ok(opened) => return self.follow(mirror, opened),
            Err(fault) => fault,
        };
        let now = self.now();
        let is_over = mirror.until.is_some() && now.since(since) >= self.patience();
        let phase = if fault.may_pass() && !is_over {
            tracing::warn!("{} cannot be opened now: {fault}", mirror.id);
            Phase::Waiting(fault.to_string())
        } else {
            tracing::error!("{} cannot be opened: {fault}", mirror.id);
            self.all_opened = false;
            Phase::Stopped(fault.to_string())
        };
        let waits = matches!(phase, Phase::Waiting(_));
        if !waits {
            self.report.told.push(Told::Failed {
                id: mirror.id.clone(),
                what: "open",
                why: fault.to_string(),
            });
        }
        self.report.statuses.push(unopened(&mirror, phase));
        self.next_report = Instant::default();
        if waits {
            // Slower from time to time, as whatever is in the way lasts.
            let pause = (now.since(since) / 2).clamp(DISK_RETRY, SAY_AGAIN);
            let again_at = now.after(pause);
            self.unopened.push(Unopened {
                mirror,
                since,
                again_at,
            });
        }
    }

    /// Tries again to open what could not be opened.
    pub(super) fn reopen(&mut self) {
        let now = self.now();
        let is_due = |unopened: &mut Unopened| unopened.again_at <= now;
        let due: Vec<Unopened> = self.unopened.extract_if(.., is_due).collect();
        for unopened in due {
            self.open_or_wait(unopened.mirror, unopened.since);
        }
    }

    pub(super) fn reopen_deadline(&self) -> Option<Instant> {
        self.unopened.iter().map(|unopened| unopened.again_at).min()
    }

    /// An order about a partition whose log is not open.
    pub(super) fn without_log(&mut self, order: Order) {
        let (id, verb) = subject(&order);
        let id = id.clone();
        let waiting = self.unopened.iter_mut();
        let mut waiting = waiting.filter(|unopened| unopened.mirror.id == id);
        match (order, waiting.next()) {
            (Order::Mirror(mirror), _) => {
                self.unopened.retain(|unopened| unopened.mirror.id != id);
                self.open_or_wait(*mirror, self.now());
            }
            (Order::Stamp { epoch, .. }, Some(waiting)) if waiting.mirror.stamp.is_some() => {
                waiting.mirror.stamp = Some(epoch);
            }
            (Order::Fetch { .. }, Some(waiting)) => waiting.mirror.fetches = true,
            (Order::Release { .. }, Some(waiting)) => {
                let mirror = &waiting.mirror;
                self.report.told.push(Told::Released {
                    log_start: mirror.log_start,
                    log_end: mirror.recovery_point.max(mirror.log_start),
                    is_clean: mirror.is_clean,
                    id: id.clone(),
                });
                self.unopened.retain(|unopened| unopened.mirror.id != id);
            }
            (_, Some(_)) => self.failed(id, verb, "its log cannot be opened now".to_owned()),
            (_, None) => self.failed(id, verb, "it is not mirrored here".to_owned()),
        }
    }

    /// Opens a partition no more, for `why`.
    pub(super) fn forget_unopened(&mut self, id: &TopicPartition, why: &str) {
        let is_meant = |unopened: &mut Unopened| unopened.mirror.id == *id;
        for forgotten in self.unopened.extract_if(.., is_meant) {
            tracing::error!("{id} stops: {why}");
            self.all_opened = false;
            let phase = Phase::Stopped(why.to_owned());
            self.report
                .statuses
                .push(unopened(&forgotten.mirror, phase));
        }
    }

    /// Something of a partition fails and is tried again. A copy that is to end gives it up when
    /// that has lasted too long.
    pub(super) fn pause(&mut self, cursor: CursorId, why: String) {
        let now = self.now();
        let Some(partition) = self.partitions.get_mut(&cursor) else {
            return;
        };
        let said_at = partition.said_at;
        if said_at.is_none_or(|said| now.since(said) >= SAY_AGAIN) && !partition.is_over() {
            partition.said_at = Some(now);
            tracing::warn!("{} waits: {why}", partition.id);
        }
        self.pause_quietly(cursor, why);
    }

    fn pause_quietly(&mut self, cursor: CursorId, why: String) {
        let (now, patience) = (self.now(), self.patience());
        let Some(partition) = self.partitions.get_mut(&cursor) else {
            return;
        };
        if partition.is_over() {
            return;
        }
        let since = *partition.waiting_since.get_or_insert(now);
        if partition.mirror.until.is_some() && now.since(since) >= patience {
            return self.give_up(cursor, format!("{why}; tried again for {patience:?}"));
        }
        partition.phase = Phase::Waiting(why);
        self.moved.insert(cursor);
    }

    /// A connection was lost, and with it what its partitions had asked for.
    pub(super) fn pause_lane(&mut self, lane: LaneId, why: &dyn std::fmt::Display) {
        let cursors = self.partitions.iter();
        let cursors = cursors.filter(|(cursor, partition)| {
            let is_wanted = partition.is_fetched && !partition.is_complete;
            is_wanted && self.source.lane(**cursor) == Some(lane)
        });
        let cursors: Vec<CursorId> = cursors.map(|(cursor, _)| *cursor).collect();
        for cursor in cursors {
            let progress = self.source.progress(cursor).expect("it has a lane");
            let (broker, next) = (lane.broker, progress.committed.next);
            let why = format!("broker {broker}, asked from offset {next} on: {why}");
            self.pause_quietly(cursor, why);
        }
    }

    /// Says why a connection is of no use, unless the same was said of it a moment ago.
    pub(super) fn say_lost(&mut self, lane: LaneId, why: &dyn std::fmt::Display) {
        let (now, broker, why) = (self.now(), lane.broker, why.to_string());
        let is_new =
            |(said_at, said): &(Instant, String)| *said != why || now.since(*said_at) >= SAY_AGAIN;
        match self.losses.get(&lane).is_none_or(is_new) {
            true => {
                tracing::warn!("broker {broker}: {why}");
                self.losses.insert(lane, (now, why));
            }
            false => tracing::debug!("broker {broker}: {why}"),
        }
    }

    /// An answer as a whole has brought nothing, and the next one may not either.
    pub(super) fn withheld(&mut self, lane: LaneId, why: Withheld) {
        let now = self.now();
        if let Some(link) = self.links.get_mut(&lane)
            && link.said_at.is_none_or(|said| now.since(said) >= SAY_AGAIN)
        {
            link.said_at = Some(now);
            tracing::warn!("broker {}: {why}", lane.broker);
        }
        self.pause_lane(lane, &why);
    }

    /// What had failed goes well again.
    pub(super) fn goes_well(&mut self, cursor: CursorId) {
        let Some(partition) = self.partitions.get_mut(&cursor) else {
            return;
        };
        // An answer to a question ends the waiting, but not the patience: only records do.
        let has_waited = partition.waiting_since.is_some();
        let waits = matches!(partition.phase, Phase::Waiting(_)) || has_waited;
        if !waits || partition.is_unflushed || partition.uncut.is_some() {
            return;
        }
        if matches!(partition.phase, Phase::Waiting(_)) {
            partition.phase = Phase::Mirroring;
        }
        partition.waiting_since = None;
        if partition.said_at.take().is_some() {
            tracing::info!("{} goes on", partition.id);
        }
        self.moved.insert(cursor);
    }

    /// An append has failed: what becomes of its partition.
    pub(super) fn unwritten(&mut self, cursor: CursorId, fault: &LogFault) -> Outcome {
        match fault {
            LogFault::Io { .. } => {
                if let Some(partition) = self.partitions.get_mut(&cursor) {
                    partition.suspicion = Some(fault.to_string());
                }
                return Outcome::Unwritten;
            }
            LogFault::Marker { .. } => self.give_up(cursor, fault.to_string()),
            _ => self.break_off(cursor, fault),
        }
        Outcome::Nothing
    }

    /// What a sync needs could not be written.
    pub(super) fn unflushed(&mut self, cursor: CursorId, fault: &LogFault) {
        if !fault.may_pass() {
            return self.break_off(cursor, fault);
        }
        if let Some(partition) = self.partitions.get_mut(&cursor) {
            partition.is_unflushed = true;
        }
        let again_at = self.now().after(DISK_RETRY);
        self.due.insert((again_at, cursor));
        self.pause(cursor, fault.to_string());
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(u64::from(self.options.patience_ms))
    }
}

/// A partition whose log is not open.
fn unopened(mirror: &Mirror, phase: Phase) -> Status {
    Status {
        id: mirror.id.clone(),
        phase,
        tally: Tally::default(),
        log_start: mirror.log_start,
        log_end: mirror.recovery_point.max(mirror.log_start),
        durable: mirror.recovery_point,
        high_watermark: None,
        gaps: Vec::new(),
        recovered: Recovered::default(),
        source_epoch: LeaderEpoch::NONE,
        open_transactions: 0,
        largest_producer_id: None,
        reached: None,
    }
}
