//! A failover of many partitions: what applications that run through it see, and how long it takes,
//! from the command until stock brokers lead all of them, and where the time goes.
//!
//! Time is judged on demand only: `TWINLOG_FAILOVER_PARTITIONS=1000`, and
//! `TWINLOG_FAILOVER_TRIALS=5` for more than one trial, each on topics of its own, after
//! `TWINLOG_FAILOVER_WARM_UPS=1` that does not count; `TWINLOG_FAILOVER_WITHIN_MS=1000` is what the
//! slowest of them may take. With
//! `TWINLOG_KAFKA_JVM=scripts` brokers run as Kafka's scripts start them; a small heap and half a
//! compiler would be measured otherwise.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::cluster::Partition;
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
    if let Some(within) = number("TWINLOG_FAILOVER_WITHIN_MS") {
        let slowest = took.last().expect("there was a trial");
        assert!(slowest.as_millis() <= within as u128, "{slowest:?}");
    }
}

/// Of how many partitions applications see the failover, where nothing else is asked for.
const MANY: usize = 1_000;

#[test]
fn applications_run_through_the_failover_of_many_partitions() {
    let test = "applications_run_through_the_failover_of_many_partitions";
    let Some(_turn) = Turn::take(test) else {
        return;
    };
    for version in newest() {
        let workload = Arc::new(Workload::start(&version));
        let mut mirrored = Mirrored::begin(&workload, "through", "over\\..*");
        mirrored.node.start();
        let count = number("TWINLOG_FAILOVER_PARTITIONS").unwrap_or(MANY);
        let topics = mirror_many(&mut mirrored, 0, count);
        for topic in &topics {
            mirrored.source.ask(&format!(
                "transact topic={topic} partition=0 id={topic} txns=4 count=25 end=alternate"
            ));
            mirrored.arrives(topic, "transactions");
        }
        let applications = Applications::begin(&mirrored, &topics);
        let ends = mirrored.source.offsets("over\\..*");
        let (_, took) = stop_all(&mirrored, 0, count);
        eprintln!("{count} partitions stopped in {took:?} while applications waited for them");
        applications.saw_each_record_once(&mirrored, &ends);
        mirrored.agree_within(&ends);
        mirrored.node.stop().expect_code(0);
    }
}

/// Those who wait at the destination for these topics, to read and to write.
struct Applications<'a> {
    topics: &'a [String],
}

/// Groups of every topic, and whether they read what is committed only.
const READERS: [(&str, bool); 2] = [("all", false), ("committed", true)];

impl Applications<'_> {
    fn begin<'a>(mirrored: &Mirrored, topics: &'a [String]) -> Applications<'a> {
        let destination = &mirrored.destination;
        for topic in topics {
            for (reader, committed) in READERS {
                destination.ask(&format!(
                    "watch id={topic}-{reader} topic={topic} committed={committed}"
                ));
            }
            // With more in flight a broker that has just become leader may refuse a producer's
            // first batch and take the second.
            destination.ask(&format!(
                "load id={topic} topic={topic} rate=200 keys=10000 \
                 p.max.in.flight.requests.per.connection=1"
            ));
        }
        // They have asked for leaders by then, and been told of none.
        std::thread::sleep(Duration::from_secs(2));
        Applications { topics }
    }

    /// What was written came behind all that was mirrored, each record once, and whoever read has
    /// seen all of both.
    fn saw_each_record_once(&self, mirrored: &Mirrored, mirrored_ends: &[Partition]) {
        let destination = &mirrored.destination;
        // They go on for a while on the new leaders.
        std::thread::sleep(Duration::from_secs(2));
        for topic in self.topics {
            let written = destination.ask(&format!("unload id={topic}"));
            assert_eq!(written.number("failed"), 0, "{topic}");
            let more: i64 =
                records_of(topic, &destination.offsets(topic)) - records_of(topic, mirrored_ends);
            assert_eq!(more, written.number("acknowledged"), "{topic}");
            assert!(more > 0, "{topic}");
            for (reader, committed) in READERS {
                let read = destination.ask(&format!("unwatch id={topic}-{reader}"));
                let there = format!("consume topics={topic} committed={committed}");
                assert_eq!(
                    read.lines,
                    destination.ask(&there).lines,
                    "{topic} {reader}"
                );
            }
        }
    }
}

fn records_of(topic: &str, ends: &[Partition]) -> i64 {
    let ends = ends.iter().filter(|end| end.topic == topic);
    ends.map(|end| end.high_watermark - end.log_start).sum()
}

/// Topics of this trial, mirrored and in sync everywhere.
fn mirror_many(mirrored: &mut Mirrored, trial: usize, count: usize) -> Vec<String> {
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
    topics
}

/// Stops all of them; gives back the report and how long that took.
fn stop_all(mirrored: &Mirrored, trial: usize, count: usize) -> (Vec<serde_json::Value>, Duration) {
    let wanted = format!("over\\.{trial}-.*");
    let args = [
        "stop", "--mirror", "dr", "--topics", &wanted, "--wait", "--json",
    ];
    let begun = Instant::now();
    let ended = mirrored.node.mirrors(&args);
    let took = begun.elapsed();
    let rows = ended.expect_code(0).json();
    let rows = rows.as_array().expect("a list of partitions").clone();
    assert_eq!(rows.len(), count);
    (rows, took)
}

fn change_hands(mirrored: &mut Mirrored, trial: usize, count: usize) -> Duration {
    let topics = mirror_many(mirrored, trial, count);
    // What was synced a moment ago costs nothing at the stop: an ordinary one comes at any time.
    std::thread::sleep(Duration::from_secs(7));
    let before = mirrored.node.worked();
    let (rows, took) = stop_all(mirrored, trial, count);
    let worked = mirrored.node.worked();
    for topic in &topics {
        assert!(mirrored.leads(topic, |leader| [1, 2].contains(&leader)));
    }
    let mut steps: BTreeMap<i64, (String, i64, i64)> = BTreeMap::new();
    for row in &rows {
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
