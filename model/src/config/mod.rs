//! The Hugging Face `config.json`: every field is used, known to be harmless, or refused.
//!
//! A field that this crate has never heard of may change what the network computes, so it is refused
//! too, unless its value is null. Scores that are silently wrong are worse than a start-up error.

mod activation;
mod fields;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::files::{self, FileError};
pub(crate) use activation::Activation;
use fields::Fields;

/// What a pair of query and passage needs: one type for each.
const PAIR_TYPES: usize = 2;

/// Larger sizes are a broken file.
const SIZE_MAX: usize = 1 << 24;

/// int8 weights in the layout of this crate.
const QUANT_METHOD: &str = "crossrank-int8";

/// Fields that cannot change a logit, whatever their value.
const HARMLESS: &[&str] = &[
    // Training only.
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "finetuning_task",
    "gradient_checkpointing",
    "hidden_dropout_prob",
    "initializer_range",
    "problem_type", // names the loss
    "task_specific_params",
    // Bookkeeping.
    "dtype",
    "label2id",
    "name_or_path",
    "tokenizer_class",
    "torch_dtype",
    "transformers_version",
    // Token ids; the tokenizer is asked instead.
    "bos_token_id",
    "cls_token_id",
    "decoder_start_token_id",
    "eos_token_id",
    "mask_token_id",
    "pad_token_id",
    "sep_token_id",
    "unk_token_id",
    // How transformers runs the model and what it returns beside the logits.
    "attn_implementation",
    "chunk_size_feed_forward",
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "return_dict",
    "tf_legacy_loss",
    "torchscript",
    "use_cache",
    // Heads that sequence classification does not have.
    "directionality",
    "pooler_fc_size",
    "pooler_num_attention_heads",
    "pooler_num_fc_layers",
    "pooler_size_per_head",
    "pooler_type",
    "tie_word_embeddings",
    // Text generation, written into every config by older releases.
    "bad_words_ids",
    "begin_suppress_tokens",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "length_penalty",
    "max_length",
    "min_length",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_scores",
    "prefix",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict_in_generate",
    "suppress_tokens",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
];

/// Fields that must not switch anything on: false, null, an empty list or object, or absent.
const OFF: &[&str] = &[
    "add_cross_attention",
    "is_decoder",
    "is_encoder_decoder",
    "pruned_heads",
    "tie_encoder_decoder",
    "use_bfloat16",
];

/// A `config.json` that this crate does not run.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be had.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is no JSON object.
    #[error("{} is not a JSON object", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it breaks.
        #[source]
        source: serde_json::Error,
    },
    /// A field is absent that has no safe default.
    #[error("{}: {field} is missing; supported: {supported}", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// What it may hold.
        supported: String,
    },
    /// A field has a value that this crate does not compute.
    #[error("{}: {field} is {value}; supported: {supported}", .path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// What it holds, shortened.
        value: String,
        /// What it may hold.
        supported: String,
    },
    /// A field is unknown, so that its effect is unknown.
    #[error(
        "{}: field {field} = {value} is unknown and may change scores; remove it if the model does \
         not depend on it",
        .path.display()
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// What it holds, shortened.
        value: String,
    },
}

/// `BertForSequenceClassification` with one label.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BertConfig {
    pub(crate) vocab_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) intermediate_size: usize,
    /// Rows of the position table: tokens of the longest pair.
    pub(crate) positions: usize,
    pub(crate) types: usize,
    pub(crate) layer_norm_eps: f64,
    pub(crate) activation: Activation,
    /// The weights that matter for speed are int8 already.
    pub(crate) quantized: bool,
}

// === impl BertConfig ===

impl BertConfig {
    /// Checks the `config.json` of a model directory.
    pub(crate) fn read(dir: &Path) -> Result<Self, ConfigError> {
        let bytes = files::read(dir, files::CONFIG)?;
        Self::parse(&dir.join(files::CONFIG), &bytes)
    }

