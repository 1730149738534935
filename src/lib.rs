//! twinlog: the map.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "in a test a panic is the verdict")
)]

pub mod io;
pub mod model;
