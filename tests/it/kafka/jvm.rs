//! A Java process of ours: started, watched, and gone when the test is.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::jars::{self, Archives, Release};
use super::program;

/// How many lines of a log are shown where a process disappoints.
const TAIL_LINES: usize = 40;

/// One JVM. Its programs end with their standard input, so it dies with this process even where
/// this process is killed; dropping kills it.
pub(super) struct Jvm {
    child: Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
}

impl Jvm {
    /// Starts a node of a cluster; what it prints is appended to `log`.
    pub(super) fn broker(release: &Release, config: &str, log: &Path) -> Self {
        let sink = append(log);
        let mut java = java(release, 320, "Broker", log);
        java.arg(config).stdout(sink);
        Self::spawn(java, log)
    }

    /// Starts the clients: its standard output is for [`Jvm::take_stdout`].
    pub(super) fn workload(release: &Release, log: &Path) -> Self {
        let mut java = java(release, 512, "Workload", log);
        java.stdout(Stdio::piped());
        Self::spawn(java, log)
    }

    fn spawn(mut java: Command, log: &Path) -> Self {
        let mut child = java
            .stdin(Stdio::piped())
            .spawn()
            .expect("java was found before");
        let stdin = child.stdin.take();
        Self {
            child,
            stdin,
            log: log.to_owned(),
        }
    }

    /// What it prints, once.
    pub(super) fn take_stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("stdout is taken once")
    }

    /// Writes one line to its input; an error means that it is gone.
    pub(super) fn write_line(&mut self, line: &str) -> std::io::Result<()> {
        let stdin = self.stdin.as_mut().expect("open until drop");
        stdin.write_all(format!("{line}\n").as_bytes())?;
        stdin.flush()
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// SIGKILL, and waits for the end.
    pub(super) fn kill(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        drop(self.child.kill());
        self.child.wait().expect("it is our child");
    }

    /// SIGSTOP: it neither answers nor asks, and its connections stand.
    pub(super) fn pause(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub(super) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, which: &str) {
        assert!(program::signal(&self.child, which), "it runs");
    }

    /// Asks for a clean shutdown; killed where that takes longer than `patience`.
    pub(super) fn stop(&mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        if self.write_line("stop").is_ok() {
            while self.ended().is_none() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        if self.ended().is_none() {
            eprintln!(
                "no clean shutdown within {patience:?}: {}",
                self.log.display()
            );
        }
        self.kill();
    }

    /// The last lines of its log, with the log's place.
    pub(super) fn tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(TAIL_LINES);
        format!(
            "--- end of {}\n{}",
            self.log.display(),
            lines[from..].join("\n")
        )
    }
}

/// What Kafka's own scripts have a broker run with.
const AS_STARTED_BY_SCRIPTS: [&str; 6] = [
    "-Xmx1g",
    "-Xms1g",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
];

/// A JVM that starts fast and stays small, rather than one that runs fast for hours; where
/// `TWINLOG_KAFKA_JVM=scripts` asks for it, brokers run as Kafka's scripts start them.
fn java(release: &Release, heap_mb: u32, main: &str, log: &Path) -> Command {
    let sources = jars::sources();
    let mut java = Command::new("java");
    let chosen = std::env::var("TWINLOG_KAFKA_JVM");
    if main == "Broker" && chosen.as_deref() == Ok("scripts") {
        java.args(AS_STARTED_BY_SCRIPTS);
    } else {
        java.arg(format!("-Xmx{heap_mb}m"));
        java.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    }
    java.arg("-XX:-UsePerfData");
    java.arg(format!(
        "-Dlog4j.configuration=file:{}",
        sources.join("log4j.properties").display()
    ));
    java.arg(format!(
        "-Dlog4j2.configurationFile={}",
        sources.join("log4j2.properties").display()
    ));
    match &release.archives {
        Archives::None => {}
        Archives::Written(dir) => {
            java.arg(format!(
                "-XX:ArchiveClassesAtExit={}/{main}.jsa",
                dir.display()
            ));
        }
        Archives::Found(dir) => {
            java.arg(format!(
                "-XX:SharedArchiveFile={}/{main}.jsa",
                dir.display()
            ));
        }
    }
    // What it thinks of an archive is no answer.
    java.args(["-Xlog:disable", "-Xlog:all=error:stderr"]);
    java.args(["-cp", &release.classpath, main])
        .stderr(append(log));
    java
}

fn append(log: &Path) -> File {
    let file = File::options().create(true).append(true).open(log);
    file.expect("the run's directory is there")
}

impl Drop for Jvm {
    fn drop(&mut self) {
        self.kill();
    }
}
