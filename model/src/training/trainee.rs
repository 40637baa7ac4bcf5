use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::grad_clipping::GradientClippingConfig;
use burn::lr_scheduler::constant::ConstantLr;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::optim::{AdamWConfig, GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::store::RecordError;
use burn::tensor::{Int, Tensor, TensorData};

use crate::config::{self, Distances, ModelConfig};
use crate::device::{Backend, Device, DeviceError, Kernels};
use crate::directory;
use crate::encoder::LoadError;
use crate::files;
use crate::layout::Layout;
use crate::network::{Network, Untrained};
use crate::packed::PackedBatch;
use crate::precision::Precision;
use crate::stored::{StoredDistances, StoredEmbeddings, StoredFile};
use crate::weights::{Weights, WeightsError};

/// Lengths that attention pads up to a multiple of: the gradient of each bucket is as large as the batch before it is
/// added to those of the others, so that there should be few.
const ATTENTION_STEP: usize = 64;

/// A cross-encoder that learns.
#[derive(Clone)]
pub struct Trainee {
    network: Network,
    config: ModelConfig,
    device: Device,
    directory: PathBuf,
    /// What is written beside the weights, as it was: the directory may be gone by then.
    beside: Arc<directory::Files>,
    untrained: Arc<Untrained>,
    tokens_max: usize,
}

/// What a loss says of the parameters of a [`Trainee`].
pub struct Gradients(GradientsParams);

/// Makes steps of gradients, and remembers earlier ones.
pub struct Optimizer(ModuleOptimizer);

/// What an optimizer remembers cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{} is not what an optimizer remembers, or cannot be written", .path.display())]
pub struct OptimizerError {
    path: PathBuf,
    #[source]
    source: RecordError,
}

/// A model that cannot be trained.
#[derive(Debug, thiserror::Error)]
pub enum TraineeError {
    /// The backend cannot be had.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The directory does not hold a model.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// What attention knows of distances follows from weights that change.
    #[error(
        "{} attends by projected distances (DeBERTa), which are not trained here; choose a model of another architecture",
        .0.display()
    )]
    ProjectedDistances(PathBuf),
}

/// A trained model that was not written. Nothing that is there is overwritten.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", .path.display())]
pub struct SaveError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// How far a step goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningRates {
    /// For all but the head.
    pub encoder: f64,
    /// For the head, which starts from nothing in a new model.
    pub head: f64,
}

// === impl Trainee ===

impl Trainee {
    /// Loads the model of a Hugging Face directory in float32, to be trained on `backend`.
    ///
    /// # Errors
    /// As [`crate::CrossEncoder::load`]; also models with several labels, and those of DeBERTa, are not trained.
    pub fn load(dir: &Path, backend: Backend) -> Result<Self, TraineeError> {
        let device = Device::open_with(backend, Kernels::Off)?.differentiating();
        let config_json = files::read(dir, files::CONFIG).map_err(LoadError::from)?;
        let mut config = ModelConfig::parse(dir, &config_json).map_err(LoadError::from)?;
        config.labels.choose(&dir.join(files::CONFIG), None).map_err(LoadError::from)?;
        if config.quantized {
            return Err(LoadError::Quantized(dir.to_path_buf()).into());
        }
        if let Distances::Disentangled { .. } = config.distances {
            return Err(TraineeError::ProjectedDistances(dir.to_path_buf()));
        }
        let untrained = untrained(dir, &config).map_err(LoadError::from)?;
        let weights = Weights::open(dir).map_err(LoadError::from)?.fitting(Precision::F32);
        let network = Network::load(&config, weights, &device, None).map_err(LoadError::from)?;
        let tokens_max = config::tokens_max(dir, &config).map_err(LoadError::from)?;
        // Numbers in order, so that what is known of a parameter is found again in another run.
        let network = network.map(&mut Numbered(0));
        let mut beside = directory::companions(dir, &config).map_err(LoadError::from)?;
        beside.push((files::CONFIG.into(), config_json));
        let (beside, untrained) = (Arc::new(beside), Arc::new(untrained));
        let directory = dir.to_path_buf();
        Ok(Self { network, config, device, directory, beside, untrained, tokens_max })
    }

    /// The same model, of which the embeddings stay as they are.
    #[must_use]
    pub fn with_frozen_embeddings(self) -> Self {
        Self { network: self.network.freeze_embeddings(), ..self }
    }

    /// A copy with derivatives of its own, for another thread.
    #[must_use]
    pub fn fork(&self) -> Self {
        let network = self.network.clone().fork(self.device.burn());
        Self { network, ..self.clone() }
    }

