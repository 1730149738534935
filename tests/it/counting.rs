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

/// What the calling thread has asked for.
pub(crate) fn allocated() -> Allocated {
    ALLOCATED.with(Cell::get)
}

thread_local! {
    static ALLOCATED: Cell<Allocated> = const { Cell::new(Allocated { count: 0, bytes: 0 }) };
}

struct Counting;

// SAFETY: every call is forwarded to the system's allocator with its own arguments; the counter is
// a thread's own number without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Allocated { count, bytes } = allocated();
        let bytes = bytes + layout.size() as u64;
        let count = count + 1;
        ALLOCATED.with(|allocated| allocated.set(Allocated { count, bytes }));
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
