//! `twinlog demo --member`: a mirror onto a stock cluster and a failover, on real Kafka.

mod stock;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::generated::Generated;
use super::{DemoFault, Stop};
use crate::cli::{screen, text};
use crate::model::{BrokerId, TopicName};
use crate::session::{Client, NewTopic, Trial};
use crate::uring;

use stock::{Cluster, Kafka, Leashed};

/// The topic that is mirrored, and how much of it there is.
const TOPIC: &str = "orders";
const PARTITIONS: usize = 4;
const RECORDS: u64 = 20_000;
const RECORD_BYTES: u64 = 500;
/// What is written once the destination has it.
const MORE: u64 = 1_000;
/// The node's id there.
const ID: u16 = 9001;

/// Shows the whole round; what a user would type is said, and what he would see of it.
pub(super) fn show(
    dir: &Path,
    libs: Option<&Path>,
    tell: &dyn Fn(&str),
) -> Result<bool, DemoFault> {
    let stop = Stop::listen();
    // Nothing of it is to be left.
    let generated = Generated::begin(dir, "kafka")?;
    let dir = std::path::absolute(generated.path())?;
    let kafka = Kafka::find(libs, &dir, &stop, tell)?;
    tell("starting two clusters on loopback: a source of one broker, a destination of two");
    let source = kafka.cluster("source", 1)?;
    let destination = kafka.cluster("destination", 2)?;
    tell(&format!(
        "Kafka's own producer writes {} records to the topic {TOPIC} of the source",
        text::count(RECORDS)
    ));
    create(&source)?;
    write(&kafka, &source, RECORDS)?;
    let mut round = Round::new(&dir, &stop, &source, &destination)?;
    round.checks()?;
    round.serves(&kafka)?;
    let took = round.hands_over()?;
    tell("Kafka's own consumer reads all of it at the destination, and its producer goes on there");
    let read_at_once = read(&kafka, &destination, RECORDS)?;
    write(&kafka, &destination, MORE)?;
    let all = read(&kafka, &destination, RECORDS + MORE)?;
    let rows = [
        ("mirrored", text::count(RECORDS) + " records"),
        ("failover", format!("{} ms", took.as_millis())),
        ("read after it", text::count(read_at_once) + " records"),
        ("read in the end", text::count(all) + " records"),
    ];
    let rows = rows.map(|(what, value)| vec![what.to_owned(), value]);
    let told = screen::tell(&format!("\n{}", text::table(&["", ""], &rows).trim_start()));
    Ok(told && read_at_once == RECORDS && all == RECORDS + MORE)
}

fn create(source: &Cluster) -> Result<(), DemoFault> {
    let topic = NewTopic {
        name: TopicName::new(TOPIC).expect("legal"),
        assignment: vec![vec![BrokerId(1)]; PARTITIONS],
        settings: std::collections::BTreeMap::new(),
    };
    let at = source.brokers[0].clone();
    let made = uring::run(None, |world| async move {
        let mut client = Client::connect(&world, &at, stock::opening()).await?;
        client.create_topics(&[topic], Trial::No).await
    });
    let made = made.map_err(|fault| DemoFault::Said(fault.to_string()))?;
    match made.into_values().find_map(Result::err) {
        None => Ok(()),
        Some(refusal) => Err(DemoFault::Said(format!("{TOPIC}: {refusal}"))),
    }
}

fn write(kafka: &Kafka, cluster: &Cluster, count: u64) -> Result<(), DemoFault> {
    let (count, size) = (count.to_string(), RECORD_BYTES.to_string());
    let servers = format!("bootstrap.servers={}", cluster.bootstrap());
    let args = [
        "--topic",
        TOPIC,
        "--num-records",
        &count,
        "--record-size",
        &size,
    ];
    let more = [
        "--throughput",
        "-1",
        "--producer-props",
        &servers,
        "acks=all",
    ];
    let main = "org.apache.kafka.tools.ProducerPerformance";
    kafka.tool(main, &[args.as_slice(), more.as_slice()].concat())?;
    Ok(())
}

/// How many of so many records a consumer gets. Each is a line.
fn read(kafka: &Kafka, cluster: &Cluster, count: u64) -> Result<u64, DemoFault> {
    let (servers, count) = (cluster.bootstrap(), count.to_string());
    let args = [
        "--bootstrap-server",
        &servers,
        "--topic",
        TOPIC,
        "--from-beginning",
    ];
    let more = ["--max-messages", &count, "--timeout-ms", "20000"];
    let main = "org.apache.kafka.tools.consumer.ConsoleConsumer";
    let said = kafka.tool(main, &[args.as_slice(), more.as_slice()].concat())?;
    Ok(said.lines().count() as u64)
}

