//! What the standard library lacks, each small and alone.

pub mod bytes;
pub mod lines;
pub mod prng;
pub mod shell;
pub mod slots;
