//! NEON: every 64-bit ARM processor.

use std::arch::aarch64::*;

use super::{Kernel, Simd};

/// NEON, which is part of the architecture.
#[derive(Clone, Copy)]
pub(crate) struct Neon(());

// === impl Neon ===

impl Neon {
    /// The proof, where the processor has the instructions.
    pub(crate) fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self(()))
    }
}

// SAFETY, for every block below: NEON is part of every 64-bit ARM target; pointers are the caller's to vouch
// for, and these instructions need no alignment.
#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "one argument holds for all, and stands above"
)]
impl Simd for Neon {
    type F = float32x4_t;
    type I = int32x4_t;
    /// Two lanes of four weights each, widened to 16 bits, twice.
    type W = [int16x8_t; 2];
    /// Four activations, widened to 16 bits, twice over.
    type A = int16x8_t;
    const LANES: usize = 4;
    const TILE_VECTORS: usize = 4;
    const TILE_ROWS: usize = 6;
    const DOT_ROWS: usize = 4;

    #[inline(always)]
    fn enter<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
    #[inline(always)]
    fn splat(self, value: f32) -> float32x4_t {
        unsafe { vdupq_n_f32(value) }
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> float32x4_t {
        unsafe { vld1q_f32(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, values: float32x4_t) {
        unsafe { vst1q_f32(to, values) }
    }
    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vaddq_f32(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vsubq_f32(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    fn fma(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[inline(always)]
    fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vmaxq_f32(a, b) }
    }
    #[inline(always)]
    fn min(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vminq_f32(a, b) }
    }
    #[inline(always)]
    fn div(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vdivq_f32(a, b) }
    }
    #[inline(always)]
    fn round(self, a: float32x4_t) -> float32x4_t {
        unsafe { vrndnq_f32(a) }
    }
    #[inline(always)]
    fn pow2(self, exponent: float32x4_t) -> float32x4_t {
        unsafe {
            let biased = vaddq_s32(vcvtnq_s32_f32(exponent), vdupq_n_s32(127));
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(biased))
        }
    }
    #[inline(always)]
    fn sum(self, a: float32x4_t) -> f32 {
        unsafe { vaddvq_f32(a) }
    }
    #[inline(always)]
    fn largest(self, a: float32x4_t) -> f32 {
        unsafe { vmaxvq_f32(a) }
    }
    #[inline(always)]
    fn zeros(self) -> int32x4_t {
        unsafe { vdupq_n_s32(0) }
    }
    #[inline(always)]
    unsafe fn load_i(self, from: *const i32) -> int32x4_t {
        unsafe { vld1q_s32(from) }
    }
    #[inline(always)]
    unsafe fn store_i(self, to: *mut i32, values: int32x4_t) {
        unsafe { vst1q_s32(to, values) }
    }
    #[inline(always)]
    fn to_float(self, a: int32x4_t) -> float32x4_t {
        unsafe { vcvtq_f32_s32(a) }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8, values: float32x4_t) {
        unsafe {
            // Both narrowings saturate.
            let half = vqmovn_s32(vcvtnq_s32_f32(values));
            let bytes = vqmovun_s16(vcombine_s16(half, half));
            to.cast::<u32>().write_unaligned(vget_lane_u32::<0>(vreinterpret_u32_u8(bytes)));
        }
    }
    #[inline(always)]
    unsafe fn load_weights(self, from: *const i8) -> [int16x8_t; 2] {
        unsafe {
            let w = vld1q_s8(from);
            [vmovl_s8(vget_low_s8(w)), vmovl_s8(vget_high_s8(w))]
        }
    }
    #[inline(always)]
    unsafe fn load_activations(self, from: *const u8) -> int16x8_t {
        unsafe {
            let four = vdup_n_u32(from.cast::<u32>().read_unaligned());
            vreinterpretq_s16_u16(vmovl_u8(vreinterpret_u8_u32(four)))
        }
    }
    #[inline(always)]
    fn dot(self, sum: int32x4_t, a: int16x8_t, w: [int16x8_t; 2]) -> int32x4_t {
        unsafe {
            let lane = |low: int16x4_t| vmull_s16(vget_low_s16(a), low);
            let first = vpaddq_s32(lane(vget_low_s16(w[0])), lane(vget_high_s16(w[0])));
            let second = vpaddq_s32(lane(vget_low_s16(w[1])), lane(vget_high_s16(w[1])));
            vaddq_s32(sum, vpaddq_s32(first, second))
        }
    }
}
