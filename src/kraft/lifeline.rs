//! The lane of our life: registering, being heard of, leaving.

use std::time::Duration;

use super::features::{claimed, text};
use super::life::{Life, Wish};
use super::{Member, News, Offer, Options, Question, Refusal};
use crate::model::Instant;
use crate::protocol::ErrorCode;
use crate::protocol::controller::{
    Heartbeat, HeartbeatAnswer, Registration, RegistrationAnswer, Unregister, UnregisterAnswer,
};
use crate::session::BrokerAddress;

/// A process that has our id is waited for as long as two sessions last: ours from before a crash
/// is gone by then, and somebody else's is not.
const SESSIONS_OF_A_DOUBLE: u32 = 2;
const CLUSTER_ACTION: &str = "ClusterAction";
const ALTER: &str = "Alter";

/// How we stand, and when the controller hears of us next.
#[derive(Debug)]
pub(super) struct Lifeline {
    pub(super) life: Life,
    pub(super) wish: Wish,
    /// What the active controller supports, as it said when we connected.
    pub(super) offer: Offer,
    /// When the next question of this lane is due.
    pub(super) beat_at: Instant,
    /// The log has been applied up to our own registration in this life, at least once.
    pub(super) is_ready: bool,
    /// Whoever drives us has been told of all that names us, and is told of changes.
    pub(super) has_begun: bool,
    /// Questions in a row that came to nothing.
    failures: u32,
    /// Since when somebody else has our id.
    pub(super) double_since: Option<Instant>,
}

impl Lifeline {
    pub(super) fn new() -> Lifeline {
        Lifeline {
            life: Life::Absent,
            wish: Wish::Serve,
            offer: Offer::default(),
            beat_at: Instant::default(),
            is_ready: false,
            has_begun: false,
            failures: 0,
            double_since: None,
        }
    }

    pub(super) fn wish(&mut self, wish: Wish) {
        if self.wish == wish {
            return;
        }
        self.wish = wish;
        self.beat_at = Instant::default();
        if self.life == Life::Gone && !wish.is_to_go() {
            self.life.become_(Life::Absent);
        }
    }

    pub(super) fn postpone(&mut self, until: Instant) {
        self.beat_at = self.beat_at.max(until);
    }

    /// Counts a question that came to nothing; says how long to wait because of it.
    pub(super) fn stumbled(&mut self, options: &Options) -> Duration {
        let wait = options.backoff(self.failures);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let is_left = self.life == Life::Gone && self.wish != Wish::Unregister;
        let only_looks = self.life == Life::Absent && self.wish == Wish::Watch;
        (!is_left && !only_looks).then_some(self.beat_at)
    }

    /// This life is over, or was never ours: another one begins.
    fn die(&mut self) {
        self.is_ready = false;
        self.has_begun = false;
        self.life.become_(match self.life {
            Life::Leaving { .. } => Life::Gone,
            _ => Life::Absent,
        });
    }
}

impl Member {
    pub(super) fn life_question(&mut self, now: Instant) -> Option<Question> {
        let wish = self.lifeline.wish;
        let only_looks = wish == Wish::Watch && self.life() == Life::Absent;
        if now < self.lifeline.beat_at || only_looks {
            return None;
        }
        if self.life() == Life::Absent && wish.is_to_go() {
            self.lifeline.life.become_(Life::Gone);
            self.tell(News::Gone);
        }
        let Some(epoch) = self.life().epoch() else {
            return match self.life() {
                Life::Gone => (wish == Wish::Unregister).then_some({
                    Question::Unregister(Unregister {
                        broker: self.identity.node,
                    })
                }),
                _ => self.registration().map(Question::Register),
            };
        };
        if wish.is_to_go() && !matches!(self.life(), Life::Leaving { .. }) {
            self.lifeline.life.become_(Life::Leaving { epoch });
        }
        let cordoned = self.identity.is_cordoned;
        Some(Question::Heartbeat(Heartbeat {
            broker: self.identity.node,
            epoch,
            applied: self.log.applied(),
            want_fence: match wish {
                Wish::Serve => !self.lifeline.is_ready,
                Wish::Fence | Wish::Watch => true,
                Wish::Leave | Wish::Unregister => false,
            },
            want_shut_down: wish.is_to_go(),
            cordoned: cordoned.then(|| vec![self.identity.directory]),
        }))
    }

    fn registration(&mut self) -> Option<Registration> {
        let features = match claimed(&self.lifeline.offer) {
            Ok(features) => features,
            Err(refusal) => {
                self.refuse(refusal);
                return None;
            }
        };
        let us = &self.identity;
        Some(Registration {
            broker: us.node,
            cluster_id: us.cluster_id.clone()?,
            incarnation: us.incarnation,
            listeners: us.listeners.clone(),
            features,
            rack: us.rack.clone(),
            directories: vec![us.directory],
            previous_epoch: us.previous_epoch,
        })
    }

