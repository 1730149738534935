//! The bodies of the fuzzers, which `cargo test` runs as well, with the allocator that counts.

// What only the tests use of these files is dead here.
#![expect(dead_code, reason = "the same files serve the tests, which use more of them")]

#[path = "../../it/counting.rs"]
mod counting;
#[path = "../../it/fuzzed/mod.rs"]
mod fuzzed;

/// Does with `bytes` what the target of this name does.
pub fn run(name: &str, bytes: &[u8]) {
    fuzzed::run(name, bytes);
}
