//! A cluster that is fit, and each way in which it is not.

use super::super::producer_ids::Seen as Who;
use super::judge::judge;
use super::*;
use crate::kraft::{Delta, Image, METADATA_VERSION};
use crate::model::{BrokerEpoch, TopicId, Uuid};
use crate::protocol::ErrorCode;
use crate::protocol::metadata_record::{Listener, MetadataRecord, RegisterBroker, spoken};
use crate::session::{Operation, Origin, Setting};

const NODE: BrokerId = BrokerId(9001);

fn broker(id: i32, listeners: &[(&str, i16)]) -> Vec<u8> {
    let listeners = listeners.iter().map(|(name, security)| Listener {
        name: (*name).to_owned(),
        host: "127.0.0.1".to_owned(),
        port: 9,
        security: *security,
    });
    spoken::register(&RegisterBroker {
        broker: BrokerId(id),
        incarnation: Uuid::new([1; 16]),
        epoch: BrokerEpoch::new(1),
        listeners: listeners.collect(),
        features: Vec::new(),
        rack: None,
        is_fenced: false,
        is_shutting_down: false,
        directories: vec![Uuid::new([5; 16])],
        cordoned: Vec::new(),
    })
}

fn image(level: i16, records: &[Vec<u8>]) -> Image {
    let mut image = Image::default();
    let mut delta = Delta::default();
    let feature = [spoken::feature(METADATA_VERSION, level)];
    for bytes in feature.iter().chain(records) {
        let record = MetadataRecord::read(bytes).expect("sound");
        image.apply(record, &mut delta).expect("it fits");
    }
    image
}

fn settings(all: &[(&str, &str, Origin)]) -> Settings {
    let one = |(name, value, origin): &(&str, &str, Origin)| {
        let setting = Setting {
            value: Some((*value).to_owned()),
            origin: *origin,
        };
        ((*name).to_owned(), setting)
    };
    all.iter().map(one).collect()
}

fn met(all: &[(&str, &str, Origin)]) -> Met {
    Met {
        at: None,
        fault: None,
        settings: Ok(settings(all)),
    }
}

fn all_rights() -> Option<Rights> {
    let bits = Operation::ALL.iter();
    Rights::told(bits.fold(0, |bits, operation| bits | 1 << *operation as i32))
}

/// Two brokers of Kafka 4.0 with listeners of two kinds, as they should be.
fn fit() -> Facts {
    let listeners = [("INTERNAL", 0), ("CLIENT", 2)];
    let records = [
        broker(1, &listeners),
        broker(2, &listeners),
        spoken::topic("__consumer_offsets", TopicId::new([1; 16])),
        spoken::topic("__transaction_state", TopicId::new([2; 16])),
    ];
    let told = [
        ("auto.create.topics.enable", "false", Origin::File),
        ("default.replication.factor", "2", Origin::File),
        ("unclean.leader.election.enable", "false", Origin::Default),
    ];
    Facts {
        seen: Seen {
            cluster_id: "a-cluster".to_owned(),
            controller: "127.0.0.1:9093".parse().expect("an address"),
            image: image(25, &records),
        },
        offer: Offer {
            finalized: BTreeMap::from([(METADATA_VERSION.to_owned(), 25)]),
        },
        controller: settings(&[("broker.session.timeout.ms", "9000", Origin::Default)]),
        controllers: vec![BrokerId(100)],
        listener: Some("INTERNAL".to_owned()),
        met: BTreeMap::from([(BrokerId(1), met(&told)), (BrokerId(2), met(&told))]),
        rights: Ok(RightsThere {
            cluster: all_rights(),
            topics: TopicRights::new(),
            hidden: Vec::new(),
        }),
        authorizer: Ok(true),
        producers: Running::default(),
    }
}

fn joining(node: i32) -> Joining {
    Joining {
        bootstrap: Bootstrap::default(),
        listener: None,
        node: Some(BrokerId(node)),
        session_timeout_ms: 9_000,
        min_insync_replicas: 1,
    }
}

