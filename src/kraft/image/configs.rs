//! Settings that were set, by what they are of.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::TopicName;

/// `ConfigResource.Type`, as far as we look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResourceKind(pub i8);

impl ResourceKind {
    /// A topic, by its name.
    pub const TOPIC: ResourceKind = ResourceKind(2);
    /// A broker, by its id; all of them where there is none.
    pub const BROKER: ResourceKind = ResourceKind(4);
}

/// Settings by kind, name of the thing, and name of the setting.
type All = BTreeMap<(ResourceKind, String), BTreeMap<String, String>>;

/// Settings; images share them until they change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configs {
    all: Arc<All>,
}

impl Configs {
    /// What was set of one thing.
    #[must_use]
    pub fn of(&self, kind: ResourceKind, resource: &str) -> Option<&BTreeMap<String, String>> {
        self.all.get(&(kind, resource.to_owned()))
    }

    /// A topic's setting: its own, or the default of all brokers. `None` where only Kafka's own
    /// default, or what stands in the brokers' files, counts.
    #[must_use]
    pub fn effective(&self, topic: &TopicName, name: &str) -> Option<&str> {
        let of = |kind, resource| self.of(kind, resource)?.get(name);
        let own = of(ResourceKind::TOPIC, topic.as_str());
        own.or_else(|| of(ResourceKind::BROKER, ""))
            .map(String::as_str)
    }

    pub(crate) fn set(&mut self, kind: i8, resource: &str, name: &str, value: Option<&str>) {
        let key = (ResourceKind(kind), resource.to_owned());
        let all = Arc::make_mut(&mut self.all);
        let settings = all.entry(key.clone()).or_default();
        match value {
            Some(value) => drop(settings.insert(name.to_owned(), value.to_owned())),
            None => drop(settings.remove(name)),
        }
        if settings.is_empty() {
            all.remove(&key);
        }
    }

    pub(super) fn forget_topic(&mut self, topic: &TopicName) {
        let key = (ResourceKind::TOPIC, topic.as_str().to_owned());
        if self.all.contains_key(&key) {
            Arc::make_mut(&mut self.all).remove(&key);
        }
    }
}
