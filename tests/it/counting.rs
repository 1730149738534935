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
}

impl Allocated {
    const NOTHING: Allocated = Allocated { count: 0, bytes: 0 };

    fn and(self, more: usize) -> Allocated {
        Allocated {
            count: self.count + 1,
            bytes: self.bytes + more as u64,
        }
    }
}

/// What the calling thread has asked for.
pub(crate) fn allocated() -> Allocated {
    ALLOCATED.with(Cell::get)
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
        // SAFETY: it was allocated by `alloc` above with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
