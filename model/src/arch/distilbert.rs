//! `DistilBertForSequenceClassification` (Sanh et al., DistilBERT, 2019).

use super::{Names, Projection};
use crate::config::common::activation;
use crate::config::{
    Activation, Biases, ConfigError, Distances, Fields, HeadActivation, Labels, ModelConfig,
    NormPlace, Pooling, Stage,
};

const NAMES: Names = Names {
    prefix: "distilbert.",
    words: "embeddings.word_embeddings.weight",
    types: None,
    positions: Some("embeddings.position_embeddings.weight"),
    embeddings_norm: "embeddings.LayerNorm",
    embeddings_projection: None,
    distances: None,
    distances_norm: None,
    layer: "transformer.layer",
    projection: Projection::Separate(["attention.q_lin", "attention.k_lin", "attention.v_lin"]),
    output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    up: "ffn.lin1",
    down: "ffn.lin2",
    norm: "output_layer_norm",
    final_norm: None,
    ignored: &["embeddings.position_ids"],
};

/// Fields of its own that cannot change a logit. Sinusoidal positions are in the file as any others are.
const HARMLESS: &[&str] = &[
    "attention_dropout",
    "dropout",
    "qa_dropout",
    "seq_classif_dropout",
    "sinusoidal_pos_embds",
    "tie_weights_",
];

pub(super) fn read(fields: &mut Fields) -> Result<ModelConfig, ConfigError> {
    HARMLESS.iter().for_each(|field| drop(fields.take(field)));
    let hidden_size = fields.size("dim", None)?;
    let relu = HeadActivation::Of(Activation::Relu);
    Ok(ModelConfig {
        names: NAMES,
        vocab_size: fields.size("vocab_size", None)?,
        embedding_size: hidden_size,
        hidden_size,
        layers: fields.size("n_layers", None)?,
        heads: fields.size("n_heads", None)?,
        intermediate_size: fields.size("hidden_dim", None)?,
        positions: fields.size("max_position_embeddings", None)?,
        positions_before: 0,
        types: 0,
        layer_norm_eps: 1e-12,
        activation: activation(fields, "activation")?,
        gated: false,
        norm_place: NormPlace::After,
        biases: Biases::ALL,
        distances: Distances::Unseen,
        pooling: Pooling::First,
        head: vec![Stage::dense("pre_classifier", hidden_size, relu), Stage::logit("classifier")],
        labels: Labels::one(),
        quantized: false,
        module_files: Vec::new(),
    })
}
