//! One run of the floor or of the engine, each with a source of its own.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Fault, Options};
use crate::batches::Shape;
use crate::broker::TOPIC;
use crate::floor::BUFFERS;
use crate::process::{Child, Ended, bind};
use crate::size::gib;

/// Each floor buffer is tried so many times before the first pair.
const WARM_UPS: u32 = 2;
const WARM_UP_BYTES_MAX: u64 = 512 << 20;
/// So many times what a run writes: nobody says which of the free pages it will get.
const HELD_TIMES: u64 = 3;

/// What a run has cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Bytes that it has moved.
    pub(crate) bytes: u64,
    /// CPU seconds for each GiB.
    pub(crate) cpu_per_gib: f64,
    /// GiB in each second.
    pub(crate) gib_per_s: f64,
    /// The most memory that was resident, in bytes.
    pub(crate) peak_bytes: u64,
    /// CPU seconds of its source for each GiB; none where the source is not ours.
    pub(crate) source_cpu_per_gib: Option<f64>,
    /// Seconds that syncing its files took after it had ended: what it had left to others.
    pub(crate) unsynced_s: f64,
}

/// Makes runs; owns the directory that they write to.
pub(crate) struct Runs<'o> {
    options: &'o Options,
    shape: Shape,
    perf: PathBuf,
    twinlog: PathBuf,
    directory: PathBuf,
    /// Sees to it that no run is charged for memory that the machine did not have.
    _memory: Child,
}

impl<'o> Runs<'o> {
    pub(crate) fn new(options: &'o Options, shape: Shape) -> Result<Runs<'o>, Fault> {
        let perf = std::env::current_exe().map_err(tried("finding this program"))?;
        let beside = || perf.with_file_name("twinlog");
        let twinlog = options.twinlog.clone().unwrap_or_else(beside);
        let own = format!("copy-{}", std::process::id());
        let directory = options.dir.join(own);
        let what = format!("creating {}", directory.display());
        fs::create_dir_all(&directory).map_err(tried(what))?;
        let held = shape.bytes().saturating_mul(HELD_TIMES);
        let (memory, _) = started(&perf, "perf hold", &["hold", &format!("--bytes={held}")])?;
        Ok(Runs {
            options,
            shape,
            _memory: memory,
            perf,
            twinlog,
            directory,
        })
    }

    /// The receive buffer with which the floor needs the least CPU, found in short runs. A whole
    /// run follows that counts for nothing but leaves warm the memory that the pairs will fill.
    pub(crate) fn best_buffer(&mut self) -> Result<u64, Fault> {
        let bytes = self.shape.bytes().min(WARM_UP_BYTES_MAX);
        let mut least = [f64::INFINITY; BUFFERS.len()];
        for _ in 0..WARM_UPS {
            for (least, buffer) in least.iter_mut().zip(BUFFERS) {
                *least = least.min(self.floor(bytes, buffer)?.cpu_per_gib);
            }
        }
        let tried = least.into_iter().zip(BUFFERS);
        let best = tried.min_by(|one, other| one.0.total_cmp(&other.0));
        let (_, buffer) = best.expect("buffers were tried");
        self.floor(self.shape.bytes(), buffer)?;
        Ok(buffer)
    }

    /// Runs the floor loop over `bytes` bytes.
    pub(crate) fn floor(&mut self, bytes: u64, buffer: u64) -> Result<Sample, Fault> {
        let amount = format!("--bytes={bytes}");
        let (source, port) = self.source("perf sender", &["sender", &amount])?;
        let mut command = Command::new(&self.perf);
        command
            .args(["floor", &amount, &format!("--buffer={buffer}")])
            .arg(format!("--from=127.0.0.1:{port}"))
            .arg("--into")
            .arg(self.kept());
        let (ended, _) = self.run("perf floor", &mut command)?;
        self.sample(bytes, ended, Some(source))
    }

    /// Runs the engine over everything that its source holds.
    pub(crate) fn engine(&mut self) -> Result<Sample, Fault> {
        let (source, from, topics) = match (&self.options.from, &self.options.topics) {
            (Some(from), Some(topics)) => (None, from.clone(), topics.as_str()),
            _ => {
                let (source, port) = self.broker()?;
                (Some(source), format!("127.0.0.1:{port}"), TOPIC)
            }
        };
        let mut command = Command::new(&self.twinlog);
        command
            .args(["copy", "--from", &from, "--topics", topics, "--into"])
            .arg(self.kept())
            .arg("--json")
            .args(&self.options.engine_arguments);
        let (ended, stdout) = self.run("twinlog copy", &mut command)?;
        let copied = copied_bytes(&stdout)?;
        let held = self.shape.bytes();
        if source.is_some() && copied != held {
            return Err(Fault::Incomplete { copied, held });
        }
        self.sample(copied, ended, source)
    }

    fn broker(&self) -> Result<(Child, u16), Fault> {
        let arguments = [
            "broker".to_owned(),
            format!("--bytes={}", self.options.bytes),
            format!("--batch-bytes={}", self.options.batch_bytes),
            format!("--partitions={}", self.options.partitions),
        ];
        self.source("perf broker", &arguments.each_ref().map(String::as_str))
    }

    /// Starts a source and reads its port.
    fn source(&self, program: &'static str, arguments: &[&str]) -> Result<(Child, u16), Fault> {
        let (source, line) = started(&self.perf, program, arguments)?;
        match line.parse() {
            Ok(port) => Ok((source, port)),
            Err(_) => Err(Fault::NoPort { program, line }),
        }
    }

    /// Runs a program to its good end; returns what it has cost and what it has printed.
    ///
    /// What the last run has written is removed only now: each run begins with as much memory just
    /// freed as it will fill.
    fn run(&self, program: &'static str, command: &mut Command) -> Result<(Ended, String), Fault> {
        if let Some(core) = self.options.core {
            bind(command, core);
        }
        // Files and not pipes: nobody has to read while the program runs.
        let [out, err] = ["out", "err"].map(|name| self.directory.join(name));
        let create = |path: &Path| File::create(path).map_err(tried(program));
        command.stdout(create(&out)?).stderr(create(&err)?);
        remove(&self.kept()).map_err(tried("removing what the last run has written"))?;
        let limit_s = self.options.limit_s;
        let child = Child::start(command).map_err(tried(program))?;
        let ended = child
            .wait(Duration::from_secs(limit_s))
            .map_err(tried(program))?
            .ok_or(Fault::Late { program, limit_s })?;
        let text = |path: &Path| fs::read(path).map_err(tried(program));
        if ended.status.success() {
            let stdout = String::from_utf8_lossy(&text(&out)?).into_owned();
            return Ok((ended, stdout));
        }
        Err(Fault::Failed {
            program,
            status: ended.status,
            says: String::from_utf8_lossy(&text(&err)?).trim_end().to_owned(),
        })
    }

    /// Ends a run: what it has cost.
    fn sample(&self, bytes: u64, ended: Ended, source: Option<Child>) -> Result<Sample, Fault> {
        let source = source.map(Child::stop).transpose();
        let source = source.map_err(tried("stopping the source"))?;
        let started = Instant::now();
        sync(&self.kept()).map_err(tried("syncing what was written"))?;
        let unsynced_s = started.elapsed().as_secs_f64();
        let moved = gib(bytes);
        Ok(Sample {
            bytes,
            cpu_per_gib: ended.cpu.as_secs_f64() / moved,
            gib_per_s: moved / ended.wall.as_secs_f64(),
            peak_bytes: ended.peak_bytes,
            source_cpu_per_gib: source.map(|source| source.cpu.as_secs_f64() / moved),
            unsynced_s,
        })
    }

    /// The file or directory that a run writes.
    fn kept(&self) -> PathBuf {
        self.directory.join("kept")
    }
}

impl Drop for Runs<'_> {
    fn drop(&mut self) {
        if let Err(fault) = fs::remove_dir_all(&self.directory) {
            eprintln!("perf: {} stays: {fault}", self.directory.display());
        }
    }
}

