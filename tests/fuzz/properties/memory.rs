//! What one allocation may take at most, so that a short input which asks for a lot ends the program
//! that runs it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static BYTES_MAX: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The system's allocator, but for what [`within`] refuses.
pub(crate) struct Guarded;

/// Runs `body`; an allocation of more than `bytes_max` meanwhile, on this thread, fails.
pub(crate) fn within<T>(bytes_max: usize, body: impl FnOnce() -> T) -> T {
    struct Before(usize);
    impl Drop for Before {
        fn drop(&mut self) {
            BYTES_MAX.set(self.0);
        }
    }
    let _before = Before(BYTES_MAX.replace(bytes_max));
    body()
}

// === impl Guarded ===

// SAFETY: everything is left to the system's allocator; null is how an allocator refuses.
unsafe impl GlobalAlloc for Guarded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if refuses(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promises are those that the system asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are those that the system asks for.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if refuses(size) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promises are those that the system asks for.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// Once something has failed, the report of it may take what it needs.
fn refuses(size: usize) -> bool {
    size > BYTES_MAX.get() && !std::thread::panicking()
}
