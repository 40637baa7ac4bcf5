//! What a `BertForSequenceClassification` file holds, part by part, under its names in transformers.

use crate::calibration::Amplitudes;
use crate::config::BertConfig;
use crate::stored::{StoredFile, StoredLinear, StoredNorm};
use crate::weights::{Weights, WeightsError};

/// Buffers that old files carry and that follow from the config.
pub(crate) const IGNORED: &[&str] =
    &["bert.embeddings.position_ids", "bert.embeddings.token_type_ids"];

const WORDS: &str = "bert.embeddings.word_embeddings.weight";
const POSITIONS: &str = "bert.embeddings.position_embeddings.weight";
const TYPES: &str = "bert.embeddings.token_type_embeddings.weight";
const EMBEDDINGS_NORM: &str = "bert.embeddings.LayerNorm";
const POOLER: &str = "bert.pooler.dense";
const CLASSIFIER: &str = "classifier";

/// Word, position and type of each token: `[rows, hidden]` each.
pub(crate) struct StoredEmbeddings {
    pub(crate) words: Vec<f32>,
    pub(crate) positions: Vec<f32>,
    pub(crate) types: Vec<f32>,
    pub(crate) norm: StoredNorm,
}

/// One encoder layer.
pub(crate) struct StoredLayer {
    pub(crate) projection: StoredProjection,
    pub(crate) output: StoredLinear,
    pub(crate) attended_norm: StoredNorm,
    pub(crate) up: StoredLinear,
    pub(crate) down: StoredLinear,
    pub(crate) norm: StoredNorm,
}

/// What attention reads.
pub(crate) enum StoredProjection {
    /// Query, key and value side by side.
    All(StoredLinear),
    /// Of the last layer, where only the first token of a pair asks: keys and values side by side.
    First { query: StoredLinear, key_value: StoredLinear },
}

/// Pooler and classifier.
pub(crate) struct StoredHead {
    pub(crate) pooler: StoredLinear,
    pub(crate) classifier: StoredLinear,
}

/// The names of one layer's parts.
struct Names {
    query: String,
    key: String,
    value: String,
    output: String,
    attended_norm: String,
    up: String,
    down: String,
    norm: String,
}

// === impl StoredEmbeddings ===

impl StoredEmbeddings {
    pub(crate) fn take(config: &BertConfig, weights: &mut Weights) -> Result<Self, WeightsError> {
        let hidden = config.hidden_size;
        Ok(Self {
            words: weights.take(WORDS, [config.vocab_size, hidden])?,
            positions: weights.take(POSITIONS, [config.positions, hidden])?,
            types: weights.take(TYPES, [config.types, hidden])?,
            norm: StoredNorm::take(weights, EMBEDDINGS_NORM, config)?,
        })
    }

    pub(crate) fn store(&self, file: &mut StoredFile) {
        let hidden = self.norm.gamma.len();
        let tables = [(WORDS, &self.words), (POSITIONS, &self.positions), (TYPES, &self.types)];
        for (name, table) in tables {
            file.floats(name.to_owned(), &[table.len() / hidden, hidden], table);
        }
        self.norm.store(EMBEDDINGS_NORM, file);
    }
}

// === impl StoredLayer ===

impl StoredLayer {
    /// Takes layer `index`.
    pub(crate) fn take(
        config: &BertConfig,
        weights: &mut Weights,
        index: usize,
    ) -> Result<Self, WeightsError> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let names = Names::of(index);
        let last = index + 1 == config.layers;
        // The last layer works on one token a pair, but for its keys and values: what does not matter for speed
        // is not rounded.
        let rounded = if config.quantized { StoredLinear::take_int8 } else { StoredLinear::take };
        let rest = if last { StoredLinear::take } else { rounded };
        let projection = if last {
            let [query, key, value] = names.projection();
            StoredProjection::First {
                query: StoredLinear::take(weights, &[query], [hidden, hidden])?,
                key_value: rounded(weights, &[key, value], [hidden, hidden])?,
            }
        } else {
            StoredProjection::All(rounded(weights, &names.projection(), [hidden, hidden])?)
        };
        Ok(Self {
            projection,
            output: rest(weights, &[&names.output], [hidden, hidden])?,
            attended_norm: StoredNorm::take(weights, &names.attended_norm, config)?,
            up: rest(weights, &[&names.up], [hidden, inner])?,
            down: rest(weights, &[&names.down], [inner, hidden])?,
            norm: StoredNorm::take(weights, &names.norm, config)?,
        })
    }

    /// Weights that matter for speed become int8.
    pub(crate) fn quantize(&mut self, inputs: &Amplitudes) {
        match &mut self.projection {
            StoredProjection::All(qkv) => {
                qkv.quantize(&inputs.projection);
                self.output.quantize(&inputs.output);
                self.up.quantize(&inputs.up);
                self.down.quantize(&inputs.down);
            }
            StoredProjection::First { key_value, .. } => key_value.quantize(&inputs.projection),
        }
    }

    /// The layer as tensors of a file.
    pub(crate) fn store(&self, index: usize, file: &mut StoredFile) {
        let names = Names::of(index);
        let [query, key, value] = names.projection();
        match &self.projection {
            StoredProjection::All(qkv) => qkv.store(&[query, key, value], file),
            StoredProjection::First { query: first, key_value } => {
                first.store(&[query], file);
                key_value.store(&[key, value], file);
            }
        }
        self.output.store(&[&names.output], file);
        self.attended_norm.store(&names.attended_norm, file);
        self.up.store(&[&names.up], file);
        self.down.store(&[&names.down], file);
        self.norm.store(&names.norm, file);
    }
}

// === impl StoredHead ===

impl StoredHead {
    pub(crate) fn take(config: &BertConfig, weights: &mut Weights) -> Result<Self, WeightsError> {
        let hidden = config.hidden_size;
        Ok(Self {
            pooler: StoredLinear::take(weights, &[POOLER], [hidden, hidden])?,
            classifier: StoredLinear::take(weights, &[CLASSIFIER], [hidden, 1])?,
        })
    }

    pub(crate) fn store(&self, file: &mut StoredFile) {
        self.pooler.store(&[POOLER], file);
        self.classifier.store(&[CLASSIFIER], file);
    }
}

// === impl Names ===

impl Names {
    fn of(index: usize) -> Self {
        let own = |name: &str| format!("bert.encoder.layer.{index}.{name}");
        Self {
            query: own("attention.self.query"),
            key: own("attention.self.key"),
            value: own("attention.self.value"),
            output: own("attention.output.dense"),
            attended_norm: own("attention.output.LayerNorm"),
            up: own("intermediate.dense"),
            down: own("output.dense"),
            norm: own("output.LayerNorm"),
        }
    }

    fn projection(&self) -> [&str; 3] {
        [&self.query, &self.key, &self.value]
    }
}
