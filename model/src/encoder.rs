use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::ExecutionError;

use crate::bundled;
use crate::calibration;
use crate::config::{self, ConfigError, ModelConfig};
use crate::device::Device;
use crate::files::{self, FileError};
use crate::head;
use crate::layout::Layout;
use crate::network::Network;
use crate::packed::PackedBatch;
use crate::precision::{Precision, PrecisionError};
use crate::tokenizer::TokenizerError;
use crate::weights::{Weights, WeightsError};

/// A cross-encoder on a device: tokenised pairs → logits.
///
/// Clones share the weights, so that each thread can have its own.
#[derive(Clone, Debug)]
pub struct CrossEncoder {
    network: Network,
    config: ModelConfig,
    device: Device,
    tokens_max: usize,
    revision: Arc<str>,
    name: Arc<str>,
}

/// A model directory that cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The device does not compute in the precision.
    #[error(transparent)]
    Precision(#[from] PrecisionError),
    /// A file cannot be had.
    #[error(transparent)]
    File(#[from] FileError),
    /// `config.json` asks for what is not computed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `model.safetensors` does not hold what `config.json` asks for.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The texts that int8 weights are fitted to cannot be tokenised.
    #[error("the tokenizer cannot be used")]
    Tokenizer(#[source] Box<TokenizerError>),
    /// The directory holds int8 weights, and another precision is asked for.
    #[error(
        "{} holds int8 weights, which are not what they were rounded from; choose precision int8, or the model that it was made from",
        files::shown(.0)
    )]
    Quantized(PathBuf),
}

/// A batch that was not scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// A token is outside the vocabulary.
    #[error("pair {pair} holds token {id}; the model has {vocabulary}")]
    UnknownToken {
        /// Place of the pair in the batch.
        pair: usize,
        /// The token.
        id: u32,
        /// Rows of the embedding table.
        vocabulary: usize,
    },
    /// A token is neither query nor passage.
    #[error("pair {pair} holds token type {found}; the model has {types}")]
    UnknownType {
        /// Place of the pair in the batch.
        pair: usize,
        /// The type.
        found: u8,
        /// Rows of the type table.
        types: usize,
    },
    /// A pair is longer than the position table.
    #[error("pair {pair} has {tokens} tokens; the model takes {positions}")]
    TooLong {
        /// Place of the pair in the batch.
        pair: usize,
        /// Its length.
        tokens: usize,
        /// Rows of the position table.
        positions: usize,
    },
    /// The device failed.
    #[error("device {device} failed")]
    Device {
        /// The device.
        device: String,
        /// What it says.
        #[source]
        source: ExecutionError,
    },
}

// === impl CrossEncoder ===

impl CrossEncoder {
    /// Loads a Hugging Face directory: config.json, tokenizer.json, model.safetensors.
    ///
    /// The weights may be float32, float16 or bfloat16; they are computed with in `precision`. For int8, they may be
    /// int8 already ([`crate::quantize`]).
    ///
    /// # Errors
    /// The device does not compute in `precision` ([`Device::computes_in`]), or the directory does not hold a model
    /// with one label that this crate runs.
    pub fn load(dir: &Path, device: &Device, precision: Precision) -> Result<Self, LoadError> {
        Self::load_label(dir, device, precision, None)
    }

    /// As [`CrossEncoder::load`], for models with several labels: the logit of a pair is then the log-odds of `label`,
    /// a name of `id2label` or else an index, against all others: `l - ln(Σ exp(others))`. Its sigmoid is the
    /// label's softmax.
    ///
    /// # Errors
    /// There is no such label, or there are several and `label` is `None`; and all of [`CrossEncoder::load`].
    pub fn load_label(
        dir: &Path,
        device: &Device,
        precision: Precision,
        label: Option<&str>,
    ) -> Result<Self, LoadError> {
        device.computes_in(precision)?;
        Self::load_unasked(dir, device, precision, label)
    }

