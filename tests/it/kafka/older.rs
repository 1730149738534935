//! Sources that speak what older Kafka speaks: a new broker behind a gate that lets no newer
//! version pass. What is copied is the same, and no session or topic id is taken for granted.

use super::cluster::free_ports;
use super::gate::{
    API_VERSIONS, DESCRIBE_CONFIGS, FETCH, Gate, LIST_OFFSETS, METADATA, OFFSET_FOR_LEADER_EPOCH,
    Passed,
};
use super::vault::Vault;
use super::*;

/// The parts of the menagerie that differ in how they are fetched.
const TOPICS: &str = "zoo\\.(codec-.*|compacted|transactions|wide|large|trimmed|rolled)";

/// What Kafka 2.1 and 2.8 speak; DescribeCluster (60) came with 2.8.
const LIKE_2_1: &[(i16, i16)] = &[
    (FETCH, 10),
    (LIST_OFFSETS, 4),
    (METADATA, 7),
    (API_VERSIONS, 2),
    (OFFSET_FOR_LEADER_EPOCH, 2),
    (DESCRIBE_CONFIGS, 2),
];
const LIKE_2_8: &[(i16, i16)] = &[
    (FETCH, 12),
    (LIST_OFFSETS, 6),
    (METADATA, 11),
    (API_VERSIONS, 3),
    (OFFSET_FOR_LEADER_EPOCH, 4),
    (DESCRIBE_CONFIGS, 4),
];

/// What a source may speak: a name, and the newest versions that pass.
pub(super) const CASES: [(&str, &[(i16, i16)]); 9] = [
    ("fetch-4", &[(FETCH, 4)]),
    ("fetch-7", &[(FETCH, 7)]),
    ("fetch-9", &[(FETCH, 9)]),
    ("fetch-11", &[(FETCH, 11)]),
    ("fetch-12", &[(FETCH, 12)]),
    ("fetch-13", &[(FETCH, 13)]),
    ("fetch-18", &[(FETCH, 18)]),
    ("like-2.1", LIKE_2_1),
    ("like-2.8", LIKE_2_8),
];

/// The newest version of a request that passes, where there is a bound.
pub(super) fn newest_of(request: i16, caps: &[(i16, i16)]) -> Option<i16> {
    let found = caps.iter().find(|(key, _)| *key == request);
    found.map(|(_, cap)| *cap)
}

/// The newest version that passes was spoken.
pub(super) fn fetched_in_newest(name: &str, caps: &[(i16, i16)], fetched: Passed) {
    let cap = newest_of(FETCH, caps).expect("every case has one");
    // Every release knows 17; whether 18 is spoken is up to its broker.
    assert!(fetched.version <= cap, "{name}: {fetched:?}");
    assert_eq!(fetched.version.min(17), cap.min(17), "{name}");
}

/// A broker that can also be reached through a gate, and the gate.
pub(super) fn gated(version: &str, name: &str, settings: &[(&str, &str)]) -> (Cluster, Gate) {
    gated_as("127.0.0.1", version, name, settings)
}

/// The same, where the broker sees those who come through the gate at another address.
pub(super) fn gated_as(
    from: &str,
    version: &str,
    name: &str,
    settings: &[(&str, &str)],
) -> (Cluster, Gate) {
    let workload = Arc::new(Workload::start(version));
    let (cluster, mut gates) = behind_gates(&workload, name, &[from], settings);
    (cluster, gates.remove(0))
}

