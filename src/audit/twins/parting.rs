//! Where source and destination say different things: whether the destination has gone on alone, or
//! something is wrong.

use std::fmt;

use super::align::Twin;
use crate::model::{LeaderEpoch, Offset};

/// What is known of how far a partition was mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Course {
    /// Nothing.
    #[default]
    Unknown,
    /// It is mirrored, or was when its node ended: all that the destination has is the source's.
    Mirrored,
    /// It is being handed over.
    Leaving,
    /// It was handed over, mirrored up to this offset.
    Stopped(Offset),
}

/// Why the destination may go on alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its mirror was stopped at this offset.
    Stopped(Offset),
    /// Its mirror is being stopped.
    Leaving,
    /// A transaction is ended there that is open at the source, as a stop does.
    Aborted,
    /// A broker of its own leads it, and its first leader epoch of its own begins there.
    Led(LeaderEpoch),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Stopped(at) => write!(f, "its mirror was stopped at offset {at}"),
            Why::Leaving => f.write_str("its mirror is being stopped"),
            Why::Aborted => f.write_str("a transaction was aborted there, as a stop does"),
            Why::Led(epoch) => write!(
                f,
                "a broker of the destination leads it, and leader epoch {epoch} begins there"
            ),
        }
    }
}

/// A place at which source and destination part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parting<'a> {
    pub(super) at: Offset,
    /// What the destination has there.
    pub(super) batch: Option<&'a Twin>,
    /// The leader epoch of what it has before.
    pub(super) before: LeaderEpoch,
    /// A broker leads it that clients can reach: no node of ours.
    pub(super) is_led_by_stock: bool,
}

impl Parting<'_> {
    /// Why the destination may go on alone from here; none where it may not.
    pub(super) fn why(&self, course: Course) -> Option<Why> {
        match course {
            Course::Mirrored => None,
            Course::Stopped(end) => (self.at >= end).then_some(Why::Stopped(end)),
            Course::Leaving => Some(Why::Leaving),
            Course::Unknown => {
                let batch = self.batch?;
                let is_led = self.is_led_by_stock && batch.epoch > self.before;
                match batch.is_abort {
                    true => Some(Why::Aborted),
                    false => is_led.then_some(Why::Led(batch.epoch)),
                }
            }
        }
    }
}
