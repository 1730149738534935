//! Leading partitions of a stock cluster: what control and shards tell the thread that stock
//! brokers fetch from, what it reports, and for how long it may speak as a leader.

pub mod inbox;
mod lease;

pub use lease::Lease;
