//! How long a failover of many partitions takes, from the command until stock brokers lead all of
//! them, and where the time goes.
//!
//! It judges time, so that it runs on demand only: `TWINLOG_FAILOVER_PARTITIONS=1000`, and
//! `TWINLOG_FAILOVER_TRIALS=5` for more than one trial, each on topics of its own, after
//! `TWINLOG_FAILOVER_WARM_UPS=1` that does not count. With
//! `TWINLOG_KAFKA_JVM=scripts` brokers run as Kafka's scripts start them; a small heap and half a
//! compiler would be measured otherwise.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::mirrored::Mirrored;
use super::*;

/// Partitions of one topic.
const PER_TOPIC: usize = 250;

fn number(key: &str) -> Option<usize> {
    let chosen = std::env::var(key).ok()?;
    Some(chosen.parse().expect("a number"))
}

#[test]
fn many_partitions_change_hands() {
    let Some(count) = number("TWINLOG_FAILOVER_PARTITIONS") else {
        eprintln!("skipped: TWINLOG_FAILOVER_PARTITIONS asks for no partitions");
        return;
    };
    let Some(_turn) = Turn::take("many_partitions_change_hands") else {
        return;
    };
    let workload = Arc::new(Workload::start(DEFAULT_VERSION));
    let mut mirrored = Mirrored::begin(&workload, "failover", "over\\..*");
    mirrored.node.start();
    let trials = number("TWINLOG_FAILOVER_TRIALS").unwrap_or(1);
    let warm_ups = number("TWINLOG_FAILOVER_WARM_UPS").unwrap_or(0);
    for trial in 0..warm_ups {
        let took = change_hands(&mut mirrored, trial, count);
        eprintln!("a warm-up took {took:?}");
    }
    let mut took: Vec<Duration> = (warm_ups..warm_ups + trials)
        .map(|trial| change_hands(&mut mirrored, trial, count))
        .collect();
    took.sort();
    eprintln!("{count} partitions, {trials} trials: {took:?}");
}

fn change_hands(mirrored: &mut Mirrored, trial: usize, count: usize) -> Duration {
    let mut left = count;
    let mut topics = Vec::new();
    while left > 0 {
        let partitions = left.min(PER_TOPIC);
        let topic = format!("over.{trial}-{}", topics.len());
        let source = &mirrored.source;
        source.ask(&format!("create topic={topic} partitions={partitions}"));
        source.ask(&format!(
            "produce topic={topic} count={} keys={}",
            20 * partitions,
            100 * partitions
        ));
        source.ask(&format!(
            "produce topic={topic} partition=0 count=10 idempotent=true"
        ));
        topics.push(topic);
        left -= partitions;
    }
    for topic in &topics {
        mirrored.arrives(topic, "at first");
        let in_sync = [1, 2, 9001];
        mirrored.until_in_sync(topic, &in_sync);
    }
    // What was synced a moment ago costs nothing at the stop: an ordinary one comes at any time.
    std::thread::sleep(Duration::from_secs(7));
    let wanted = format!("over\\.{trial}-.*");
    let before = mirrored.node.worked();
    let begun = Instant::now();
    let args = [
        "stop", "--mirror", "dr", "--topics", &wanted, "--wait", "--json",
    ];
    let ended = mirrored.node.mirrors(&args);
    let took = begun.elapsed();
    let worked = mirrored.node.worked();
    let ended = ended.expect_code(0);
    for topic in &topics {
        assert!(mirrored.leads(topic, |leader| [1, 2].contains(&leader)));
    }
    let rows = ended.json();
    let rows = rows.as_array().expect("a list of partitions");
    assert_eq!(rows.len(), count);
    let mut steps: BTreeMap<i64, (String, i64, i64)> = BTreeMap::new();
    for row in rows {
        for (nth, step) in (0..).zip(row["steps"].as_array().expect("a list of steps")) {
            let words = step["step"].as_str().expect("words").to_owned();
            let at = step["atMs"].as_i64().expect("a number");
            let seen = steps.entry(nth).or_insert((words, at, at));
            (seen.1, seen.2) = (seen.1.min(at), seen.2.max(at));
        }
    }
    eprintln!("{count} partitions stopped in {took:?}; steps began (first, last partition):");
    for (words, first, last) in steps.into_values() {
        eprintln!("{first:>6} {last:>6} ms  {words}");
    }
    tell_work(&before, worked);
    for topic in &topics {
        let partitions = mirrored.destination.offsets(topic).len();
        mirrored.destination.ask(&format!(
            "produce topic={topic} count={} keys={}",
            5 * partitions,
            100 * partitions
        ));
        // The next trial is to find brokers that have no more to do than this one did.
        mirrored.destination.ask(&format!("delete topic={topic}"));
        mirrored.source.ask(&format!("delete topic={topic}"));
    }
    took
}

/// Says how long each thread has worked in the meantime.
fn tell_work(before: &BTreeMap<String, Duration>, after: BTreeMap<String, Duration>) {
    for (thread, worked) in after {
        let before = before.get(&thread).copied().unwrap_or_default();
        let worked = worked.saturating_sub(before);
        if worked >= Duration::from_millis(1) {
            eprintln!("{worked:>12.1?} of thread {thread}");
        }
    }
}
