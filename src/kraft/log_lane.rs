//! The lane of the metadata log: finding the leader, following its log, telling what changed.

use std::time::Duration;

use super::link::{Lane, Link};
use super::metadata_log::{Progress, Wanted};
use super::{LogFault, Member, News, Question, Refusal, Step, Wish};
use crate::model::Instant;
use crate::protocol::ErrorCode;
use crate::protocol::controller::{
    ClusterAnswer, DescribeCluster, Leadership, MetadataAnswer, MetadataFetch, SnapshotAnswer,
    SnapshotFetch,
};
use crate::session::BrokerAddress;

const FETCH: &str = "Fetch of the metadata log";

impl Member {
    pub(super) fn log_step(&mut self, now: Instant) -> Option<Step> {
        let link = &mut self.links[Lane::Log.index()];
        if let Some(not_before) = self.leave_log_until.take()
            && !matches!(link, Link::Down { .. })
        {
            *link = Link::Down { not_before };
            return Some(Step::Close { lane: Lane::Log });
        }
        match link {
            Link::Down { not_before } if now >= *not_before => {
                let to = self.quorum.candidate()?;
                Some(self.connect(Lane::Log, to))
            }
            Link::Open { .. } if self.doom.is_none() => {
                let question = self.log_question();
                Some(self.ask(Lane::Log, now, question))
            }
            _ => None,
        }
    }

    fn log_question(&self) -> Question {
        if !self.has_met {
            return Question::Cluster(DescribeCluster);
        }
        let cluster_id = self.identity.cluster_id.clone();
        let (replica, directory) = (self.identity.node, self.identity.directory);
        let leader_epoch = self.quorum.epoch();
        let bytes_max = i32::try_from(self.options.fetch_bytes_max).expect("the options are sound");
        match self.log.wanted() {
            Wanted::Records {
                offset,
                last_epoch,
                high_watermark,
            } => Question::Fetch(MetadataFetch {
                cluster_id,
                replica,
                directory,
                leader_epoch,
                offset,
                last_epoch,
                high_watermark,
                wait_ms: i32::try_from(self.options.fetch_wait_ms).expect("the options are sound"),
                bytes_max,
            }),
            Wanted::Piece { id, position } => Question::Snapshot(SnapshotFetch {
                cluster_id,
                replica,
                directory,
                leader_epoch,
                id,
                position,
                bytes_max,
            }),
        }
    }

    pub(super) fn cluster_told(
        &mut self,
        now: Instant,
        from: &BrokerAddress,
        answer: ClusterAnswer,
    ) {
        if answer.error.is_error() || answer.cluster_id.is_empty() {
            let what = "DescribeCluster";
            let code = answer.error;
            return match code {
                ErrorCode::NONE
                | ErrorCode::MISMATCHED_ENDPOINT_TYPE
                | ErrorCode::UNSUPPORTED_ENDPOINT_TYPE => {
                    self.failed(now, Lane::Log, Refusal::NoController(from.clone()));
                }
                code => self.failed(now, Lane::Log, Refusal::Other { what, code }),
            };
        }
        if let Some(expected) = &self.identity.cluster_id
            && *expected != answer.cluster_id
        {
            let (at, expected) = (from.clone(), expected.clone());
            return self.refuse(Refusal::OtherCluster { at, expected });
        }
        // Whoever fetches the log by the id of a controller is taken for it, and counts as one that
        // has what it asks for next: the quorum would believe that a record is safe which is not.
        let node = self.identity.node;
        let mut controllers = answer.controllers.iter();
        if controllers.any(|controller| controller.broker == node) {
            return self.refuse(Refusal::Controller { node });
        }
        self.has_met = true;
        self.identity.cluster_id = Some(answer.cluster_id.clone());
        self.quorum.learn_endpoints(&answer.controllers);
        self.tell(News::Cluster(answer.cluster_id));
    }

    pub(super) fn fetched(&mut self, now: Instant, from: &BrokerAddress, answer: MetadataAnswer) {
        let error = match answer.refused {
            ErrorCode::NONE => answer.error,
            refused => refused,
        };
        if !self.leads(now, from, error, &answer.leadership) {
            return;
        }
        let progress = match (answer.diverging, answer.snapshot) {
            (Some((epoch, end)), _) => Ok(self.log.diverged(epoch, end)),
            (None, Some(id)) => {
                self.log.begin_snapshot(id);
                Ok(Progress::Nothing)
            }
            (None, None) => self
                .log
                .take_records(&answer.records, answer.high_watermark),
        };
        self.followed(now, progress);
    }

    pub(super) fn piece_came(
        &mut self,
        now: Instant,
        from: &BrokerAddress,
        answer: &SnapshotAnswer,
    ) {
        let error = match answer.refused {
            ErrorCode::NONE => answer.error,
            refused => refused,
        };
        if matches!(
            error,
            ErrorCode::SNAPSHOT_NOT_FOUND | ErrorCode::POSITION_OUT_OF_RANGE
        ) {
            return self.log.abandon_snapshot();
        }
        if self.leads(now, from, error, &answer.leadership) {
            let progress = self.log.take_piece(answer);
            self.followed(now, progress);
        }
    }

