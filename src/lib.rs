//! twinlog mirrors Apache Kafka topics from outside the broker: the same bytes, the same offsets.
//!
//! # From above
//!
//! One control thread and one shard thread per core. Control does what is rare: it looks at the
//! source's metadata, tells the shards what to mirror and writes the vault's notes. A shard owns
//! its partitions, its connections and its ring alone. Orders go down to it and reports come back,
//! both through queues with a bound; nothing else is shared.
//!
//! A batch takes one way: bytes arrive in a window (`shard::conversation`), the answer is judged
//! (`source`), the batch is checked (`record`), the append is planned, written and committed
//! (`log`). Decide, do, commit: state moves when the effect is known, never before.
//!
//! # In which order to read
//!
//! 1. Ground: [`model`], the nouns; [`stdx`], what the standard library lacks.
//! 2. Bytes: [`record`], [`protocol`], [`session`], [`io`], which is the seam to the world.
//! 3. Machines, pure and strangers to each other: [`log`], [`replica`], [`source`], [`server`],
//!    [`vault`], [`mirror`], [`kraft`].
//! 4. Composers: [`leading`], [`shard`], [`control`], [`audit`].
//! 5. Edge: [`config`], [`cli`], and [`uring`], the real side of [`io`].
//!
//! A folder knows only folders above it in this list; `tests/it/tidy.rs` has the table.
//!
//! # What always holds
//!
//! - What lies in a log is what the source has at that offset, or it is not there: every batch is
//!   checked against the request, its neighbours, its checksum and its leader epoch before it is
//!   written.
//! - A log has no batch below its start, none twice, and offsets rise.
//! - Nothing is called durable before the sync that made it so has come back.
//! - Bytes of a peer or a disk may be anything: they end in a typed fault that says whose it is. A
//!   broken invariant of our own is an assertion, in release builds too.
//! - A partition that fails stops or waits alone.
//!
//! # What is absent
//!
//! - No clock, file or socket outside [`uring`]: everything else gets them through [`io`].
//! - No lock and no shared state between shards.
//! - No unsafe code outside [`uring`].
//! - No decompression: records are never looked into, but for transaction markers.

pub mod audit;
pub mod cli;
pub mod config;
pub mod control;
pub mod generator;
pub mod io;
pub mod kraft;
pub mod leading;
pub mod log;
pub mod mirror;
pub mod model;
pub mod protocol;
pub mod record;
pub mod replica;
pub mod server;
pub mod session;
pub mod shard;
pub mod source;
pub mod stdx;
pub mod uring;
pub mod vault;
