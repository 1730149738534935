//! What a header counts for, and how digests are taken apart and put together.

use super::*;
use crate::stdx::prng::Prng;

fn header(seed: u64) -> [u8; HEADER_BYTES] {
    let mut prng = Prng::new(seed);
    std::array::from_fn(|_| u8::try_from(prng.below(256)).expect("a byte"))
}

fn chain(headers: &[u64]) -> Chain {
    let mut chain = Chain::default();
    headers.iter().for_each(|header| chain.push(*header));
    chain
}

fn headers(count: u64) -> Vec<u64> {
    (0..count).map(|seed| of_bytes(&header(seed))).collect()
}

#[test]
fn every_bit_of_a_header_counts_but_the_leader_epochs() {
    let sound = header(7);
    for (at, bit) in (0..HEADER_BYTES).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut flipped = sound;
        flipped[at] ^= 1 << bit;
        let is_same = of_bytes(&flipped) == of_bytes(&sound);
        assert_eq!(is_same, (12..16).contains(&at), "byte {at} bit {bit}");
    }
}

#[test]
fn order_and_completeness_count() {
    let all = headers(70);
    let whole = chain(&all);
    for nth in 0..all.len() {
        let mut less = all.clone();
        less.remove(nth);
        assert_ne!(chain(&less), whole, "without {nth}");
        let mut twice = less.clone();
        twice.insert(nth, all[(nth + 1) % all.len()]);
        assert_ne!(chain(&twice), whole, "another one in the place of {nth}");
        for other in nth + 1..all.len() {
            let mut swapped = all.clone();
            swapped.swap(nth, other);
            assert_ne!(chain(&swapped).value, whole.value, "{nth} for {other}");
        }
    }
}

#[test]
fn digests_are_taken_apart_and_put_together_anywhere() {
    let all = headers(40);
    for (begin, end) in (0..=40).flat_map(|begin| (begin..=40).map(move |end| (begin, end))) {
        let (before, between) = (chain(&all[..begin]), chain(&all[begin..end]));
        assert_eq!(chain(&all[..end]).since(before), between);
        assert_eq!(before.then(between), chain(&all[..end]));
    }
    let far = Chain {
        batches: u64::MAX / 3,
        value: 5,
    };
    assert_eq!(far.then(chain(&all)).since(far), chain(&all));
}

#[test]
fn marks_of_others_and_torn_ones_are_none() {
    let owner = Owner::of(Path::new("/vault/t-0"), TopicId::new([7; 16]));
    let mut digest = Digest::new(owner);
    let bases = [3, 4, 70_000, 70_001, 400_000];
    for (base, header) in bases.into_iter().zip(headers(5)) {
        digest.take(Offset::new(base), header, None);
    }
    let marks = Mark::read_all(&digest.pending, owner);
    let at: Vec<i64> = marks.iter().map(|mark| mark.before.value()).collect();
    assert_eq!(at, [3, 65_536, 393_216]);
    let others = [("/vault/t-1", 7), ("/vault/t-0", 8)];
    for (dir, id) in others {
        let other = Owner::of(Path::new(dir), TopicId::new([id; 16]));
        assert_eq!(Mark::read_all(&digest.pending, other), []);
    }
    for at in 0..digest.pending.len() {
        let mut damaged = digest.pending.clone();
        damaged[at] ^= 1;
        let read = Mark::read_all(&damaged, owner);
        assert_eq!(read, marks[..at / MARK_ENTRY], "byte {at}");
        let cut = Mark::read_all(&digest.pending[..at], owner);
        assert_eq!(cut, marks[..at / MARK_ENTRY], "cut at {at}");
    }
    let [first, second, _] = [0, 1, 2].map(|nth| &digest.pending[nth * MARK_ENTRY..][..MARK_ENTRY]);
    let disorder = [first, second, second].concat();
    assert_eq!(Mark::read_all(&disorder, owner), marks[..2]);
}
