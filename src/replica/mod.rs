//! What the leader of a partition knows of its followers, and what follows from it: who is in
//! sync, and up to where records are safe.
//!
//! Pure functions of what was fetched and of what the metadata says. Proposals are for the
//! controller to decide; until it has, the high watermark heeds everybody who may be in sync.

mod high_watermark;
mod isr;
mod progress;

pub use high_watermark::{high_watermark, is_drained};
pub use isr::{Eligible, Isr, Proposal, expansion, shrinkage};
pub use progress::{Fetched, Follower, Followers};

#[cfg(test)]
pub(crate) mod tests;
