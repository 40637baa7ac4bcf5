//! AVX-512, with VNNI's four-byte products where the processor has them.

use std::arch::x86_64::*;

use super::{Kernel, Simd};

/// AVX-512 F, BW, DQ, VL.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

/// AVX-512 F, BW, DQ, VL and VNNI.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Vnni(());

// === impl Avx512 ===

impl Avx512 {
    /// The proof, where the processor has the instructions.
    pub(crate) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma");
        has.then_some(Self(()))
    }
}

impl Avx512Vnni {
    /// The proof, where the processor has the instructions.
    pub(crate) fn detect() -> Option<Self> {
        Avx512::detect()?;
        is_x86_feature_detected!("avx512vnni").then_some(Self(()))
    }
}

// SAFETY, for every block below: `self` is the proof that the processor has AVX-512 F, BW, DQ and VL, and, of
// `Avx512Vnni`, VNNI; pointers are the caller's to vouch for, and the unaligned instructions are used.
macro_rules! floats {
    () => {
        type F = __m512;
        type I = __m512i;
        const LANES: usize = 16;
        const TILE_VECTORS: usize = 2;
        const TILE_ROWS: usize = 12;

        #[inline(always)]
        fn splat(self, value: f32) -> __m512 {
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(self, from: *const f32) -> __m512 {
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32, values: __m512) {
            unsafe { _mm512_storeu_ps(to, values) }
        }
        #[inline(always)]
        fn add(self, a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        fn sub(self, a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_sub_ps(a, b) }
        }
        #[inline(always)]
        fn mul(self, a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_mul_ps(a, b) }
        }
        #[inline(always)]
        fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        fn max(self, a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_max_ps(a, b) }
        }
        #[inline(always)]
        fn min(self, a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_min_ps(a, b) }
        }
        #[inline(always)]
        fn div(self, a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_div_ps(a, b) }
        }
        #[inline(always)]
        fn round(self, a: __m512) -> __m512 {
            unsafe { _mm512_roundscale_ps::<0>(a) }
        }
        #[inline(always)]
        fn pow2(self, exponent: __m512) -> __m512 {
            unsafe { _mm512_scalef_ps(_mm512_set1_ps(1.0), exponent) }
        }
        #[inline(always)]
        fn sum(self, a: __m512) -> f32 {
            unsafe { _mm512_reduce_add_ps(a) }
        }
        #[inline(always)]
        fn largest(self, a: __m512) -> f32 {
            unsafe { _mm512_reduce_max_ps(a) }
        }
        #[inline(always)]
        fn zeros(self) -> __m512i {
            unsafe { _mm512_setzero_si512() }
        }
        #[inline(always)]
        unsafe fn load_i(self, from: *const i32) -> __m512i {
            unsafe { _mm512_loadu_si512(from.cast()) }
        }
        #[inline(always)]
        unsafe fn store_i(self, to: *mut i32, values: __m512i) {
            unsafe { _mm512_storeu_si512(to.cast(), values) }
        }
        #[inline(always)]
        fn to_float(self, a: __m512i) -> __m512 {
            unsafe { _mm512_cvtepi32_ps(a) }
        }
        #[inline(always)]
        unsafe fn store_bytes(self, to: *mut u8, values: __m512) {
            unsafe {
                // Negative numbers would come out of the unsigned saturation as large ones.
                let whole = _mm512_max_epi32(_mm512_cvtps_epi32(values), _mm512_setzero_si512());
                _mm_storeu_si128(to.cast(), _mm512_cvtusepi32_epi8(whole));
            }
        }
    };
}

#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "one argument holds for all, and stands above"
)]
impl Simd for Avx512 {
    floats!();
    // Widened bytes take registers.
    const DOT_ROWS: usize = 8;
    /// Even and odd bytes, widened: products of bytes are exact in 16 bits' multiply-add, which
    /// `vpmaddubsw`, saturating, is not.
    type W = [__m512i; 2];
    type A = [__m512i; 2];

    #[inline(always)]
    fn enter<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn inside<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        unsafe { inside(self, kernel) }
    }
    #[inline(always)]
    unsafe fn load_weights(self, from: *const i8) -> [__m512i; 2] {
        unsafe {
            let w = _mm512_loadu_si512(from.cast());
            [_mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(w)), _mm512_srai_epi16::<8>(w)]
        }
    }
    #[inline(always)]
    unsafe fn load_activations(self, from: *const u8) -> [__m512i; 2] {
        unsafe {
            let a = _mm512_set1_epi32(from.cast::<i32>().read_unaligned());
            [_mm512_and_si512(a, _mm512_set1_epi16(0x00ff)), _mm512_srli_epi16::<8>(a)]
        }
    }
    #[inline(always)]
    fn dot(self, sum: __m512i, a: [__m512i; 2], w: [__m512i; 2]) -> __m512i {
        unsafe {
            let even = _mm512_madd_epi16(a[0], w[0]);
            let odd = _mm512_madd_epi16(a[1], w[1]);
            _mm512_add_epi32(sum, _mm512_add_epi32(even, odd))
        }
    }
}

#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "one argument holds for all, and stands above"
)]
impl Simd for Avx512Vnni {
    floats!();
    const DOT_ROWS: usize = 12;
    type W = __m512i;
    type A = __m512i;

    #[inline(always)]
    fn enter<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
        fn inside<K: Kernel>(simd: Avx512Vnni, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        unsafe { inside(self, kernel) }
    }
    #[inline(always)]
    unsafe fn load_weights(self, from: *const i8) -> __m512i {
        unsafe { _mm512_loadu_si512(from.cast()) }
    }
    #[inline(always)]
    unsafe fn load_activations(self, from: *const u8) -> __m512i {
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    fn dot(self, sum: __m512i, a: __m512i, w: __m512i) -> __m512i {
        // `vpdpbusd` adds to 32 bits without saturating.
        unsafe { _mm512_dpbusd_epi32(sum, a, w) }
    }
}
