//! What a leader decides, what it reads, and what followers see of it over a socket.

mod idling;
mod logs;
mod partition;
mod records;
mod replayed;
mod scene;
mod serving;
mod syncing;
