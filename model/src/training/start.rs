use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::arch;
use crate::config::{ConfigError, ModelConfig};
use crate::directory;
use crate::encoder::LoadError;
use crate::files;
use crate::stored::{StoredDistances, StoredEmbeddings, StoredFile, StoredHead, StoredLayer};
use crate::weights::{Weights, WeightsError};

/// Standard deviation of drawn weights: `initializer_range` of BERT and those after it.
const SPREAD: f64 = 0.02;

/// What a new cross-encoder begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Which layers of the encoder it takes, in this order; all, where there is none.
    pub layers: Option<Vec<usize>>,
    /// Whether all weights are drawn at random, and not those of the head alone.
    pub random: bool,
    /// What drawn numbers follow from.
    pub seed: u64,
}

/// A cross-encoder that was not begun.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory does not hold an encoder that becomes one.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It has no such layer.
    #[error("{} has layers 0 to {last}; there is no layer {asked}", .path.display())]
    NoLayer {
        /// The encoder's config.json.
        path: PathBuf,
        /// What was asked for.
        asked: usize,
        /// Its last layer.
        last: usize,
    },
    /// A file cannot be written. Nothing that is there is overwritten.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Makes the directory `to` of a cross-encoder with one label from that of an encoder, `from`: of a bare one
/// (`BertModel` and so on), of one with another head (`BertForMaskedLM`), or of a cross-encoder, whose head is kept.
/// What is missing for the head is drawn at random, and int8 weights become the floats that they stand for. Where `start.random` is set, `from` needs no weights.
///
/// # Errors
/// `from` is no encoder of a known architecture, or `to` exists or cannot be written.
pub fn start(from: &Path, to: &Path, start: &Start) -> Result<(), StartError> {
    let failed = |(path, source)| StartError::Write { path, source };
    let (config_json, config) = config(from, start)?;
    let keeps_logit = has_one_label(from)?;
    let weights = weights(from, &config, start, keeps_logit).map_err(LoadError::from)?;
    let file = completed(&config, weights).map_err(LoadError::from)?;
    let mut written: directory::Files = Vec::new();
    for name in [files::TOKENIZER, files::TOKENIZER_CONFIG] {
        let bytes = files::read_optional(from, name).map_err(LoadError::from)?;
        written.extend(bytes.map(|bytes| (name.into(), bytes)));
    }
    written.push((files::CONFIG.into(), config_json));
    written.push((files::WEIGHTS.into(), file.into_bytes()));
    directory::write(to, &written).map_err(failed)
}

/// The config.json of the cross-encoder that the encoder of `from` becomes, and what it says.
pub(super) fn config(from: &Path, start: &Start) -> Result<(Vec<u8>, ModelConfig), StartError> {
    let path = from.join(files::CONFIG);
    let mut with_head = with_head(&path, read(from)?, start)?;
    let text = |config: &Map<String, Value>| {
        let mut text = serde_json::to_vec_pretty(config)
            .map_err(|source| LoadError::from(ConfigError::Json { path: path.clone(), source }))?;
        text.push(b'\n');
        Ok::<_, StartError>(text)
    };
    let config =
        ModelConfig::parse_with_head(&path, &text(&with_head)?).map_err(LoadError::from)?;
    // What is learnt are floats, also where they begin as int8.
    with_head.remove("quantization_config");
    Ok((text(&with_head)?, config))
}

fn read(dir: &Path) -> Result<Map<String, Value>, LoadError> {
    let bytes = files::read(dir, files::CONFIG)?;
    let broken = |source| ConfigError::Json { path: dir.join(files::CONFIG), source };
    Ok(serde_json::from_slice(&bytes).map_err(broken)?)
}

/// The encoder's config.json, saying that there is a head with one label.
fn with_head(
    path: &Path,
    mut config: Map<String, Value>,
    start: &Start,
) -> Result<Map<String, Value>, StartError> {
    let kind = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
    let class = arch::class_of(kind).ok_or_else(|| {
        LoadError::from(ConfigError::Unsupported {
            path: path.to_path_buf(),
            field: "model_type".to_owned(),
            value: format!("{kind:?}"),
            supported: format!("one of {}", arch::model_types().join(", ")),
        })
    })?;
    config.insert("architectures".to_owned(), json!([class]));
    config.insert("id2label".to_owned(), json!({"0": "LABEL_0"}));
    config.insert("label2id".to_owned(), json!({"LABEL_0": 0}));
    for stale in ["num_labels", "problem_type", "_name_or_path"] {
        config.remove(stale);
    }
    if let Some(layers) = &start.layers {
        let field = ["n_layers", "num_hidden_layers"].into_iter().find(|f| config.contains_key(*f));
        let field = field.unwrap_or("num_hidden_layers");
        let count = config.get(field).and_then(Value::as_u64).unwrap_or_default() as usize;
        if let Some(&asked) = layers.iter().find(|layer| **layer >= count) {
            let (path, last) = (path.to_path_buf(), count.saturating_sub(1));
            return Err(StartError::NoLayer { path, asked, last });
        }
        config.insert(field.to_owned(), layers.len().into());
    }
    Ok(config)
}

