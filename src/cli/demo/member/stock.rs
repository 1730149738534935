//! Stock Kafka for a demonstration: its jars, and clusters of it on loopback that end with us.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::super::{DemoFault, Stop};
use crate::cli::Misuse;
use crate::session::{BrokerAddress, ClusterView, Opening, Security, look_at};
use crate::uring;

/// The oldest Java that Kafka 4 runs on.
const JAVA_MIN: u32 = 17;
/// Which jars a release has; the tests are made with them as well.
const POM: &str = include_str!("../../../../tests/kafka/pom.xml");
/// How long a cluster may take until all its brokers are alive, or a tool until it is done.
const WITHIN: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);
/// Runs a command that is killed when standard input ends, so that it does not outlive us.
const LEASH: &str = "exec 3<&0; \"$@\" </dev/null 3<&- & it=$!; \
     { read -r _ <&3; kill -9 $it; } 2>/dev/null & wait $it";

/// A release of Kafka that can be started.
pub(super) struct Kafka {
    classpath: String,
    dir: PathBuf,
    stop: Stop,
}

/// A process that ends with us, or when this value goes.
pub(super) struct Leashed {
    child: Child,
    log: PathBuf,
}

/// A cluster: nodes from 1 on, of which the first is the controller as well.
pub(super) struct Cluster {
    nodes: Vec<Leashed>,
    /// Where its controller listens.
    pub(super) controller: BrokerAddress,
    /// Where its brokers listen for clients.
    pub(super) brokers: Vec<BrokerAddress>,
}

impl Kafka {
    /// The jars of a directory, or those that Maven fetches.
    pub(super) fn find(
        libs: Option<&Path>,
        dir: &Path,
        stop: &Stop,
        tell: &dyn Fn(&str),
    ) -> Result<Kafka, DemoFault> {
        has_java()?;
        let libs = match libs {
            Some(libs) if libs.is_dir() => libs.to_owned(),
            Some(libs) => {
                let libs = libs.display();
                let why = format!("--kafka {libs}: there is no such directory");
                return Err(Misuse::Argument(why).into());
            }
            None => {
                tell("fetching Kafka's jars by Maven, which may take minutes the first time");
                fetch(dir, stop)?
            }
        };
        Ok(Kafka {
            classpath: format!("{}/*", libs.display()),
            dir: dir.to_owned(),
            stop: stop.clone(),
        })
    }

