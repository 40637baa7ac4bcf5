//! The architectures: what each reads from its `config.json`, and what it calls its tensors.
//!
//! That is all in which they differ: a network is built from one description ([`ModelConfig`]).

mod bert;
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
    model_type: &'static str,
    /// What its config.json calls the number of heads.
    pub(crate) heads_field: &'static str,
    /// Reads the fields that are its own.
    pub(crate) read: fn(&mut Fields) -> Result<ModelConfig, ConfigError>,
}

const ALL: &[Architecture] = &[
    Architecture {
        class: "BertForSequenceClassification",
        model_type: "bert",
        heads_field: HEADS,
        read: bert::read,
    },
    Architecture {
        class: "RobertaForSequenceClassification",
        model_type: "roberta",
        heads_field: HEADS,
        read: roberta::read,
    },
    Architecture {
        class: "XLMRobertaForSequenceClassification",
        model_type: "xlm-roberta",
        heads_field: HEADS,
        read: roberta::read,
    },
    Architecture {
        class: "ModernBertForSequenceClassification",
        model_type: "modernbert",
        heads_field: HEADS,
        read: modernbert::read,
    },
    Architecture {
        class: "DistilBertForSequenceClassification",
        model_type: "distilbert",
        heads_field: "n_heads",
        read: distilbert::read,
    },
    Architecture {
        class: "ElectraForSequenceClassification",
        model_type: "electra",
        heads_field: HEADS,
        read: electra::read,
    },
    Architecture {
        class: "MPNetForSequenceClassification",
        model_type: "mpnet",
        heads_field: HEADS,
        read: mpnet::read,
    },
];

const HEADS: &str = "num_attention_heads";

/// The architecture that a config.json names.
pub(crate) fn of(fields: &mut Fields) -> Result<&'static Architecture, ConfigError> {
    const FIELD: &str = "architectures";
    let classes: Vec<&str> = ALL.iter().map(|architecture| architecture.class).collect();
    let supported = format!("one of {}", classes.join(", "));
    let value = fields.take(FIELD).ok_or_else(|| fields.missing(FIELD, &supported))?;
    let found = ALL.iter().find(|known| value == serde_json::json!([known.class]));
    let found = found.ok_or_else(|| fields.unsupported(FIELD, &value, &supported))?;
    let model_type = found.model_type;
    fields.must_be("model_type", |v| v == model_type, &format!("\"{model_type}\""))?;
    Ok(found)
}
