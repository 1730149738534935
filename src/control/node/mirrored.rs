//! One mirrored partition, as a node drives it: where its life is, and where its log and its part
//! at the destination are.

use std::time::Duration;

use crate::leading::inbox::Stood;
use crate::mirror::{Action, Partition, State, Ticket};
use crate::model::{BrokerId, Instant, LeaderEpoch, Offset, ShardId, TopicId, TopicPartition};
use crate::protocol::mirror_rpc::StopReport;
use crate::shard::inbox::{Aborted, Digested, LeaderEpochs, Phase, Status};

use super::course::{Goal, Home, LogAt, Part, Place, WayBack};
use super::low_ids::Compared;
use super::progress::Progress;
use super::taking_back::TakenBack;

/// A partition of a mirror.
#[derive(Debug)]
pub(super) struct Mirrored {
    pub(super) id: TopicPartition,
    pub(super) life: Partition,
    pub(super) acting: Option<(Ticket, Action)>,
    pub(super) log: LogAt,
    /// The shard that has the log, or has been told to open it.
    pub(super) shard: Option<ShardId>,
    /// Who has been told to open the log.
    pub(super) opening: Option<Home>,
    /// A step is under way.
    pub(super) is_busy: bool,
    /// It is a cut: nobody is to get what goes.
    pub(super) is_cutting: bool,
    pub(super) ceased: Option<Ceased>,
    pub(super) aborted: Option<Vec<Aborted>>,
    /// Where the log ends behind the markers of a stop.
    pub(super) sealed_end: Option<Offset>,
    /// What its last stop has done so far.
    pub(super) report: StopReport,
    /// The log as it was when it was opened or stamped last.
    pub(super) opened: Option<Opened>,
    /// Its shard goes no further with it.
    pub(super) is_stopped: bool,
    /// Something has just failed: nothing is tried before a moment has passed.
    pub(super) rests: bool,
    pub(super) is_fenced: bool,
    pub(super) is_unfenced: bool,
    pub(super) is_verified: bool,
    /// Those that were late at the hand-over have their replicas again.
    pub(super) is_restored: bool,
    /// The counterpart has told where both sides part.
    pub(super) is_asked: bool,
    /// What the source has taken back, and the log that we lead has still.
    pub(super) taken_back: Option<TakenBack>,
    /// What the leading thread was told last.
    pub(super) led: Option<Led>,
    pub(super) stood: Option<Stood>,
    pub(super) status: Option<Status>,
    /// Since when records of the source have been missing here.
    missing_since: Option<Instant>,
    /// Bytes and offsets that came last, while the log was open once: a log that is opened again
    /// and again for what it is refused does not forget how large its records are.
    came: Option<(u64, u64)>,
    /// What it waits for, in words.
    pub(super) waits_for: &'static str,
    /// What went wrong last with a step that is tried again.
    pub(super) trouble: Option<String>,
    /// Since when something has been about to come about at the destination.
    pub(super) soon_since: Option<Instant>,
    /// How far its stop is.
    pub(super) progress: Progress,
    /// What our part in it was when something was asked of the destination last.
    pub(super) asked_as: Option<Part>,
    /// How its log compares with producers of the destination's.
    pub(super) compared: Compared,
}

/// A log as a shard has opened it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) log_start: Offset,
    pub(super) log_end: Offset,
    pub(super) epochs: LeaderEpochs,
    /// Up to where it is the source's.
    pub(super) mirrored: Offset,
}

/// Where a log was when its shard ceased to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ceased {
    pub(super) log_end: Offset,
    pub(super) source_epoch: LeaderEpoch,
}

/// How the leading thread has a partition served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Led {
    /// Its topic, at the destination.
    pub(super) topic_id: TopicId,
    pub(super) epoch: LeaderEpoch,
    /// As of which change.
    pub(super) partition_epoch: i32,
    /// How many have to be in sync.
    pub(super) min_isr: usize,
    /// Others have written to it.
    pub(super) holds_others: bool,
}

