//! The records of one partition, from its files into an answer's buffer: whole batches, each looked
//! at before it is served.

use std::path::{Path, PathBuf};

use crate::io::Disk;
use crate::log::{LogFault, Place, Reader};
use crate::model::{BrokerId, LeaderEpoch, Offset};
use crate::record::{Expect, HEADER_BYTES, Rest, scan};

/// No batch is larger, or room would be made for any number that a damaged file says.
const BATCH_BYTES_MAX: usize = 1 << 30;
/// Segments that one read may pass over in its search for the records that have to be there.
const SEGMENTS_MAX: usize = 1_000;

/// Which records are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// The first offset.
    pub(super) from: Offset,
    /// The log's end, which lies behind it.
    pub(super) end: Offset,
    /// No batch may have a later epoch.
    pub(super) epoch: LeaderEpoch,
    /// Who wants them, where it is a follower that comes again for what follows.
    pub(super) by: Option<BrokerId>,
}

/// What became of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// So many bytes at the front of the room are whole batches.
    Bytes(usize),
    /// Not even the first batch fits: it needs so many bytes.
    Larger(usize),
}

/// Why nothing of a partition can be served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unservable {
    /// Its files cannot be read.
    #[error("{0}")]
    Log(#[from] LogFault),
    /// What lies there is not what has to.
    #[error("at offset {from} lies no batch that continues the log: {why}")]
    Damaged {
        /// The offset that was wanted.
        from: Offset,
        /// What is wrong.
        why: String,
    },
    /// A batch of an epoch that has not come yet. A follower would leave it out, ask for it again
    /// at once, and write a line into its log each time.
    #[error("the batch at offset {at} has leader epoch {found}; we lead in epoch {ours}")]
    Stamp {
        /// The batch's base offset.
        at: Offset,
        /// Its epoch.
        found: LeaderEpoch,
        /// Our epoch.
        ours: LeaderEpoch,
    },
}

/// The files of one partition, and where each follower is in them.
pub(super) struct Records<D: Disk> {
    disk: D,
    dir: PathBuf,
    reader: Option<Reader<D>>,
    /// Where the batch lies that each follower will ask for next.
    places: Vec<(BrokerId, Offset, Place)>,
    /// It was read since [`Records::rest`] was asked last.
    is_read: bool,
}

impl<D: Disk> Records<D> {
    pub(super) fn new(disk: D, dir: &Path) -> Records<D> {
        Records {
            disk,
            dir: dir.to_owned(),
            reader: None,
            places: Vec::new(),
            is_read: false,
        }
    }

    /// The log was cut: nothing that is known of its files holds any more.
    pub(super) fn forget(&mut self) {
        self.reader = None;
        self.places.clear();
    }

    /// Closes the file where nothing was read since this was asked last: where it was deleted, its
    /// room is free then.
    pub(super) fn rest(&mut self) {
        let reader = self.reader.as_mut().filter(|_| !self.is_read);
        if let Some(reader) = reader {
            reader.release();
        }
        self.is_read = false;
    }

    /// Fills `room` with whole batches from the one that holds the first offset on.
    ///
    /// # Errors
    /// Nothing can be served.
    pub(super) fn read(&mut self, wanted: Wanted, room: &mut [u8]) -> Result<Found, Unservable> {
        self.is_read = true;
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(Reader::open(self.disk.clone(), &self.dir)?),
        };
        let known = |(who, at, _): &&(BrokerId, Offset, Place)| {
            wanted.by == Some(*who) && *at == wanted.from
        };
        let place = match self.places.iter().find(known) {
            Some((_, _, place)) if reader.has(*place) => *place,
            _ => reader.locate(wanted.from)?,
        };
        let (place, bytes) = bytes_at(reader, place, wanted, room)?;
        let batches = front(&room[..bytes], room.len(), wanted)?;
        if let Front::Batches { bytes, next } = batches {
            self.remember(wanted.by, next, place.after(bytes));
        }
        Ok(match batches {
            Front::Batches { bytes, .. } => Found::Bytes(bytes),
            Front::Larger(need) => Found::Larger(need),
        })
    }

    fn remember(&mut self, who: Option<BrokerId>, at: Offset, place: Place) {
        let Some(who) = who else {
            return;
        };
        match self.places.iter_mut().find(|(known, ..)| *known == who) {
            Some(known) => *known = (who, at, place),
            None => self.places.push((who, at, place)),
        }
    }

    /// Forgets followers that have no replica any more.
    pub(super) fn retain(&mut self, replicas: &[BrokerId]) {
        self.places.retain(|(who, ..)| replicas.contains(who));
    }
}

/// Reads from `place` on, or from the beginning of the next segment that has something: at a
/// segment's end the log goes on in one that may have come since.
fn bytes_at<D: Disk>(
    reader: &mut Reader<D>,
    mut place: Place,
    wanted: Wanted,
    room: &mut [u8],
) -> Result<(Place, usize), Unservable> {
    let mut has_looked = false;
    for _ in 0..SEGMENTS_MAX {
        let bytes = reader.read(place, room)?;
        if bytes > 0 || room.is_empty() {
            return Ok((place, bytes));
        }
        match reader.next_segment(place) {
            Some(next) => place = next,
            None if has_looked => break,
            None => {
                has_looked = true;
                reader.look()?;
                place = reader.locate(wanted.from)?;
            }
        }
    }
    Err(Unservable::Damaged {
        from: wanted.from,
        why: "the files end before it".to_owned(),
    })
}

/// What is at the front of bytes that were read.
#[derive(Clone, Copy)]
enum Front {
    Batches {
        bytes: usize,
        /// The offset behind them.
        next: Offset,
    },
    Larger(usize),
}

/// Whole batches of the log, none of which lies above its end or our epoch.
fn front(bytes: &[u8], room: usize, wanted: Wanted) -> Result<Front, Unservable> {
    let expect = Expect {
        next: wanted.from,
        may_begin_before: true,
        epoch: LeaderEpoch::NONE,
        batch_bytes_max: i32::MAX as usize,
    };
    let checked = scan(bytes, expect);
    let (mut taken, mut next) = (0, wanted.from);
    for batch in checked.run.batches() {
        let epoch = batch.leader_epoch();
        if batch.next_offset() > wanted.end {
            break;
        }
        if !epoch.is_some() || epoch > wanted.epoch {
            if taken > 0 {
                break;
            }
            return Err(Unservable::Stamp {
                at: batch.base_offset(),
                found: epoch,
                ours: wanted.epoch,
            });
        }
        taken += batch.bytes().len();
        next = batch.next_offset();
    }
    if taken > 0 {
        return Ok(Front::Batches { bytes: taken, next });
    }
    let why = match checked.rest {
        Rest::Short { need, .. } if checked.run.is_empty() => {
            let need = need.unwrap_or(HEADER_BYTES);
            if (room + 1..=BATCH_BYTES_MAX).contains(&need) {
                return Ok(Front::Larger(need));
            }
            format!(
                "the next one has {need} bytes, of which {} are there",
                bytes.len()
            )
        }
        Rest::Fault(fault) if checked.run.is_empty() => fault.to_string(),
        _ => format!("the next one ends above the log's end, {}", wanted.end),
    };
    Err(Unservable::Damaged {
        from: wanted.from,
        why,
    })
}