/// Starts this program as another process, with the first line that it prints.
fn started(
    perf: &Path,
    program: &'static str,
    arguments: &[&str],
) -> Result<(Child, String), Fault> {
    let mut command = Command::new(perf);
    command.args(arguments).stdout(Stdio::piped());
    let mut child = Child::start(&mut command).map_err(tried(program))?;
    let line = child.first_line().map_err(tried(program))?;
    Ok((child, line))
}

pub(crate) fn tried(what: impl Into<String>) -> impl FnOnce(io::Error) -> Fault {
    let what = what.into();
    |cause| Fault::Io { what, cause }
}

/// The count of bytes in the engine's result: the last line, an object.
fn copied_bytes(stdout: &str) -> Result<u64, Fault> {
    let line = stdout.trim_end().lines().last().unwrap_or_default();
    let result: Option<serde_json::Value> = serde_json::from_str(line).ok();
    result
        .and_then(|result| result.get("bytes")?.as_u64())
        .ok_or_else(|| Fault::NoResult {
            line: line.to_owned(),
        })
}

/// Syncs a file, or all files of a directory.
fn sync(path: &Path) -> io::Result<()> {
    if !path.is_dir() {
        return File::open(path)?.sync_data();
    }
    for entry in fs::read_dir(path)? {
        sync(&entry?.path())?;
    }
    Ok(())
}

/// Removes a file or directory, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        fs::remove_dir_all(path)
    } else if path.exists() {
        fs::remove_file(path)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_the_last_line() {
        let stdout = "{\"bytes\": 1}\nand then\n{\"bytes\": 4096, \"batches\": 1}\n";
        assert_eq!(copied_bytes(stdout).unwrap(), 4096);
        for wrong in ["", "{}", "[1]", "{\"bytes\": -1}", "{\"bytes\": 1}\nend"] {
            assert!(copied_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
