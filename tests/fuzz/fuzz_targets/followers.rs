//! The fuzzer of `followers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| twinlog_fuzz::run("followers", bytes));
