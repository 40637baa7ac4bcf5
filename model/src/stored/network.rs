//! What a checkpoint's file holds, part by part, under its architecture's names.

use std::path::Path;
#[cfg(feature = "train")]
use std::path::PathBuf;

use super::{StoredFile, StoredLinear, StoredNorm, StoredTable};
use crate::arch::Projection;
use crate::calibration::Amplitudes;
use crate::config::{HeadActivation, ModelConfig, NormPlace, Pooling, Stage, StageNorm};
use crate::weights::{Weights, WeightsError};

/// Word, type and position of each token.
pub(crate) struct StoredEmbeddings {
    /// `[vocabulary, embedding]`.
    pub(crate) words: StoredTable,
    /// `[types, embedding]`.
    pub(crate) types: Option<Vec<f32>>,
    /// `[positions, embedding]`, with the rows before that of the first token.
    pub(crate) positions: Option<Vec<f32>>,
    pub(crate) norm: StoredNorm,
    /// Embedding → hidden.
    pub(crate) projection: Option<StoredLinear>,
}

/// One encoder layer.
pub(crate) struct StoredLayer {
    pub(crate) projection: StoredProjection,
    pub(crate) output: StoredLinear,
    /// None in a first layer that need not normalise what is normalised.
    pub(crate) attention_norm: Option<StoredNorm>,
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

/// What turns the states behind the last layer into a logit.
pub(crate) struct StoredHead {
    pub(crate) final_norm: Option<StoredNorm>,
    pub(crate) stages: Vec<StoredStage>,
}

/// One stage of it.
pub(crate) struct StoredStage {
    pub(crate) linear: StoredLinear,
    pub(crate) activation: Option<HeadActivation>,
    pub(crate) norm: Option<StoredNorm>,
}

// === impl StoredEmbeddings ===

impl StoredEmbeddings {
    pub(crate) fn take(config: &ModelConfig, weights: &mut Weights) -> Result<Self, WeightsError> {
        let ModelConfig { names, embedding_size: width, hidden_size, .. } = *config;
        let mut table = |name: Option<&str>, rows: usize| {
            let rows = name.map(|name| weights.take(&names.whole(name), [rows, width]));
            rows.transpose()
        };
        let positions = table(names.positions, config.positions_before + config.positions)?;
        let types = table(names.types, config.types)?;
        let shape = [config.vocab_size, width];
        let words = StoredTable::take(weights, &names.whole(names.words), shape, config.quantized)?;
        let norm = names.whole(names.embeddings_norm);
        let projection = names.embeddings_projection.filter(|_| width != hidden_size);
        let projection = projection.map(|name| {
            StoredLinear::take(weights, &[&names.whole(name)], [width, hidden_size], true)
        });
        Ok(Self {
            words,
            types,
            positions,
            projection: projection.transpose()?,
            norm: StoredNorm::take(weights, &norm, width, config)?,
        })
    }

    /// Words become int8, the largest table by far.
    pub(crate) fn quantize(&mut self, config: &ModelConfig) {
        self.words.quantize(config.embedding_size);
    }

    /// The rows of the position table, from that of the first token on.
    pub(crate) fn token_positions(&self, config: &ModelConfig) -> Option<&[f32]> {
        let before = config.positions_before * config.embedding_size;
        self.positions.as_ref().map(|table| &table[before..])
    }

