//! The fuzzer of `snapshots`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| twinlog_fuzz::run("snapshots", bytes));
