//! Brokers that are registered and not counted on: dead, about to go, or merely late. One that is
//! late may hold producer ids from before, and give them out whenever its clients reach it. It is
//! asked to use them up like any other; one that does not answer holds up nobody for that, since a
//! dead one takes other ids when it comes back, and nobody can tell the two apart.

use std::collections::BTreeMap;

use crate::control::destination::fitness::is_ours;
use crate::io::World;
use crate::mirror::PartitionKey;
use crate::model::{BrokerEpoch, BrokerId};

use super::Node;

/// Those that are not counted on now, and those that were once when it mattered.
#[derive(Debug, Default)]
pub(super) struct Away {
    now: BTreeMap<BrokerId, Absent>,
    /// Topics were handed over without these, each in that life.
    passed_over: BTreeMap<BrokerId, BrokerEpoch>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Absent {
    epoch: BrokerEpoch,
    /// Why it could not be asked in this life.
    missed: Option<String>,
}

impl Away {
    /// Takes in who is not counted on now, and why such a one cannot even be asked. Gives back
    /// those whom nothing that was known before is true of any more.
    pub(super) fn saw(
        &mut self,
        now: BTreeMap<BrokerId, (BrokerEpoch, Option<String>)>,
    ) -> Vec<BrokerId> {
        let mut before = std::mem::take(&mut self.now);
        for (broker, (epoch, missed)) in now {
            let known = before.get(&broker).filter(|one| one.epoch == epoch);
            let missed = missed.or_else(|| known?.missed.clone());
            if known.is_some() {
                before.remove(&broker);
            }
            self.now.insert(broker, Absent { epoch, missed });
        }
        before.into_keys().collect()
    }

    /// Each in its life.
    pub(super) fn lives(&self) -> impl Iterator<Item = (BrokerId, BrokerEpoch)> + '_ {
        self.now.iter().map(|(broker, one)| (*broker, one.epoch))
    }

    /// It was asked in vain. Says whether it is one of these.
    pub(super) fn missed(&mut self, broker: BrokerId, epoch: BrokerEpoch, why: &str) -> bool {
        let one = self.now.get_mut(&broker);
        let Some(one) = one.filter(|one| one.epoch == epoch) else {
            return false;
        };
        one.missed = Some(why.to_owned());
        true
    }

    /// Why it could not be asked, if it was tried.
    pub(super) fn why_missed(&self, broker: BrokerId) -> Option<&str> {
        self.now.get(&broker)?.missed.as_deref()
    }

    /// It has used up what it held. Says whether topics were handed over before that.
    pub(super) fn drained(&mut self, broker: BrokerId, epoch: BrokerEpoch) -> bool {
        if let Some(one) = self.now.get_mut(&broker) {
            one.missed = None;
        }
        self.passed_over.remove(&broker) == Some(epoch)
    }

    /// Topics are handed over without these. Gives back those that this was not said of before.
    fn passes_over(&mut self, brokers: &[BrokerId]) -> Vec<(BrokerId, String)> {
        let mut news = Vec::new();
        for broker in brokers {
            let Some(Absent { epoch, missed }) = self.now.get(broker) else {
                continue;
            };
            if self.passed_over.insert(*broker, *epoch) != Some(*epoch) {
                news.push((*broker, missed.clone().unwrap_or_default()));
            }
        }
        news
    }
}

impl<W: World> Node<W> {
    /// Looks who is registered at the destination and not counted on.
    pub(super) fn see_who_is_away(&mut self) {
        let Some(membership) = &mut self.membership else {
            return;
        };
        let us = membership.us;
        let brokers = membership.image().brokers.iter();
        // Other nodes like us give out no ids.
        let away =
            brokers.filter(|(id, broker)| *id != us && !broker.is_eligible() && !is_ours(broker));
        let away = away.map(|(id, broker)| {
            let is_found = membership.endpoint(id).is_some();
            let missed = (!is_found).then(|| "it is not known where it listens".to_owned());
            (id, (broker.epoch, missed))
        });
        let away = away.collect();
        membership.ids.saw_away(away);
    }

    /// These partitions are handed over now: who may still give out ids of the source's is said.
    pub(super) fn pass_over_who_is_away(&mut self, keys: &[PartitionKey]) {
        let Some(membership) = &mut self.membership else {
            return;
        };
        let brokers = membership.ids.not_drained();
        for (broker, why) in membership.ids.away.passes_over(&brokers) {
            tracing::warn!(
                "broker {broker} is fenced and was not asked to use up the producer ids that it \
                 holds from before ({why}): topics are handed over without it; see that its \
                 process has ended, or restart it: as long as it runs on as it is, what new \
                 producers write may be lost as a duplicate"
            );
        }
        for key in keys {
            if let Some(one) = self.partitions.get_mut(key) {
                let ids = brokers.iter().map(|broker| broker.0);
                one.report.not_drained = ids.collect();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: BrokerId = BrokerId(3);

    fn away(epoch: i64) -> BTreeMap<BrokerId, (BrokerEpoch, Option<String>)> {
        [(THREE, (BrokerEpoch::new(epoch), None))].into()
    }

    #[test]
    fn what_was_found_counts_for_as_long_as_a_broker_is_away_in_one_life() {
        let mut all = Away::default();
        assert_eq!(all.saw(away(7)), []);
        assert!(!all.missed(THREE, BrokerEpoch::new(6), "another life"));
        assert!(all.missed(THREE, BrokerEpoch::new(7), "silence"));
        assert_eq!(all.saw(away(7)), []);
        assert_eq!(all.why_missed(THREE), Some("silence"));
        assert_eq!(all.saw(away(8)), [THREE]);
        assert_eq!(all.why_missed(THREE), None);
        all.missed(THREE, BrokerEpoch::new(8), "silence");
        assert_eq!(all.saw(BTreeMap::new()), [THREE]);
        all.saw(away(8));
        assert_eq!(all.why_missed(THREE), None, "it was back in between");
    }

    #[test]
    fn whom_topics_were_handed_over_without_is_said_once_and_again_when_it_is_made_up_for() {
        let mut all = Away::default();
        all.saw(away(7));
        all.missed(THREE, BrokerEpoch::new(7), "silence");
        let said = all.passes_over(&[THREE]);
        assert_eq!(said, [(THREE, "silence".to_owned())]);
        assert_eq!(all.passes_over(&[THREE]), []);
        all.saw(BTreeMap::new());
        assert!(all.drained(THREE, BrokerEpoch::new(7)));
        assert!(!all.drained(THREE, BrokerEpoch::new(7)), "once");
    }
}
