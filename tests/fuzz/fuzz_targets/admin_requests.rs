//! The fuzzer of `admin_requests`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| twinlog_fuzz::run("admin_requests", bytes));
