//! Being a broker of a KRaft cluster: its metadata log, our registration and heartbeats, our
//! proposals.
//!
//! A pure machine: time comes in as an argument, what is to be done goes out as values. Whoever
//! drives it works in turns:
//!
//! 1. It does what [`Member::next_step`] says until that says nothing, and tells how it went:
//!    [`Member::connected`], [`Member::answered`], [`Member::failed`]. Connections are told apart
//!    by their [`Lane`]; each has one question under way at most.
//! 2. It takes what [`Member::next_news`] has for it.
//! 3. It sleeps until [`Member::next_deadline`] at most.
//!
//! Invariants: nothing above the high watermark is in the image; partitions are news only after
//! our own registration in this life has been applied, whole first and then by what each answer
//! of the log has changed as a whole; heartbeats and proposals go to a controller only that
//! answers fetches of the log as a leader does; we count as trusted no longer than the lease of
//! the last heartbeat that was answered, counted from when it was sent.

mod alter_partition;
mod features;
mod image;
mod life;
mod lifeline;
mod link;
mod log_lane;
mod metadata_log;
mod options;
mod quorum;
mod refusal;

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::{BrokerEpoch, BrokerId, Instant, Uuid};
use crate::protocol::ErrorCode;
use crate::protocol::controller::{
    AlterPartition, AlterPartitionAnswer, ClusterAnswer, DescribeCluster, Heartbeat,
    HeartbeatAnswer, IsrChange, MetadataAnswer, MetadataFetch, Registration, RegistrationAnswer,
    SnapshotAnswer, SnapshotFetch, Unregister, UnregisterAnswer,
};
use crate::protocol::metadata_record::Listener;
use crate::session::BrokerAddress;
use crate::stdx::prng::Prng;

use alter_partition::Proposals;
use lifeline::Lifeline;
use link::Link;
use metadata_log::MetadataLog;
use quorum::Quorum;

pub use alter_partition::{Fate, PartitionKey};
pub use features::Offer;
pub use image::{
    Broker, Brokers, Configs, Delta, Image, ImageFault, METADATA_VERSION, Partition, PartitionNews,
    ResourceKind, Right, Role, Standing, Topic, Topics,
};
pub use life::{Life, Wish};
pub use link::Lane;
pub use metadata_log::LogFault;
pub use options::Options;
pub use refusal::Refusal;

/// Who we are in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Our broker id, which no controller or broker of the cluster has.
    pub node: BrokerId,
    /// The cluster; learnt from its controllers where it is not known yet.
    pub cluster_id: Option<String>,
    /// Our log directory: the same in every life.
    pub directory: Uuid,
    /// This life. Used again only by a process that comes back with all that it had.
    pub incarnation: Uuid,
    /// Where we listen; the destination's inter-broker listener is among them.
    pub listeners: Vec<Listener>,
    /// Our rack.
    pub rack: Option<String>,
    /// The epoch of an earlier life that has ended cleanly.
    pub previous_epoch: BrokerEpoch,
    /// Whether our directory takes no replicas but those that are assigned by hand. Controllers
    /// from 4.3 on listen to it.
    pub is_cordoned: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Connect a lane.
    Connect {
        /// Which.
        lane: Lane,
        /// To whom.
        to: BrokerAddress,
        /// How long that may take.
        within: Duration,
    },
    /// Ask over a lane that is connected.
    Ask {
        /// Which.
        lane: Lane,
        /// What.
        question: Question,
        /// How long the answer may take.
        within: Duration,
    },
    /// Close a lane; nothing is to be told of it any more.
    Close {
        /// Which.
        lane: Lane,
    },
}

/// A question to a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Which cluster it is of.
    Cluster(DescribeCluster),
    /// What follows in the metadata log.
    Fetch(MetadataFetch),
    /// A piece of a snapshot.
    Snapshot(SnapshotFetch),
    /// To be registered.
    Register(Registration),
    /// A sign of life.
    Heartbeat(Heartbeat),
    /// To be forgotten.
    Unregister(Unregister),
    /// Other replicas in sync.
    Propose(AlterPartition),
}