    /// Checks the text of the file at `path`.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ConfigError> {
        let mut fields = Fields::parse(path, bytes)?;
        fields.must_be(
            "architectures",
            |v| *v == serde_json::json!(["BertForSequenceClassification"]),
            "[\"BertForSequenceClassification\"]",
        )?;
        fields.must_be("model_type", |v| v == "bert", "\"bert\"")?;
        fields.may_be("position_embedding_type", |v| v == "absolute", "\"absolute\"")?;
        for field in OFF {
            fields.may_be(field, is_off, "off")?;
        }
        fields.may_be("auto_map", Value::is_null, "models without code of their own")?;
        let quantized = quantized(&mut fields)?;
        one_label(&mut fields)?;
        sentence_transformers(&mut fields)?;
        let config = Self {
            vocab_size: fields.size("vocab_size", None)?,
            hidden_size: fields.size("hidden_size", None)?,
            layers: fields.size("num_hidden_layers", None)?,
            heads: fields.size("num_attention_heads", None)?,
            intermediate_size: fields.size("intermediate_size", None)?,
            positions: fields.size("max_position_embeddings", None)?,
            types: fields.size("type_vocab_size", Some(2))?,
            layer_norm_eps: layer_norm_eps(&mut fields)?,
            activation: activation(&mut fields)?,
            quantized,
        };
        if !config.hidden_size.is_multiple_of(config.heads) {
            return Err(fields.unsupported(
                "num_attention_heads",
                &config.heads.into(),
                &format!("divisors of hidden_size, {}", config.hidden_size),
            ));
        }
        if config.types < PAIR_TYPES {
            let supported = "at least 2: one type for the query, one for the passage";
            return Err(fields.unsupported("type_vocab_size", &config.types.into(), supported));
        }
        fields.finish(HARMLESS)?;
        Ok(config)
    }
}

/// Tokens of a pair that both the position table and the tokenizer's author allow.
pub(crate) fn tokens_max(dir: &Path, config: &BertConfig) -> Result<usize, ConfigError> {
    let Some(bytes) = files::read_optional(dir, files::TOKENIZER_CONFIG)? else {
        return Ok(config.positions);
    };
    let mut fields = Fields::parse(&dir.join(files::TOKENIZER_CONFIG), &bytes)?;
    // Tokenizers without a limit say 1e30.
    let limit = match fields.take("model_max_length") {
        None => return Ok(config.positions),
        Some(value) => value
            .as_f64()
            .filter(|limit| *limit >= 1.0)
            .ok_or_else(|| fields.unsupported("model_max_length", &value, "a number of tokens"))?,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at least 1, and a float cast saturates"
    )]
    let limit = limit as usize;
    Ok(config.positions.min(limit))
}

/// How a directory with int8 weights says so.
pub(crate) fn quantization() -> Value {
    serde_json::json!({ "quant_method": QUANT_METHOD })
}

fn quantized(fields: &mut Fields) -> Result<bool, ConfigError> {
    let Some(value) = fields.take("quantization_config") else { return Ok(false) };
    match value == quantization() {
        true => Ok(true),
        false => {
            let supported = "float weights, or those of `crossrank model quantize`";
            Err(fields.unsupported("quantization_config", &value, supported))
        }
    }
}

fn is_off(value: &Value) -> bool {
    match value {
        Value::Bool(on) => !on,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::Null => true,
        Value::Number(_) | Value::String(_) => false,
    }
}

/// `id2label` has an entry for each label; without it, transformers builds two.
fn one_label(fields: &mut Fields) -> Result<(), ConfigError> {
    let supported = "one label, a score";
    fields.may_be("num_labels", |v| *v == 1, supported)?;
    fields.must_be("id2label", |v| v.as_object().is_some_and(|labels| labels.len() == 1), supported)
}

/// What sentence-transformers applies to a logit. Scores are raw logits here, and a sigmoid of them
/// is what readers are given, so only those two are the checkpoint's own meaning.
fn sentence_transformers(fields: &mut Fields) -> Result<(), ConfigError> {
    fn known(activation: &Value) -> bool {
        activation.is_null()
            || activation.as_str().is_some_and(|path| {
                ["Identity", "Sigmoid"].iter().any(|name| path.rsplit('.').next() == Some(name))
            })
    }
    let supported = "Identity or Sigmoid (a logit and its sigmoid are what is reported)";
    fields.may_be("sbert_ce_default_activation_function", known, supported)?;
    if let Some(mut own) = fields.object("sentence_transformers")? {
        own.may_be("activation_fn", known, supported)?;
        own.finish(&["version"])?;
    }
    Ok(())
}

fn layer_norm_eps(fields: &mut Fields) -> Result<f64, ConfigError> {
    let Some(value) = fields.take("layer_norm_eps") else { return Ok(1e-12) };
    value
        .as_f64()
        .filter(|eps| *eps >= 0.0 && *eps <= 1.0)
        .ok_or_else(|| fields.unsupported("layer_norm_eps", &value, "numbers from 0 to 1"))
}

fn activation(fields: &mut Fields) -> Result<Activation, ConfigError> {
    let Some(value) = fields.take("hidden_act") else { return Ok(Activation::GeluErf) };
    match value.as_str() {
        Some("gelu") => Ok(Activation::GeluErf),
        Some("gelu_new" | "gelu_pytorch_tanh") => Ok(Activation::GeluTanh),
        Some("relu") => Ok(Activation::Relu),
        _ => {
            Err(fields.unsupported("hidden_act", &value, "gelu, gelu_new, gelu_pytorch_tanh, relu"))
        }
    }
}

#[cfg(test)]
mod tests;
