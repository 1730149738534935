//! Questions of the shard that follows leaders of the destination.

use crate::control::errands::{Errand, inquire};
use crate::io::World;
use crate::model::ShardId;
use crate::shard::inbox::{Answer, Asked};

use super::Node;
use super::event::Event;

impl<W: World> Node<W> {
    pub(super) fn asked_about_destination(&mut self, shard: ShardId, asked: Asked) {
        self.destination_questions.take(shard, asked);
        let Some(membership) = &self.membership else {
            return;
        };
        for asked in self.destination_questions.take_leaders() {
            let partition = membership.partition(&asked.id);
            let answer = match partition {
                Some((topic_id, _)) if topic_id != asked.topic_id => {
                    Answer::TopicRecreated { topic_id }
                }
                Some((_, partition)) => match partition.leader {
                    Some(leader) => Answer::Leader {
                        leader,
                        epoch: partition.leader_epoch,
                    },
                    None => Answer::Unavailable,
                },
                None => Answer::Unavailable,
            };
            self.answers_due.push((asked.shard, asked.cursor, answer));
        }
        self.ask_leaders_of_destination();
    }

    fn ask_leaders_of_destination(&mut self) {
        while let Some((broker, errands)) = self.destination_questions.next_batch() {
            let membership = self.membership.as_ref();
            let endpoint = membership.and_then(|membership| membership.endpoint(broker));
            let Some(endpoint) = endpoint else {
                self.destination_questions.answered(broker);
                let unavailable =
                    |errand: &Errand| (errand.shard, errand.cursor, Answer::Unavailable);
                self.answers_due.extend(errands.iter().map(unavailable));
                continue;
            };
            let us = membership.map(|membership| membership.us);
            self.errand(move |world, opening| async move {
                let answers = inquire(&world, &endpoint, &errands, opening, us).await;
                Event::Answered {
                    mirror: None,
                    broker,
                    answers,
                }
            });
        }
    }
}
