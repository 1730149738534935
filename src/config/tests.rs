//! Texts in, options or faults out.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::key::{Key, Kind, Value};
use super::keys::SECTIONS;
use super::{Config, Wrong, document};
use crate::control::{
    AdminOptions, DestinationKind, DestinationOptions, NodeOptions, RogueWrites, Unfit,
};
use crate::mirror::{MirrorSettings, RetryOptions};
use crate::model::{BrokerAddress, BrokerId, ProducerIdShift};
use crate::{control, kraft, shard, source};

mod nodes;

/// What is said of a text that has faults.
#[track_caller]
fn complaints(text: &str) -> Vec<String> {
    let faults = Config::parse(text).expect_err(text);
    faults.iter().map(ToString::to_string).collect()
}

/// Every key with its section's name.
fn keys() -> impl Iterator<Item = (&'static str, &'static Key)> {
    SECTIONS
        .iter()
        .flat_map(|section| section.keys.iter().map(|key| (section.name, key)))
}

/// Every key that takes a number, with its bounds.
fn numbers() -> impl Iterator<Item = (&'static str, &'static Key, i128, i128)> {
    keys().filter_map(|(section, key)| match &key.kind {
        Kind::Number(bounds) => {
            let (min, max) = (i128::from(*bounds.start()), i128::from(*bounds.end()));
            Some((section, key, min, max))
        }
        _ => None,
    })
}

fn address(text: &str) -> BrokerAddress {
    text.parse().expect(text)
}

#[test]
fn no_text_is_the_defaults() {
    for text in ["", "# nothing\n", "[source]\n[vault]\n"] {
        assert_eq!(Config::parse(text), Ok(Config::default()), "{text}");
    }
    let defaults = Config::default();
    assert_eq!(defaults.shard, shard::Options::default());
    assert_eq!(defaults.control, control::Options::default());
    assert_eq!(defaults.kraft, kraft::Options::default());
    assert_eq!(defaults.node.retry, RetryOptions::default());
}

#[test]
fn the_document_is_the_defaults() {
    assert_eq!(Config::parse(&document()), Ok(Config::default()));
}

#[test]
fn the_document_has_every_key_with_a_sentence() {
    let text = document();
    for (section, key) in keys() {
        let (_, after) = text.split_once(&format!("[{section}]\n")).expect(section);
        let (before, _) = after
            .split_once(&format!("\n{} = ", document::key_of(key.name)))
            .expect(key.name);
        let comment: Vec<&str> = before.lines().rev().take(2).collect();
        assert!(comment[0].ends_with('.'), "{}", key.name);
        assert_eq!(comment[1], format!("# {}", key.sentence));
        assert!(key.sentence.ends_with('.'), "{}", key.name);
    }
    assert!(text.contains("\n# 1 to 3_600_000, at most retry_backoff_max_ms.\n"));
    assert!(text.contains("\nfetch_bytes_max = 16_777_216\n"));
    assert!(text.lines().all(|line| line.len() <= 100));
}

/// Every key with a value of its own.
const EVERY_KEY: &str = "\
    node.id = 1\n\
    node.data_dir = \"/d\"\n\
    node.cores = 2\n\
    admin.listen = \"[::1]:3\"\n\
    admin.advertised = \"me:9\"\n\
    admin.metrics = \"\"\n\
    admin.connections_max = 4\n\
    destination.kind = \"member\"\n\
    destination.controllers = [\"c:5\", 'd:6']\n\
    destination.\"bootstrap.servers\" = [\"e:7\"]\n\
    destination.listener_name = \"INTERNAL\"\n\
    destination.listen = \"0.0.0.0:7\"\n\
    destination.advertised = \"me:8\"\n\
    destination.rack = \"r1\"\n\
    destination.session_timeout_ms = 904\n\
    destination.heartbeat_interval_ms = 902\n\
    destination.replica_lag_ms = 903\n\
    destination.min_insync_replicas = 2\n\
    destination.producer_id_distance_max = 9_050\n\
    destination.unfit = \"register\"\n\
    destination.rogue_writes = \"set-aside\"\n\
    retry.initial_backoff_ms = 10\n\
    retry.max_backoff_ms = 11\n\
    retry.max_attempts = 12\n\
    source.fetch_bytes_max = 1000\n\
    source.partition_bytes_max = 0x7D1 # 2001\n\
    source.batch_bytes_max = 3_002\n\
    source.fetch_wait_ms = 4\n\
    source.fetch_min_bytes = 5\n\
    source.connections_per_broker = 6\n\
    source.retry_backoff_ms = 7\n\
    source.retry_backoff_max_ms = 8\n\
    source.metadata_interval_ms = 109\n\
    source.request_timeout_ms = 110\n\
    source.answer_timeout_ms = 111\n\
    source.patience_ms = 112\n\
    [shard]\n\
    window_bytes = 65_536\n\
    flush_bytes = 1_099_511_627_776\n\
    flush_interval_ms = 13\n\
    retention_interval_ms = 115\n\
    [vault]\n\
    checkpoint_interval_ms = 114\n\
    producer_id_shift = 1_000_000_000_000\n\
    source_loss = \"set-aside\"\n";

