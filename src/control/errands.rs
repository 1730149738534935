//! What has to be asked of a broker, each as a task of its own that ends as an event.

use std::collections::BTreeMap;

use crate::io::World;
use crate::model::{BrokerId, LeaderEpoch, Offset, ShardId, TopicName, TopicPartition};
use crate::protocol::ErrorCode;
use crate::session::{
    Bound, BrokerAddress, Client, ClusterView, EpochAsked, Opening, PartitionAsked, SessionFault,
    TopicSettings,
};
use crate::shard::inbox::{Answer, CursorId, Endpoint, EpochEnd};

/// Topics whose settings are asked for in one request.
const TOPICS_PER_REQUEST: usize = 500;

/// How an errand came out.
pub(super) enum Event {
    /// The source's brokers and topics.
    Seen(Result<ClusterView, SessionFault>),
    /// Where logs begin and end, and their topics' settings.
    Began {
        asked: Vec<TopicPartition>,
        outcome: Result<Beginnings, SessionFault>,
    },
    /// Answers to questions of one broker.
    Answered {
        broker: BrokerId,
        answers: Vec<(ShardId, CursorId, Answer)>,
    },
}

/// Where the logs of one leader begin and end, and what their topics are set to.
#[derive(Default)]
pub struct Beginnings {
    pub(super) bounds: BTreeMap<TopicPartition, (Offset, Offset)>,
    /// Why there are none of the others.
    pub(super) refused: BTreeMap<TopicPartition, NoBounds>,
    pub(super) settings: BTreeMap<TopicName, TopicSettings>,
}

/// Why it is not known where a log begins and ends, though its leader was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoBounds {
    /// It does not tell.
    #[error("its leader does not tell where it begins: {0}")]
    Untold(ErrorCode),
    /// What it tells is true of no log.
    #[error(
        "broker {broker} says that {id} begins at offset {start} and ends at {end}: no log does, \
         so that neither is believed; it is asked again"
    )]
    Crossed {
        /// Who says so.
        broker: BrokerId,
        /// The partition.
        id: TopicPartition,
        /// Where the log is said to begin.
        start: Offset,
        /// Where it is said to end.
        end: Offset,
    },
}

impl Beginnings {
    /// A leader has said where a log begins and, later, where it ends.
    fn told(&mut self, broker: BrokerId, id: TopicPartition, (start, end): (Offset, Offset)) {
        if start <= end {
            self.bounds.insert(id, (start, end));
            return;
        }
        let crossed = NoBounds::Crossed {
            broker,
            id: id.clone(),
            start,
            end,
        };
        self.refused.insert(id, crossed);
    }
}

/// A question to a partition's leader.
#[derive(Clone, Debug)]
pub(super) struct Errand {
    pub(super) shard: ShardId,
    pub(super) cursor: CursorId,
    pub(super) asked: PartitionAsked,
    /// The end of this epoch; the log's bounds where there is none.
    pub(super) epoch: Option<LeaderEpoch>,
}

/// Asks a leader where its logs begin and end.
pub(super) async fn begin<W: World>(
    world: &W,
    leader: &Endpoint,
    asked: &[PartitionAsked],
    opening: Opening,
) -> Result<Beginnings, SessionFault> {
    let mut client = Client::connect(world, &BrokerAddress::from(leader), opening).await?;
    let mut beginnings = Beginnings::default();
    let mut starts: BTreeMap<TopicPartition, Offset> = BTreeMap::new();
    for (id, start) in client.list_offsets(asked, Bound::Start).await? {
        match start {
            Ok(start) => _ = starts.insert(id, start),
            Err(code) => _ = beginnings.refused.insert(id, NoBounds::Untold(code)),
        }
    }
    for (id, end) in client.list_offsets(asked, Bound::End).await? {
        match (starts.get(&id), end) {
            (Some(start), Ok(end)) => beginnings.told(leader.broker, id, (*start, end)),
            (_, Err(code)) => _ = beginnings.refused.insert(id, NoBounds::Untold(code)),
            (None, Ok(_)) => {}
        }
    }
    let mut topics: Vec<TopicName> = asked.iter().map(|asked| asked.id.topic.clone()).collect();
    topics.dedup();
    for topics in topics.chunks(TOPICS_PER_REQUEST) {
        beginnings
            .settings
            .extend(client.topic_settings(topics).await?);
    }
    Ok(beginnings)
}

/// Brings questions to the broker that leads their partitions. `replica` is us, where we are one of
/// them: then a log ends where its leader's does, and not where consumers see it end.
pub(super) async fn inquire<W: World>(
    world: &W,
    leader: &Endpoint,
    errands: &[Errand],
    opening: Opening,
    replica: Option<BrokerId>,
) -> Vec<(ShardId, CursorId, Answer)> {
    let end = replica.map_or(Bound::End, Bound::LogEnd);
    let replies = ask(world, leader, errands, opening, end)
        .await
        .unwrap_or_else(|fault| {
            tracing::debug!("{fault}");
            BTreeMap::new()
        });
    let answer = |errand: &Errand| {
        let reply = replies.get(&errand.asked.id).copied();
        (
            errand.shard,
            errand.cursor,
            reply.unwrap_or(Answer::Unavailable),
        )
    };
    errands.iter().map(answer).collect()
}

async fn ask<W: World>(
    world: &W,
    leader: &Endpoint,
    errands: &[Errand],
    opening: Opening,
    log_end: Bound,
) -> Result<BTreeMap<TopicPartition, Answer>, SessionFault> {
    let mut client = Client::connect(world, &BrokerAddress::from(leader), opening).await?;
    let mut answers = BTreeMap::new();
    let ends = errands.iter().filter_map(|errand| {
        Some(EpochAsked {
            partition: errand.asked.clone(),
            epoch: errand.epoch?,
        })
    });
    let ends: Vec<EpochAsked> = ends.collect();
    if !ends.is_empty() {
        for (id, end) in client.epoch_ends(&ends).await? {
            let known = |(epoch, end)| EpochEnd { epoch, end };
            let asked = ends.iter().find(|asked| asked.partition.id == id);
            if let (Some(asked), Ok(end)) = (asked, end) {
                let answer = Answer::EpochEnd {
                    of: asked.epoch,
                    under: asked.partition.leader_epoch,
                    end: end.map(known),
                };
                answers.insert(id, answer);
            }
        }
    }
    let bounds = errands.iter().filter(|errand| errand.epoch.is_none());
    let bounds: Vec<PartitionAsked> = bounds.map(|errand| errand.asked.clone()).collect();
    if !bounds.is_empty() {
        let mut starts = BTreeMap::new();
        for (id, start) in client.list_offsets(&bounds, Bound::Start).await? {
            starts.extend(start.ok().map(|start| (id, start)));
        }
        for (id, end) in client.list_offsets(&bounds, log_end).await? {
            if let (Some(start), Ok(end)) = (starts.get(&id), end) {
                let start = *start;
                answers.insert(id, Answer::Bounds { start, end });
            }
        }
    }
    Ok(answers)
}
