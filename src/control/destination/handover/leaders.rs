//! Questions to the new leaders, all at the same time.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::mpsc;

use super::super::Brokers;
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

/// What came back from one of them, with the connection if it is still of use.
struct Answered<W: World> {
    leader: BrokerId,
    client: Option<Client<W>>,
    replies: Replies,
}

/// Connections to the new leaders, kept from one look to the next. Each is asked by itself: one
/// that is silent keeps no other waiting.
pub(super) struct Leaders<W: World> {
    world: W,
    opening: Opening,
    brokers: Brokers,
    open: BTreeMap<BrokerId, Client<W>>,
    busy: BTreeSet<BrokerId>,
    answers_in: mpsc::Sender<Answered<W>>,
    answers: mpsc::Receiver<Answered<W>>,
}

impl<W: World> Leaders<W> {
    pub(super) fn new(world: &W, opening: Opening, brokers: &Brokers) -> Leaders<W> {
        // Each is asked once at a time.
        let (answers_in, answers) = mpsc::channel(brokers.len().max(1));
        Leaders {
            world: world.clone(),
            opening,
            brokers: brokers.clone(),
            open: BTreeMap::new(),
            busy: BTreeSet::new(),
            answers_in,
            answers,
        }
    }

    /// Asks all leaders that are not being asked already.
    pub(super) fn ask(&mut self, questions: Questions) {
        for (leader, asked) in questions {
            let Some(at) = self.brokers.get(&leader) else {
                tracing::warn!("broker {leader} leads partitions, and it is not known where it is");
                continue;
            };
            if !self.busy.insert(leader) {
                continue;
            }
            let open = self.open.remove(&leader);
            let asking = ask(self.world.clone(), self.opening, at.clone(), open, asked);
            let answers = self.answers_in.clone();
            self.world.spawn(async move {
                let (client, replies) = asking.await;
                let answered = Answered {
                    leader,
                    client,
                    replies,
                };
                // Whoever has handed over all does not listen any more.
                drop(answers.send(answered).await);
            });
        }
    }

    /// Waits for the next answer; for ever, where nobody is being asked. One that could not be
    /// asked says nothing: it may just be about to lead no more. May be dropped at any time.
    pub(super) async fn answer(&mut self) -> (BrokerId, Replies) {
        let answered = self
            .answers
            .recv()
            .await
            .expect("we hold a sender ourselves");
        let Answered {
            leader,
            client,
            replies,
        } = answered;
        self.busy.remove(&leader);
        self.open.extend(client.map(|client| (leader, client)));
        (leader, replies)
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
