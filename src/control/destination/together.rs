//! Waits that go on side by side on this thread.

use std::future::Future;

use tokio::sync::mpsc;

use crate::io::World;

/// Runs all tasks at once; what they come to, in their order. They end even where nobody waits for
/// them any more: what is under way on a socket is never dropped.
pub(super) async fn together<W: World, T: 'static>(
    world: &W,
    tasks: impl IntoIterator<Item = impl Future<Output = T> + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = tasks.into_iter().collect();
    let mut outcomes: Vec<Option<T>> = tasks.iter().map(|_| None).collect();
    let (ended, mut ends) = mpsc::channel(tasks.len().max(1));
    for (nth, task) in tasks.into_iter().enumerate() {
        let ended = ended.clone();
        world.spawn(async move {
            // Whoever has gone does not listen.
            drop(ended.send((nth, task.await)).await);
        });
    }
    drop(ended);
    while let Some((nth, outcome)) = ends.recv().await {
        outcomes[nth] = Some(outcome);
    }
    let outcomes = outcomes.into_iter();
    let all = outcomes.map(|outcome| outcome.expect("a task does not panic"));
    all.collect()
}
