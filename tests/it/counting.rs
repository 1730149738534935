//! The allocator of the tests: it counts what each thread asks for.
#![expect(
    unsafe_code,
    reason = "an allocator can only be replaced by unsafe code; it forwards to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What a thread has asked for since it began, whether it was given back or not.
#[derive(Clone, Copy)]
pub(crate) struct Allocated {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    /// Of the bytes, those that were not given back, and the most that they have ever been.
    held: i64,
    peak: i64,
}

impl Allocated {
    const NOTHING: Allocated = Allocated {
        count: 0,
        bytes: 0,
        held: 0,
        peak: 0,
    };

    fn and(self, more: usize) -> Allocated {
        let held = self.held + i64::try_from(more).expect("memory is smaller");
        Allocated {
            count: self.count + 1,
            bytes: self.bytes + more as u64,
            held,
            peak: self.peak.max(held),
        }
    }

    fn without(self, less: usize) -> Allocated {
        let held = self.held - i64::try_from(less).expect("memory is smaller");
        Allocated { held, ..self }
    }
}

/// What the calling thread has asked for.
pub(crate) fn allocated() -> Allocated {
    ALLOCATED.with(Cell::get)
}

/// What `work` returns, and the most bytes that it has held at a time.
pub(crate) fn held_by<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let Allocated { held, .. } = allocated();
    ALLOCATED.with(|allocated| {
        allocated.set(Allocated {
            peak: held,
            ..allocated.get()
        })
    });
    let outcome = work();
    let most = allocated().peak - held;
    (
        outcome,
        u64::try_from(most).expect("a peak is not below its beginning"),
    )
}

/// What `work` asks for does not count.
pub(crate) fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    let before = allocated();
    let outcome = work();
    ALLOCATED.with(|allocated| allocated.set(before));
    outcome
}

thread_local! {
    static ALLOCATED: Cell<Allocated> = const { Cell::new(Allocated::NOTHING) };
}

struct Counting;

// SAFETY: every call is forwarded to the system's allocator with its own arguments; the counter is
// a thread's own number without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.with(|allocated| allocated.set(allocated.get().and(layout.size())));
        // SAFETY: the caller's promise about the layout is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        ALLOCATED.with(|allocated| allocated.set(allocated.get().without(layout.size())));
        // SAFETY: it was allocated by `alloc` above with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
