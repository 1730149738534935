//! Apache Kafka's own programs: their jars, a node of a cluster, MirrorMaker 2.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::client::Client;
use crate::process::Child;

/// How long a program may take to come up, or to do one of its rarer things.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);
/// What a broker of one machine needs to be said.
const COMMON: &str = "\
controller.listener.names=CONTROLLER
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.segment.delete.delay.ms=100
";
const MIRROR: &str = "\
clusters=source,target
source->target.enabled=true
target->source.enabled=false
replication.policy.class=org.apache.kafka.connect.mirror.IdentityReplicationPolicy
tasks.max=2
replication.factor=1
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
offset-syncs.topic.replication.factor=1
emit.heartbeats.enabled=false
emit.checkpoints.enabled=false
sync.topic.configs.enabled=false
sync.topic.acls.enabled=false
";

/// One release of Kafka.
pub(super) struct Release {
    classpath: String,
}

/// A cluster on this machine: node 1 is controller and broker, the others are brokers.
pub(super) struct Cluster<'r> {
    release: &'r Release,
    dir: PathBuf,
    controller: u16,
    nodes: Vec<Node>,
}

/// A running node.
pub(super) struct Node {
    /// Where it listens.
    pub(super) port: u16,
    /// Its process.
    pub(super) process: Child,
    /// What it keeps.
    pub(super) logs: PathBuf,
}

impl Release {
    /// Fetches the jars by Maven, unless they are there.
    pub(super) fn prepare(version: &str, dir: &Path) -> io::Result<Release> {
        let libs = std::path::absolute(dir.join(format!("kafka-{version}")))?;
        let complete = libs.join(".complete");
        if !complete.exists() {
            eprintln!("fetching Kafka {version} by Maven");
            let pom = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/kafka/pom.xml");
            let mut maven = Command::new("mvn");
            maven.args(["-q", "-B", "-Pmirror", "-f"]).arg(pom);
            if !version.starts_with("3.") {
                maven.arg("-Plog4j2");
            }
            maven
                .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
                .arg(format!("-Dkafka.version={version}"))
                .arg(format!("-DoutputDirectory={}", libs.display()));
            succeed(&mut maven)?;
            File::create(complete)?;
        }
        let classpath = format!("{}/*", libs.display());
        Ok(Release { classpath })
    }

    fn java(&self, class: &str, log: &Path) -> io::Result<Command> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut java = Command::new("java");
        java.args(["-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"])
            .args(["-cp", &self.classpath, class])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(java)
    }

    /// Starts MirrorMaker 2 from one broker to another, with defaults but for two tasks, names
    /// that stay the same, and nothing copied but records.
    pub(super) fn mirror_maker(&self, dir: &Path, from: u16, to: u16) -> io::Result<Child> {
        let config = dir.join("mirror.properties");
        let topic = crate::broker::TOPIC;
        let own = format!(
            "source.bootstrap.servers=127.0.0.1:{from}\n\
             target.bootstrap.servers=127.0.0.1:{to}\ntopics={topic}\n{MIRROR}"
        );
        fs::write(&config, own)?;
        let class = "org.apache.kafka.connect.mirror.MirrorMaker";
        let mut java = self.java(class, &dir.join("mirror.log"))?;
        Child::start(java.arg(config))
    }
}

impl<'r> Cluster<'r> {
    /// A cluster in a new directory, with node 1 up.
    pub(super) fn start(release: &'r Release, dir: PathBuf) -> io::Result<Cluster<'r>> {
        let mut cluster = Cluster {
            release,
            controller: free_port()?,
            dir,
            nodes: Vec::new(),
        };
        fs::create_dir_all(&cluster.dir)?;
        cluster.add_node()?;
        Ok(cluster)
    }

    /// Starts another node and waits until it is one of the cluster.
    pub(super) fn add_node(&mut self) -> io::Result<()> {
        let id = self.nodes.len() + 1;
        let (port, controller) = (free_port()?, self.controller);
        let logs = std::path::absolute(self.dir.join(format!("node-{id}")))?;
        let (roles, listener) = match id {
            1 => (
                "broker,controller",
                format!(",CONTROLLER://127.0.0.1:{controller}"),
            ),
            _ => ("broker", String::new()),
        };
        let config = self.dir.join(format!("node-{id}.properties"));
        let own = format!(
            "node.id={id}\nprocess.roles={roles}\nlog.dirs={}\n\
             listeners=PLAINTEXT://127.0.0.1:{port}{listener}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n{COMMON}",
            logs.display()
        );
        fs::write(&config, own)?;
        let log = self.dir.join(format!("node-{id}.log"));
        let mut format = self.release.java("kafka.tools.StorageTool", &log)?;
        format.args(["format", "-t", "cGVyZi1jb21wYXJpc29uLQ", "-c"]);
        succeed(format.arg(&config))?;
        let mut java = self.release.java("kafka.Kafka", &log)?;
        let process = Child::start(java.arg(&config))?;
        self.nodes.push(Node {
            port,
            process,
            logs,
        });
        until("the cluster knows its nodes", || {
            let known = Client::connect(port).and_then(|mut client| client.brokers());
            Ok(known.is_ok_and(|brokers| brokers == id))
        })
    }

    /// Where its controller listens.
    pub(super) fn controller(&self) -> u16 {
        self.controller
    }

    /// Node `id`.
    pub(super) fn node(&self, id: usize) -> &Node {
        &self.nodes[id - 1]
    }
}

/// Asks again and again until the answer is yes.
pub(super) fn until(what: &str, mut holds: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds()? {
        if Instant::now() > deadline {
            let waited = format!("waited in vain for {PATIENCE:?} that {what}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, waited));
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

pub(super) fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

fn succeed(command: &mut Command) -> io::Result<()> {
    let status = command.status()?;
    let program = command.get_program().display();
    match status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("{program} has failed, {status}"))),
    }
}
