//! What it costs to lead many partitions that nobody writes to, and many into which little is
//! written.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::logs::{TOPIC, Written};
use super::scene::{EPOCH, Follower, ONE, TWO, US, id, life, wanted};
use crate::io::{Clock, World};
use crate::leading::inbox::{LeaderEpochs, Leadership, Moved, Order, Report};
use crate::leading::{Leading, Lease, Options, Ties};
use crate::model::{Instant, LeaderEpoch, Offset};
use crate::uring::{self, RealWorld, thread_cpu};

const PARTITIONS: i32 = 1_000;
const FOR: Duration = Duration::from_secs(4);

/// Leads a thousand partitions on a thread of its own, of which the first has a log in `dir`, while
/// two followers fetch them all again and again and `beside` goes on. Returns the share of a core
/// that leading took, with the fetches that were answered.
fn share<F: Future<Output = ()> + 'static>(
    dir: PathBuf,
    beside: impl FnOnce(RealWorld, mpsc::Sender<Vec<Moved>>) -> F,
) -> (f64, u64) {
    let (orders, orders_out) = mpsc::channel(2_000);
    let (moves, moves_out) = mpsc::channel(64);
    let (reports_in, mut reports) = mpsc::channel(64);
    let (at_in, at) = std::sync::mpsc::sync_channel(1);
    let lease = Lease::default();
    lease.extend(Instant::from_nanos(u64::MAX));
    let thread = uring::spawn_thread("leading", None, move |world| async move {
        let ties = Ties {
            orders: orders_out,
            moves: moves_out,
            reports: reports_in,
            lease,
        };
        let any = "127.0.0.1:0".parse().unwrap();
        let leading = Leading::listen(world, any, US, Options::default(), ties)
            .await
            .unwrap();
        at_in.send(leading.local_addr()).unwrap();
        leading.run().await;
        thread_cpu()
    });
    let at = at.recv().unwrap();
    let all = [US, ONE, TWO].map(|id| (id, life(id)));
    orders.blocking_send(Order::Brokers(all.into())).unwrap();
    for number in 0..PARTITIONS {
        let told = leadership(number, &dir);
        orders.blocking_send(Order::Lead(Box::new(told))).unwrap();
    }
    let fetches = uring::run(None, |world| async move {
        world.spawn(beside(world, moves));
        let answered = Rc::new(std::cell::Cell::new(0));
        for broker in [ONE, TWO] {
            let follower = Follower::connect(world, at, broker).await;
            world.spawn(fetch_for_ever(follower, answered.clone()));
        }
        let clock = *world.clock();
        let end = clock.now().after(FOR);
        loop {
            tokio::select! {
                report = reports.recv() => {
                    let report = report.expect("it leads");
                    assert!(!matches!(report, Report::Propose(_)), "{report:?}");
                }
                () = clock.sleep_until(end) => break,
            }
        }
        answered.get()
    });
    orders.blocking_send(Order::Close).unwrap();
    let cpu = thread.join().unwrap();
    (cpu.as_secs_f64() / FOR.as_secs_f64(), fetches)
}

fn leadership(number: i32, logs: &std::path::Path) -> Leadership {
    Leadership {
        id: id(number),
        topic_id: TOPIC,
        dir: logs.join(format!("t-{number}")),
        leader_epoch: LeaderEpoch::new(EPOCH),
        partition_epoch: 0,
        replicas: vec![US, ONE, TWO],
        isr: vec![US, ONE, TWO],
        min_isr: 1,
        holds_others: false,
        before: None,
        log_start: Offset::ZERO,
        log_end: Offset::ZERO,
        epochs: LeaderEpochs::default(),
        high_watermark: Offset::ZERO,
    }
}

/// As a stock follower does: all partitions each time, from where it is.
async fn fetch_for_ever(follower: Follower, answered: Rc<std::cell::Cell<u64>>) {
    let mut from = vec![Offset::ZERO; usize::try_from(PARTITIONS).unwrap()];
    loop {
        let wanted = (0..)
            .zip(&from)
            .map(|(number, from)| wanted(number, *from, -1));
        let request = follower.request(wanted.collect(), 500);
        let Some(answer) = follower.ask(17, &request).await else {
            return;
        };
        answered.set(answered.get() + 1);
        for (from, told) in from.iter_mut().zip(&answer.responses[0].partitions) {
            assert_eq!(told.error_code, 0);
            let records = told.records.as_deref().unwrap_or_default();
            let expect = crate::record::Expect::after(*from, LeaderEpoch::NONE);
            *from = crate::record::check(records, expect).run.next_offset();
        }
    }
}

/// About one percent of a core as tests are built, the beginning of it included.
#[test]
fn a_thousand_idle_partitions_cost_next_to_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (share, fetches) = share(dir.path().to_owned(), |_, moves| async move {
        // Shards are there and say nothing.
        moves.closed().await;
    });
    // A busy machine may be slower, nobody is quicker.
    assert!((2..=20).contains(&fetches), "they are held: {fetches}");
    assert!(share < 0.05, "{share} of a core for {fetches} fetches");
}

#[test]
fn a_trickle_into_one_of_many_is_answered_at_a_pace() {
    let dir = tempfile::tempdir().unwrap();
    let log_dir = dir.path().join("t-0");
    let (share, fetches) = share(dir.path().to_owned(), |world, moves| async move {
        let mut log = Written::new(*world.disk(), &log_dir, 0);
        let clock = *world.clock();
        loop {
            clock
                .sleep_until(clock.now().after(Duration::from_millis(1)))
                .await;
            log.append(EPOCH, 1, 0);
            let moved = Moved {
                id: id(0),
                stamp: LeaderEpoch::new(EPOCH),
                log_start: log.start(),
                log_end: log.end(),
                epochs: Some(log.epochs()),
            };
            if moves.send(vec![moved]).await.is_err() {
                return;
            }
        }
    });
    // Ten milliseconds between two answers to the same follower.
    let most = 2 * u64::try_from(FOR.as_millis()).unwrap() / 10;
    assert!((2..=most).contains(&fetches), "{fetches}");
    assert!(share < 0.5, "{share} of a core for {fetches} fetches");
}
