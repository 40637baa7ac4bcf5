use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use crossrank_model::{CrossEncoder, Device, PairTokenizer, TextTokenizer, TokenLimits};
use tokio::sync::oneshot;

use super::cores::Cores;
use super::dispatcher::{Channels, Dispatcher};
use super::key::{Keyed, Keyer};
use super::replica::{Event, Replica};
use super::schedule::Sizes;
use super::tokenizers::{self, Incoming};
use super::{
    Backend, Deadline, EngineError, Model, ModelIdentity, ModelName, PairScore, Precision,
    ScoreRequest, Scorer, SetScores, Settings, StartError,
};
use crate::telemetry::board::ModelShown;
use crate::telemetry::{Counts, Pulse};

/// Tokens of a batch that stay in a core's cache through all layers.
const CPU_BATCH_TOKENS: usize = 512;
/// Tokens of a batch that keep a GPU busy.
const GPU_BATCH_TOKENS: usize = 16384;
/// Sets that stand in line before they are tokenised. Beyond what callers keep in flight, so that sets are
/// served in the order of the calls; callers that wait for a place in a line are not served in order.
const SETS_WAITING_MAX: usize = 1024;
/// More tokenizers than this do not help: one keeps several replicas supplied.
const TOKENIZERS_MAX: usize = 4;

/// What the replicas are started with.
struct Replicas {
    count: usize,
    encoder: CrossEncoder,
    /// Tokens of the longest pair.
    tokens_max: usize,
    batch_tokens_max: usize,
    /// `None`: they run where the system puts them.
    pinned_to: Option<Cores>,
}

/// What a replica says once it has scored its first batch.
struct Warm {
    pinned: bool,
}

/// A running engine: a model, its threads, and the way in. Dropping it ends the threads.
pub struct Engine {
    model: ModelIdentity,
    encoder: CrossEncoder,
    tokenizer: PairTokenizer,
    replicas: usize,
    tokens_max: usize,
    batch_tokens_max: usize,
    /// `None` only while being dropped.
    sets: Option<async_channel::Sender<Incoming>>,
    threads: Vec<JoinHandle<()>>,
}

// === impl Engine ===

impl Engine {
    /// Loads the model, starts the threads, and scores one batch on every replica, so that the
    /// first set finds the engine warm. Blocks for as long as that takes.
    ///
    /// # Errors
    /// The backend has no device, the directory does not hold a model that can be run, or the
    /// model fails its first batch.
    pub fn start(model: &Model, settings: &Settings) -> Result<Self, StartError> {
        Self::start_counting(model, settings, &Arc::default())
    }