    pub(crate) fn store(&self, config: &ModelConfig, file: &mut StoredFile) {
        let (names, width) = (config.names, config.embedding_size);
        self.words.store(names.whole(names.words), width, file);
        let tables =
            [(names.types, self.types.as_ref()), (names.positions, self.positions.as_ref())];
        for (name, table) in tables {
            if let (Some(name), Some(table)) = (name, table) {
                file.floats(names.whole(name), &[table.len() / width, width], table);
            }
        }
        self.norm.store(&names.whole(names.embeddings_norm), file);
        if let (Some(name), Some(projection)) = (names.embeddings_projection, &self.projection) {
            projection.store(&[&names.whole(name)], file);
        }
    }
}

// === impl StoredLayer ===

impl StoredLayer {
    /// Takes layer `index`.
    pub(crate) fn take(
        config: &ModelConfig,
        weights: &mut Weights,
        index: usize,
    ) -> Result<Self, WeightsError> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let (names, biases) = (config.names, config.biases);
        let name = |name: &str| names.in_layer(index, name);
        let first_only = is_first_only(config, index);
        // The last layer works on one token a pair, but for its keys and values: what does not matter for speed
        // computes in float32, with weights that are rounded for their size.
        let rounded = if config.quantized { StoredLinear::take_int8 } else { StoredLinear::take };
        let rest = |weights: &mut Weights, name: &str, shape, has_bias| match config.quantized
            && first_only
        {
            true => StoredLinear::take_table(weights, name, shape, has_bias),
            false => rounded(weights, &[name], shape, has_bias),
        };
        let (square, bias) = ([hidden, hidden], biases.attention);
        let projection = match names.projection {
            Projection::Fused(fused) if !config.quantized => {
                let shape = [hidden, 3 * hidden];
                let all = StoredLinear::take(weights, &[&name(fused)], shape, bias)?;
                if first_only {
                    let [query, key_value] = all.split(hidden);
                    StoredProjection::First { query, key_value }
                } else {
                    StoredProjection::All(all)
                }
            }
            Projection::Fused(_) | Projection::Separate(_) => {
                let [query, key, value] = &projection(config, index);
                if first_only {
                    StoredProjection::First {
                        query: rest(weights, query, square, bias)?,
                        key_value: rounded(weights, &[key, value], square, bias)?,
                    }
                } else {
                    let all = [&**query, key, value];
                    StoredProjection::All(rounded(weights, &all, square, bias)?)
                }
            }
        };
        let attention_norm = has_attention_norm(config, index)
            .then(|| StoredNorm::take(weights, &name(names.attention_norm), hidden, config));
        let up = if config.gated { 2 * inner } else { inner };
        let feed_forward = biases.feed_forward;
        Ok(Self {
            projection,
            output: rest(weights, &name(names.output), square, bias)?,
            attention_norm: attention_norm.transpose()?,
            up: rest(weights, &name(names.up), [hidden, up], feed_forward)?,
            down: rest(weights, &name(names.down), [inner, hidden], feed_forward)?,
            norm: StoredNorm::take(weights, &name(names.norm), hidden, config)?,
        })
    }

    /// Weights become int8; where that matters for speed, so do their inputs.
    pub(crate) fn quantize(&mut self, inputs: &Amplitudes) {
        match &mut self.projection {
            StoredProjection::All(qkv) => {
                qkv.quantize(&inputs.projection);
                self.output.quantize(&inputs.output);
                self.up.quantize(&inputs.up);
                self.down.quantize(&inputs.down);
            }
            StoredProjection::First { query, key_value } => {
                key_value.quantize(&inputs.projection);
                for rest in [query, &mut self.output, &mut self.up, &mut self.down] {
                    rest.round();
                }
            }
        }
    }

    /// The layer as tensors of a file.
    pub(crate) fn store(&self, config: &ModelConfig, index: usize, file: &mut StoredFile) {
        let names = config.names;
        let name = |name: &str| names.in_layer(index, name);
        let [query, key, value] = &projection(config, index);
        match (&self.projection, names.projection) {
            // In int8, its parts have names of their own.
            (StoredProjection::All(qkv), Projection::Fused(fused)) if qkv.is_float() => {
                qkv.store(&[&name(fused)], file);
            }
            (StoredProjection::First { query, key_value }, Projection::Fused(fused))
                if key_value.is_float() =>
            {
                query.beside(key_value).store(&[&name(fused)], file);
            }
            (StoredProjection::All(qkv), _) => qkv.store(&[query, key, value], file),
            (StoredProjection::First { query: first, key_value }, _) => {
                first.store(&[query], file);
                key_value.store(&[key, value], file);
            }
        }
        self.output.store(&[&name(names.output)], file);
        if let Some(norm) = &self.attention_norm {
            norm.store(&name(names.attention_norm), file);
        }
        self.up.store(&[&name(names.up)], file);
        self.down.store(&[&name(names.down)], file);
        self.norm.store(&name(names.norm), file);
    }
}

/// The head reads each pair's first token alone, so that in the last layer no other token asks.
fn is_first_only(config: &ModelConfig, index: usize) -> bool {
    config.pooling == Pooling::First && index + 1 == config.layers
}

