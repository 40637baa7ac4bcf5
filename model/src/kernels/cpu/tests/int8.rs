use super::linear::run;
use super::math::reference;
use super::quantize::quantize;
use super::{Chance, assert_rows_near, assert_same, sets};
use crate::config::Activation;
use crate::kernels::cpu::weights::{Int8Rows, PackedLinear};

/// Weights of every int8, by chance.
fn weights(chance: &mut Chance, [inputs, outputs]: [usize; 2]) -> Vec<i8> {
    (0..inputs * outputs).map(|_| (chance.below(255) as i32 - 127) as i8).collect()
}

/// Weights with steps of 1 for inputs as they are.
fn whole(weights: &[i8], [inputs, outputs]: [usize; 2]) -> Int8Rows {
    Int8Rows { weights: weights.to_vec(), steps: vec![1.0; outputs], smoothing: vec![1.0; inputs] }
}

/// Whole numbers from `low` to `low + 255`, both among each row's first: a step of 1, so that rounding changes nothing.
fn whole_rows(chance: &mut Chance, rows: usize, inputs: usize, low: i32) -> Vec<i32> {
    let mut x: Vec<i32> = (0..rows * inputs).map(|_| low + chance.below(256) as i32).collect();
    for row in x.chunks_exact_mut(inputs) {
        row[0] = low;
        row[inputs - 1] = low + 255;
    }
    x
}

/// Products of whole numbers, exactly.
fn products(x: &[i32], weights: &[i8], inputs: usize) -> Vec<i32> {
    let mut y = Vec::new();
    for row in x.chunks_exact(inputs) {
        for weights in weights.chunks_exact(inputs) {
            y.push(row.iter().zip(weights).map(|(x, w)| x * i32::from(*w)).sum());
        }
    }
    y
}

#[test]
fn whole_numbers_are_multiplied_exactly() {
    let mut chance = Chance(1);
    for inputs in [2, 3, 4, 5, 7, 31, 32, 33, 100, 256] {
        for (outputs, low) in [(1, 0), (33, -100), (64, -255), (31, -128)] {
            let shape = [inputs, outputs];
            let weights = weights(&mut chance, shape);
            let rows = 1 + chance.below(27);
            let x = whole_rows(&mut chance, rows, inputs, low);
            let expected: Vec<f32> =
                products(&x, &weights, inputs).into_iter().map(|y| y as f32).collect();
            let x: Vec<f32> = x.into_iter().map(|x| x as f32).collect();
            let packed = PackedLinear::int8(&whole(&weights, shape), &vec![0.0; outputs]);
            for isa in sets() {
                let what = format!("{rows} rows of {inputs} to {outputs} from {low} on {isa:?}");
                assert_eq!(run(isa, &packed, None, &x, 0), expected, "{what}");
            }
        }
    }
}

#[test]
fn sums_of_the_largest_products_do_not_saturate() {
    const INPUTS: usize = 1536;
    for weight in [-127, 127] {
        let packed = PackedLinear::int8(&whole(&[weight; INPUTS * 40], [INPUTS, 40]), &[0.0; 40]);
        let expected = vec![(255 * INPUTS as i32 * i32::from(weight)) as f32; 13 * 40];
        for isa in sets() {
            let y = run(isa, &packed, None, &[255.0; 13 * INPUTS], 0);
            assert_same(&format!("{weight} on {isa:?}"), &y, &expected);
        }
    }
}

