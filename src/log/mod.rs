//! One partition's log, byte for byte as Apache Kafka keeps it: decides what an append, a read or
//! a truncation means; performs nothing except in `store`, `opening`, `recovery`, `reading` and
//! `truncate`.
//!
//! | File | Says |
//! |---|---|
//! | `fact` | what a log remembers of one batch |
//! | `append` | [`Log`]: plan, then commit |
//! | `segment` | the segment that is written: its indexes, when it is full |
//! | `index` | the bytes of offset, time and transaction indexes |
//! | `epochs`, `producers` | leader epochs; idempotent producers and open transactions |
//! | `store` | the files, and the effects of a plan |
//! | `snapshots` | which snapshots of producers are kept until recovery needs them no more |
//! | `digest` | what the batches come to, kept as they come, comparable between any two logs |
//! | `lineage` | what of the log is the source's, where its epochs are a destination's |
//! | `aside` | what a cut takes away, set aside before, and what it comes to |
//! | `truncate`, `limit` | cutting a log; how far its recovery point is believed then |
//! | `retention` | which segments go with time |
//! | `sealing` | the end of every open transaction |
//! | `walk`, `large` | the batches of a file, checked, without holding more than one of it |
//! | `opening`, `recovery` | a log or a new one; from files of unknown state to a log |
//! | `reading`, `verify` | from an offset to a place in a file; is every byte as it must be |
//!
//! Invariants: batches lie in the order of their offsets, without overlap; an index names only
//! batches that lie in its segment; what [`Log::commit`] has moved lies in the file; nothing is
//! called durable before every file that holds a part of it was synced.

mod append;
mod aside;
mod describe;
mod digest;
mod epochs;
mod fact;
mod fault;
mod index;
mod large;
mod layout;
mod limit;
mod lineage;
mod opening;
mod options;
mod producers;
mod reading;
mod recovery;
mod retention;
mod sealing;
mod segment;
mod snapshots;
mod store;
mod truncate;
mod verify;
mod walk;

pub use append::Log;
pub use aside::set_aside;
pub use describe::{
    Aborted, Agreement, KnownProducer, Outcome, Piece, Transaction, describe, is_known,
};
pub use digest::{Chain, Compared, Digested, Span, compare, digest, noted_digest, whole};
pub use epochs::LeaderEpochs;
pub use fault::{LogFault, take_out};
pub use layout::is_for_us;
pub use opening::{Beginning, Opened, Recovered, open};
pub use options::{LogOptions, Retention};
pub use producers::PRODUCERS_KEPT_MS;
pub use reading::{BatchStream, Place, Reader};
pub use retention::Expiry;
pub use sealing::OpenTransaction;
pub use store::{Store, SyncPoint};
pub use truncate::{cut, cut_unsynced, discard, empty, truncate};
pub use verify::{Claims, Finding, Remedy, Verified, last_epoch, verify};

#[cfg(test)]
mod tests;
