//! The Hugging Face `config.json`: every field is used, known to be harmless, or refused.
//!
//! A field that this crate has never heard of may change what the network computes, so it is refused
//! too, unless its value is null. Scores that are silently wrong are worse than a start-up error.
//!
//! Which fields a network has is known to its architecture ([`crate::arch`]); what all have in common is
//! read in [`common`].

mod activation;
pub(crate) mod common;
mod fields;
mod labels;
mod modules;
mod network;

use std::path::{Path, PathBuf};

use crate::arch;
use crate::files::{self, FileError};
pub(crate) use activation::Activation;
pub(crate) use common::quantization;
pub(crate) use fields::Fields;
pub(crate) use labels::Labels;
#[cfg(feature = "train")]
pub(crate) use modules::embedding_pooling;
pub(crate) use network::{
    Biases, Distances, HeadActivation, ModelConfig, NormPlace, Pooling, Stage, StageNorm,
};

/// Larger sizes are a broken file.
const SIZE_MAX: usize = 1 << 24;

/// A `config.json` that this crate does not run.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be had.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is no JSON object.
    #[error("{} is not a JSON object", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it breaks.
        #[source]
        source: serde_json::Error,
    },
    /// A field is absent that has no safe default.
    #[error("{}: {field} is missing; supported: {supported}", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// What it may hold.
        supported: String,
    },
    /// A field has a value that this crate does not compute.
    #[error("{}: {field} is {value}; supported: {supported}", .path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// What it holds, shortened.
        value: String,
        /// What it may hold.
        supported: String,
    },
    /// A field is unknown, so that its effect is unknown.
    #[error(
        "{}: field {field} = {value} is unknown and may change scores; remove it if the model does \
         not depend on it",
        .path.display()
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// What it holds, shortened.
        value: String,
    },
    /// A model with several labels gives several scores, and nobody says by which to rank.
    #[error(
        "{}: the model has several labels: {labels}; name the one to rank by, as model.label or with --label",
        .path.display()
    )]
    NoLabel {
        /// The file.
        path: PathBuf,
        /// Its labels, with their numbers.
        labels: String,
    },
    /// None of its labels is called so.
    #[error("{}: label {asked:?} does not exist; by number and name the model has: {labels}", .path.display())]
    UnknownLabel {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        asked: String,
        /// Its labels, with their numbers.
        labels: String,
    },
}

// === impl ModelConfig ===

impl ModelConfig {
    /// Checks the `config.json` of a model directory.
    pub(crate) fn read(dir: &Path) -> Result<Self, ConfigError> {
        Self::parse(dir, &files::read(dir, files::CONFIG)?)
    }

    /// Checks the text of the file, and what else `dir` says of the network.
    pub(crate) fn parse(dir: &Path, bytes: &[u8]) -> Result<Self, ConfigError> {
        let (mut config, has_head) = Self::parse_file(&files::place(dir, files::CONFIG), bytes)?;
        modules::check_settings(dir, &config.labels)?;
        if has_head {
            return Ok(config);
        }
        config.names.prefix = "";
        modules::complete(dir, config)
    }

    /// Checks the text of the file at `path`, of a model that is no more than an encoder and its own head.
    #[cfg(feature = "train")]
    pub(crate) fn parse_with_head(path: &Path, bytes: &[u8]) -> Result<Self, ConfigError> {
        Self::parse_file(path, bytes).map(|(config, _)| config)
    }

    /// Checks the text of the file at `path`; also says whether the network has a head of its own.
    fn parse_file(path: &Path, bytes: &[u8]) -> Result<(Self, bool), ConfigError> {
        let mut fields = Fields::parse(path, bytes)?;
        let (architecture, has_head) = arch::of(&mut fields)?;
        common::off(&mut fields)?;
        let quantized = common::quantized(&mut fields)?;
        let labels = if has_head {
            Labels::read(&mut fields)?
        } else {
            // Those of a head that is not there.
            ["id2label", "num_labels"].iter().for_each(|field| drop(fields.take(field)));
            Labels::one()
        };
        common::exclusive(&mut fields, &labels)?;
        common::sentence_transformers(&mut fields, &labels)?;
        let mut config = (architecture.read)(&mut fields)?;
        if !config.hidden_size.is_multiple_of(config.heads) {
            return Err(fields.unsupported(
                architecture.heads_field,
                &config.heads.into(),
                &format!("divisors of the hidden size, {}", config.hidden_size),
            ));
        }
        fields.finish(common::HARMLESS)?;
        config.quantized = quantized;
        if let Some(last) = config.head.last_mut() {
            last.outputs = labels.names().len();
        }
        config.labels = labels;
        Ok((config, has_head))
    }
}

