//! Cuts that the disk has refused: their partitions wait and say why, and the cuts are tried again.
//! One that has ended half-way leaves files of which nobody knows what they hold: until it was
//! repeated to its end nothing is written to them, and nothing of them is called durable.

use super::Shard;
use super::cuts::Refusal;
use super::inbox::Order;
use super::partition::{Uncut, Work};
use super::pauses::DISK_RETRY;
use crate::io::World;
use crate::log::LogFault;
use crate::model::Instant;
use crate::source::CursorId;

impl<W: World> Shard<W> {
    /// A cut could not be made: what becomes of its partition.
    pub(super) fn refuse_cut(&mut self, cursor: CursorId, work: Work, refusal: Refusal) {
        match refusal {
            Refusal::Never(why) => self.give_up(cursor, why),
            Refusal::Whole(fault) if fault.may_pass() => {
                self.cut_later(cursor, work, &fault, |again_at| Uncut {
                    again_at,
                    is_half: false,
                });
            }
            Refusal::Whole(fault) => self.give_up(cursor, fault.to_string()),
            Refusal::Half(fault) if fault.may_pass() => {
                self.cut_later(cursor, work, &fault, |again_at| Uncut {
                    again_at,
                    is_half: true,
                });
            }
            Refusal::Half(fault) => self.close_for(cursor, fault.to_string()),
        }
    }

    fn cut_later(
        &mut self,
        cursor: CursorId,
        work: Work,
        fault: &LogFault,
        uncut: impl FnOnce(Instant) -> Uncut,
    ) {
        let again_at = self.now().after(DISK_RETRY);
        let partition = self.partitions.get_mut(&cursor).expect("the caller has it");
        partition.uncut = Some(uncut(again_at));
        self.pause(cursor, fault.to_string());
        let partition = self.partitions.get_mut(&cursor).expect("it was there");
        if !partition.is_over() {
            partition.waiting.push_front(work);
            self.cuts_due.insert((again_at, cursor));
        }
    }

    /// Tries again to cut what could not be cut.
    pub(super) fn cut_again(&mut self) {
        let now = self.now();
        while self.uncut_deadline().is_some_and(|moment| moment <= now) {
            let (_, cursor) = self.cuts_due.pop_first().expect("its moment was just seen");
            self.go_on(cursor);
        }
    }

    pub(super) fn uncut_deadline(&self) -> Option<Instant> {
        self.cuts_due.first().map(|(moment, _)| *moment)
    }

    /// A cut was made, at last.
    pub(super) fn cut_is_done(&mut self, cursor: CursorId) {
        let partition = self.partitions.get_mut(&cursor).expect("the caller has it");
        if partition.uncut.take().is_some() {
            self.goes_well(cursor);
        }
    }

    /// Whether a cut that waits for the disk is given up for the sake of an order: where nothing is
    /// fetched any more, nothing has to be cut before. Half a cut can only be given away.
    pub(super) fn cut_gives_way(&mut self, cursor: CursorId, order: &Order) -> bool {
        let Some(partition) = self.partitions.get_mut(&cursor) else {
            return false;
        };
        let Some(uncut) = &partition.uncut else {
            return false;
        };
        let gives_way = match order {
            Order::Release { .. } => true,
            Order::Cease { .. } => !uncut.is_half,
            _ => false,
        };
        if !gives_way || !partition.is_cut_first() {
            return false;
        }
        partition.waiting.pop_front();
        partition.uncut.take_if(|uncut| !uncut.is_half);
        true
    }
}