    /// Logits of the pairs of a batch, `[pairs]`, in its order, from which a loss is made.
    ///
    /// # Panics
    /// If a token is outside the vocabulary or a pair longer than [`Trainee::tokens_max`].
    pub fn forward(&self, batch: &PackedBatch) -> Tensor<1> {
        let layout = Layout::in_buckets(batch, ATTENTION_STEP, self.device.burn());
        let logits = self.network.forward(&layout);
        let places: Vec<i32> = layout.places().into_iter().map(|place| place as i32).collect();
        let places = TensorData::new(places, [batch.pairs()]);
        let places = Tensor::<1, Int>::from_data(places, self.device.burn());
        logits.reshape([batch.pairs()]).select(0, places)
    }

    /// What a loss says of the parameters.
    pub fn gradients(&self, loss: &Tensor<1>) -> Gradients {
        Gradients(GradientsParams::from_grads(loss.backward(), &self.network))
    }

    /// Makes a step down the sum of `gradients`.
    #[must_use]
    pub fn step(
        self,
        optimizer: &mut Optimizer,
        rates: LearningRates,
        gradients: impl IntoIterator<Item = Gradients>,
    ) -> Self {
        let mut sum = GradientsAccumulator::new();
        gradients.into_iter().for_each(|own| sum.accumulate(&self.network, own.0));
        let rate = ModuleLrScheduler::new(ConstantLr::from(rates.encoder))
            .with_group(ParamGroup::from_predicate("head"), ConstantLr::from(rates.head))
            .step();
        let network = optimizer.0.step(rate, self.network, sum.grads());
        Self { network, ..self }
    }

    /// Tokens of the longest pair.
    pub fn tokens_max(&self) -> usize {
        self.tokens_max
    }

    /// Where it is trained.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Writes a model directory with float32 weights to `to`, which is made.
    ///
    /// # Errors
    /// `to` exists or cannot be written.
    pub fn save(&self, to: &Path) -> Result<(), SaveError> {
        let failed = |(path, source)| SaveError { path, source };
        let mut written = (*self.beside).clone();
        let mut file = StoredFile::default();
        let folders = self.network.store(&self.config, &self.untrained, &mut file);
        written.push((files::WEIGHTS.into(), file.into_bytes()));
        for (folder, file) in folders {
            let name = folder.strip_prefix(&self.directory).unwrap_or(&folder).join(files::WEIGHTS);
            written.retain(|(other, _)| *other != name);
            written.push((name, file.into_bytes()));
        }
        directory::write(to, &written).map_err(failed)
    }
}

// === impl Gradients ===

impl Gradients {
    /// How large they are together: the root of the sum of all squares.
    pub fn norm(&self, of: &Trainee) -> f64 {
        let mut squares = Squares { gradients: &self.0, sum: 0.0 };
        of.network.visit(&mut squares);
        squares.sum.sqrt()
    }
}

// === impl Optimizer ===

impl Optimizer {
    /// AdamW (Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019). The gradients of each tensor are cut
    /// to a length of `clip`.
    pub fn adamw(weight_decay: f32, clip: f32) -> Self {
        let config = AdamWConfig::new()
            .with_epsilon(1e-8)
            .with_weight_decay(weight_decay)
            .with_grad_clipping(Some(GradientClippingConfig::Norm(clip)));
        Self(config.init())
    }

    /// Writes what it remembers of earlier steps.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), OptimizerError> {
        self.0.save(path).map_err(|source| OptimizerError { path: path.into(), source })
    }

    /// As it was when it was saved; for a model of the same architecture.
    ///
    /// # Errors
    /// The file is not there, or not one of an optimizer.
    pub fn load(self, path: &Path) -> Result<Self, OptimizerError> {
        let loaded = self.0.load(path);
        loaded.map(Self).map_err(|source| OptimizerError { path: path.into(), source })
    }
}

/// What the file of `dir` holds beside what is trained.
fn untrained(dir: &Path, config: &ModelConfig) -> Result<Untrained, WeightsError> {
    let mut weights = Weights::open(dir)?;
    let distances = StoredDistances::take(config, &mut weights)?;
    let before = config.positions_before * config.embedding_size;
    let positions_before = match before {
        0 => Vec::new(),
        _ => StoredEmbeddings::take(config, &mut weights)?.positions.unwrap_or_default()[..before]
            .to_vec(),
    };
    Ok(Untrained { distances, positions_before })
}

/// Gives parameters numbers in order.
struct Numbered(u64);

// === impl Numbered ===

impl ModuleMapper for Numbered {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.0 += 1;
        Param::initialized(ParamId::from(self.0), param.val())
    }
}

struct Squares<'g> {
    gradients: &'g GradientsParams,
    sum: f64,
}

// === impl Squares ===

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(own) = self.gradients.get::<D>(param.id) {
            self.sum += own.square().sum().into_scalar::<f64>();
        }
    }
}
