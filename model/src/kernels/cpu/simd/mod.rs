//! What the kernels need of a processor, and the processors that have it.
//!
//! A kernel is written once, over [`Simd`], and compiled once for each instruction set. A value of a type
//! that implements [`Simd`] is the proof that the processor has the instructions: only [`super::Isa`]
//! makes one, after it has asked.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;
pub(super) mod portable;

/// Columns of a panel of packed weights, whatever the instruction set.
pub(super) const PANEL: usize = 32;
/// Most rows of a tile, whatever the instruction set.
pub(super) const ROWS_MAX: usize = 12;

/// Work that is compiled once for each instruction set.
///
/// `run` and whatever it calls with `simd` must be `#[inline(always)]`, or the instructions are not at hand
/// where the code lands, and every operation becomes a call.
pub(super) trait Kernel {
    /// What the work comes to.
    type Output;
    /// Does the work.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Vectors of `LANES` float32, and of as many int32, each made of four products of bytes.
///
/// # Safety
/// The pointers that `load`, `store` and their like are given must be valid for what they move; nothing
/// needs to be aligned.
pub(super) trait Simd: Copy + Send + Sync + 'static {
    /// `[LANES]` float32.
    type F: Copy;
    /// `[LANES]` int32.
    type I: Copy;
    /// `[LANES][4]` int8 weights.
    type W: Copy;
    /// `[4]` uint8 activations, the same for each lane.
    type A: Copy;
    /// Numbers of a vector; divides [`PANEL`].
    const LANES: usize;
    /// Vectors side by side in a tile.
    const TILE_VECTORS: usize;
    /// Rows of a tile, at most [`ROWS_MAX`]: as many as the registers hold.
    const TILE_ROWS: usize;
    /// The same for a tile of [`Simd::dot`].
    const DOT_ROWS: usize;

    /// Runs `kernel` where the compiler may use the instructions.
    fn enter<K: Kernel>(self, kernel: K) -> K::Output;

    fn splat(self, value: f32) -> Self::F;
    unsafe fn load(self, from: *const f32) -> Self::F;
    unsafe fn store(self, to: *mut f32, values: Self::F);
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once where the processor can.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// Where `b` is not a number, neither is the result.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// As [`Simd::max`].
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// To the nearest whole number.
    fn round(self, a: Self::F) -> Self::F;
    /// 2 to the power of `exponent`, which is whole and between -126 and 127.
    fn pow2(self, exponent: Self::F) -> Self::F;
    /// Always in the same order, so that a sum does not depend on where it is taken.
    fn sum(self, a: Self::F) -> f32;
    fn largest(self, a: Self::F) -> f32;

    fn zeros(self) -> Self::I;
    unsafe fn load_i(self, from: *const i32) -> Self::I;
    unsafe fn store_i(self, to: *mut i32, values: Self::I);
    fn to_float(self, a: Self::I) -> Self::F;
    /// Rounds to the nearest, and keeps what lies between 0 and 255.
    unsafe fn store_bytes(self, to: *mut u8, values: Self::F);
    unsafe fn load_weights(self, from: *const i8) -> Self::W;
    unsafe fn load_activations(self, from: *const u8) -> Self::A;
    /// `sum + a[0] * w[0] + a[1] * w[1] + a[2] * w[2] + a[3] * w[3]` in each lane, exactly.
    fn dot(self, sum: Self::I, a: Self::A, w: Self::W) -> Self::I;
}
