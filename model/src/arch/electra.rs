//! `ElectraForSequenceClassification` (Clark et al., ELECTRA, 2020).

use super::{Names, bert};
use crate::config::common::pair_types;
use crate::config::{Activation, ConfigError, Fields, HeadActivation, ModelConfig, Stage};

const NAMES: Names =
    Names { prefix: "electra.", embeddings_projection: Some("embeddings_project"), ..bert::NAMES };

/// Fields of a head that sequence classification does not have.
const HARMLESS: &[&str] =
    &["summary_activation", "summary_last_dropout", "summary_type", "summary_use_proj"];

pub(super) fn read(fields: &mut Fields) -> Result<ModelConfig, ConfigError> {
    HARMLESS.iter().for_each(|field| drop(fields.take(field)));
    let embedding_size = fields.size("embedding_size", Some(128))?;
    let config = bert::encoder(fields, NAMES)?;
    let types = pair_types(fields)?;
    // Whatever `hidden_act` says.
    let gelu = HeadActivation::Of(Activation::GeluErf);
    let dense = Stage::dense("classifier.dense", config.hidden_size, gelu);
    let head = vec![dense, Stage::logit("classifier.out_proj")];
    Ok(ModelConfig { embedding_size, types, head, ..config })
}
