//! Owned, aligned, pooled buffers: whoever holds one owns its bytes, the kernel included.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

const PAGE_BYTES: usize = 4096;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(4096))]
struct Page([u8; PAGE_BYTES]);

/// A page-aligned buffer of fixed capacity. Bytes arrive at its tail and are consumed from its
/// front; dropped, it goes back to the pool that it came from.
pub struct Buf {
    pages: Box<[Page]>,
    start: usize,
    end: usize,
    home: Weak<Shelf>,
}

impl Buf {
    /// A buffer that belongs to no pool, with room for at least `capacity` bytes.
    #[must_use]
    pub fn unpooled(capacity: usize) -> Buf {
        Buf {
            pages: zeroed(capacity),
            start: 0,
            end: 0,
            home: Weak::new(),
        }
    }

    /// The bytes that arrived and were not consumed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.pages.as_bytes()[self.start..self.end]
    }

    /// The same bytes, for a change in place.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.pages.as_mut_bytes()[self.start..self.end]
    }

    /// The room behind the bytes, to be filled and then declared by [`Buf::filled`].
    #[must_use]
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.pages.as_mut_bytes()[self.end..]
    }

    /// Declares that the first `bytes` of [`Buf::room`] have been filled.
    pub fn filled(&mut self, bytes: usize) {
        assert!(
            bytes <= self.capacity() - self.end,
            "filled beyond the buffer's end"
        );
        self.end += bytes;
    }

    /// Forgets the first `bytes`.
    pub fn consume(&mut self, bytes: usize) {
        assert!(
            bytes <= self.end - self.start,
            "consumed bytes that had not arrived"
        );
        self.start += bytes;
        if self.start == self.end {
            self.clear();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// Moves what was not consumed to the front, so that all room lies behind it.
    pub fn compact(&mut self) {
        let (start, end) = (self.start, self.end);
        self.pages.as_mut_bytes().copy_within(start..end, 0);
        (self.start, self.end) = (0, end - start);
    }

    /// Appends a copy of `bytes`, which must fit.
    pub fn push(&mut self, bytes: &[u8]) {
        self.room()[..bytes.len()].copy_from_slice(bytes);
        self.filled(bytes.len());
    }

    /// How many bytes it can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.pages.len() * PAGE_BYTES
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            home.free.borrow_mut().push(std::mem::take(&mut self.pages));
        }
    }
}

impl std::fmt::Debug for Buf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Buf({} of {} bytes)",
            self.end - self.start,
            self.capacity()
        )
    }
}

struct Shelf {
    free: RefCell<Vec<Box<[Page]>>>,
}

/// A fixed number of equal buffers, owned by one thread. Nothing is allocated after it is made.
#[derive(Clone)]
pub struct Pool {
    shelf: Rc<Shelf>,
    buffer_bytes: usize,
}

impl Pool {
    /// `count` buffers of `buffer_bytes` each, rounded up to whole pages.
    #[must_use]
    pub fn new(count: usize, buffer_bytes: usize) -> Pool {
        let free = (0..count).map(|_| zeroed(buffer_bytes)).collect();
        Pool {
            shelf: Rc::new(Shelf {
                free: RefCell::new(free),
            }),
            buffer_bytes,
        }
    }

    /// A buffer, empty; `None` while all are in use.
    #[must_use]
    pub fn take(&self) -> Option<Buf> {
        let pages = self.shelf.free.borrow_mut().pop()?;
        Some(Buf {
            pages,
            start: 0,
            end: 0,
            home: Rc::downgrade(&self.shelf),
        })
    }

    /// The size that was asked for, in bytes.
    #[must_use]
    pub fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }
}

fn zeroed(bytes: usize) -> Box<[Page]> {
    let pages = bytes.div_ceil(PAGE_BYTES).max(1);
    <[Page]>::new_box_zeroed_with_elems(pages).expect("the buffer's size fits the address space")
}
