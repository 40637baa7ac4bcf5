//! A model directory with int8 weights, made from one with float weights.

use std::io;
use std::path::{Path, PathBuf};

use crate::calibration::{self, Calibration};
use crate::config::{self, ConfigError, ModelConfig};
use crate::directory;
use crate::encoder::LoadError;
use crate::files;
use crate::stored::{StoredDistances, StoredEmbeddings, StoredFile, StoredHead, StoredLayer};
use crate::weights::Weights;

/// A model that was not quantised.
#[derive(Debug, thiserror::Error)]
pub enum QuantizeError {
    /// The directory does not hold a model that can be run.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It holds int8 weights already.
    #[error("{} holds int8 weights already; quantize the model that it was made from", files::shown(.0))]
    Already(PathBuf),
    /// The target is there. Nothing is overwritten.
    #[error("{} exists; name a directory that does not, or remove it", .0.display())]
    Exists(PathBuf),
    /// A file cannot be written.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Reads the model of `from`, and writes it to `to`, a directory that is made, with int8 weights: what
/// [`crate::CrossEncoder::load`] with [`crate::Precision::Int8`] makes of them, once and for all. Scores are equal, the
/// file is smaller, and loading needs neither the float weights nor their calibration.
///
/// # Errors
/// `from` does not hold a model with float weights, or `to` exists or cannot be written.
pub fn quantize(from: &Path, to: &Path) -> Result<(), QuantizeError> {
    match to.try_exists() {
        Ok(false) => {}
        Ok(true) => return Err(QuantizeError::Exists(to.to_path_buf())),
        Err(source) => return Err(failed(to, source)),
    }
    let config_json = files::read(from, files::CONFIG).map_err(LoadError::from)?;
    let path = files::place(from, files::CONFIG);
    let config = ModelConfig::parse(from, &config_json).map_err(LoadError::from)?;
    if config.quantized {
        return Err(QuantizeError::Already(from.to_path_buf()));
    }
    let tensors = quantized(from, &config)?;
    let mut written = directory::companions(from, &config).map_err(LoadError::from)?;
    written.push((files::CONFIG.into(), marked(&path, &config_json)?));
    written.push((files::WEIGHTS.into(), tensors.into_bytes()));
    directory::write(to, &written).map_err(|(path, source)| QuantizeError::Write { path, source })
}

fn quantized(from: &Path, config: &ModelConfig) -> Result<StoredFile, LoadError> {
    let tokens_max = config::tokens_max(from, config)?;
    let batch = calibration::batch(from, tokens_max)?;
    let mut weights = Weights::open(from)?;
    let mut file = StoredFile::default();
    let mut embeddings = StoredEmbeddings::take(config, &mut weights)?;
    embeddings.quantize(config);
    let distances = StoredDistances::take(config, &mut weights)?;
    let mut calibration = Calibration::start(config, &embeddings, &batch);
    embeddings.store(config, &mut file);
    distances.store(config, &mut file);
    for index in 0..config.layers {
        let mut layer = StoredLayer::take(config, &mut weights, index)?;
        let inputs = calibration.pass(&layer, &distances.of(config, index, &layer));
        layer.quantize(&inputs);
        layer.store(config, index, &mut file);
    }
    StoredHead::take(config, &mut weights)?.store(config, &mut file);
    weights.finish(&config.names.ignored())?;
    Ok(file)
}

/// The configuration, saying that the weights are int8.
fn marked(path: &Path, config_json: &[u8]) -> Result<Vec<u8>, LoadError> {
    let broken = |source| ConfigError::Json { path: path.to_path_buf(), source };
    let mut config: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(config_json).map_err(broken)?;
    config.insert("quantization_config".to_owned(), config::quantization());
    let mut text = serde_json::to_vec_pretty(&config).map_err(broken)?;
    text.push(b'\n');
    Ok(text)
}

fn failed(path: &Path, source: io::Error) -> QuantizeError {
    QuantizeError::Write { path: path.to_path_buf(), source }
}