/// What is not as it should be, worst first.
fn wrong(facts: &Facts, joining: &Joining) -> Vec<(Level, &'static str, String)> {
    let mut wrong: Vec<_> = judge(facts, joining)
        .into_iter()
        .filter(|finding| finding.level != Level::Ok)
        .map(|finding| (finding.level, finding.about, finding.to_string()))
        .collect();
    wrong.sort_by_key(|finding| std::cmp::Reverse(finding.0));
    wrong
}

/// The one thing that is wrong.
#[track_caller]
fn only(facts: &Facts, level: Level, about: &str) -> String {
    let wrong = wrong(facts, &joining(NODE.0));
    let [(found, what, text)] = wrong.as_slice() else {
        panic!("{wrong:#?}");
    };
    assert_eq!((*found, *what), (level, about), "{text}");
    text.clone()
}

#[test]
fn a_cluster_that_is_fit_has_nothing_to_change() {
    assert_eq!(wrong(&fit(), &joining(NODE.0)), []);
    let node = Joining {
        node: None,
        ..joining(0)
    };
    assert_eq!(wrong(&fit(), &node), []);
}

#[test]
fn clients_and_brokers_need_listeners_of_their_own() {
    let mut facts = fit();
    let one = [
        broker(1, &[("PLAINTEXT", 0)]),
        broker(2, &[("PLAINTEXT", 0)]),
    ];
    facts.seen.image = image(30, &one);
    facts.listener = Some("PLAINTEXT".to_owned());
    let text = only(&facts, Level::Refuse, "listeners");
    assert!(text.contains("inter.broker.listener.name"), "{text}");
    facts.listener = Some("OTHER".to_owned());
    let text = only(&facts, Level::Refuse, "listeners");
    assert!(text.contains("none named OTHER"), "{text}");
    let secured = [("INTERNAL", 1), ("CLIENT", 0)];
    facts.seen.image = image(30, &[broker(1, &secured), broker(2, &secured)]);
    facts.listener = Some("INTERNAL".to_owned());
    let text = only(&facts, Level::Refuse, "listeners");
    assert!(text.contains("TLS"), "{text}");
    facts.listener = None;
    only(&facts, Level::Warn, "listeners");
}

#[test]
fn what_would_be_put_on_us_is_made_before_or_kept_away() {
    let mut facts = fit();
    let listeners = [("INTERNAL", 0), ("CLIENT", 0)];
    let brokers = [broker(1, &listeners), broker(2, &listeners)];
    facts.seen.image = image(25, &brokers);
    let text = only(&facts, Level::Refuse, "internal topics");
    assert!(text.contains("__consumer_offsets and __transaction_state"));
    let mut shares = brokers.to_vec();
    let topics = [("__consumer_offsets", 1), ("__transaction_state", 2)];
    shares.extend(topics.map(|(name, id)| spoken::topic(name, TopicId::new([id; 16]))));
    facts.seen.image = image(25, &shares);
    assert_eq!(wrong(&facts, &joining(NODE.0)), [], "nobody shares");
    shares.push(spoken::feature("share.version", 1));
    facts.seen.image = image(25, &shares);
    let text = only(&facts, Level::Refuse, "internal topics");
    assert!(text.contains("__share_group_state do not exist"), "{text}");
    facts.seen.image = image(30, &brokers);
    assert_eq!(wrong(&facts, &joining(NODE.0)), [], "we are cordoned there");
    let on = [("auto.create.topics.enable", "true", Origin::Default)];
    facts.met.insert(BrokerId(2), met(&on));
    let text = only(&facts, Level::Warn, "auto.create.topics.enable");
    assert!(text.contains("true at brokers 2"), "{text}");
    let mut older = fit();
    older.met.insert(BrokerId(2), met(&on));
    only(&older, Level::Refuse, "auto.create.topics.enable");
}

#[test]
fn levels_ids_and_sessions_have_to_agree() {
    let mut facts = fit();
    facts
        .offer
        .finalized
        .insert(METADATA_VERSION.to_owned(), 99);
    only(&facts, Level::Refuse, "features");
    let facts = fit();
    for (id, words) in [(100, "a controller's"), (2, "none of ours")] {
        let wrong = wrong(&facts, &joining(id));
        assert_eq!((wrong.len(), wrong[0].0), (1, Level::Refuse));
        assert!(wrong[0].2.contains(words), "{wrong:?}");
    }
    for (theirs, level) in [("6000", Level::Refuse), ("18000", Level::Warn)] {
        let mut facts = fit();
        let told = [("broker.session.timeout.ms", theirs, Origin::File)];
        facts.controller = settings(&told);
        let text = only(&facts, level, "broker.session.timeout.ms");
        assert!(text.contains(&format!("= {theirs}")), "{text}");
    }
}

