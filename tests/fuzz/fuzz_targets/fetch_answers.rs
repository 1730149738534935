//! The fuzzer of `fetch_answers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| twinlog_fuzz::run("fetch_answers", bytes));
