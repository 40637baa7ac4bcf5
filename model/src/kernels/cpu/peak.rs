//! What a core could do at most: the yardstick for the kernels.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::isa::Isa;
use super::simd::{Kernel, Simd};

/// How long the fastest of several runs is looked for.
const BUDGET: Duration = Duration::from_millis(200);
/// Multiply-adds in flight: more than any processor's latency times its units.
const CHAINS: usize = 12;
/// Rounds of one run, some ten microseconds.
const ROUNDS: usize = 4096;

/// Operations per second of this core, multiplication and addition counted as two, as fast as its widest
/// instruction goes on registers alone: of float32, or of int8 where `int8`.
pub(crate) fn operations_per_second(isa: Isa, int8: bool) -> f64 {
    let start = Instant::now();
    let mut best = 0.0_f64;
    while start.elapsed() < BUDGET {
        let started = Instant::now();
        let operations = if int8 { isa.run(Dots) } else { isa.run(MultiplyAdds) };
        best = best.max(operations as f64 / started.elapsed().as_secs_f64());
    }
    best
}

struct MultiplyAdds;

struct Dots;

// === impl MultiplyAdds ===

impl Kernel for MultiplyAdds {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> usize {
        let factor = simd.splat(black_box(0.5));
        let mut sums = [simd.splat(black_box(1.0)); CHAINS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = simd.fma(*sum, factor, factor);
            }
        }
        for sum in sums {
            black_box(simd.largest(sum));
        }
        2 * S::LANES * CHAINS * ROUNDS
    }
}

// === impl Dots ===

impl Kernel for Dots {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> usize {
        let (bytes, weights) = (black_box([1_u8; 4]), black_box([1_i8; 64]));
        // SAFETY: four weights for each of at most 16 lanes.
        let w = unsafe { simd.load_weights(weights.as_ptr()) };
        let mut sums = [simd.zeros(); CHAINS];
        for _ in 0..ROUNDS {
            // Read anew, so that no round's products are those of the round before.
            // SAFETY: four activations.
            let a = unsafe { simd.load_activations(black_box(&bytes).as_ptr()) };
            for sum in &mut sums {
                *sum = simd.dot(*sum, a, w);
            }
        }
        for sum in sums {
            black_box(simd.largest(simd.to_float(sum)));
        }
        8 * S::LANES * CHAINS * ROUNDS
    }
}
