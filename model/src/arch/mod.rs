//! The architectures: what each reads from its `config.json`, and what it calls its tensors.
//!
//! That is all in which they differ: a network is built from one description ([`ModelConfig`]).

mod bert;
mod deberta_v2;
mod distilbert;
mod electra;
mod modernbert;
mod mpnet;
mod names;
mod roberta;

use crate::config::{ConfigError, Fields, ModelConfig};
pub(crate) use names::{Names, Projection};

/// An architecture.
pub(crate) struct Architecture {
    /// Its class in transformers.
    class: &'static str,
    /// The class of the encoder without a head, where sentence-transformers may put one behind it.
    headless: Option<&'static str>,
    model_type: &'static str,
    /// What its config.json calls the number of heads.
    pub(crate) heads_field: &'static str,
    /// Reads the fields that are its own.
    pub(crate) read: fn(&mut Fields) -> Result<ModelConfig, ConfigError>,
}

const ALL: &[Architecture] = &[
    Architecture {
        class: "BertForSequenceClassification",
        headless: None,
        model_type: "bert",
        heads_field: HEADS,
        read: bert::read,
    },
    Architecture {
        class: "RobertaForSequenceClassification",
        headless: None,
        model_type: "roberta",
        heads_field: HEADS,
        read: roberta::read,
    },
    Architecture {
        class: "XLMRobertaForSequenceClassification",
        headless: None,
        model_type: "xlm-roberta",
        heads_field: HEADS,
        read: roberta::read,
    },
    Architecture {
        class: "ModernBertForSequenceClassification",
        headless: Some("ModernBertModel"),
        model_type: "modernbert",
        heads_field: HEADS,
        read: modernbert::read,
    },
    Architecture {
        class: "DistilBertForSequenceClassification",
        headless: None,
        model_type: "distilbert",
        heads_field: "n_heads",
        read: distilbert::read,
    },
    Architecture {
        class: "ElectraForSequenceClassification",
        headless: None,
        model_type: "electra",
        heads_field: HEADS,
        read: electra::read,
    },
    Architecture {
        class: "MPNetForSequenceClassification",
        headless: None,
        model_type: "mpnet",
        heads_field: HEADS,
        read: mpnet::read,
    },
    Architecture {
        class: "DebertaV2ForSequenceClassification",
        headless: None,
        model_type: "deberta-v2",
        heads_field: HEADS,
        read: deberta_v2::read,
    },
];

const HEADS: &str = "num_attention_heads";

/// The architecture that a config.json names, and whether it has a head of its own.
pub(crate) fn of(fields: &mut Fields) -> Result<(&'static Architecture, bool), ConfigError> {
    const FIELD: &str = "architectures";
    let classes: Vec<&str> =
        ALL.iter().flat_map(|known| [Some(known.class), known.headless]).flatten().collect();
    let supported = format!("one of {}", classes.join(", "));
    let value = fields.take(FIELD).ok_or_else(|| fields.missing(FIELD, &supported))?;
    let named =
        |class: Option<&str>| class.is_some_and(|class| value == serde_json::json!([class]));
    let found = ALL.iter().find(|known| named(Some(known.class)) || named(known.headless));
    let found = found.ok_or_else(|| fields.unsupported(FIELD, &value, &supported))?;
    let model_type = found.model_type;
    fields.must_be("model_type", |v| v == model_type, &format!("\"{model_type}\""))?;
    Ok((found, named(Some(found.class))))
}

/// The class that gives scores, of a model type.
#[cfg(feature = "train")]
pub(crate) fn class_of(model_type: &str) -> Option<&'static str> {
    ALL.iter().find(|known| known.model_type == model_type).map(|known| known.class)
}

/// All model types.
#[cfg(feature = "train")]
pub(crate) fn model_types() -> Vec<&'static str> {
    ALL.iter().map(|known| known.model_type).collect()
}
