//! A real KRaft cluster on loopback: its nodes, their logs on disk, their deaths and returns.

use std::fs;
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::jars::{self, Release};
use super::jvm::Jvm;
use super::workload::{Answer, Workload};

/// How long a cluster may take until all its brokers are alive.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// How often a start is tried with other ports, since somebody may take a port that was free.
const START_TRIES: u32 = 3;

/// Nodes 1..=n, all of them brokers; the first one, or the first few, are controllers as well.
pub(super) struct Cluster {
    /// The clients that act on this cluster.
    pub(super) workload: Arc<Workload>,
    dir: PathBuf,
    id: String,
    voters: Voters,
    /// What its nodes run from their next start on.
    release: Release,
    /// Where the controllers listen, that of node 1 first.
    controllers: Vec<u16>,
    nodes: Vec<Node>,
}

/// How the controllers of a cluster know each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voters {
    /// By everybody's configuration.
    Configured,
    /// By what they have agreed upon, which is `kraft.version` 1; everybody's configuration says
    /// only whom to ask first.
    Agreed,
}

/// One partition as a cluster's leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Partition {
    /// Its topic's name.
    pub(super) topic: String,
    /// Its number.
    pub(super) index: i32,
    /// The first offset that can be read.
    pub(super) log_start: i64,
    /// The offset after the last that can be read.
    pub(super) high_watermark: i64,
}

impl Partition {
    fn parse(words: &[&str]) -> Self {
        let number = |text: &str| text.parse::<i64>().expect("the workload writes numbers");
        Self {
            topic: words[0].to_owned(),
            index: i32::try_from(number(words[1])).expect("a partition's number"),
            log_start: number(words[2]),
            high_watermark: number(words[3]),
        }
    }

    /// The name of its directory, in a broker's log directory as in a vault.
    pub(super) fn directory(&self) -> String {
        format!("{}-{}", self.topic, self.index)
    }

    /// What can be read of it.
    pub(super) fn range(&self) -> Range<i64> {
        self.log_start..self.high_watermark
    }
}

struct Node {
    id: u32,
    port: u16,
    jvm: Option<Jvm>,
}

impl Cluster {
    /// Formats and starts a cluster and waits until every broker is alive. What an earlier run
    /// under this name left behind is removed; what this one leaves stays for reading.
    pub(super) fn start(
        workload: &Arc<Workload>,
        name: &str,
        brokers: u32,
        settings: &[(&str, &str)],
    ) -> Self {
        Self::start_quorum(workload, name, (brokers, 1), settings)
    }

    /// The same with a listener of their own for what brokers say to each other, on which a node of
    /// ours can join them unseen by clients: INTERNAL, beside the clients' PLAINTEXT.
    pub(super) fn start_listeners(
        workload: &Arc<Workload>,
        name: &str,
        brokers: u32,
        settings: &[(&str, &str)],
    ) -> Self {
        let internal = "{before},INTERNAL://127.0.0.1:0";
        let listeners = [
            ("listeners", internal),
            ("advertised.listeners", internal),
            (
                "listener.security.protocol.map",
                "{before},INTERNAL:PLAINTEXT",
            ),
            ("inter.broker.listener.name", "INTERNAL"),
        ];
        let all = [&listeners[..], settings].concat();
        Self::start(workload, name, brokers, &all)
    }

    /// The same with so many brokers, of which so many are controllers.
    pub(super) fn start_quorum(
        workload: &Arc<Workload>,
        name: &str,
        nodes: (u32, u32),
        settings: &[(&str, &str)],
    ) -> Self {
        Self::start_voters(workload, name, nodes, Voters::Configured, settings)
    }

    /// The same with controllers that know each other in either way.
    pub(super) fn start_voters(
        workload: &Arc<Workload>,
        name: &str,
        nodes: (u32, u32),
        voters: Voters,
        settings: &[(&str, &str)],
    ) -> Self {
        let version = &workload.release.version;
        let dir = jars::root().join("run").join(format!("{name}-{version}"));
        let mut failure = String::new();
        for _ in 0..START_TRIES {
            match Self::try_start(workload, &dir, nodes, voters, settings) {
                Ok(cluster) => return cluster,
                Err(tail) => failure = tail,
            }
            if !failure.contains("Address already in use") {
                break;
            }
        }
        panic!("Kafka {version} ({name}) did not come up\n{failure}");
    }

