//! The fuzzer of `vault_state`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| twinlog_fuzz::run("vault_state", bytes));