#[test]
fn a_factor_that_somebody_set_needs_as_many_brokers() {
    let name = "default.replication.factor";
    let mut facts = fit();
    for met in facts.met.values_mut() {
        *met = self::met(&[(name, "3", Origin::File)]);
    }
    only(&facts, Level::Refuse, name);
    facts.met.clear();
    only(&facts, Level::Refuse, "brokers");
}

#[test]
fn what_stands_in_brokers_files_is_to_stand_in_ours() {
    let name = "min.insync.replicas";
    let mut facts = fit();
    let told = [(name, "2", Origin::File)];
    facts.met.insert(BrokerId(2), met(&told));
    let text = only(&facts, Level::Warn, name);
    assert!(text.contains("min_insync_replicas = 2"), "{text}");
    let same = Joining {
        min_insync_replicas: 2,
        ..joining(NODE.0)
    };
    assert_eq!(wrong(&facts, &same), []);
    // Those that the metadata has are seen there.
    let told = [(name, "2", Origin::AllBrokers)];
    facts.met.insert(BrokerId(2), met(&told));
    assert_eq!(wrong(&facts, &joining(NODE.0)), []);
}

#[test]
fn rights_that_are_missing_are_named_with_the_command() {
    let mut facts = fit();
    let describe = Rights::told(1 << Operation::Describe as i32);
    facts.rights = Ok(RightsThere {
        cluster: describe,
        topics: TopicRights::new(),
        hidden: Vec::new(),
    });
    let text = only(&facts, Level::Refuse, "rights");
    assert!(
        text.contains("--operation CLUSTER_ACTION --operation ALTER"),
        "{text}"
    );
    assert!(!text.contains("DESCRIBE"), "{text}");
    let hidden: Vec<TopicName> = (0..7)
        .map(|nth| TopicName::new(&format!("t{nth}")).expect("legal"))
        .collect();
    facts.rights = Ok(RightsThere {
        cluster: all_rights(),
        topics: TopicRights::from([(hidden[0].clone(), describe)]),
        hidden,
    });
    let text = only(&facts, Level::Refuse, "rights");
    assert!(text.contains("DESCRIBE, DESCRIBE_CONFIGS, ALTER"), "{text}");
    assert!(text.contains("t4 and 2 more"), "{text}");
}

#[test]
fn what_nobody_can_prevent_is_said() {
    let mut facts = fit();
    facts.authorizer = Ok(false);
    only(&facts, Level::Warn, "write fence");
    let mut facts = fit();
    let id: crate::model::TopicPartition = "orders-3".parse().expect("a partition");
    for (seen, words) in [
        (Who::Partition(id.clone()), "orders-3"),
        (Who::Transactional("billing".to_owned()), "billing"),
    ] {
        facts.producers.below.insert(17, seen);
        let text = only(&facts, Level::Warn, "producers");
        assert!(text.contains("17") && text.contains(words), "{text}");
    }
    for (code, words) in [
        (ErrorCode::TOPIC_AUTHORIZATION_FAILED, "READ"),
        (ErrorCode::LEADER_NOT_AVAILABLE, "leaders"),
    ] {
        let mut facts = fit();
        let said = String::new();
        let refusal = Refusal { code, said };
        facts.producers.untold.insert(id.clone(), refusal);
        let text = only(&facts, Level::Warn, "producers");
        assert!(text.contains("orders-3") && text.contains(words), "{text}");
    }
}

/// Its producer ids would not be used up, as if it were a node.
#[test]
fn a_stock_broker_with_a_listener_of_that_name_is_none_of_ours() {
    let records = [broker(1, &[("INTERNAL", 0), (NODE_LISTENER, 0)])];
    let image = image(25, &records);
    let stock = image.brokers.get(BrokerId(1)).expect("it is there");
    assert!(!is_ours(stock));
}
