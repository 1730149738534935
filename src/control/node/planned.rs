//! Topics that operators want stopped once nothing is missing: when that is.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Instant, Offset, TopicName, TopicPartition};

/// How often a topic is looked at that is to be stopped.
const LOOK: Duration = Duration::from_millis(100);

/// Where a topic's partitions end, at the source as here; none while something is missing.
pub(super) type Ends = Option<BTreeMap<TopicPartition, Offset>>;

/// Topics that are to be stopped once nothing is missing.
#[derive(Debug, Default)]
pub(super) struct Planned {
    topics: BTreeMap<TopicName, Option<Still>>,
    look_at: Instant,
    /// Others wait than when that was asked for last.
    has_changed: bool,
}

/// Since when nothing is missing of a topic, and nothing has come.
#[derive(Debug)]
struct Still {
    since: Instant,
    ends: BTreeMap<TopicPartition, Offset>,
    /// The source is being asked whether that is still so.
    is_asked: bool,
}

/// What a look has come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    /// Nothing is missing of these; they are waited for no more.
    pub(super) due: Vec<TopicName>,
    /// The source is to say anew where these end: what was told last may be old.
    pub(super) ask: Vec<TopicName>,
}

impl Planned {
    pub(super) fn want(&mut self, topic: TopicName) {
        self.has_changed |= !self.topics.contains_key(&topic);
        self.topics.entry(topic).or_default();
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &TopicName> {
        self.topics.keys()
    }

    /// Whether others wait than when this was asked last.
    pub(super) fn has_changed(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// It is to go on, or was stopped at once.
    pub(super) fn forget(&mut self, topic: &TopicName) {
        self.has_changed |= self.topics.remove(topic).is_some();
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        (!self.topics.is_empty()).then_some(self.look_at)
    }

    /// Topics that nothing has been missing of for as long as `still`, first to be asked for once
    /// more, then as soon as the source has confirmed it.
    pub(super) fn look(
        &mut self,
        now: Instant,
        still: Duration,
        ends_of: impl Fn(&TopicName) -> Ends,
        is_confirmed: impl Fn(&BTreeMap<TopicPartition, Offset>) -> bool,
    ) -> Looked {
        let mut looked = Looked::default();
        if now < self.look_at {
            return looked;
        }
        self.look_at = now.after(LOOK);
        for (topic, seen) in &mut self.topics {
            let Some(ends) = ends_of(topic) else {
                *seen = None;
                continue;
            };
            match seen {
                Some(before) if before.ends == ends => {
                    if now.since(before.since) < still {
                        continue;
                    }
                    if !std::mem::replace(&mut before.is_asked, true) {
                        looked.ask.push(topic.clone());
                    } else if is_confirmed(&ends) {
                        looked.due.push(topic.clone());
                    }
                }
                _ => {
                    *seen = Some(Still {
                        since: now,
                        ends,
                        is_asked: false,
                    });
                }
            }
        }
        for topic in &looked.due {
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
        planned.want(orders());
        let looks = |planned: &mut Planned, ms, ends: Ends, is_confirmed| {
            planned.look(at(ms), STILL, |_| ends.clone(), |_| is_confirmed)
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
        assert_eq!(looked.due, [orders()]);
        assert_eq!(planned.deadline(), None, "told once");
    }

    #[test]
    fn whoever_is_forgotten_is_not_due() {
        let mut planned = Planned::default();
        planned.want(orders());
        planned.look(at(0), STILL, |_| ends(1), |_| true);
        planned.forget(&orders());
        let looked = planned.look(at(9_000), STILL, |_| ends(1), |_| true);
        assert_eq!(looked, Looked::default());
    }
}
