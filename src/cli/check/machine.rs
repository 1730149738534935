//! What this machine has: kernel, io_uring, limits, and the disk of the vault.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Lines;
use crate::cli::text;
use crate::uring;

/// A ring may need so much locked memory where the kernel counts it.
const LOCKED_BYTES_MIN: u64 = 8 << 20;
/// Besides the logs themselves: indexes, and room to go on in.
const SPARE_SHARE: u64 = 10;
/// File systems that keep what was synced, and on which Kafka is commonly run.
const PROVEN: [&str; 4] = ["ext4", "xfs", "btrfs", "zfs"];

/// Looks at everything but the disk. Says whether there is a usable ring.
pub(super) fn check(lines: &mut Lines) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let cores = uring::cores().len();
    let kernel = format!("Linux {release}, {cores} cores for us");
    match version(release) {
        Some(version) if version < (6, 0) => {
            lines.warn(
                "kernel",
                kernel,
                "use Linux 6.0 or newer: older ones are not tested",
            );
        }
        _ => lines.ok("kernel", kernel),
    }
    let probed = uring::probe();
    match &probed {
        Ok(_) => lines.ok("io_uring", "a ring can be made"),
        Err(fault) => lines.fail(
            "io_uring",
            fault.to_string(),
            "see the text: it names the setting",
        ),
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    match locked_bytes(&limits) {
        Some(limit) if limit < LOCKED_BYTES_MIN => lines.warn(
            "memlock",
            format!("{} may be locked", text::bytes(limit)),
            "raise it with `ulimit -l unlimited` or LimitMEMLOCK=infinity in the systemd unit, \
             where a kernel before 5.12 or a container counts rings against it",
        ),
        Some(u64::MAX) | None => lines.ok("memlock", "no limit"),
        Some(limit) => lines.ok("memlock", format!("{} may be locked", text::bytes(limit))),
    }
    probed.is_ok()
}

/// Major and minor number of a kernel.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|sign: char| !sign.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The soft limit of locked memory in the form of `/proc/self/limits`; the largest number where
/// there is none.
fn locked_bytes(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max locked memory"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// Looks at where the vault will be; `needed`: what the source says that its topics have.
pub(super) fn check_disk(into: &Path, needed: Option<u64>, lines: &mut Lines) {
    let Some(dir) = nearest(into) else {
        let found = format!("{} and all above it do not exist", into.display());
        return lines.fail("disk", found, "name a directory that can be made");
    };
    let kind = file_system(&dir);
    match kind.as_deref() {
        Some(kind) if PROVEN.contains(&kind) => lines.ok("file system", kind),
        Some(kind) => lines.warn(
            "file system",
            format!("{} is on {kind}", dir.display()),
            "prefer ext4 or xfs on a local disk: what a sync means elsewhere is not known",
        ),
        None => lines.warn("file system", "it is not known", "look at `findmnt`"),
    }
    match synced(&dir) {
        Ok(()) => lines.ok("sync", "a file can be written and synced"),
        Err(fault) => {
            let found = format!("{} cannot be written to: {fault}", dir.display());
            lines.fail(
                "sync",
                found,
                "give the user that runs twinlog the right to write there",
            );
        }
    }
    check_space(&dir, needed, lines);
}

fn check_space(dir: &Path, needed: Option<u64>, lines: &mut Lines) {
    let free = match uring::free_bytes(dir) {
        Ok(free) => free,
        Err(fault) => {
            let found = format!("free space is not known: {fault}");
            return lines.warn("space", found, "look at `df`");
        }
    };
    let Some(needed) = needed else {
        let found = format!(
            "{} free; the source does not tell what is needed",
            text::bytes(free)
        );
        return lines.ok("space", found);
    };
    let found = format!(
        "{} free; the topics have {} at the source",
        text::bytes(free),
        text::bytes(needed)
    );
    if free < needed {
        let next = "make room, or copy fewer topics; what is copied already counts as free";
        lines.fail("space", found, next);
    } else if free < needed.saturating_add(needed / SPARE_SHARE) {
        lines.warn(
            "space",
            found,
            "leave room for indexes and for what is still written",
        );
    } else {
        lines.ok("space", found);
    }
}

/// The directory itself, or the nearest one above it that there is.
fn nearest(dir: &Path) -> Option<PathBuf> {
    let whole = std::path::absolute(dir).ok()?;
    whole
        .ancestors()
        .find(|dir| dir.is_dir())
        .map(Path::to_owned)
}

/// The kind of the file system that holds `dir`, from the table of mounts.
fn file_system(dir: &Path) -> Option<String> {
    let real = fs::canonicalize(dir).ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    kind_in(&mounts, &real)
}

fn kind_in(mounts: &str, dir: &Path) -> Option<String> {
    let mounted = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        // Blanks in paths are written as numbers.
        let at = words.nth(1)?.replace("\\040", " ");
        let kind = words.next()?;
        dir.starts_with(&at).then_some((at.len(), kind))
    });
    // Of mounts on the same place the last one counts.
    let nearest = mounted.max_by_key(|(length, _)| *length);
    nearest.map(|(_, kind)| kind.to_owned())
}

/// Writes and syncs a file that has no name where that is possible.
fn synced(dir: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let nameless = options.write(true).custom_flags(libc::O_TMPFILE).open(dir);
    let (mut file, named) = match nameless {
        Ok(file) => (file, None),
        Err(fault) if matches!(fault.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR)) => {
            let path = dir.join(format!(".twinlog-check-{}", std::process::id()));
            (fs::File::create_new(&path)?, Some(path))
        }
        Err(fault) => return Err(fault),
    };
    let written = file.write_all(&[0; 4096]).and_then(|()| file.sync_all());
    if let Some(path) = named {
        fs::remove_file(path)?;
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_limits_and_mounts_are_read() {
        assert_eq!(version("6.1.0-13-amd64"), Some((6, 1)));
        assert_eq!(version("strange"), None);
        let limits =
            |limit: &str| format!("Max locked memory         {limit}    {limit}    bytes\n");
        assert_eq!(locked_bytes(&limits("8388608")), Some(8 << 20));
        assert_eq!(locked_bytes(&limits("unlimited")), Some(u64::MAX));
        assert_eq!(locked_bytes(""), None);
        let mounts = "/dev/a / ext4 rw 0 0\nhost:/x /far\\040away nfs4 rw 0 0\n\
                      tmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp xfs rw 0 0\n";
        let kind = |dir: &str| kind_in(mounts, Path::new(dir)).expect("mounted");
        assert_eq!(kind("/home/me"), "ext4");
        assert_eq!(kind("/far away/vault"), "nfs4");
        assert_eq!(kind("/tmp/vault"), "xfs");
        assert_eq!(kind("/tmpfile"), "ext4");
    }

    #[test]
    fn room_is_judged_by_what_is_needed() {
        let dir = tempfile::tempdir().expect("there is a temporary directory");
        let into = dir.path().join("new/vault");
        let space = |needed| {
            let mut lines = Lines::default();
            check_disk(&into, needed, &mut lines);
            let line = lines.0.pop().expect("the last one");
            assert_eq!(line.about, "space");
            line.status
        };
        assert_eq!(space(None), super::super::Status::Ok);
        assert_eq!(space(Some(1)), super::super::Status::Ok);
        assert_eq!(space(Some(u64::MAX)), super::super::Status::Fail);
        let left = fs::read_dir(dir.path()).expect("readable").count();
        assert_eq!(left, 0, "nothing is left behind");
    }
}
