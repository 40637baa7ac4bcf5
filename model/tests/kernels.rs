//! A model scores the same with kernels of any instruction set, and with none.

mod support;

use crossrank_model::{CrossEncoder, Device, PackedBatch, Precision};
use support::{
    FIXTURES, assert_close, encoder, fixture, golden, golden_pairs, noted, pack, random_batch,
    with_kernels, without_kernels,
};

/// Of what the fixture's logits span.
const F32_TOLERANCE: f32 = 1e-5;
/// In int8, where numbers that differ in their last bits may round to neighbours, 1/255 of their row's range apart. The
/// kernels' GELU is coarse there, which makes nearly all of it: without one, or with the hyperbolic tangent's, a fixture is
/// off by 0.002 at most, with it by up to 0.014.
const INT8_TOLERANCE: f32 = 0.02;

/// Ragged mixes: around the edges of vectors, of panels, and of groups of pairs.
const MIXES: [&[usize]; 7] = [
    &[1],
    &[3, 1, 2],
    &[31, 32, 33],
    &[96, 95, 3, 94, 1],
    &[7, 96, 5, 64, 31, 9, 11, 40, 41, 42, 2],
    &[17; 40],
    &[640, 8, 200, 3],
];

/// What the logits of a fixture span.
fn span(name: &str) -> f32 {
    let logits = golden(name).pairs.into_iter().map(|pair| pair.logit);
    let ends = logits.fold([f32::MAX, f32::MIN], |[low, high], l| [low.min(l), high.max(l)]);
    ends[1] - ends[0]
}

/// Scores of every mix, held against those of plain operations.
fn compare(name: &str, precision: Precision, tolerance: f32) {
    let load = |device: &Device| CrossEncoder::load(&fixture(name), device, precision).unwrap();
    let (span, mut worst) = (span(name), 0.0_f32);
    for plain in without_kernels() {
        let expected = load(&plain);
        for device in with_kernels() {
            let actual = load(&device);
            let what = format!("{name} in {precision} on {} and {}", device.name(), plain.name());
            for lengths in MIXES {
                let batch = random_batch(lengths, name);
                let [actual, expected] = [&actual, &expected].map(|e| e.score(&batch).unwrap());
                worst = worst.max(assert_close(&what, &actual, &expected, tolerance * span));
            }
        }
    }
    let share = worst / span;
    noted("kernels", &format!("{name} in {precision}: largest difference {share:.1e} of the span"));
}

#[test]
fn float32_scores_are_those_of_plain_operations() {
    for name in FIXTURES {
        compare(name, Precision::F32, F32_TOLERANCE);
    }
}

#[test]
fn int8_scores_are_those_of_plain_operations() {
    for name in FIXTURES {
        compare(name, Precision::Int8, INT8_TOLERANCE);
    }
}

#[test]
fn every_instruction_set_agrees_with_transformers() {
    for (device, name) in
        with_kernels().iter().flat_map(|device| FIXTURES.map(|name| (device, name)))
    {
        let expected: Vec<f32> = golden(name).pairs.iter().map(|pair| pair.logit).collect();
        let logits = encoder(name, device).score(&pack(&golden_pairs(name))).unwrap();
        assert_close(&format!("{name} on {}", device.name()), &logits, &expected, 1e-4);
    }
}

#[test]
fn a_pair_scores_bit_for_bit_the_same_in_any_company() {
    let lengths = [7, 96, 5, 64, 31, 9, 1, 40, 640, 41, 42, 2];
    for name in FIXTURES {
        let batch = random_batch(&lengths, name);
        for device in with_kernels() {
            for precision in [Precision::F32, Precision::Int8] {
                let encoder = CrossEncoder::load(&fixture(name), &device, precision).unwrap();
                let together = encoder.score(&batch).unwrap();
                for (pair, ends) in batch.offsets().windows(2).enumerate() {
                    let own = ends[0] as usize..ends[1] as usize;
                    let mut alone = PackedBatch::with_capacity(own.len());
                    alone.push(&batch.ids()[own.clone()], &batch.types()[own]);
                    let alone = encoder.score(&alone).unwrap()[0];
                    let what = format!("pair {pair} of {name} in {precision} on {}", device.name());
                    assert_eq!(alone.to_bits(), together[pair].to_bits(), "{what}");
                }
            }
        }
    }
}
