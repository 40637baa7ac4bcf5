//! `DebertaV2ForSequenceClassification`: DeBERTa-v2 and -v3 (He et al., DeBERTa, 2021; DeBERTaV3, 2021).

use serde_json::Value;

use super::{Names, Projection, bert};
use crate::config::common::activation;
use crate::config::{ConfigError, Distances, Fields, HeadActivation, ModelConfig, Stage};

const NAMES: Names = Names {
    prefix: "deberta.",
    distances: Some("encoder.rel_embeddings.weight"),
    distances_norm: Some("encoder.LayerNorm"),
    projection: Projection::Separate([
        "attention.self.query_proj",
        "attention.self.key_proj",
        "attention.self.value_proj",
    ]),
    ignored: &["embeddings.position_ids"],
    ..bert::NAMES
};

/// Fields of its own that cannot change a logit.
const HARMLESS: &[&str] = &["cls_dropout", "legacy", "pooler_dropout", "padding_idx"];

pub(super) fn read(fields: &mut Fields) -> Result<ModelConfig, ConfigError> {
    HARMLESS.iter().for_each(|field| drop(fields.take(field)));
    let mut names = NAMES;
    if !fields.flag("position_biased_input", true)? {
        names.positions = None;
    }
    let types = match fields.take("type_vocab_size") {
        None => 0,
        Some(value) if value == 0 => 0,
        Some(value) => {
            let types = value.as_u64().and_then(|types| usize::try_from(types).ok());
            let types = types.filter(|types| *types < 256);
            types.ok_or_else(|| fields.unsupported("type_vocab_size", &value, "0 to 255"))?
        }
    };
    if types == 0 {
        names.types = None;
    }
    let distances = distances(fields)?;
    let pooler_activation = activation(fields, "pooler_hidden_act")?;
    let mut config = bert::encoder(fields, names)?;
    if let Distances::Disentangled { normalized: false, .. } = distances {
        config.names.distances_norm = None;
    }
    for field in ["pooler_hidden_size", "embedding_size"] {
        let hidden = config.hidden_size;
        fields.may_be(field, |v| *v == hidden, &format!("the hidden size, {hidden}"))?;
    }
    let width = config.hidden_size / config.heads;
    fields.may_be("attention_head_size", |v| *v == width, &format!("{width}"))?;
    let distances = with_maximum(distances, config.positions);
    let pooler =
        Stage::dense("pooler.dense", config.hidden_size, HeadActivation::Of(pooler_activation));
    Ok(ModelConfig { types, distances, head: vec![pooler, Stage::logit("classifier")], ..config })
}

/// Content meets position both ways, through the projections of the content.
fn distances(fields: &mut Fields) -> Result<Distances, ConfigError> {
    fields.must_be("relative_attention", |v| *v == true, "true")?;
    fields.must_be("share_att_key", |v| *v == true, "true")?;
    let both = |value: &Value| {
        let kinds: Option<Vec<&str>> = match value {
            Value::String(text) => Some(text.split('|').map(str::trim).collect()),
            Value::Array(kinds) => kinds.iter().map(Value::as_str).collect(),
            _ => None,
        };
        kinds.is_some_and(|mut kinds| {
            kinds.sort_unstable();
            kinds == ["c2p", "p2c"]
        })
    };
    fields.must_be("pos_att_type", both, "\"p2c|c2p\"")?;
    fields.may_be("conv_kernel_size", |v| *v == 0, "no convolution")?;
    let span = fields.size("position_buckets", None)?;
    // -1 where every distance has its own.
    let distance_max = match fields.take("max_relative_positions") {
        Some(value) if value.as_i64().is_some_and(|most| most < 1) => 0,
        None => 0,
        Some(value) => {
            let most = value.as_u64().and_then(|most| usize::try_from(most).ok());
            let most = most.filter(|most| (2..1 << 24).contains(most));
            most.ok_or_else(|| {
                fields.unsupported("max_relative_positions", &value, "-1, or 2 and more")
            })?
        }
    };
    let normalized = match fields.take("norm_rel_ebd") {
        None => false,
        Some(Value::String(kind)) if kind == "none" => false,
        Some(Value::String(kind)) if kind == "layer_norm" => true,
        Some(value) => {
            return Err(fields.unsupported("norm_rel_ebd", &value, "none, layer_norm"));
        }
    };
    Ok(Distances::Disentangled { span, distance_max, normalized })
}

/// Where no largest distance is named, it is that of the longest pair.
fn with_maximum(distances: Distances, positions: usize) -> Distances {
    match distances {
        Distances::Disentangled { span, distance_max: 0, normalized } => {
            Distances::Disentangled { span, distance_max: positions, normalized }
        }
        distances => distances,
    }
}
