//! What the architectures' configurations have in common.

use serde_json::Value;

use super::{Activation, ConfigError, Fields, Labels};

/// int8 weights in the layout of this crate.
const QUANT_METHOD: &str = "crossrank-int8";
/// The loss of labels of which several may hold.
const INDEPENDENT: &str = "multi_label_classification";

/// Fields that cannot change a logit, whatever their value.
pub(super) const HARMLESS: &[&str] = &[
    // Training only.
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "finetuning_task",
    "gradient_checkpointing",
    "hidden_dropout_prob",
    "initializer_range",
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

/// How a directory with int8 weights says so.
pub(crate) fn quantization() -> Value {
    serde_json::json!({ "quant_method": QUANT_METHOD })
}

/// Whether the weights that matter for speed are int8 already.
pub(super) fn quantized(fields: &mut Fields) -> Result<bool, ConfigError> {
    let Some(value) = fields.take("quantization_config") else { return Ok(false) };
    match value == quantization() {
        true => Ok(true),
        false => {
            let supported = "float weights, or those of `crossrank model quantize`";
            Err(fields.unsupported("quantization_config", &value, supported))
        }
    }
}

/// Refuses what changes the network and is not computed.
pub(super) fn off(fields: &mut Fields) -> Result<(), ConfigError> {
    for field in OFF {
        fields.may_be(field, is_off, "off")?;
    }
    fields.may_be("auto_map", Value::is_null, "models without code of their own")
}

/// False, null, or empty.
pub(super) fn is_off(value: &Value) -> bool {
    match value {
        Value::Bool(on) => !on,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::Null => true,
        Value::Number(_) | Value::String(_) => false,
    }
}

/// What sentence-transformers writes into `config.json`.
pub(super) fn sentence_transformers(
    fields: &mut Fields,
    labels: &Labels,
) -> Result<(), ConfigError> {
    known_activation(fields, "sbert_ce_default_activation_function", labels)?;
    if let Some(mut own) = fields.object("sentence_transformers")? {
        known_activation(&mut own, "activation_fn", labels)?;
        own.finish(&["version"])?;
    }
    Ok(())
}

/// What sentence-transformers applies to the logits. Scores are raw logits here, and a sigmoid of them
/// is what readers are given, so only those two are the checkpoint's own meaning; with several labels, where the
/// logit is the log-odds of one against the others, its sigmoid is their softmax.
pub(super) fn known_activation(
    fields: &mut Fields,
    field: &str,
    labels: &Labels,
) -> Result<(), ConfigError> {
    let (names, supported) = match labels.names().len() {
        1 => {
            (["Identity", "Sigmoid"], "Identity or Sigmoid (a logit and its sigmoid are reported)")
        }
        _ => (["Identity", "Softmax"], "Identity or Softmax, as the model has several labels"),
    };
    let known = |activation: &Value| {
        let name = activation.as_str().and_then(|path| path.rsplit('.').next());
        name.is_some_and(|name| names.contains(&name))
    };
    fields.may_be(field, known, supported)
}

/// Refuses labels that do not exclude one another: the score of one is then none against the others.
pub(super) fn exclusive(fields: &mut Fields, labels: &Labels) -> Result<(), ConfigError> {
    let accepts = |value: &Value| labels.names().len() == 1 || value != INDEPENDENT;
    let supported = "labels that exclude one another, such as of single_label_classification";
    fields.may_be("problem_type", accepts, supported)
}

/// The epsilon of layer normalisation, under the name that the architecture has for it.
pub(crate) fn epsilon(fields: &mut Fields, field: &str, default: f64) -> Result<f64, ConfigError> {
    let Some(value) = fields.take(field) else { return Ok(default) };
    value
        .as_f64()
        .filter(|eps| *eps >= 0.0 && *eps <= 1.0)
        .ok_or_else(|| fields.unsupported(field, &value, "numbers from 0 to 1"))
}

/// The activation of the feed-forward blocks, under the name that the architecture has for it.
pub(crate) fn activation(fields: &mut Fields, field: &str) -> Result<Activation, ConfigError> {
    let Some(value) = fields.take(field) else { return Ok(Activation::GeluErf) };
    match value.as_str() {
        Some("gelu") => Ok(Activation::GeluErf),
        Some("gelu_new" | "gelu_pytorch_tanh") => Ok(Activation::GeluTanh),
        Some("relu") => Ok(Activation::Relu),
        _ => Err(fields.unsupported(field, &value, "gelu, gelu_new, gelu_pytorch_tanh, relu")),
    }
}

/// Positions are rows of a table that are added to the words.
pub(crate) fn absolute_positions(fields: &mut Fields) -> Result<(), ConfigError> {
    fields.may_be("position_embedding_type", |v| v == "absolute", "\"absolute\"")
}

/// Rows of the type table, where a pair needs one for the query and one for the passage.
pub(crate) fn pair_types(fields: &mut Fields) -> Result<usize, ConfigError> {
    let types = fields.size("type_vocab_size", Some(2))?;
    if types < 2 {
        let supported = "at least 2: one type for the query, one for the passage";
        return Err(fields.unsupported("type_vocab_size", &types.into(), supported));
    }
    Ok(types)
}
