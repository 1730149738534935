//! `twinlog demo`: the whole of it on this machine alone, from generated load to the proof.

mod generated;
mod member;
mod served;
pub(super) mod source;

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use clap::Args;

use self::generated::Generated;
use super::copy::summary::Summary;
use super::engine::{self, Stop};
use super::verify::{Verdict, verify};
use super::{Ending, Misuse, screen, text};
use crate::audit::AuditFault;
use crate::config::Config;
use crate::control::{CopyFault, Job, Ledger, Outcome, Selection};
use crate::session::BrokerAddress;
use crate::uring;

/// Show what it does: generated topics on loopback, copied into a vault and verified.
///
/// A second process generates topics (plain, compressed, idempotent, transactional, compacted)
/// and serves them as a Kafka broker. They are copied, then followed while more is written, then
/// compared byte for byte.
#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// MiB that the source holds before the copy begins.
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    mib: u64,
    /// Seconds during which the source is followed while it is written.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Where source and vault are put; a new directory [default: in the temporary directory].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// On real Kafka instead: a mirror from one cluster onto another, and a failover. Needs Java.
    #[arg(long, conflicts_with_all = ["mib", "seconds"])]
    member: bool,
    /// The jars of a Kafka release, its libs [default: fetched by Maven].
    #[arg(long, value_name = "DIR", requires = "member")]
    kafka: Option<PathBuf>,
}

