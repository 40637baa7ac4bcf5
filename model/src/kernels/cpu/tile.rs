//! The innermost loops: one tile of a matrix product, held in registers from its first product to its last.
//!
//! A tile is up to [`Simd::TILE_ROWS`] rows by one panel of [`PANEL`] columns. Whatever the number of rows, an
//! element is the sum of the same products in the same order, so that a row comes out the same in any tile.

use super::simd::{Kernel, PANEL, ROWS_MAX, Simd};

/// What a tile comes to, row after row: float32, or the bits of int32.
#[repr(align(64))]
pub(super) struct Sums(pub(super) [f32; ROWS_MAX * PANEL]);

/// `rows` rows of float32 times one panel.
///
/// `a` is valid for `rows` rows of `depth` numbers, `a_stride` apart; `panel` for `depth` rows of [`PANEL`]
/// numbers; `start` for [`PANEL`]; `sums` for `rows` rows of [`PANEL`], `sums_stride` apart.
pub(super) struct FloatTile {
    pub(super) rows: usize,
    pub(super) depth: usize,
    pub(super) a: *const f32,
    pub(super) a_stride: usize,
    pub(super) panel: *const f32,
    /// What each row's sums start from.
    pub(super) start: *const f32,
    pub(super) sums: *mut f32,
    pub(super) sums_stride: usize,
}

/// `rows` rows of uint8 times one panel of int8, exactly.
///
/// `a` is valid for `rows` rows of `quads` four bytes, `a_stride` bytes apart; `panel` for `quads` rows of
/// [`PANEL`] four bytes.
pub(super) struct ByteTile<'a> {
    pub(super) rows: usize,
    pub(super) quads: usize,
    pub(super) a: *const u8,
    pub(super) a_stride: usize,
    pub(super) panel: *const i8,
    pub(super) sums: &'a mut Sums,
}

/// A tile whose maker has vouched for its pointers.
struct Vouched<T>(T);

/// Calls `$tile::<S, R, V>` for the number of rows `$rows` and the vectors that the processor wants.
macro_rules! for_rows {
    ($simd:ident: $S:ident, $most:expr, $tile:ident, $this:expr, $($rows:literal)*) => {
        match $this.rows {
            $($rows if $most >= $rows => match $S::TILE_VECTORS {
                2 => $tile::<$S, $rows, 2>($simd, &mut $this),
                4 => $tile::<$S, $rows, 4>($simd, &mut $this),
                _ => unreachable!("an instruction set names 2 or 4 vectors"),
            },)*
            rows => unreachable!("a tile of {rows} rows was cut for at most {}", $most),
        }
    };
}

// === impl FloatTile ===

impl FloatTile {
    /// Computes the sums.
    ///
    /// # Safety
    /// The pointers are valid as [`FloatTile`] says.
    #[inline(always)]
    pub(super) unsafe fn compute<S: Simd>(self, simd: S) {
        simd.enter(Vouched(self));
    }
}

impl Kernel for Vouched<FloatTile> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        const { assert!(S::TILE_ROWS <= ROWS_MAX && PANEL.is_multiple_of(S::TILE_VECTORS * S::LANES)) };
        let Self(mut tile) = self;
        // SAFETY: whoever made the tile vouched for its pointers.
        unsafe { for_rows!(simd: S, S::TILE_ROWS, float_tile, tile, 1 2 3 4 5 6 7 8 9 10 11 12) }
    }
}

