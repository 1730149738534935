//! The real side of `io` on tokio-uring: the only folder with unsafe code.
#![expect(
    unsafe_code,
    reason = "raw ring entries point into buffers; each block says why they live long enough"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "this is where clocks, files and threads come from"
)]

mod aside;
mod clock;
mod cores;
mod disk;
mod files;
mod net;
mod operation;
mod probe;
mod ring;
mod space;

pub use clock::{RealClock, process_cpu, thread_cpu};
pub use cores::cores;
pub use disk::{RealDisk, RealFile};
pub use files::raise_open_files;
pub use net::{RealListener, RealNet, RealStream};
pub use probe::{Facts, Fault, judge, probe};
pub use ring::{RealWorld, run, spawn_thread};
pub use space::free_bytes;

#[cfg(test)]
mod tests;
