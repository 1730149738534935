//! Which topic has which name, for the versions of Fetch that name topics and do not number them.

use std::collections::BTreeMap;

use crate::model::{TopicId, TopicName};

/// Topics by id and by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topics {
    names: BTreeMap<TopicId, TopicName>,
    ids: BTreeMap<String, TopicId>,
}

impl Topics {
    /// No topic at all: all that is needed from [`super::TOPIC_IDS_FROM`] on.
    pub const NONE: &'static Topics = &Topics {
        names: BTreeMap::new(),
        ids: BTreeMap::new(),
    };

    /// Learns a topic. Of two ids with the same name the later one is meant.
    pub fn insert(&mut self, id: TopicId, name: &TopicName) {
        self.names.insert(id, name.clone());
        self.ids.insert(name.as_str().to_owned(), id);
    }

    /// Forgets a topic.
    pub fn remove(&mut self, id: TopicId) {
        if let Some(name) = self.names.remove(&id)
            && self.ids.get(name.as_str()) == Some(&id)
        {
            self.ids.remove(name.as_str());
        }
    }

    /// The name of a topic that we know.
    #[must_use]
    pub fn name_of(&self, id: TopicId) -> Option<&TopicName> {
        self.names.get(&id)
    }

    /// The id of the topic that a peer names, if we know it.
    #[must_use]
    pub fn id_of(&self, name: &[u8]) -> Option<TopicId> {
        let name = std::str::from_utf8(name).ok()?;
        self.ids.get(name).copied()
    }
}