/// # Safety
/// As [`FloatTile`] says.
#[inline(always)]
unsafe fn float_tile<S: Simd, const R: usize, const V: usize>(simd: S, tile: &mut FloatTile) {
    let width = V * S::LANES;
    for first in (0..PANEL).step_by(width) {
        // SAFETY: columns `first..first + width` of a panel: `width` divides PANEL. A row is the third of its
        // group at most; pointers past the last row, and past the panel's end, are made but not read.
        unsafe {
            let start: [S::F; V] =
                std::array::from_fn(|v| simd.load(tile.start.add(first + v * S::LANES)));
            let mut sums = [start; R];
            let mut panel = tile.panel.add(first);
            // One pointer for every three rows, so that each row has a simple address.
            let mut a: [*const f32; 4] =
                std::array::from_fn(|group| tile.a.wrapping_add(3 * group * tile.a_stride));
            for _ in 0..tile.depth {
                let b: [S::F; V] = std::array::from_fn(|v| simd.load(panel.add(v * S::LANES)));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let value = simd.splat(*a[row / 3].wrapping_add(row % 3 * tile.a_stride));
                    for (sum, b) in sums.iter_mut().zip(b) {
                        *sum = simd.fma(value, b, *sum);
                    }
                }
                panel = panel.wrapping_add(PANEL);
                a = a.map(|group| group.wrapping_add(1));
            }
            for (row, sums) in sums.into_iter().enumerate() {
                for (v, sum) in sums.into_iter().enumerate() {
                    let to = row * tile.sums_stride + first + v * S::LANES;
                    simd.store(tile.sums.add(to), sum);
                }
            }
        }
    }
}

// === impl ByteTile ===

impl ByteTile<'_> {
    /// Computes the sums.
    ///
    /// # Safety
    /// The pointers are valid as [`ByteTile`] says.
    #[inline(always)]
    pub(super) unsafe fn compute<S: Simd>(self, simd: S) {
        simd.enter(Vouched(self));
    }
}

impl Kernel for Vouched<ByteTile<'_>> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        const { assert!(S::DOT_ROWS <= ROWS_MAX && PANEL.is_multiple_of(S::TILE_VECTORS * S::LANES)) };
        let Self(mut tile) = self;
        // SAFETY: whoever made the tile vouched for its pointers.
        unsafe { for_rows!(simd: S, S::DOT_ROWS, byte_tile, tile, 1 2 3 4 5 6 7 8 9 10 11 12) }
    }
}

/// # Safety
/// As [`ByteTile`] says.
#[inline(always)]
unsafe fn byte_tile<S: Simd, const R: usize, const V: usize>(simd: S, tile: &mut ByteTile<'_>) {
    let width = V * S::LANES;
    for first in (0..PANEL).step_by(width) {
        // SAFETY: as in `float_tile`; of sums there is room for ROWS_MAX rows.
        unsafe {
            let mut sums = [[simd.zeros(); V]; R];
            let mut panel = tile.panel.add(4 * first);
            let mut a: [*const u8; 4] =
                std::array::from_fn(|group| tile.a.wrapping_add(3 * group * tile.a_stride));
            for _ in 0..tile.quads {
                let b: [S::W; V] =
                    std::array::from_fn(|v| simd.load_weights(panel.add(4 * v * S::LANES)));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let from = a[row / 3].wrapping_add(row % 3 * tile.a_stride);
                    let value = simd.load_activations(from);
                    for (sum, b) in sums.iter_mut().zip(b) {
                        *sum = simd.dot(*sum, value, b);
                    }
                }
                panel = panel.wrapping_add(4 * PANEL);
                a = a.map(|group| group.wrapping_add(4));
            }
            for (row, sums) in sums.into_iter().enumerate() {
                for (v, sum) in sums.into_iter().enumerate() {
                    let to = row * PANEL + first + v * S::LANES;
                    simd.store_i(tile.sums.0.as_mut_ptr().add(to).cast(), sum);
                }
            }
        }
    }
}

/// Cuts `rows` into as few tiles as `most` rows a tile allow, all but equally high: a low tile would leave the
/// multipliers waiting for one another.
pub(super) fn heights(rows: usize, most: usize) -> impl Iterator<Item = usize> {
    let tiles = rows.div_ceil(most);
    (0..tiles).map(move |tile| rows / tiles + usize::from(tile < rows % tiles))
}
