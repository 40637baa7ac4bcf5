//! What reranking does for you: rankings against judgements.

mod arguments;
mod contender;
mod given;
mod html;
mod json;
mod outputs;
mod report;
mod sets;
mod table;

use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use tokio::task::{JoinError, spawn_blocking};

pub(super) use self::arguments::Arguments;
use self::given::Given;
use self::outputs::Outputs;
use self::report::{Report, Scoring, System};
use self::sets::Sets;
use super::{CliError, ScorerArguments, progress, scoring, start};
use crate::config::Reranking;
use crate::engine::Scorer;
use crate::evaluation::{self, Run};
use crate::telemetry::{self, Logs};

/// A model that is to score.
struct Planned {
    /// What it is called in tables.
    name: String,
    /// What was asked for, where the name does not say.
    origin: Option<String>,
    settings: Reranking,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    // What is wrong with a second model is told before the first one is loaded.
    let planned = planned(&arguments)?;
    let settings = match planned.first() {
        Some(first) => first.settings.clone(),
        None => arguments.config.load_or_bundled(&arguments.model.clone().into())?.reranking()?,
    };
    let logs = telemetry::init(&settings.telemetry).map_err(CliError::Telemetry)?;
    // Told before minutes are spent on scoring.
    let outputs = Outputs::create(&arguments)?;
    let (rules, run_names) = (arguments.rules(), arguments.run_in.clone());
    let reading = spawn_blocking(move || Given::read(&arguments, &settings.limits));
    let Given { sets, qrels, runs } = reading.await.map_err(panicked)??;

    let mut systems: Vec<System> = sets.iter().map(System::first_stage).collect();
    systems.extend(run_names.iter().zip(runs).map(|(path, run)| System::read(path, run)));
    if let Some(sets) = &sets {
        for planned in planned {
            systems.push(scored(planned, sets, &logs).await?);
        }
    }
    let runs: Vec<&Run> = systems.iter().map(|system| &system.run).collect();
    let evaluation = evaluation::evaluate(&qrels, &runs, &rules);
    let report = Report::new(rules, systems, evaluation);
    outputs.write(&report, &qrels, sets.as_ref())?;
    io::stdout().write_all(table::table(&report).as_bytes()).map_err(CliError::Write)
}

/// The models that score, none where runs are read.
fn planned(arguments: &Arguments) -> Result<Vec<Planned>, CliError> {
    let plan = |name: &str, origin: Option<String>, scorer: ScorerArguments| {
        let settings = arguments.config.load(&scorer.into())?.reranking()?;
        Ok(Planned { name: name.to_owned(), origin, settings })
    };
    if !arguments.run_in.is_empty() {
        return Ok(Vec::new());
    }
    if arguments.compare.is_empty() {
        return Ok(vec![plan("reranked", None, arguments.model.clone())?]);
    }
    let names = ["A", "B"].into_iter().zip(&arguments.compare);
    let contenders = names.map(|(name, contender)| {
        plan(name, Some(contender.to_string()), contender.arguments(&arguments.model))
    });
    contenders.collect()
}

/// Loads a model, and scores all sets with it.
async fn scored(planned: Planned, sets: &Sets, logs: &Logs) -> Result<System, CliError> {
    let Planned { name, origin, settings } = planned;
    let engine = start::engine(&settings, logs).await?;
    let pairs = sets.pairs();
    let bar = progress::bar(Some(pairs as u64));
    bar.set_message(name.clone());
    logs.keep_clear_of(bar.clone());
    let since = Instant::now();
    let scores = scoring::score_all(&engine, sets.requests(), &bar).await?;
    let seconds = since.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let model = engine.model();
    let scoring = Scoring {
        model: model.id.clone(),
        revision: model.revision.clone(),
        label: model.label.clone(),
        precision: model.precision.clone(),
        backend: model.backend.clone(),
        device: engine.device().name(),
        threads: engine.replicas(),
        max_length: engine.tokens_max(),
        pairs,
        truncated: sets.truncated(&scores),
        tokens: scores.iter().flat_map(|set| &set.pairs).map(|pair| pair.tokens).sum(),
        seconds,
    };
    let run = sets.reranked(&scores);
    // Dropping it waits for its threads.
    spawn_blocking(move || drop(engine)).await.map_err(panicked)?;
    Ok(System { name, origin, scoring: Some(scoring), run })
}

fn panicked(error: JoinError) -> CliError {
    CliError::Panicked { reason: error.to_string() }
}

// === impl System ===

impl System {
    fn first_stage(sets: &Sets) -> Self {
        let run = sets.first_stage.clone();
        Self { name: "first stage".to_owned(), origin: None, scoring: None, run }
    }

    /// A run file, called after it.
    fn read(path: &Path, run: Run) -> Self {
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self { name, origin: Some(path.display().to_string()), scoring: None, run }
    }
}
