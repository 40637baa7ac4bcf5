//! Derivatives against differences, in float64.

use super::norm::Norm;
use super::{Chance, Guarded, sets, wide};
use crate::kernels::cpu::backward::{Gelu, GeluBackward, NormBackward, SoftmaxBackward};

/// Half of a difference quotient's step.
const STEP: f64 = 1e-5;

/// The derivative of `f` at `x` along each number, times `gradient`.
fn slopes(f: impl Fn(&[f64]) -> Vec<f64>, x: &[f64], gradient: &[f64]) -> Vec<f64> {
    let along = |at: usize| {
        let moved = |by: f64| {
            let mut x = x.to_vec();
            x[at] += by;
            f(&x).iter().zip(gradient).map(|(y, own)| y * own).sum::<f64>()
        };
        (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
    };
    (0..x.len()).map(along).collect()
}

#[track_caller]
fn assert_near(what: &str, actual: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (at, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let apart = (f64::from(*actual) - expected).abs();
        assert!(apart < tolerance, "{what}, number {at}: {actual}, not {expected}");
    }
}

/// Within what the kernel's error function is, by the integral of the normal distribution's density.
fn gelu(x: f64) -> f64 {
    const PARTS: usize = 4000;
    let width = x / PARTS as f64;
    let density = |x: f64| (-x * x / 2.0).exp() / (std::f64::consts::TAU).sqrt();
    let sum: f64 = (0..PARTS).map(|part| density((part as f64 + 0.5) * width) * width).sum();
    x * (0.5 + sum)
}

#[test]
fn gelu_and_its_derivative_are_those_of_the_normal_distribution() {
    let mut x: Vec<f32> = (-60..=60).map(|at| at as f32 / 10.0).collect();
    x.extend([0.0, -0.0, 1e-30, -1e-30, 30.0, -30.0]);
    let gradient = Chance(3).numbers(x.len(), 1.0);
    let values: Vec<f64> = wide(&x).into_iter().map(gelu).collect();
    let of_each = |x: &[f64]| x.iter().copied().map(gelu).collect::<Vec<_>>();
    let slope = |(x, own): (f64, f64)| slopes(of_each, &[x], &[own])[0];
    let expected: Vec<f64> = wide(&x).into_iter().zip(wide(&gradient)).map(slope).collect();
    for isa in sets() {
        for count in [1, 7, 16, 33, x.len()] {
            let mut y = Guarded::output(count);
            y.get_mut().copy_from_slice(&x[..count]);
            isa.run(Gelu { x: y.get_mut() });
            assert_near(&format!("{isa:?}"), &y.written(), &values[..count], 1e-5);
            let mut own = Guarded::output(count);
            own.get_mut().copy_from_slice(&gradient[..count]);
            let input = Guarded::input(&x[..count]);
            isa.run(GeluBackward { x: input.get(), gradient: own.get_mut() });
            assert_near(&format!("{isa:?}"), &own.written(), &expected[..count], 1e-4);
        }
    }
}

#[test]
fn a_softmax_passes_on_the_gradient_of_each_row() {
    let softmax = |x: &[f64]| {
        let sum: f64 = x.iter().map(|x| x.exp()).sum();
        x.iter().map(|x| x.exp() / sum).collect::<Vec<_>>()
    };
    for width in [1, 5, 16, 37, 70] {
        let (x, gradient) = (Chance(5).numbers(3 * width, 2.0), Chance(6).numbers(3 * width, 1.0));
        let rows = || wide(&x).into_iter().collect::<Vec<_>>();
        let shares: Vec<f32> =
            rows().chunks(width).flat_map(softmax).map(|share| share as f32).collect();
        let expected: Vec<f64> = rows()
            .chunks(width)
            .zip(wide(&gradient).chunks(width))
            .flat_map(|(x, gradient)| slopes(softmax, x, gradient))
            .collect();
        for isa in sets() {
            let mut own = Guarded::output(gradient.len());
            own.get_mut().copy_from_slice(&gradient);
            let shares = Guarded::input(&shares);
            isa.run(SoftmaxBackward { shares: shares.get(), gradient: own.get_mut(), width });
            assert_near(&format!("{width} on {isa:?}"), &own.written(), &expected, 1e-5);
        }
    }
}

#[test]
fn a_normalisation_passes_on_the_gradients_of_its_input_and_its_weights() {
    for hidden in [4, 32, 45] {
        let norm = Norm::new(&mut Chance(7), hidden);
        let (x, gradient) =
            (Chance(8).numbers(2 * hidden, 1.0), Chance(9).numbers(2 * hidden, 1.0));
        let own = wide(&gradient);
        let expected = slopes(|x| norm.apply(x), &wide(&x), &own);
        let (ones, zeros) = (vec![1.0; hidden], vec![0.0; hidden]);
        let plain = Norm { gamma: ones, beta: zeros, epsilon: norm.epsilon }.apply(&wide(&x));
        let with = |gamma: &[f64], beta: &[f64]| -> Vec<f64> {
            let columns = gamma.iter().zip(beta).cycle();
            plain.iter().zip(columns).map(|(x, (gamma, beta))| x * gamma + beta).collect()
        };
        let (gamma, beta) = (wide(&norm.gamma), wide(&norm.beta));
        let of_gamma = slopes(|gamma| with(gamma, &beta), &gamma, &own);
        let of_beta = slopes(|beta| with(&gamma, beta), &beta, &own);
        for isa in sets() {
            let (input, mut output) = (Guarded::input(&x), Guarded::output(x.len()));
            output.get_mut().copy_from_slice(&gradient);
            // What earlier rows said stays.
            let (mut gamma, mut beta) = (vec![1.0; hidden], vec![-1.0; hidden]);
            isa.run(NormBackward {
                x: input.get(),
                norm: norm.slices(),
                gradient: output.get_mut(),
                gamma: &mut gamma,
                beta: &mut beta,
            });
            let less =
                |values: &[f32], start: f32| values.iter().map(|x| x - start).collect::<Vec<_>>();
            assert_near(&format!("{hidden} on {isa:?}"), &output.written(), &expected, 1e-3);
            assert_near("gamma", &less(&gamma, 1.0), &of_gamma, 1e-4);
            assert_near("beta", &less(&beta, -1.0), &of_beta, 1e-4);
        }
    }
}
