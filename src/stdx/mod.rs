//! What the standard library lacks, each small and alone.

pub mod lines;
pub mod prng;
pub mod slots;