    /// As [`Self::start`]; counts what it does.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn start_counting(
        model: &Model,
        settings: &Settings,
        counts: &Arc<Counts>,
    ) -> Result<Self, StartError> {
        let began = Instant::now();
        let device =
            Device::open_with(settings.backend, settings.kernels).map_err(StartError::Device)?;
        let (directory, label) = (&model.directory, model.label.as_deref());
        let encoder = CrossEncoder::load_label(directory, &device, settings.precision, label)
            .map_err(StartError::Model)?;
        let available = encoder.tokens_max();
        let tokens_max = settings.tokens_max.unwrap_or(available);
        if tokens_max > available {
            return Err(StartError::TokensMax { asked: tokens_max, available });
        }
        let query_tokens_max = query_tokens_max(settings.query_tokens_max, tokens_max);
        let limits = TokenLimits { tokens_max, query_tokens_max };
        let tokenizer = PairTokenizer::load(directory, limits).map_err(StartError::Tokenizer)?;
        let (id, revision) = match &model.name {
            Some(ModelName { id, revision }) => (id.clone(), revision.clone()),
            None => (encoder.name().to_owned(), encoder.revision().to_owned()),
        };
        let model = ModelIdentity {
            id,
            revision,
            precision: settings.precision.to_string(),
            backend: settings.backend.to_string(),
            label: encoder.label().map(str::to_owned),
        };
        let cores = Cores::of_this_process();
        let sizes = sizes(settings, &cores);
        let tokenizers = settings.tokenizers.unwrap_or(sizes.replicas.min(TOKENIZERS_MAX));
        tracing::info!(
            model = model.id,
            revision = model.revision,
            label = encoder.label(),
            device = device.name(),
            replicas = sizes.replicas,
            tokenizers,
            batch_tokens_max = sizes.batch_tokens_max,
            tokens_max,
            "model loaded"
        );
        if settings.precision == Precision::Int8 && !device.has_kernels() {
            tracing::warn!(
                device = device.name(),
                "int8 has no kernels here and is slower than f32"
            );
        }

        let (into_sets, sets) = async_channel::bounded(SETS_WAITING_MAX);
        let (into_parts, parts) = bounded(tokenizers);
        let (into_batches, batches) = bounded(sizes.ahead_max);
        let (into_events, events) = bounded(sizes.ahead_max);
        let replicas = Replicas {
            count: sizes.replicas,
            encoder: encoder.clone(),
            tokens_max,
            batch_tokens_max: sizes.batch_tokens_max,
            pinned_to: settings.pin_threads.then_some(cores),
        };
        let (count, batch_tokens_max) = (replicas.count, replicas.batch_tokens_max);
        let loaded = Instant::now();
        let mut threads = replicas.start(&batches, &into_events)?;
        // It beats while the dispatcher goes round, and is owed an answer while a batch is with a replica.
        let pulse = Arc::new(Pulse::default());
        let shown = ModelShown {
            id: model.id.clone(),
            revision: model.revision.clone(),
            label: model.label.clone(),
            precision: model.precision.clone(),
            backend: model.backend.clone(),
            device: device.name().to_owned(),
            kernels: device.kernels_name().unwrap_or_else(|| "none".to_owned()),
            replicas: count,
            load: loaded - began,
            warm_up: loaded.elapsed(),
        };
        counts.board.model_is_warm(shown, Arc::clone(&pulse));
        let channels = Channels { parts, events, batches: into_batches };
        let dispatcher = Dispatcher::new(channels, sizes, Arc::clone(counts), Arc::clone(&pulse));
        threads.push(spawn("dispatcher".to_owned(), move || dispatcher.run())?);
        let keyer = Keyer::new(&model);
        let more = tokenizers::start(
            tokenizers,
            &tokenizer,
            settings.long_passages,
            &keyer,
            (&sets, &into_parts),
            counts,
        );
        threads.extend(more.map_err(StartError::Thread)?);
        let (replicas, sets) = (count, Some(into_sets));
        Ok(Self {
            model,
            encoder,
            tokenizer,
            replicas,
            tokens_max,
            batch_tokens_max,
            sets,
            threads,
        })
    }

    /// What computes.
    pub fn device(&self) -> &Device {
        self.encoder.device()
    }

    /// The model's tokenizer, for texts of any length.
    pub fn text_tokenizer(&self) -> TextTokenizer {
        self.tokenizer.text()
    }

    /// Threads that score.
    pub fn replicas(&self) -> usize {
        self.replicas
    }

    /// Tokens of a query and a passage together, special tokens included; what is longer is cut, or read in windows.
    pub fn tokens_max(&self) -> usize {
        self.tokens_max
    }

    /// Bytes of activations, about, while all replicas score ([`CrossEncoder::activation_bytes`]).
    pub fn activation_bytes(&self) -> u64 {
        self.encoder.activation_bytes(self.batch_tokens_max) * self.replicas as u64
    }

    /// Nominal operations of scoring pairs of these numbers of tokens: see [`CrossEncoder::operations`].
    pub fn operations(&self, tokens: impl IntoIterator<Item = usize>) -> f64 {
        self.encoder.operations(tokens)
    }
}

impl Scorer for Engine {
    fn model(&self) -> &ModelIdentity {
        &self.model
    }

