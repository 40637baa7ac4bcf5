//! `BertForSequenceClassification` (Devlin et al., BERT, 2019).

use super::{Names, Projection};
use crate::config::common::{absolute_positions, activation, epsilon, pair_types};
use crate::config::{
    Biases, ConfigError, Distances, Fields, HeadActivation, Labels, ModelConfig, NormPlace,
    Pooling, Stage,
};

pub(super) const NAMES: Names = Names {
    prefix: "bert.",
    words: "embeddings.word_embeddings.weight",
    types: Some("embeddings.token_type_embeddings.weight"),
    positions: Some("embeddings.position_embeddings.weight"),
    embeddings_norm: "embeddings.LayerNorm",
    embeddings_projection: None,
    distances: None,
    distances_norm: None,
    layer: "encoder.layer",
    projection: Projection::Separate([
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
    ]),
    output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    norm: "output.LayerNorm",
    final_norm: None,
    // Buffers that old files carry and that follow from the config.
    ignored: &["embeddings.position_ids", "embeddings.token_type_ids"],
};

pub(super) fn read(fields: &mut Fields) -> Result<ModelConfig, ConfigError> {
    let config = encoder(fields, NAMES)?;
    let types = pair_types(fields)?;
    let pooler = Stage::dense("bert.pooler.dense", config.hidden_size, HeadActivation::Tanh);
    Ok(ModelConfig { types, head: vec![pooler, Stage::logit("classifier")], ..config })
}

/// What those have in common that call their sizes as BERT does. Without types and head.
pub(super) fn encoder(fields: &mut Fields, names: Names) -> Result<ModelConfig, ConfigError> {
    absolute_positions(fields)?;
    let hidden_size = fields.size("hidden_size", None)?;
    Ok(ModelConfig {
        names,
        vocab_size: fields.size("vocab_size", None)?,
        embedding_size: hidden_size,
        hidden_size,
        layers: fields.size("num_hidden_layers", None)?,
        heads: fields.size("num_attention_heads", None)?,
        intermediate_size: fields.size("intermediate_size", None)?,
        positions: fields.size("max_position_embeddings", None)?,
        positions_before: 0,
        types: 0,
        layer_norm_eps: epsilon(fields, "layer_norm_eps", 1e-12)?,
        activation: activation(fields, "hidden_act")?,
        gated: false,
        norm_place: NormPlace::After,
        biases: Biases::ALL,
        distances: Distances::Unseen,
        pooling: Pooling::First,
        head: Vec::new(),
        labels: Labels::one(),
        quantized: false,
        module_files: Vec::new(),
    })
}
