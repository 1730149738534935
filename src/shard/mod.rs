//! One core's share of the engine: owns its partitions and connections alone; the only way in is an `Event`.

mod options;

pub use options::Options;