    /// As [`CrossEncoder::load_label`], whether it is wise to compute so or not.
    pub(crate) fn load_unasked(
        dir: &Path,
        device: &Device,
        precision: Precision,
        label: Option<&str>,
    ) -> Result<Self, LoadError> {
        let config_json = files::read(dir, files::CONFIG)?;
        let mut config = ModelConfig::parse(dir, &config_json)?;
        config.labels.choose(&files::place(dir, files::CONFIG), label)?;
        let tokenizer_json = files::read(dir, files::TOKENIZER)?;
        let weights = Weights::open(dir)?.fitting(precision);
        let tokens_max = config::tokens_max(dir, &config)?;
        let also = config::also_deciding(dir, &config)?;
        let calibration = match (precision, config.quantized) {
            (Precision::F32 | Precision::F16 | Precision::Bf16, true) => {
                return Err(LoadError::Quantized(dir.to_path_buf()));
            }
            (Precision::F32 | Precision::F16 | Precision::Bf16, false)
            | (Precision::Int8, true) => None,
            (Precision::Int8, false) => Some(calibration::batch(dir, tokens_max)?),
        };
        let device = device.keeping(precision);
        Ok(Self {
            network: Network::load(&config, weights, &device, calibration.as_ref())?,
            revision: files::revision(dir, &config_json, &tokenizer_json, &also)?.into(),
            tokens_max,
            config,
            device,
            name: name_of(dir).into(),
        })
    }

    /// Scores every pair of a batch: raw logits `[pairs]`, in the batch's order.
    ///
    /// A pair's logit does not depend on what else is in the batch. It may be infinite or not a number
    /// where the network overflows; that is the caller's to judge.
    pub fn score(&self, batch: &PackedBatch) -> Result<Vec<f32>, ScoreError> {
        self.check(batch)?;
        if batch.pairs() == 0 {
            return Ok(Vec::new());
        }
        self.score_laid_out(&Layout::new(batch, &self.device))
    }

    /// Most tokens of a pair, special tokens included: the position table, or what the tokenizer's
    /// author allows if that is less.
    pub fn tokens_max(&self) -> usize {
        self.tokens_max
    }

    /// What identifies the model's content: the start of the SHA-256 of its config.json,
    /// tokenizer.json and model.safetensors in a row, such as `sha256:0123456789abcdef`.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The directory's name. (`_name_or_path` in config.json is no name: in a fine-tuned checkpoint it
    /// is the model that training started from.)
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The label whose log-odds its scores are; `None` where the model has one only.
    pub fn label(&self) -> Option<&str> {
        self.config.labels.chosen_name()
    }

    /// Where it runs.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Nominal operations of scoring pairs of these lengths: every token through every layer, a
    /// multiplication and an addition counted as two, embeddings and head left out. It measures the
    /// network, to compare implementations by: ours leaves out what the logit does not need.
    pub fn operations(&self, lengths: impl IntoIterator<Item = usize>) -> f64 {
        let ModelConfig { hidden_size, intermediate_size, layers, .. } = self.config;
        let (hidden, intermediate) = (hidden_size as f64, intermediate_size as f64);
        // Query, key, value and output; up, perhaps a gate, and down.
        let inner = if self.config.gated { 3.0 } else { 2.0 };
        let linears = 2.0 * (4.0 * hidden * hidden + inner * hidden * intermediate);
        let pair = |length: usize| {
            let tokens = length as f64;
            // Each token with each: its scores, and the sum they weigh.
            let attention = 4.0 * tokens * hidden;
            tokens * layers as f64 * (linears + attention)
        };
        lengths.into_iter().map(pair).sum()
    }

    /// Bytes of activations, about, while a batch with so many tokens is scored: what goes into a layer and its
    /// residual, and the widest of what it makes of them.
    pub fn activation_bytes(&self, tokens: usize) -> u64 {
        let ModelConfig { hidden_size, intermediate_size, gated, .. } = self.config;
        let inner = if gated { 2 * intermediate_size } else { intermediate_size };
        // Query, key, value and context, or what stands between the halves of the feed-forward block.
        let widest = (4 * hidden_size).max(inner);
        let numbers = tokens.saturating_mul(2 * hidden_size + widest);
        (numbers as u64).saturating_mul(size_of::<f32>() as u64)
    }

