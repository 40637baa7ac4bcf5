use super::math::reference;
use super::{Chance, Guarded, Layer, assert_rows_near, assert_same, sets, wide};
use crate::config::Activation;
use crate::kernels::cpu::isa::Isa;
use crate::kernels::cpu::linear::{Rows, linear};
use crate::kernels::cpu::scratch::QuantizedRoom;
use crate::kernels::cpu::weights::PackedLinear;

/// Of a row's magnitude ([`Layer::magnitudes`]).
const TOLERANCE: f64 = 1e-5;

const ACTIVATIONS: [Option<Activation>; 4] =
    [None, Some(Activation::GeluErf), Some(Activation::GeluTanh), Some(Activation::Relu)];

/// Rows of `x`, `apart` numbers between the end of one and the start of the next.
pub(super) fn run(
    isa: Isa,
    weights: &PackedLinear,
    activation: Option<Activation>,
    x: &[f32],
    apart: usize,
) -> Vec<f32> {
    let (inputs, outputs) = (weights.inputs(), weights.outputs());
    let rows = x.len() / inputs;
    let mut spread: Vec<f32> = Vec::new();
    for row in x.chunks_exact(inputs) {
        spread.extend(row);
        spread.extend(vec![f32::NAN; apart]);
    }
    // The last row ends with its numbers.
    spread.truncate(spread.len() - apart);
    let input = Guarded::input(&spread);
    let mut output = Guarded::output(rows * weights.width());
    let rows = Rows { values: input.get(), rows, stride: inputs + apart };
    linear(isa, rows, weights, activation, &mut QuantizedRoom::default(), output.get_mut());
    let written = output.written();
    written.chunks_exact(weights.width()).flat_map(|row| &row[..outputs]).copied().collect()
}

fn check(what: &str, layer: &Layer, x: &[f32]) {
    let packed = layer.packed();
    let (sums, sizes) = (layer.apply(&wide(x)), layer.magnitudes(x));
    for isa in sets() {
        for activation in ACTIVATIONS {
            let expected: Vec<f64> = sums.iter().map(|sum| reference(activation, *sum)).collect();
            let y = run(isa, &packed, activation, x, 0);
            let what = format!("{what}, {activation:?} on {isa:?}");
            assert_rows_near(&what, &y, &expected, &sizes, TOLERANCE);
        }
    }
}

#[test]
fn rows_of_any_number_agree_with_float64() {
    let mut chance = Chance(1);
    let layer = Layer::new(&mut chance, [33, 40], 1.0);
    for rows in (1..=40).chain([512]) {
        check(&format!("{rows} rows"), &layer, &chance.numbers(rows * 33, 1.0));
    }
}

#[test]
fn sizes_that_fill_no_vector_agree_with_float64() {
    let mut chance = Chance(2);
    for inputs in [1, 3, 5, 7, 31, 32, 33, 100] {
        for outputs in [1, 3, 5, 7, 31, 32, 33, 100] {
            let layer = Layer::new(&mut chance, [inputs, outputs], 1.0);
            let rows = 1 + chance.below(14);
            let what = format!("{rows} rows of {inputs} to {outputs}");
            check(&what, &layer, &chance.numbers(rows * inputs, 1.0));
        }
    }
}

#[test]
fn layers_of_real_size_agree_with_float64() {
    let mut chance = Chance(3);
    for [inputs, outputs] in [[384, 1152], [1536, 384]] {
        let layer = Layer::new(&mut chance, [inputs, outputs], 0.1);
        check("real size", &layer, &chance.numbers(14 * inputs, 3.0));
    }
}

#[test]
fn equal_rows_agree_with_float64() {
    let mut chance = Chance(4);
    let layer = Layer::new(&mut chance, [64, 96], 1.0);
    check("rows equal to one another", &layer, &chance.numbers(64, 1.0).repeat(37));
    check("rows of one number", &layer, &[0.7; 64 * 37]);
    check("zeros", &layer, &[0.0; 64 * 5]);
}

