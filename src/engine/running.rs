use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use crossbeam_channel::bounded;
use crossrank_model::{CrossEncoder, Device, PackedBatch, PairTokenizer, TokenLimits};
use tokio::sync::oneshot;

use super::dispatcher::{Channels, Dispatcher};
use super::tokenizers::{self, Incoming};
use super::{
    Backend, EngineError, ModelIdentity, ScoreRequest, Scorer, SetScores, Settings, StartError,
    replica,
};

/// Tokens of a batch that stay in a core's cache through all layers.
const CPU_BATCH_TOKENS: usize = 512;
/// Tokens of a batch that keep a GPU busy.
const GPU_BATCH_TOKENS: usize = 16384;
/// Sets that stand in line before they are tokenised. Beyond what callers keep in flight, so that sets are
/// served in the order of the calls; callers that wait for a place in a line are not served in order.
const SETS_WAITING_MAX: usize = 1024;
/// More tokenizers than this do not help: one keeps several replicas supplied.
const TOKENIZERS_MAX: usize = 4;

/// A running engine: a model, its threads, and the way in. Dropping it ends the threads.
pub struct Engine {
    model: ModelIdentity,
    encoder: CrossEncoder,
    replicas: usize,
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
    pub fn start(settings: &Settings) -> Result<Self, StartError> {
        let device = Device::open_with(settings.backend, settings.kernels).map_err(StartError::Device)?;
        let encoder = CrossEncoder::load(&settings.model, &device, settings.precision)
            .map_err(StartError::Model)?;
        let available = encoder.tokens_max();
        let tokens_max = settings.tokens_max.unwrap_or(available);
        if tokens_max > available {
            return Err(StartError::TokensMax { asked: tokens_max, available });
        }
        let query_tokens_max = query_tokens_max(settings.query_tokens_max, tokens_max);
        let limits = TokenLimits { tokens_max, query_tokens_max };
        let tokenizer =
            PairTokenizer::load(&settings.model, limits).map_err(StartError::Tokenizer)?;
        let model = ModelIdentity {
            id: encoder.name().to_owned(),
            revision: encoder.revision().to_owned(),
            precision: settings.precision.to_string(),
            backend: settings.backend.to_string(),
        };
        let batch_tokens_max = settings.packer.batch_tokens_max.unwrap_or(match settings.backend {
            Backend::Flex | Backend::NdArray => CPU_BATCH_TOKENS,
            Backend::Wgpu => GPU_BATCH_TOKENS,
        });
        let replicas = settings.replicas.unwrap_or(match settings.backend {
            Backend::Flex | Backend::NdArray => cores(),
            Backend::Wgpu => 1,
        });
        let tokenizers = settings.tokenizers.unwrap_or(replicas.min(TOKENIZERS_MAX));
        tracing::info!(
            model = model.id,
            revision = model.revision,
            device = device.name(),
            replicas,
            tokenizers,
            batch_tokens_max,
            tokens_max,
            "model loaded"
        );

        let (into_sets, sets) = async_channel::bounded(SETS_WAITING_MAX);
        let (into_tokenized, tokenized) = bounded(tokenizers);
        // One batch under way and one ready for each replica: none ever waits for the dispatcher.
        let ahead_max = 2 * replicas;
        let (into_batches, batches) = bounded(ahead_max);
        let (into_events, events) = bounded(ahead_max);
        let mut threads = start_replicas(replicas, &encoder, tokens_max, &batches, &into_events)?;
        let channels = Channels { sets: tokenized, events, batches: into_batches };
        let dispatcher = Dispatcher::new(
            channels,
            batch_tokens_max,
            settings.packer.queue_tokens_max,
            ahead_max,
        );
        threads.push(spawn("dispatcher".to_owned(), move || dispatcher.run())?);
        let more = tokenizers::start(tokenizers, &tokenizer, &sets, &into_tokenized);
        threads.extend(more.map_err(StartError::Thread)?);
        Ok(Self { model, encoder, replicas, sets: Some(into_sets), threads })
    }

    /// What computes.
    pub fn device(&self) -> &Device {
        self.encoder.device()
    }

    /// Threads that score.
    pub fn replicas(&self) -> usize {
        self.replicas
    }

    /// Nominal operations of scoring pairs of these numbers of tokens: see
    /// [`CrossEncoder::operations`].
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
        let incoming = Incoming { request, since: Instant::now(), reply };
        sets.send(incoming).await.map_err(|_| lost())?;
        scores.await.map_err(|_| lost())?
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

/// Starts the replicas and waits until each has scored a batch.
fn start_replicas(
    count: usize,
    encoder: &CrossEncoder,
    tokens_max: usize,
    batches: &crossbeam_channel::Receiver<Vec<super::packer::Waiting>>,
    events: &crossbeam_channel::Sender<replica::Event>,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let (into_warm, warm) = bounded(count);
    let mut threads = Vec::with_capacity(count);
    for index in 0..count {
        let (encoder, batches, events) = (encoder.clone(), batches.clone(), events.clone());
        let into_warm = into_warm.clone();
        threads.push(spawn(format!("replica-{index}"), move || {
            let mut batch = PackedBatch::with_capacity(tokens_max);
            batch.push(&vec![0; tokens_max], &vec![0; tokens_max]);
            let outcome = replica::score(&encoder, || batch).map(|_| ());
            let failed = outcome.is_err();
            if into_warm.send(outcome).is_ok() && !failed {
                replica::run(encoder, batches, events);
            }
        })?);
    }
    for _ in 0..count {
        let outcome = warm.recv().unwrap_or_else(|_| Err("a replica ended early".to_owned()));
        outcome.map_err(|reason| StartError::WarmUp { reason })?;
    }
    Ok(threads)
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

/// Cores this process may use; one where the system does not say.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
