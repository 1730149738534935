//! What a source takes back of a partition that we lead, until our log has not got it either.

use crate::mirror::Action;
use crate::model::{LeaderEpoch, Offset};

use super::course::{Goal, LogAt};
use super::mirrored::Mirrored;

/// What a source has taken back.
#[derive(Clone, Copy, Debug)]
pub(super) struct TakenBack {
    from: Offset,
    /// The epoch in which replicas may have been given it.
    epoch: LeaderEpoch,
}

impl Mirrored {
    /// The source has taken back what the log has from here on. Nothing is fetched any more.
    pub(super) fn source_took_back(&mut self, from: Offset) {
        let LogAt::Open {
            stamp: Some(epoch),
            is_fetching,
            ..
        } = &mut self.log
        else {
            return;
        };
        *is_fetching = false;
        let epoch = *epoch;
        if self.goal() != Some(Goal::Act(Action::Stop)) {
            self.taken_back = Some(TakenBack { from, epoch });
        }
    }

    pub(super) fn takes_back_from(&self) -> Option<Offset> {
        self.taken_back.map(|back| back.from)
    }

    /// An epoch of ours has begun since then.
    pub(super) fn is_led_anew(&self) -> bool {
        let LogAt::Open { stamp, .. } = self.log else {
            return false;
        };
        let back = self.taken_back;
        back.zip(stamp).is_some_and(|(back, now)| now > back.epoch)
    }

    /// It goes here too, and nobody is to get it from us in the epoch that begins with that. In
    /// those before everybody was given it, and who is late is to come into sync.
    pub(super) fn is_about_to_take_back(&self) -> bool {
        self.is_led_anew() && self.goal() != Some(Goal::Act(Action::Stop))
    }
}
