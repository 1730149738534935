//! Which replica leaves first, who goes on, and that what it had is restored.

use super::*;
use crate::kraft::Delta;
use crate::model::{BrokerEpoch, PartitionIndex, Uuid};
use crate::protocol::metadata_record::{
    MetadataRecord, PartitionChange, Recovery, RegisterBroker, spoken,
};

const US: BrokerId = BrokerId(9001);
const OFFSETS: TopicId = TopicId::new([1; 16]);
const ORDERS: TopicId = TopicId::new([2; 16]);
const MIRROR: TopicId = TopicId::new([3; 16]);

fn apply(image: &mut Image, records: &[Vec<u8>]) {
    let mut delta = Delta::default();
    for bytes in records {
        let record = MetadataRecord::read(bytes).expect("sound");
        image.apply(record, &mut delta).expect("it fits");
    }
}

fn ids(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().map(|id| BrokerId(*id)).collect()
}

fn broker(id: i32, is_cordoned: bool) -> Vec<u8> {
    registered(id, is_cordoned, false)
}

/// Its life is over.
fn fenced(id: i32) -> Vec<u8> {
    registered(id, false, true)
}

fn registered(id: i32, is_cordoned: bool, is_fenced: bool) -> Vec<u8> {
    let directory = Uuid::new([5; 16]);
    let broker = RegisterBroker {
        broker: BrokerId(id),
        incarnation: Uuid::new([1; 16]),
        epoch: BrokerEpoch::new(1),
        listeners: Vec::new(),
        features: Vec::new(),
        rack: None,
        is_fenced,
        is_shutting_down: false,
        directories: vec![directory],
        cordoned: if is_cordoned {
            vec![directory]
        } else {
            Vec::new()
        },
    };
    spoken::register(&broker)
}

fn partition(topic: TopicId, replicas: &[i32], isr: &[i32]) -> Vec<u8> {
    spoken::laid(topic, 0, replicas, isr)
}

fn moved(topic: TopicId, replicas: &[i32], isr: &[i32]) -> Vec<u8> {
    let number = PartitionIndex::new(0).expect("not negative");
    let mut change = PartitionChange::of(topic, number);
    change.replicas = Some(ids(replicas));
    change.isr = Some(ids(isr));
    change.leader = Some(isr.first().map(|id| BrokerId(*id)));
    spoken::change_partition(&change)
}

/// A broker is to take over what only we have.
fn given(to: i32) -> Vec<u8> {
    let number = PartitionIndex::new(0).expect("not negative");
    let mut change = PartitionChange::of(ORDERS, number);
    change.replicas = Some(ids(&[to, 9001]));
    change.adding = Some(ids(&[to]));
    change.removing = Some(ids(&[9001]));
    spoken::change_partition(&change)
}

fn cluster(partitions: &[Vec<u8>]) -> Image {
    let mut image = Image::default();
    let records = [
        broker(1, false),
        broker(2, false),
        broker(3, true),
        broker(9001, false),
        spoken::topic("__consumer_offsets", OFFSETS),
        spoken::topic("orders", ORDERS),
        spoken::topic("mirror", MIRROR),
    ];
    apply(&mut image, &records);
    apply(&mut image, partitions);
    image
}

fn id(name: &str) -> TopicPartition {
    name.parse().expect("a partition")
}

fn moves(evacuation: &mut Evacuation, image: &Image) -> Vec<(String, Vec<i32>)> {
    let mut strangers = image.partitions_of(US);
    strangers.retain(|news| news.topic_id != MIRROR);
    let moves = evacuation.next_moves(US, image, &strangers);
    let plain = |to: Vec<BrokerId>| to.iter().map(|id| id.0).collect();
    moves
        .into_iter()
        .map(|(id, to)| (id.to_string(), plain(to)))
        .collect()
}

#[test]
fn coordinators_go_first_and_mirrors_stay() {
    let image = cluster(&[
        partition(ORDERS, &[9001, 1], &[9001, 1]),
        partition(OFFSETS, &[1, 9001], &[1, 9001]),
        partition(MIRROR, &[9001, 1], &[9001, 1]),
    ]);
    let mut evacuation = Evacuation::default();
    let expected = [
        ("__consumer_offsets-0".to_owned(), vec![1]),
        ("orders-0".to_owned(), vec![1]),
    ];
    assert_eq!(moves(&mut evacuation, &image), expected);
    assert_eq!(evacuation.count(), 2);
    assert_eq!(moves(&mut evacuation, &image), [], "asked for once");
    evacuation.refused(&id("orders-0"));
    assert_eq!(moves(&mut evacuation, &image).len(), 1, "and again");
}

#[test]
fn first_a_leader_then_as_many_replicas_as_before() {
    let mut image = cluster(&[partition(ORDERS, &[9001, 1], &[9001, 1])]);
    let mut evacuation = Evacuation::default();
    let first = ("orders-0".to_owned(), vec![1]);
    assert_eq!(moves(&mut evacuation, &image), [first]);
    apply(&mut image, &[moved(ORDERS, &[1], &[1])]);
    let second = ("orders-0".to_owned(), vec![1, 2]);
    let restored = moves(&mut evacuation, &image);
    assert_eq!(restored, std::slice::from_ref(&second));
    assert_eq!(evacuation.count(), 0, "we are off");
    assert_eq!(moves(&mut evacuation, &image), []);
    evacuation.refused(&id("orders-0"));
    assert_eq!(moves(&mut evacuation, &image), [second]);
    apply(&mut image, &[moved(ORDERS, &[1, 2], &[1, 2])]);
    assert_eq!(moves(&mut evacuation, &image), []);
    assert!(evacuation.restoring.is_empty());
}