/// Whether what stands behind the encoder is a logit.
fn has_one_label(from: &Path) -> Result<bool, LoadError> {
    let config = read(from)?;
    let labels = config.get("id2label").and_then(Value::as_object).map(|labels| labels.len());
    let count = config.get("num_labels").and_then(Value::as_u64);
    Ok(labels == Some(1) || count == Some(1))
}

/// The encoder's weights under the names of a cross-encoder, and what completes them.
pub(super) fn weights(
    from: &Path,
    config: &ModelConfig,
    start: &Start,
    keeps_logit: bool,
) -> Result<Weights, WeightsError> {
    let seed = start.seed;
    if start.random {
        let draw = move |name: &str, shape: &[usize]| Some(drawn(seed, name, shape));
        return Ok(Weights::none(from).completed_by(Box::new(draw)));
    }
    let weights = Weights::open(from)?;
    let head = head_tensors(config);
    let last = config.head.last().map(|stage| format!("{}.", stage.name)).unwrap_or_default();
    let prefix = config.names.prefix;
    let in_layer = format!("{prefix}{}.", config.names.layer);
    // A bare encoder's tensors stand for themselves.
    let is_bare = !weights.names().any(|name| name.starts_with(prefix));
    let (known, layers) = (head.clone(), start.layers.clone());
    let weights = weights.renamed(move |name| {
        if known.contains(name) {
            return (keeps_logit || !name.starts_with(&last)).then(|| name.to_owned());
        }
        let name = if is_bare { format!("{prefix}{name}") } else { name.to_owned() };
        let (Some(rest), Some(layers)) = (name.strip_prefix(&in_layer), &layers) else {
            return Some(name);
        };
        let (number, part) = rest.split_once('.')?;
        let number: usize = number.parse().ok()?;
        let place = layers.iter().position(|layer| *layer == number)?;
        Some(format!("{in_layer}{place}.{part}"))
    });
    // What else is missing was lost.
    let draw =
        move |name: &str, shape: &[usize]| head.contains(name).then(|| drawn(seed, name, shape));
    Ok(weights.completed_by(Box::new(draw)))
}

/// Names of the head's tensors.
fn head_tensors(config: &ModelConfig) -> BTreeSet<String> {
    let names = config.head.iter().flat_map(|stage| {
        let norm = stage.norm.as_ref().map(|norm| &norm.name);
        [Some(&stage.name), norm].into_iter().flatten()
    });
    names.flat_map(|name| ["weight", "bias"].map(|part| format!("{name}.{part}"))).collect()
}

/// All that the network has, from what there is. What is left over is another head's.
fn completed(config: &ModelConfig, mut weights: Weights) -> Result<StoredFile, WeightsError> {
    let mut file = StoredFile::default();
    StoredEmbeddings::take(config, &mut weights)?.dequantize().store(config, &mut file);
    StoredDistances::take(config, &mut weights)?.store(config, &mut file);
    for index in 0..config.layers {
        let layer = StoredLayer::take(config, &mut weights, index)?;
        layer.dequantize().store(config, index, &mut file);
    }
    StoredHead::take(config, &mut weights)?.store(config, &mut file);
    Ok(file)
}

/// As BERT begins: linear layers and embeddings from a normal distribution, biases 0, factors of norms 1.
fn drawn(seed: u64, name: &str, shape: &[usize]) -> Vec<f32> {
    let count = shape.iter().product();
    if name.ends_with("bias") || name.ends_with("beta") {
        return vec![0.0; count];
    }
    if shape.len() == 1 {
        return vec![1.0; count];
    }
    // By name, so that a tensor does not depend on those before it.
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name).finalize();
    let own = digest.first_chunk::<8>().expect("a digest has 32 bytes");
    let mut rng = fastrand::Rng::with_seed(u64::from_le_bytes(*own));
    (0..count).map(|_| (normal(&mut rng) * SPREAD) as f32).collect()
}

/// Box and Muller, 1958.
fn normal(rng: &mut fastrand::Rng) -> f64 {
    let (radius, angle) = (1.0 - rng.f64(), rng.f64());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}
