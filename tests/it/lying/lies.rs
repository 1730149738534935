//! What a source, or the way to it, can do wrong.

/// A lie about the records of one partition, or about a whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// About records; the answer around them is sound.
    Records(InRecords),
    /// About an answer to Fetch as a whole.
    Frame(InFrame),
    /// About an answer to a rarer request as a whole.
    Rare(Rare, InFrame),
    /// The partition's log is said to begin here.
    Beginning(i64),
    /// The partition's log is said to end here.
    Ending(i64),
    /// What is fetched is said to be out of range, and the log to begin here.
    Lost(i64),
    /// What is fetched is said to be out of range, and the log to begin and to end here.
    Elsewhere(i64, i64),
    /// An answer to Fetch is an error as a whole.
    Refused,
    /// An answer to Fetch throttles, and has nothing else.
    Throttled,
    /// An answer to Fetch does not tell of the partition.
    LeftOut,
    /// An answer to Fetch tells of another topic instead.
    Renamed,
}

/// What is wrong with a batch, or with all batches of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InRecords {
    PayloadBit,
    AttributesBit,
    ChecksumBit,
    OldFormat,
    UnknownFormat,
    Longer,
    Shorter,
    NegativeLength,
    HugeLength,
    OffsetBelow,
    OffsetOfTheNeighbour,
    OffsetFarAbove,
    EpochAbove,
    EpochBelow,
    /// The other partition's batches.
    OtherPartition,
    /// What an earlier answer had.
    OldAnswer,
}

/// What is wrong with an answer, or with how it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InFrame {
    NegativeLength,
    HugeLength,
    WrongCorrelation,
    Garbage,
    /// A field that nobody knows, of more bytes than anything else may hold.
    HugeField,
    Cut,
    Reset,
    Silence,
    Trickle,
    /// Slow, but no lie: one byte at a time.
    ByteByByte,
}

/// What else than Fetch a copy asks a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rare {
    ListOffsets = 2,
    Metadata = 3,
    ApiVersions = 18,
    OffsetForLeaderEpoch = 23,
}

/// All of them.
pub(crate) const RARE: [Rare; 4] = [
    Rare::ListOffsets,
    Rare::Metadata,
    Rare::ApiVersions,
    Rare::OffsetForLeaderEpoch,
];

/// Every lie about records.
pub(crate) const RECORDS: [InRecords; 16] = [
    InRecords::PayloadBit,
    InRecords::AttributesBit,
    InRecords::ChecksumBit,
    InRecords::OldFormat,
    InRecords::UnknownFormat,
    InRecords::Longer,
    InRecords::Shorter,
    InRecords::NegativeLength,
    InRecords::HugeLength,
    InRecords::OffsetBelow,
    InRecords::OffsetOfTheNeighbour,
    InRecords::OffsetFarAbove,
    InRecords::EpochAbove,
    InRecords::EpochBelow,
    InRecords::OtherPartition,
    InRecords::OldAnswer,
];

/// Every lie about answers; the last one is none.
pub(crate) const FRAMES: [InFrame; 10] = [
    InFrame::NegativeLength,
    InFrame::HugeLength,
    InFrame::WrongCorrelation,
    InFrame::Garbage,
    InFrame::HugeField,
    InFrame::Cut,
    InFrame::Reset,
    InFrame::Silence,
    InFrame::Trickle,
    InFrame::ByteByByte,
];

/// The beginnings of the batches in `records`, each with its last offset.
pub(crate) fn batches(records: &[u8]) -> Vec<(usize, i64)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(header) = records.get(at..at + 61) {
        let base = i64::from_be_bytes(header[..8].try_into().expect("eight"));
        let length = i32::from_be_bytes(header[8..12].try_into().expect("four"));
        let delta = i32::from_be_bytes(header[23..27].try_into().expect("four"));
        found.push((at, base + i64::from(delta)));
        at += 12 + usize::try_from(length).expect("an honest length");
    }
    found
}

impl InRecords {
    /// Whether all records of the answer are exchanged, not one batch changed.
    pub(crate) fn is_exchange(self) -> bool {
        matches!(self, InRecords::OtherPartition | InRecords::OldAnswer)
    }

    /// Changes the batch that begins at `at`.
    pub(crate) fn spoil(self, records: &mut [u8], at: usize) {
        let batch = &mut records[at..];
        let offset = i64::from_be_bytes(batch[..8].try_into().expect("eight"));
        let length = i32::from_be_bytes(batch[8..12].try_into().expect("four"));
        let offset_is = |batch: &mut [u8], to: i64| batch[..8].copy_from_slice(&to.to_be_bytes());
        let length_is = |batch: &mut [u8], to: i32| batch[8..12].copy_from_slice(&to.to_be_bytes());
        let epoch_is = |batch: &mut [u8], to: i32| batch[12..16].copy_from_slice(&to.to_be_bytes());
        match self {
            InRecords::PayloadBit => batch[70] ^= 1,
            InRecords::AttributesBit => batch[22] ^= 4,
            InRecords::ChecksumBit => batch[18] ^= 0x20,
            InRecords::OldFormat => batch[16] ^= 2,
            InRecords::UnknownFormat => batch[16] ^= 1,
            InRecords::Longer => length_is(batch, length + 7),
            InRecords::Shorter => length_is(batch, length - 7),
            InRecords::NegativeLength => length_is(batch, -length),
            InRecords::HugeLength => length_is(batch, i32::MAX),
            InRecords::OffsetBelow => offset_is(batch, 3),
            InRecords::OffsetOfTheNeighbour => offset_is(batch, offset + 1),
            InRecords::OffsetFarAbove => offset_is(batch, offset | 1 << 40),
            InRecords::EpochAbove => epoch_is(batch, 1 << 20),
            InRecords::EpochBelow => epoch_is(batch, -1),
            InRecords::OtherPartition | InRecords::OldAnswer => {
                unreachable!("these exchange all records")
            }
        }
    }
}