#[test]
fn whoever_is_not_in_sync_comes_back_afterwards() {
    let mut image = cluster(&[partition(ORDERS, &[9001, 1, 2], &[9001, 2])]);
    let mut evacuation = Evacuation::default();
    let first = ("orders-0".to_owned(), vec![2]);
    assert_eq!(moves(&mut evacuation, &image), [first]);
    apply(&mut image, &[moved(ORDERS, &[2], &[2])]);
    let second = ("orders-0".to_owned(), vec![1, 2]);
    assert_eq!(moves(&mut evacuation, &image), [second]);
}

#[test]
fn a_partition_that_only_we_have_is_given_to_a_stock_broker() {
    let mut image = cluster(&[partition(ORDERS, &[9001], &[9001])]);
    let mut evacuation = Evacuation::default();
    let asked = moves(&mut evacuation, &image);
    assert_eq!(asked.len(), 1);
    assert!([vec![1], vec![2]].contains(&asked[0].1), "{asked:?}");
    let to = asked[0].1[0];
    apply(&mut image, &[given(to)]);
    assert_eq!(moves(&mut evacuation, &image), [], "it has to catch up");
    apply(&mut image, &[moved(ORDERS, &[to], &[to])]);
    assert_eq!(moves(&mut evacuation, &image), []);
    let mut alone = Image::default();
    apply(&mut alone, &[spoken::topic("orders", ORDERS)]);
    apply(&mut alone, &[partition(ORDERS, &[9001], &[9001])]);
    assert_eq!(moves(&mut evacuation, &alone), [], "there is nobody");
}

/// Whoever would follow us gives up what we do not have.
#[test]
fn only_what_nobody_can_have_records_of_is_empty() {
    let is_empty = |partition: &[u8], change: &dyn Fn(&mut PartitionChange)| {
        let mut changed = PartitionChange::of(ORDERS, PartitionIndex::new(0).expect("no sign"));
        change(&mut changed);
        let image = cluster(&[partition.to_vec(), spoken::change_partition(&changed)]);
        let here = image.partitions_of(US);
        is_surely_empty(US, here[0].partition.as_ref().expect("it is there"))
    };
    let alone = partition(ORDERS, &[9001], &[9001]);
    let with_one = partition(ORDERS, &[9001, 1], &[9001]);
    let both = partition(ORDERS, &[9001, 1], &[9001, 1]);
    let elected_anew = |change: &mut PartitionChange| change.leader = Some(Some(US));
    assert!(is_empty(&alone, &|_| {}));
    assert!(is_empty(&alone, &elected_anew));
    assert!(is_empty(&with_one, &|_| {}));
    assert!(!is_empty(&both, &|_| {}), "the other one goes on");
    assert!(!is_empty(&with_one, &elected_anew), "1 may have led");
    let is_given = |change: &mut PartitionChange| {
        change.replicas = Some(ids(&[2, 9001]));
        change.adding = Some(ids(&[2]));
        elected_anew(change);
    };
    assert!(is_empty(&alone, &is_given), "2 is to get it from us");
    let is_unclean = |change: &mut PartitionChange| change.recovery = Some(Recovery::Recovering);
    assert!(!is_empty(&with_one, &is_unclean), "1 may have led");
    assert!(is_empty(&alone, &is_unclean), "nobody else has it");
}

#[test]
fn whoever_dies_before_it_has_taken_over_is_replaced() {
    let mut image = cluster(&[partition(ORDERS, &[9001], &[9001])]);
    let mut evacuation = Evacuation::default();
    let to = moves(&mut evacuation, &image)[0].1[0];
    let other = 3 - to;
    apply(&mut image, &[given(to), fenced(to)]);
    let again = ("orders-0".to_owned(), vec![other]);
    assert_eq!(moves(&mut evacuation, &image), [again]);
    let mut image = cluster(&[partition(ORDERS, &[9001], &[9001]), given(to)]);
    apply(&mut image, &[fenced(to), fenced(other)]);
    assert_eq!(
        moves(&mut Evacuation::default(), &image),
        [],
        "nobody lives"
    );
}

#[test]
fn a_topic_made_again_is_moved_again() {
    let mut image = cluster(&[partition(ORDERS, &[9001, 1], &[9001, 1])]);
    let mut evacuation = Evacuation::default();
    assert_eq!(moves(&mut evacuation, &image).len(), 1);
    let again = TopicId::new([4; 16]);
    let records = [
        spoken::remove_topic(ORDERS),
        spoken::topic("orders", again),
        partition(again, &[9001, 1], &[9001, 1]),
    ];
    apply(&mut image, &records);
    assert_eq!(moves(&mut evacuation, &image).len(), 1, "another topic");
    assert_eq!(moves(&mut evacuation, &image), []);
}

/// Nothing can be done about it from here, but to say so.
#[test]
fn what_others_have_and_cannot_lead_is_stranded() {
    let of = |partition: &[u8], change: &dyn Fn(&mut PartitionChange)| {
        let mut changed = PartitionChange::of(ORDERS, PartitionIndex::new(0).expect("no sign"));
        change(&mut changed);
        let image = cluster(&[partition.to_vec(), spoken::change_partition(&changed)]);
        let here = image.partitions_of(US);
        stranded(US, here[0].partition.as_ref().expect("it is there"))
    };
    let with_one = partition(ORDERS, &[1, 9001], &[9001]);
    let elected = |change: &mut PartitionChange| change.leader = Some(Some(US));
    assert_eq!(of(&with_one, &elected), Some(ids(&[1])));
    assert_eq!(of(&partition(ORDERS, &[9001], &[9001]), &elected), None);
    let both = partition(ORDERS, &[1, 9001], &[1, 9001]);
    assert_eq!(of(&both, &|_| {}), None, "1 leads");
}
