//! How long a member's logs keep records: by their topics' settings at the destination.

use std::collections::BTreeMap;

use crate::io::World;
use crate::kraft::{Configs, ResourceKind};
use crate::model::{Offset, ShardId, TopicName, TopicPartition};
use crate::shard::inbox::{Order, Retention};

use super::Node;

impl<W: World> Node<W> {
    /// What goes of a topic's logs with time; nothing where the destination was not heard of.
    pub(super) fn retention(&self, topic: &TopicName) -> Option<Retention> {
        let membership = self.membership.as_ref()?;
        Some(retention(&membership.image().configs, topic))
    }

    /// Topics, or what counts for all, have other settings: shards that lead them learn of it.
    pub(super) async fn settings_changed(&mut self, touched: &[(ResourceKind, String)]) {
        let all = touched
            .iter()
            .any(|(kind, _)| *kind == ResourceKind::BROKER);
        let is_touched = |topic: &TopicName| {
            all || touched.contains(&(ResourceKind::TOPIC, topic.as_str().to_owned()))
        };
        let led = self.partitions.values().filter_map(|one| {
            let shard = one.at_source()?;
            is_touched(&one.id.topic).then(|| (shard, one.id.clone()))
        });
        for (shard, id) in led.collect::<Vec<_>>() {
            let retention = self.retention(&id.topic);
            self.order(shard, Order::Retain { id, retention }).await;
        }
    }

    /// Up to where everybody in sync has each log: shards let nothing go behind that.
    pub(super) fn replicated(&self) -> Vec<(ShardId, Vec<(TopicPartition, Offset)>)> {
        let led = self.partitions.values().filter_map(|one| {
            let mark = one.stood.as_ref()?.high_watermark;
            Some((one.at_source()?, (one.id.clone(), mark)))
        });
        let mut by_shard: BTreeMap<ShardId, Vec<_>> = BTreeMap::new();
        for (shard, mark) in led {
            by_shard.entry(shard).or_default().push(mark);
        }
        by_shard.into_iter().collect()
    }
}

/// As `LogConfig` reads them; a topic that is only compacted keeps the newest of each key for ever.
/// What stands in brokers' files is not known here: where nothing was set, nothing goes but what
/// the source has lost as well, and each stock broker lets go of its own replica what it wants.
fn retention(configs: &Configs, topic: &TopicName) -> Retention {
    let set = |name: &str| configs.effective(topic, name);
    let number = |name: &str| set(name).and_then(|value| value.parse::<i64>().ok());
    let policy = set("cleanup.policy").unwrap_or("delete");
    if !policy.split(',').any(|one| one.trim() == "delete") {
        return Retention::default();
    }
    // Below zero there is no bound.
    let bound = |value: i64| u64::try_from(value).ok();
    Retention {
        ms: number("retention.ms").and_then(bound),
        bytes: number("retention.bytes").and_then(bound),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_is_what_was_set() {
        let topic = TopicName::new("orders").expect("legal");
        let set = |all: &[(ResourceKind, &str, &str, &str)]| {
            let mut configs = Configs::default();
            for (kind, resource, name, value) in all {
                configs.set(kind.0, resource, name, Some(value));
            }
            retention(&configs, &topic)
        };
        let (of, all) = (ResourceKind::TOPIC, ResourceKind::BROKER);
        let nothing = Retention::default();
        assert_eq!(set(&[]), nothing);
        let day = [(all, "", "retention.ms", "86400000")];
        assert_eq!(set(&day).ms, Some(86_400_000));
        let kept = [day[0], (of, "orders", "retention.ms", "-1")];
        assert_eq!(set(&kept), nothing, "its own counts");
        let compacted = [day[0], (of, "orders", "cleanup.policy", "compact")];
        assert_eq!(set(&compacted), nothing);
        let both = [day[0], (of, "orders", "cleanup.policy", "compact, delete")];
        assert_eq!(set(&both).ms, Some(86_400_000));
        let bytes = [(of, "orders", "retention.bytes", "1000")];
        let bounded = Retention {
            ms: None,
            bytes: Some(1_000),
        };
        assert_eq!(set(&bytes), bounded);
    }
}
