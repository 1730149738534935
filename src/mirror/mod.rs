//! What is mirrored, where each partition of it is, and the records that keep both.
//!
//! A pure machine: time and chance come in as arguments, what is to be done goes out as values.
//! Whoever drives a [`Partition`] tells it what happened and does what [`Partition::step`] answers:
//! write a record, carry out an action, wait. It decides, then has the decision written, and asks
//! for the action only when the write is known to be kept. It is the same with operators' wishes: a
//! [`Registry`] answers with records, and [`StateLog`] takes them in once they are kept.
//!
//! Absent on purpose: what an action does. Aligning, fetching and stopping belong to those who own
//! logs and connections; each has to be safe to repeat.

mod lifecycle;
mod name;
mod partition;
mod records;
mod refusal;
mod registry;
mod retry;
mod selection;
mod settings;
mod state_log;

pub use lifecycle::{Decision, Desired, State, allowed, decide, is_terminal, resumed};
pub use name::MirrorName;
pub use partition::{Action, Ending, Input, Partition, Step, Ticket, WriteRefusal};
pub use records::{
    ClusterMirror, HandOver, LastMirrorEpochs, MirrorPartitionState, MirrorTopic, PartitionKey,
    Record, RecordFault, StateEpoch, WayBack,
};
pub use refusal::Refusal;
pub use registry::{
    MIRRORS_MAX, Mirror, PATTERNS_MAX, PartitionStates, Plan, Positions, Recovery, Registry,
    TOPICS_EXCLUDE, TOPICS_INCLUDE,
};
pub use retry::{Retry, RetryOptions};
pub use selection::{Pattern, Selection, SelectionFault};
pub use settings::{MirrorSettings, SETTINGS, Setting, SettingFault, SettingKind, SettingWrong};
pub use state_log::{ReplayFault, ReplayFaultKind, StateLog};
