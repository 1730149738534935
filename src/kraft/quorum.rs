//! Who is the active controller: whom to ask next, and whom to believe.
//!
//! Any controller says whom it holds for the leader. Only one that answers a fetch without an
//! error is believed to be it, until a request to it fails or another epoch is heard of.

use crate::model::BrokerId;
use crate::protocol::controller::Leadership;
use crate::protocol::fetch::Endpoint;
use crate::session::BrokerAddress;

/// So many controllers are known at most, beside those that were given.
const LEARNED_MAX: usize = 100;

/// The controllers, as far as we know them.
#[derive(Debug)]
pub(super) struct Quorum {
    bootstrap: Vec<BrokerAddress>,
    learned: Vec<Endpoint>,
    /// Whose turn it is, of those that are known.
    turn: usize,
    epoch: i32,
    leader: Option<BrokerId>,
    /// Who was named as the leader and has not been tried yet.
    hint: Option<BrokerAddress>,
    active: Option<BrokerAddress>,
    /// Attempts that have failed since one succeeded.
    failures: u32,
}

impl Quorum {
    /// With controllers to begin with; where there are none, they have to be learnt first.
    pub(super) fn new(bootstrap: Vec<BrokerAddress>) -> Quorum {
        Quorum {
            bootstrap,
            learned: Vec::new(),
            turn: 0,
            epoch: 0,
            leader: None,
            hint: None,
            active: None,
            failures: 0,
        }
    }

    /// The quorum's epoch, 0 until it is heard of.
    pub(super) fn epoch(&self) -> i32 {
        self.epoch
    }

    /// The active controller, while nothing speaks against it.
    pub(super) fn active(&self) -> Option<&BrokerAddress> {
        self.active.as_ref()
    }

    /// Whom to try next, if we know of anybody: whoever was named as the leader, else one after the
    /// other.
    pub(super) fn candidate(&mut self) -> Option<BrokerAddress> {
        if let Some(hint) = self.hint.take() {
            return Some(hint);
        }
        let known = self.known();
        let turn = self.turn.checked_rem(known.len())?;
        self.turn = turn + 1;
        Some(known[turn].clone())
    }

    fn known(&self) -> Vec<BrokerAddress> {
        let learned = self.learned.iter().map(BrokerAddress::from);
        let mut known = self.bootstrap.clone();
        known.extend(learned.filter(|at| !self.bootstrap.contains(at)));
        known
    }

    /// We know of no controller.
    pub(super) fn is_empty(&self) -> bool {
        self.bootstrap.is_empty() && self.learned.is_empty()
    }

    /// As many attempts have failed, one after the other, as there are controllers that we know.
    pub(super) fn is_lost(&self) -> bool {
        // Asked at each turn: mostly nothing has failed, and nobody has to be counted.
        self.is_empty() || (self.failures > 0 && self.failures as usize >= self.known().len())
    }

    /// Takes in what a controller has said of the leadership. What is older than what we know is
    /// not believed. Says whether the epoch is news.
    pub(super) fn learn(&mut self, told: &Leadership) -> bool {
        for endpoint in &told.endpoints {
            self.learned.retain(|known| known.broker != endpoint.broker);
            self.learned.push(endpoint.clone());
        }
        // Whoever tells of more than any quorum has tells lies; the latest word counts.
        let surplus = self.learned.len().saturating_sub(LEARNED_MAX);
        self.learned.drain(..surplus);
        let is_news = told.epoch > self.epoch;
        if is_news {
            self.epoch = told.epoch;
            self.leader = None;
        }
        if told.epoch == self.epoch && told.leader.is_some() {
            self.leader = told.leader;
        }
        is_news
    }

    /// Follows the word about who leads, unless that is `asked`, who has just denied it. Says
    /// whether there is somebody to turn to.
    pub(super) fn turn_to_leader(&mut self, asked: &BrokerAddress) -> bool {
        let endpoint = self
            .learned
            .iter()
            .find(|endpoint| Some(endpoint.broker) == self.leader);
        self.hint = endpoint
            .map(BrokerAddress::from)
            .filter(|named| named != asked);
        self.hint.is_some()
    }

    /// `at` has answered as only the leader does. Says whether that is news.
    pub(super) fn confirm(&mut self, at: &BrokerAddress) -> bool {
        self.failures = 0;
        let is_news = self.active.as_ref() != Some(at);
        self.active = Some(at.clone());
        is_news
    }