#[test]
fn huge_and_tiny_numbers_agree_with_float64() {
    let mut chance = Chance(5);
    // The last two come to numbers that float32 holds with fewer digits.
    for (inputs, weights) in
        [(1e30, 1.0), (1.0, 1e30), (1e30, 1e-30), (1e-30, 1.0), (1e-20, 1e-19), (1e-40, 1.0)]
    {
        let layer = Layer::new(&mut chance, [100, 33], weights);
        let what = format!("inputs of {inputs:e}, weights of {weights:e}");
        check(&what, &layer, &chance.numbers(13 * 100, inputs));
    }
    // Rows far apart in size, each held against its own.
    let layer = Layer::new(&mut chance, [100, 33], 1.0);
    let rows = (0..13).flat_map(|row| chance.numbers(100, 10_f32.powi(row * 5 - 30)));
    check("rows of many sizes", &layer, &rows.collect::<Vec<_>>());
}

#[test]
fn rows_may_stand_apart() {
    let mut chance = Chance(6);
    let layer = Layer::new(&mut chance, [33, 40], 1.0);
    let x = chance.numbers(17 * 33, 1.0);
    for isa in sets() {
        for packed in [layer.packed(), layer.packed_int8()] {
            let dense = run(isa, &packed, None, &x, 0);
            assert_same(&format!("{isa:?}"), &run(isa, &packed, None, &x, 19), &dense);
        }
    }
}

#[test]
fn a_row_is_bit_for_bit_the_same_in_any_company() {
    let mut chance = Chance(7);
    let layer = Layer::new(&mut chance, [100, 65], 1.0);
    let x = chance.numbers(40 * 100, 1.0);
    for isa in sets() {
        for packed in [layer.packed(), layer.packed_int8()] {
            for activation in ACTIVATIONS {
                let alone: Vec<f32> = x
                    .chunks_exact(100)
                    .flat_map(|row| run(isa, &packed, activation, row, 0))
                    .collect();
                for rows in 1..=40 {
                    let first = chance.below(41 - rows);
                    let some = &x[first * 100..(first + rows) * 100];
                    let y = run(isa, &packed, activation, some, 0);
                    let what = format!("{rows} rows, {activation:?} on {isa:?}");
                    assert_same(&what, &y, &alone[first * 65..(first + rows) * 65]);
                }
            }
        }
    }
}

#[test]
fn what_is_not_finite_reaches_every_output_of_its_row_and_no_other() {
    let mut chance = Chance(8);
    let layer = Layer::new(&mut chance, [33, 40], 1.0);
    for poison in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for (at, isa) in
            [0, 16, 32].into_iter().flat_map(|at| sets().into_iter().map(move |isa| (at, isa)))
        {
            let mut x = chance.numbers(7 * 33, 1.0);
            x[3 * 33 + at] = poison;
            for packed in [layer.packed(), layer.packed_int8()] {
                for activation in ACTIVATIONS {
                    let y = run(isa, &packed, activation, &x, 0);
                    for (row, y) in y.chunks_exact(40).enumerate() {
                        let right = match row {
                            3 if poison.is_nan() => y.iter().all(|y| y.is_nan()),
                            // Activations may turn minus infinity into 0.
                            3 => activation.is_some() || !y.iter().any(|y| y.is_finite()),
                            _ => y.iter().all(|y| y.is_finite()),
                        };
                        assert!(right, "{poison} at {at}, {activation:?} on {isa:?}: {row}: {y:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn an_output_row_is_as_wide_as_the_layer() {
    let mut chance = Chance(9);
    for outputs in [1, 31, 32, 33] {
        let layer = Layer::new(&mut chance, [24, outputs], 1.0);
        let x = chance.numbers(13 * 24, 1.0);
        for (isa, packed) in
            sets().into_iter().flat_map(|isa| [(isa, layer.packed()), (isa, layer.packed_int8())])
        {
            let mut y = Guarded::output(13 * outputs);
            crate::kernels::cpu::linear(isa, &x, &packed, None, y.get_mut());
            assert_same(&format!("{isa:?}"), &y.written(), &run(isa, &packed, None, &x, 0));
        }
    }
}
