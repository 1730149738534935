//! The threads: one shard per core, and control on the thread that called.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

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

/// Copies what `job` says with all cores, until it is done, `within` is over, or somebody wants us
/// to stop.
pub(super) fn copy(
    config: &Config,
    job: Job,
    stop: &Stop,
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
            moved: None,
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
        control::copy(world, options, job, shards, stop.wanted(within), show).await
    });
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a shard has ended by a bug; its message stands above");
        }
    }
    Ok(outcome)
}

/// SIGINT or SIGTERM, heard from the moment on in which this value is made: one that comes between
/// two phases of a command is not lost.
#[derive(Clone)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Listens for as long as the process lives.
    pub(super) fn listen() -> Stop {
        let (told, heard) = watch::channel(false);
        let (ready, is_ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build();
            // Without one the system's own way of ending remains.
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async move {
                let both = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
                let [Ok(mut terminate), Ok(mut interrupt)] = both else {
                    return;
                };
                if ready.send(()).is_err() {
                    return;
                }
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                told.send_replace(true);
                std::future::pending::<()>().await;
            });
        });
        if is_ready.recv().is_err() {
            tracing::warn!("signals cannot be heard: one ends the process at once");
        }
        Stop(heard)
    }

    /// Whether somebody has wanted it already.
    pub(super) fn is_wanted(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends when somebody wants us to stop, or when this time is over.
    pub(super) fn wanted(&self, within: Option<Duration>) -> impl Future<Output = ()> + use<> {
        let mut heard = self.0.clone();
        async move {
            tokio::select! {
                stopped = heard.wait_for(|wanted| *wanted) => match stopped {
                    Ok(_) => {}
                    // Nobody tells any more.
                    Err(_) => std::future::pending().await,
                },
                () = tokio::time::sleep(within.unwrap_or_default()), if within.is_some() => {}
            }
        }
    }
}