#[test]
fn each_key_sets_its_option_and_no_other() {
    let text = EVERY_KEY;
    assert_eq!(
        text.lines().filter(|line| line.contains('=')).count(),
        keys().count()
    );
    let expected = Config {
        shard: shard::Options {
            source: source::Options {
                fetch_bytes_max: 1000,
                partition_fetch_bytes_max: 2001,
                batch_bytes_max: 3002,
                fetch_wait_ms: 4,
                fetch_min_bytes: 5,
                lanes_per_broker: 6,
                retry_backoff_ms: 7,
                retry_backoff_max_ms: 8,
                ..source::Options::default()
            },
            window_bytes: 65_536,
            answer_timeout_ms: 111,
            patience_ms: 112,
            flush_bytes: 1 << 40,
            flush_interval_ms: 13,
            retention_interval_ms: 115,
        },
        control: control::Options {
            metadata_interval_ms: 109,
            request_timeout_ms: 110,
            checkpoint_interval_ms: 114,
            producer_id_shift: ProducerIdShift::new(1_000_000_000_000).expect("positive"),
            source_loss: control::SourceLoss::SetAside,
        },
        kraft: kraft::Options {
            session_timeout_ms: 904,
            heartbeat_interval_ms: 902,
            ..kraft::Options::default()
        },
        node: node(),
    };
    assert_eq!(Config::parse(text), Ok(expected));
}

/// What the text above says of a node.
fn node() -> NodeOptions {
    NodeOptions {
        id: Some(BrokerId(1)),
        data_dir: "/d".into(),
        cores: 2,
        admin: AdminOptions {
            listen: address("[::1]:3"),
            advertised: Some(address("me:9")),
            metrics: None,
            connections_max: 4,
        },
        destination: DestinationOptions {
            kind: DestinationKind::Member,
            controllers: vec![address("c:5"), address("d:6")],
            bootstrap_servers: vec![address("e:7")],
            listener_name: "INTERNAL".to_owned(),
            listen: Some(address("0.0.0.0:7")),
            advertised: Some(address("me:8")),
            rack: "r1".to_owned(),
            unfit: Unfit::Register,
            rogue_writes: RogueWrites::SetAside,
            producer_id_distance_max: 9_050,
            replica_lag_ms: 903,
            min_insync_replicas: 2,
        },
        mirrors: Vec::new(),
        retry: RetryOptions {
            initial_backoff_ms: 10,
            max_backoff_ms: 11,
            max_attempts: 12,
        },
    }
}

#[test]
fn both_ends_of_the_bounds_are_allowed_and_the_next_number_is_not() {
    for (section, key, min, max) in numbers() {
        for value in [min, max] {
            // It would panic where the bounds are wider than the option.
            let mut config = Config::default();
            let number = Value::Number(u64::try_from(value).expect("not negative"));
            key.set(&mut config, &number).expect("within its bounds");
            assert_eq!(key.value(&config), number, "{}", key.name);
            let parsed = Config::parse(&format!("{section}.{} = {value}", key.name));
            match parsed {
                Ok(parsed) => assert_eq!(parsed, config),
                Err(faults) => assert!(faults.iter().all(is_related)),
            }
        }
        for value in [min - 1, max + 1] {
            let said = complaints(&format!("[{section}]\n{} = {value}\n", key.name));
            let expected = format!(
                "line 2: {section}.{}: {value} is not in {min} to {max}",
                key.name
            );
            assert_eq!(said, [expected]);
        }
    }
}

