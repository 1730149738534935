//! Places in a log: an [`Offset`] counts records, a [`Position`] counts bytes of one file.

use std::fmt;

/// The number of a record in its partition, as Kafka counts: from 0, gaps allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(i64);

impl Offset {
    /// The first offset that a partition can have.
    pub const ZERO: Offset = Offset(0);

    /// Our own arithmetic never makes a negative offset; bytes from outside go through
    /// [`Offset::from_wire`].
    #[must_use]
    pub fn new(offset: i64) -> Offset {
        assert!(offset >= 0, "negative offset {offset}");
        Offset(offset)
    }

    /// An offset as a peer or a file states it; `None` where it is negative (Kafka's "unknown").
    #[must_use]
    pub fn from_wire(offset: i64) -> Option<Offset> {
        (offset >= 0).then_some(Offset(offset))
    }

    /// The number itself, for wire, files and people.
    #[must_use]
    pub fn value(self) -> i64 {
        self.0
    }

    /// The offset `records` further; `None` beyond the largest offset that Kafka can count.
    #[must_use]
    pub fn checked_add(self, records: u64) -> Option<Offset> {
        self.0.checked_add_unsigned(records).map(Offset)
    }

    /// Offsets between `earlier` and this one.
    #[must_use]
    pub fn since(self, earlier: Offset) -> u64 {
        assert!(earlier <= self, "{earlier} lies after {self}");
        self.0.abs_diff(earlier.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A byte's place in one file. Never an offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// The start of a file.
    pub const ZERO: Position = Position(0);

    /// The byte at `position`.
    #[must_use]
    pub const fn new(position: u64) -> Position {
        Position(position)
    }

    /// The number itself.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }

    /// The position `bytes` further.
    #[must_use]
    pub fn plus(self, bytes: u64) -> Position {
        Position(
            self.0
                .checked_add(bytes)
                .expect("no file is larger than 2^64 bytes"),
        )
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
