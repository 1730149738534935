//! How many files may be open: the limit is raised as far as we may, and named when it is met.

use std::io;

/// A partition has three or four files of its last segment open.
const WAY_OUT: &str = "a partition needs 3 to 4 open files: raise the limit";

/// Raises the soft limit of open files to the hard one. Returns the limit that holds from now on.
///
/// # Errors
/// What the system says; the limit is as it was.
pub fn raise_open_files() -> io::Result<u64> {
    let mut limit = limit()?;
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the kernel reads one rlimit from this stack frame.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur)
}

fn limit() -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one rlimit into this stack frame.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } {
        0 => Ok(limit),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Says which limit was met, where a file or socket could not be opened for want of room.
pub(super) fn named(fault: io::Error) -> io::Error {
    let text = match fault.raw_os_error() {
        Some(libc::EMFILE) => {
            let most = limit().map_or_else(|_| "?".to_owned(), |limit| limit.rlim_max.to_string());
            format!(
                "this process may have no more than {most} open files (the hard limit, \
                 RLIMIT_NOFILE); {WAY_OUT} with `ulimit -Hn` or LimitNOFILE= in the systemd unit"
            )
        }
        Some(libc::ENFILE) => format!(
            "the whole system may have no more open files (fs.file-max); {WAY_OUT} with \
             `sysctl fs.file-max`"
        ),
        _ => return fault,
    };
    io::Error::new(fault.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_want_of_room_is_named() {
        let text = |code| named(io::Error::from_raw_os_error(code)).to_string();
        assert!(text(libc::EMFILE).contains("RLIMIT_NOFILE"));
        assert!(text(libc::ENFILE).contains("fs.file-max"));
        assert!(text(libc::ENOENT).contains("No such file"));
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let now = raise_open_files().expect("who may raise it to the hard limit");
        let limit = limit().expect("there is a limit");
        assert_eq!((limit.rlim_cur, limit.rlim_max), (now, now));
    }
}