/// The answer to a [`Question`] of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Which cluster it is of.
    Cluster(ClusterAnswer),
    /// What follows in the metadata log.
    Fetch(MetadataAnswer),
    /// A piece of a snapshot.
    Snapshot(SnapshotAnswer),
    /// Whether we are registered.
    Register(RegistrationAnswer),
    /// Whether we are heard.
    Heartbeat(HeartbeatAnswer),
    /// Whether we are forgotten.
    Unregister(UnregisterAnswer),
    /// What became of proposals.
    Propose(AlterPartitionAnswer),
}

/// What has come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The cluster that we are in; to be kept.
    Cluster(String),
    /// The active controller is this one.
    Controller(BrokerAddress),
    /// We are registered, in this life's epoch; to be kept.
    Registered(BrokerEpoch),
    /// All that is settled has been applied, our own registration included: everything that names
    /// us. What was told before counts no longer.
    Begun(Vec<PartitionNews>),
    /// One answer of the log has changed this.
    Changed {
        /// Partitions that name us, or did.
        partitions: Vec<PartitionNews>,
        /// All that was touched.
        delta: Delta,
    },
    /// The controller trusts us: we may lead and be in sync.
    Unfenced,
    /// The controller does not trust us, or no longer.
    Fenced,
    /// The controller has not heard of us for as long as a session lasts: we count as fenced.
    Lapsed,
    /// What became of proposals.
    Isr(Vec<(PartitionKey, Fate)>),
    /// Something hinders us. It is tried again, less and less often; told once until it changes.
    Trouble(Refusal),
    /// The cluster does not have us, and trying again will not help. Nothing more will be done.
    Refused(Refusal),
    /// We have left in order.
    Gone,
    /// The cluster has forgotten us. Nothing more will be done.
    Unregistered,
}

/// Our membership of one cluster.
#[derive(Debug)]
pub struct Member {
    identity: Identity,
    options: Options,
    prng: Prng,
    quorum: Quorum,
    log: MetadataLog,
    links: [Link; 3],
    lifeline: Lifeline,
    proposals: Proposals,
    news: VecDeque<News>,
    /// What hinders us, as last told.
    trouble: Option<Refusal>,
    /// The log is asked for somewhere else, not before this moment.
    leave_log_until: Option<Instant>,
    /// Why we give up, once the controller has heard that we do not want to be trusted.
    doom: Option<Refusal>,
    /// Nothing more is to be done.
    is_over: bool,
}

impl Member {
    /// A broker that is not registered yet, with controllers to begin with. `seed` spreads its
    /// waits.
    ///
    /// # Panics
    /// No controllers, or options that contradict themselves.
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

    fn connect(&mut self, lane: Lane, to: BrokerAddress) -> Step {
        self.links[lane.index()] = Link::Opening { to: to.clone() };
        Step::Connect {
            lane,
            to,
            within: self.options.request_timeout(),
        }
    }

    fn ask(&mut self, lane: Lane, now: Instant, question: Question) -> Step {
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
        let has_whom = lane == Lane::Log || self.quorum.active().is_some();
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
    fn spread(&mut self, now: Instant, wait: Duration) -> Instant {
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

    fn tell(&mut self, news: News) {
        self.news.push_back(news);
    }

    /// Tells what hinders us, unless that is what was told last.
    fn tell_trouble(&mut self, why: Refusal) {
        if self.trouble.as_ref() != Some(&why) {
            self.trouble = Some(why.clone());
            self.tell(News::Trouble(why));
        }
    }

    /// Our picture of the cluster is wrong from here on: nobody may follow us by it. The controller
    /// is told so, and then we end; without its answer we end with the lease.
    fn give_up(&mut self, why: Refusal) {
        if self.life().epoch().is_none() {
            return self.refuse(why);
        }
        if !self.lifeline.wish.is_to_go() {
            self.lifeline.wish(Wish::Fence);
        }
        self.lifeline.has_begun = false;
        self.doom = Some(why);
    }

    fn refuse(&mut self, why: Refusal) {
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

#[cfg(test)]
mod tests;
