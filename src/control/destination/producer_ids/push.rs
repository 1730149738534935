//! Pushes the destination's allocator of producer ids past a mark, a block at a time.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::super::together::together;
use super::{BLOCK, BarrierFault, Mark, Options};
use crate::io::{Clock, World};
use crate::model::{BrokerEpoch, BrokerId, Instant};
use crate::protocol::controller::{AllocateProducerIds, ProducerIdsAnswer};
use crate::session::{BrokerAddress, Client, Opening, SessionFault};

/// Who we are to the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Our node id.
    pub broker: BrokerId,
    /// The epoch of our life.
    pub epoch: BrokerEpoch,
}

/// What a push came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Ids below it have been given out.
    pub next: i64,
    /// Blocks that were taken.
    pub blocks: u64,
}

/// Takes blocks from the active controller until all ids below `mark` have been given out; `next`
/// is where the allocator is known to be. What has been taken is never given back, so that a push
/// which was cut off goes on where it was.
///
/// # Errors
/// The mark is not reached; whatever was taken remains taken.
pub async fn push<W: World>(
    world: &W,
    opening: Opening,
    (controller, us): (&BrokerAddress, Registered),
    (mark, next): (Mark, i64),
    options: &Options,
) -> Result<Pushed, BarrierFault> {
    let mut pushing = Pushing::new(mark, options);
    pushing.next = next;
    // One call tells where the allocator really is.
    let count = pushing.calls_left().min(1);
    let pushing = Rc::new(RefCell::new(pushing));
    let lane = || Lane {
        world: world.clone(),
        opening,
        controller: controller.clone(),
        call: AllocateProducerIds {
            broker: us.broker,
            epoch: us.epoch,
        },
        pushing: Rc::clone(&pushing),
    };
    for _ in 0..count {
        lane().run(1).await?;
    }
    let lanes = pushing.borrow().lanes();
    let lanes = (0..lanes).map(|_| lane().run(u64::MAX));
    let mut outcomes = together(world, lanes).await.into_iter();
    let pushing = pushing.borrow();
    match outcomes.find_map(Result::err) {
        Some(fault) if !pushing.is_done() => Err(fault),
        _ => Ok(Pushed {
            next: pushing.next,
            blocks: pushing.blocks,
        }),
    }
}

/// How far a push is.
#[derive(Debug)]
struct Pushing {
    mark: i64,
    next: i64,
    under_way: i64,
    blocks: u64,
    connections_max: i64,
    interval: Duration,
    distance_max: i64,
    /// When the next block may be asked for.
    not_before: Instant,
}

impl Pushing {
    fn new(mark: Mark, options: &Options) -> Pushing {
        Pushing {
            mark: mark.value(),
            next: 0,
            under_way: 0,
            blocks: 0,
            connections_max: i64::from(options.connections_max.max(1)),
            interval: Duration::from_secs(1) / options.blocks_per_second.max(1),
            distance_max: options.distance_max,
            not_before: Instant::default(),
        }
    }

    fn is_done(&self) -> bool {
        self.next >= self.mark
    }

    /// Blocks that have to be taken beside those that are under way.
    fn calls_left(&self) -> i64 {
        let left = self.mark.saturating_sub(self.next).max(0);
        let left = left / BLOCK + i64::from(left % BLOCK > 0);
        left.saturating_sub(self.under_way).max(0)
    }

    fn lanes(&self) -> i64 {
        self.calls_left().min(self.connections_max)
    }

    /// Begins with a block, if another one is wanted, and says when it may be asked for.
    fn begin(&mut self, now: Instant) -> Option<Instant> {
        (self.calls_left() > 0).then(|| {
            self.under_way += 1;
            let when = self.not_before.max(now);
            self.not_before = when.after(self.interval);
            when
        })
    }

    /// A block has come, or none.
    fn end(&mut self, block: Option<ProducerIdsAnswer>) -> Result<(), BarrierFault> {
        self.under_way -= 1;
        let Some(ProducerIdsAnswer {
            error,
            start,
            count,
        }) = block
        else {
            return Ok(());
        };
        if error.is_error() {
            return Err(BarrierFault::Refused(error));
        }
        let end = start.checked_add(i64::from(count));
        let Some(end) = end.filter(|_| start >= 0 && count > 0) else {
            return Err(BarrierFault::Impossible { start, count });
        };
        self.blocks += 1;
        // Blocks may come in another order than they were given.
        self.next = self.next.max(end);
        if self.mark.saturating_sub(self.next) > self.distance_max {
            return Err(BarrierFault::TooFar {
                mark: self.mark,
                next: self.next,
                distance_max: self.distance_max,
            });
        }
        Ok(())
    }
}

