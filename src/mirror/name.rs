//! What a mirror is called.

use std::fmt;

use crate::model::TopicName;

/// A mirror's name: the rules are those of topics.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MirrorName(TopicName);

impl MirrorName {
    /// A name that follows the rules of [`TopicName`].
    #[must_use]
    pub fn new(name: &str) -> Option<MirrorName> {
        TopicName::new(name).map(MirrorName)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for MirrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
