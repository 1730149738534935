//! What a source topic needs, who gets its replicas, and whose name is taken.

use std::collections::BTreeSet;

use super::*;

const US: BrokerId = BrokerId(9001);

fn name(text: &str) -> TopicName {
    TopicName::new(text).expect("legal")
}

fn seats(racks: &[Option<&str>]) -> Vec<Seat> {
    let each = (1..).zip(racks);
    each.map(|(id, rack)| Seat {
        broker: BrokerId(id),
        rack: rack.map(str::to_owned),
    })
    .collect()
}

fn source(partitions: usize) -> SourceTopic {
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    SourceTopic {
        name: name("orders"),
        id: TopicId::new([1; 16]),
        partitions,
        settings: BTreeMap::from([
            set("cleanup.policy", "compact"),
            set("min.insync.replicas", "2"),
            set("remote.storage.enable", "true"),
            set("retention.ms", "1000"),
        ]),
    }
}

fn decided(
    source: &SourceTopic,
    held: Option<Held>,
    factor: usize,
) -> Result<Wanted, TopicRefusal> {
    let exclude = Exclusions::default();
    let shape = Shape {
        us: US,
        stock: &seats(&[None, None, None]),
        factor,
        exclude: &exclude,
    };
    decide(source, held.as_ref(), &shape)
}

fn held(partitions: usize, mirrors: Option<TopicId>) -> Option<Held> {
    Some(Held {
        id: TopicId::new([9; 16]),
        partitions,
        mirrors,
    })
}

#[test]
fn a_new_topic_has_the_sources_settings_less_its_clusters_own() {
    let wanted = decided(&source(4), None, 2).expect("it can be made");
    let Wanted::Create(topic) = wanted else {
        panic!("{wanted:?}");
    };
    let names: Vec<&str> = topic.settings.keys().map(String::as_str).collect();
    assert_eq!(names, ["cleanup.policy", "retention.ms"]);
    assert_eq!(topic.assignment.len(), 4);
    for replicas in &topic.assignment {
        assert_eq!((replicas.len(), replicas[0]), (3, US));
    }
    let other = Exclusions::new(["retention\\..*"]).expect("sound");
    let taken = other.take(&source(1).settings);
    let names: Vec<&str> = taken.keys().map(String::as_str).collect();
    assert_eq!(names, ["cleanup.policy", "min.insync.replicas"]);
    assert!(Exclusions::new(["a("]).is_err());
}

#[test]
fn growth_goes_on_where_creation_ended() {
    let whole = decided(&source(7), None, 2).expect("it can be made");
    let Wanted::Create(whole) = whole else {
        panic!("{whole:?}");
    };
    let ours = Some(source(0).id);
    let grown = decided(&source(7), held(4, ours), 2).expect("it can grow");
    let expected = Growth {
        name: name("orders"),
        from: 4,
        assignment: whole.assignment[4..].to_vec(),
    };
    assert_eq!(grown, Wanted::Grow(expected));
    let same = decided(&source(7), held(7, ours), 9).expect("nothing is placed");
    assert_eq!(same, Wanted::Nothing);
}

#[test]
fn a_name_that_is_taken_is_refused_with_both_ids() {
    let refused = decided(&source(1), held(1, None), 1).expect_err("not ours");
    let text = refused.to_string();
    for id in [TopicId::new([9; 16]), source(1).id] {
        assert!(text.contains(&id.to_string()), "{text}");
    }
    let was = TopicId::new([3; 16]);
    let refused = decided(&source(1), held(1, Some(was)), 1).expect_err("another");
    assert!(matches!(refused, TopicRefusal::Recreated { .. }));
    let refused = decided(&source(1), held(2, Some(source(1).id)), 1);
    assert!(matches!(refused, Err(TopicRefusal::Larger { .. })));
    let nameless = TopicId::of_name(&name("orders"));
    let same = decided(&source(1), held(1, Some(nameless)), 1);
    assert_eq!(same, Ok(Wanted::Nothing), "the source tells ids since");
}

#[test]
fn more_replicas_than_brokers_are_refused() {
    for factor in [0, 4] {
        let refused = decided(&source(1), None, factor).expect_err("three brokers");
        let text = refused.to_string();
        assert!(text.contains("3 stock brokers"), "{text}");
    }
}

#[test]
fn every_broker_succeeds_us_as_often_and_has_as_many() {
    let stock = seats(&[None; 5]);
    let mut first: BTreeMap<BrokerId, usize> = BTreeMap::new();
    let mut all: BTreeMap<BrokerId, usize> = BTreeMap::new();
    let mut pairs = BTreeSet::new();
    for partition in 0..100 {
        let replicas = place(US, &stock, 3, &name("orders"), partition);
        *first.entry(replicas[1]).or_default() += 1;
        pairs.insert((replicas[1], replicas[2]));
        for broker in &replicas[1..] {
            *all.entry(*broker).or_default() += 1;
        }
        let different: BTreeSet<&BrokerId> = replicas.iter().collect();
        assert_eq!(different.len(), 4);
    }
    assert!(first.values().all(|count| *count == 20), "{first:?}");
    assert!(all.values().all(|count| *count == 60), "{all:?}");
    assert_eq!(pairs.len(), 20, "whoever leads has all others as followers");
    let begins: BTreeSet<BrokerId> = (0..50)
        .map(|nth| place(US, &stock, 1, &name(&format!("t{nth}")), 0)[1])
        .collect();
    assert_eq!(begins.len(), 5, "topics of one partition are spread too");
}

#[test]
fn replicas_are_of_different_racks_while_there_are_any() {
    let (a, b, c) = (Some("a"), Some("b"), Some("c"));
    let stock = seats(&[a, a, a, b, b, c]);
    let rack = |id: &BrokerId| {
        let seat = stock.iter().find(|seat| seat.broker == *id);
        seat.and_then(|seat| seat.rack.clone())
    };
    for partition in 0..60 {
        let replicas = place(US, &stock, 4, &name("orders"), partition);
        let racks: BTreeSet<_> = replicas[1..4].iter().map(rack).collect();
        assert_eq!(racks.len(), 3, "{replicas:?}");
        assert_eq!(replicas.len(), 5);
    }
}

#[test]
fn the_factor_is_what_somebody_has_said() {
    let told = |value: &str, origin| Setting {
        value: Some(value.to_owned()),
        origin,
    };
    assert_eq!(factor(Some(2), Some(&told("3", Origin::File)), 5), 2);
    assert_eq!(factor(None, Some(&told("4", Origin::File)), 3), 4);
    assert_eq!(factor(None, Some(&told("1", Origin::Default)), 5), 3);
    assert_eq!(factor(None, Some(&told("x", Origin::File)), 2), 2);
    assert_eq!(factor(None, None, 0), 1);
}