    /// Whether the answer is that of the quorum's leader. If not, whom to ask is decided here.
    fn leads(
        &mut self,
        now: Instant,
        from: &BrokerAddress,
        error: ErrorCode,
        told: &Leadership,
    ) -> bool {
        let is_news = self.quorum.learn(told);
        match error {
            ErrorCode::NONE => {
                if self.quorum.confirm(from) {
                    // A controller that is new gives every session its whole time again.
                    self.lifeline.double_since = None;
                    self.tell(News::Controller(from.clone()));
                }
                self.trouble_of_finding_is_over();
                return true;
            }
            // We did not know the epoch: now we do, and perhaps it is this one that leads.
            ErrorCode::FENCED_LEADER_EPOCH if is_news && told.leader.is_some() => {}
            ErrorCode::FENCED_LEADER_EPOCH
            | ErrorCode::UNKNOWN_LEADER_EPOCH
            | ErrorCode::NOT_LEADER_OR_FOLLOWER
            | ErrorCode::LEADER_NOT_AVAILABLE
            | ErrorCode::BROKER_NOT_AVAILABLE => self.look_elsewhere(now, from),
            ErrorCode::INCONSISTENT_CLUSTER_ID => {
                let expected = self.identity.cluster_id.clone().unwrap_or_default();
                let at = from.clone();
                self.refuse(Refusal::OtherCluster { at, expected });
            }
            ErrorCode::CLUSTER_AUTHORIZATION_FAILED => {
                self.tell_trouble(Refusal::NotAllowed {
                    what: FETCH,
                    right: "ClusterAction",
                    code: error,
                });
                self.leave_log_lane(now, self.options.denied_backoff());
            }
            code => {
                self.tell_trouble(Refusal::Other { what: FETCH, code });
                self.look_elsewhere(now, from);
            }
        }
        false
    }

    /// `from` does not lead: whoever it names does, or the next one is tried.
    fn look_elsewhere(&mut self, now: Instant, from: &BrokerAddress) {
        let beyond = self.quorum.failed();
        let is_named = self.quorum.turn_to_leader(from);
        let wait = match beyond {
            // Nobody leads while they elect: that takes a moment.
            None if !is_named => self.options.backoff(0),
            None | Some(0) => Duration::ZERO,
            Some(beyond) => self.options.backoff(beyond),
        };
        self.leave_log_lane(now, wait);
    }

    fn leave_log_lane(&mut self, now: Instant, wait: Duration) {
        let not_before = self.spread(now, wait);
        self.quorum.doubt();
        self.leave_log_until = Some(not_before);
    }

    fn trouble_of_finding_is_over(&mut self) {
        if matches!(
            self.trouble,
            Some(Refusal::Unreachable(_) | Refusal::NoController(_))
        ) {
            self.trouble = None;
        }
    }

    fn followed(&mut self, now: Instant, progress: Result<Progress, LogFault>) {
        match progress {
            Ok(Progress::Nothing) => self.begin_if_settled(now),
            Ok(Progress::Replaced) => {
                // All of it is news: it is told whole.
                self.lifeline.has_begun = false;
                self.begin_if_settled(now);
            }
            Ok(Progress::Applied(delta)) if self.lifeline.has_begun => {
                if delta.is_empty() {
                    return;
                }
                let partitions = delta.partitions_of(self.identity.node, self.log.image());
                self.tell(News::Changed { partitions, delta });
            }
            Ok(Progress::Applied(_)) => self.begin_if_settled(now),
            Err(fault) if fault.is_passing() => {
                self.tell_trouble(Refusal::Log(fault));
                let beyond = self.quorum.failed().unwrap_or(0);
                self.leave_log_lane(now, self.options.backoff(beyond));
            }
            Err(fault) => self.give_up(Refusal::Log(fault)),
        }
    }

    /// Nothing is told of partitions before the log has been applied up to our own registration
    /// and to its end: what it says of us before that is of an earlier life. Whoever only looks has
    /// none.
    pub(super) fn begin_if_settled(&mut self, now: Instant) {
        let only_looks = self.lifeline.wish == Wish::Watch;
        let is_settled = self.log.is_caught_up() && (only_looks || self.is_own_life_applied());
        if self.lifeline.has_begun || !is_settled {
            return;
        }
        self.lifeline.has_begun = true;
        if !self.lifeline.is_ready {
            // The controller is waiting to hear of this.
            self.lifeline.is_ready = true;
            self.lifeline.beat_at = now;
        }
        let all = self.log.image().partitions_of(self.identity.node);
        self.tell(News::Begun(all));
    }

    fn is_own_life_applied(&self) -> bool {
        let us = self.log.image().brokers.get(self.identity.node);
        let epoch = self.life().epoch();
        us.is_some_and(|us| Some(us.epoch) == epoch && us.incarnation == self.identity.incarnation)
    }
}