/// What of a [`Place`] a partition does not know itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings {
    pub(super) part: Part,
    pub(super) is_vault: bool,
    pub(super) can_open: bool,
    pub(super) is_new: bool,
    pub(super) is_lost: bool,
    pub(super) has_old_logs: bool,
    pub(super) can_create: bool,
    pub(super) position: Option<Offset>,
    pub(super) is_noted: bool,
    pub(super) were_some_late: bool,
    pub(super) is_apart: bool,
    pub(super) may_harm: bool,
    pub(super) cuts_others: bool,
    pub(super) can_fetch: bool,
    pub(super) way_back: WayBack,
    pub(super) is_alone: bool,
}

impl Mirrored {
    pub(super) fn new(id: TopicPartition, life: Partition) -> Mirrored {
        Mirrored {
            id,
            life,
            acting: None,
            log: LogAt::Closed,
            shard: None,
            opening: None,
            is_busy: false,
            is_cutting: false,
            ceased: None,
            aborted: None,
            sealed_end: None,
            report: StopReport::default(),
            opened: None,
            is_stopped: false,
            rests: false,
            is_fenced: false,
            is_unfenced: false,
            is_verified: false,
            is_restored: false,
            is_asked: false,
            taken_back: None,
            led: None,
            stood: None,
            status: None,
            missing_since: None,
            came: None,
            waits_for: "nothing was read of it yet",
            trouble: None,
            soon_since: None,
            progress: Progress::default(),
            asked_as: None,
            compared: Compared::default(),
        }
    }

    /// What is wanted of it now; none while that is being decided.
    pub(super) fn goal(&self) -> Option<Goal> {
        let state = self.life.record()?.state;
        match (state, self.acting) {
            (State::Stopped, _) => Some(Goal::Leave),
            (State::Paused | State::Failed, _) => Some(Goal::Keep),
            (_, Some((_, action))) => Some(Goal::Act(action)),
            (_, None) => None,
        }
    }

    pub(super) fn place(&self, around: Surroundings) -> Place {
        Place {
            part: around.part,
            log: self.log,
            is_vault: around.is_vault,
            can_open: around.can_open,
            is_new: around.is_new,
            is_lost: around.is_lost,
            has_old_logs: around.has_old_logs,
            can_create: around.can_create,
            position: around.position,
            ceased: self.ceased.map(|ceased| ceased.log_end),
            is_sealed: self.aborted.is_some(),
            is_noted: around.is_noted,
            is_drained: self.is_drained(),
            is_apart: around.is_apart,
            may_harm: around.may_harm,
            is_fenced: self.is_fenced,
            is_unfenced: self.is_unfenced,
            is_verified: self.is_verified,
            lacks_replicas: around.were_some_late && !self.is_restored,
            others: self.others(),
            cuts_others: around.cuts_others
                && (self.is_known_in_part() || around.way_back == WayBack::Aligned),
            can_fetch: around.can_fetch,
            way_back: around.way_back,
            is_asked: self.is_asked,
            is_at_parting: self.is_at(around.way_back),
            exceeds: self.exceeds(around.way_back),
            taken_back: self.takes_back_from(),
            is_led_anew: around.is_alone || self.is_led_anew(),
        }
    }

    /// The log that we lead has something from where both sides part.
    pub(super) fn exceeds(&self, way_back: WayBack) -> bool {
        let (WayBack::Begun { from }, Some(opened)) = (way_back, &self.opened) else {
            return false;
        };
        opened.log_start.max(opened.log_end) > from
    }

    /// So did the thread that serves followers last see it.
    fn is_at(&self, way_back: WayBack) -> bool {
        let stood = self.stood.as_ref();
        matches!(way_back, WayBack::Begun { from }
            if stood.is_some_and(|stood| stood.log_end == from))
    }

    /// Something of the log is known to be the source's.
    pub(super) fn is_known_in_part(&self) -> bool {
        let opened = self.opened.as_ref();
        opened.is_some_and(|opened| opened.mirrored > opened.log_start)
    }

    /// From where to where the log holds what is not the source's, as it was opened.
    fn others(&self) -> Option<(Offset, Offset)> {
        let opened = self.opened.as_ref()?;
        let others = (opened.mirrored, opened.log_end);
        (opened.mirrored < opened.log_end).then_some(others)
    }

