//! `ModernBertForSequenceClassification` (Warner et al., ModernBERT, 2024).

use serde_json::Value;

use super::{Names, Projection};
use crate::config::common::{activation, epsilon};
use crate::config::{
    Biases, ConfigError, Distances, Fields, HeadActivation, Labels, ModelConfig, NormPlace,
    Pooling, Stage, StageNorm,
};

const NAMES: Names = Names {
    prefix: "model.",
    words: "embeddings.tok_embeddings.weight",
    types: None,
    positions: None,
    embeddings_norm: "embeddings.norm",
    embeddings_projection: None,
    distances: None,
    distances_norm: None,
    layer: "layers",
    projection: Projection::Fused("attn.Wqkv"),
    output: "attn.Wo",
    attention_norm: "attn_norm",
    up: "mlp.Wi",
    down: "mlp.Wo",
    norm: "mlp_norm",
    final_norm: Some("final_norm"),
    ignored: &[],
};

/// Fields of its own that cannot change a logit.
const HARMLESS: &[&str] = &[
    "attention_dropout",
    "classifier_dropout",
    "decoder_bias",
    "deterministic_flash_attn",
    "embedding_dropout",
    "initializer_cutoff_factor",
    "mlp_dropout",
    "reference_compile",
    "repad_logits_with_grad",
    "sparse_pred_ignore_index",
    "sparse_prediction",
];

const GLOBAL: &str = "full_attention";
const LOCAL: &str = "sliding_attention";

pub(super) fn read(fields: &mut Fields) -> Result<ModelConfig, ConfigError> {
    HARMLESS.iter().for_each(|field| drop(fields.take(field)));
    // Positions are no embeddings, whatever older configurations call them.
    fields.may_be("position_embedding_type", |v| v == "absolute" || v == "sans_pos", "none")?;
    let hidden_size = fields.size("hidden_size", None)?;
    let layers = fields.size("num_hidden_layers", None)?;
    let heads = fields.size("num_attention_heads", None)?;
    if !hidden_size.is_multiple_of(2 * heads) {
        let supported = format!("numbers of which the double divides hidden_size, {hidden_size}");
        return Err(fields.unsupported("num_attention_heads", &heads.into(), &supported));
    }
    let classifier_activation = activation(fields, "classifier_activation")?;
    let norm_bias = fields.flag("norm_bias", false)?;
    let layer_norm_eps = epsilon(fields, "norm_eps", 1e-5)?;
    let head_norm = StageNorm {
        folder: None,
        name: "head.norm".to_owned(),
        bias: norm_bias,
        epsilon: layer_norm_eps,
    };
    let dense = Stage {
        bias: fields.flag("classifier_bias", false)?,
        norm: Some(head_norm),
        ..Stage::dense("head.dense", hidden_size, HeadActivation::Of(classifier_activation))
    };
    Ok(ModelConfig {
        names: NAMES,
        vocab_size: fields.size("vocab_size", None)?,
        embedding_size: hidden_size,
        hidden_size,
        layers,
        heads,
        intermediate_size: fields.size("intermediate_size", None)?,
        positions: fields.size("max_position_embeddings", None)?,
        positions_before: 0,
        types: 0,
        layer_norm_eps,
        activation: activation(fields, "hidden_activation")?,
        gated: true,
        norm_place: NormPlace::Before,
        biases: Biases {
            attention: fields.flag("attention_bias", false)?,
            feed_forward: fields.flag("mlp_bias", false)?,
            norm: norm_bias,
        },
        distances: rotary(fields, layers)?,
        pooling: pooling(fields)?,
        head: vec![dense, Stage::logit("classifier")],
        labels: Labels::one(),
        quantized: false,
        module_files: Vec::new(),
    })
}

fn pooling(fields: &mut Fields) -> Result<Pooling, ConfigError> {
    match fields.take("classifier_pooling") {
        None => Ok(Pooling::First),
        Some(Value::String(name)) if name == "cls" => Ok(Pooling::First),
        Some(Value::String(name)) if name == "mean" => Ok(Pooling::Mean),
        Some(value) => Err(fields.unsupported("classifier_pooling", &value, "cls, mean")),
    }
}

fn rotary(fields: &mut Fields, layers: usize) -> Result<Distances, ConfigError> {
    // Half of it to either side.
    let window = fields.size("local_attention", Some(128))? / 2;
    let local = local_layers(fields, layers)?;
    // The newer `rope_parameters` stand for both.
    let global_theta = theta(fields, "global_rope_theta", 160_000.0)?;
    let local_theta = theta(fields, "local_rope_theta", 10_000.0)?;
    fields.may_be("rope_scaling", Value::is_null, "positions as they are")?;
    let (mut global_theta, mut local_theta) = (global_theta, local_theta);
    if let Some(mut parameters) = fields.object("rope_parameters")? {
        for (kind, theta_of) in [(GLOBAL, &mut global_theta), (LOCAL, &mut local_theta)] {
            if let Some(mut own) = parameters.object(kind)? {
                own.may_be("rope_type", |v| v == "default", "\"default\"")?;
                *theta_of = theta(&mut own, "rope_theta", *theta_of)?;
                own.finish(&[])?;
            }
        }
        parameters.finish(&[])?;
    }
    Ok(Distances::Rotary { global_theta, local_theta, window, local })
}

/// Which layers are local: those that `layer_types` says, or all but every third.
fn local_layers(fields: &mut Fields, layers: usize) -> Result<Vec<bool>, ConfigError> {
    let every = fields.size("global_attn_every_n_layers", Some(3))?;
    let Some(value) = fields.take("layer_types") else {
        return Ok((0..layers).map(|layer| layer % every != 0).collect());
    };
    let kind = |kind: &Value| match kind.as_str() {
        Some(GLOBAL) => Some(false),
        Some(LOCAL) => Some(true),
        _ => None,
    };
    let local: Option<Vec<bool>> = value.as_array().and_then(|all| all.iter().map(kind).collect());
    local.filter(|local| local.len() == layers).ok_or_else(|| {
        let supported = format!("{GLOBAL} or {LOCAL} for each of the {layers} layers");
        fields.unsupported("layer_types", &value, &supported)
    })
}

fn theta(fields: &mut Fields, field: &str, default: f64) -> Result<f64, ConfigError> {
    let Some(value) = fields.take(field) else { return Ok(default) };
    let theta = value.as_f64().filter(|theta| *theta > 1.0 && theta.is_finite());
    theta.ok_or_else(|| fields.unsupported(field, &value, "numbers above 1"))
}