/// Why a demo that had begun came to nothing.
#[derive(Debug, thiserror::Error)]
enum DemoFault {
    /// The process that generates cannot be started or spoken to.
    #[error("the source: {0}")]
    Source(#[from] std::io::Error),
    /// It has ended by itself.
    #[error("the source has ended, {0}; its message, if it left one, stands above")]
    SourceEnded(ExitStatus),
    /// Somebody wants it to end, and nothing is to be kept.
    #[error(
        "stopped while the source was generated: nothing was copied, and what was generated is \
         removed"
    )]
    StoppedEarly,
    /// Somebody wants it to end.
    #[error("stopped before the end; what was copied so far lies in {}", .0.display())]
    Stopped(PathBuf),
    /// The same, where nothing is to be left.
    #[error("stopped before the end; nothing of it is left")]
    Interrupted,
    /// Something of the stock clusters went wrong, in words.
    #[error("{0}")]
    Said(String),
    /// A copy did not come to its end.
    #[error(transparent)]
    Copy(#[from] CopyFault),
    /// The vault could not be verified.
    #[error(transparent)]
    Audit(#[from] AuditFault),
    /// This machine cannot run it.
    #[error(transparent)]
    Misuse(#[from] Misuse),
}

impl DemoArguments {
    pub(super) fn run(self, quiet: bool) -> Result<Ending, Misuse> {
        uring::probe()?;
        let name = format!("twinlog-demo-{}", std::process::id());
        let dir = self
            .dir
            .clone()
            .unwrap_or_else(|| std::env::temp_dir().join(name));
        let vault = dir.join("vault");
        if vault.exists() {
            let vault = vault.display();
            return Err(Misuse::Argument(format!(
                "{vault} exists: choose another --dir"
            )));
        }
        let shown = match self.member {
            true => self.show_member(&dir, quiet),
            false => self.show(&dir, vault, quiet),
        };
        match shown {
            Ok(ending) => Ok(ending),
            Err(DemoFault::Misuse(misuse)) => Err(misuse),
            Err(fault) => {
                screen::say(&format!("error: {fault}"));
                Ok(Ending::Incomplete)
            }
        }
    }

    fn show_member(&self, dir: &Path, quiet: bool) -> Result<Ending, DemoFault> {
        let tell = |line: &str| {
            if !quiet {
                screen::say(line);
            }
        };
        let is_whole = member::show(dir, self.kafka.as_deref(), &tell)?;
        Ok(if is_whole {
            Ending::Done
        } else {
            Ending::Incomplete
        })
    }

    fn show(&self, dir: &Path, vault: PathBuf, quiet: bool) -> Result<Ending, DemoFault> {
        let tell = |line: &str| {
            if !quiet {
                screen::say(line);
            }
        };
        tell(&format!(
            "generating {} MiB in 5 topics of 4 partitions",
            self.mib
        ));
        let stop = Stop::listen();
        // What is to be left is the vault; the source's logs are only generated.
        let generated = Generated::begin(dir, "source")?;
        let mut source = Source::start(generated.path(), self.mib, self.seconds)?;
        let from = source.address(&stop)?;
        tell(&format!("a second process serves them on {from}"));
        let demo = Demo { from, vault, stop };
        tell("copying them with one thread per core");
        let begun = Instant::now();
        let first = demo.copy(None)?;
        let elapsed = begun.elapsed();
        let cpu = Summary::new(&first, elapsed, &demo.vault).cpu_per_gib();
        tell(&format!(
            "following them for {} s while they are written",
            self.seconds
        ));
        source.write()?;
        let live = demo.copy(Some(Duration::from_secs(self.seconds)))?;
        let last = demo.copy(None)?;
        tell("verifying every byte, and comparing every batch with the source");
        demo.end_when_stopped(&generated);
        let from = std::slice::from_ref(&demo.from);
        let verdict = verify(&demo.vault, from, &Config::default(), quiet)?;
        let was_told = screen::tell(&demo.table(&first, elapsed, cpu, &live, &verdict));
        for fault in &verdict.faults {
            screen::say(fault);
        }
        let stopped = last.ledger.stopped().count();
        Ok(
            match was_told && verdict.faults.is_empty() && stopped == 0 {
                true => Ending::Done,
                false => Ending::Incomplete,
            },
        )
    }
}

struct Demo {
    from: BrokerAddress,
    vault: PathBuf,
    stop: Stop,
}

impl Demo {
    /// From here on nothing else minds whoever wants us to end.
    fn end_when_stopped(&self, generated: &Generated) {
        let (generated, vault) = (generated.path().to_owned(), self.vault.clone());
        let stop = self.stop.clone();
        std::thread::spawn(move || {
            uring::run(None, |_| stop.wanted(None));
            generated::remove(&generated);
            screen::say(&format!("error: {}", DemoFault::Stopped(vault)));
            std::process::exit(1);
        });
    }

    /// Copies everything that is there, or follows for so long.
    fn copy(&self, follow: Option<Duration>) -> Result<Outcome, DemoFault> {
        let selection = Selection::new("demo-.*", None);
        let job = Job {
            from: vec![self.from.clone()],
            selection: selection.expect("the pattern is sound"),
            into: self.vault.clone(),
            follow: follow.is_some(),
        };
        let begun = Instant::now();
        let config = Config::default();
        let outcome = engine::copy(&config, job, &self.stop, follow, &mut |_: &Ledger| {})??;
        let is_early = follow.is_none_or(|time| begun.elapsed() < time);
        match outcome.was_stopped && is_early || self.stop.is_wanted() {
            true => Err(DemoFault::Stopped(self.vault.clone())),
            false => Ok(outcome),
        }
    }

    fn table(
        &self,
        first: &Outcome,
        elapsed: Duration,
        cpu: Option<f64>,
        live: &Outcome,
        verdict: &Verdict,
    ) -> String {
        let totals = first.ledger.totals();
        let lag = |quantile: f64| format!("{} ms", live.lag_ms.value_at_quantile(quantile));
        let gib = totals.tally.bytes as f64 / f64::from(1 << 30) / elapsed.as_secs_f64();
        let rows = [
            ("copied", text::bytes(totals.tally.bytes)),
            ("batches", text::count(totals.tally.batches)),
            ("rate", format!("{gib:.2} GiB/s")),
            (
                "CPU",
                cpu.map_or("-".to_owned(), |cpu| format!("{cpu:.2} s/GiB")),
            ),
            ("lag p50", lag(0.5)),
            ("lag p99", lag(0.99)),
            ("lag max", format!("{} ms", live.lag_ms.max())),
            ("batches compared", text::count(verdict.identical)),
            (
                "verified",
                if verdict.faults.is_empty() {
                    "yes"
                } else {
                    "NO"
                }
                .to_owned(),
            ),
        ];
        let rows = rows.map(|(what, value)| vec![what.to_owned(), value]);
        let vault = self.vault.display();
        format!(
            "\n{}\n\nthe vault lies in {vault}",
            text::table(&["", ""], &rows).trim_start()
        )
    }
}

/// The generating process; it ends with us.
struct Source(Child);

impl Source {
    fn start(dir: &Path, mib: u64, seconds: u64) -> Result<Source, DemoFault> {
        let child = Command::new(std::env::current_exe()?)
            .arg("demo-source")
            .arg("--dir")
            .arg(dir)
            .args(["--mib", &mib.to_string(), "--seconds", &seconds.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What a terminal sends is for us: we end it in our own time.
            .process_group(0)
            .spawn()?;
        Ok(Source(child))
    }

    /// Where it serves, once it has generated everything.
    fn address(&mut self, stop: &Stop) -> Result<BrokerAddress, DemoFault> {
        let stdout = self.0.stdout.take().expect("it is piped, and asked once");
        let (told, line) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(stdout).read_line(&mut line);
            // Nobody waits for it any more where we were stopped.
            drop(told.send(read.map(|_| line)));
        });
        let line = uring::run(None, |_| async {
            tokio::select! {
                line = line => Some(line.expect("the thread tells before it ends")),
                () = stop.wanted(None) => None,
            }
        });
        let line = line.ok_or(DemoFault::StoppedEarly)??;
        match line.trim().parse() {
            Ok(address) => Ok(address),
            Err(_) => Err(DemoFault::SourceEnded(self.0.wait()?)),
        }
    }

    /// Lets it write on.
    fn write(&self) -> Result<(), DemoFault> {
        use std::io::Write as _;
        let mut stdin = self.0.stdin.as_ref().expect("it is piped");
        Ok(stdin.write_all(b"write\n")?)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
