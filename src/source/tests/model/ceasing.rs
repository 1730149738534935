//! Partitions that are fetched no more for a while, perhaps cut meanwhile, and begun again.

use super::super::scene::{epoch, offset};
use super::play::Play;

impl Play {
    /// Control lets a partition cease, or one that has ceased begin again.
    pub(super) fn cease_or_begin(&mut self) {
        let number = self.chance.below(self.mirrors.len());
        let mirror = &mut self.mirrors[number];
        let Some(id) = mirror.id.filter(|_| !mirror.has_ended) else {
            return;
        };
        if mirror.is_ceased {
            return self.begin_again(number);
        }
        self.source.cease(id);
        mirror.is_ceased = true;
        mirror.foreseen = None;
        mirror.spoiled = 0;
        mirror.copy.next = mirror.copy.end;
        let held = mirror.copy.batches.len();
        if held > 0 && self.chance.one_in(3) {
            // A log ends where its last batch does, whatever gap follows.
            let kept = self.chance.below(held);
            let last = kept.checked_sub(1).map(|nth| mirror.copy.batches[nth]);
            mirror
                .copy
                .cut(last.map_or(mirror.copy.start, |last| last.next));
        }
        for line in self.lines.values_mut() {
            line.take_no_more(id);
        }
        self.has_seen("ceased");
        if self.chance.one_in(2) {
            self.begin_again(number);
        }
    }

    fn begin_again(&mut self, number: usize) {
        let mirror = &mut self.mirrors[number];
        mirror.is_ceased = false;
        let (next, last) = (offset(mirror.copy.next), epoch(mirror.copy.epoch()));
        let id = mirror.id.expect("it has ceased");
        let turn = self.source.begin_again(id, next, last);
        self.take_turn(number, turn);
    }

    /// All that have ceased begin again.
    pub(super) fn begin_all_again(&mut self) {
        for number in 0..self.mirrors.len() {
            let mirror = &self.mirrors[number];
            if mirror.is_ceased && !mirror.has_ended {
                self.begin_again(number);
            }
        }
    }
}
