//! One member: its lanes, its questions and what their answers change.

use std::collections::VecDeque;
use std::time::Duration;

use super::alter_partition::Proposals;
use super::lifeline::Lifeline;
use super::link::Link;
use super::metadata_log::MetadataLog;
use super::quorum::Quorum;
use super::{
    Answer, Identity, Image, Lane, Life, News, Offer, Options, Question, Refusal, Step, Wish,
};
use crate::model::Instant;
use crate::protocol::ErrorCode;
use crate::protocol::controller::{AlterPartition, AlterPartitionAnswer, IsrChange};
use crate::protocol::fetch::Endpoint;
use crate::session::BrokerAddress;
use crate::stdx::prng::Prng;

/// Our membership of one cluster.
#[derive(Debug)]
pub struct Member {
    pub(super) identity: Identity,
    pub(super) options: Options,
    prng: Prng,
    pub(super) quorum: Quorum,
    pub(super) log: MetadataLog,
    pub(super) links: [Link; 3],
    pub(super) lifeline: Lifeline,
    pub(super) proposals: Proposals,
    news: VecDeque<News>,
    /// The cluster has told its id and who its controllers are.
    pub(super) has_met: bool,
    /// What hinders us, as last told.
    pub(super) trouble: Option<Refusal>,
    /// The log is asked for somewhere else, not before this moment.
    pub(super) leave_log_until: Option<Instant>,
    /// Why we give up, once the controller has heard that we do not want to be trusted.
    pub(super) doom: Option<Refusal>,
    /// Nothing more is to be done.
    pub(super) is_over: bool,
}

impl Member {
    /// A broker that is not registered yet, with controllers to begin with; without any it does
    /// nothing until they are [found](Member::found). `seed` spreads its waits.
    ///
    /// # Panics
    /// Options that contradict themselves.
    #[must_use]
    pub fn new(
        identity: Identity,
        options: Options,
        controllers: Vec<BrokerAddress>,
        seed: u64,
    ) -> Member {
        options.assert_sound();
        let down = Link::Down {
            not_before: Instant::default(),
        };
        Member {
            identity,
            options,
            prng: Prng::new(seed),
            quorum: Quorum::new(controllers),
            log: MetadataLog::new(),
            links: [down.clone(), down.clone(), down],
            lifeline: Lifeline::new(),
            proposals: Proposals::default(),
            news: VecDeque::new(),
            has_met: false,
            trouble: None,
            leave_log_until: None,
            doom: None,
            is_over: false,
        }
    }

    /// What is known of the cluster. Nothing may be concluded from it before [`News::Begun`].
    #[must_use]
    pub fn image(&self) -> &Image {
        self.log.image()
    }

    /// How we stand with the controller.
    #[must_use]
    pub fn life(&self) -> Life {
        self.lifeline.life
    }

    /// Whether we may act as a leader at `now`: trusted within the lease, and willing.
    #[must_use]
    pub fn serves(&self, now: Instant) -> bool {
        !self.is_over && self.lifeline.wish == Wish::Serve && self.life().serves(now)
    }

    /// Tells us what to want.
    pub fn wish(&mut self, wish: Wish) {
        if self.doom.is_none() {
            self.lifeline.wish(wish);
        }
    }

    /// Proposes other replicas in sync of a partition that we lead; [`News::Isr`] says what became
    /// of it. Not before [`News::Begun`], and forgotten with the life in which it was proposed.
    pub fn propose(&mut self, change: IsrChange) {
        self.proposals.put(change);
    }

