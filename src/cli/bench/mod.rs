//! Pairs per second of a model on this hardware, and how long a set takes.

mod arguments;
mod latency;
mod report;
mod scores;
mod sets;
mod throughput;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

pub(super) use self::arguments::Arguments;
use self::report::Report;
use self::sets::Sets;
use super::file::Created;
use super::input::Inputs;
use super::{CliError, models, progress};
use crate::engine::{self, Engine};
use crate::telemetry;

/// A started engine, and how long its start took.
struct Started {
    engine: Arc<Engine>,
    seconds: f64,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let settings = arguments.settings()?;
    let logs = telemetry::init(&settings.telemetry).map_err(CliError::Telemetry)?;
    let inputs = Inputs::open(std::slice::from_ref(&arguments.input))?;
    // Told before a model is loaded and minutes are measured.
    let scores = arguments.scores.as_deref().map(Created::new).transpose()?;
    let limits = settings.limits;
    let reading = tokio::task::spawn_blocking(move || Sets::read(inputs, &limits, arguments.limit));
    let sets = reading.await.map_err(panicked)??;
    if sets.pairs() == 0 {
        return Err(CliError::NoPairs { path: arguments.input.display().to_string() });
    }
    let engine_settings = for_bench(settings.engine);
    let model = models::obtain(settings.model.clone(), &engine_settings, &logs).await?;
    let Started { engine, seconds: start_seconds } =
        start(model.clone(), engine_settings.clone()).await?;
    models::prove(engine.as_ref(), &model, &settings.model, engine_settings.precision).await?;

    let bar = progress::bar(Some(0));
    logs.keep_clear_of(bar.clone());
    let throughput = throughput::measure(&engine, &sets, arguments.repeat, &bar).await?;
    let latency = latency::measure(&engine, &sets, &bar).await?;
    bar.set_message("peak of this machine");
    let measured = Arc::clone(&engine);
    let peak = move || measured.device().peak_ops_per_s(engine_settings.precision);
    let core_peak = tokio::task::spawn_blocking(peak).await.map_err(panicked)?;
    bar.finish_and_clear();

    if let Some(scores) = scores {
        scores.write(|out| scores::write(out, &sets, &throughput.scores))?;
    }
    let report = Report::new(report::Measured {
        engine: &engine,
        tokens_max: engine_settings.tokens_max,
        start_seconds,
        sets: &sets,
        throughput: &throughput,
        latency,
        core_peak,
    });
    let text = if arguments.json { report.json() } else { report.table() };
    io::stdout().write_all(text.as_bytes()).map_err(CliError::Write)
}

/// The engine of a worker, except that it remembers no scores, since every pass scores the same pairs, and cuts long
/// passages, since a pair is to be one pair, here and where else it is measured.
fn for_bench(settings: engine::Settings) -> engine::Settings {
    let long_passages = engine::LongPassages::Truncate;
    engine::Settings { cache_pairs_max: 0, long_passages, ..settings }
}

async fn start(model: engine::Model, settings: engine::Settings) -> Result<Started, CliError> {
    // Reading weights and warming up block for seconds.
    let started = tokio::task::spawn_blocking(move || {
        let since = Instant::now();
        let engine = Arc::new(Engine::start(&model, &settings).map_err(CliError::Engine)?);
        Ok(Started { engine, seconds: since.elapsed().as_secs_f64() })
    });
    started.await.map_err(panicked)?
}

fn panicked(error: tokio::task::JoinError) -> CliError {
    CliError::Panicked { reason: error.to_string() }
}
