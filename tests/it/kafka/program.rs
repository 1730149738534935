//! The program as its user meets it: arguments in; exit code, output and files out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The longest that one command that ends by itself may take.
const COMMAND_WITHIN: Duration = Duration::from_secs(180);
/// How long a clean stop may take.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// A command of the program that runs; dropping kills it.
pub(super) struct Running {
    child: Child,
    words: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// A command of the program that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// The command, for messages.
    pub(super) words: String,
    /// `None` where a signal ended it.
    pub(super) code: Option<i32>,
    /// Standard output.
    pub(super) stdout: String,
    /// Standard error.
    pub(super) stderr: String,
}

/// Runs a command to its end; what it prints is kept in `dir`.
pub(super) fn run(dir: &Path, args: &[&str]) -> Ended {
    Running::start(dir, args).await_end(COMMAND_WITHIN)
}

/// Sends a signal; says whether the process was still there.
pub(super) fn signal(child: &Child, which: &str) -> bool {
    let id = child.id().to_string();
    let status = Command::new("kill").args([which, &id]).status();
    status.expect("kill is there").success()
}

impl Running {
    /// Starts a command; what it prints is kept in `dir`.
    pub(super) fn start(dir: &Path, args: &[&str]) -> Self {
        fs::create_dir_all(dir).expect("target is writable");
        let name = args.first().expect("a subcommand");
        let nth = fs::read_dir(dir).expect("it was made above").count();
        let [stdout, stderr] =
            ["out", "err"].map(|stream| dir.join(format!("{nth:03}-{name}.{stream}")));
        let mut command = Command::new(env!("CARGO_BIN_EXE_twinlog"));
        command.args(args).stdin(Stdio::null()).env("NO_COLOR", "1");
        command.stdout(File::create(&stdout).expect("the directory is there"));
        command.stderr(File::create(&stderr).expect("the directory is there"));
        let child = command.spawn().expect("cargo has built it");
        Self {
            child,
            words: format!("twinlog {}", args.join(" ")),
            stdout,
            stderr,
        }
    }

    /// The most memory that was resident in it until now, in bytes.
    pub(super) fn peak_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: u64 = kib.expect("Linux tells").parse().expect("a number");
        kib * 1024
    }

    /// How long each of its threads has run until now, by name.
    pub(super) fn worked(&self) -> BTreeMap<String, Duration> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let mut worked = BTreeMap::new();
        for thread in threads.expect("it runs") {
            let thread = thread.expect("Linux lists it").path();
            let read = |what: &str| fs::read_to_string(thread.join(what)).unwrap_or_default();
            let nanos = read("schedstat");
            let nanos = nanos.split(' ').next().and_then(|nanos| nanos.parse().ok());
            let name = read("comm").trim().to_owned();
            *worked.entry(name).or_default() += Duration::from_nanos(nanos.unwrap_or(0));
        }
        worked
    }

    /// What it has said on standard error until now.
    pub(super) fn said(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// Panics with what it said if it has ended.
    pub(super) fn assert_alive(&mut self) {
        let status = self.child.try_wait().expect("it is our child");
        assert!(
            status.is_none(),
            "{} ended with {status:?}\n{}",
            self.words,
            self.said()
        );
    }

    /// SIGKILL; no chance to tidy up.
    pub(super) fn kill(mut self) -> Ended {
        self.child.kill().expect("it is our child");
        let status = self.child.wait().expect("it is our child");
        self.ended(status)
    }

    /// SIGTERM, as an operator stops it, and waits for the clean end.
    pub(super) fn stop(self) -> Ended {
        self.signal("-TERM");
        self.await_end(STOP_WITHIN)
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
        let sent = signal(&self.child, which);
        assert!(sent, "{} had ended already\n{}", self.words, self.said());
    }

    /// Waits for it to end by itself.
    pub(super) fn await_end(mut self, within: Duration) -> Ended {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return self.ended(status);
            }
            assert!(
                Instant::now() < deadline,
                "{} did not end within {within:?}\n{}",
                self.words,
                self.said()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn ended(&self, status: ExitStatus) -> Ended {
        Ended {
            words: self.words.clone(),
            code: status.code(),
            stdout: fs::read_to_string(&self.stdout).unwrap_or_default(),
            stderr: self.said(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Ended {
    /// Panics with all that it said unless it ended with `code`.
    pub(super) fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "{}\n--- stdout\n{}\n--- stderr\n{}",
            self.words,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Panics unless standard error has every one of `words`.
    pub(super) fn expect_said(self, words: &[&str]) -> Self {
        for word in words {
            assert!(
                self.stderr.contains(word),
                "{} said nothing of {word:?}:\n{}",
                self.words,
                self.stderr
            );
        }
        self
    }

    /// The result of a command with `--json`: the last line that is an object.
    pub(super) fn json(&self) -> serde_json::Value {
        let values = self.stdout.lines().rev().map(serde_json::from_str);
        let value = serde_json::from_str(&self.stdout).ok();
        value
            .or_else(|| values.flatten().next())
            .unwrap_or_else(|| panic!("no JSON: {}", self.stdout))
    }

    /// A number of the result.
    pub(super) fn number(&self, pointer: &str) -> u64 {
        let json = self.json();
        let value = json.pointer(pointer).and_then(serde_json::Value::as_u64);
        value.unwrap_or_else(|| panic!("no number at {pointer} in {json}"))
    }
}
