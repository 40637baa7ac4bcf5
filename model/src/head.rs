use burn::module::Module;
use burn::tensor::Tensor;

use crate::config::HeadActivation;
use crate::device::Device;
use crate::layers::{Linear, Norm};
use crate::stored::{StoredHead, StoredStage};

/// What turns a pair's pooled state into one logit.
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

    /// `[pairs, hidden]` → logits `[pairs]`.
    pub(crate) fn forward(&self, pooled: Tensor<2>) -> Tensor<1> {
        let pairs = pooled.dims()[0];
        self.stages.iter().fold(pooled, |x, stage| stage.forward(x)).reshape([pairs])
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