    fn try_start(
        workload: &Arc<Workload>,
        dir: &Path,
        (brokers, controllers): (u32, u32),
        voters: Voters,
        settings: &[(&str, &str)],
    ) -> Result<Self, String> {
        if dir.exists() {
            fs::remove_dir_all(dir).expect("what an earlier run left can be removed");
        }
        fs::create_dir_all(dir).expect("target is writable");
        let ports = free_ports((brokers + controllers) as usize);
        let (controllers, brokers_at) = ports.split_at(controllers as usize);
        let nodes = (1..=brokers).zip(brokers_at).map(|(id, &port)| Node {
            id,
            port,
            jvm: None,
        });
        let mut cluster = Self {
            workload: Arc::clone(workload),
            dir: dir.to_owned(),
            id: some_id(dir, ports[0]),
            voters,
            release: workload.release.clone(),
            controllers: controllers.to_vec(),
            nodes: nodes.collect(),
        };
        for node in 1..=brokers {
            let properties = cluster.properties(node, settings);
            let config = cluster.config_path(node);
            fs::write(config, properties).expect("the run's directory is there");
            cluster.format(node);
        }
        for node in 1..=brokers {
            cluster.launch(node);
        }
        cluster.await_alive(brokers).map(|()| cluster)
    }

    fn format(&self, node: u32) {
        let config = self.config_path(node);
        self.workload.ask(&format!(
            "format config={} cluster={}{}",
            config.display(),
            self.id,
            self.first_voters(node)
        ));
    }

    /// Who the first controllers are: written into the logs of those where nobody's configuration
    /// has it.
    fn first_voters(&self, node: u32) -> String {
        if self.voters == Voters::Configured {
            return String::new();
        }
        if node as usize > self.controllers.len() {
            return " voters=none".to_owned();
        }
        let each = (1..).zip(&self.controllers).map(|(id, port)| {
            let directory = some_id(&self.log_dir(id), *port);
            format!("{id}@127.0.0.1:{port}:{directory}")
        });
        format!(" voters={}", each.collect::<Vec<_>>().join(","))
    }

    fn properties(&self, node: u32, settings: &[(&str, &str)]) -> String {
        let port = self.node(node).port;
        let own = self.controllers.get(node as usize - 1);
        let (roles, controller) = match own {
            Some(own) => (
                "broker,controller",
                format!(",CONTROLLER://127.0.0.1:{own}"),
            ),
            None => ("broker", String::new()),
        };
        let quorum = match self.voters {
            Voters::Configured => {
                let voters = (1..).zip(&self.controllers);
                let voters = voters.map(|(id, port)| format!("{id}@127.0.0.1:{port}"));
                format!("voters={}", voters.collect::<Vec<_>>().join(","))
            }
            Voters::Agreed => format!("bootstrap.servers={}", self.controllers()),
        };
        let mut text = format!(
            "node.id={node}\nprocess.roles={roles}\nlog.dirs={}\n\
             listeners=PLAINTEXT://127.0.0.1:{port}{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
             controller.quorum.{quorum}\n{COMMON}",
            self.log_dir(node).display()
        );
        for (key, value) in settings {
            // Of two lines with the same key the later one counts, and may contain the first.
            let before = text
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{key}=")));
            let value = value.replace("{before}", before.unwrap_or_default());
            text.push_str(&format!("{key}={value}\n"));
        }
        text
    }

    fn config_path(&self, node: u32) -> PathBuf {
        self.dir.join(format!("node-{node}.properties"))
    }

    /// The log directory of a node: what a vault is compared with.
    pub(super) fn log_dir(&self, node: u32) -> PathBuf {
        self.dir.join(format!("node-{node}"))
    }

