//! The fuzzer of `frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| twinlog_fuzz::run("frames", bytes));