    async fn score(&self, request: ScoreRequest) -> Result<SetScores, EngineError> {
        let lost = || EngineError::Lost { reason: "its threads have ended".to_owned() };
        let sets = self.sets.as_ref().ok_or_else(lost)?;
        let (reply, scores) = oneshot::channel();
        let (since, taken) = (Instant::now(), Arc::new(AtomicBool::new(false)));
        let deadline = request.deadline.filter(Deadline::binds);
        let pairs = request.passages.len();
        let incoming = Incoming { request, since, taken: Arc::clone(&taken), reply };
        let scores = async {
            sets.send(incoming).await.map_err(|_| lost())?;
            scores.await.map_err(|_| lost())?
        };
        let Some(deadline) = deadline else { return scores.await };
        let mut scores = std::pin::pin!(scores);
        tokio::select! {
            biased;
            scores = scores.as_mut() => return scores,
            () = tokio::time::sleep_until(deadline.at.into()) => {}
        }
        if taken.load(Ordering::Acquire) {
            return scores.await; // The dispatcher answers by the deadline.
        }
        // Still in line before the tokenizers; they pass over a set that nobody waits for.
        let pairs = (0..pairs).map(|_| PairScore::late()).collect();
        let (queue, score) = (since.elapsed(), Default::default());
        Ok(SetScores { query_truncated: false, pairs, queue, score })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.sets = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so; there is nothing to add while going down.
            let _panicked = thread.join();
        }
    }
}

// === impl Replicas ===

impl Replicas {
    /// Starts the replicas and waits until each has scored a batch.
    fn start(
        self,
        batches: &Receiver<Vec<Keyed>>,
        events: &Sender<Event>,
    ) -> Result<Vec<JoinHandle<()>>, StartError> {
        let (into_warm, warm) = bounded(self.count);
        let mut threads = Vec::with_capacity(self.count);
        for index in 0..self.count {
            let (batches, events) = (batches.clone(), events.clone());
            let into_warm = into_warm.clone();
            let (encoder, cores) = (self.encoder.clone(), self.pinned_to.clone());
            let (longest, batch) = (self.tokens_max, self.batch_tokens_max.max(self.tokens_max));
            threads.push(spawn(format!("replica-{index}"), move || {
                // Before anything is allocated, so that memory is near the CPU that uses it.
                let pinned = cores.is_none_or(|cores| cores.pin(index));
                let mut replica = Replica::new(encoder, batch);
                let (ids, types) = (vec![0; longest], vec![0; longest]);
                let outcome = replica.score(std::iter::once((&ids[..], &types[..])));
                let failed = outcome.is_err();
                if into_warm.send(outcome.map(|_| Warm { pinned })).is_ok() && !failed {
                    replica.run(batches, events);
                }
            })?);
        }
        let mut pinned = true;
        for _ in 0..self.count {
            let outcome = warm.recv().unwrap_or_else(|_| Err("a replica ended early".to_owned()));
            pinned &= outcome.map_err(|reason| StartError::WarmUp { reason })?.pinned;
        }
        if !pinned {
            tracing::warn!("engine.pin_threads has no effect: this system does not pin threads");
        }
        Ok(threads)
    }
}

fn sizes(settings: &Settings, cores: &Cores) -> Sizes {
    let (replicas, batch_tokens_max) = match settings.backend {
        Backend::Flex | Backend::NdArray => (cores.usable(), CPU_BATCH_TOKENS),
        Backend::Wgpu => (1, GPU_BATCH_TOKENS),
    };
    let replicas = settings.replicas.unwrap_or(replicas);
    Sizes {
        replicas,
        // One batch under way and one ready for each replica: none ever waits for the dispatcher.
        ahead_max: 2 * replicas,
        batch_tokens_max: settings.packer.batch_tokens_max.unwrap_or(batch_tokens_max),
        queue_tokens_max: settings.packer.queue_tokens_max,
        cache_pairs_max: settings.cache_pairs_max,
    }
}

fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    Builder::new().name(name).spawn(body).map_err(StartError::Thread)
}

/// A model may be shorter than the configuration knows: the query then gets a quarter of it.
fn query_tokens_max(configured: usize, tokens_max: usize) -> usize {
    if configured <= tokens_max / 2 {
        return configured;
    }
    let lowered = tokens_max / 4;
    tracing::warn!(configured, tokens_max, lowered, "model.query_tokens_max is lowered");
    lowered
}
