//! What is done with bytes from outside, as plain functions of those bytes: run by the fuzzers of
//! `tests/fuzz` on what they invent, and by `corpora` on what they have found before.
//!
//! No input may end in a panic, and what is asked of the allocator stays in proportion to it:
//! [`PER_BYTE`] bytes for each of its own and a fixed amount that each target names.

mod admin;
pub(crate) mod disk;
mod followers;
mod input;
pub(crate) mod logs;
mod mirror_state;
mod records;
mod settings;
mod small_files;
pub(crate) mod wire;

use crate::counting::allocated;

/// Bytes that may be allocated for each byte of an input, given back or not.
const PER_BYTE: u64 = 4;
/// Bytes that may be allocated beside, at most.
const BESIDE_MAX: u64 = 64 << 10;

/// One kind of input.
pub(crate) struct Target {
    /// The name of its fuzzer and of its corpus.
    pub(crate) name: &'static str,
    run: fn(&[u8]),
}

/// All of them.
pub(crate) const TARGETS: [Target; 15] = [
    target("frames", wire::frames),
    target("fetch_answers", wire::fetch_answers),
    target("answers", wire::answers),
    target("requests", wire::requests),
    target("followers", followers::followers),
    target("admin_requests", admin::admin_requests),
    target("batches", records::batches),
    target("indexes", small_files::indexes),
    target("leader_epochs", small_files::leader_epochs),
    target("snapshots", small_files::snapshots),
    target("checkpoints", small_files::checkpoints),
    target("vault_state", small_files::vault_state),
    target("mirror_state", mirror_state::mirror_state),
    target("recovery", logs::recovery),
    target("configuration", settings::configuration),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// Does with `bytes` what the target does.
pub(crate) fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.expect("one of the targets").run)(bytes);
}

/// Ten sound batches as the input of a target that puts batches together.
pub(crate) fn sound_input() -> Vec<u8> {
    input::taken_apart(&logs::ten_batches())
}

/// Runs `work`, which is about `bytes` bytes from outside and may allocate in proportion, and
/// `beside` more.
#[track_caller]
fn bounded<T>(bytes: usize, beside: u64, work: impl FnOnce() -> T) -> T {
    bounded_by(PER_BYTE, bytes, beside, work)
}

/// The same with another proportion.
#[track_caller]
fn bounded_by<T>(per_byte: u64, bytes: usize, beside: u64, work: impl FnOnce() -> T) -> T {
    assert!(beside <= BESIDE_MAX);
    let before = allocated().bytes;
    let outcome = work();
    let used = allocated().bytes - before;
    let most = per_byte * bytes as u64 + beside;
    assert!(
        used <= most,
        "{used} bytes allocated for {bytes}: {most} are allowed"
    );
    outcome
}
