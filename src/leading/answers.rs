//! A fetch's answer: records straight from the files to where they lie in it, everything else
//! written around them.

use super::connections::ConnectionId;
use super::leads::{Key, Leads};
use super::records::{Found, Unservable, Wanted};
use crate::io::{Buf, World};
use crate::protocol::fetch::Around;
use crate::protocol::header::set_length;
use crate::protocol::{ErrorCode, Writer};
use crate::server::{FetchNeeds, NeededRange};

/// Buffers that are kept for later answers.
const SHELF_MAX: usize = 4;
/// What an answer has beside its partitions, and each partition beside its records; in version 12
/// each may bring the name of a topic.
const ANSWER_BYTES: usize = 64;
const PARTITION_BYTES: usize = 352;

/// An answer that is being written.
struct Growing {
    buf: Buf,
    around: Around,
    /// Bytes that do not stand in the buffer yet.
    ahead: Vec<u8>,
    records_bytes: usize,
    /// Bytes of records that may follow.
    left: usize,
}

impl<W: World> Leads<W> {
    /// The answer, where it is not to be held back any longer; otherwise `who` is woken when it is
    /// worth looking again.
    pub(super) fn answer(
        &mut self,
        needs: &mut FetchNeeds,
        who: ConnectionId,
        is_late: bool,
    ) -> Option<Buf> {
        let is_urgent = needs.is_urgent() || is_late;
        if !is_urgent && needs.ranges().iter().all(NeededRange::is_empty) {
            self.watch(needs, who);
            return None;
        }
        let grown = self.gather(needs);
        if !is_urgent && !needs.is_urgent() && grown.records_bytes < needs.min_bytes() {
            self.put_back(grown.buf);
            self.watch(needs, who);
            return None;
        }
        self.news.tally.fetches += 1;
        self.news.tally.record_bytes += grown.records_bytes as u64;
        Some(grown.buf)
    }

    /// A buffer that was sent.
    pub(super) fn put_back(&mut self, buf: Buf) {
        let most = self.options.answer_bytes_max as usize;
        if self.shelf.len() < SHELF_MAX && buf.capacity() >= most {
            self.shelf.push(buf);
        }
    }

    fn watch(&mut self, needs: &FetchNeeds, who: ConnectionId) {
        for range in needs.ranges() {
            let entry = self.entries.0.get_mut(&key_of(range));
            let entry = entry.filter(|entry| !entry.watchers.contains(&who));
            if let Some(entry) = entry {
                entry.watchers.push(who);
            }
        }
    }

    fn gather(&mut self, needs: &mut FetchNeeds) -> Growing {
        let most = needs
            .max_bytes()
            .min(self.options.answer_bytes_max as usize);
        let has_records = needs.ranges().iter().any(|range| !range.is_empty());
        let left = if has_records { most } else { 0 };
        let beside = ANSWER_BYTES + needs.partitions() * PARTITION_BYTES;
        let mut ahead = Vec::with_capacity(if has_records { 1 << 10 } else { beside });
        let mut growing = Growing {
            buf: self.buffer(beside + left),
            around: needs.begin(&mut ahead),
            ahead,
            records_bytes: 0,
            left,
        };
        for number in 0..needs.ranges().len() {
            let range = needs.ranges()[number];
            if range.is_empty() || growing.left == 0 {
                continue;
            }
            if let Err(fault) = self.read(needs, number, &mut growing) {
                self.complain(&range, &fault);
                needs.fail(number, ErrorCode::KAFKA_STORAGE_ERROR);
            }
        }
        let Growing { around, ahead, .. } = &mut growing;
        needs.end(*around, ahead);
        growing.settle();
        set_length(growing.buf.bytes_mut(), 0, 0);
        growing
    }

