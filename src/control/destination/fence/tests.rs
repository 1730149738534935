//! Whose fences are whose, by the lists and by who has replicas.

use super::*;
use crate::control::destination::fitness::NODE_LISTENER;
use crate::kraft::{Delta, METADATA_VERSION};
use crate::model::{BrokerEpoch, TopicId, Uuid};
use crate::protocol::metadata_record::{
    FeatureRange, Listener, MetadataRecord, RegisterBroker, spoken,
};

/// The least level of metadata.version that a node claims, and that a stock broker does.
const NODES_LEAST: i16 = 21;
const STOCKS_LEAST: i16 = 7;

fn name(text: &str) -> TopicName {
    TopicName::new(text).expect("legal")
}

#[test]
fn what_others_have_closed_is_theirs() {
    let (open, ours, theirs, cut) = (name("open"), name("ours"), name("theirs"), name("cut"));
    let entries = vec![
        entry(&ours, LABEL),
        entry(&ours, EVERYBODY),
        entry(&theirs, EVERYBODY),
        entry(&theirs, "User:somebody"),
        entry(&cut, LABEL),
    ];
    let found = Found::of(entries);
    let topics = BTreeSet::from([open.clone(), ours, theirs.clone(), cut.clone()]);
    let missing = found.to_add(&topics);
    let expected = [
        entry(&cut, LABEL),
        entry(&cut, EVERYBODY),
        entry(&open, LABEL),
        entry(&open, EVERYBODY),
    ];
    assert_eq!(missing, expected);
    assert_eq!(found.foreign(&topics), BTreeSet::from([theirs]));
    assert_eq!(found.foreign(&BTreeSet::from([open])), BTreeSet::new());
}

fn broker(id: i32, has_listener: bool, least: i16) -> Vec<u8> {
    let listener = Listener {
        name: NODE_LISTENER.to_owned(),
        host: "127.0.0.1".to_owned(),
        port: 9292,
        security: 0,
    };
    let version = FeatureRange {
        name: METADATA_VERSION.to_owned(),
        least,
        most: 30,
    };
    spoken::register(&RegisterBroker {
        broker: BrokerId(id),
        incarnation: Uuid::new([1; 16]),
        epoch: BrokerEpoch::new(1),
        listeners: if has_listener {
            vec![listener]
        } else {
            Vec::new()
        },
        features: vec![version],
        rack: None,
        is_fenced: false,
        is_shutting_down: false,
        directories: vec![Uuid::new([5; 16])],
        cordoned: Vec::new(),
    })
}

/// A cluster of a stock broker, two nodes, and a stock broker that has a listener of the nodes'
/// name; with topics of which each partition has these replicas.
fn cluster(topics: &[(&str, &[&[i32]])]) -> Image {
    let mut records = vec![
        broker(1, false, STOCKS_LEAST),
        broker(2, true, STOCKS_LEAST),
        broker(9001, true, NODES_LEAST),
        broker(9002, true, NODES_LEAST),
    ];
    for (nth, (topic, partitions)) in (1..).zip(topics) {
        let id = TopicId::new([nth; 16]);
        records.push(spoken::topic(topic, id));
        for (number, replicas) in (0..).zip(*partitions) {
            records.push(spoken::laid(id, number, replicas, replicas));
        }
    }
    let (mut image, mut delta) = (Image::default(), Delta::default());
    for bytes in &records {
        let record = MetadataRecord::read(bytes).expect("sound");
        image.apply(record, &mut delta).expect("it fits");
    }
    image
}

/// Whoever has a replica of a topic has a say in its fence; one partition is enough, for another
/// node as for us. Stock brokers have none, whatever their listeners are called.
#[test]
fn a_fence_is_another_nodes_where_it_has_gone_on_and_we_have_no_part() {
    let image = cluster(&[
        ("theirs", &[&[9002, 1]]),
        ("partly", &[&[1, 2], &[1, 9002]]),
        ("shared", &[&[9002, 1], &[1, 9001]]),
        ("ours", &[&[9001, 1]]),
        ("stock", &[&[1]]),
        ("alike", &[&[2, 1]]),
        ("unknown", &[&[9003, 1]]),
    ]);
    let names =
        |names: &[&str]| -> BTreeSet<TopicName> { names.iter().map(|of| name(of)).collect() };
    let of_other_nodes = |us| of_other_nodes(BrokerId(us), &image);
    assert_eq!(of_other_nodes(9001), names(&["theirs", "partly"]));
    assert_eq!(of_other_nodes(9002), names(&["ours"]));
    // One that was unregistered has a part in nothing.
    let all = names(&["theirs", "partly", "shared", "ours"]);
    assert_eq!(of_other_nodes(9009), all);
    assert_eq!(
        super::of_other_nodes(BrokerId(9001), &Image::default()),
        names(&[])
    );
}
