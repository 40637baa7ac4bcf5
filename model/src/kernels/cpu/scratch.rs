//! Memory that a thread keeps between batches: after the first batch of each size, nothing is allocated.

use std::cell::RefCell;

/// A cache line, which is also the widest vector.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "read as numbers, never as itself")] [u8; 64]);

/// Room for numbers of one type at a time; grows and never shrinks.
#[derive(Default)]
pub(super) struct Room(Vec<Line>);

/// The rooms of one thread, each named after what stands in it.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) normed: Room,
    pub(super) projected: Room,
    pub(super) context: Room,
    pub(super) inner: Room,
    pub(super) added: Room,
    pub(super) linear: QuantizedRoom,
    pub(super) head: HeadRoom,
}

/// What a product of bytes needs.
#[derive(Default)]
pub(super) struct QuantizedRoom {
    pub(super) bytes: Room,
    pub(super) steps: Room,
}

/// What one head of attention needs.
#[derive(Default)]
pub(super) struct HeadRoom {
    pub(super) keys: Room,
    pub(super) values: Room,
    pub(super) weights: Room,
    pub(super) distance: DistanceRoom,
}

/// What scores of content and position need.
#[derive(Default)]
pub(super) struct DistanceRoom {
    pub(super) keys: Room,
    pub(super) queries: Room,
    pub(super) of_queries: Room,
    pub(super) of_keys: Room,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Lends this thread's rooms.
pub(super) fn with<R>(work: impl FnOnce(&mut Scratch) -> R) -> R {
    SCRATCH.with_borrow_mut(work)
}

// === impl Room ===

impl Room {
    /// `len` float32, whatever was there before.
    pub(super) fn floats(&mut self, len: usize) -> &mut [f32] {
        let lines = self.lines(len * size_of::<f32>());
        // SAFETY: as many bytes as asked for are there, aligned to 64; any bits are a float32.
        unsafe { std::slice::from_raw_parts_mut(lines.cast(), len) }
    }

    /// `len` bytes, whatever was there before.
    pub(super) fn bytes(&mut self, len: usize) -> &mut [u8] {
        let lines = self.lines(len);
        // SAFETY: as many bytes as asked for are there.
        unsafe { std::slice::from_raw_parts_mut(lines.cast(), len) }
    }

    fn lines(&mut self, bytes: usize) -> *mut Line {
        let lines = bytes.div_ceil(size_of::<Line>());
        if self.0.len() < lines {
            self.0.resize(lines, Line([0; 64]));
        }
        self.0.as_mut_ptr()
    }
}
