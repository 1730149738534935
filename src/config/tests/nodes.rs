//! What has to hold between the keys of a node, and the mirrors that it declares.

use super::*;
use crate::control::membership::Bootstrap;
use crate::mirror::SettingKind;

const MEMBER: &str = "\
[node]
id = 9001
[destination]
kind = \"member\"
controllers = [\"127.0.0.1:20000\"]
listener_name = \"INTERNAL\"
listen = \"127.0.0.1:9294\"
";

const MIRROR: &str = "\
[[mirrors]]
name = \"dr\"
\"bootstrap.servers\" = \"127.0.0.1:19010\"
\"topics.include\" = [\"orders-.*\"]
\"topics.exclude\" = []
";

fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn a_member_is_told_where_it_belongs() {
    let config = Config::parse(MEMBER).expect("sound");
    let member = config.node.member().expect("a member");
    assert_eq!(member.id, BrokerId(9001));
    let expected = Bootstrap::of(vec![address("127.0.0.1:20000")]);
    assert_eq!(member.bootstrap, expected);
    assert_eq!(member.listener_name, "INTERNAL");
    assert_eq!(member.listen, address("127.0.0.1:9294"));
    assert_eq!(member.advertised, member.listen);
    assert_eq!(Config::default().node.member(), None);
}

/// By Kafka's own name, with quotes or without, alone or beside controllers.
#[test]
fn a_member_may_find_its_controllers_through_brokers() {
    const CONTROLLERS: &str = "controllers = [\"127.0.0.1:20000\"]\n";
    let here = || vec![address("127.0.0.1:20000")];
    let servers = || vec![address("a:1"), address("b:2")];
    for key in ["\"bootstrap.servers\"", "bootstrap.servers"] {
        let brokers = format!("{key} = [\"a:1\", \"b:2\"]\n");
        for (lines, controllers) in [
            (brokers.clone(), Vec::new()),
            (format!("{CONTROLLERS}{brokers}"), here()),
        ] {
            let text = MEMBER.replace(CONTROLLERS, &lines);
            let config = Config::parse(&text).unwrap_or_else(|faults| panic!("{faults:?}"));
            let expected = Bootstrap {
                controllers,
                brokers: servers(),
            };
            assert_eq!(config.node.member().expect("a member").bootstrap, expected);
        }
    }
    let said = complaints("[destination]\nbootstrap.server = [\"a:1\"]\n");
    let known = "destination.bootstrap.server: no such key; its section has kind, controllers, \
                 bootstrap.servers, ";
    assert!(said[0].contains(known), "{said:?}");
}

#[test]
fn a_member_lacks_nothing_and_a_vault_has_nothing_of_a_member() {
    let said = complaints("\n[destination]\nkind = \"member\"\n");
    let keys = ["node.id", "destination.listener_name", "destination.listen"];
    let mut lacking = keys
        .map(|key| format!("line 3: {key}: a member needs it, and it is not set"))
        .to_vec();
    lacking.push(
        "line 3: destination.controllers: a member needs it, or destination.\"bootstrap.servers\", \
         and neither is set"
            .to_owned(),
    );
    assert_eq!(said, lacking);
    let said = complaints("[destination]\nlisten = \"a:1\"\nadvertised = \"b:1\"\n");
    let vault = "a vault has no use for it: set destination.kind = \"member\" as well";
    assert_eq!(
        said,
        [
            format!("line 2: destination.listen: {vault}"),
            format!("line 3: destination.advertised: {vault}"),
        ]
    );
    let said = complaints("[destination]\n\"bootstrap.servers\" = [\"b:1\"]\n");
    assert_eq!(
        said,
        [format!("line 2: destination.bootstrap.servers: {vault}")]
    );
    // Of a key that is wrong by itself nothing more is said.
    let brokers = MEMBER.replace("controllers", "\"bootstrap.servers\"");
    let expected = "line 5: destination.bootstrap.servers: '20000' is not HOST:PORT, such as \
                    broker-1.example:9092 or [::1]:9092";
    let wrong = brokers.replace("127.0.0.1:20000", "20000");
    assert_eq!(complaints(&wrong), [expected]);
    let wrong = MEMBER.replace("127.0.0.1:9294", "9294");
    let expected = "line 7: destination.listen: '9294' is not HOST:PORT, such as \
                    broker-1.example:9092 or [::1]:9092";
    assert_eq!(complaints(&wrong), [expected]);
}

#[test]
fn listeners_can_be_found_and_differ() {
    let everywhere = MEMBER.replace("127.0.0.1:9294", "0.0.0.0:9294");
    let said = complaints(&everywhere);
    assert!(
        said[0].starts_with("line 7: destination.advertised: the brokers of the cluster have to"),
        "{said:?}"
    );
    let named = format!("{everywhere}advertised = \"here:9294\"\n");
    let config = Config::parse(&named).expect("sound");
    let member = config.node.member().expect("a member");
    assert_eq!(member.advertised, address("here:9294"));
    let admin = format!("admin.listen = \"[::]:9292\"\n{MEMBER}");
    let said = complaints(&admin);
    assert!(
        said[0].starts_with("line 1: admin.advertised: other nodes have to find the node"),
        "{said:?}"
    );
    Config::parse(&format!("admin.advertised = \"here:9292\"\n{admin}")).expect("sound");
    let same = MEMBER.replace("9294", "9292");
    let said = complaints(&same);
    let taken = "127.0.0.1:9292 is admin.listen already: choose another port";
    assert_eq!(said, [format!("line 7: destination.listen: {taken}")]);
}

#[test]
fn a_node_is_heard_of_within_its_session() {
    let said = complaints("destination.heartbeat_interval_ms = 9000\n");
    let why = "not below destination.session_timeout_ms: the node would be taken for dead";
    assert_eq!(
        said,
        [format!("line 1: destination.heartbeat_interval_ms: {why}")]
    );
}

#[test]
fn texts_that_cannot_be_are_named() {
    for (text, expected) in [
        ("node.data_dir = \"\"", "node.data_dir: a path belongs here"),
        (
            "node.data_dir = 3",
            "node.data_dir: a whole number where a text belongs",
        ),
        (
            "admin.listen = \"\"",
            "admin.listen: '' is not HOST:PORT, such as broker-1.example:9092 or [::1]:9092",
        ),
        (
            "destination.kind = \"broker\"",
            "destination.kind: 'broker' is none of \"vault\", \"member\"",
        ),
        (
            "destination.controllers = \"a:1\"",
            "destination.controllers: a text where a list of texts belongs",
        ),
        (
            "destination.controllers = [1]",
            "destination.controllers: a whole number where a text belongs",
        ),
        (
            "destination.listener_name = \"A B\"",
            "destination.listener_name: 'A B' is not a name, such as INTERNAL: letters, digits, \
             '.', '_' and '-'",
        ),
    ] {
        assert_eq!(complaints(text), [format!("line 1: {expected}")]);
    }
}

#[test]
fn mirrors_are_declared_with_or_without_quotes() {
    let plain = "\
        [[mirrors]]\n\
        name = \"other\"\n\
        bootstrap.servers = [\"a:1\", \"b:2\"]\n\
        fetch.max.bytes = 1_000\n\
        fetch.min.bytes = 2\n";
    let config = Config::parse(&format!("{MIRROR}{plain}")).expect("sound");
    let [dr, other] = config.node.mirrors.as_slice() else {
        panic!("{:?}", config.node.mirrors);
    };
    assert_eq!((dr.name.as_str(), other.name.as_str()), ("dr", "other"));
    let expected = settings(&[
        ("bootstrap.servers", "127.0.0.1:19010"),
        ("topics.exclude", ""),
        ("topics.include", "orders-.*"),
    ]);
    assert_eq!(dr.settings, expected);
    let read = other.read();
    assert_eq!(read.bootstrap_servers, [address("a:1"), address("b:2")]);
    let (most, least) = (read.fetch_max_bytes, read.fetch_min_bytes);
    assert_eq!((most, least), (Some(1000), Some(2)));
    // What a mirror is made of on request is made of the same settings.
    let made = crate::mirror::Registry::new().create("dr", dr.settings.clone());
    assert!(made.is_ok(), "{made:?}");
}

#[test]
fn each_fault_of_a_mirror_is_named() {
    let known = "no such key; its section has name, bootstrap.servers, source.cluster.id, ";
    for (from, to, expected) in [
        (
            "name = \"dr\"\n",
            "",
            "line 1: mirrors.name: a mirror needs it, and it is not set",
        ),
        (
            "\"dr\"",
            "\"d/r\"",
            "line 2: mirrors.name: 'd/r' is not a mirror's name: 1 to 249 of",
        ),
        (
            "\"bootstrap.servers\"",
            "\"bootstrap.server\"",
            "line 1: mirrors.bootstrap.servers: a mirror needs",
        ),
        (
            "127.0.0.1:19010",
            "19010",
            "line 3: mirrors.bootstrap.servers: '19010' is not HOST:PORT",
        ),
        (
            "127.0.0.1:19010",
            "",
            "line 3: mirrors.bootstrap.servers: nothing is said",
        ),
        (
            "orders-.*",
            "orders-(",
            "line 4: mirrors.topics.include: 'orders-(' is not a regular expr",
        ),
        (
            "orders-.*",
            "a{1,2}",
            "line 4: mirrors.topics.include: 'a{1,2}' holds a comma",
        ),
        (
            "\"topics.exclude\"",
            "topics.excluded",
            &format!("line 5: mirrors.topics.excluded: {known}"),
        ),
        (
            "\"topics.exclude\" = []",
            "fetch.wait.max.ms = 0",
            "line 5: mirrors.fetch.wait.max.ms: 0 is not in 1 to 300000",
        ),
        (
            "\"topics.exclude\" = []",
            "security.protocol = \"SSL\"",
            "line 5: mirrors.security.protocol: 'SSL' is not one of PLAINTEXT",
        ),
        (
            "[[mirrors]]",
            "[mirrors]",
            "line 1: mirrors: a section where [[mirrors]], once for each mirror, belongs",
        ),
    ] {
        let said = complaints(&MIRROR.replace(from, to));
        assert!(said[0].starts_with(expected), "{to}: {said:?}");
    }
    let said = complaints(&format!("{MIRROR}{MIRROR}"));
    assert_eq!(
        said,
        ["line 6: mirrors.name: there are two mirrors 'dr': rename one"]
    );
}

#[test]
fn a_mirror_has_the_options_of_all_but_for_its_own() {
    let config = Config::default();
    assert_eq!(config.shard_of(&MirrorSettings::default()), config.shard);
    assert_eq!(
        config.control_of(&MirrorSettings::default()),
        config.control
    );
    let own = MirrorSettings {
        request_timeout_ms: Some(101),
        fetch_wait_max_ms: Some(2),
        fetch_backoff_ms: Some(3),
        fetch_min_bytes: Some(4),
        fetch_response_max_bytes: Some(5),
        fetch_max_bytes: Some(6),
        ..MirrorSettings::default()
    };
    assert_eq!(config.control_of(&own).request_timeout_ms, 101);
    let source = config.shard_of(&own).source;
    let expected = source::Options {
        fetch_wait_ms: 2,
        retry_backoff_ms: 3,
        fetch_min_bytes: 4,
        fetch_bytes_max: 5,
        partition_fetch_bytes_max: 6,
        ..config.shard.source.clone()
    };
    assert_eq!(source, expected);
    // Whatever is set, the options are sound.
    let wide = MirrorSettings {
        fetch_backoff_ms: Some(3_600_000),
        fetch_min_bytes: Some(0x7fff_ffff),
        fetch_response_max_bytes: Some(1),
        fetch_max_bytes: Some(0x7fff_ffff),
        ..MirrorSettings::default()
    };
    drop(source::Source::new(config.shard_of(&wide).source, 1));
}

#[test]
fn the_document_has_every_setting_of_a_mirror() {
    let text = document();
    let (_, commented) = text.split_once("# [[mirrors]]\n").expect("it is there");
    let lines = commented.lines().filter_map(|line| line.strip_prefix("# "));
    let set: String = lines
        .filter(|line| line.contains(" = "))
        // No text is an example of one that is somebody's own.
        .filter(|line| !line.ends_with(" = \"\""))
        .map(|line| format!("{line}\n"))
        .collect();
    let config = Config::parse(&format!("[[mirrors]]\n{set}")).expect("the examples are sound");
    let settings = crate::mirror::SETTINGS.iter();
    let has_example = settings.filter(|setting| setting.kind != SettingKind::Text);
    assert_eq!(config.node.mirrors[0].settings.len(), has_example.count());
}