/// What the outputs of a model directory's network are called, in their order. Where there are several,
/// [`crate::CrossEncoder::load_label`] must be told which one the score is about.
///
/// # Errors
/// The directory does not hold a model that is run here.
pub fn labels(dir: &Path) -> Result<Vec<String>, ConfigError> {
    Ok(ModelConfig::read(dir)?.labels.names().to_vec())
}

/// Names of the files that decide the scores of a model directory, in the order of
/// [`crate::CrossEncoder::revision`]: config.json, tokenizer.json, model.safetensors, and what else there is.
///
/// # Errors
/// The directory does not hold a model that is run here.
pub fn deciding_files(dir: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let config = ModelConfig::read(dir)?;
    let always = [files::CONFIG, files::TOKENIZER, files::WEIGHTS].map(PathBuf::from);
    Ok(always.into_iter().chain(also_deciding(dir, &config)?).collect())
}

/// Those beside config.json, tokenizer.json and model.safetensors. tokenizer_config.json nearly always repeats what
/// they say; it counts where it does not, or with modules, which have no other place to say how they read a text.
pub(crate) fn also_deciding(dir: &Path, config: &ModelConfig) -> Result<Vec<PathBuf>, ConfigError> {
    let mut names = config.module_files.clone();
    let has_modules = !names.is_empty();
    let shortens = tokens_max(dir, config)? < config.positions;
    let drops_types = config.types > 1 && !gives_types(dir)?;
    let is_there = |name: &str| files::is_there(dir, name);
    if has_modules && is_there(files::SENTENCE_BERT) {
        names.push(files::SENTENCE_BERT.into());
    }
    if shortens || drops_types || (has_modules && is_there(files::TOKENIZER_CONFIG)) {
        names.push(files::TOKENIZER_CONFIG.into());
    }
    Ok(names)
}

/// Tokens of a pair that both the position table and the tokenizer's author allow.
pub(crate) fn tokens_max(dir: &Path, config: &ModelConfig) -> Result<usize, ConfigError> {
    let Some(bytes) = files::read_optional(dir, files::TOKENIZER_CONFIG)? else {
        return Ok(config.positions);
    };
    let mut fields = Fields::parse(&files::place(dir, files::TOKENIZER_CONFIG), &bytes)?;
    // Tokenizers without a limit say 1e30.
    let limit = match fields.take("model_max_length") {
        None => return Ok(config.positions),
        Some(value) => value
            .as_f64()
            .filter(|limit| *limit >= 1.0)
            .ok_or_else(|| fields.unsupported("model_max_length", &value, "a number of tokens"))?,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at least 1, and a float cast saturates"
    )]
    let limit = limit as usize;
    Ok(config.positions.min(limit))
}

/// Whether the tokenizer's author means token types to reach the network.
pub(crate) fn gives_types(dir: &Path) -> Result<bool, ConfigError> {
    const FIELD: &str = "model_input_names";
    let Some(bytes) = files::read_optional(dir, files::TOKENIZER_CONFIG)? else { return Ok(true) };
    let mut fields = Fields::parse(&files::place(dir, files::TOKENIZER_CONFIG), &bytes)?;
    match fields.take(FIELD) {
        None => Ok(true),
        Some(serde_json::Value::Array(names)) => {
            Ok(names.iter().any(|name| name == "token_type_ids"))
        }
        Some(value) => Err(fields.unsupported(FIELD, &value, "a list of names")),
    }
}

#[cfg(test)]
mod tests;
