//! `twinlog verify --destination`: what is asked for, and how far each partition was mirrored.

use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::twins::Compared;
use super::{Ending, Misuse, VerifyArguments, bar, parting, screen};
use crate::audit::twins::{Asked, Course, Manners, News, compare};
use crate::audit::{AuditFault, Subject};
use crate::config::Config;
use crate::control::{Selection, state_file};
use crate::mirror::{PartitionKey, State, StateLog};
use crate::model::TopicPartition;
use crate::session::{Opening, Security};
use crate::uring::{self, RealDisk};

impl VerifyArguments {
    pub(super) fn run_destination(
        self,
        logs: Option<&Path>,
        config: &Config,
        quiet: bool,
    ) -> Result<Ending, Misuse> {
        let begun = Instant::now();
        let topics = self.topics.as_deref();
        let selection = Selection::new(topics.unwrap_or(".*"), self.exclude.as_deref());
        let selection = selection.map_err(|fault| Misuse::Argument(fault.to_string()))?;
        uring::probe()?;
        if let Some(path) = &self.parting {
            // Nothing of an earlier time is taken for what is found now.
            parting::clear(path)?;
        }
        let mut compared = Compared::new(topics.is_some());
        let asked = Asked {
            from: &self.from,
            destination: &self.destination,
            manners: manners(config),
            shift: config.control.producer_id_shift,
        };
        if let Err(fault) = run(asked, logs, &selection, &mut compared, quiet) {
            screen::say(&format!("error: {fault}"));
            return Ok(Ending::Incomplete);
        }
        if compared.partitions() == 0 {
            let patterns = selection.text();
            screen::say(&format!(
                "error: no topic of the destination matches {patterns}: patterns have to match a \
                 topic's whole name"
            ));
            return Ok(Ending::Incomplete);
        }
        if let Some(path) = &self.parting {
            compared.parts(path);
        }
        let was_told = screen::tell(&match self.json {
            true => compared.to_json().to_string(),
            false => compared.to_text(begun.elapsed()),
        });
        for fault in compared.faults() {
            screen::say(fault);
        }
        let is_complete = !self.complete || compared.has_all();
        if !is_complete {
            screen::say(&format!(
                "not all is compared and equal: {}",
                compared.lag()
            ));
        }
        Ok(match was_told && is_complete && compared.is_sound() {
            true => Ending::Done,
            false => Ending::Incomplete,
        })
    }
}

fn manners(config: &Config) -> Manners {
    let source = &config.shard.source;
    Manners {
        opening: Opening {
            security: Security::Plaintext,
            timeout: Duration::from_millis(config.control.request_timeout_ms.into()),
        },
        answer_bytes: i32::try_from(source.partition_fetch_bytes_max).unwrap_or(i32::MAX),
        batch_bytes_max: source.batch_bytes_max,
        patience: Duration::from_millis(config.shard.patience_ms.into()),
    }
}

fn run(
    asked: Asked<'_>,
    logs: Option<&Path>,
    selection: &Selection,
    compared: &mut Compared,
    quiet: bool,
) -> Result<(), AuditFault> {
    let subject = logs.map(|dir| Subject::look(RealDisk, dir)).transpose()?;
    if let Some(subject) = &subject {
        compared.damage(subject.damage());
    }
    let mut shown: Option<ProgressBar> = None;
    let ended = uring::run(None, |world| {
        let (compared, subject, shown) = (&mut *compared, subject.as_ref(), &mut shown);
        async move {
            let mut show = |news: News<'_>| match news {
                News::Begins(count) => *shown = Some(bar(count as u64, "comparing", quiet)),
                News::Topic(topic, side) => compared.one_sided(topic, side),
                News::Partition(id, twins) => {
                    compared.take(id, twins.map(|twins| *twins));
                    if let Some(bar) = shown {
                        bar.inc(1);
                    }
                }
            };
            let takes = |topic: &crate::model::TopicName| selection.takes(topic);
            let mut course = |id: &TopicPartition| course(logs, id);
            compare(&world, (asked, subject), &takes, &mut course, &mut show).await
        }
    });
    if let Some(bar) = shown {
        bar.finish_and_clear();
    }
    ended
}

/// How far a partition was mirrored, by the state that a node keeps beside its logs. It is read
/// anew each time: a stop may go on meanwhile.
fn course(logs: Option<&Path>, id: &TopicPartition) -> Course {
    let Some(data) = logs.and_then(Path::parent) else {
        return Course::Unknown;
    };
    match state_file::look(&RealDisk, data) {
        Ok(Some(state)) => course_in(&state, id),
        Ok(None) => Course::Unknown,
        Err(fault) => {
            tracing::warn!("how far {id} was mirrored is not known: {fault}");
            Course::Unknown
        }
    }
}

fn course_in(state: &StateLog, id: &TopicPartition) -> Course {
    let Some(topic) = state.registry().topic(&id.topic) else {
        return Course::Unknown;
    };
    let key = PartitionKey {
        mirror: topic.mirror.clone(),
        topic: topic.id,
        partition: id.partition,
    };
    let position = state
        .positions()
        .get(&key)
        .and_then(|position| position.offset);
    match (state.states().get(&key).map(|said| said.state), position) {
        (None, _) => Course::Unknown,
        (Some(State::Stopped), Some(position)) => Course::Stopped(position),
        (Some(State::Stopping | State::Stopped), _) => Course::Leaving,
        (Some(_), _) => Course::Mirrored,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::{
        Desired, LastMirrorEpochs, MirrorName, MirrorPartitionState, MirrorTopic, Record,
    };
    use crate::model::{LeaderEpoch, Offset, PartitionIndex, TopicId, TopicName};

    #[test]
    fn a_partition_has_parted_only_once_it_is_stopped() {
        let id: TopicPartition = "orders-0".parse().expect("a name");
        let mirror = MirrorName::new("dr").expect("a name");
        let key = PartitionKey {
            mirror: mirror.clone(),
            topic: TopicId::new([7; 16]),
            partition: PartitionIndex::default(),
        };
        let mut state = StateLog::new();
        let mut records = 0;
        let mut keep = |state: &mut StateLog, record| {
            let applied = state.apply(Offset::new(records), record);
            applied.expect("it follows");
            records += 1;
        };
        assert_eq!(course_in(&state, &id), Course::Unknown);
        let topic = MirrorTopic {
            id: key.topic,
            mirror,
            desired: Desired::Stopped,
            partitions: 1,
        };
        let name = TopicName::new("orders").expect("a name");
        keep(&mut state, Record::Topic(name, Some(topic)));
        assert_eq!(course_in(&state, &id), Course::Unknown);
        let end = Offset::new(42);
        for (said, expected) in [
            (State::LogAlignment, Course::Mirrored),
            (State::Mirroring, Course::Mirrored),
            (State::Failed, Course::Mirrored),
            (State::Stopping, Course::Leaving),
            (State::Stopped, Course::Stopped(end)),
        ] {
            if said == State::Stopping {
                let position = LastMirrorEpochs {
                    epoch: LeaderEpoch::new(3),
                    offset: Some(end),
                };
                keep(&mut state, Record::Position(key.clone(), Some(position)));
            }
            let said = MirrorPartitionState::begun(said);
            keep(&mut state, Record::State(key.clone(), Some(said)));
            assert_eq!(course_in(&state, &id), expected);
        }
        let other: TopicPartition = "payments-0".parse().expect("a name");
        assert_eq!(course_in(&state, &other), Course::Unknown);
    }
}
