use burn::backend::Dispatch;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{IGNORED, StoredEmbeddings, StoredHead, StoredLayer, StoredProjection};
use crate::calibration::Calibration;
use crate::config::{Activation, BertConfig};
use crate::device::Device;
use crate::head::Head;
use crate::kernels::EncoderOps as _;
use crate::layers::{Linear, Norm, param};
use crate::layout::Layout;
use crate::packed::PackedBatch;
use crate::weights::{Weights, WeightsError};

/// `BertForSequenceClassification` with one label.
#[derive(Module, Debug)]
pub(crate) struct Bert {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    last: LastLayer,
    head: Head,
}

/// Word, position and type of each token.
#[derive(Module, Debug)]
struct Embeddings {
    words: Param<Tensor<2>>,
    positions: Param<Tensor<2>>,
    types: Param<Tensor<2>>,
    norm: Norm,
}

/// Attention, then feed-forward, each added to its input and normalised.
#[derive(Module, Debug)]
struct Layer {
    /// Query, key and value side by side, `[hidden, 3 * hidden]`.
    qkv: Linear,
    rest: Rest,
}

/// The head reads each pair's first token alone, so that in the last layer no other token asks.
#[derive(Module, Debug)]
struct LastLayer {
    query: Linear,
    /// Side by side, `[hidden, 2 * hidden]`.
    key_value: Linear,
    rest: Rest,
}

/// What comes behind the projection.
#[derive(Module, Debug)]
struct Rest {
    output: Linear,
    attended_norm: Norm,
    up: Linear,
    down: Linear,
    norm: Norm,
    #[module(skip)]
    heads: usize,
    #[module(skip)]
    activation: Activation,
}

// === impl Bert ===

impl Bert {
    /// Takes every tensor of the file. Where `calibration` is given, the weights become int8.
    pub(crate) fn load(
        config: &BertConfig,
        mut weights: Weights,
        device: &Device,
        calibration: Option<&PackedBatch>,
    ) -> Result<Self, WeightsError> {
        let embeddings = StoredEmbeddings::take(config, &mut weights)?;
        let mut calibration =
            calibration.map(|batch| Calibration::start(config, &embeddings, batch));
        let embeddings = Embeddings::new(embeddings, config, device);
        let (mut layers, mut last) = (Vec::with_capacity(config.layers), None);
        // Layer by layer, so that no more than one is in memory twice.
        for index in 0..config.layers {
            let mut stored = StoredLayer::take(config, &mut weights, index)?;
            if let Some(calibration) = &mut calibration {
                let inputs = calibration.pass(&stored);
                stored.quantize(&inputs);
            }
            let StoredLayer { projection, output, attended_norm, up, down, norm } = stored;
            let rest = Rest {
                output: Linear::new(output, device),
                attended_norm: Norm::new(attended_norm, device.burn()),
                up: Linear::new(up, device),
                down: Linear::new(down, device),
                norm: Norm::new(norm, device.burn()),
                heads: config.heads,
                activation: config.activation,
            };
            match projection {
                StoredProjection::All(qkv) => {
                    layers.push(Layer { qkv: Linear::new(qkv, device), rest });
                }
                StoredProjection::First { query, key_value } => {
                    let query = Linear::new(query, device);
                    let key_value = Linear::new(key_value, device);
                    last = Some(LastLayer { query, key_value, rest });
                }
            }
        }
        let head = Head::new(StoredHead::take(config, &mut weights)?, device);
        weights.finish(IGNORED)?;
        let last = last.expect("config asks for a layer or more");
        Ok(Self { embeddings, layers, last, head })
    }

    /// Returns logits, `[pairs]`, in computed order.
    pub(crate) fn forward(&self, layout: &Layout) -> Tensor<1> {
        let mut x = self.embeddings.forward(layout);
        for layer in &self.layers {
            x = layer.forward(x, layout);
        }
        self.head.forward(self.last.forward(x, layout))
    }
}

// === impl Embeddings ===

impl Embeddings {
    fn new(stored: StoredEmbeddings, config: &BertConfig, device: &Device) -> Self {
        let hidden = config.hidden_size;
        Self {
            words: param(stored.words, [config.vocab_size, hidden], device.burn()),
            positions: param(stored.positions, [config.positions, hidden], device.burn()),
            types: param(stored.types, [config.types, hidden], device.burn()),
            norm: Norm::new(stored.norm, device.burn()),
        }
    }

    /// Returns `[tokens, hidden]`.
    fn forward(&self, layout: &Layout) -> Tensor<2> {
        let [words, types, positions] =
            [&self.words, &self.types, &self.positions].map(|table| table.val().into_dispatch());
        let (tokens, norm) = (layout.tokens.clone(), self.norm.weights());
        Tensor::from_dispatch(Dispatch::embed(words, types, positions, tokens, norm))
    }
}

// === impl Layer ===

impl Layer {
    /// `[tokens, hidden]` → `[tokens, hidden]`.
    fn forward(&self, x: Tensor<2>, layout: &Layout) -> Tensor<2> {
        let Rest { output, attended_norm, heads, .. } = &self.rest;
        self.rest.forward(Tensor::from_dispatch(Dispatch::self_attention(
            x.into_dispatch(),
            self.qkv.weights(),
            output.weights(),
            attended_norm.weights(),
            layout.pairs.clone(),
            *heads,
        )))
    }
}

// === impl LastLayer ===

impl LastLayer {
    /// `[tokens, hidden]` → `[pairs, hidden]`.
    fn forward(&self, x: Tensor<2>, layout: &Layout) -> Tensor<2> {
        let Rest { output, attended_norm, heads, .. } = &self.rest;
        self.rest.forward(Tensor::from_dispatch(Dispatch::first_attention(
            x.into_dispatch(),
            self.query.weights(),
            self.key_value.weights(),
            output.weights(),
            attended_norm.weights(),
            layout.pairs.clone(),
            *heads,
        )))
    }
}

// === impl Rest ===

impl Rest {
    /// The feed-forward half: `[rows, hidden]` → `[rows, hidden]`.
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        Tensor::from_dispatch(Dispatch::feed_forward(
            x.into_dispatch(),
            self.up.weights(),
            self.activation,
            self.down.weights(),
            self.norm.weights(),
        ))
    }
}
