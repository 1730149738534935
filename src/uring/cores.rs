//! Which cores there are for us, and being bound to one.

use std::io;

/// The cores that this process may use, in their order.
#[must_use]
pub fn cores() -> Vec<usize> {
    let mut set = empty();
    // SAFETY: the kernel writes at most the given size into the set on this stack frame.
    let code = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    let allowed = |core: &usize| {
        // SAFETY: the core is below the set's size, which CPU_ISSET also checks.
        code == 0 && unsafe { libc::CPU_ISSET(*core, &set) }
    };
    let cores: Vec<usize> = (0..libc::CPU_SETSIZE as usize).filter(allowed).collect();
    if cores.is_empty() { vec![0] } else { cores }
}

/// Binds the calling thread to `core`. Workers of a ring that is made afterwards inherit it.
pub(super) fn pin(core: usize) -> io::Result<()> {
    let mut set = empty();
    // SAFETY: CPU_SET writes within the set, whose bounds it checks.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the kernel reads the given size from the set on this stack frame.
    match unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn empty() -> libc::cpu_set_t {
    // SAFETY: a cpu_set_t is an array of integers; all zeros is the empty set.
    unsafe { std::mem::zeroed() }
}
