use crate::cli::{CliError, progress};
use crate::engine::{self, Backend, Memory, Model, Precision, Scorer};
use crate::hub::{self, Choice, Demand, Proof, Source};
use crate::telemetry::Logs;

/// The chosen model on this machine, to be run as `engine` says, with a progress bar where it is fetched.
pub(super) async fn obtain(
    choice: Choice,
    engine: &engine::Settings,
    logs: &Logs,
) -> Result<Model, CliError> {
    let demand = demand(engine);
    let bar = progress::download();
    logs.keep_clear_of(bar.bar().clone());
    if choice.source == Source::Bundled {
        tracing::info!(
            "the small model that ships inside is used; --model, model.id or model.path names another"
        );
    }
    let obtained = tokio::task::spawn_blocking(move || {
        let obtained = choice.obtain(demand, &bar);
        bar.bar().finish_and_clear();
        obtained
    });
    let obtained = obtained.await;
    let obtained = obtained.map_err(|error| CliError::Panicked { reason: error.to_string() })?;
    let model = obtained.map_err(CliError::Hub)?;
    if let Some(name) = &model.name {
        let (directory, revision) = (model.directory.display(), name.revision.as_str());
        tracing::info!(model = name.id, revision, %directory, "model found");
    }
    Ok(model)
}

/// `None` where weights are in a GPU's memory, or the system does not say what there is.
fn demand(engine: &engine::Settings) -> Option<Demand> {
    match engine.backend {
        Backend::Flex | Backend::NdArray => {
            let memory = Memory::of_this_process()?;
            Some(Demand { precision: engine.precision, memory })
        }
        Backend::Wgpu => None,
    }
}

/// Compares the model's scores with those that it is known to give. `None` where there are none, or they are not to
/// be compared.
pub(super) async fn prove(
    scorer: &impl Scorer,
    model: &Model,
    choice: &Choice,
    precision: Precision,
) -> Result<Option<Proof>, CliError> {
    let expected = choice.self_test.expected(model).map_err(CliError::Expected)?;
    let Some(expected) = expected else { return Ok(None) };
    let tolerance = choice.self_test.tolerance.unwrap_or_else(|| hub::tolerance(precision));
    let proof = hub::prove(scorer, &expected, tolerance).await.map_err(CliError::Proof)?;
    tracing::info!(
        difference = proof.difference,
        tolerance,
        pairs = proof.pairs,
        "self-test passed: {proof}"
    );
    Ok(Some(proof))
}
