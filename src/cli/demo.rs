//! `twinlog demo`: the whole of it on this machine alone, from generated load to the proof.

mod served;
pub(super) mod source;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;

use super::copy::summary::Summary;
use super::verify::{Verdict, verify};
use super::{Ending, Misuse, engine, screen, text};
use crate::config::Config;
use crate::control::{Job, Ledger, Outcome, Selection};
use crate::session::BrokerAddress;

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
}

impl DemoArguments {
    pub(super) fn run(self, quiet: bool) -> Result<Ending, Misuse> {
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
        let tell = |line: &str| {
            if !quiet {
                screen::say(line);
            }
        };
        tell(&format!(
            "generating {} MiB in 5 topics of 4 partitions",
            self.mib
        ));
        let source = Source::start(&dir.join("source"), self.mib, self.seconds)?;
        tell(&format!(
            "a second process serves them on {}",
            source.address
        ));
        let demo = Demo {
            from: source.address.clone(),
            vault,
        };
        tell("copying them with one thread per core");
        let begun = Instant::now();
        let first = demo.copy(None)?;
        let (first, elapsed) = (first, begun.elapsed());
        let summary = Summary::new(&first, elapsed, &demo.vault);
        let cpu = summary.cpu_per_gib();
        tell(&format!(
            "following them for {} s while they are written",
            self.seconds
        ));
        source.write()?;
        let live = demo.copy(Some(Duration::from_secs(self.seconds)))?;
        let last = demo.copy(None)?;
        tell("verifying every byte, and comparing every batch with the source");
        let verdict = verify(&demo.vault, std::slice::from_ref(&demo.from), quiet)
            .map_err(|fault| Misuse::Argument(fault.to_string()))?;
        println!("{}", demo.table(&first, elapsed, cpu, &live, &verdict));
        for fault in &verdict.faults {
            screen::say(fault);
        }
        let stopped = last.ledger.stopped().count();
        // What is left is the vault; the source's logs were only generated.
        drop(std::fs::remove_dir_all(dir.join("source")));
        Ok(match verdict.faults.is_empty() && stopped == 0 {
            true => Ending::Done,
            false => Ending::Incomplete,
        })
    }
}

struct Demo {
    from: BrokerAddress,
    vault: PathBuf,
}

impl Demo {
    /// Copies everything that is there, or follows for so long.
    fn copy(&self, follow: Option<Duration>) -> Result<Outcome, Misuse> {
        let selection = Selection::new("demo-.*", None);
        let job = Job {
            from: vec![self.from.clone()],
            selection: selection.expect("the pattern is sound"),
            into: self.vault.clone(),
            follow: follow.is_some(),
        };
        let outcome = engine::copy(&Config::default(), job, follow, &mut |_: &Ledger| {})?;
        outcome.map_err(|fault| Misuse::Argument(fault.to_string()))
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
struct Source {
    child: Child,
    address: BrokerAddress,
}

impl Source {
    fn start(dir: &Path, mib: u64, seconds: u64) -> Result<Source, Misuse> {
        let failed = |error: std::io::Error| Misuse::Argument(format!("the source: {error}"));
        let program = std::env::current_exe().map_err(failed)?;
        let mut child = Command::new(program)
            .arg("demo-source")
            .arg("--dir")
            .arg(dir)
            .args(["--mib", &mib.to_string(), "--seconds", &seconds.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .map_err(failed)?;
        let address = line.trim().parse().map_err(|_| {
            Misuse::Argument("the source has ended; its message stands above".to_owned())
        })?;
        Ok(Source { child, address })
    }

    /// Lets it write on.
    fn write(&self) -> Result<(), Misuse> {
        use std::io::Write as _;
        let mut stdin = self.child.stdin.as_ref().expect("it is piped");
        let written = stdin.write_all(b"write\n");
        written.map_err(|error| Misuse::Argument(format!("the source: {error}")))
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
