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
        if !matches!(self.acting, Some((_, Action::Stop))) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::node::course::Home;
    use crate::mirror::{Desired, Input, Partition, RetryOptions, Step, Ticket};
    use crate::model::Instant;
    use crate::stdx::prng::Prng;

    fn led_in(epoch: i32) -> LogAt {
        LogAt::Open {
            home: Home::Mirror,
            stamp: Some(LeaderEpoch::new(epoch)),
            is_fetching: true,
        }
    }

    fn mirroring() -> (Mirrored, Ticket) {
        let mut life = Partition::new(RetryOptions::default(), Desired::Mirroring);
        let leads = Input::Leads(LeaderEpoch::NONE);
        let step = life.step(Instant::default(), &mut Prng::new(1), leads);
        let Some(Step::Read { ticket }) = step else {
            panic!("{step:?}");
        };
        let id = "orders-0".parse().expect("a partition");
        (Mirrored::new(id, life), ticket)
    }

    #[test]
    fn who_has_it_is_served_until_the_epoch_in_which_it_goes() {
        let (mut one, ticket) = mirroring();
        one.log = led_in(3);
        one.begins(ticket, Action::Mirror);
        one.source_took_back(Offset::new(80));
        assert_eq!(
            one.log,
            LogAt::Open {
                home: Home::Mirror,
                stamp: Some(LeaderEpoch::new(3)),
                is_fetching: false
            }
        );
        assert_eq!(one.takes_back_from(), Some(Offset::new(80)));
        assert!(
            !one.is_about_to_take_back(),
            "who is late is to come into sync"
        );
        one.log = led_in(5);
        assert!(one.is_about_to_take_back());
        one.begins(ticket, Action::Stop);
        assert_eq!(one.takes_back_from(), None, "whatever has arrived is kept");
        one.source_took_back(Offset::new(80));
        assert_eq!(one.takes_back_from(), None, "it is told late");
    }
}