/// What a user does with a node.
struct Round<'a> {
    dir: &'a Path,
    stop: &'a Stop,
    destination: &'a Cluster,
    /// Where operators speak to it.
    admin: String,
    node: Option<Leashed>,
}

impl<'a> Round<'a> {
    fn new(
        dir: &'a Path,
        stop: &'a Stop,
        source: &Cluster,
        destination: &'a Cluster,
    ) -> Result<Round<'a>, DemoFault> {
        let ports = stock::free_ports(2)?;
        let admin = format!("127.0.0.1:{}", ports[0]);
        let config = format!(
            "[node]\nid = {ID}\ndata_dir = \"{}\"\n[admin]\nlisten = \"{admin}\"\n\
             [destination]\nkind = \"member\"\ncontrollers = [\"{}\"]\n\
             listener_name = \"INTERNAL\"\nlisten = \"127.0.0.1:{}\"\n\
             [[mirrors]]\nname = \"dr\"\n\"bootstrap.servers\" = \"{}\"\n\
             \"topics.include\" = [\"orders.*\"]\n",
            dir.join("node").display(),
            destination.controller,
            ports[1],
            source.bootstrap()
        );
        std::fs::write(dir.join("node.toml"), config)?;
        Ok(Round {
            dir,
            stop,
            destination,
            admin,
            node: None,
        })
    }

    /// Runs a command of ours and returns what it prints.
    fn run(&self, args: &[&str]) -> Result<String, DemoFault> {
        let mut command = Command::new(std::env::current_exe()?);
        stock::run(command.args(args), self.dir, self.stop)
    }

    /// The same, shown as a user sees it.
    fn shown(&self, args: &[&str]) -> Result<(), DemoFault> {
        let said = self.run(args)?;
        screen::tell(&format!("$ twinlog {}\n{said}", args.join(" ")));
        Ok(())
    }

    /// Whether the destination is fit for a node.
    fn checks(&self) -> Result<(), DemoFault> {
        let (id, at) = (ID.to_string(), self.destination.controller.to_string());
        let named = ["--listener", "INTERNAL", "--id", &id];
        self.shown(&[&["check", "--destination", &at], named.as_slice()].concat())
    }

    /// Starts the node and waits until it has mirrored everything.
    fn serves(&mut self, kafka: &Kafka) -> Result<(), DemoFault> {
        let config = self.dir.join("node.toml").display().to_string();
        screen::tell("$ twinlog serve --config node.toml &\n");
        let mut serve = Command::new(std::env::current_exe()?);
        serve.args(["serve", "--config", &config]);
        let log = self.dir.join("node.log");
        let mut node = Leashed::start(&serve, log)?;
        let describe = ["mirrors", "--bootstrap-server", &self.admin, "describe"];
        let as_json = [describe.as_slice(), &["--json"]].concat();
        let is_whole = |row: &Value| row["lag"] == 0 && row["state"] == "MIRRORING";
        kafka.until("everything is mirrored", || {
            node.check()?;
            Ok(self.are_all(&as_json, is_whole))
        })?;
        let plan = [self.stopping().as_slice(), &["--dry-run", "--json"]].concat();
        let is_free = |row: &Value| row["hindrances"].as_array().is_some_and(Vec::is_empty);
        kafka.until("nothing is in the way of a failover", || {
            Ok(self.are_all(&plan, is_free))
        })?;
        self.node = Some(node);
        self.shown(&describe)
    }

    /// Stops the mirror: the destination's own brokers have it then.
    fn hands_over(&self) -> Result<Duration, DemoFault> {
        let begun = Instant::now();
        let said = self.shown(&[self.stopping().as_slice(), &["--wait"]].concat());
        said.map(|()| begun.elapsed())
    }

    fn stopping(&self) -> Vec<&str> {
        let at = self.admin.as_str();
        let stop = [
            "mirrors",
            "--bootstrap-server",
            at,
            "stop",
            "--mirror",
            "dr",
        ];
        [stop.as_slice(), &["--topics", "orders.*"]].concat()
    }

    /// Whether a command tells that of every partition.
    fn are_all(&self, args: &[&str], is_so: impl Fn(&Value) -> bool) -> bool {
        let told = self.run(args).unwrap_or_default();
        let rows: Vec<Value> = serde_json::from_str(&told).unwrap_or_default();
        rows.len() == PARTITIONS && rows.iter().all(is_so)
    }
}