/// A broker with a gate for each address: whoever comes through one of them is told of no other
/// way.
pub(super) fn behind_gates(
    workload: &Arc<Workload>,
    name: &str,
    from: &[&str],
    settings: &[(&str, &str)],
) -> (Cluster, Vec<Gate>) {
    let mut gates = Vec::new();
    let mut ways = ["{before}"; 3].map(str::to_owned);
    for ((nth, from), behind) in from.iter().enumerate().zip(free_ports(from.len())) {
        let gate = Gate::open(behind, from);
        let [listeners, advertised, protocols] = &mut ways;
        listeners.push_str(&format!(",GATE{nth}://127.0.0.1:{behind}"));
        advertised.push_str(&format!(",GATE{nth}://{}", gate.bootstrap()));
        protocols.push_str(&format!(",GATE{nth}:PLAINTEXT"));
        gates.push(gate);
    }
    let [listeners, advertised, protocols] = &ways;
    let mut all = vec![
        ("listeners", listeners.as_str()),
        ("advertised.listeners", advertised.as_str()),
        ("listener.security.protocol.map", protocols.as_str()),
    ];
    all.extend(settings);
    (Cluster::start(workload, name, 1, &all), gates)
}

#[test]
fn whatever_version_the_source_speaks_the_copy_is_the_same() {
    let Some(_turn) = Turn::take("whatever_version_the_source_speaks") else {
        return;
    };
    for version in versions() {
        let (source, gate) = gated(&version, "older", &[]);
        source.ask("menagerie prefix=zoo. seed=21 tiny=10");
        for (name, caps) in CASES {
            copies_the_same(&source, &gate, name, caps);
        }
    }
}

fn copies_the_same(source: &Cluster, gate: &Gate, name: &str, caps: &[(i16, i16)]) {
    gate.narrow(caps);
    gate.take(FETCH);
    let vault = Vault::new(source, name);
    let copied = vault
        .copy_from(&gate.bootstrap(), TOPICS, &[])
        .expect_code(0);
    let equal = vault.assert_identical(source, 1, &source.offsets(TOPICS));
    assert!(equal.partitions > 60 && equal.batches > 400, "{equal:?}");
    let fetched = gate.take(FETCH);
    fetched_in_newest(name, caps, fetched);
    let is_nameless = newest_of(METADATA, caps).is_some_and(|cap| cap < 10);
    assert_eq!(
        copied.stderr.contains("no topic ids"),
        is_nameless,
        "{}",
        copied.stderr
    );
    let state = std::fs::read_to_string(vault.dir.join("twinlog.state")).expect("written");
    assert_eq!(state.contains("by_name"), is_nameless);
    // A second run begins with the log's last epoch, and finds nothing new.
    let second = vault
        .copy_from(&gate.bootstrap(), TOPICS, &[])
        .expect_code(0);
    assert_eq!(second.number("/bytes"), 0, "{}", second.stdout);
    let from = gate.bootstrap();
    vault
        .run(&["verify", "--vault", vault.path(), "--from", &from])
        .expect_code(0);
    eprintln!(
        "{}, {name}: {equal:?}, {fetched:?}",
        source.workload.release.version
    );
}

/// A broker that leaves, comes back and leads in another epoch is compared with before it is
/// fetched from, though no fetch says which epoch our log ends in.
#[test]
fn a_followed_source_of_old_versions_may_change_its_leaders_epoch() {
    let Some(_turn) = Turn::take("a_followed_source_of_old_versions") else {
        return;
    };
    for version in versions() {
        let (mut source, gate) = gated(&version, "older-epochs", &[]);
        gate.narrow(LIKE_2_1);
        // One partition: another one could have nothing to compare, and arrive before it is asked.
        source.ask("create topic=lasting partitions=1");
        source.ask("produce topic=lasting count=300");
        let vault = Vault::new(&source, "following");
        let mut following = vault.follow_from(&gate.bootstrap(), "lasting");
        vault.await_caught_up(&source, "lasting", &mut following);
        gate.take(OFFSET_FOR_LEADER_EPOCH);
        source.stop(1);
        source.restart(1);
        source.ask("produce topic=lasting count=300 seed=5");
        let partitions = vault.await_caught_up(&source, "lasting", &mut following);
        let asked = gate.take(OFFSET_FOR_LEADER_EPOCH);
        assert!(
            asked.requests > 0 && asked.version == 2,
            "Kafka {version}: {asked:?}"
        );
        following.stop().expect_code(0);
        vault.assert_identical(&source, 1, &partitions);
    }
}