fn has_attention_norm(config: &ModelConfig, index: usize) -> bool {
    match config.norm_place {
        NormPlace::After => true,
        NormPlace::Before => index > 0,
    }
}

/// The names of query, key and value where each has its own.
fn projection(config: &ModelConfig, index: usize) -> [String; 3] {
    match config.names.projection {
        Projection::Separate(parts) => parts.map(|name| config.names.in_layer(index, name)),
        Projection::Fused(fused) => ["query", "key", "value"]
            .map(|part| config.names.in_layer(index, &format!("{fused}.{part}"))),
    }
}

// === impl StoredHead ===

impl StoredHead {
    pub(crate) fn take(config: &ModelConfig, weights: &mut Weights) -> Result<Self, WeightsError> {
        let (names, mut width) = (config.names, config.hidden_size);
        let final_norm = names
            .final_norm
            .map(|name| StoredNorm::take(weights, &names.whole(name), width, config))
            .transpose()?;
        let mut stages = Vec::with_capacity(config.head.len());
        for Stage { folder, name, outputs, bias, activation, norm } in &config.head {
            let shape = [width, *outputs];
            let linear = from(weights, folder.as_deref(), |weights| {
                StoredLinear::take(weights, &[name], shape, *bias)
            })?;
            width = *outputs;
            let norm = norm.as_ref().map(|StageNorm { folder, name, bias, epsilon }| {
                from(weights, folder.as_deref(), |weights| {
                    StoredNorm::take_with(weights, name, width, *bias, *epsilon)
                })
            });
            let norm = norm.transpose()?;
            stages.push(StoredStage { linear, activation: *activation, norm });
        }
        Ok(Self { final_norm, stages })
    }

    pub(crate) fn store(&self, config: &ModelConfig, file: &mut StoredFile) {
        if let (Some(name), Some(norm)) = (config.names.final_norm, &self.final_norm) {
            norm.store(&config.names.whole(name), file);
        }
        // What is in folders of its own stays there.
        for (stored, stage) in self.stages.iter().zip(&config.head) {
            if stage.folder.is_none() {
                stored.linear.store(&[&stage.name], file);
            }
            let own = stage.norm.as_ref().filter(|norm| norm.folder.is_none());
            if let (Some(own), Some(norm)) = (own, &stored.norm) {
                norm.store(&own.name, file);
            }
        }
    }
}

#[cfg(feature = "train")]
impl StoredEmbeddings {
    /// Its weights become the floats that they stand for.
    pub(crate) fn dequantize(self) -> Self {
        Self { words: StoredTable::Float(self.words.into_floats()), ..self }
    }
}

#[cfg(feature = "train")]
impl StoredLayer {
    /// Its weights become the floats that they stand for.
    pub(crate) fn dequantize(mut self) -> Self {
        match &mut self.projection {
            StoredProjection::All(qkv) => qkv.dequantize(),
            StoredProjection::First { query, key_value } => {
                query.dequantize();
                key_value.dequantize();
            }
        }
        self.output.dequantize();
        self.up.dequantize();
        self.down.dequantize();
        self
    }
}

#[cfg(feature = "train")]
impl StoredHead {
    /// What is in folders of its own, by folder.
    pub(crate) fn in_folders(&self, config: &ModelConfig) -> Vec<(PathBuf, StoredFile)> {
        let mut files = Vec::new();
        for (stored, stage) in self.stages.iter().zip(&config.head) {
            if let Some(folder) = &stage.folder {
                let mut file = StoredFile::default();
                stored.linear.store(&[&stage.name], &mut file);
                files.push((folder.clone(), file));
            }
            if let (Some(own), Some(norm)) = (&stage.norm, &stored.norm)
                && let Some(folder) = &own.folder
            {
                let mut file = StoredFile::default();
                norm.store(&own.name, &mut file);
                files.push((folder.clone(), file));
            }
        }
        files
    }
}

/// Takes something from the weights, or all that is in a folder of its own.
fn from<T>(
    weights: &mut Weights,
    folder: Option<&Path>,
    take: impl FnOnce(&mut Weights) -> Result<T, WeightsError>,
) -> Result<T, WeightsError> {
    let Some(folder) = folder else { return take(weights) };
    let mut own = Weights::open(folder)?;
    let taken = take(&mut own)?;
    own.finish(&[])?;
    Ok(taken)
}
