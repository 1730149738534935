//! A child process and what it has cost.

use std::io::{self, BufRead, BufReader};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::poll;

/// A running child. It is killed when this is dropped, and when this process dies.
pub(crate) struct Child {
    pid: libc::pid_t,
    /// Stands for the process and not for its number, which may be given to another.
    pidfd: OwnedFd,
    stdout: Option<ChildStdout>,
    started: Instant,
    is_reaped: bool,
}

/// A child that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// How.
    pub(crate) status: ExitStatus,
    /// User and system time of all its threads, those that the kernel ran on its behalf
    /// (io_uring's workers) included.
    pub(crate) cpu: Duration,
    /// From before its start until it was gone.
    pub(crate) wall: Duration,
    /// The most memory that was resident at a time; at the least what this process had when it
    /// started the child.
    pub(crate) peak_bytes: u64,
}

impl Child {
    /// Starts a child without standard input.
    pub(crate) fn start(command: &mut Command) -> io::Result<Child> {
        let parent = std::process::id();
        command.stdin(Stdio::null());
        // SAFETY: between fork and exec the closure makes two system calls and does not allocate.
        unsafe { command.pre_exec(move || die_with(parent)) };
        let started = Instant::now();
        let mut child = command.spawn()?;
        let pid = libc::pid_t::try_from(child.id()).expect("a process id fits its own type");
        Ok(Child {
            pid,
            pidfd: open_pidfd(pid).inspect_err(|_| drop(child.kill()))?,
            stdout: child.stdout.take(),
            started,
            is_reaped: false,
        })
    }

    /// The first line that the child writes, whose standard output has to be a pipe.
    pub(crate) fn first_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().expect("its standard output is a pipe");
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Waits until the child ends; none where it did not within `limit` and was killed.
    pub(crate) fn wait(mut self, limit: Duration) -> io::Result<Option<Ended>> {
        if poll::readable(self.pidfd.as_fd(), limit)? {
            return self.reap().map(Some);
        }
        self.stop().map(|_| None)
    }

    /// Kills the child, if it has not ended by itself, and says what it has cost so far.
    pub(crate) fn stop(mut self) -> io::Result<Ended> {
        self.kill();
        self.reap()
    }

    /// User and system time of all its threads so far, those that have ended included.
    pub(crate) fn cpu_so_far(&self) -> io::Result<Duration> {
        let told = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let unread = || io::Error::other(format!("/proc/{}/stat is not understood", self.pid));
        // Behind the program's name, in which anything may stand, the third field is the first.
        let (_, fields) = told.rsplit_once(") ").ok_or_else(unread)?;
        let ticks = |nth: usize| fields.split(' ').nth(nth - 3)?.parse::<u64>().ok();
        let spent = ticks(14).zip(ticks(15)).map(|(user, system)| user + system);
        // SAFETY: a plain system call.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        let per_second = u64::try_from(per_second).map_err(io::Error::other)?;
        Ok(Duration::from_secs(spent.ok_or_else(unread)?)
            / u32::try_from(per_second).map_err(io::Error::other)?)
    }

    /// The memory that is resident in it, mapped files included.
    pub(crate) fn resident_bytes(&self) -> io::Result<u64> {
        let path = format!("/proc/{}/status", self.pid);
        let told = std::fs::read_to_string(&path)?;
        let line = told.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024)
            .ok_or_else(|| io::Error::other(format!("{path} is not understood")))
    }

    fn kill(&self) {
        // SAFETY: a plain system call. The child was not reaped, so that the number is still its.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }

    fn reap(&mut self) -> io::Result<Ended> {
        let mut status = 0;
        let mut usage = MaybeUninit::<libc::rusage>::uninit();
        // SAFETY: both places are alive for the call and of the types that it writes.
        while unsafe { libc::wait4(self.pid, &raw mut status, 0, usage.as_mut_ptr()) } < 0 {
            let fault = io::Error::last_os_error();
            if fault.kind() != io::ErrorKind::Interrupted {
                return Err(fault);
            }
        }
        let wall = self.started.elapsed();
        self.is_reaped = true;
        // SAFETY: wait4 has succeeded and has filled it in.
        let usage = unsafe { usage.assume_init() };
        let peak_kib = u64::try_from(usage.ru_maxrss).unwrap_or(0);
        Ok(Ended {
            status: ExitStatus::from_raw(status),
            cpu: duration(usage.ru_utime) + duration(usage.ru_stime),
            wall,
            peak_bytes: peak_kib * 1024,
        })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.is_reaped {
            self.kill();
            if let Err(fault) = self.reap() {
                eprintln!("perf: process {} cannot be waited for: {fault}", self.pid);
            }
        }
    }
}

/// Binds what `command` will start to one core.
pub(crate) fn bind(command: &mut Command, core: usize) {
    let bound = move || {
        // SAFETY: a cpu_set_t is an array of integers; all zeros is the empty set.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: CPU_SET writes within the set, whose bounds it checks.
        unsafe { libc::CPU_SET(core, &mut set) };
        // SAFETY: the kernel reads the given size from the set on this stack frame.
        match unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec the closure makes a system call and does not allocate.
    unsafe { command.pre_exec(bound) };
}

/// Runs in the child: asks the kernel to kill it when its parent dies.
fn die_with(parent: u32) -> io::Result<()> {
    // SAFETY: a plain system call on this process.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // The parent may have died before.
    if std::os::unix::process::parent_id() == parent {
        Ok(())
    } else {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

fn open_pidfd(pid: libc::pid_t) -> io::Result<OwnedFd> {
    // SAFETY: a plain system call with numbers as arguments.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    match i32::try_from(descriptor) {
        // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
        Ok(descriptor @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> Child {
        Child::start(
            Command::new("sh")
                .args(["-c", script])
                .stdout(Stdio::piped()),
        )
        .unwrap()
    }

    #[test]
    fn a_busy_child_is_charged_and_a_sleeping_one_is_not() {
        let count = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let busy = shell(count).wait(LONG).unwrap().unwrap();
        assert!(busy.status.success());
        assert!(busy.cpu > Duration::from_millis(20), "{busy:?}");
        assert!(busy.peak_bytes > 100_000, "{busy:?}");
        let idle = shell("sleep 0.3").wait(LONG).unwrap().unwrap();
        assert!(idle.wall >= Duration::from_millis(300), "{idle:?}");
        assert!(idle.cpu < busy.cpu, "{idle:?} {busy:?}");
    }

    #[test]
    fn a_child_that_is_late_is_killed() {
        let started = Instant::now();
        let late = shell("exec sleep 60").wait(Duration::from_millis(50));
        assert!(late.unwrap().is_none());
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_dropped_child_is_gone() {
        let mut child = shell("echo there; exec sleep 60");
        assert_eq!(child.first_line().unwrap(), "there");
        let pid = child.pid;
        drop(child);
        // SAFETY: signal 0 only asks whether the process is there.
        assert_eq!(unsafe { libc::kill(pid, 0) }, -1);
    }

    #[test]
    fn an_exit_code_is_told() {
        let ended = shell("exit 3").wait(LONG).unwrap().unwrap();
        assert_eq!(ended.status.code(), Some(3));
    }
}
