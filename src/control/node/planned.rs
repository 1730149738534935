//! Topics that operators want stopped once nothing is missing: when that is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::{Instant, Offset, TopicName, TopicPartition};

/// How often a topic is looked at that is to be stopped.
const LOOK: Duration = Duration::from_millis(100);

/// Where a topic's partitions end, at the source as here; none while something is missing.
pub(super) type Ends = Option<BTreeMap<TopicPartition, Offset>>;

/// Topics that are to be stopped once nothing is missing, and what was said of stops under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Planned {
    topics: BTreeMap<TopicName, Wish>,
    /// Topics whose stop is under way: they are handed over whatever becomes of whoever writes to
    /// them then.
    forced: BTreeSet<TopicName>,
    look_at: Instant,
    /// Others wait, or are forced, than when that was asked for last.
    has_changed: bool,
}

/// That a topic is to be stopped.
#[derive(Clone, Debug)]
struct Wish {
    /// Whatever whoever writes to it afterwards may come to.
    is_forced: bool,
    still: Option<Still>,
}

/// Since when nothing is missing of a topic, and nothing has come.
#[derive(Clone, Debug)]
struct Still {
    since: Instant,
    ends: BTreeMap<TopicPartition, Offset>,
    /// The source is being asked whether that is still so.
    is_asked: bool,
}

/// What a look has come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    /// Nothing is missing of these; they are waited for no more. Whether their stop is forced.
    pub(super) due: Vec<(TopicName, bool)>,
    /// The source is to say anew where these end: what was told last may be old.
    pub(super) ask: Vec<TopicName>,
}

impl Planned {
    /// A wish that was forced once stays so.
    pub(super) fn want(&mut self, topic: TopicName, is_forced: bool) {
        let before = self.is_forced(&topic);
        let is_forced = is_forced || before == Some(true);
        self.has_changed |= before != Some(is_forced);
        let wish = self.topics.entry(topic).or_insert(Wish {
            is_forced,
            still: None,
        });
        wish.is_forced = is_forced;
    }

    /// Whether the stop of a topic that waits is forced.
    pub(super) fn is_forced(&self, topic: &TopicName) -> Option<bool> {
        self.topics.get(topic).map(|wish| wish.is_forced)
    }

    /// Every topic that waits, and whether its stop is forced.
    pub(super) fn wishes(&self) -> impl Iterator<Item = (&TopicName, bool)> {
        let wishes = self.topics.iter();
        wishes.map(|(topic, wish)| (topic, wish.is_forced))
    }

    /// The stop of a topic goes on whatever comes of it.
    pub(super) fn force(&mut self, topic: TopicName) {
        self.has_changed |= self.forced.insert(topic);
    }

    /// Whether the stop of a topic goes on whatever comes of it. Where a wish has become a stop
    /// that is on record, a kill may have left the wish as the only word of it.
    pub(super) fn forces(&self, topic: &TopicName) -> bool {
        self.forced.contains(topic) || self.is_forced(topic) == Some(true)
    }

    /// Topics whose stop goes on whatever comes of it.
    pub(super) fn forced(&self) -> impl Iterator<Item = &TopicName> {
        self.forced.iter()
    }

    /// Keeps of those what is under way still.
    pub(super) fn retain_forced(&mut self, is_under_way: impl Fn(&TopicName) -> bool) {
        let before = self.forced.len();
        self.forced.retain(|topic| is_under_way(topic));
        self.has_changed |= self.forced.len() != before;
    }

    /// What is kept is not what is here.
    pub(super) fn changed(&mut self) {
        self.has_changed = true;
    }

