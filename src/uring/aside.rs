//! A call that blocks, on a thread of its own: a ring's thread never waits for the system.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;

use tokio::sync::oneshot;

/// Calls of the whole process that may be under way. Where a resolver is silent, each one that was
/// given up still holds its thread for as long as the system waits.
const CALLS_MAX: usize = 64;

static CALLS: AtomicUsize = AtomicUsize::new(0);

/// Runs `call` beside the calling thread. Dropped, the call goes on and its outcome is lost.
pub(super) async fn aside<T: Send + 'static>(
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let place = Place::take()?;
    let (told, outcome) = oneshot::channel();
    Builder::new().name("aside".to_owned()).spawn(move || {
        let outcome = call();
        drop(place);
        // Where nobody waits any more, it is lost.
        drop(told.send(outcome));
    })?;
    // A call that panics has no outcome; its message stands on standard error.
    outcome.await.map_err(io::Error::other)?
}

/// The right to one call, given back when it ends in whatever way.
struct Place;

impl Place {
    fn take() -> io::Result<Place> {
        let taken = CALLS.fetch_add(1, Ordering::Relaxed);
        let place = Place;
        match taken < CALLS_MAX {
            true => Ok(place),
            false => Err(io::ErrorKind::ResourceBusy.into()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        CALLS.fetch_sub(1, Ordering::Relaxed);
    }
}
