//! Whose a partition of the destination is: ours as long as it is the one that we made, whatever
//! its name and whoever else has replicas of it.
//!
//! Names are not enough. Somebody may delete a topic and make another of its name, or add
//! partitions to one of ours, or have had one of that name all along.

use crate::io::World;
use crate::kraft::Topic;
use crate::model::{BrokerId, PartitionIndex, TopicId, TopicPartition};

use super::Node;
use super::course::Goal;
use super::member::Membership;

/// Whose a partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// A mirror of ours, or about to be one.
    Ours,
    /// It was a mirror and is stopped: we have a log of it, and others may have more.
    Former,
    /// We have a log of it, and no mirror of it is on record.
    Unclaimed,
    /// Somebody else's.
    Others,
}

/// What we have of a partition of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ties {
    mirror: Mirror,
    log: Log,
    /// It is mirrored back onto this very topic.
    is_claimed: bool,
}

/// What is on record of a partition's mirror.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mirror {
    /// Nothing.
    #[default]
    None,
    /// It is stopped.
    Stopped,
    /// It is to be mirrored, or to be stopped.
    Wanted,
}

/// A log of a partition, by the topic that it is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Log {
    /// There is none.
    #[default]
    None,
    /// Of this topic.
    Same,
    /// Of another one that had the name.
    Another,
}

impl<W: World> Node<W> {
    /// Whose the partition of that name is at the destination; ours where there is none.
    pub(super) fn whose(&self, id: &TopicPartition) -> Whose {
        let Some(membership) = &self.membership else {
            return Whose::Ours;
        };
        let image = membership.image();
        let topic_id = image.topics.id_of(&id.topic);
        let topic = topic_id.and_then(|id| Some((id, image.topics.get(id)?)));
        let Some((topic_id, topic)) = topic else {
            return Whose::Ours;
        };
        let ties = |partition| {
            let topic = id.topic.clone();
            self.ties_to(&TopicPartition { topic, partition }, topic_id)
        };
        let made = || {
            let mut made = membership.made.borrow_mut();
            let known = made.entry(topic_id);
            *known.or_insert_with(|| is_made_by_us(membership.us, topic, &ties))
        };
        whose(membership.us, topic, id.partition, &ties, made)
    }

    /// The destination has no topic of the name, and we have logs of one.
    pub(super) fn has_old_logs(&self, id: &TopicPartition) -> bool {
        let membership = self.membership.as_ref();
        let is_there = |member: &Membership| member.image().topics.id_of(&id.topic).is_some();
        let is_gone = membership.is_some_and(|member| !is_there(member));
        let shelf = self.shelves.get(&None).filter(|_| is_gone);
        shelf.is_some_and(|shelf| shelf.holds_any_of(&id.topic))
    }

    fn ties_to(&self, id: &TopicPartition, topic: TopicId) -> Ties {
        let key = self.by_id.get(id);
        let one = key.and_then(|key| self.partitions.get(key));
        let shelf = self.shelves.get(&None);
        let held = shelf.and_then(|shelf| shelf.held(id));
        Ties {
            is_claimed: key.is_some_and(|key| self.is_claimed(key, topic)),
            mirror: match one.map(|one| one.goal()) {
                None => Mirror::None,
                Some(Some(Goal::Leave)) => Mirror::Stopped,
                Some(_) => Mirror::Wanted,
            },
            // Files that the notes do not name yet are looked at before they are taken for ours.
            log: match held.map(|held| held.topic_id) {
                None => Log::None,
                Some(Some(of)) if of != topic => Log::Another,
                Some(_) => Log::Same,
            },
        }
    }
}

/// `made` says whether the topic is one that we have made.
fn whose(
    us: BrokerId,
    topic: &Topic,
    number: PartitionIndex,
    ties: &impl Fn(PartitionIndex) -> Ties,
    made: impl FnOnce() -> bool,
) -> Whose {
    let own = ties(number);
    match (own.log, own.mirror) {
        (Log::None | Log::Another, Mirror::Wanted) if own.is_claimed => Whose::Ours,
        (Log::Same, Mirror::Wanted) => Whose::Ours,
        (Log::Same, Mirror::Stopped) => Whose::Former,
        (Log::Same, Mirror::None) => Whose::Unclaimed,
        (Log::None, Mirror::Wanted) if is_first(us, topic, number) && made() => Whose::Ours,
        (Log::None | Log::Another, _) => Whose::Others,
    }
}

/// Whether we have made a topic. We are first in what we make, and nobody else would have us first
/// in all partitions of a topic. One that is ours in part may have been grown by others.
fn is_made_by_us(us: BrokerId, topic: &Topic, ties: &impl Fn(PartitionIndex) -> Ties) -> bool {
    let mut all = topic.partitions.keys();
    let is_new = |number| is_first(us, topic, number) && ties(number).log != Log::Another;
    if all.all(|number| is_new(*number)) {
        return true;
    }
    let mut all = topic.partitions.keys();
    all.any(|number| {
        let ties = ties(*number);
        ties.log == Log::Same || ties.is_claimed
    })
}

