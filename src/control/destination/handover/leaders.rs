//! Questions to the new leaders, all at the same time.

use std::collections::BTreeMap;

use super::super::Brokers;
use super::super::together::together;
use super::round::Questions;
use crate::io::World;
use crate::model::{BrokerId, LeaderEpoch, Offset, TopicPartition};
use crate::protocol::ErrorCode;
use crate::session::{
    BrokerAddress, Client, EndReply, EpochAsked, EpochReply, Opening, PartitionAsked, SessionFault,
};

/// What one leader says.
#[derive(Debug, Default)]
pub(super) struct Replies {
    pub(super) ends: Vec<EndReply>,
    pub(super) epochs: BTreeMap<TopicPartition, Result<Option<(LeaderEpoch, Offset)>, ErrorCode>>,
}

/// Connections to the new leaders, kept from one look to the next.
pub(super) struct Leaders<W: World> {
    world: W,
    opening: Opening,
    brokers: Brokers,
    open: BTreeMap<BrokerId, Client<W>>,
}

impl<W: World> Leaders<W> {
    pub(super) fn new(world: &W, opening: Opening, brokers: &Brokers) -> Leaders<W> {
        Leaders {
            world: world.clone(),
            opening,
            brokers: brokers.clone(),
            open: BTreeMap::new(),
        }
    }

    /// Asks all leaders at the same time. One that cannot be asked says nothing: it may just be
    /// about to lead no more.
    pub(super) async fn ask(&mut self, questions: Questions) -> Vec<(BrokerId, Replies)> {
        let mut tasks = Vec::new();
        for (leader, asked) in questions {
            let Some(at) = self.brokers.get(&leader) else {
                tracing::warn!("broker {leader} leads partitions, and it is not known where it is");
                continue;
            };
            let open = self.open.remove(&leader);
            let task = ask(self.world.clone(), self.opening, at.clone(), open, asked);
            tasks.push(async move { (leader, task.await) });
        }
        let mut all = Vec::new();
        for (leader, (client, replies)) in together(&self.world, tasks).await {
            self.open.extend(client.map(|client| (leader, client)));
            all.push((leader, replies));
        }
        all
    }
}

async fn ask<W: World>(
    world: W,
    opening: Opening,
    at: BrokerAddress,
    open: Option<Client<W>>,
    asked: Vec<(PartitionAsked, LeaderEpoch)>,
) -> (Option<Client<W>>, Replies) {
    let answered = async {
        let mut client = match open {
            Some(client) => client,
            None => Client::connect(&world, &at, opening).await?,
        };
        let partitions: Vec<PartitionAsked> = asked.iter().map(|(one, _)| one.clone()).collect();
        let ends = client.log_ends(&partitions).await?;
        let epochs = asked
            .into_iter()
            .map(|(partition, epoch)| EpochAsked { partition, epoch });
        let epochs: Vec<EpochReply> = client.epoch_ends(&epochs.collect::<Vec<_>>()).await?;
        let epochs = epochs.into_iter().collect();
        Ok::<_, SessionFault>((client, Replies { ends, epochs }))
    };
    match answered.await {
        Ok((client, replies)) => (Some(client), replies),
        Err(fault) => {
            tracing::debug!("{fault}");
            (None, Replies::default())
        }
    }
}
