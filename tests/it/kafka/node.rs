//! A node of the program: its configuration, its process, and its operators.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::cluster::{Cluster, free_ports};
use super::program::{self, Ended, Running};

/// Brokers of a destination keep their clients and each other apart.
pub(super) const APART: [(&str, &str); 4] = [
    ("listeners", "{before},INTERNAL://127.0.0.1:0"),
    ("advertised.listeners", "{before},INTERNAL://127.0.0.1:0"),
    (
        "listener.security.protocol.map",
        "{before},INTERNAL:PLAINTEXT",
    ),
    ("inter.broker.listener.name", "INTERNAL"),
];

/// How long anything that an operator waits for may take.
const WITHIN: Duration = Duration::from_secs(120);

/// A node that runs, or may be started.
pub(super) struct Node {
    config: PathBuf,
    outputs: PathBuf,
    admin: String,
    metrics: String,
    /// Where its logs and its state are.
    pub(super) data: PathBuf,
    process: Option<Running>,
}

/// One partition as `describe --json` tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) topic: String,
    pub(super) partition: i64,
    pub(super) state: String,
    pub(super) source_offset: i64,
    pub(super) destination_offset: i64,
    /// Where its last stop left off; −1 where there was none.
    pub(super) last_mirror_offset: i64,
    pub(super) error: Option<String>,
    /// What its stop is about.
    pub(super) stop_step: Option<String>,
}

impl Node {
    /// A node that keeps vaults.
    pub(super) fn vault(beside: &Cluster, name: &str) -> Node {
        let vault = "[destination]\nkind = \"vault\"\n";
        Node::new(beside, name, &free_ports(2), vault)
    }

    /// A node that is a broker of `destination`.
    pub(super) fn member(destination: &Cluster, name: &str) -> Node {
        // At once: one that is asked for later may be one of the others.
        let ports = free_ports(3);
        let port = ports[2];
        let controllers = destination.controllers();
        let controllers = controllers.replace(',', "\", \"");
        let text = format!(
            "[destination]\nkind = \"member\"\ncontrollers = [\"{controllers}\"]\n\
             listener_name = \"INTERNAL\"\nlisten = \"127.0.0.1:{port}\"\n\
             unfit = \"register\"\nrogue_writes = \"stop\"\n\
             session_timeout_ms = 6000\nheartbeat_interval_ms = 1000\n"
        );
        Node::new(destination, name, &ports, &text)
    }

    /// A node that is a broker of `destination`, and is told of its brokers only.
    pub(super) fn member_of_brokers(destination: &Cluster, name: &str) -> Node {
        let node = Node::member(destination, name);
        let list = |addresses: String| addresses.replace(',', "\", \"");
        node.set(
            &format!("controllers = [\"{}\"]", list(destination.controllers())),
            &format!(
                "\"bootstrap.servers\" = [\"{}\"]",
                list(destination.bootstrap())
            ),
        );
        node
    }

    fn new(beside: &Cluster, name: &str, ports: &[u16], destination: &str) -> Node {
        let dir = beside.dir().join(format!("{name}-node"));
        let outputs = dir.join("output");
        std::fs::create_dir_all(&outputs).expect("target is writable");
        let admin = format!("127.0.0.1:{}", ports[0]);
        let metrics = format!("127.0.0.1:{}", ports[1]);
        let data = dir.join("data");
        let text = format!(
            "[node]\nid = 9001\ndata_dir = \"{}\"\n[admin]\nlisten = \"{admin}\"\n\
             metrics = \"{metrics}\"\n{destination}[source]\nmetadata_interval_ms = 500\n",
            data.display(),
        );
        let config = dir.join("config.toml");
        std::fs::write(&config, text).expect("target is writable");
        Node {
            config,
            outputs,
            admin,
            metrics,
            data,
            process: None,
        }
    }

    /// Adds a mirror to the configuration.
    pub(super) fn declare(&self, name: &str, source: &Cluster, include: &str) {
        self.declare_at(name, &source.bootstrap(), include);
    }

    /// Adds a mirror of a source that is found elsewhere than where its brokers are.
    pub(super) fn declare_at(&self, name: &str, bootstrap: &str, include: &str) {
        self.configure(&format!(
            "[[mirrors]]\nname = \"{name}\"\n\"bootstrap.servers\" = \"{bootstrap}\"\n\
             \"topics.include\" = ['{include}']\n"
        ));
    }

    /// Adds a mirror whose counterpart is another node: what it mirrors, that one may mirror back.
    pub(super) fn declare_beside(&self, peer: &Node, name: &str, source: &Cluster, include: &str) {
        self.declare(name, source, include);
        self.configure(&format!("peer = \"{}\"\n", peer.admin));
    }