/// One that is not there yet would be made with us as the first.
fn is_first(us: BrokerId, topic: &Topic, number: PartitionIndex) -> bool {
    let partition = topic.partitions.get(&number);
    partition.is_none_or(|partition| partition.replicas.first() == Some(&us))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kraft::{Delta, Image};
    use crate::protocol::metadata_record::{MetadataRecord, spoken};

    const US: BrokerId = BrokerId(9001);
    const TOPIC: TopicId = TopicId::new([7; 16]);
    const NEW: Ties = Ties {
        mirror: Mirror::Wanted,
        log: Log::None,
        is_claimed: false,
    };
    const HELD: Ties = Ties {
        mirror: Mirror::Wanted,
        log: Log::Same,
        is_claimed: false,
    };
    const OF_ANOTHER: Ties = Ties {
        mirror: Mirror::Wanted,
        log: Log::Another,
        is_claimed: false,
    };
    const UNWANTED: Ties = Ties {
        mirror: Mirror::None,
        log: Log::None,
        is_claimed: false,
    };
    const STOPPED: Ties = Ties {
        mirror: Mirror::Stopped,
        log: Log::Same,
        is_claimed: false,
    };
    const FORGOTTEN: Ties = Ties {
        mirror: Mirror::None,
        log: Log::Same,
        is_claimed: false,
    };

    /// Whose partitions with these replicas are, each with what we have of it.
    fn judged(partitions: &[(&[i32], Ties)]) -> Vec<Whose> {
        let mut records = vec![spoken::topic("orders", TOPIC)];
        let laid = (0..).zip(partitions);
        records.extend(
            laid.map(|(number, (replicas, _))| spoken::laid(TOPIC, number, replicas, replicas)),
        );
        let mut image = Image::default();
        for bytes in &records {
            let record = MetadataRecord::read(bytes).expect("sound");
            let applied = image.apply(record, &mut Delta::default());
            applied.expect("it fits");
        }
        let topic = image.topics.get(TOPIC).expect("just made");
        let ties = |at: PartitionIndex| partitions[at.value() as usize].1;
        let made = || is_made_by_us(US, topic, &ties);
        let all = topic.partitions.keys();
        all.map(|number| whose(US, topic, *number, &ties, made))
            .collect()
    }

    #[test]
    fn what_we_have_just_made_is_ours() {
        let ours = judged(&[(&[9001, 1], NEW), (&[9001, 2], NEW)]);
        assert_eq!(ours, [Whose::Ours; 2]);
        let unwanted = judged(&[(&[9001], UNWANTED)]);
        assert_eq!(unwanted, [Whose::Others], "it has landed on us");
    }

    #[test]
    fn a_topic_of_others_is_not_ours_where_we_happen_to_be_first() {
        let theirs = judged(&[(&[9001, 1], NEW), (&[1, 9001], NEW), (&[1, 2], NEW)]);
        assert_eq!(theirs, [Whose::Others; 3]);
    }

    #[test]
    fn partitions_that_others_add_are_theirs_and_the_rest_stays_ours() {
        let grown = judged(&[
            (&[9001, 1], HELD),
            (&[9001, 2], NEW),
            (&[1, 2], NEW),
            (&[9001, 1], UNWANTED),
        ]);
        let expected = [Whose::Ours, Whose::Ours, Whose::Others, Whose::Others];
        assert_eq!(grown, expected);
    }

    #[test]
    fn replicas_in_another_order_change_nothing() {
        let ours = judged(&[(&[1, 9001], HELD), (&[1, 2], HELD), (&[9001, 1], NEW)]);
        assert_eq!(ours, [Whose::Ours; 3]);
    }

    #[test]
    fn a_topic_made_again_by_others_is_theirs() {
        let again = judged(&[(&[9001, 1], OF_ANOTHER), (&[9001, 2], NEW)]);
        assert_eq!(again, [Whose::Others; 2]);
    }

    #[test]
    fn what_is_mirrored_back_is_ours_whoever_made_it() {
        let claimed = |ties: Ties| Ties {
            is_claimed: true,
            ..ties
        };
        let back = [
            (&[1, 2][..], claimed(NEW)),
            (&[1, 2], NEW),
            (&[1, 2], claimed(OF_ANOTHER)),
            (&[1, 2], claimed(UNWANTED)),
        ];
        let expected = [Whose::Ours, Whose::Others, Whose::Ours, Whose::Others];
        assert_eq!(judged(&back), expected);
        let grown = [(&[1, 2][..], claimed(NEW)), (&[9001, 2], NEW)];
        assert_eq!(judged(&grown), [Whose::Ours; 2], "we have added to it");
    }

    /// Nobody knows how far others have it: it is not given away.
    #[test]
    fn what_no_mirror_is_on_record_of_is_left_as_it_is() {
        let left = judged(&[(&[9001, 1], FORGOTTEN), (&[9001, 2], UNWANTED)]);
        assert_eq!(left, [Whose::Unclaimed, Whose::Others]);
    }

    #[test]
    fn what_was_handed_over_is_not_taken_back() {
        let former = judged(&[(&[1, 2], STOPPED), (&[1, 9001], STOPPED)]);
        assert_eq!(former, [Whose::Former; 2]);
    }
}
