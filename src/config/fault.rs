//! What can be wrong about a configuration, and where.

use crate::mirror::SettingWrong;
use crate::model::NotAnAddress;

/// One thing that is wrong in a file. Printed as `line 3: source.fetch_wait_ms: …`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {}{wrong}", prefix(key))]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// The key with its section, or the section; empty where the text is not TOML.
    pub key: String,
    /// What is wrong.
    pub wrong: Wrong,
}

/// What is wrong about a key. Values are cited as they are written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The text is not TOML.
    #[error("not TOML: {0}")]
    Syntax(String),
    /// There is no such section.
    #[error("no such section; there are {known}")]
    UnknownSection {
        /// Those that there are.
        known: String,
    },
    /// Its section has no such key.
    #[error("no such key; its section has {known}")]
    UnknownKey {
        /// Those that there are.
        known: String,
    },
    /// Values stand in sections only.
    #[error("a value outside of the sections {known}")]
    Homeless {
        /// Those that there are.
        known: String,
    },
    /// A value of another type.
    #[error("{found} where {wanted} belongs")]
    Type {
        /// What is there.
        found: &'static str,
        /// What belongs there.
        wanted: &'static str,
    },
    /// A number that is too small or too large.
    #[error("{value} is not in {min} to {max}")]
    OutOfBounds {
        /// The value.
        value: String,
        /// The least that may be.
        min: u64,
        /// The most that may be.
        max: u64,
    },
    /// A text that cannot be.
    #[error("{0}")]
    Value(String),
    /// No address where one belongs.
    #[error(transparent)]
    Address(NotAnAddress),
    /// A setting of a mirror that cannot be.
    #[error(transparent)]
    Setting(SettingWrong),
    /// What another key makes impossible or necessary.
    #[error("{0}")]
    Relation(String),
    /// A number that another key forbids.
    #[error("{low} = {low_value} is above {high} = {high_value}")]
    Above {
        /// The key that has to be the lower one.
        low: &'static str,
        /// Its value.
        low_value: u64,
        /// The key that has to be at least that.
        high: &'static str,
        /// Its value.
        high_value: u64,
    },
}

fn prefix(key: &str) -> String {
    if key.is_empty() {
        String::new()
    } else {
        format!("{key}: ")
    }
}