    /// Where runs of the program may leave things beside the cluster's.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// `host:port` of every node.
    pub(super) fn bootstrap(&self) -> String {
        let all = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port));
        all.collect::<Vec<_>>().join(",")
    }

    /// `host:port` of every controller.
    pub(super) fn controllers(&self) -> String {
        let all = self.controllers.iter();
        let all = all.map(|port| format!("127.0.0.1:{port}"));
        all.collect::<Vec<_>>().join(",")
    }

    /// All of its nodes.
    pub(super) fn nodes(&self) -> Vec<u32> {
        self.nodes.iter().map(|node| node.id).collect()
    }

    /// The node whose controller listens there.
    pub(super) fn controller_at(&self, port: u16) -> u32 {
        let mut all = (1..).zip(&self.controllers);
        let found = all.find(|(_, own)| **own == port);
        found.expect("one of ours").0
    }

    /// `host:port` of one broker.
    pub(super) fn broker(&self, node: u32) -> String {
        format!("127.0.0.1:{}", self.node(node).port)
    }

    /// What a node has logged.
    pub(super) fn logged(&self, node: u32) -> String {
        let log = self.dir.join(format!("node-{node}.log"));
        fs::read_to_string(&log).unwrap_or_else(|error| panic!("{}: {error}", log.display()))
    }

    /// Runs a command of the workload on this cluster; panics with its words where it fails.
    pub(super) fn ask(&self, command: &str) -> Answer {
        self.workload
            .ask(&format!("{command} b={}", self.bootstrap()))
    }

    /// Runs a command that may as well fail.
    pub(super) fn try_ask(&self, command: &str) -> Result<Answer, String> {
        self.workload
            .try_ask(&format!("{command} b={}", self.bootstrap()))
    }

    /// The partitions of the topics whose whole name matches, with their log start and high
    /// watermark. A broker that has not heard yet who leads after a node of ours is waited for.
    pub(super) fn offsets(&self, topics: &str) -> Vec<Partition> {
        let command = format!("offsets topics={topics}");
        let deadline = Instant::now() + READY_WITHIN;
        let answer = loop {
            match self.try_ask(&command) {
                Ok(answer) => break answer,
                Err(why) if why.contains("ListenerNotFound") && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(why) => panic!("{command}: {why}"),
            }
        };
        answer
            .words()
            .map(|words| Partition::parse(&words))
            .collect()
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self, node: u32) {
        self.take_jvm(node).kill();
    }

    /// Lets a node stand still, as a long pause of its machine would.
    pub(super) fn pause(&self, node: u32) {
        self.jvm(node).pause();
    }

    /// Lets it go on.
    pub(super) fn resume(&self, node: u32) {
        self.jvm(node).resume();
    }

    fn jvm(&self, node: u32) -> &Jvm {
        let jvm = self.node(node).jvm.as_ref();
        jvm.unwrap_or_else(|| panic!("node {node} does not run"))
    }

    /// A clean shutdown.
    pub(super) fn stop(&mut self, node: u32) {
        self.take_jvm(node).stop(Duration::from_secs(30));
    }

    /// Starts a node that was killed or stopped; does not wait.
    pub(super) fn launch(&mut self, node: u32) {
        let config = self.config_path(node);
        let log = self.dir.join(format!("node-{node}.log"));
        let config = config.to_str().expect("our paths are text");
        let jvm = Jvm::broker(&self.release, config, &log);
        let entry = self
            .nodes
            .iter_mut()
            .find(|entry| entry.id == node)
            .expect("one of ours");
        assert!(entry.jvm.is_none(), "node {node} runs already");
        entry.jvm = Some(jvm);
    }

    /// What nodes run that are started from now on: another release, on the directories that they
    /// have.
    pub(super) fn runs(&mut self, release: &Release) {
        self.release = release.clone();
    }

    /// A node that does not run loses its disk, and gets another one, which `mount` puts there.
    pub(super) fn replace_disk(&self, node: u32, mount: impl FnOnce(&Path)) {
        assert!(self.node(node).jvm.is_none(), "node {node} runs");
        let dir = self.log_dir(node);
        fs::remove_dir_all(&dir).expect("it was there");
        fs::create_dir(&dir).expect("target is writable");
        mount(&dir);
        self.format(node);
    }

    /// A node ends by itself.
    pub(super) fn await_end(&mut self, node: u32, within: Duration) {
        let mut jvm = self.take_jvm(node);
        let begun = Instant::now();
        while jvm.ended().is_none() {
            assert!(begun.elapsed() < within, "it runs on\n{}", jvm.tail());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Starts a node again and waits until all nodes that were started are alive.
    pub(super) fn restart(&mut self, node: u32) {
        self.launch(node);
        self.await_running();
    }

    /// Starts all nodes that are down, and waits until they are alive.
    pub(super) fn restart_dead(&mut self) {
        let dead = self
            .nodes
            .iter()
            .filter(|node| node.jvm.is_none())
            .map(|node| node.id);
        for node in dead.collect::<Vec<_>>() {
            self.launch(node);
        }
        self.await_running();
    }

    /// Waits until all nodes that were started are alive, and nobody else is taken for alive.
    pub(super) fn await_running(&mut self) {
        let running = self.nodes.iter().filter(|node| node.jvm.is_some()).count();
        let wanted = u32::try_from(running).expect("a handful");
        self.await_alive(wanted)
            .unwrap_or_else(|tail| panic!("a node did not come up\n{tail}"));
    }

    fn await_alive(&mut self, wanted: u32) -> Result<(), String> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            for node in self.nodes.iter_mut().filter_map(|node| node.jvm.as_mut()) {
                if let Some(status) = node.ended() {
                    return Err(format!("a node ended with {status}\n{}", node.tail()));
                }
            }
            let answer = self
                .workload
                .try_ask(&format!("ready b={}", self.bootstrap()));
            if answer
                .as_ref()
                .is_ok_and(|answer| answer.number("alive") == i64::from(wanted))
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                let tails = self
                    .nodes
                    .iter()
                    .filter_map(|node| node.jvm.as_ref())
                    .map(Jvm::tail);
                return Err(format!(
                    "{answer:?}\n{}",
                    tails.collect::<Vec<_>>().join("\n")
                ));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn node(&self, id: u32) -> &Node {
        self.nodes
            .iter()
            .find(|node| node.id == id)
            .unwrap_or_else(|| panic!("no node {id}"))
    }

    fn take_jvm(&mut self, id: u32) -> Jvm {
        let node = self.nodes.iter_mut().find(|node| node.id == id);
        let jvm = node.and_then(|node| node.jvm.take());
        jvm.unwrap_or_else(|| panic!("node {id} does not run"))
    }
}

/// What every node has: little memory, little waiting, nothing replicated that need not be.
const COMMON: &str = "controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
auto.create.topics.enable=false
auto.leader.rebalance.enable=false
offsets.topic.num.partitions=2
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=2
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
num.network.threads=2
num.io.threads=4
background.threads=2
replica.fetch.max.bytes=16777216
replica.lag.time.max.ms=8000
log.cleaner.threads=1
log.cleaner.backoff.ms=500
log.cleaner.dedupe.buffer.size=4194304
log.cleaner.io.buffer.size=262144
";

/// Ports that are chosen: below those that the kernel gives to whoever connects somewhere, so that
/// one is still free when its owner is started again.
const PORTS: Range<u32> = 18_000..32_000;

/// Ports that nobody listens on now, and that this process does not give away a second time soon.
pub(super) fn free_ports(count: usize) -> Vec<u16> {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let next = || {
        let number = GIVEN.fetch_add(1, Ordering::Relaxed);
        // Other processes that run tests begin elsewhere.
        let place = std::process::id().wrapping_mul(211).wrapping_add(number);
        let port = PORTS.start + place % (PORTS.end - PORTS.start);
        u16::try_from(port).expect("the range is one of ports")
    };
    let ports = std::iter::repeat_with(next).filter(is_free);
    ports.take(count).collect()
}

/// 22 characters of URL-safe base 64, as Kafka's ids are; different for every run.
fn some_id(dir: &Path, port: u16) -> String {
    let seed = format!("{}-{port}-{}", dir.display(), std::process::id());
    let (a, b) = (
        crc32fast::hash(seed.as_bytes()),
        crc32fast::hash(&seed.as_bytes()[1..]),
    );
    // The last character carries two bits only: 'A' is valid there.
    format!("{a:08x}{b:08x}twinA")
        .chars()
        .chain("A".chars())
        .take(22)
        .collect()
}
