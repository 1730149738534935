//! The fuzzer of `mirror_state`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| twinlog_fuzz::run("mirror_state", bytes));