    /// The records of one range, behind what is to be said before them.
    fn read(
        &mut self,
        needs: &FetchNeeds,
        number: usize,
        growing: &mut Growing,
    ) -> Result<(), Unservable> {
        let range = needs.ranges()[number];
        let entry = self.entries.0.get_mut(&key_of(&range));
        let entry = entry.expect("what is needed was led just now");
        let wanted = Wanted {
            from: range.from,
            end: range.end,
            epoch: entry.led.leader_epoch,
            by: needs.follower().map(|(follower, _)| follower),
        };
        let (before, behind) = (growing.around, growing.ahead.len());
        needs.up_to(&mut growing.around, number, &mut growing.ahead);
        let mut room = growing.left.min(range.max_bytes);
        loop {
            let found = growing.fill(room, |room| entry.records.read(wanted, room));
            match found {
                Ok(Found::Bytes(_)) => {
                    entry.has_complained = false;
                    return Ok(());
                }
                // One batch is always sent.
                Ok(Found::Larger(need)) if growing.records_bytes == 0 => {
                    room = need;
                    growing.make_room(need);
                }
                Ok(Found::Larger(_)) => {
                    growing.withdraw(before, behind);
                    return Ok(());
                }
                Err(fault) => {
                    growing.withdraw(before, behind);
                    return Err(fault);
                }
            }
        }
    }

    /// Said once for each partition, until it can be served again.
    fn complain(&mut self, range: &NeededRange, fault: &Unservable) {
        self.news.tally.unservable += 1;
        let Some(entry) = self.entries.0.get_mut(&key_of(range)) else {
            return;
        };
        if !std::mem::replace(&mut entry.has_complained, true) {
            tracing::error!("{} cannot be served: {fault}", entry.led.id);
        }
    }

    fn buffer(&mut self, bytes: usize) -> Buf {
        let fits = |buf: &Buf| buf.capacity() >= bytes;
        match self.shelf.iter().position(fits) {
            Some(place) => {
                let mut buf = self.shelf.swap_remove(place);
                buf.clear();
                buf
            }
            None => Buf::unpooled(bytes),
        }
    }
}

impl Growing {
    /// Has `read` fill the place of so many bytes of records, which lies behind all that is said
    /// before them, and their length.
    fn fill(
        &mut self,
        room: usize,
        read: impl FnOnce(&mut [u8]) -> Result<Found, Unservable>,
    ) -> Result<Found, Unservable> {
        let said = self.ahead.len();
        // The length takes as many bytes as it would if all the room were filled, or fewer.
        let at = said + length_bytes(room);
        let place = &mut self.buf.room()[at..at + room];
        let found = read(place)?;
        let Found::Bytes(bytes) = found else {
            return Ok(found);
        };
        Writer::new(&mut self.ahead).compact(bytes);
        let begin = self.ahead.len();
        let all = self.buf.room();
        if begin < at {
            all.copy_within(at..at + bytes, begin);
        }
        all[..begin].copy_from_slice(&self.ahead);
        self.buf.filled(begin + bytes);
        self.ahead.clear();
        self.records_bytes += bytes;
        self.left = self.left.saturating_sub(bytes);
        Ok(found)
    }

    /// What was said before records that do not come is taken back.
    fn withdraw(&mut self, around: Around, behind: usize) {
        self.around = around;
        self.ahead.truncate(behind);
    }

    /// Makes the buffer larger by so many bytes of records.
    fn make_room(&mut self, bytes: usize) {
        let mut larger = Buf::unpooled(self.buf.capacity() + bytes);
        larger.push(self.buf.bytes());
        self.buf = larger;
    }

    /// Everything that was said stands in the buffer.
    fn settle(&mut self) {
        self.buf.push(&self.ahead);
        self.ahead.clear();
    }
}

fn key_of(range: &NeededRange) -> Key {
    (range.topic, range.partition)
}

/// Bytes of the length of so many bytes of records, which is stated plus one.
fn length_bytes(bytes: usize) -> usize {
    let bits = usize::BITS - (bytes + 1).leading_zeros();
    bits.div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_many_bytes_as_are_written() {
        for bytes in [0, 126, 127, 16_382, 16_383, 2_097_150, 2_097_151, 1 << 30] {
            let mut written = Vec::new();
            Writer::new(&mut written).compact(bytes);
            assert_eq!(length_bytes(bytes), written.len(), "{bytes}");
        }
    }
}
