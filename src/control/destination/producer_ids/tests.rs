//! When the barrier stands, and that it falls with a broker's life and a higher mark.

use super::*;
use crate::kraft::{Delta, Image};
use crate::model::{PartitionIndex, TopicId, TopicName, TopicPartition};
use crate::protocol::metadata_record::{MetadataRecord, spoken};

fn id(value: i64) -> ProducerId {
    ProducerId::from_wire(value).expect("not negative")
}

#[test]
fn a_mark_leaves_room_for_ids_that_are_still_to_come() {
    assert_eq!(Mark::beyond(None, 1_000).value(), 0);
    assert_eq!(Mark::beyond(Some(id(0)), 1_000).value(), 1_001);
    assert_eq!(Mark::beyond(Some(id(i64::MAX)), 1).value(), i64::MAX);
    let mark = Mark::beyond(Some(id(41)), 0);
    assert!(!mark.is_passed_by(id(41)) && mark.is_passed_by(id(42)));
}

#[test]
fn the_barrier_stands_when_allocator_and_all_brokers_are_past() {
    let (one, two) = (BrokerId(1), BrokerId(2));
    let lives = |of_two| [(one, BrokerEpoch::new(5)), (two, BrokerEpoch::new(of_two))];
    let mut barrier = Barrier::default();
    assert!(barrier.is_past(lives(6)), "nothing was mirrored");
    barrier.raise(Mark(10_000));
    assert!(barrier.wants_push() && !barrier.is_past(lives(6)));
    barrier.allocated(10_000);
    assert!(!barrier.wants_push());
    assert_eq!(barrier.behind(lives(6)), [one, two]);
    barrier.gave(one, BrokerEpoch::new(5), id(10_000));
    barrier.gave(two, BrokerEpoch::new(6), id(9_999));
    assert_eq!(barrier.behind(lives(6)), [two]);
    barrier.gave(two, BrokerEpoch::new(6), id(12_345));
    assert!(barrier.is_past(lives(6)));
    assert_eq!(barrier.behind(lives(7)), [two], "it has another block now");
    barrier.raise(Mark(500));
    assert_eq!(barrier.mark(), Mark(10_000), "never lower");
    barrier.raise(Mark(12_000));
    assert!(barrier.wants_push());
    barrier.allocated(20_000);
    assert_eq!(
        barrier.behind(lives(6)),
        [one],
        "the other gave a higher one"
    );
}

/// Whoever has written to what nobody leads comes back with it.
#[test]
fn what_nobody_leads_is_not_forgotten() {
    let orders = TopicId::new([7; 16]);
    let records = [
        spoken::topic("orders", orders),
        spoken::laid(orders, 0, &[1, 2], &[1, 2]),
        spoken::laid(orders, 1, &[1], &[]),
    ];
    let mut image = Image::default();
    for bytes in &records {
        let record = MetadataRecord::read(bytes).expect("sound");
        image.apply(record, &mut Delta::default()).expect("it fits");
    }
    let partition = |number| TopicPartition {
        topic: TopicName::new("orders").expect("legal"),
        partition: PartitionIndex::new(number).expect("not negative"),
    };
    let found = led(&image, |_| true);
    assert_eq!(found.by, [(BrokerId(1), vec![partition(0)])].into());
    assert_eq!(found.by_nobody, [partition(1)]);
    let none = led(&image, |_| false);
    assert!(none.by.is_empty() && none.by_nobody.is_empty());
}
