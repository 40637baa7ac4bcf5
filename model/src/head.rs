use burn::module::Module;
use burn::tensor::Tensor;

use crate::config::HeadActivation;
#[cfg(feature = "train")]
use crate::config::ModelConfig;
use crate::device::Device;
use crate::layers::{Linear, Norm};
use crate::stored::{StoredHead, StoredStage};

/// What turns a pair's pooled state into a logit for each label.
#[derive(Module, Debug)]
pub(crate) struct Head {
    stages: Vec<Stage>,
}

/// `norm(activation(x W + b))`.
#[derive(Module, Debug)]
struct Stage {
    linear: Linear,
    norm: Option<Norm>,
    #[module(skip)]
    activation: Option<HeadActivation>,
}

// === impl Head ===

impl Head {
    pub(crate) fn new(stored: StoredHead, device: &Device) -> Self {
        Self { stages: stored.stages.into_iter().map(|stage| Stage::new(stage, device)).collect() }
    }

    /// As the file holds it, without what stands before it.
    #[cfg(feature = "train")]
    pub(crate) fn stored(&self, config: &ModelConfig) -> StoredHead {
        let stages = self.stages.iter().zip(&config.head).map(|(own, stage)| StoredStage {
            linear: own.linear.stored(stage.bias),
            activation: own.activation,
            norm: own.norm.as_ref().zip(stage.norm.as_ref()).map(|(norm, of)| norm.stored(of.bias)),
        });
        StoredHead { final_norm: None, stages: stages.collect() }
    }

    /// `[pairs, hidden]` → logits `[pairs, labels]`.
    pub(crate) fn forward(&self, pooled: Tensor<2>) -> Tensor<2> {
        self.stages.iter().fold(pooled, |x, stage| stage.forward(x))
    }
}

// === impl Stage ===

impl Stage {
    fn new(stored: StoredStage, device: &Device) -> Self {
        Self {
            linear: Linear::new(stored.linear, device),
            norm: stored.norm.map(|norm| Norm::new(norm, device)),
            activation: stored.activation,
        }
    }

    /// `[pairs, inputs]` → `[pairs, outputs]`.
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = match self.activation {
            None => self.linear.forward(x, None),
            Some(HeadActivation::Of(activation)) => self.linear.forward(x, Some(activation)),
            Some(HeadActivation::Tanh) => self.linear.forward(x, None).tanh(),
        };
        match &self.norm {
            None => x,
            Some(norm) => norm.forward(x),
        }
    }
}

/// The one score of a pair, from its logits `[labels]`: a lone one as it is; of several, the log-odds of the chosen
/// one against all others, `l - ln(Σ exp(others))`.
///
/// It orders pairs as the label's softmax does, and its sigmoid is that softmax.
pub(crate) fn score(logits: &[f32], chosen: usize) -> f32 {
    if let &[logit] = logits {
        return logit;
    }
    let others = || {
        let others = logits.iter().enumerate().filter(|(label, _)| *label != chosen);
        others.map(|(_, &logit)| f64::from(logit))
    };
    // Beside the largest, no exponential overflows.
    let largest = others().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = others().map(|logit| (logit - largest).exp()).sum();
    (f64::from(logits[chosen]) - largest - sum.ln()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sigmoid_of_a_score_is_the_softmax_of_its_label() {
        let logits = [1.5_f32, -0.25, 3.0];
        let all: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
        for (label, &logit) in logits.iter().enumerate() {
            let sigmoid = 1.0 / (1.0 + f64::from(-score(&logits, label)).exp());
            assert!((sigmoid - f64::from(logit).exp() / all).abs() < 1e-7, "label {label}");
        }
        assert_eq!(score(&[4.0, 1.5], 0), 2.5, "of two, the difference");
    }

    #[test]
    fn logits_far_apart_neither_overflow_nor_vanish() {
        assert_eq!(score(&[1000.0, -1000.0, -1000.0], 0), (2000.0 - 2.0_f64.ln()) as f32);
        assert_eq!(score(&[-90.0, 800.0, 0.0], 0), -890.0);
    }

    #[test]
    fn a_lone_logit_is_the_score_bit_for_bit() {
        for logit in [0.1_f32, -0.0, f32::MIN_POSITIVE, f32::INFINITY] {
            assert_eq!(score(&[logit], 0).to_bits(), logit.to_bits());
        }
    }

    #[test]
    fn a_logit_that_is_no_number_reaches_the_score() {
        for label in 0..3 {
            assert!(!score(&[0.0, f32::NAN, 1.0], label).is_finite());
            assert!(!score(&[0.0, f32::INFINITY, 1.0], label).is_finite());
        }
    }
}