/// Whether it is about two keys, each of which may be right.
fn is_related(fault: &super::Fault) -> bool {
    matches!(fault.wrong, Wrong::Above { .. } | Wrong::Relation(_))
}

#[test]
fn each_fault_is_named() {
    for (text, expected) in [
        (
            "\n[sauce]\nfetch_wait_ms = 1\n",
            "line 2: sauce: no such section; there are [node], [admin], [destination], [retry], \
             [source], [shard], [vault], [[mirrors]]",
        ),
        (
            "fetch_wait_ms = 1\n",
            "line 1: fetch_wait_ms: a value outside of the sections [node], [admin], \
             [destination], [retry], [source], [shard], [vault], [[mirrors]]",
        ),
        (
            "[shard]\n\n\"flush\" = 1\n",
            "line 3: shard.flush: no such key; its section has window_bytes, flush_bytes, \
             flush_interval_ms, retention_interval_ms",
        ),
        (
            "source = 3\n",
            "line 1: source: a whole number where a section belongs",
        ),
        (
            "[[source]]\n",
            "line 1: source: a list where a section belongs",
        ),
        (
            "[source]\nfetch_wait_ms = \"1s\"\n",
            "line 2: source.fetch_wait_ms: a text where a whole number belongs",
        ),
        (
            "source = { fetch_wait_ms = 0.5 }\n",
            "line 1: source.fetch_wait_ms: a fraction where a whole number belongs",
        ),
        (
            "[source]\nfetch_wait_ms.max = 5\n",
            "line 2: source.fetch_wait_ms: a section where a whole number belongs",
        ),
        (
            "[source]\nfetch_bytes_max = 2_147_483_648\n",
            "line 2: source.fetch_bytes_max: 2_147_483_648 is not in 1 to 2147483647",
        ),
        (
            "[shard]\nflush_bytes = 99999999999999999999\n",
            "line 2: shard.flush_bytes: 99999999999999999999 is not in 1 to 1099511627776",
        ),
    ] {
        assert_eq!(complaints(text), [expected], "{text}");
    }
}

#[test]
fn keys_are_compared_with_each_other() {
    for (text, expected) in [
        (
            "[source]\nretry_backoff_ms = 9000\n",
            "line 2: source.retry_backoff_ms: retry_backoff_ms = 9000 is above \
             retry_backoff_max_ms = 5000",
        ),
        (
            "[source]\nbatch_bytes_max = 8\npartition_bytes_max = 9\n",
            "line 3: source.partition_bytes_max: partition_bytes_max = 9 is above \
             batch_bytes_max = 8",
        ),
        (
            "[source]\nfetch_min_bytes = 11\nfetch_bytes_max = 10\n",
            "line 3: source.fetch_bytes_max: fetch_min_bytes = 11 is above fetch_bytes_max = 10",
        ),
    ] {
        assert_eq!(complaints(text), [expected], "{text}");
    }
    let equal = "[source]\nretry_backoff_ms = 9\nretry_backoff_max_ms = 9\n";
    assert!(Config::parse(equal).is_ok());
    // Of a key that is wrong by itself nothing more is said.
    let wrong = "[source]\nretry_backoff_ms = 9000\nretry_backoff_max_ms = 0\n";
    assert_eq!(complaints(wrong).len(), 1);
}

#[test]
fn all_faults_come_at_once_and_in_order() {
    let text = "\
        verbose = true\n\
        [vault]\n\
        checkpoint_interval_ms = false\n\
        [shard]\n\
        colour = \"green\"\n\
        flush_interval_ms = 0\n\
        [source]\n\
        retry_backoff_max_ms = 1\n\
        fetch_wait_ms = -1\n\
        [metrics]\n";
    let faults = Config::parse(text).expect_err("seven faults");
    let places: Vec<_> = faults
        .iter()
        .map(|fault| (fault.line, fault.key.as_str()))
        .collect();
    let expected = [
        (1, "verbose"),
        (3, "vault.checkpoint_interval_ms"),
        (5, "shard.colour"),
        (6, "shard.flush_interval_ms"),
        (8, "source.retry_backoff_max_ms"),
        (9, "source.fetch_wait_ms"),
        (10, "metrics"),
    ];
    assert_eq!(places, expected);
}

