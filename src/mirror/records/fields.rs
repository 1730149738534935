//! The fields of keys and values, each read and written in one place.

use crate::model::{BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId, TopicName};
use crate::protocol::{Malformed, Reader, Unread, Writer};

use super::{
    ClusterMirror, Desired, HandOver, LastMirrorEpochs, MirrorName, MirrorPartitionState,
    MirrorTopic, PartitionKey, Retry, State, StateEpoch, WayBack,
};

/// What stands for no offset, and for a failure that is not tried again.
const NONE: i8 = -1;

pub(super) fn whole<T>(read: Result<T, Unread>, field: &'static str) -> Result<T, Malformed> {
    read.map_err(|fault| fault.malformed_or(Malformed::BeyondFrame { field }))
}

pub(super) fn nothing_left(reader: &Reader<'_>) -> Result<(), Malformed> {
    match reader.left() {
        0 => Ok(()),
        left => Err(Malformed::LeftOver { left }),
    }
}

fn impossible(field: &'static str, value: impl Into<i64>) -> Unread {
    let value = value.into();
    Malformed::Impossible { field, value }.into()
}

/// A text with a length of two bytes.
pub(super) fn long_text<'b>(reader: &mut Reader<'b>) -> Result<&'b str, Unread> {
    let field = "a name in a key";
    let length = reader.i16()?;
    let length = usize::try_from(length).map_err(|_| impossible(field, length))?;
    let text = str::from_utf8(reader.bytes(length)?);
    Ok(text.map_err(|_| Malformed::Text { field })?)
}

/// A text that must be there.
fn text<'b>(reader: &mut Reader<'b>, field: &'static str) -> Result<&'b str, Unread> {
    reader.text(field)?.ok_or_else(|| impossible(field, NONE))
}

fn texts(reader: &mut Reader<'_>, field: &'static str) -> Result<Vec<String>, Unread> {
    let texts = reader.list(1, field, |reader| Ok(text(reader, field)?.to_owned()))?;
    texts.ok_or_else(|| impossible(field, NONE))
}

pub(super) fn topic_name(name: &str) -> Result<TopicName, Unread> {
    let field = "a topic's name";
    Ok(TopicName::new(name).ok_or(Malformed::Text { field })?)
}

pub(super) fn mirror_name(name: &str) -> Result<MirrorName, Unread> {
    let field = "a mirror's name";
    Ok(MirrorName::new(name).ok_or(Malformed::Text { field })?)
}

pub(super) fn partition_key(reader: &mut Reader<'_>) -> Result<PartitionKey, Unread> {
    let mirror = mirror_name(long_text(reader)?)?;
    let topic = TopicId::new(reader.uuid()?);
    let index = reader.i32()?;
    let partition = PartitionIndex::new(index);
    let partition = partition.ok_or_else(|| impossible("a partition's number", index))?;
    Ok(PartitionKey {
        mirror,
        topic,
        partition,
    })
}

pub(super) fn put_partition(writer: &mut Writer<'_>, kind: i16, key: &PartitionKey) {
    writer.i16(kind);
    writer.string(key.mirror.as_str());
    writer.bytes(&key.topic.bytes());
    writer.i32(key.partition.value());
}

pub(super) fn position(reader: &mut Reader<'_>) -> Result<LastMirrorEpochs, Unread> {
    Ok(LastMirrorEpochs {
        epoch: LeaderEpoch::new(reader.i32()?),
        offset: Offset::from_wire(reader.i64()?),
    })
}

pub(super) fn put_position(writer: &mut Writer<'_>, position: &LastMirrorEpochs) {
    writer.i32(position.epoch.value());
    let offset = position.offset.map(Offset::value);
    writer.i64(offset.unwrap_or(i64::from(NONE)));
}

pub(super) fn hand_over(reader: &mut Reader<'_>) -> Result<HandOver, Unread> {
    const LATE: &str = "brokers that are late";
    let offset = |reader: &mut Reader<'_>, field| {
        let value = reader.i64()?;
        Offset::from_wire(value).ok_or_else(|| impossible(field, value))
    };
    Ok(HandOver {
        topic: TopicId::new(reader.uuid()?),
        position: offset(reader, "a position")?,
        end: offset(reader, "a log's end")?,
        leader_epoch: LeaderEpoch::new(reader.i32()?),
        late: reader
            .list(4, LATE, |reader| Ok(BrokerId(reader.i32()?)))?
            .ok_or_else(|| impossible(LATE, NONE))?,
    })
}

pub(super) fn put_hand_over(writer: &mut Writer<'_>, said: &HandOver) {
    writer.bytes(&said.topic.bytes());
    writer.i64(said.position.value());
    writer.i64(said.end.value());
    writer.i32(said.leader_epoch.value());
    writer.list(said.late.iter(), |writer, broker| writer.i32(broker.0));
}