    /// A node for each direction between two clusters, which know of each other.
    pub(super) fn pair(first: &Cluster, second: &Cluster, topics: &str) -> [Node; 2] {
        let (there, back) = (Node::member(second, "there"), Node::member(first, "back"));
        there.declare_beside(&back, "dr", first, topics);
        back.declare_beside(&there, "back", second, topics);
        [there, back]
    }

    /// Adds whatever it is to the configuration.
    pub(super) fn configure(&self, more: &str) {
        let mut text = std::fs::read_to_string(&self.config).expect("it was written");
        text.push_str(more);
        std::fs::write(&self.config, text).expect("target is writable");
    }

    /// Writes another line in the place of one of its configuration; it counts from its next start
    /// on.
    pub(super) fn set(&self, line: &str, instead: &str) {
        let text = std::fs::read_to_string(&self.config).expect("it was written");
        assert!(text.contains(line), "{line}: not in\n{text}");
        std::fs::write(&self.config, text.replace(line, instead)).expect("target is writable");
    }

    pub(super) fn start(&mut self) {
        let config = self.config.to_str().expect("our paths are text");
        self.process = Some(Running::start(
            &self.outputs,
            &["serve", "--config", config],
        ));
        let deadline = Instant::now() + WITHIN;
        while self.mirrors(&["list"]).code != Some(0) {
            self.running().assert_alive();
            assert!(Instant::now() < deadline, "{}", self.said());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Runs it until it ends by itself, as it should.
    pub(super) fn run(&self) -> Ended {
        let config = self.config.to_str().expect("our paths are text");
        program::run(&self.outputs, &["serve", "--config", config])
    }

    /// Waits until it has said something.
    pub(super) fn until_said(&mut self, words: &str) {
        let deadline = Instant::now() + WITHIN;
        while !self.said().contains(words) {
            self.running().assert_alive();
            assert!(Instant::now() < deadline, "{words}: {}", self.said());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn running(&mut self) -> &mut Running {
        self.process.as_mut().expect("it was started")
    }

    /// How long each of its threads has run since its start.
    pub(super) fn worked(&mut self) -> BTreeMap<String, Duration> {
        self.running().worked()
    }

    /// What it has said.
    pub(super) fn said(&self) -> String {
        let process = self.process.as_ref();
        process.map(Running::said).unwrap_or_default()
    }

    /// SIGTERM.
    pub(super) fn stop(&mut self) -> Ended {
        self.process.take().expect("it was started").stop()
    }

    /// Waits until it has ended by itself.
    pub(super) fn await_end(&mut self, within: Duration) -> Ended {
        let process = self.process.take().expect("it was started");
        process.await_end(within)
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        self.process.take().expect("it was started").kill();
    }

    /// SIGKILL at the moment at which something is so, or once `within` is over. Says which. It
    /// looks without a rest: between what it sees and the kill lies next to nothing.
    pub(super) fn kill_once(&mut self, within: Duration, is_so: impl Fn() -> bool) -> bool {
        let deadline = Instant::now() + within;
        let mut was_so = is_so();
        while !was_so && Instant::now() < deadline {
            was_so = is_so();
        }
        self.kill();
        was_so
    }

    /// SIGSTOP.
    pub(super) fn pause(&mut self) {
        self.running().pause();
    }

    /// SIGCONT.
    pub(super) fn resume(&mut self) {
        self.running().resume();
    }

    /// `twinlog mirrors` that goes on beside the test.
    pub(super) fn begin_mirrors(&self, args: &[&str]) -> Running {
        let all = [&["mirrors", "--bootstrap-server", &self.admin], args].concat();
        Running::start(&self.outputs, &all)
    }

    /// `twinlog mirrors`, by an operator of this node.
    pub(super) fn mirrors(&self, args: &[&str]) -> Ended {
        let all = [&["mirrors", "--bootstrap-server", &self.admin], args].concat();
        program::run(&self.outputs, &all)
    }

    /// Every partition of every mirror.
    pub(super) fn describe(&self) -> Vec<Described> {
        let ended = self.mirrors(&["describe", "--json"]).expect_code(0);
        let json = ended.json();
        let all = json.as_array().expect("a list of partitions");
        all.iter().map(described).collect()
    }

    /// A number of a partition as /metrics has it, which is up to a second old. None where it is
    /// not known.
    pub(super) fn measured(&self, what: &str, topic: &str, partition: i64) -> Option<i64> {
        let told = self.metrics();
        let labels = [
            format!("topic=\"{topic}\""),
            format!("partition=\"{partition}\""),
        ];
        let mut values = values(&told, what, &labels);
        values.next()
    }

    /// The sum of a number of the whole node, as /metrics has it.
    pub(super) fn summed(&self, what: &str) -> i64 {
        values(&self.metrics(), what, &[]).sum()
    }

    fn metrics(&self) -> String {
        let mut asked = TcpStream::connect(&self.metrics).expect("it listens");
        let request = "GET /metrics HTTP/1.1\r\nHost: us\r\nConnection: close\r\n\r\n";
        asked.write_all(request.as_bytes()).expect("it reads");
        let mut told = String::new();
        asked.read_to_string(&mut told).expect("it answers");
        told
    }

    /// Waits until something is so.
    pub(super) fn await_that(&mut self, what: &str, mut is_so: impl FnMut(&Node) -> bool) {
        let deadline = Instant::now() + WITHIN;
        while !is_so(self) {
            self.assert_alive();
            assert!(Instant::now() < deadline, "{what}: {}", self.said());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until there are so many partitions, and all are as `is_it` says.
    pub(super) fn until(
        &mut self,
        what: &str,
        count: usize,
        is_it: impl Fn(&Described) -> bool,
    ) -> Vec<Described> {
        let deadline = Instant::now() + WITHIN;
        loop {
            let all = self.describe();
            if all.len() == count && all.iter().all(&is_it) {
                return all;
            }
            self.running().assert_alive();
            let others: Vec<&Described> = all.iter().filter(|one| !is_it(one)).collect();
            assert!(
                Instant::now() < deadline,
                "{what}: {} partitions, {others:#?}\n{}",
                all.len(),
                self.said()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until all partitions of a topic are as `is_it` says.
    pub(super) fn until_topic(
        &mut self,
        what: &str,
        topic: &str,
        is_it: impl Fn(&Described) -> bool,
    ) -> Vec<Described> {
        let deadline = Instant::now() + WITHIN;
        loop {
            let mut all = self.describe();
            all.retain(|one| one.topic == topic);
            if !all.is_empty() && all.iter().all(&is_it) {
                return all;
            }
            self.assert_alive();
            let is_late = Instant::now() >= deadline;
            assert!(!is_late, "{what}: {all:#?}\n{}", self.said());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until the stop of some partition of a topic is about this.
    pub(super) fn until_step(&mut self, topic: &str, step: &str) {
        let deadline = Instant::now() + WITHIN;
        loop {
            let all = self.describe();
            let is_it =
                |one: &Described| one.topic == topic && one.stop_step.as_deref() == Some(step);
            if all.iter().any(is_it) {
                return;
            }
            self.assert_alive();
            let is_late = Instant::now() >= deadline;
            assert!(!is_late, "{topic}: {step}: {all:#?}\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops mirrors, all of them at once, and waits until they are handed over.
    pub(super) fn stop_mirrors(&self, mirrors: &[&str]) {
        let begin = |mirror: &&str| {
            let args = ["stop", "--mirror", mirror, "--topics", ".*", "--wait"];
            self.begin_mirrors(&args)
        };
        let stopping: Vec<Running> = mirrors.iter().map(begin).collect();
        for stop in stopping {
            stop.await_end(WITHIN).expect_code(0);
        }
    }

    /// Panics with what it said if it has ended.
    pub(super) fn assert_alive(&mut self) {
        self.running().assert_alive();
    }

    /// The vault of a mirror.
    pub(super) fn vault_of(&self, mirror: &str) -> PathBuf {
        self.data.join(mirror)
    }

    /// Where its operators find it.
    pub(super) fn admin(&self) -> &str {
        &self.admin
    }

    /// Where the program's output is kept.
    pub(super) fn outputs(&self) -> &Path {
        &self.outputs
    }
}

/// The values of all samples of a metric that have these labels.
fn values<'t>(
    told: &'t str,
    what: &str,
    labels: &'t [String],
) -> impl Iterator<Item = i64> + use<'t> {
    let begin = format!("twinlog_{what}{{");
    let is_it = move |line: &&str| {
        line.starts_with(&begin) && labels.iter().all(|label| line.contains(label))
    };
    let values = told.lines().filter(is_it);
    values.filter_map(|line| Some(line.rsplit(' ').next()?.parse::<f64>().ok()? as i64))
}

impl Described {
    /// All that the source has is here, and more is awaited.
    pub(super) fn is_caught_up(&self) -> bool {
        self.state == "MIRRORING"
            && self.source_offset >= 0
            && self.source_offset == self.destination_offset
    }
}

fn described(value: &Value) -> Described {
    let number = |key: &str| {
        value[key]
            .as_i64()
            .unwrap_or_else(|| panic!("{key} of {value}"))
    };
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    Described {
        topic: text("topic").expect("a name"),
        partition: number("partition"),
        state: text("state").expect("a name"),
        source_offset: number("sourceOffset"),
        destination_offset: number("destinationOffset"),
        last_mirror_offset: number("lastMirrorOffset"),
        error: text("errorMessage"),
        stop_step: text("stopStep"),
    }
}
