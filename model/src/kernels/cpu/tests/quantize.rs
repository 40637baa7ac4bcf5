use super::{Chance, Guarded, sets};
use crate::kernels::cpu::isa::Isa;
use crate::kernels::cpu::quantize::{QuantizeRows, Step};

/// Rows of `smoothing.len()`: their bytes without what fills them up, and their steps.
pub(super) fn quantize(isa: Isa, rows: &[f32], smoothing: &[f32]) -> (Vec<u8>, Vec<Step>) {
    let inputs = smoothing.len();
    let (count, depth) = (rows.len() / inputs, inputs.next_multiple_of(4));
    let (input, factors) = (Guarded::input(rows), Guarded::input(smoothing));
    let mut bytes = vec![0xa5; count * depth + 64];
    let mut steps = vec![Step::default(); count];
    isa.run(QuantizeRows {
        rows: input.get(),
        stride: inputs,
        smoothing: factors.get(),
        bytes: &mut bytes[..count * depth],
        steps: &mut steps,
    });
    assert!(bytes[count * depth..].iter().all(|byte| *byte == 0xa5), "written beside");
    let own = bytes[..count * depth].chunks_exact(depth).flat_map(|row| &row[..inputs]);
    (own.copied().collect(), steps)
}

/// The row's numbers, smoothed, are half a step at most from what its bytes stand for.
fn check(what: &str, row: &[f32]) {
    let smoothing: Vec<f32> = (0..row.len()).map(|i| [1.0, 0.5, 2.0][i % 3]).collect();
    for isa in sets() {
        let (bytes, steps) = quantize(isa, row, &smoothing);
        let (step, zero) = (f64::from(steps[0].step), f64::from(steps[0].zero));
        let what = format!("{what}, {} numbers on {isa:?}", row.len());
        assert!(step > 0.0 && step.is_finite(), "{what}: a step of {step}");
        assert!((0.0..=255.0).contains(&zero) && zero.fract() == 0.0, "{what}: a zero of {zero}");
        for ((x, factor), byte) in row.iter().zip(&smoothing).zip(bytes) {
            let smoothed = f64::from(*x) * f64::from(*factor);
            let off = (smoothed - step * (f64::from(byte) - zero)).abs();
            // Rounding to float32 on the way moves a number by its last place, and a byte by 255 of them.
            assert!(off <= step * 0.5001, "{what}: {x:e} is {byte}: {} steps off", off / step);
            assert!(smoothed != 0.0 || f64::from(byte) == zero, "{what}: 0 is {byte}, not {zero}");
        }
    }
}

#[test]
fn a_number_is_off_by_half_a_step_at_most() {
    let mut chance = Chance(1);
    for width in (1..=40).chain([63, 64, 65, 100, 384, 1536]) {
        let row = chance.numbers(width, 1.0);
        check("both signs", &row);
        check("above zero", &row.iter().map(|x| x.abs() + 0.5).collect::<Vec<_>>());
        check("below zero", &row.iter().map(|x| -x.abs() - 0.5).collect::<Vec<_>>());
        check("zeros among them", &row.iter().map(|x| x.max(0.0)).collect::<Vec<_>>());
        check("huge", &row.iter().map(|x| x * 1e37).collect::<Vec<_>>());
        check("tiny", &row.iter().map(|x| x * 1e-30).collect::<Vec<_>>());
        check("denormal", &row.iter().map(|x| x * 1e-40).collect::<Vec<_>>());
        check("zeros", &vec![0.0; width]);
        check("equal", &vec![0.3; width]);
        let mut far = row;
        far[width / 2] = 1e4;
        check("one far from the others", &far);
    }
}

#[test]
fn a_step_is_no_larger_than_the_row_needs() {
    for isa in sets() {
        let (_, steps) = quantize(isa, &[-1.0, 0.25, 2.0, 0.0, 0.5], &[1.0; 5]);
        assert!((steps[0].step - 3.0 / 255.0).abs() < 1e-8, "{isa:?}: {steps:?}");
        assert_eq!(steps[0].zero, 85.0, "{isa:?}");
    }
}

#[test]
fn whole_numbers_of_a_range_of_255_are_kept_exactly() {
    for isa in sets() {
        let row: Vec<f32> = (0..=255).map(|i| (i - 100) as f32).collect();
        let (bytes, steps) = quantize(isa, &row, &[1.0; 256]);
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>(), "{isa:?}");
        assert_eq!(steps, [Step { step: 1.0, zero: 100.0 }], "{isa:?}");
    }
}

#[test]
fn a_row_that_is_not_finite_says_so_in_its_step() {
    for poison in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for (at, isa) in (0..21).flat_map(|at| sets().into_iter().map(move |isa| (at, isa))) {
            let mut rows = Chance(2).numbers(3 * 21, 1.0);
            rows[21 + at] = poison;
            let (_, steps) = quantize(isa, &rows, &[1.0; 21]);
            let finite = [steps[0], steps[1], steps[2]].map(|step| step.step.is_finite());
            assert_eq!(finite, [true, false, true], "{poison} at {at} on {isa:?}: {steps:?}");
        }
    }
}
