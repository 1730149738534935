//! The Java program of real clients and tools (`tests/kafka/Workload.java`), as seen from a test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::jars::{self, Release};
use super::jvm::Jvm;

/// The longest that one command may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(240);

/// One JVM that runs commands, one at a time; any number of clusters of its release share it.
pub(super) struct Workload {
    /// The release of its clients and tools.
    pub(super) release: Release,
    line: Mutex<Line>,
}

struct Line {
    jvm: Jvm,
    answers: Receiver<String>,
}

/// What a command answered.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Its lines.
    pub(super) lines: Vec<String>,
    fields: BTreeMap<String, String>,
}

impl Answer {
    /// Takes in its next line. With the closing one it says how the command has ended.
    pub(super) fn take(&mut self, text: &str) -> Option<Result<(), String>> {
        if let Some(part) = text.strip_prefix("| ") {
            self.lines.push(part.to_owned());
            return None;
        }
        if let Some(error) = text.strip_prefix("err ") {
            return Some(Err(error.to_owned()));
        }
        let words = text.split(' ').filter_map(|word| word.split_once('='));
        self.fields = words
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Some(Ok(()))
    }

    /// A field of the closing line.
    pub(super) fn field(&self, key: &str) -> &str {
        self.fields
            .get(key)
            .unwrap_or_else(|| panic!("no {key} in {:?}", self.fields))
    }

    /// A field that is a number.
    pub(super) fn number(&self, key: &str) -> i64 {
        self.field(key)
            .parse()
            .unwrap_or_else(|_| panic!("{key}={} is no number", self.field(key)))
    }

    /// Each line cut into its words.
    pub(super) fn words(&self) -> impl Iterator<Item = Vec<&str>> {
        self.lines.iter().map(|line| line.split(' ').collect())
    }
}

impl Workload {
    /// Starts the clients of a release, fetching it first if need be.
    pub(super) fn start(version: &str) -> Self {
        Self::of(super::archives::with(jars::prepare(version)))
    }

    /// Starts the clients of a release that is ready.
    pub(super) fn of(release: Release) -> Self {
        let version = &release.version;
        let log = jars::fresh(&format!("workload-{version}"), "log");
        // An earlier run's log is nobody's.
        drop(std::fs::remove_file(&log));
        let mut jvm = Jvm::workload(&release, &log);
        let stdout = BufReader::new(jvm.take_stdout());
        let (sender, answers) = sync_channel(1024);
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            release,
            line: Mutex::new(Line { jvm, answers }),
        }
    }

    /// Ends it in good order.
    pub(super) fn stop(&self) {
        let mut line = self
            .line
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        line.jvm.stop(Duration::from_secs(60));
    }

    /// Runs a command and panics with its words where it fails.
    pub(super) fn ask(&self, command: &str) -> Answer {
        self.try_ask(command)
            .unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Runs a command; an error is what it said. Panics where the program itself is lost.
    pub(super) fn try_ask(&self, command: &str) -> Result<Answer, String> {
        let mut line = self
            .line
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let Line { jvm, answers } = &mut *line;
        if jvm.write_line(command).is_err() {
            panic!("{command}: the workload is gone\n{}", jvm.tail());
        }
        let mut answer = Answer::default();
        loop {
            let text = match answers.recv_timeout(ANSWER_WITHIN) {
                Ok(text) => text,
                Err(RecvTimeoutError::Timeout) => {
                    panic!(
                        "{command}: no answer within {ANSWER_WITHIN:?}\n{}",
                        jvm.tail()
                    )
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("{command}: the workload is gone\n{}", jvm.tail())
                }
            };
            if let Some(ended) = answer.take(&text) {
                return ended.map(|()| answer);
            }
        }
    }
}
