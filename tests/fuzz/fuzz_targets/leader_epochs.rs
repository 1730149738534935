//! The fuzzer of `leader_epochs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| twinlog_fuzz::run("leader_epochs", bytes));