    fn score_laid_out(&self, layout: &Layout) -> Result<Vec<f32>, ScoreError> {
        let logits = self.network.forward(layout);
        let data = logits.try_into_data().map_err(|source| self.failed(source))?;
        let logits = data.try_to_vec::<f32>().map_err(|error| {
            self.failed(ExecutionError::WithContext { reason: error.to_string() })
        })?;
        let labels = &self.config.labels;
        let pairs = logits.chunks_exact(labels.names().len());
        let scores: Vec<f32> = pairs.map(|logits| head::score(logits, labels.chosen())).collect();
        Ok(layout.in_batch_order(&scores))
    }

    fn failed(&self, source: ExecutionError) -> ScoreError {
        ScoreError::Device { device: self.device.name(), source }
    }

    /// Past this point every id is a row of its table.
    fn check(&self, batch: &PackedBatch) -> Result<(), ScoreError> {
        let ModelConfig { vocab_size: vocabulary, positions, .. } = self.config;
        // Without a table there is one type, which adds nothing.
        let types = self.config.types.max(1);
        for (pair, window) in batch.offsets().windows(2).enumerate() {
            let range = window[0] as usize..window[1] as usize;
            let tokens = range.len();
            if tokens > positions {
                return Err(ScoreError::TooLong { pair, tokens, positions });
            }
            if let Some(&id) =
                batch.ids()[range.clone()].iter().find(|&&id| id as usize >= vocabulary)
            {
                return Err(ScoreError::UnknownToken { pair, id, vocabulary });
            }
            if let Some(&found) = batch.types()[range].iter().find(|&&t| usize::from(t) >= types) {
                return Err(ScoreError::UnknownType { pair, found, types });
            }
        }
        Ok(())
    }
}

fn name_of(dir: &Path) -> String {
    if bundled::is_bundled(dir) {
        return bundled::NAME.to_owned();
    }
    let whole = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    whole
        .file_name()
        .map_or_else(|| whole.display().to_string(), |n| n.to_string_lossy().into_owned())
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::device::{Backend, Kernels};

    #[test]
    fn operations_are_those_of_all_tokens_in_all_layers() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tiny-bert");
        let device = Device::open(Backend::Flex).unwrap();
        let encoder = CrossEncoder::load(&dir, &device, Precision::F32).unwrap();
        // Two layers, 32 hidden, 64 intermediate.
        let linears = 2 * (4 * 32 * 32 + 2 * 32 * 64);
        let pair = |tokens: usize| 2 * tokens * (linears + 4 * tokens * 32);
        assert_eq!(encoder.operations([10, 3]), (pair(10) + pair(3)) as f64);
        assert_eq!(encoder.operations([]), 0.0);
        assert_eq!(encoder.activation_bytes(10), 10 * (2 * 32 + 4 * 32) * 4);
    }

    #[test]
    fn padding_inside_attention_does_not_change_scores() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tiny-bert");
        let device = Device::open_with(Backend::Flex, Kernels::Off).unwrap();
        let encoder = CrossEncoder::load(&dir, &device, Precision::F32).unwrap();
        let mut batch = PackedBatch::with_capacity(0);
        for length in [3, 31, 32, 33, 9, 10, 64, 5] {
            let ids: Vec<u32> = (0..length).map(|i| 5 + (i * 37) % 1500).collect();
            let types: Vec<u8> = (0..length).map(|i| u8::from(i > 4)).collect();
            batch.push(&ids, &types);
        }
        let padded = |step| {
            let layout = Layout::in_buckets(&batch, step, encoder.device.burn());
            encoder.score_laid_out(&layout).unwrap()
        };
        let expected = padded(1);
        for step in [2, 16, 32, 128] {
            for (padded, exact) in padded(step).iter().zip(&expected) {
                assert!((padded - exact).abs() < 1e-5, "step {step}: {padded}, not {exact}");
            }
        }
    }
}
