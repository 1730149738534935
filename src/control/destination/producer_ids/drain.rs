//! Uses up the blocks of producer ids that stock brokers hold from before.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::Brokers;
use super::super::together::together;
use super::{BarrierFault, Mark, Options};
use crate::io::{Clock, World};
use crate::model::{BrokerId, ProducerId};
use crate::protocol::ErrorCode;
use crate::session::{BrokerAddress, Client, Opening};

/// A broker whose ids lie beyond the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// What it gave last.
    pub given: ProducerId,
    /// How many ids it was asked for.
    pub calls: u32,
}

/// Asks each broker for ids until it gives one beyond `mark`, all brokers at the same time. The
/// allocator has to be past the mark. Where there is nothing to use up, it is one question each.
pub async fn drain<W: World>(
    world: &W,
    opening: Opening,
    brokers: &Brokers,
    mark: Mark,
    options: &Options,
) -> BTreeMap<BrokerId, Result<Drained, BarrierFault>> {
    let tasks = brokers.iter().map(|(broker, at)| {
        let (broker, at) = (*broker, at.clone());
        let (world, options) = (world.clone(), options.clone());
        async move {
            let drained = drain_one(&world, opening, (broker, &at), mark, &options).await;
            (broker, drained)
        }
    });
    together(world, tasks).await.into_iter().collect()
}

async fn drain_one<W: World>(
    world: &W,
    opening: Opening,
    (broker, at): (BrokerId, &BrokerAddress),
    mark: Mark,
    options: &Options,
) -> Result<Drained, BarrierFault> {
    let mut client = Client::connect(world, at, opening).await?;
    let mut draining = Draining::new(broker, mark, options);
    loop {
        match draining.take(client.new_producer_id().await?)? {
            Next::Done(drained) => return Ok(drained),
            Next::Ask => {}
            Next::Wait(wait) => {
                let clock = world.clock();
                clock.sleep_until(clock.now().after(wait)).await;
            }
        }
    }
}

/// What to do after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Done(Drained),
    Ask,
    Wait(Duration),
}

struct Draining<'a> {
    broker: BrokerId,
    mark: Mark,
    options: &'a Options,
    calls: u32,
    retries: u32,
}

impl Draining<'_> {
    fn new(broker: BrokerId, mark: Mark, options: &Options) -> Draining<'_> {
        Draining {
            broker,
            mark,
            options,
            calls: 0,
            retries: 0,
        }
    }

    /// Judges one answer. A broker that has no block yet says that it is loading, and gets one.
    fn take(&mut self, answer: Result<ProducerId, ErrorCode>) -> Result<Next, BarrierFault> {
        let broker = self.broker;
        let given = match answer {
            Ok(given) => given,
            Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)
                if self.retries < self.options.drain_retries_max =>
            {
                self.retries += 1;
                let wait = Duration::from_millis(u64::from(self.options.retry_backoff_ms));
                return Ok(Next::Wait(wait));
            }
            Err(code) => return Err(BarrierFault::NoId { broker, code }),
        };
        self.calls += 1;
        let calls = self.calls;
        if self.mark.is_passed_by(given) {
            return Ok(Next::Done(Drained { given, calls }));
        }
        if calls >= self.options.drain_calls_max {
            return Err(BarrierFault::Endless {
                broker,
                given,
                calls,
                mark: self.mark.value(),
            });
        }
        Ok(Next::Ask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(value: i64) -> ProducerId {
        ProducerId::from_wire(value).expect("not negative")
    }

    #[test]
    fn a_block_is_used_up_and_no_longer_asked() {
        let options = Options {
            drain_calls_max: 3,
            drain_retries_max: 1,
            ..Options::default()
        };
        let mark = Mark(100);
        let mut draining = Draining::new(BrokerId(1), mark, &options);
        let loading = Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
        assert!(matches!(draining.take(loading), Ok(Next::Wait(_))));
        assert!(matches!(
            draining.take(loading),
            Err(BarrierFault::NoId { .. })
        ));
        assert_eq!(draining.take(Ok(id(98))).expect("one"), Next::Ask);
        assert_eq!(draining.take(Ok(id(99))).expect("two"), Next::Ask);
        let drained = Drained {
            given: id(100),
            calls: 3,
        };
        let next = draining.take(Ok(id(100))).expect("three");
        assert_eq!(next, Next::Done(drained));
        let mut endless = Draining::new(BrokerId(1), mark, &options);
        for below in 0..2 {
            assert_eq!(endless.take(Ok(id(below))).expect("few"), Next::Ask);
        }
        let fault = endless.take(Ok(id(2)));
        assert!(matches!(fault, Err(BarrierFault::Endless { calls: 3, .. })));
    }
}