/// One connection to the controller.
struct Lane<W: World> {
    world: W,
    opening: Opening,
    controller: BrokerAddress,
    call: AllocateProducerIds,
    pushing: Rc<RefCell<Pushing>>,
}

impl<W: World> Lane<W> {
    async fn run(self, blocks_max: u64) -> Result<(), BarrierFault> {
        let mut client = Client::connect(&self.world, &self.controller, self.opening).await?;
        for _ in 0..blocks_max {
            let clock = self.world.clock();
            let begun = self.pushing.borrow_mut().begin(clock.now());
            let Some(when) = begun else {
                return Ok(());
            };
            clock.sleep_until(when).await;
            let block = client.ask(&self.call).await;
            self.ended(block)?;
        }
        Ok(())
    }

    fn ended(&self, block: Result<ProducerIdsAnswer, SessionFault>) -> Result<(), BarrierFault> {
        let mut pushing = self.pushing.borrow_mut();
        match block {
            Ok(block) => pushing.end(Some(block)),
            Err(fault) => {
                pushing.end(None)?;
                Err(fault.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ErrorCode;

    fn pushing(mark: i64, next: i64) -> Pushing {
        let options = Options {
            connections_max: 64,
            blocks_per_second: 100,
            distance_max: 10_000_000,
            ..Options::default()
        };
        let mut pushing = Pushing::new(Mark(mark), &options);
        pushing.next = next;
        pushing
    }

    fn block(start: i64, count: i32) -> Option<ProducerIdsAnswer> {
        Some(ProducerIdsAnswer {
            error: ErrorCode::NONE,
            start,
            count,
        })
    }

    #[test]
    fn no_more_blocks_are_taken_than_the_mark_needs() {
        let now = Instant::default();
        let mut pushing = pushing(3_500, 1_000);
        assert_eq!(pushing.lanes(), 3);
        let begun: Vec<_> = (0..5).filter_map(|_| pushing.begin(now)).collect();
        let at = |ms| now.after(Duration::from_millis(ms));
        assert_eq!(begun, [at(0), at(10), at(20)], "in their pace");
        pushing.end(block(2_000, 1_000)).expect("a block");
        pushing.end(block(1_000, 1_000)).expect("a block");
        assert_eq!((pushing.next, pushing.is_done()), (3_000, false));
        assert_eq!(pushing.begin(now), None, "one is under way");
        pushing.end(None).expect("it was lost");
        assert_eq!(pushing.begin(at(1_000)), Some(at(1_000)));
        pushing
            .end(block(4_000, 1_000))
            .expect("others take some too");
        assert!(pushing.is_done() && pushing.lanes() == 0);
    }

    #[test]
    fn what_is_done_costs_nothing_and_what_cannot_be_ends_it() {
        assert_eq!(pushing(1_000, 1_000).begin(Instant::default()), None);
        assert_eq!(pushing(0, 0).lanes(), 0);
        assert_eq!(pushing(i64::MAX, 0).lanes(), 64);
        for (start, count) in [(-1, 1_000), (0, 0), (0, -5), (i64::MAX - 1, 1_000)] {
            let mut pushing = pushing(5_000, 0);
            pushing.begin(Instant::default()).expect("wanted");
            let fault = pushing.end(block(start, count));
            assert!(matches!(fault, Err(BarrierFault::Impossible { .. })));
        }
        let mut far = pushing(10_002_000, 0);
        far.begin(Instant::default()).expect("wanted");
        let fault = far.end(block(0, 1_000));
        assert!(matches!(
            fault,
            Err(BarrierFault::TooFar { next: 1_000, .. })
        ));
        let mut refused = pushing(5_000, 0);
        refused.begin(Instant::default()).expect("wanted");
        let answer = ProducerIdsAnswer {
            error: ErrorCode::STALE_BROKER_EPOCH,
            start: 0,
            count: 0,
        };
        let fault = refused.end(Some(answer));
        assert!(matches!(fault, Err(BarrierFault::Refused(_))));
    }
}
