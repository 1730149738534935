//! Fetch and FetchSnapshot of the metadata log, as an observer of its quorum asks.

use super::{ControllerCall, Leadership, no_tags, text};
use crate::model::{BrokerId, LeaderEpoch, Offset, TopicId, Uuid};
use crate::protocol::ErrorCode;
use crate::protocol::fetch::Endpoint;
use crate::protocol::primitive::{Malformed, Reader, Unread, Writer, written};

/// The topic of every metadata log.
pub const METADATA_TOPIC: &str = "__cluster_metadata";
/// Its id, in every cluster.
pub const METADATA_TOPIC_ID: TopicId =
    TopicId::new([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// Names a snapshot: all up to an offset, the last of it in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotId {
    /// The offset after the last that it covers.
    pub end: Offset,
    /// The epoch of the last that it covers.
    pub epoch: LeaderEpoch,
}

/// Asks for what follows in the metadata log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataFetch {
    /// The cluster that we mean, if we know it.
    pub cluster_id: Option<String>,
    /// Our node id.
    pub replica: BrokerId,
    /// Our log directory.
    pub directory: Uuid,
    /// The quorum's epoch as we know it.
    pub leader_epoch: i32,
    /// The offset that follows what we have.
    pub offset: Offset,
    /// The epoch of the last that we have; 0 where there is nothing.
    pub last_epoch: LeaderEpoch,
    /// The high watermark as we know it.
    pub high_watermark: Option<Offset>,
    /// How long the answer may wait for news.
    pub wait_ms: i32,
    /// The most bytes of records, but for one batch that is larger.
    pub bytes_max: i32,
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataAnswer {
    /// Why there is no answer at all.
    pub refused: ErrorCode,
    /// Why there are no records.
    pub error: ErrorCode,
    /// Who leads.
    pub leadership: Leadership,
    /// Our log is not the leader's: the largest epoch that may be common, and its end.
    pub diverging: Option<(LeaderEpoch, Offset)>,
    /// The log begins later than we ask: this has what lies before.
    pub snapshot: Option<SnapshotId>,
    /// What lies below it is settled.
    pub high_watermark: Option<Offset>,
    /// Whole batches, and perhaps the beginning of another.
    pub records: Vec<u8>,
}

impl ControllerCall for MetadataFetch {
    const KEY: i16 = 1;
    const NAME: &'static str = "Fetch of the metadata log";
    const VERSIONS: (i16, i16) = (17, 18);
    type Answer = MetadataAnswer;

    fn write(&self, version: i16, to: &mut Writer<'_>) {
        to.i32(self.wait_ms);
        // Whatever there is, isolated from nothing, in no session.
        to.i32(0);
        to.i32(self.bytes_max);
        to.i8(0);
        to.i32(0);
        to.i32(-1);
        to.compact(1);
        to.bytes(&METADATA_TOPIC_ID.bytes());
        to.compact(1);
        to.i32(0);
        to.i32(self.leader_epoch);
        to.i64(self.offset.value());
        to.i32(self.last_epoch.value());
        to.i64(0);
        to.i32(self.bytes_max);
        let known = self.high_watermark.map_or(-1, Offset::value);
        let known = (version >= 18).then(|| written(|to| to.i64(known)));
        to.tags(&[(0, Some(self.directory.bytes().to_vec())), (1, known)]);
        to.no_tags();
        // No topic is forgotten, and no rack is ours.
        to.compact(0);
        to.text(Some(""));
        let replica = written(|to| {
            to.i32(self.replica.0);
            to.i64(-1);
            to.no_tags();
        });
        to.tags(&[(0, cluster(self.cluster_id.as_deref())), (1, Some(replica))]);
    }

    fn read(_version: i16, from: &mut Reader<'_>) -> Result<MetadataAnswer, Unread> {
        let _throttled_ms = from.i32()?;
        let refused = ErrorCode(from.i16()?);
        let _session = from.i32()?;
        let mut answer = MetadataAnswer {
            refused,
            error: ErrorCode::NONE,
            leadership: Leadership {
                epoch: -1,
                ..Leadership::default()
            },
            diverging: None,
            snapshot: None,
            high_watermark: None,
            records: Vec::new(),
        };
        let mut partitions = 0u32;
        from.list(18, "topics", |from| {
            let _topic = from.uuid()?;
            from.list(38, "partitions", |from| {
                partitions = partitions.saturating_add(1);
                partition(from, &mut answer)
            })?;
            no_tags(from)
        })?;
        if partitions != 1 && !refused.is_error() {
            let value = i64::from(partitions);
            return Err(Malformed::Impossible {
                field: "the count of partitions of the metadata log",
                value,
            }
            .into());
        }
        from.tagged(|tag, mut field| match tag {
            0 => {
                answer.leadership.endpoints = endpoints(&mut field, |from| {
                    let port = from.i32()?;
                    let _rack = from.text("a rack")?;
                    Ok(u16::try_from(port).ok())
                })?;
                Ok(())
            }
            _ => Ok(()),
        })?;
        Ok(answer)
    }
}

fn partition(from: &mut Reader<'_>, answer: &mut MetadataAnswer) -> Result<(), Unread> {
    let _number = from.i32()?;
    answer.error = ErrorCode(from.i16()?);
    answer.high_watermark = Offset::from_wire(from.i64()?);
    let (_stable, _start) = (from.i64()?, from.i64()?);
    from.list(17, "aborted transactions", |from| {
        let _aborted = (from.i64()?, from.i64()?);
        no_tags(from)
    })?;
    let _preferred = from.i32()?;
    let length = from.compact("records")?.unwrap_or(0);
    answer.records = from.bytes(length)?.to_vec();
    from.tagged(|tag, mut field| {
        match tag {
            0 => {
                let epoch = LeaderEpoch::new(field.i32()?);
                let end = Offset::from_wire(field.i64()?);
                answer.diverging = end.filter(|_| epoch.is_some()).map(|end| (epoch, end));
            }
            1 => (answer.leadership.leader, answer.leadership.epoch) = leader(&mut field)?,
            2 => answer.snapshot = snapshot_id(&mut field)?,
            _ => {}
        }
        Ok(())
    })
}

fn leader(from: &mut Reader<'_>) -> Result<(Option<BrokerId>, i32), Unread> {
    let id = from.i32()?;
    let epoch = from.i32()?;
    Ok(((id >= 0).then_some(BrokerId(id)), epoch))
}

fn snapshot_id(from: &mut Reader<'_>) -> Result<Option<SnapshotId>, Unread> {
    let end = Offset::from_wire(from.i64()?);
    let epoch = LeaderEpoch::new(from.i32()?);
    no_tags(from)?;
    Ok(end.map(|end| SnapshotId { end, epoch }))
}

/// Nodes and where they listen; one whose port cannot be is left out. `rest` reads from the port
/// on.
fn endpoints(
    from: &mut Reader<'_>,
    rest: impl Fn(&mut Reader<'_>) -> Result<Option<u16>, Unread>,
) -> Result<Vec<Endpoint>, Unread> {
    let found = from.list(8, "nodes", |from| {
        let broker = BrokerId(from.i32()?);
        let host = text(from, "a host")?;
        let port = rest(from)?;
        no_tags(from)?;
        Ok(port.map(|port| Endpoint { broker, host, port }))
    })?;
    Ok(found.unwrap_or_default().into_iter().flatten().collect())
}

fn cluster(id: Option<&str>) -> Option<Vec<u8>> {
    id.map(|id| written(|to| to.text(Some(id))))
}

/// Asks for the next piece of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFetch {
    /// The cluster that we mean, if we know it.
    pub cluster_id: Option<String>,
    /// Our node id.
    pub replica: BrokerId,
    /// Our log directory.
    pub directory: Uuid,
    /// The quorum's epoch as we know it.
    pub leader_epoch: i32,
    /// Which snapshot.
    pub id: SnapshotId,
    /// From which of its bytes on.
    pub position: u64,
    /// The most bytes.
    pub bytes_max: i32,
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotAnswer {
    /// Why there is no answer at all.
    pub refused: ErrorCode,
    /// Why there are no bytes.
    pub error: ErrorCode,
    /// Who leads.
    pub leadership: Leadership,
    /// Which snapshot it is a piece of.
    pub id: Option<SnapshotId>,
    /// Bytes of all of it.
    pub size: u64,
    /// Where the piece begins.
    pub position: u64,
    /// The piece, cut anywhere.
    pub bytes: Vec<u8>,
}

impl ControllerCall for SnapshotFetch {
    const KEY: i16 = 59;
    const NAME: &'static str = "FetchSnapshot";
    const VERSIONS: (i16, i16) = (1, 1);
    type Answer = SnapshotAnswer;

    fn write(&self, _version: i16, to: &mut Writer<'_>) {
        to.i32(self.replica.0);
        to.i32(self.bytes_max);
        to.compact(1);
        to.text(Some(METADATA_TOPIC));
        to.compact(1);
        to.i32(0);
        to.i32(self.leader_epoch);
        to.i64(self.id.end.value());
        to.i32(self.id.epoch.value());
        to.no_tags();
        to.i64(i64::try_from(self.position).expect("a position within a snapshot's size"));
        to.tags(&[(0, Some(self.directory.bytes().to_vec()))]);
        to.no_tags();
        to.tags(&[(0, cluster(self.cluster_id.as_deref()))]);
    }

    fn read(_version: i16, from: &mut Reader<'_>) -> Result<SnapshotAnswer, Unread> {
        let _throttled_ms = from.i32()?;
        let mut answer = SnapshotAnswer {
            refused: ErrorCode(from.i16()?),
            error: ErrorCode::NONE,
            leadership: Leadership {
                epoch: -1,
                ..Leadership::default()
            },
            id: None,
            size: 0,
            position: 0,
            bytes: Vec::new(),
        };
        from.list(3, "topics", |from| {
            let _name = from.text("a topic's name")?;
            from.list(37, "partitions", |from| piece(from, &mut answer))?;
            no_tags(from)
        })?;
        from.tagged(|tag, mut field| {
            if tag == 0 {
                answer.leadership.endpoints = endpoints(&mut field, |from| Ok(Some(from.u16()?)))?;
            }
            Ok(())
        })?;
        Ok(answer)
    }
}

fn piece(from: &mut Reader<'_>, answer: &mut SnapshotAnswer) -> Result<(), Unread> {
    let _number = from.i32()?;
    answer.error = ErrorCode(from.i16()?);
    answer.id = snapshot_id(from)?;
    answer.size = size(from.i64()?)?;
    answer.position = size(from.i64()?)?;
    let length = from.compact("bytes of a snapshot")?.unwrap_or(0);
    answer.bytes = from.bytes(length)?.to_vec();
    from.tagged(|tag, mut field| {
        if tag == 0 {
            (answer.leadership.leader, answer.leadership.epoch) = leader(&mut field)?;
        }
        Ok(())
    })
}

fn size(value: i64) -> Result<u64, Unread> {
    let field = "a snapshot's size";
    u64::try_from(value).map_err(|_| Malformed::Impossible { field, value }.into())
}
