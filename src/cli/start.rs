use std::sync::Arc;

use crossrank_model::TextTokenizer;

use super::{CliError, models};
use crate::config;
use crate::context::{Assembler, TokenCounter};
use crate::engine::Engine;
use crate::hub::Proof;
use crate::telemetry::{Counts, Logs};
use crate::worker::{AnswerSettings, Reranker};

// Here, because the context knows no tokenizer, and the tokenizer no context.
impl TokenCounter for TextTokenizer {
    fn count(&self, text: &str) -> usize {
        self.count(text)
    }

    fn count_up_to(&self, text: &str, tokens_max: usize) -> usize {
        self.count_up_to(text, tokens_max)
    }

    fn adds_up(&self, separator: &str) -> bool {
        self.adds_up(separator)
    }

    fn cut<'a>(&self, text: &'a str, tokens_max: usize) -> &'a str {
        self.cut(text, tokens_max)
    }
}

/// Obtains, loads, warms and proves the model, and sets up everything that turns a set into an answer. Says
/// how the model was proven, if it could be.
pub(super) async fn reranker(
    settings: config::Reranking,
    counts: Arc<Counts>,
    logs: &Logs,
) -> Result<(Reranker<Engine>, Option<Proof>), CliError> {
    let model = models::obtain(settings.model.clone(), &settings.engine, logs).await?;
    let (choice, precision) = (settings.model.clone(), settings.engine.precision);
    let started_from = model.clone();
    // Reading weights and warming up block for seconds.
    let started = tokio::task::spawn_blocking(move || {
        let engine = Engine::start_counting(&started_from, &settings.engine, &counts)
            .map_err(CliError::Engine)?;
        let answers = AnswerSettings {
            limits: settings.limits,
            cuts: settings.cuts,
            deadlines: settings.deadlines,
            results: settings.results,
            context: assembler(&settings, &engine)?,
        };
        Ok(Reranker::new(engine, answers, counts))
    });
    let started: Result<_, CliError> =
        started.await.map_err(|error| CliError::Panicked { reason: error.to_string() })?;
    let reranker = started?;
    let proof = models::prove(reranker.scorer(), &model, &choice, precision).await?;
    Ok((reranker, proof))
}

/// Obtains, loads, warms and proves the model, to score without answers.
pub(super) async fn engine(
    settings: &config::Reranking,
    logs: &Logs,
) -> Result<Arc<Engine>, CliError> {
    let model = models::obtain(settings.model.clone(), &settings.engine, logs).await?;
    let (started_from, how) = (model.clone(), settings.engine.clone());
    // Reading weights and warming up block for seconds.
    let started = tokio::task::spawn_blocking(move || Engine::start(&started_from, &how));
    let started =
        started.await.map_err(|error| CliError::Panicked { reason: error.to_string() })?;
    let engine = Arc::new(started.map_err(CliError::Engine)?);
    models::prove(engine.as_ref(), &model, &settings.model, settings.engine.precision).await?;
    Ok(engine)
}

fn assembler(settings: &config::Reranking, engine: &Engine) -> Result<Option<Assembler>, CliError> {
    let Some(context) = &settings.context else { return Ok(None) };
    let counter = match &settings.context_tokenizer {
        Some(tokenizer) => TextTokenizer::load(tokenizer).map_err(CliError::ContextTokenizer)?,
        None => engine.text_tokenizer(),
    };
    let assembler = Assembler::new(context.clone(), Arc::new(counter));
    assembler.map(Some).map_err(CliError::Context)
}
