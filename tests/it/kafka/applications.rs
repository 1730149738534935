//! Applications on the client libraries that people use: Java's, librdkafka and franz-go. All know
//! the same words (`tests/kafka/Clients.java`).

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::cluster::Cluster;
use super::jars;
use super::workload::Answer;

/// What franz-go is built with at least.
const GO_MIN: (u32, u32) = (1, 21);

/// One that can be told to write and to read.
pub(super) enum Application {
    /// On the Java client of the cluster's own release.
    Java,
    /// A program that runs for one command each, and then is gone.
    Program {
        /// What stands in the names of its topics and groups.
        name: &'static str,
        /// Where it was built.
        path: PathBuf,
    },
}

impl Application {
    /// All of them. One that cannot be built here is left out, and said to be.
    pub(super) fn all(test: &str) -> Vec<Application> {
        let mut all = vec![Application::Java];
        for (name, build) in [("rdkafka", rdkafka as Build), ("franz", franz)] {
            match build() {
                Ok(path) => all.push(Application::Program { name, path }),
                Err(missing) => super::skip(&format!("{test} with {name}"), &missing),
            }
        }
        all
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Application::Java => "java",
            Application::Program { name, .. } => name,
        }
    }

    /// Runs a command on a cluster; panics with its words where it fails.
    pub(super) fn ask(&self, cluster: &Cluster, command: &str) -> Answer {
        match self {
            Application::Java => cluster.ask(command),
            Application::Program { path, .. } => run(path, cluster, command),
        }
    }
}

fn run(path: &PathBuf, cluster: &Cluster, command: &str) -> Answer {
    let mut program = Command::new(path);
    program.args(command.split(' '));
    program.arg(format!("b={}", cluster.bootstrap()));
    let output = program.stdin(Stdio::null()).output();
    let output = output.expect("it was built");
    let said = String::from_utf8_lossy(&output.stdout);
    let mut answer = Answer::default();
    let ended = said.lines().find_map(|line| answer.take(line));
    let ended = ended.unwrap_or_else(|| Err(format!("it ended with {}", output.status)));
    if let Err(error) = ended {
        let more = String::from_utf8_lossy(&output.stderr);
        panic!("{} {command}: {error}\n{more}", path.display());
    }
    answer
}

/// Builds a program, or says what it takes.
type Build = fn() -> Result<PathBuf, String>;

fn rdkafka() -> Result<PathBuf, String> {
    let header = ["-include", "librdkafka/rdkafka.h", "-x", "c", "/dev/null"];
    if !succeeds(Command::new("cc").arg("-E").args(header)) {
        return Err("found no C compiler with librdkafka (Debian's librdkafka-dev)".to_owned());
    }
    let program = built("rdkafka");
    let mut compile = Command::new("cc");
    compile.args(["-O1", "-Wall", "-o"]).arg(&program);
    compile.arg(jars::sources().join("application.c"));
    compile.arg("-lrdkafka");
    jars::succeed(&mut compile);
    Ok(program)
}

fn franz() -> Result<PathBuf, String> {
    let (major, minor) = go_version().ok_or("found no Go (Debian's golang-go)")?;
    if (major, minor) < GO_MIN {
        return Err(format!("found Go {major}.{minor}, older than 1.21"));
    }
    let program = built("franz");
    let mut compile = Command::new("go");
    compile.current_dir(jars::sources().join("application"));
    compile.args(["build", "-o"]).arg(&program).arg(".");
    jars::fetch_with(compile.env("CGO_ENABLED", "0"));
    Ok(program)
}

/// As in `go version go1.26.8 linux/amd64`.
fn go_version() -> Option<(u32, u32)> {
    let said = Command::new("go").arg("version").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let mut numbers = said.split(' ').nth(2)?.strip_prefix("go")?.split('.');
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

/// Where a program is built. There is one test that has them, so nobody runs them meanwhile.
fn built(name: &str) -> PathBuf {
    let dir = jars::root().join("applications");
    std::fs::create_dir_all(&dir).expect("target is writable");
    dir.join(name)
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
