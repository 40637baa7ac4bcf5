use serde::Deserialize;

use crate::wire::{Context, Model, Usage};

/// An answer as a reader of the output topic takes it: what it needs, no more.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) request_id: String,
    pub(super) model: Model,
    pub(super) results: Vec<Row>,
    pub(super) context: Option<Context>,
    pub(super) usage: Usage,
}

/// One result.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) rank: usize,
    pub(super) score: Option<f64>,
    pub(super) text: Option<String>,
}
