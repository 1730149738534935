//! The fuzzer of `recovery`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| twinlog_fuzz::run("recovery", bytes));