    /// Whether somebody else should be asked where the controllers listen: none of those that we
    /// know answers, or we know none.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        !self.is_over && self.quorum.is_lost()
    }

    /// Somebody has said where controllers listen.
    pub fn found(&mut self, controllers: &[Endpoint]) {
        self.quorum.learn_endpoints(controllers);
    }

    /// Nobody could say it.
    pub fn not_found(&mut self, why: Refusal) {
        self.tell_trouble(why);
    }

    /// The next thing to do at `now`, until there is none.
    pub fn next_step(&mut self, now: Instant) -> Option<Step> {
        self.lapse(now);
        Lane::ALL
            .into_iter()
            .find_map(|lane| self.step_of(lane, now))
    }

    fn step_of(&mut self, lane: Lane, now: Instant) -> Option<Step> {
        if self.is_over {
            return self.close(lane);
        }
        if lane == Lane::Log {
            return self.log_step(now);
        }
        // These go to the active controller and nobody else.
        let active = self.quorum.active()?.clone();
        let link = &self.links[lane.index()];
        match link {
            Link::Down { not_before } if now >= *not_before => Some(self.connect(lane, active)),
            Link::Down { .. } => None,
            other if other.to() != Some(&active) => self.close(lane),
            Link::Opening { .. } | Link::Asked { .. } => None,
            Link::Open { .. } => {
                let question = match lane {
                    Lane::Life => self.life_question(now)?,
                    _ => self.proposal(now)?,
                };
                Some(self.ask(lane, now, question))
            }
        }
    }

    pub(super) fn connect(&mut self, lane: Lane, to: BrokerAddress) -> Step {
        self.links[lane.index()] = Link::Opening { to: to.clone() };
        Step::Connect {
            lane,
            to,
            within: self.options.request_timeout(),
        }
    }

    pub(super) fn ask(&mut self, lane: Lane, now: Instant, question: Question) -> Step {
        self.links[lane.index()].asked(now);
        Step::Ask {
            lane,
            question,
            within: self.options.request_timeout(),
        }
    }

    fn close(&mut self, lane: Lane) -> Option<Step> {
        let link = &mut self.links[lane.index()];
        if matches!(link, Link::Down { .. }) {
            return None;
        }
        *link = Link::Down {
            not_before: Instant::default(),
        };
        self.abandon(lane);
        Some(Step::Close { lane })
    }

    /// What was under way over `lane` will not be answered.
    fn abandon(&mut self, lane: Lane) {
        if lane == Lane::Proposals {
            self.proposals.lost(Instant::default(), &self.options);
        }
    }

    /// The moment at which there may be something to do, if nothing happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.is_over {
            return None;
        }
        let lanes = Lane::ALL
            .into_iter()
            .filter_map(|lane| self.deadline_of(lane));
        lanes.chain(self.life().lease()).min()
    }

    fn deadline_of(&self, lane: Lane) -> Option<Instant> {
        let has_whom = match lane {
            Lane::Log => !self.quorum.is_empty(),
            _ => self.quorum.active().is_some(),
        };
        match &self.links[lane.index()] {
            Link::Down { not_before } => has_whom.then_some(*not_before),
            Link::Opening { .. } | Link::Asked { .. } => None,
            Link::Open { .. } if !has_whom => None,
            Link::Open { .. } => match lane {
                Lane::Log => self.doom.is_none().then(Instant::default),
                Lane::Life => self.lifeline.deadline(),
                Lane::Proposals if matches!(self.life(), Life::Serving { .. }) => {
                    self.proposals.deadline()
                }
                Lane::Proposals => None,
            },
        }
    }

    /// A lane is connected, to somebody who supports this.
    pub fn connected(&mut self, lane: Lane, offer: Offer) {
        self.links[lane.index()].opened();
        if lane == Lane::Life {
            self.lifeline.offer = offer;
        }
    }

    /// A lane could not be connected, or broke, or had no answer in time, for this reason.
    pub fn failed(&mut self, now: Instant, lane: Lane, why: Refusal) {
        self.tell_trouble(why);
        let mut wait = self.options.backoff(0);
        match lane {
            Lane::Log => {
                wait = match self.quorum.failed() {
                    None => Duration::ZERO,
                    Some(beyond) => self.options.backoff(beyond),
                };
            }
            // Whoever does not answer the one may not answer the other: the log lane will find
            // out, and keeps the controller in the meantime.
            Lane::Life => wait = self.lifeline.stumbled(&self.options),
            Lane::Proposals => self.proposals.lost(now, &self.options),
        }
        self.links[lane.index()] = Link::Down {
            not_before: self.spread(now, wait),
        };
    }

    /// A moment about `wait` from now, never quite the same.
    pub(super) fn spread(&mut self, now: Instant, wait: Duration) -> Instant {
        let percent = 80 + u32::try_from(self.prng.below(41)).expect("small");
        now.after(wait * percent / 100)
    }

    /// The answer to what was asked over a lane.
    pub fn answered(&mut self, now: Instant, lane: Lane, answer: Answer) {
        let (from, since) = self.links[lane.index()].answered();
        match answer {
            Answer::Cluster(answer) => self.cluster_told(now, &from, answer),
            Answer::Fetch(answer) => self.fetched(now, &from, answer),
            Answer::Snapshot(answer) => self.piece_came(now, &from, &answer),
            Answer::Register(answer) => self.registered(now, since, &from, answer),
            Answer::Heartbeat(answer) => self.heard(now, since, answer),
            Answer::Unregister(answer) => self.unregistered(now, &answer),
            Answer::Propose(answer) => self.proposed(now, &answer),
        }
    }

    /// What has come about, in its order.
    pub fn next_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    pub(super) fn tell(&mut self, news: News) {
        self.news.push_back(news);
    }

    /// Tells what hinders us, unless that is what was told last.
    pub(super) fn tell_trouble(&mut self, why: Refusal) {
        if self.trouble.as_ref() != Some(&why) {
            self.trouble = Some(why.clone());
            self.tell(News::Trouble(why));
        }
    }

    /// Our picture of the cluster is wrong from here on: nobody may follow us by it. The controller
    /// is told so, and then we end; without its answer we end with the lease.
    pub(super) fn give_up(&mut self, why: Refusal) {
        if self.life().epoch().is_none() {
            return self.refuse(why);
        }
        if !self.lifeline.wish.is_to_go() {
            self.lifeline.wish(Wish::Fence);
        }
        self.lifeline.has_begun = false;
        self.doom = Some(why);
    }

    pub(super) fn refuse(&mut self, why: Refusal) {
        self.is_over = true;
        self.tell(News::Refused(why));
    }

    fn proposal(&mut self, now: Instant) -> Option<Question> {
        let Life::Serving { epoch, .. } = self.life() else {
            return None;
        };
        let changes = self.proposals.next(now, &self.options)?;
        Some(Question::Propose(AlterPartition {
            broker: self.identity.node,
            epoch,
            changes,
        }))
    }

    fn proposed(&mut self, now: Instant, answer: &AlterPartitionAnswer) {
        match answer.error {
            ErrorCode::NONE => {
                let fates = self.proposals.answered(now, answer, &self.options);
                self.tell(News::Isr(fates));
            }
            ErrorCode::NOT_CONTROLLER => {
                self.quorum.doubt();
                self.proposals.lost(now, &self.options);
            }
            code => {
                self.tell_trouble(Refusal::Other {
                    what: "AlterPartition",
                    code,
                });
                self.proposals.lost(now, &self.options);
            }
        }
    }
}
