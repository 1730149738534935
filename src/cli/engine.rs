//! The threads: one shard per core, and control on the thread that called.

use std::future::Future;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Misuse;
use crate::config::Config;
use crate::control::{self, CopyFault, Job, Ledger, Outcome, Shards};
use crate::model::ShardId;
use crate::shard::{Shard, Ties};
use crate::uring;

/// Orders that may wait for a shard.
const ORDERS_MAX: usize = 256;
/// Reports that may wait for control.
const REPORTS_MAX: usize = 64;

/// Copies what `job` says with all cores, until it is done, `within` is over, or SIGINT or
/// SIGTERM comes.
pub(super) fn copy(
    config: &Config,
    job: Job,
    within: Option<Duration>,
    show: &mut dyn FnMut(&Ledger),
) -> Result<Result<Outcome, CopyFault>, Misuse> {
    uring::probe()?;
    let (reports_in, reports) = mpsc::channel(REPORTS_MAX);
    let mut orders = Vec::new();
    let mut threads = Vec::new();
    for (nth, core) in uring::cores().into_iter().enumerate() {
        let (orders_in, orders_out) = mpsc::channel(ORDERS_MAX);
        orders.push(orders_in);
        let ties = Ties {
            orders: orders_out,
            reports: reports_in.clone(),
            shard: ShardId(u16::try_from(nth).expect("fewer than 65,536 cores")),
        };
        let mut options = config.shard.clone();
        if job.follow {
            // A source that sends damage may be mended, or another broker may take the lead.
            options.source.corrupt_answers_max = u32::MAX;
        }
        let name = format!("shard-{nth}");
        threads.push(uring::spawn_thread(
            &name,
            Some(core),
            move |world| async move {
                Shard::new(world, options, ties, nth as u64).run().await;
            },
        ));
    }
    drop(reports_in);
    let options = config.control.clone();
    let outcome = uring::run(None, |world| async move {
        let shards = Shards { orders, reports };
        control::copy(world, options, job, shards, stopped(within), show).await
    });
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a shard has ended by a bug; its message stands above");
        }
    }
    Ok(outcome)
}

/// SIGINT or SIGTERM, or the end of a time.
pub(super) fn stopped(within: Option<Duration>) -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    async move {
        let terminate = signal(SignalKind::terminate());
        let interrupt = signal(SignalKind::interrupt());
        let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) else {
            // Then the system's own way of ending remains.
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = tokio::time::sleep(within.unwrap_or_default()), if within.is_some() => {}
        }
    }
}