    /// Whoever was active may no longer be.
    pub(super) fn doubt(&mut self) {
        self.active = None;
    }

    /// An attempt has come to nothing. How many of them have, beyond one with each controller:
    /// `None` where there is one that has not been tried.
    pub(super) fn failed(&mut self) -> Option<u32> {
        self.active = None;
        self.failures = self.failures.saturating_add(1);
        let known = u32::try_from(self.bootstrap.len()).unwrap_or(u32::MAX);
        self.failures.checked_sub(known)
    }

    /// Controllers that have told where they listen.
    pub(super) fn learn_endpoints(&mut self, endpoints: &[Endpoint]) {
        self.learn(&Leadership {
            leader: None,
            epoch: -1,
            endpoints: endpoints.to_vec(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> BrokerAddress {
        BrokerAddress {
            host: "localhost".to_owned(),
            port,
        }
    }

    fn told(leader: i32, epoch: i32, ports: &[(i32, u16)]) -> Leadership {
        let endpoint = |(id, port): &(i32, u16)| Endpoint {
            broker: BrokerId(*id),
            host: "localhost".to_owned(),
            port: *port,
        };
        Leadership {
            leader: (leader >= 0).then_some(BrokerId(leader)),
            epoch,
            endpoints: ports.iter().map(endpoint).collect(),
        }
    }

    #[test]
    fn whoever_is_named_is_tried_next_and_then_all_in_turn() {
        let mut quorum = Quorum::new(vec![at(1), at(2)]);
        assert_eq!(quorum.candidate(), Some(at(1)));
        assert!(quorum.learn(&told(103, 4, &[(103, 3)])));
        assert!(quorum.turn_to_leader(&at(1)));
        assert_eq!(quorum.candidate(), Some(at(3)));
        assert!(!quorum.turn_to_leader(&at(3)), "it has denied it itself");
        let turns = [2, 3, 1].map(|_| quorum.candidate());
        assert_eq!(turns, [at(2), at(3), at(1)].map(Some));
    }

    #[test]
    fn older_words_are_not_believed_and_an_election_has_no_leader() {
        let mut quorum = Quorum::new(vec![at(1)]);
        quorum.learn(&told(103, 4, &[(103, 3), (102, 2)]));
        assert!(!quorum.learn(&told(102, 3, &[])));
        assert!(quorum.turn_to_leader(&at(1)));
        assert_eq!((quorum.candidate(), quorum.epoch()), (Some(at(3)), 4));
        assert!(quorum.learn(&told(-1, 5, &[])));
        assert!(!quorum.turn_to_leader(&at(1)), "nobody leads");
        assert_eq!(quorum.epoch(), 5);
    }

    #[test]
    fn every_controller_is_tried_once_before_we_wait() {
        let mut quorum = Quorum::new(vec![at(1), at(2)]);
        assert!(quorum.confirm(&at(1)));
        assert!(!quorum.confirm(&at(1)));
        assert_eq!(quorum.active(), Some(&at(1)));
        let failed = [0; 4].map(|_| quorum.failed());
        assert_eq!(failed, [None, Some(0), Some(1), Some(2)]);
        assert_eq!(quorum.active(), None);
    }

    #[test]
    fn whoever_knows_nobody_or_hears_nobody_is_lost_until_controllers_are_learnt() {
        let mut quorum = Quorum::new(Vec::new());
        assert!(quorum.is_empty() && quorum.is_lost());
        assert_eq!(quorum.candidate(), None);
        quorum.learn_endpoints(&told(-1, -1, &[(101, 1), (102, 2)]).endpoints);
        assert!(!quorum.is_empty() && !quorum.is_lost());
        let turns = [(); 3].map(|()| quorum.candidate());
        assert_eq!(turns, [at(1), at(2), at(1)].map(Some));
        let lost = [(); 2].map(|()| {
            quorum.failed();
            quorum.is_lost()
        });
        assert_eq!(lost, [false, true], "not before each was tried");
        // One of them listens somewhere else by now.
        quorum.learn_endpoints(&told(-1, -1, &[(102, 9)]).endpoints);
        let turns = [(); 2].map(|()| quorum.candidate());
        assert!(turns.contains(&Some(at(9))), "{turns:?}");
        quorum.confirm(&at(9));
        assert!(!quorum.is_lost());
    }
}
