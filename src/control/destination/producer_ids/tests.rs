//! When the barrier stands, and that it falls with a broker's life and a higher mark.

use super::*;

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