#[test]
fn what_is_not_toml_has_one_fault_with_its_line() {
    for (text, line) in [
        ("[source]\nfetch_wait_ms = \n", 2),
        ("[source]\nfetch_wait_ms = 1\nfetch_wait_ms = 2\n", 3),
        ("[source]\nfetch_wait_ms = 0\n\n[shard\nfoo\n", 4),
        ("\n\n\u{7}", 3),
    ] {
        let faults = Config::parse(text).expect_err(text);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(
            (faults[0].line, faults[0].key.as_str()),
            (line, ""),
            "{text}"
        );
        let said = faults[0].to_string();
        assert!(
            said.starts_with(&format!("line {line}: not TOML: ")),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1);
    }
}

/// Values at the ends of the bounds, between them and a little outside.
fn values() -> impl Strategy<Value = BTreeMap<usize, i128>> {
    let count = numbers().count();
    let value = (0..count).prop_flat_map(|nth| {
        let (_, _, min, max) = numbers().nth(nth).expect("below the count");
        let value = prop_oneof![
            2 => Just(min),
            2 => Just(max),
            8 => min..=max,
            4 => min..=(min + 100),
            1 => (min - 2)..=(min + 1),
            1 => (max - 1)..=(max + 2),
        ];
        (Just(nth), value)
    });
    prop::collection::vec(value, 0..5).prop_map(|pairs| pairs.into_iter().collect())
}

proptest! {
    #[test]
    fn what_passes_is_sound_and_what_is_out_of_bounds_does_not_pass(values in values()) {
        let keys: Vec<_> = numbers().collect();
        let chosen = || values.iter().map(|(nth, value)| (&keys[*nth], *value));
        let text: String = chosen()
            .map(|((section, key, ..), value)| format!("{section}.{} = {value}\n", key.name))
            .collect();
        let is_inside = chosen().all(|((_, _, min, max), value)| (*min..=*max).contains(&value));
        match Config::parse(&text) {
            Ok(config) => {
                prop_assert!(is_inside);
                for ((_, key, ..), value) in chosen() {
                    prop_assert_eq!(i128::from(key.number(&config)), value);
                }
                // Panics where the options contradict themselves.
                drop(source::Source::new(config.shard.source, 1));
            }
            Err(faults) => prop_assert_eq!(is_inside, faults.iter().all(is_related)),
        }
    }

    #[test]
    fn no_text_makes_it_panic(
        text in "([a-z_\\[\\].={}\"'#\n ]|mirrors|name|source|shard|fetch_wait_ms|[0-9é])*",
    ) {
        if let Err(faults) = Config::parse(&text) {
            prop_assert!(!faults.is_empty());
            let lines = text.split('\n').count();
            prop_assert!(faults.iter().all(|fault| (1..=lines).contains(&fault.line)));
        }
    }
}

#[test]
fn what_costs_the_parser_much_is_refused_before() {
    let keys = vec!["a"; 70].join(".");
    let dotted = format!("{keys} = 1\n").repeat(9);
    assert!(complaints(&dotted)[0].contains("dots outside of quotes"));
    // In quotes and comments they are no tables.
    let quoted = format!("[nowhere]\nkey = \"{keys}\" # {keys}\n");
    let quoted = format!("{quoted}{}", format!("# '{keys}'\n").repeat(9));
    assert!(!complaints(&quoted).join(" ").contains("dots outside"));
    let unknown: String = (0..300).map(|nth| format!("key_{nth} = 1\n")).collect();
    assert_eq!(complaints(&unknown).len(), 100);
}

#[test]
fn a_text_that_is_too_long_is_not_read() {
    let text = "[".repeat((64 << 10) + 1);
    let faults = Config::parse(&text).expect_err("it is too long");
    assert!(
        faults[0].to_string().contains("65536 bytes"),
        "{}",
        faults[0]
    );
}
