use burn::module::Module;
use burn::nn::{Embedding, LayerNorm, Linear};
use burn::tensor::{Device, Int, Tensor, activation};

use crate::attention::Plan;
use crate::config::{Activation, BertConfig};
use crate::head::Head;
use crate::layers;
use crate::weights::{Weights, WeightsError};

/// Buffers that old files carry and that follow from the config.
const IGNORED: &[&str] = &["bert.embeddings.position_ids", "bert.embeddings.token_type_ids"];

/// `BertForSequenceClassification` with one label.
#[derive(Module, Debug)]
pub(crate) struct Bert {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    head: Head,
}

/// Word, position and type of each token.
#[derive(Module, Debug)]
struct Embeddings {
    words: Embedding,
    positions: Embedding,
    types: Embedding,
    norm: LayerNorm,
}

/// Attention, then feed-forward, each added to its input and normalised.
#[derive(Module, Debug)]
struct Layer {
    /// Query, key and value in one product, `[hidden, 3 * hidden]`.
    qkv: Linear,
    attended: Linear,
    attended_norm: LayerNorm,
    up: Linear,
    down: Linear,
    norm: LayerNorm,
    heads: usize,
    #[module(skip)]
    activation: Activation,
}

/// What the network reads, in the order that the plan computes it.
pub(crate) struct Tokens {
    /// Vocabulary ids, `[tokens]`.
    pub(crate) ids: Tensor<1, Int>,
    /// Query or passage, `[tokens]`.
    pub(crate) types: Tensor<1, Int>,
    /// Place within the pair, `[tokens]`.
    pub(crate) positions: Tensor<1, Int>,
    /// Rows of the pairs' first tokens, `[pairs]`.
    pub(crate) firsts: Tensor<1, Int>,
}

// === impl Bert ===

impl Bert {
    /// Takes every tensor of the file under its name in transformers.
    pub(crate) fn load(
        config: &BertConfig,
        mut weights: Weights<'_>,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let bert = Self {
            embeddings: Embeddings::load(config, &mut weights, device)?,
            layers: (0..config.layers)
                .map(|i| {
                    Layer::load(config, &mut weights, &format!("bert.encoder.layer.{i}"), device)
                })
                .collect::<Result<_, _>>()?,
            head: Head::load(config, &mut weights, device)?,
        };
        weights.finish(IGNORED)?;
        Ok(bert)
    }

    /// Returns logits, `[pairs]`.
    pub(crate) fn forward(&self, tokens: Tokens, plan: &Plan) -> Tensor<1> {
        let firsts = tokens.firsts.clone();
        let mut x = self.embeddings.forward(tokens);
        let (last, rest) = self.layers.split_last().expect("config asks for a layer or more");
        for layer in rest {
            let context = layer.attend(x.clone(), plan);
            x = layer.combine(x, context);
        }
        // The head reads each pair's first token alone, so the rest ends with the last attention.
        let context = last.attend(x.clone(), plan).select(0, firsts.clone());
        self.head.forward(last.combine(x.select(0, firsts), context))
    }
}

// === impl Embeddings ===

impl Embeddings {
    fn load(
        config: &BertConfig,
        weights: &mut Weights<'_>,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let mut table = |name: &str, rows: usize| {
            let name = format!("bert.embeddings.{name}.weight");
            layers::embedding(weights, &name, [rows, config.hidden_size], device)
        };
        Ok(Self {
            words: table("word_embeddings", config.vocab_size)?,
            positions: table("position_embeddings", config.positions)?,
            types: table("token_type_embeddings", config.types)?,
            norm: layers::layer_norm(weights, "bert.embeddings.LayerNorm", config, device)?,
        })
    }

    /// Returns `[tokens, hidden]`.
    fn forward(&self, tokens: Tokens) -> Tensor<2> {
        let row = |table: &Embedding, rows: Tensor<1, Int>| table.weight.val().select(0, rows);
        let sum = row(&self.words, tokens.ids) + row(&self.types, tokens.types);
        self.norm.forward(sum + row(&self.positions, tokens.positions))
    }
}

// === impl Layer ===

impl Layer {
    fn load(
        config: &BertConfig,
        weights: &mut Weights<'_>,
        prefix: &str,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let own = |name: &str| format!("{prefix}.{name}");
        let qkv = ["query", "key", "value"].map(|part| own(&format!("attention.self.{part}")));
        Ok(Self {
            qkv: layers::linear(weights, &qkv, [hidden, hidden], device)?,
            attended: layers::linear(
                weights,
                &[own("attention.output.dense")],
                [hidden, hidden],
                device,
            )?,
            attended_norm: layers::layer_norm(
                weights,
                &own("attention.output.LayerNorm"),
                config,
                device,
            )?,
            up: layers::linear(weights, &[own("intermediate.dense")], [hidden, inner], device)?,
            down: layers::linear(weights, &[own("output.dense")], [inner, hidden], device)?,
            norm: layers::layer_norm(weights, &own("output.LayerNorm"), config, device)?,
            heads: config.heads,
            activation: config.activation,
        })
    }

    /// `[tokens, hidden]` → `[tokens, hidden]`.
    fn attend(&self, x: Tensor<2>, plan: &Plan) -> Tensor<2> {
        plan.attend(self.qkv.forward(x), self.heads)
    }

    /// Row by row: `x` and its attention context, both `[rows, hidden]` → `[rows, hidden]`.
    fn combine(&self, x: Tensor<2>, context: Tensor<2>) -> Tensor<2> {
        let x = self.attended_norm.forward(self.attended.forward(context) + x);
        let inner = self.up.forward(x.clone());
        let inner = match self.activation {
            Activation::GeluErf => activation::gelu(inner),
            Activation::GeluTanh => activation::gelu_approximate(inner),
            Activation::Relu => activation::relu(inner),
        };
        self.norm.forward(self.down.forward(inner) + x)
    }
}
