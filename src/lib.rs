//! twinlog: the map.

pub mod audit;
pub mod cli;
pub mod config;
pub mod control;
pub mod io;
pub mod log;
pub mod model;
pub mod protocol;
pub mod record;
pub mod server;
pub mod session;
pub mod shard;
pub mod source;
pub mod stdx;
pub mod uring;
pub mod vault;
