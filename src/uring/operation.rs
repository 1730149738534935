//! One ring operation: an entry, and what has to live until the kernel is done with it.

use std::io;

use io_uring::{cqueue, squeue};
use tokio_uring::{OneshotOutputTransform, UnsubmittedOneshot};

struct Returned<D>(std::marker::PhantomData<D>);

impl<D: Unpin + 'static> OneshotOutputTransform for Returned<D> {
    type Output = (D, io::Result<u32>);
    type StoredData = D;

    fn transform_oneshot_output(self, held: D, completed: cqueue::Entry) -> Self::Output {
        let outcome = u32::try_from(completed.result())
            .map_err(|_| io::Error::from_raw_os_error(completed.result().saturating_neg()));
        (held, outcome)
    }
}

/// Submits `entry` and returns `held` with the kernel's result. Every pointer and descriptor in the
/// entry must belong to `held`: dropped before its end, the operation goes on and the runtime keeps
/// `held` for it.
pub(super) async fn perform<D: Unpin + 'static>(
    entry: squeue::Entry,
    held: D,
) -> (D, io::Result<u32>) {
    UnsubmittedOneshot::new(held, Returned(std::marker::PhantomData), entry)
        .submit()
        .await
}