    /// Every replica in sync has fetched all that the log has now, in our present epoch.
    fn is_drained(&self) -> bool {
        let (Some(stood), Some(led)) = (&self.stood, self.led) else {
            return false;
        };
        let end = self.log_end();
        // Word of a log that was longer comes late.
        let ends = [
            end,
            self.sealed_end,
            self.ceased.map(|ceased| ceased.log_end),
        ];
        let opened = self.opened.as_ref().map(|opened| opened.log_end);
        let is_of_it = Some(stood.log_end) <= ends.into_iter().max().flatten().max(opened);
        let is_all = Some(stood.log_end) >= end && is_of_it;
        stood.is_drained && stood.leader_epoch == led.epoch && is_all
    }

    /// Another action begins: what the last one had seen is to be seen again.
    pub(super) fn begins(&mut self, ticket: Ticket, action: Action) {
        self.acting = Some((ticket, action));
        if action == Action::Stop {
            // Whatever has arrived is kept.
            self.taken_back = None;
        }
        self.ceased = None;
        self.aborted = None;
        self.is_unfenced = false;
        self.is_verified = false;
        self.is_restored = false;
        self.is_asked = false;
        self.trouble = None;
    }

    /// A shard has opened its log, or stamps it anew.
    pub(super) fn opened(&mut self, stamp: Option<LeaderEpoch>, opened: Opened) {
        let home = self.opening.take().or(self.home());
        let home = home.unwrap_or(Home::Mirror);
        self.is_busy = false;
        self.is_stopped = false;
        self.log = LogAt::Open {
            home,
            stamp,
            is_fetching: home == Home::Follower,
        };
        self.opened = Some(opened);
    }

    /// Behind what was mirrored there are markers of our own, up to here.
    pub(super) fn sealed(&mut self, aborted: Vec<Aborted>, log_end: Offset) {
        self.is_busy = false;
        self.sealed_end = Some(log_end);
        self.report_sealed(&aborted, log_end);
        self.aborted = Some(aborted);
        if let (Some(opened), Some(ceased)) = (&mut self.opened, self.ceased) {
            (opened.mirrored, opened.log_end) = (ceased.log_end, log_end);
        }
    }

    /// Its log ends here now.
    pub(super) fn cut(&mut self, (log_start, log_end): (Offset, Offset), epochs: LeaderEpochs) {
        (self.is_busy, self.is_cutting) = (false, false);
        (self.ceased, self.sealed_end) = (None, None);
        if let Some(status) = &mut self.status {
            status.log_end = log_end;
        }
        if let Some(opened) = &mut self.opened {
            (opened.log_start, opened.log_end) = (log_start, log_end);
            opened.mirrored = opened.mirrored.min(log_end);
            opened.epochs = epochs;
        }
        // It was of the log as it was.
        self.stood = None;
        self.taken_back = None;
        self.compared.again();
    }

    /// Nothing more is fetched. What was mirrored ends here; markers of an earlier stop may follow.
    /// `is_heard`: the source could be asked when it was tried last.
    pub(super) fn ceased(
        &mut self,
        now: Instant,
        (mirrored, source_epoch): (Offset, LeaderEpoch),
        digest: Option<Digested>,
        is_heard: bool,
    ) {
        self.is_busy = false;
        if let LogAt::Open { is_fetching, .. } = &mut self.log {
            *is_fetching = false;
        }
        self.compared.again();
        self.report_ceased(now, mirrored, is_heard);
        self.report_digest(digest);
        self.ceased = Some(Ceased {
            log_end: mirrored,
            source_epoch,
        });
    }

    /// Its log is with no shard.
    pub(super) fn closed(&mut self) {
        if self.home() == Some(Home::Follower) {
            // It was of another leader's log.
            self.status = None;
        }
        self.log = LogAt::Closed;
        self.is_cutting = false;
        self.shard = None;
        self.stood = None;
        self.ceased = None;
        self.aborted = None;
        self.opened = None;
        self.compared = Compared::default();
    }

