//! A destination goes from release to release, its brokers one after the other, and its
//! metadata.version is raised, while a node of ours is a broker of it and mirrors.

use std::time::{Duration, Instant};

use super::ledger::{Id, Ledger};
use super::mirrored::Mirrored;
use super::*;

const TOPIC: &str = "upgraded";
const IDS: [Id; 2] = [(TOPIC, 0), (TOPIC, 1)];
/// Releases, each with its metadata.version.
const STEPS: [(&str, i64); 3] = [("3.9.2", 21), ("4.0.2", 25), ("4.3.1", 30)];

#[test]
fn a_destination_is_upgraded_under_its_mirror() {
    let test = "a_destination_is_upgraded_under_its_mirror";
    let chosen = versions();
    let is_chosen = |(version, _): &(&str, i64)| chosen.iter().any(|one| one == version);
    let steps: Vec<(&str, i64)> = STEPS.into_iter().filter(is_chosen).collect();
    let [(first, _), upgrades @ ..] = &steps[..] else {
        return eprintln!("skipped: none of its releases is asked for");
    };
    if upgrades.is_empty() {
        return eprintln!("skipped: one release alone is asked for");
    }
    let Some(_turn) = Turn::take(test) else {
        return;
    };
    let workload = Arc::new(Workload::start(first));
    let mut mirrored = Mirrored::begin(&workload, "upgrading", TOPIC);
    let mut ledger = Ledger::default();
    let source = &mirrored.source;
    source.ask(&format!("create topic={TOPIC} partitions=2"));
    source.ask(&format!("load id=steady topic={TOPIC} rate=300"));
    mirrored.node.start();
    mirrored.until_in_sync(TOPIC, &[1, 2, 9001]);
    for (version, level) in upgrades {
        let release = archives::with(jars::prepare(version));
        mirrored.destination.runs(&release);
        is_upgraded(&mut mirrored, &mut ledger);
        let raise = format!("raise feature=metadata.version level={level}");
        mirrored.destination.ask(&raise);
        until_raised(&mirrored.destination, &level.to_string());
        settles(
            &mut mirrored,
            &format!("{version}, metadata.version {level}"),
        );
        mirrored.notes(&mut ledger, &IDS);
    }
    assert!(ledger.batches() > 100, "{}", ledger.batches());
    let stop = ["stop", "--mirror", "dr", "--topics", TOPIC, "--wait"];
    mirrored.node.mirrors(&stop).expect_code(0);
    mirrored.source.ask("unload id=steady");
    mirrored.keep(&mut ledger, &IDS, &[1, 2], "handed over");
    let got = mirrored.destination.offsets(TOPIC);
    mirrored.arrive_at(&[1, 2], &got, "handed over");
    mirrored.node.stop().expect_code(0);
}

/// Every broker comes to hear of it.
fn until_raised(destination: &Cluster, level: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let told = destination.ask("quorum");
        let mut features = told.words();
        if features.any(|words| words == ["metadata.version", level]) {
            return;
        }
        assert!(Instant::now() < deadline, "{told:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The controller last, which is a broker as well.
fn is_upgraded(mirrored: &mut Mirrored, ledger: &mut Ledger) {
    for broker in [2, 1] {
        mirrored.notes(ledger, &IDS);
        mirrored.destination.stop(broker);
        mirrored.destination.restart(broker);
        mirrored.until_in_sync(TOPIC, &[1, 2, 9001]);
        mirrored.keep(ledger, &IDS, &[broker], "it runs another release");
    }
}

/// All that was written is at both, and the same; then it goes on.
fn settles(mirrored: &mut Mirrored, when: &str) {
    mirrored.source.ask("unload id=steady");
    mirrored.arrives(TOPIC, when);
    mirrored
        .source
        .ask(&format!("load id=steady topic={TOPIC} rate=300"));
}
