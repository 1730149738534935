//! The top level of a vault: its lock, its identity, its checkpoints and our own state file.