    /// Nothing is wanted of it, and nothing is left to be done: it costs nothing however many of
    /// its kind there are.
    pub(super) fn is_at_rest(&self) -> bool {
        let is_closed = self.log == LogAt::Closed && self.led.is_none();
        self.goal() == Some(Goal::Leave) && is_closed && !self.is_busy
    }

    /// Whose shard has the log open.
    pub(super) fn home(&self) -> Option<Home> {
        match self.log {
            LogAt::Open { home, .. } => Some(home),
            LogAt::Closed => None,
        }
    }

    /// The shard that fetches it from its source, or will.
    pub(super) fn at_source(&self) -> Option<ShardId> {
        self.shard.filter(|_| self.home() == Some(Home::Mirror))
    }

    /// The end of our log, as last told.
    pub(super) fn log_end(&self) -> Option<Offset> {
        self.status.as_ref().map(|status| status.log_end)
    }

    /// Records are fetched, and nothing is in the way.
    pub(super) fn is_mirroring(&self) -> bool {
        let status = self.status.as_ref();
        let is_well = status.is_some_and(|status| status.phase == Phase::Mirroring);
        let acts = self
            .acting
            .is_some_and(|(_, action)| action == Action::Mirror);
        is_well && acts
    }

    /// The source's high watermark, as last told; none while another leader is followed.
    pub(super) fn source_end(&self) -> Option<Offset> {
        if self.home() == Some(Home::Follower) {
            return None;
        }
        self.status.as_ref()?.high_watermark
    }

    /// Its shard says where it stands.
    pub(super) fn stands(&mut self, now: Instant, status: Status) {
        self.status = Some(status);
        self.came = self.has_come().or(self.came);
        self.missing_since = match self.lag() {
            Some(1..) => self.missing_since.or(Some(now)),
            Some(_) => None,
            None => self.missing_since,
        };
    }

    /// How many offsets the source is ahead, as last told.
    pub(super) fn lag(&self) -> Option<i64> {
        let (end, source) = (self.log_end()?, self.source_end()?);
        Some((source.value() - end.value()).max(0))
    }

    /// For how long records have been missing; none where the source was not heard of yet.
    pub(super) fn lag_time(&self, now: Instant) -> Option<Duration> {
        self.lag()?;
        let since = self.missing_since;
        Some(since.map_or(Duration::ZERO, |since| now.since(since)))
    }

    /// About how many bytes are missing, where records are as large as those that came.
    pub(super) fn lag_bytes(&self) -> Option<u64> {
        let lag = u64::try_from(self.lag()?).ok()?;
        if lag == 0 {
            return Some(0);
        }
        let (bytes, offsets) = self.came?;
        u64::try_from(u128::from(bytes) * u128::from(lag) / u128::from(offsets)).ok()
    }

    /// Bytes and offsets that came since the log was opened; none before there are any.
    fn has_come(&self) -> Option<(u64, u64)> {
        let begun = self.opened.as_ref()?.log_end.value();
        let offsets = u64::try_from(self.log_end()?.value() - begun).ok()?;
        let bytes = self.status.as_ref()?.tally.bytes;
        (bytes > 0 && offsets > 0).then_some((bytes, offsets))
    }

    /// Why nothing arrives, while something is in the way.
    pub(super) fn hindrance(&self) -> Option<&str> {
        match self.status.as_ref().map(|status| &status.phase) {
            Some(Phase::Waiting(why) | Phase::Stopped(why)) => Some(why),
            _ => self.trouble.as_deref(),
        }
    }

    /// Stock brokers that may lead it with all that it has, in the order of its replicas.
    pub(super) fn heirs(&self, us: BrokerId, replicas: &[BrokerId], isr: &[BrokerId]) -> Heirs {
        let others = replicas.iter().copied().filter(|id| *id != us);
        let (in_sync, late) = others.partition(|id| isr.contains(id));
        Heirs { in_sync, late }
    }
}

/// Who has a partition after us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Heirs {
    /// Have all of it.
    pub(super) in_sync: Vec<BrokerId>,
    /// Are to get it later.
    pub(super) late: Vec<BrokerId>,
}
