//! Every state that can be reached, each once, the nearest first.

use std::hash::{Hash, Hasher};

use super::rules::{Rule, broken};
use super::steps::{self, Step};
use super::{Fault, World};

/// What a search has found.
pub(super) struct Searched {
    /// How many states there are; up to the broken rule where one is.
    pub(super) states: usize,
    /// The rule that is broken, and the shortest way there.
    pub(super) broken: Option<(Rule, Vec<Step>)>,
}

/// The states that were met, and from where.
struct Met {
    worlds: Vec<World>,
    /// Of each, the one before it and the step from there.
    ways: Vec<(u32, Step)>,
    /// By their hashes: one more than their number, 0 where there is none.
    places: Vec<u32>,
}

/// Goes through all that can come of a world in which logs have room for so many batches, and so
/// many mishaps happen at most.
pub(super) fn search((room, mishaps): (u8, u8), fault: Option<Fault>) -> Searched {
    let steps = steps::all();
    let mut met = Met::new(World::new(room, mishaps));
    let mut nth = 0;
    while let Some(world) = met.worlds.get(nth).copied() {
        for step in &steps {
            let rule = match world.after(*step, fault) {
                None => continue,
                Some(Err(rule)) => Some(rule),
                Some(Ok(next)) => {
                    let rule = broken(&world, *step, &next);
                    if rule.is_none() {
                        met.add(next.canonical(), (nth, *step));
                    }
                    rule
                }
            };
            if let Some(rule) = rule {
                return Searched {
                    states: met.worlds.len(),
                    broken: Some((rule, met.way(nth, *step))),
                };
            }
        }
        nth += 1;
    }
    Searched {
        states: met.worlds.len(),
        broken: None,
    }
}

impl Met {
    fn new(first: World) -> Met {
        let mut met = Met {
            worlds: Vec::new(),
            ways: Vec::new(),
            places: vec![0; 1 << 10],
        };
        met.add(first.canonical(), (0, Step::Arrives));
        met
    }

    fn add(&mut self, world: World, (from, step): (usize, Step)) {
        let place = self.place(&world);
        if self.places[place] != 0 {
            return;
        }
        self.worlds.push(world);
        self.ways.push((number(from), step));
        self.places[place] = number(self.worlds.len());
        if self.worlds.len() * 2 > self.places.len() {
            self.places = vec![0; self.places.len() * 4];
            for nth in 0..self.worlds.len() {
                let place = self.place(&self.worlds[nth]);
                self.places[place] = number(nth + 1);
            }
        }
    }

    /// Where the world is, or belongs.
    fn place(&self, world: &World) -> usize {
        let mut mixed = Mixed(0);
        world.hash(&mut mixed);
        let mask = self.places.len() - 1;
        let mut place = usize::try_from(mixed.finish()).expect("64 bits") & mask;
        loop {
            match self.places[place] {
                0 => return place,
                known if self.worlds[known as usize - 1] == *world => return place,
                _ => place = (place + 1) & mask,
            }
        }
    }

    fn way(&self, mut nth: usize, last: Step) -> Vec<Step> {
        let mut way = vec![last];
        while nth > 0 {
            let (from, step) = self.ways[nth];
            way.push(step);
            nth = from as usize;
        }
        way.reverse();
        way
    }
}

fn number(nth: usize) -> u32 {
    u32::try_from(nth).expect("fewer states than that")
}

/// A hash that is good enough and always the same.
struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u8(*byte);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(23);
    }

    fn write_u32(&mut self, word: u32) {
        self.0 = (self.0 ^ u64::from(word))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(23);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u32(u32::try_from(number).expect("few variants"));
    }
}
