//! `MPNetForSequenceClassification` (Song et al., MPNet, 2020).

use super::{Names, Projection, bert};
use crate::config::{ConfigError, Distances, Fields, HeadActivation, ModelConfig, Stage};

const NAMES: Names = Names {
    prefix: "mpnet.",
    types: None,
    distances: Some("encoder.relative_attention_bias.weight"),
    projection: Projection::Separate(["attention.attn.q", "attention.attn.k", "attention.attn.v"]),
    output: "attention.attn.o",
    attention_norm: "attention.LayerNorm",
    // A pooler that the head of this architecture does not read.
    ignored: &["embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"],
    ..bert::NAMES
};

/// Rows of the position table before that of the first token, whatever `pad_token_id` says.
const POSITIONS_BEFORE: usize = 2;
/// What transformers computes with, whatever the table's size.
const BUCKETS: usize = 32;

pub(super) fn read(fields: &mut Fields) -> Result<ModelConfig, ConfigError> {
    let buckets = fields.size("relative_attention_num_buckets", Some(BUCKETS))?;
    if buckets != BUCKETS {
        let (field, found) = ("relative_attention_num_buckets", buckets.into());
        return Err(fields.unsupported(field, &found, "32"));
    }
    let config = bert::encoder(fields, NAMES)?;
    let Some(positions) = config.positions.checked_sub(POSITIONS_BEFORE).filter(|&left| left > 0)
    else {
        let found = config.positions.into();
        return Err(fields.unsupported("max_position_embeddings", &found, "more than 2"));
    };
    let dense = Stage::dense("classifier.dense", config.hidden_size, HeadActivation::Tanh);
    Ok(ModelConfig {
        positions,
        positions_before: POSITIONS_BEFORE,
        distances: Distances::Buckets(buckets),
        head: vec![dense, Stage::logit("classifier.out_proj")],
        ..config
    })
}
