//! The records of the metadata log as a controller writes them: for tests that play one.

use super::{FRAME_VERSION, NewPartition, PartitionChange, Recovery, RegisterBroker};
use crate::model::{BrokerEpoch, BrokerId, LeaderEpoch, PartitionIndex, TopicId, Uuid};
use crate::protocol::primitive::{Writer, written};

/// A record's value with its frame.
pub(crate) fn record(kind: u32, version: u32, fields: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    written(|to| {
        to.varint(FRAME_VERSION);
        to.varint(kind);
        to.varint(version);
        fields(to);
    })
}

pub(crate) fn brokers(to: &mut Writer<'_>, ids: &[BrokerId]) {
    to.list(ids.iter(), |to, id| to.i32(id.0));
}

fn uuids(to: &mut Writer<'_>, ids: &[Uuid]) {
    to.list(ids.iter(), |to, id| to.bytes(&id.bytes()));
}

pub(crate) fn register(broker: &RegisterBroker<'_>) -> Vec<u8> {
    record(0, 4, |to| {
        to.i32(broker.broker.0);
        to.bool(false);
        to.bytes(&broker.incarnation.bytes());
        to.i64(broker.epoch.value());
        to.list(broker.listeners.iter(), |to, listener| {
            to.text(Some(&listener.name));
            to.text(Some(&listener.host));
            to.u16(listener.port);
            to.i16(listener.security);
            to.no_tags();
        });
        to.list(broker.features.iter(), |to, feature| {
            to.text(Some(&feature.name));
            to.i16(feature.least);
            to.i16(feature.most);
            to.no_tags();
        });
        to.text(broker.rack);
        to.bool(broker.is_fenced);
        to.bool(broker.is_shutting_down);
        to.tags(&[
            (0, Some(written(|to| uuids(to, &broker.directories)))),
            (1, Some(written(|to| uuids(to, &broker.cordoned)))),
        ]);
    })
}

pub(crate) fn change_broker(
    broker: BrokerId,
    epoch: BrokerEpoch,
    fenced: i8,
    shutting_down: i8,
) -> Vec<u8> {
    record(17, 2, |to| {
        to.i32(broker.0);
        to.i64(epoch.value());
        to.tags(&[
            (0, Some(written(|to| to.i8(fenced)))),
            (1, Some(written(|to| to.i8(shutting_down)))),
        ]);
    })
}

pub(crate) fn unregister(broker: BrokerId, epoch: BrokerEpoch) -> Vec<u8> {
    record(1, 0, |to| {
        to.i32(broker.0);
        to.i64(epoch.value());
        to.no_tags();
    })
}

pub(crate) fn topic(name: &str, id: TopicId) -> Vec<u8> {
    record(2, 0, |to| {
        to.text(Some(name));
        to.bytes(&id.bytes());
        to.no_tags();
    })
}

pub(crate) fn remove_topic(id: TopicId) -> Vec<u8> {
    record(9, 0, |to| {
        to.bytes(&id.bytes());
        to.no_tags();
    })
}

pub(crate) fn feature(name: &str, level: i16) -> Vec<u8> {
    record(12, 0, |to| {
        to.text(Some(name));
        to.i16(level);
        to.no_tags();
    })
}

pub(crate) fn config(kind: i8, resource: &str, name: &str, value: Option<&str>) -> Vec<u8> {
    record(4, 0, |to| {
        to.i8(kind);
        to.text(Some(resource));
        to.text(Some(name));
        to.text(value);
        to.no_tags();
    })
}

/// Records of no content: 20 is NoOp, 23 to 25 are a transaction's ends.
pub(crate) fn bare(kind: u32) -> Vec<u8> {
    record(kind, 0, |to| to.no_tags())
}

fn recovery(state: Recovery) -> i8 {
    i8::from(state == Recovery::Recovering)
}

/// A partition as it is made: led by the first that is in sync, and nothing has become of it yet.
pub(crate) fn laid(topic: TopicId, number: i32, replicas: &[i32], isr: &[i32]) -> Vec<u8> {
    let ids = |ids: &[i32]| ids.iter().map(|id| BrokerId(*id)).collect();
    partition(&NewPartition {
        topic,
        partition: PartitionIndex::new(number).expect("not negative"),
        replicas: ids(replicas),
        isr: ids(isr),
        removing: Vec::new(),
        adding: Vec::new(),
        leader: isr.first().map(|id| BrokerId(*id)),
        leader_epoch: LeaderEpoch::new(0),
        partition_epoch: 0,
        recovery: Recovery::Recovered,
        elr: Vec::new(),
        last_known_elr: Vec::new(),
    })
}

pub(crate) fn partition(new: &NewPartition) -> Vec<u8> {
    record(3, 2, |to| {
        to.i32(new.partition.value());
        to.bytes(&new.topic.bytes());
        brokers(to, &new.replicas);
        brokers(to, &new.isr);
        brokers(to, &new.removing);
        brokers(to, &new.adding);
        to.i32(new.leader.map_or(-1, |leader| leader.0));
        to.i32(new.leader_epoch.value());
        to.i32(new.partition_epoch);
        to.list(new.replicas.iter(), |to, _| to.bytes(&[0; 16]));
        to.tags(&[
            (0, Some(written(|to| to.i8(recovery(new.recovery))))),
            (1, Some(written(|to| brokers(to, &new.elr)))),
            (2, Some(written(|to| brokers(to, &new.last_known_elr)))),
        ]);
    })
}

pub(crate) fn change_partition(change: &PartitionChange) -> Vec<u8> {
    let ids = |ids: &Option<Vec<BrokerId>>| {
        let ids = ids.as_ref()?;
        Some(written(|to| brokers(to, ids)))
    };
    let leader = change.leader.map(|leader| leader.map_or(-1, |id| id.0));
    record(5, 2, |to| {
        to.i32(change.partition.value());
        to.bytes(&change.topic.bytes());
        to.tags(&[
            (0, ids(&change.isr)),
            (1, leader.map(|id| written(|to| to.i32(id)))),
            (2, ids(&change.replicas)),
            (3, ids(&change.removing)),
            (4, ids(&change.adding)),
            (
                5,
                change
                    .recovery
                    .map(|state| written(|to| to.i8(recovery(state)))),
            ),
            (6, ids(&change.elr)),
            (7, ids(&change.last_known_elr)),
        ]);
    })
}
