//! The fuzzer of `requests`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| twinlog_fuzz::run("requests", bytes));
