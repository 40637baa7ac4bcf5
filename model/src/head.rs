use burn::module::Module;
use burn::tensor::Tensor;

use crate::arch::StoredHead;
use crate::device::Device;
use crate::layers::Linear;

/// Pooler and classifier: the first token's state → one logit.
#[derive(Module, Debug)]
pub(crate) struct Head {
    pooler: Linear,
    classifier: Linear,
}

// === impl Head ===

impl Head {
    pub(crate) fn new(stored: StoredHead, device: &Device) -> Self {
        Self {
            pooler: Linear::new(stored.pooler, device),
            classifier: Linear::new(stored.classifier, device),
        }
    }

    /// `[pairs, hidden]` → logits `[pairs]`.
    pub(crate) fn forward(&self, firsts: Tensor<2>) -> Tensor<1> {
        let pairs = firsts.dims()[0];
        let pooled = self.pooler.forward(firsts, None).tanh();
        self.classifier.forward(pooled, None).reshape([pairs])
    }
}