    /// Whether others wait, or are forced, than when this was asked last.
    pub(super) fn has_changed(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// It is stopped, or is to be at once.
    pub(super) fn forget(&mut self, topic: &TopicName) {
        self.has_changed |= self.topics.remove(topic).is_some();
    }

    /// It is to go on.
    pub(super) fn started(&mut self, topic: &TopicName) {
        self.forget(topic);
        self.has_changed |= self.forced.remove(topic);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        (!self.topics.is_empty()).then_some(self.look_at)
    }

    /// Topics that nothing has been missing of for as long as `still`, first to be asked for once
    /// more, then as soon as the source has confirmed it; while a stop may do harm, only those
    /// whose stop is forced.
    pub(super) fn look(
        &mut self,
        now: Instant,
        still: Duration,
        may_harm: impl Fn(&TopicName) -> bool,
        ends_of: impl Fn(&TopicName) -> Ends,
        is_confirmed: impl Fn(&BTreeMap<TopicPartition, Offset>) -> bool,
    ) -> Looked {
        let mut looked = Looked::default();
        if now < self.look_at {
            return looked;
        }
        self.look_at = now.after(LOOK);
        for (topic, wish) in &mut self.topics {
            let Some(ends) = ends_of(topic) else {
                wish.still = None;
                continue;
            };
            match &mut wish.still {
                Some(before) if before.ends == ends => {
                    if now.since(before.since) < still {
                        continue;
                    }
                    if !wish.is_forced && may_harm(topic) {
                        // What the source has confirmed by now may be old by then.
                        before.is_asked = false;
                    } else if !std::mem::replace(&mut before.is_asked, true) {
                        looked.ask.push(topic.clone());
                    } else if is_confirmed(&ends) {
                        looked.due.push((topic.clone(), wish.is_forced));
                    }
                }
                _ => {
                    wish.still = Some(Still {
                        since: now,
                        ends,
                        is_asked: false,
                    });
                }
            }
        }
        for (topic, _) in &looked.due {
            self.forget(topic);
        }
        looked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PartitionIndex;

    const STILL: Duration = Duration::from_secs(5);

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn orders() -> TopicName {
        TopicName::new("orders").expect("legal")
    }

    fn ends(end: i64) -> Ends {
        let id = TopicPartition {
            topic: orders(),
            partition: PartitionIndex::new(0).expect("not negative"),
        };
        Some([(id, Offset::new(end))].into())
    }

    #[test]
    fn a_topic_is_due_once_nothing_has_moved_for_long_enough() {
        let mut planned = Planned::default();
        planned.want(orders(), false);
        let looks = |planned: &mut Planned, ms, ends: Ends, is_confirmed| {
            planned.look(at(ms), STILL, |_| false, |_| ends.clone(), |_| is_confirmed)
        };
        // Something is missing, then comes, then nothing.
        for (ms, ends) in [
            (0, None),
            (1_000, ends(7)),
            (4_000, ends(8)),
            (5_000, None),
            (6_000, ends(8)),
            (10_900, ends(8)),
        ] {
            let looked = looks(&mut planned, ms, ends, true);
            assert_eq!(looked, Looked::default(), "{ms}");
        }
        let asks = Looked {
            ask: vec![orders()],
            ..Looked::default()
        };
        assert_eq!(looks(&mut planned, 11_000, ends(8), true), asks);
        let waits = looks(&mut planned, 11_500, ends(8), false);
        assert_eq!(waits, Looked::default(), "nobody answers");
        let looked = looks(&mut planned, 12_000, ends(8), true);
        assert_eq!(looked.due, [(orders(), false)]);
        assert_eq!(planned.deadline(), None, "told once");
    }

    #[test]
    fn whoever_is_forgotten_is_not_due() {
        let mut planned = Planned::default();
        planned.want(orders(), false);
        planned.look(at(0), STILL, |_| false, |_| ends(1), |_| true);
        planned.forget(&orders());
        let looked = planned.look(at(9_000), STILL, |_| false, |_| ends(1), |_| true);
        assert_eq!(looked, Looked::default());
    }

    #[test]
    fn while_a_stop_may_do_harm_only_those_are_due_that_are_forced() {
        for is_forced in [false, true] {
            let mut planned = Planned::default();
            planned.want(orders(), is_forced);
            planned.want(orders(), false);
            assert_eq!(planned.is_forced(&orders()), Some(is_forced));
            let mut look = |ms, may_harm| {
                let looked = planned.look(at(ms), STILL, |_| may_harm, |_| ends(1), |_| true);
                (looked.ask.len(), looked.due.len())
            };
            look(0, true);
            assert_eq!(look(6_000, true), (usize::from(is_forced), 0));
            assert_eq!(look(7_000, true), (0, usize::from(is_forced)));
            let is_left = usize::from(!is_forced);
            assert_eq!(look(8_000, false), (is_left, 0), "the source is asked now");
            assert_eq!(look(9_000, false), (0, is_left));
        }
    }
}