    pub(super) fn registered(
        &mut self,
        now: Instant,
        since: Instant,
        from: &BrokerAddress,
        answer: RegistrationAnswer,
    ) {
        let what = "BrokerRegistration";
        match answer.error {
            ErrorCode::NONE => {
                self.all_is_well();
                self.lifeline.life.become_(Life::Fenced {
                    epoch: answer.epoch,
                    lease: since.after(self.options.session_timeout()),
                });
                self.lifeline.is_ready = false;
                self.lifeline.has_begun = false;
                self.lifeline.beat_at = now.after(self.options.heartbeat_interval());
                self.tell(News::Registered(answer.epoch));
                // The log may have told us before the answer did.
                self.begin_if_settled(now);
            }
            ErrorCode::DUPLICATE_BROKER_REGISTRATION => {
                let node = self.identity.node;
                let since = *self.lifeline.double_since.get_or_insert(now);
                let patience = self.options.session_timeout() * SESSIONS_OF_A_DOUBLE;
                if now.since(since) > patience {
                    return self.refuse(Refusal::Duplicate { node });
                }
                self.tell_trouble(Refusal::Duplicate { node });
                self.try_again(now);
            }
            ErrorCode::INCONSISTENT_CLUSTER_ID => {
                let expected = self.identity.cluster_id.clone().unwrap_or_default();
                let at = from.clone();
                self.refuse(Refusal::OtherCluster { at, expected });
            }
            code @ ErrorCode::UNSUPPORTED_VERSION => {
                let offered = claimed(&self.lifeline.offer).unwrap_or_default();
                let offered = text(&offered);
                self.refuse(Refusal::Features { offered, code });
            }
            code @ (ErrorCode::INVALID_REGISTRATION | ErrorCode::INVALID_REQUEST) => {
                self.refuse(Refusal::Registration {
                    node: self.identity.node,
                    directory: self.identity.directory,
                    code,
                });
            }
            code => self.hindered(now, what, CLUSTER_ACTION, code),
        }
    }

    pub(super) fn heard(&mut self, now: Instant, since: Instant, answer: HeartbeatAnswer) {
        match answer.error {
            ErrorCode::NONE => {
                self.all_is_well();
                // A wish, or the end of the log, may have asked for the next one at once.
                if self.lifeline.beat_at <= since {
                    self.lifeline.beat_at = since.after(self.options.heartbeat_interval());
                }
                self.stand(since, answer);
            }
            ErrorCode::STALE_BROKER_EPOCH | ErrorCode::BROKER_ID_NOT_REGISTERED => {
                self.lifeline.die();
                self.proposals.forget();
                if self.life() == Life::Gone {
                    self.tell(News::Gone);
                } else {
                    self.tell(News::Fenced);
                }
                self.try_again(now);
            }
            code => self.hindered(now, "BrokerHeartbeat", CLUSTER_ACTION, code),
        }
        self.end_if_doomed();
    }

    /// How the controller takes us, by its own word.
    fn stand(&mut self, since: Instant, answer: HeartbeatAnswer) {
        let before = self.life();
        let Some(epoch) = before.epoch() else {
            return;
        };
        let lease = since.after(self.options.session_timeout());
        match before {
            Life::Leaving { .. } if answer.should_shut_down => {
                self.lifeline.life.become_(Life::Gone);
                self.lifeline.beat_at = Instant::default();
                self.tell(News::Gone);
            }
            Life::Leaving { .. } => {}
            _ if answer.is_fenced => {
                self.lifeline.life.become_(Life::Fenced { epoch, lease });
                if !matches!(before, Life::Fenced { .. }) {
                    self.tell(News::Fenced);
                }
            }
            _ => {
                self.lifeline.life.become_(Life::Serving { epoch, lease });
                if !matches!(before, Life::Serving { .. }) {
                    self.tell(News::Unfenced);
                }
            }
        }
    }

    pub(super) fn unregistered(&mut self, now: Instant, answer: &UnregisterAnswer) {
        match answer.error {
            ErrorCode::NONE | ErrorCode::BROKER_ID_NOT_REGISTERED => {
                self.is_over = true;
                self.tell(News::Unregistered);
            }
            code => self.hindered(now, "UnregisterBroker", ALTER, code),
        }
    }

    /// Errors that say nothing about our life.
    fn hindered(&mut self, now: Instant, what: &'static str, right: &'static str, code: ErrorCode) {
        match code {
            ErrorCode::NOT_CONTROLLER => {
                self.quorum.doubt();
                self.try_again(now);
            }
            ErrorCode::CLUSTER_AUTHORIZATION_FAILED => {
                self.tell_trouble(Refusal::NotAllowed { what, right, code });
                let until = self.spread(now, self.options.denied_backoff());
                self.lifeline.postpone(until);
            }
            code => {
                self.tell_trouble(Refusal::Other { what, code });
                self.try_again(now);
            }
        }
    }

    /// Where we have given up, and nobody trusts us any more, nothing is left to do.
    fn end_if_doomed(&mut self) {
        if matches!(self.life(), Life::Serving { .. } | Life::Leaving { .. }) {
            return;
        }
        if let Some(why) = self.doom.take() {
            self.refuse(why);
        }
    }

    fn try_again(&mut self, now: Instant) {
        let wait = self.lifeline.stumbled(&self.options);
        self.lifeline.beat_at = self.spread(now, wait);
    }

    fn all_is_well(&mut self) {
        self.trouble = None;
        self.lifeline.failures = 0;
        self.lifeline.double_since = None;
    }

    /// The lease has run out: whatever the controller says of it has not reached us.
    pub(super) fn lapse(&mut self, now: Instant) {
        let life = self.life();
        let (Some(epoch), Some(lease)) = (life.epoch(), life.lease()) else {
            return;
        };
        if now >= lease {
            self.lifeline.life.become_(Life::Lapsed { epoch });
            self.tell(News::Lapsed);
            self.end_if_doomed();
        }
    }
}
