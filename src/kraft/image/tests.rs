//! Records as a controller writes them, and the image that comes of them.

use super::*;
use crate::model::LeaderEpoch;
use crate::protocol::metadata_record::{
    NewPartition, PartitionChange, Recovery, RegisterBroker, spoken,
};

const TOPIC: TopicId = TopicId::new([7; 16]);
const US: BrokerId = BrokerId(9001);

fn name(name: &str) -> TopicName {
    TopicName::new(name).expect("a legal name")
}

fn number(number: i32) -> PartitionIndex {
    PartitionIndex::new(number).expect("not negative")
}

fn broker(id: i32, epoch: i64, incarnation: u8) -> RegisterBroker<'static> {
    RegisterBroker {
        broker: BrokerId(id),
        incarnation: Uuid::new([incarnation; 16]),
        epoch: BrokerEpoch::new(epoch),
        listeners: Vec::new(),
        features: Vec::new(),
        rack: None,
        is_fenced: true,
        is_shutting_down: false,
        directories: vec![Uuid::new([5; 16])],
        cordoned: Vec::new(),
    }
}

/// Applies records as one batch.
fn apply(image: &mut Image, records: &[Vec<u8>]) -> Result<Delta, ImageFault> {
    let mut delta = Delta::default();
    for bytes in records {
        let record = MetadataRecord::read(bytes).expect("sound");
        image.apply(record, &mut delta)?;
    }
    Ok(delta)
}

fn partition(index: i32, replicas: &[i32], leader: i32) -> Vec<u8> {
    let replicas: Vec<BrokerId> = replicas.iter().map(|id| BrokerId(*id)).collect();
    spoken::partition(&NewPartition {
        topic: TOPIC,
        partition: number(index),
        isr: replicas.clone(),
        replicas,
        removing: Vec::new(),
        adding: Vec::new(),
        leader: Some(BrokerId(leader)),
        leader_epoch: LeaderEpoch::new(4),
        partition_epoch: 6,
        recovery: Recovery::Recovered,
        elr: vec![BrokerId(2)],
        last_known_elr: Vec::new(),
    })
}

fn with_topic() -> Image {
    let mut image = Image::default();
    let records = [
        spoken::topic("orders", TOPIC),
        partition(0, &[9001, 1], 9001),
        partition(1, &[1, 2], 1),
    ];
    apply(&mut image, &records).expect("they fit");
    image
}

#[test]
fn a_broker_lives_is_fenced_and_goes_in_one_life_of_it() {
    let mut image = Image::default();
    let epoch = BrokerEpoch::new(5);
    apply(&mut image, &[spoken::register(&broker(1, 5, 1))]).expect("they fit");
    assert!(!image.brokers.get(BrokerId(1)).expect("there").is_eligible());
    let unfenced = spoken::change_broker(BrokerId(1), epoch, -1, 0);
    apply(&mut image, &[unfenced]).expect("they fit");
    assert!(image.brokers.get(BrokerId(1)).expect("there").is_eligible());
    let going = spoken::change_broker(BrokerId(1), epoch, 0, 1);
    apply(&mut image, std::slice::from_ref(&going)).expect("they fit");
    let there = image.brokers.get(BrokerId(1)).expect("there");
    assert!(there.is_shutting_down && !there.is_fenced && !there.is_eligible());
    assert_eq!(there.directories, [Uuid::new([5; 16])]);
    apply(&mut image, &[spoken::register(&broker(1, 9, 2))]).expect("they fit");
    let other_life = apply(&mut image, &[going]).expect_err("another life");
    assert!(matches!(other_life, ImageFault::NoBroker { .. }));
    let gone = spoken::unregister(BrokerId(1), BrokerEpoch::new(9));
    let delta = apply(&mut image, std::slice::from_ref(&gone)).expect("they fit");
    assert!(delta.brokers().contains(&BrokerId(1)));
    assert_eq!(image, Image::default());
    assert!(apply(&mut image, &[gone]).is_err());
}

#[test]
fn every_change_is_a_partition_epoch_and_every_leader_told_a_leader_epoch() {
    let mut image = with_topic();
    let mut change = PartitionChange::of(TOPIC, number(0));
    change.isr = Some(vec![US]);
    apply(&mut image, &[spoken::change_partition(&change)]).expect("they fit");
    let epochs = |image: &Image| {
        let partition = image.topics.partition(TOPIC, number(0)).expect("there");
        (partition.leader_epoch.value(), partition.partition_epoch)
    };
    assert_eq!(epochs(&image), (4, 7));
    change.leader = Some(Some(US));
    apply(&mut image, &[spoken::change_partition(&change)]).expect("they fit");
    assert_eq!(epochs(&image), (5, 8));
    let clear = spoken::record(28, 0, |to| {
        to.text(Some(""));
        to.no_tags();
    });
    apply(&mut image, &[clear.clone(), clear]).expect("they fit");
    assert_eq!(epochs(&image), (5, 9), "once, where there was any");
}

