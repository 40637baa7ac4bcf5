use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

use crate::config::BertConfig;
use crate::layers;
use crate::weights::{Weights, WeightsError};

/// Pooler and classifier: the first token's state → one logit.
#[derive(Module, Debug)]
pub(crate) struct Head {
    pooler: Linear,
    classifier: Linear,
}

// === impl Head ===

impl Head {
    pub(crate) fn load(
        config: &BertConfig,
        weights: &mut Weights<'_>,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let hidden = config.hidden_size;
        Ok(Self {
            pooler: layers::linear(
                weights,
                &["bert.pooler.dense".to_owned()],
                [hidden, hidden],
                device,
            )?,
            classifier: layers::linear(weights, &["classifier".to_owned()], [hidden, 1], device)?,
        })
    }

    /// `[pairs, hidden]` → logits `[pairs]`.
    pub(crate) fn forward(&self, firsts: Tensor<2>) -> Tensor<1> {
        let pairs = firsts.dims()[0];
        let pooled = self.pooler.forward(firsts).tanh();
        self.classifier.forward(pooled).reshape([pairs])
    }
}
