//! The integration tests: one binary, so that the library is linked once.
mod allocations;
mod config_doc;
mod corpora;
mod counting;
mod demo;
mod failed_sync;
mod full_disk;
mod fuzzed;
mod inspecting;
mod kafka;
mod lying;
mod mirrors;
mod ordered;
mod promises;
mod saying;
mod tidy;
mod verifying;