#[test]
fn a_delta_compares_with_what_was_before_the_batch() {
    let mut image = with_topic();
    let led = |leader| {
        let mut change = PartitionChange::of(TOPIC, number(0));
        change.leader = Some(Some(BrokerId(leader)));
        spoken::change_partition(&change)
    };
    let others = {
        let mut change = PartitionChange::of(TOPIC, number(1));
        change.leader = Some(Some(BrokerId(2)));
        spoken::change_partition(&change)
    };
    let delta = apply(&mut image, &[led(1), led(9001), led(1), others]).expect("they fit");
    let news = delta.partitions_of(US, &image);
    let [one] = news.as_slice() else {
        panic!("{news:?}");
    };
    assert_eq!(one.was, Role::Lead);
    assert_eq!(one.now.role, Role::Follow(BrokerId(1)));
    assert_eq!(one.now.leader_epoch.value(), 7);
    let whole = image.partitions_of(US);
    assert_eq!((whole.len(), whole[0].was), (1, Role::Absent));
    let gone = apply(&mut image, &[spoken::remove_topic(TOPIC)]).expect("they fit");
    let news = gone.partitions_of(US, &image);
    assert_eq!((news.len(), &news[0].now.role), (1, &Role::Absent));
    assert_eq!(image, Image::default());
}

#[test]
fn being_taken_off_the_replicas_is_news() {
    let mut image = with_topic();
    let mut change = PartitionChange::of(TOPIC, number(0));
    change.replicas = Some(vec![BrokerId(1)]);
    change.isr = Some(vec![BrokerId(1)]);
    change.leader = Some(Some(BrokerId(1)));
    let delta = apply(&mut image, &[spoken::change_partition(&change)]).expect("they fit");
    let news = delta.partitions_of(US, &image);
    assert_eq!(news[0].now.role, Role::Absent);
    assert!(news[0].partition.is_some(), "others still have it");
}

/// There is an image for each change, and more than one of them is kept.
#[test]
fn images_share_what_has_not_changed() {
    let mut image = with_topic();
    let other = TopicId::new([8; 16]);
    let topic = spoken::topic("payments", other);
    apply(&mut image, &[topic]).expect("it fits");
    let before = image.clone();
    let mut change = PartitionChange::of(TOPIC, number(0));
    change.isr = Some(vec![BrokerId(1)]);
    apply(&mut image, &[spoken::change_partition(&change)]).expect("it fits");
    let is_shared = |id| {
        std::ptr::eq(
            image.topics.get(id).expect("it is there"),
            before.topics.get(id).expect("it is there"),
        )
    };
    assert!(is_shared(other) && !is_shared(TOPIC));
    let isr = |image: &Image| {
        image
            .topics
            .partition(TOPIC, number(0))
            .expect("it is there")
            .isr
            .clone()
    };
    assert_eq!(isr(&image), [BrokerId(1)]);
    assert_ne!(isr(&before), isr(&image), "what was before stays");
    assert!(std::sync::Arc::ptr_eq(&image.rights, &before.rights));
}

#[test]
fn settings_have_defaults_and_bounds() {
    let mut image = with_topic();
    let orders = name("orders");
    assert_eq!(image.min_isr(&orders, 3, 1), 1);
    assert_eq!(image.min_isr(&orders, 3, 2), 2, "as its leader has it");
    let set = |kind, of: &str, value| spoken::config(kind, of, "min.insync.replicas", value);
    apply(&mut image, &[set(4, "", Some("2"))]).expect("they fit");
    assert_eq!(image.min_isr(&orders, 3, 1), 2);
    let delta = apply(&mut image, &[set(2, "orders", Some("5"))]).expect("they fit");
    assert_eq!(image.min_isr(&orders, 3, 1), 3, "never more than replicas");
    let touched = (ResourceKind::TOPIC, "orders".to_owned());
    assert!(delta.configs().contains(&touched));
    apply(&mut image, &[set(2, "orders", None), set(4, "", None)]).expect("they fit");
    assert_eq!(image.min_isr(&orders, 3, 1), 1);
    assert_eq!(image.configs, Configs::default());
}

#[test]
fn features_have_levels_and_the_quorums_own_is_not_told_here() {
    let mut image = Image::default();
    let records = [
        spoken::feature(METADATA_VERSION, 30),
        spoken::feature("share.version", 1),
        spoken::feature("kraft.version", 1),
        spoken::feature("share.version", 0),
    ];
    apply(&mut image, &records).expect("they fit");
    assert_eq!(image.features, [(METADATA_VERSION.to_owned(), 30)].into());
}

#[test]
fn what_is_not_there_cannot_change() {
    let mut image = Image::default();
    let change = PartitionChange::of(TOPIC, number(0));
    let change = spoken::change_partition(&change);
    let refused = apply(&mut image, std::slice::from_ref(&change));
    assert!(matches!(refused, Err(ImageFault::NoTopic { .. })));
    let topic = spoken::topic("orders", TOPIC);
    apply(&mut image, std::slice::from_ref(&topic)).expect("they fit");
    let refused = apply(&mut image, &[change]);
    assert!(matches!(refused, Err(ImageFault::NoPartition { .. })));
    let refused = apply(&mut image, &[topic]);
    assert!(matches!(refused, Err(ImageFault::NameTaken { .. })));
    let refused = apply(&mut image, &[spoken::remove_topic(TopicId::new([1; 16]))]);
    assert!(matches!(refused, Err(ImageFault::NoTopic { .. })));
}
