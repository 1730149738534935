//! Whether this machine lets us have a ring, and what to change where it does not.

use std::fs;
use std::io;

/// What was found out about the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The kernel's release, as `uname -r` says it.
    pub release: String,
    /// `kernel.io_uring_disabled`, where the kernel has it.
    pub disabled: Option<u8>,
    /// The error number with which a ring was refused; none where one could be made.
    pub refused: Option<i32>,
}

/// Why there is no ring, and what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The kernel does not know io_uring, or not enough of it.
    #[error("Linux {release} has no io_uring that suffices; 6.0 or newer is needed")]
    Kernel {
        /// The kernel's release.
        release: String,
    },
    /// The administrator has switched it off.
    #[error(
        "io_uring is switched off (kernel.io_uring_disabled = {setting}): allow it with \
         `sysctl kernel.io_uring_disabled=0`"
    )]
    SwitchedOff {
        /// The setting.
        setting: u8,
    },
    /// Something between us and the kernel forbids it.
    #[error(
        "io_uring is forbidden here, most likely by the container's seccomp profile: start the \
         container with a profile that allows io_uring_setup, io_uring_enter and \
         io_uring_register (Docker: --security-opt seccomp=unconfined, or an own profile)"
    )]
    Forbidden,
    /// The limit of locked memory is too small for a ring.
    #[error(
        "the limit of locked memory is too small for io_uring: raise it with `ulimit -l unlimited` \
         or LimitMEMLOCK=infinity in the systemd unit"
    )]
    LockedMemory,
    /// Anything else.
    #[error("io_uring cannot be used: {0}")]
    Other(String),
}

/// Tries to make a ring.
///
/// # Errors
/// Why there is none.
pub fn probe() -> Result<Facts, Fault> {
    let mut ring = tokio_uring::uring_builder();
    let refused = match ring.setup_coop_taskrun().setup_single_issuer().build(8) {
        Ok(_ring) => None,
        Err(fault) => Some(fault.raw_os_error().unwrap_or(libc::EIO)),
    };
    let line = |path: &str| {
        fs::read_to_string(path)
            .ok()
            .map(|text| text.trim().to_owned())
    };
    let release = line("/proc/sys/kernel/osrelease").unwrap_or_else(|| "of unknown release".into());
    let disabled =
        line("/proc/sys/kernel/io_uring_disabled").and_then(|setting| setting.parse().ok());
    judge(Facts {
        release,
        disabled,
        refused,
    })
}

/// What the facts mean.
///
/// # Errors
/// Why there is no ring.
pub fn judge(facts: Facts) -> Result<Facts, Fault> {
    match (facts.refused, facts.disabled) {
        (None, _) => Ok(facts),
        (Some(libc::EPERM), Some(setting @ 1..)) => Err(Fault::SwitchedOff { setting }),
        (Some(libc::EPERM | libc::EACCES), _) => Err(Fault::Forbidden),
        (Some(libc::ENOSYS | libc::EINVAL), _) => Err(Fault::Kernel {
            release: facts.release,
        }),
        (Some(libc::ENOMEM), _) => Err(Fault::LockedMemory),
        (Some(code), _) => Err(Fault::Other(io::Error::from_raw_os_error(code).to_string())),
    }
}
