//! How far each follower has fetched, and when it last had everything.

use std::collections::BTreeMap;

use crate::model::{BrokerEpoch, BrokerId, Instant, Offset};

/// One follower, as its fetches in this leader's epoch have shown it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follower {
    /// The end of its log: the offset that it asked for last.
    pub log_end: Offset,
    /// In which life it asked; none known where it does not say.
    pub epoch: BrokerEpoch,
    /// When it last had all that there was.
    pub caught_up_at: Instant,
    /// It has fetched at all in this leader's epoch.
    pub has_fetched: bool,
    /// When it last asked, and what our log's end was then.
    asked_at: Instant,
    end_then: Offset,
}

/// A follower's fetch, after its epochs and its place have been found right. One that is told to
/// truncate is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Who asks.
    pub follower: BrokerId,
    /// In which life; none known where it does not say.
    pub epoch: BrokerEpoch,
    /// From which offset on.
    pub offset: Offset,
    /// When.
    pub at: Instant,
}

/// All followers of one partition in one leader's epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followers {
    all: BTreeMap<BrokerId, Follower>,
}

impl Followers {
    /// A new epoch: nobody has fetched in it. Each follower in sync is given the benefit of the
    /// doubt from `now` on.
    #[must_use]
    pub fn begin(followers: &[BrokerId], now: Instant) -> Followers {
        let mut begun = Followers::default();
        begun.expect(followers, now);
        begun
    }

    /// These are in sync by the controller's word: whoever has not fetched yet is given the benefit
    /// of the doubt from `now` on.
    pub fn expect(&mut self, followers: &[BrokerId], now: Instant) {
        for id in followers {
            self.all.entry(*id).or_insert(Follower {
                log_end: Offset::ZERO,
                epoch: BrokerEpoch::NONE,
                caught_up_at: now,
                has_fetched: false,
                asked_at: now,
                end_then: Offset::ZERO,
            });
        }
    }

    /// All of them that have fetched.
    pub fn heard(&self) -> impl Iterator<Item = (BrokerId, &Follower)> {
        let heard = self.all.iter().filter(|(_, one)| one.has_fetched);
        heard.map(|(id, one)| (*id, one))
    }

    /// One of them, if it is known.
    #[must_use]
    pub fn get(&self, id: BrokerId) -> Option<&Follower> {
        self.all.get(&id)
    }

    /// Takes in a fetch. `log_end` is the end of our log as it is now.
    ///
    /// Whoever asks for our end has everything now; whoever asks for what was our end when it
    /// asked before had everything then, which under a steady load is all that it can show.
    pub fn fetched(&mut self, fetched: Fetched, log_end: Offset) {
        let before = self.all.get(&fetched.follower).copied();
        let caught_up_at = match before {
            _ if fetched.offset >= log_end => fetched.at,
            Some(before) if fetched.offset >= before.end_then => {
                before.caught_up_at.max(before.asked_at)
            }
            Some(before) => before.caught_up_at,
            None => Instant::default(),
        };
        let follower = Follower {
            log_end: fetched.offset,
            epoch: fetched.epoch,
            caught_up_at,
            has_fetched: true,
            asked_at: fetched.at,
            end_then: log_end,
        };
        self.all.insert(fetched.follower, follower);
    }

    /// Forgets those who have no replica any more.
    pub fn retain(&mut self, replicas: &[BrokerId]) {
        self.all.retain(|id, _| replicas.contains(id));
    }
}