#[test]
fn outputs_are_what_the_bytes_stand_for() {
    let mut chance = Chance(2);
    let activations =
        [None, Some(Activation::Relu), Some(Activation::GeluTanh), Some(Activation::GeluErf)];
    for [inputs, outputs] in [[1, 1], [5, 7], [33, 40], [384, 96], [1536, 33]] {
        let rows = Int8Rows {
            weights: weights(&mut chance, [inputs, outputs]),
            steps: (0..outputs).map(|_| 0.01 * (1.5 + chance.number())).collect(),
            smoothing: (0..inputs).map(|_| 1.5 + chance.number()).collect(),
        };
        let bias = chance.numbers(outputs, 1.0);
        let packed = PackedLinear::int8(&rows, &bias);
        // A mean far from 0 makes the zero's share of each sum large.
        let x: Vec<f32> = chance.numbers(17 * inputs, 1.0).iter().map(|x| x + 0.7).collect();
        for isa in sets() {
            let (bytes, steps) = quantize(isa, &x, &rows.smoothing);
            let (mut sums, mut sizes) = (Vec::new(), Vec::new());
            for (bytes, step) in bytes.chunks_exact(inputs).zip(&steps) {
                let mut size = 0.0_f64;
                for (output, weights) in rows.weights.chunks_exact(inputs).enumerate() {
                    let unit = f64::from(step.step) * f64::from(rows.steps[output]);
                    let pairs =
                        || bytes.iter().zip(weights).map(|(b, w)| (f64::from(*b), f64::from(*w)));
                    let sum: f64 = pairs().map(|(b, w)| (b - f64::from(step.zero)) * w).sum();
                    let whole: f64 =
                        pairs().map(|(b, w)| ((b + f64::from(step.zero)) * w).abs()).sum();
                    sums.push(sum * unit + f64::from(bias[output]));
                    size = size.max(whole * unit + f64::from(bias[output].abs()));
                }
                sizes.push(size);
            }
            for activation in activations {
                let expected: Vec<f64> =
                    sums.iter().map(|sum| reference(activation, *sum)).collect();
                let y = run(isa, &packed, activation, &x, 0);
                let what = format!("{inputs} to {outputs}, {activation:?} on {isa:?}");
                if activation == Some(Activation::GeluErf) {
                    for ((y, expected), sum) in y.iter().zip(&expected).zip(&sums) {
                        let (off, allowed) =
                            ((f64::from(*y) - expected).abs(), 4e-4_f64.max(sum.abs() / 3200.0));
                        assert!(off <= allowed, "{what}: {y}, not {expected}: {off:e} off");
                    }
                } else {
                    assert_rows_near(&what, &y, &expected, &sizes, 1e-6);
                }
            }
        }
    }
}

#[test]
fn what_fills_a_row_up_has_no_say() {
    let mut chance = Chance(3);
    let shape = [33, 40];
    let packed = PackedLinear::int8(&whole(&weights(&mut chance, shape), shape), &[0.5; 40]);
    let (large, x) = (vec![255.0; 40 * 64], chance.numbers(20 * 33, 1.0));
    let other = PackedLinear::int8(&whole(&[127; 64 * 40], [64, 40]), &[0.0; 40]);
    for isa in sets() {
        let mut room = crate::kernels::cpu::scratch::QuantizedRoom::default();
        let mut go = |x: &[f32], weights: &PackedLinear| {
            let rows = x.len() / weights.inputs();
            let mut y = vec![0.0; rows * 64];
            let x = crate::kernels::cpu::linear::Rows { values: x, rows, stride: weights.inputs() };
            crate::kernels::cpu::linear::linear(isa, x, weights, None, &mut room, &mut y);
            y
        };
        let fresh = go(&x, &packed);
        go(&large, &other);
        assert_same(&format!("{isa:?}"), &go(&x, &packed), &fresh);
    }
}

#[test]
fn weights_are_rounded_to_half_a_step_and_smoothed() {
    let mut chance = Chance(4);
    let (inputs, outputs) = (33, 20);
    let mut rows = chance.numbers(inputs * outputs, 1.0);
    rows[..inputs].fill(0.0);
    let smoothing: Vec<f32> = (0..inputs).map(|_| 1.5 + chance.number()).collect();
    let int8 = Int8Rows::quantize(&rows, smoothing.clone());
    assert_eq!((int8.weights.len(), int8.steps.len()), (inputs * outputs, outputs));
    assert!(int8.weights[..inputs].iter().all(|weight| *weight == 0));
    for (output, (weights, row)) in
        int8.weights.chunks_exact(inputs).zip(rows.chunks_exact(inputs)).enumerate()
    {
        let step = int8.steps[output];
        assert!(step > 0.0);
        let largest = weights.iter().map(|weight| weight.unsigned_abs()).max();
        assert!(output == 0 || largest == Some(127), "row {output} uses {largest:?} of 127");
        for ((weight, exact), factor) in weights.iter().zip(row).zip(&smoothing) {
            let off = (f32::from(*weight) * step * factor - exact).abs();
            assert!(off <= 0.5001 * step * factor, "row {output}: {exact} is {weight} x {step}");
        }
    }
}
