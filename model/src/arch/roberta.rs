//! `RobertaForSequenceClassification` (Liu et al., RoBERTa, 2019) and `XLMRobertaForSequenceClassification` (Conneau
//! et al., XLM-R, 2020), which differ in their tokenizers only.

use super::{Names, bert};
use crate::config::{ConfigError, Fields, HeadActivation, ModelConfig, Stage};

const NAMES: Names = Names {
    prefix: "roberta.",
    // A pooler that the head of this architecture does not read.
    ignored: &[
        "embeddings.position_ids",
        "embeddings.token_type_ids",
        "pooler.dense.weight",
        "pooler.dense.bias",
    ],
    ..bert::NAMES
};

pub(super) fn read(fields: &mut Fields) -> Result<ModelConfig, ConfigError> {
    // Positions count from behind the one that padding has.
    let positions_before = padding(fields)? + 1;
    let config = bert::encoder(fields, NAMES)?;
    let types = fields.size("type_vocab_size", Some(2))?;
    let Some(positions) = config.positions.checked_sub(positions_before).filter(|&left| left > 0)
    else {
        let supported = format!("more than pad_token_id + 1, {positions_before}");
        let found = config.positions.into();
        return Err(fields.unsupported("max_position_embeddings", &found, &supported));
    };
    let dense = Stage::dense("classifier.dense", config.hidden_size, HeadActivation::Tanh);
    let head = vec![dense, Stage::logit("classifier.out_proj")];
    Ok(ModelConfig { types, positions, positions_before, head, ..config })
}

/// The id of the padding token.
fn padding(fields: &mut Fields) -> Result<usize, ConfigError> {
    const FIELD: &str = "pad_token_id";
    let Some(value) = fields.take(FIELD) else { return Ok(1) };
    let id = value.as_u64().and_then(|id| usize::try_from(id).ok()).filter(|&id| id < 1 << 24);
    id.ok_or_else(|| fields.unsupported(FIELD, &value, "the id of a token"))
}