    /// A JVM that starts fast and stays small, rather than one that runs fast for hours.
    fn java(&self, main: &str) -> Command {
        let mut java = Command::new("java");
        java.args(["-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        java.args(["-cp", &self.classpath, main]);
        java
    }

    /// Runs one of Kafka's tools and returns what it prints.
    pub(super) fn tool(&self, main: &str, args: &[&str]) -> Result<String, DemoFault> {
        let mut java = self.java(main);
        run(java.args(args), &self.dir, &self.stop)
    }

    /// Starts a cluster and waits until all its brokers are alive.
    pub(super) fn cluster(&self, name: &str, brokers: u16) -> Result<Cluster, DemoFault> {
        let ports = free_ports(usize::from(brokers) + 1)?;
        let at = |port: &u16| BrokerAddress {
            host: "127.0.0.1".to_owned(),
            port: *port,
        };
        let id = crate::model::TopicId::new(uuid::Uuid::new_v4().into_bytes()).to_string();
        let mut cluster = Cluster {
            nodes: Vec::new(),
            controller: at(&ports[0]),
            brokers: ports[1..].iter().map(at).collect(),
        };
        for (node, port) in (1..).zip(&ports[1..]) {
            let stem = self.dir.join(format!("{name}-{node}"));
            let config = stem.with_extension("properties");
            fs::write(&config, properties(node, *port, (&stem, ports[0], brokers)))?;
            let config = config.display().to_string();
            self.tool(
                "kafka.tools.StorageTool",
                &["format", "-t", &id, "-c", &config],
            )?;
            let mut java = self.java("kafka.Kafka");
            java.arg(&config);
            cluster
                .nodes
                .push(Leashed::start(&java, stem.with_extension("log"))?);
        }
        self.until(&format!("the {name} cluster is alive"), || {
            cluster.nodes.iter_mut().try_for_each(Leashed::check)?;
            let view = cluster.view().ok();
            Ok(view.is_some_and(|view| view.brokers.len() == usize::from(brokers)))
        })?;
        Ok(cluster)
    }

    /// Waits until something is so.
    pub(super) fn until(
        &self,
        what: &str,
        mut is_so: impl FnMut() -> Result<bool, DemoFault>,
    ) -> Result<(), DemoFault> {
        let deadline = Instant::now() + WITHIN;
        while !is_so()? {
            if self.stop.is_wanted() {
                return Err(DemoFault::Interrupted);
            }
            if Instant::now() > deadline {
                let seconds = WITHIN.as_secs();
                return Err(DemoFault::Said(format!("not within {seconds} s: {what}")));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Cluster {
    /// What its brokers say of it.
    pub(super) fn view(&self) -> Result<ClusterView, DemoFault> {
        let brokers = self.brokers.clone();
        let view = uring::run(None, |world| async move {
            let looked = look_at(&world, &brokers, opening()).await;
            looked.map(|(_, view)| view)
        });
        view.map_err(|fault| DemoFault::Said(fault.to_string()))
    }

    /// All of them, as tools want them.
    pub(super) fn bootstrap(&self) -> String {
        let all = self.brokers.iter().map(BrokerAddress::to_string);
        all.collect::<Vec<_>>().join(",")
    }
}

impl Leashed {
    /// Starts a command; what it says goes to `log`.
    pub(super) fn start(command: &Command, log: PathBuf) -> Result<Leashed, DemoFault> {
        let sink = File::create(&log)?;
        let mut shell = Command::new("sh");
        shell.args(["-c", LEASH, "sh"]).arg(command.get_program());
        shell.args(command.get_args());
        let child = shell
            .stdin(Stdio::piped())
            .stdout(sink.try_clone()?)
            .stderr(sink)
            // What a terminal sends is for us: we end it in our own time.
            .process_group(0)
            .spawn()?;
        Ok(Leashed { child, log })
    }

    /// Fails with the last that it said if it has ended.
    pub(super) fn check(&mut self) -> Result<(), DemoFault> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                let last = said.lines().rev().take(9).collect::<Vec<_>>();
                let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
                let log = self.log.display();
                Err(DemoFault::Said(format!(
                    "{log}: it ended, {status}\n{last}"
                )))
            }
        }
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It has nothing to lose; the leash sees to it.
        drop(self.child.wait());
    }
}

pub(super) fn opening() -> Opening {
    Opening {
        security: Security::Plaintext,
        timeout: Duration::from_secs(10),
    }
}

/// Runs a command to its end and returns what it prints.
pub(super) fn run(command: &mut Command, dir: &Path, stop: &Stop) -> Result<String, DemoFault> {
    let [out, err] = ["tool.out", "tool.err"].map(|name| dir.join(name));
    command.stdin(Stdio::null()).process_group(0);
    let mut child = command
        .stdout(File::create(&out)?)
        .stderr(File::create(&err)?)
        .spawn()?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if stop.is_wanted() {
            child.kill()?;
            child.wait()?;
            return Err(DemoFault::Interrupted);
        }
        std::thread::sleep(LOOK);
    };
    let said = fs::read_to_string(&out)?;
    if status.success() {
        return Ok(said);
    }
    let more = fs::read_to_string(&err)?;
    let what = command.get_args().map(|word| word.to_string_lossy());
    let what = what.collect::<Vec<_>>().join(" ");
    let program = command.get_program().to_string_lossy();
    Err(DemoFault::Said(format!(
        "{program} {what}: it ended, {status}\n{said}{more}"
    )))
}

fn has_java() -> Result<(), Misuse> {
    let needs = "--member needs Java 17 or newer (java), and Maven (mvn) unless --kafka is given";
    let missing = |found: String| Misuse::Argument(format!("{needs}: found {found}"));
    let said = Command::new("java").arg("-version").output();
    let said = said.map_err(|_| missing("no java".to_owned()))?;
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    let version = text.split('"').nth(1).unwrap_or_default();
    let major = version.split(['.', '-']).next().unwrap_or_default();
    match major.parse::<u32>() {
        Ok(major) if major >= JAVA_MIN => Ok(()),
        _ => Err(missing(format!("java {version}"))),
    }
}

fn fetch(dir: &Path, stop: &Stop) -> Result<PathBuf, DemoFault> {
    let (pom, libs) = (dir.join("pom.xml"), dir.join("libs"));
    fs::write(&pom, POM)?;
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "-Plog4j2", "-f"]).arg(&pom);
    maven.args(["dependency:copy-dependencies", "-DincludeScope=runtime"]);
    maven.arg(format!("-DoutputDirectory={}", libs.display()));
    match run(&mut maven, dir, stop) {
        Err(DemoFault::Source(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            let why = "--member fetches Kafka by Maven, and there is no mvn: install it, or name a \
                       release's jars with --kafka DIR";
            Err(Misuse::Argument(why.to_owned()).into())
        }
        Err(other) => Err(other),
        Ok(_) => Ok(libs),
    }
}

/// Ports that nobody listens on now. All are held until the last is found, so they differ.
pub(super) fn free_ports(count: usize) -> Result<Vec<u16>, DemoFault> {
    let held = (0..count).map(|_| TcpListener::bind("127.0.0.1:0"));
    let held = held.collect::<Result<Vec<_>, _>>()?;
    let ports = held.iter().map(|one| Ok(one.local_addr()?.port()));
    Ok(ports.collect::<std::io::Result<_>>()?)
}

/// What brokers say to each other goes over a listener of its own: there a node can join them.
fn properties(node: u16, port: u16, (dir, controller, brokers): (&Path, u16, u16)) -> String {
    let (roles, more) = match node {
        1 => (
            "broker,controller",
            format!(",CONTROLLER://127.0.0.1:{controller}"),
        ),
        _ => ("broker", String::new()),
    };
    let copies = brokers.min(2);
    format!(
        "node.id={node}\nprocess.roles={roles}\nlog.dirs={}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},INTERNAL://127.0.0.1:0{more}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port},INTERNAL://127.0.0.1:0\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,\
         CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=INTERNAL\ncontroller.listener.names=CONTROLLER\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         default.replication.factor={copies}\nauto.create.topics.enable=false\n\
         offsets.topic.num.partitions=2\noffsets.topic.replication.factor={copies}\n\
         transaction.state.log.num.partitions=2\n\
         transaction.state.log.replication.factor={copies}\n\
         transaction.state.log.min.isr=1\ngroup.initial.rebalance.delay.ms=0\n",
        dir.display()
    )
}
