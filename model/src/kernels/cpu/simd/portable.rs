//! What every processor can do: plain Rust, eight numbers at a time.

use super::{Kernel, Simd};

const LANES: usize = 8;

/// No instruction set in particular.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Simd for Portable {
    type F = [f32; LANES];
    type I = [i32; LANES];
    type W = [[i8; 4]; LANES];
    type A = [u8; 4];
    const LANES: usize = LANES;
    const TILE_VECTORS: usize = 2;
    const TILE_ROWS: usize = 4;
    const DOT_ROWS: usize = 4;

    #[inline(always)]
    fn enter<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
    #[inline(always)]
    fn splat(self, value: f32) -> Self::F {
        [value; LANES]
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::F {
        // SAFETY: the caller vouches for `from`.
        unsafe { from.cast::<Self::F>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, values: Self::F) {
        // SAFETY: the caller vouches for `to`.
        unsafe { to.cast::<Self::F>().write_unaligned(values) }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        std::array::from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        std::array::from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // Not `mul_add`: without the instruction that is a call of the C library, a hundred times slower.
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        // As the processors do it: where one is not a number, the second.
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        std::array::from_fn(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        std::array::from_fn(|i| a[i] / b[i])
    }
    #[inline(always)]
    fn round(self, a: Self::F) -> Self::F {
        a.map(f32::round_ties_even)
    }
    #[inline(always)]
    fn pow2(self, exponent: Self::F) -> Self::F {
        exponent.map(|e| f32::from_bits(((e as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    fn sum(self, a: Self::F) -> f32 {
        ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
    }
    #[inline(always)]
    fn largest(self, a: Self::F) -> f32 {
        a.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
    #[inline(always)]
    fn zeros(self) -> Self::I {
        [0; LANES]
    }
    #[inline(always)]
    unsafe fn load_i(self, from: *const i32) -> Self::I {
        // SAFETY: the caller vouches for `from`.
        unsafe { from.cast::<Self::I>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store_i(self, to: *mut i32, values: Self::I) {
        // SAFETY: the caller vouches for `to`.
        unsafe { to.cast::<Self::I>().write_unaligned(values) }
    }
    #[inline(always)]
    fn to_float(self, a: Self::I) -> Self::F {
        a.map(|i| i as f32)
    }
    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8, values: Self::F) {
        // `as` keeps what lies between 0 and 255, and makes 0 of what is not a number.
        let bytes = values.map(|v| v.round_ties_even() as u8);
        // SAFETY: the caller vouches for `to`.
        unsafe { to.cast::<[u8; LANES]>().write_unaligned(bytes) }
    }
    #[inline(always)]
    unsafe fn load_weights(self, from: *const i8) -> Self::W {
        // SAFETY: the caller vouches for `from`.
        unsafe { from.cast::<Self::W>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_activations(self, from: *const u8) -> Self::A {
        // SAFETY: the caller vouches for `from`.
        unsafe { from.cast::<Self::A>().read_unaligned() }
    }
    #[inline(always)]
    fn dot(self, sum: Self::I, a: Self::A, w: Self::W) -> Self::I {
        let product = |lane: usize, k: usize| i32::from(a[k]) * i32::from(w[lane][k]);
        std::array::from_fn(|i| {
            sum[i] + ((product(i, 0) + product(i, 1)) + (product(i, 2) + product(i, 3)))
        })
    }
}
