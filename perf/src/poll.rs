//! Waiting for a file descriptor, but not for ever.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

/// Waits until `descriptor` can be read (a listener: accepted from; a pidfd: has ended); false
/// where that did not happen within `limit`.
pub(crate) fn readable(descriptor: BorrowedFd<'_>, limit: Duration) -> io::Result<bool> {
    let until = Instant::now() + limit;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left_ms = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
        let mut asked = libc::pollfd {
            fd: descriptor.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: `asked` is one pollfd, alive for the call; its descriptor is borrowed.
        match unsafe { libc::poll(&raw mut asked, 1, left_ms) } {
            0 => return Ok(false),
            1.. => return Ok(true),
            _ => {
                let fault = io::Error::last_os_error();
                if fault.kind() != io::ErrorKind::Interrupted {
                    return Err(fault);
                }
            }
        }
    }
}
