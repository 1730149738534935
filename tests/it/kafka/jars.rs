//! Apache Kafka's jars and our Java programs, made ready once per version under `target/kafka`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The oldest Java that Kafka 4 brokers run on.
const JAVA_MIN: u32 = 17;
/// How often something is fetched before that counts as impossible, and the rest in between.
const FETCH_TRIES: u32 = 4;
const FETCH_REST: Duration = Duration::from_secs(10);
/// Our programs; where one has changed, all are compiled again.
const SOURCES: [(&str, &str); 9] = [
    ("Broker.java", include_str!("../../kafka/Broker.java")),
    ("Workload.java", include_str!("../../kafka/Workload.java")),
    ("Topics.java", include_str!("../../kafka/Topics.java")),
    ("Writing.java", include_str!("../../kafka/Writing.java")),
    ("Menagerie.java", include_str!("../../kafka/Menagerie.java")),
    ("Reading.java", include_str!("../../kafka/Reading.java")),
    ("Watching.java", include_str!("../../kafka/Watching.java")),
    ("Clients.java", include_str!("../../kafka/Clients.java")),
    ("Tools.java", include_str!("../../kafka/Tools.java")),
];

/// Our programs in one file, beside their classes.
const OURS: &str = "programs.jar";

/// Archives of classes (`archives.rs`).
#[derive(Debug, Clone, Default)]
pub(super) enum Archives {
    /// JVMs load everything themselves.
    #[default]
    None,
    /// Each program writes one there when it ends.
    Written(PathBuf),
    /// Each program finds its own there.
    Found(PathBuf),
}

/// One release, ready to be started.
#[derive(Debug, Clone)]
pub(super) struct Release {
    /// As in `4.3.1`.
    pub(super) version: String,
    /// Our jar first, then all others, each by its name: only then JVMs may share an archive.
    pub(super) classpath: String,
    /// What its JVMs have loaded before, so that they need not load it again.
    pub(super) archives: Archives,
    /// Where its jars are.
    pub(super) libs: PathBuf,
}

/// `target/kafka`: jars, classes, locks, and what runs leave behind.
pub(super) fn root() -> PathBuf {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let root = tmp
        .parent()
        .expect("cargo puts tmp inside target")
        .join("kafka");
    fs::create_dir_all(&root).expect("target is writable");
    root
}

/// A file there that no other test of this run has.
pub(super) fn fresh(name: &str, suffix: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nth = COUNT.fetch_add(1, Ordering::Relaxed);
    root().join(format!("{name}-{nth}.{suffix}"))
}

/// `tests/kafka`: the pom and the Java sources.
pub(super) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka")
}

/// What keeps real Kafka from being started on this machine, in words; `None` if nothing does.
pub(super) fn missing() -> Option<String> {
    let java = match java_major() {
        Some(major) if major >= JAVA_MIN => None,
        Some(major) => Some(format!("found Java {major}")),
        None => Some("found no java".to_owned()),
    };
    let tools = ["javac", "mvn"].into_iter().filter(|tool| !runs(tool));
    java.into_iter()
        .chain(tools.map(|tool| format!("found no {tool}")))
        .reduce(|a, b| a + ", " + &b)
}

fn runs(tool: &str) -> bool {
    let flag = if tool == "mvn" { "-v" } else { "-version" };
    let quiet = Command::new(tool)
        .arg(flag)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success())
}

fn java_major() -> Option<u32> {
    let said = Command::new("java").arg("-version").output().ok()?;
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    let version = text.split('"').nth(1)?;
    version.split(['.', '-']).next()?.parse().ok()
}

/// Fetches the jars of a release and compiles our programs against them, unless that was done
/// before. Several test processes may ask at once: the first one works, the others wait.
pub(super) fn prepare(version: &str) -> Release {
    let root = root();
    let lock = File::create(root.join(format!("libs-{version}.lock"))).expect("target is writable");
    lock.lock().expect("the file system knows locks");
    let libs = root.join(format!("libs-{version}"));
    if !libs.join(".complete").exists() {
        fetch(version, &libs);
    }
    let classes = root.join(format!("classes-{version}"));
    let digest = format!("{:08x}", sources_digest());
    if fs::read_to_string(classes.join(".sources")).ok().as_ref() != Some(&digest) {
        compile(&libs, &classes);
        fs::write(classes.join(".sources"), digest).expect("it was made above");
    }
    Release {
        version: version.to_owned(),
        classpath: classpath(&classes.join(OURS), &libs),
        archives: Archives::None,
        libs,
    }
}

fn classpath(ours: &Path, libs: &Path) -> String {
    let entries = fs::read_dir(libs).expect("Maven made it");
    let paths = entries.map(|entry| entry.expect("listed").path());
    let mut jars: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "jar"))
        .collect();
    jars.sort();
    jars.insert(0, ours.to_owned());
    let jars: Vec<String> = jars.iter().map(|jar| jar.display().to_string()).collect();
    jars.join(":")
}

fn fetch(version: &str, libs: &Path) {
    eprintln!("fetching Kafka {version} by Maven");
    let mut maven = Command::new("mvn");
    maven
        .args(["-q", "-B", "-f"])
        .arg(sources().join("pom.xml"));
    if !version.starts_with("3.") {
        maven.arg("-Plog4j2");
    }
    maven
        .arg("dependency:copy-dependencies")
        .arg(format!("-Dkafka.version={version}"));
    maven
        .arg("-DincludeScope=runtime")
        .arg(format!("-DoutputDirectory={}", libs.display()));
    fetch_with(&mut maven);
    File::create(libs.join(".complete")).expect("Maven made the directory");
}

fn compile(libs: &Path, classes: &Path) {
    fs::create_dir_all(classes).expect("target is writable");
    let mut javac = Command::new("javac");
    javac
        .args(["-nowarn", "-d"])
        .arg(classes)
        .arg("-cp")
        .arg(format!("{}/*", libs.display()));
    javac.args(SOURCES.map(|(name, _)| sources().join(name)));
    succeed(&mut javac);
    let mut jar = Command::new("jar");
    jar.arg("cf").arg(classes.join(OURS));
    succeed(jar.arg("-C").arg(classes).arg("."));
}

/// Runs a command that has to succeed.
pub(super) fn succeed(command: &mut Command) {
    run(command).unwrap_or_else(|why| panic!("{why}"));
}

/// The same with a command that asks a registry, which may be out of reach for a moment.
pub(super) fn fetch_with(command: &mut Command) {
    for _ in 1..FETCH_TRIES {
        match run(command) {
            Ok(()) => return,
            Err(why) => eprintln!("{why}\nonce more, in a moment"),
        }
        std::thread::sleep(FETCH_REST);
    }
    succeed(command);
}

fn run(command: &mut Command) -> Result<(), String> {
    let run = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    match run.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{command:?} ended with {}\n{}{}",
            run.status,
            String::from_utf8_lossy(&run.stdout),
            String::from_utf8_lossy(&run.stderr)
        )),
    }
}

/// Changes with any of our programs.
pub(super) fn sources_digest() -> u32 {
    let mut hash = crc32fast::Hasher::new();
    for (name, text) in SOURCES {
        hash.update(name.as_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize()
}