pub(super) fn way_back(reader: &mut Reader<'_>) -> Result<WayBack, Unread> {
    let topic = TopicId::new(reader.uuid()?);
    let offset = |reader: &mut Reader<'_>, field| {
        let value = reader.i64()?;
        Offset::from_wire(value).ok_or_else(|| impossible(field, value))
    };
    Ok(WayBack {
        topic,
        from: offset(reader, "where two sides part")?,
        log_start: offset(reader, "a log's start")?,
        epoch: LeaderEpoch::new(reader.i32()?),
        is_aligned: reader.i8()? != 0,
    })
}

pub(super) fn put_way_back(writer: &mut Writer<'_>, said: &WayBack) {
    writer.bytes(&said.topic.bytes());
    writer.i64(said.from.value());
    writer.i64(said.log_start.value());
    writer.i32(said.epoch.value());
    writer.i8(i8::from(said.is_aligned));
}

pub(super) fn partition_state(reader: &mut Reader<'_>) -> Result<MirrorPartitionState, Unread> {
    let id = reader.i8()?;
    let state = State::from_id(id).ok_or_else(|| impossible("a partition's state", id))?;
    let leader_epoch = LeaderEpoch::new(reader.i32()?);
    let epoch = reader.i32()?;
    let state_epoch =
        StateEpoch::from_wire(epoch).ok_or_else(|| impossible("a state epoch", epoch))?;
    let error = reader.text("an error")?.map(str::to_owned);
    let retry = retry(reader.i16()?)?;
    let previous = match reader.i8()? {
        State::UNKNOWN_ID => None,
        id => Some(State::from_id(id).ok_or_else(|| impossible("a previous state", id))?),
    };
    Ok(MirrorPartitionState {
        state,
        leader_epoch,
        state_epoch,
        error,
        retry,
        previous,
    })
}

fn retry(attempt: i16) -> Result<Retry, Unread> {
    if attempt == i16::from(NONE) {
        return Ok(Retry::Never);
    }
    let counted = u16::try_from(attempt).map(Retry::Counted);
    counted.map_err(|_| impossible("a count of failures", attempt))
}

pub(super) fn put_state(writer: &mut Writer<'_>, said: &MirrorPartitionState) {
    writer.i8(said.state.id());
    writer.i32(said.leader_epoch.value());
    writer.i32(said.state_epoch.value());
    writer.text(said.error.as_deref());
    writer.i16(match said.retry {
        Retry::Counted(failures) => i16::try_from(failures).unwrap_or(i16::MAX),
        Retry::Never => i16::from(NONE),
    });
    writer.i8(said.previous.map_or(State::UNKNOWN_ID, State::id));
}

pub(super) fn mirror_topic(reader: &mut Reader<'_>) -> Result<MirrorTopic, Unread> {
    let id = TopicId::new(reader.uuid()?);
    let mirror = mirror_name(text(reader, "a mirror's name")?)?;
    let desired = reader.i8()?;
    let desired = Desired::ALL
        .into_iter()
        .find(|known| known.fulfilled().id() == desired)
        .ok_or_else(|| impossible("a desired state", desired))?;
    let count = reader.i32()?;
    let partitions = u32::try_from(count).map_err(|_| impossible("a partition count", count))?;
    Ok(MirrorTopic {
        id,
        mirror,
        desired,
        partitions,
    })
}

pub(super) fn put_topic(writer: &mut Writer<'_>, said: &MirrorTopic) {
    writer.bytes(&said.id.bytes());
    writer.text(Some(said.mirror.as_str()));
    writer.i8(said.desired.fulfilled().id());
    writer.i32(i32::try_from(said.partitions).unwrap_or(i32::MAX));
}

pub(super) fn cluster_mirror(reader: &mut Reader<'_>) -> Result<ClusterMirror, Unread> {
    let source_cluster_id = reader.text("a cluster's id")?.map(str::to_owned);
    let include = texts(reader, "patterns to include")?;
    let exclude = texts(reader, "patterns to exclude")?;
    let field = "settings";
    // Two lengths and the count of tagged fields.
    let settings = reader.list(3, field, |reader| {
        let name = text(reader, "a setting's name")?.to_owned();
        let value = text(reader, "a setting's value")?.to_owned();
        reader.tagged(|_, _| Ok(()))?;
        Ok((name, value))
    })?;
    let settings = settings.ok_or_else(|| impossible(field, NONE))?;
    Ok(ClusterMirror {
        source_cluster_id,
        include,
        exclude,
        settings: settings.into_iter().collect(),
    })
}

pub(super) fn put_mirror(writer: &mut Writer<'_>, said: &ClusterMirror) {
    writer.text(said.source_cluster_id.as_deref());
    for patterns in [&said.include, &said.exclude] {
        writer.list(patterns.iter(), |writer, pattern| {
            writer.text(Some(pattern))
        });
    }
    writer.list(said.settings.iter(), |writer, (name, value)| {
        writer.text(Some(name));
        writer.text(Some(value));
        writer.no_tags();
    });
}
