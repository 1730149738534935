//! The control plane, one thread: metadata, the rare RPCs, orders to the shards and their reports.

mod options;

pub use options::Options;
