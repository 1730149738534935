//! A key dies with its tenant, whoever takes the place next.

use super::*;

#[test]
fn a_key_finds_its_own_tenant_only() {
    let mut slots = Slots::default();
    let first = slots.insert("first");
    let second = slots.insert("second");
    assert_eq!(slots.remove(first), Some("first"));
    let third = slots.insert("third");
    assert_ne!(first, third);
    assert_eq!(slots.get(first), None);
    assert_eq!(slots.get_mut(first), None);
    assert_eq!(slots.remove(first), None);
    assert_eq!(slots.get(second), Some(&"second"));
    assert_eq!(slots.get(third), Some(&"third"));
    assert_eq!(slots.len(), 2);
}

#[test]
fn places_are_reused() {
    let mut slots = Slots::default();
    for round in 0..100 {
        let key = slots.insert(round);
        assert_eq!(slots.remove(key), Some(round));
    }
    assert!(slots.is_empty());
    assert_eq!(slots.places.len(), 1);
}
