use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use crossrank_model::{Backend, CrossEncoder, Device, ModelFile, Precision, shown};
use serde_json::Value;

use super::speed::{self, Speed};
use super::{megabytes, print};
use crate::cli::CliError;
use crate::engine::{Memory, Model};
use crate::hub::{
    self, BUNDLED, Demand, Hub, HubError, ModelId, Revision, SelfTest, Settings, Snapshot, Weights,
};

/// As its card says, which is not inside.
const BUNDLED_LICENCE: &str = "Apache-2.0";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A model of the cache, or a directory; a directory that exists wins. `bundled` is the one that ships inside.
    #[arg(value_name = "ID|DIR|bundled")]
    model: String,
    /// Branch, tag or commit of a model of the cache; main where left out.
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let model = arguments.model().map_err(CliError::Hub)?;
    let tried = tried(&model).await?;
    print(&described(&model, &tried).map_err(CliError::Hub)?)
}

/// What running the model comes to.
struct Tried {
    /// Whether it loads, and how long its pairs may be.
    runs: String,
    /// One for each precision that it runs in.
    speeds: Vec<Speed>,
}

// === impl Arguments ===

impl Arguments {
    fn model(&self) -> Result<Model, HubError> {
        if self.model == BUNDLED {
            return hub::bundled();
        }
        let directory = PathBuf::from(&self.model);
        if directory.is_dir() {
            return Ok(Snapshot::of(&directory).map_or_else(|| Model::at(directory), Model::from));
        }
        let id = ModelId::new(&self.model)?;
        let revision = self.revision.as_deref().map(Revision::new).transpose()?;
        let hub = Hub::new(Settings::from_environment()?);
        hub.cached(&id, revision.as_ref()).map(Model::from)
    }
}

fn described(model: &Model, tried: &Tried) -> Result<String, HubError> {
    let directory = &model.directory;
    // Of the hash of what is here, the rest follows.
    let sha256 = hub::sha256(directory)?;
    let config = json(directory, "config.json");
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a text does not fail.
        let _written = writeln!(out, "{name:<13}{value}");
    };
    if let Some(name) = &model.name {
        line("model", format!("{} at {}", name.id, name.revision));
    }
    line("directory", shown(directory).to_string());
    line("architecture", texts(&config["architectures"]));
    line("labels", labels(directory));
    line("runs here", tried.runs.clone());
    if let Some(speed) = speed(&tried.speeds) {
        line("speed", speed);
    }
    match Weights::read(directory) {
        Ok(weights) => {
            let millions = weights.parameters as f64 / 1e6;
            line("weights", format!("{}, {millions:.1} million", weights.formats.join(" and ")));
            let [f32, half, int8] =
                [weights.f32_bytes(), weights.half_bytes(), weights.int8_bytes()].map(megabytes);
            // What is int8 in the file is read as nothing else.
            let is_int8 = weights.formats.iter().any(|format| format == "I8");
            line(
                "memory",
                match is_int8 {
                    true => format!("{int8} of weights with int8, as they are stored"),
                    false => format!(
                        "{f32} of weights with f32, about {half} with f16 or bf16, {int8} with int8"
                    ),
                },
            );
            if let Some(Speed { activation_bytes, .. }) = tried.speeds.first() {
                let activations = megabytes(*activation_bytes);
                line("", format!("about {activations} of activations beside them"));
            }
            if let Some(Memory { total, free }) = Memory::of_this_process() {
                line("", format!("{} of {} are free here", megabytes(free), megabytes(total)));
            }
        }
        Err(error) => line("weights", format!("unreadable: {error}")),
    }
    let licence = licence(directory).or_else(|| config["license"].as_str().map(str::to_owned));
    line("licence", licence.unwrap_or_else(|| "not stated".to_owned()));
    line("sha256", sha256);
    line("self-test", self_test(model));
    Ok(out)
}

/// `Null` where there is no such thing.
fn json(directory: &Path, name: &str) -> Value {
    let text = ModelFile::read_whole(directory, name).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn texts(value: &Value) -> String {
    let texts: Vec<&str> =
        value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if texts.is_empty() { "not stated".to_owned() } else { texts.join(", ") }
}

/// In the order of their numbers; where there are several, one must be chosen to rank by.
fn labels(directory: &Path) -> String {
    match crossrank_model::labels(directory) {
        Ok(names) if names.len() > 1 => {
            let count = names.len();
            format!("{count}: {}; model.label (--label) chooses one to rank by", names.join(", "))
        }
        Ok(names) => format!("1: {}", names.join(", ")),
        // Why not stands below.
        Err(_) => "unknown".to_owned(),
    }
}

/// Loads the model on the CPU, and runs it for a moment in each precision that its weights and memory allow.
async fn tried(model: &Model) -> Result<Tried, CliError> {
    let refused = |why: String| Ok(Tried { runs: format!("no: {why}"), speeds: Vec::new() });
    let precisions = match fitting(&model.directory) {
        Ok(precisions) => precisions,
        Err(error) => return refused(error.to_string()),
    };
    // Whichever label is chosen later: the first is always there.
    let model = Model { label: Some("0".to_owned()), ..model.clone() };
    let (directory, asked) = (model.directory.clone(), precisions.clone());
    let loading = tokio::task::spawn_blocking(move || tokens_max(&directory, &asked));
    let loaded = loading.await.map_err(|error| CliError::Panicked { reason: error.to_string() })?;
    let tokens_max = match loaded {
        Ok(tokens_max) => tokens_max,
        Err(why) => return refused(why),
    };
    let mut speeds = Vec::new();
    for precision in precisions {
        // Weights that are int8 already do not load as float32.
        speeds.extend(speed::measure(model.clone(), precision, tokens_max).await.ok());
    }
    Ok(Tried { runs: format!("yes, pairs of {tokens_max} tokens at most"), speeds })
}

/// The precisions in which the weights have room in memory; at least one.
fn fitting(directory: &Path) -> Result<Vec<Precision>, HubError> {
    let all = [Precision::F32, Precision::Int8];
    let Some(memory) = Memory::of_this_process() else { return Ok(all.to_vec()) };
    let check = |precision| Demand { precision, memory }.check(directory);
    let fitting: Vec<_> = all.into_iter().filter(|&precision| check(precision).is_ok()).collect();
    match fitting.is_empty() {
        true => check(Precision::Int8).map(|()| fitting),
        false => Ok(fitting),
    }
}

fn speed(speeds: &[Speed]) -> Option<String> {
    let &Speed { replicas, pair_tokens, .. } = speeds.first()?;
    let each: Vec<String> = speeds
        .iter()
        .map(|speed| format!("{} tokens/s with {}", rounded(speed.tokens_per_s), speed.precision))
        .collect();
    let each = each.join(", ");
    Some(format!("about {each} (pairs of {pair_tokens} tokens, flex, replicas: {replicas})"))
}

/// To two digits: a run of a moment tells no more.
fn rounded(number: f64) -> String {
    let digits = number.max(1.0).log10().floor() as i32;
    let step = 10_f64.powi((digits - 1).max(0));
    format!("{:.0}", (number / step).round() * step)
}

/// The longest pair that the model takes, if it loads on a CPU in one of these precisions, or why it does not.
fn tokens_max(directory: &Path, precisions: &[Precision]) -> Result<usize, String> {
    let told = |error: &dyn std::error::Error| crate::error_text(error);
    let device = Device::open(Backend::Flex).map_err(|error| told(&error))?;
    let mut refusal = String::new();
    for &precision in precisions {
        match CrossEncoder::load_label(directory, &device, precision, Some("0")) {
            Ok(encoder) => return Ok(encoder.tokens_max()),
            Err(error) if refusal.is_empty() => refusal = told(&error),
            Err(_as_the_first) => {}
        }
    }
    Err(refusal)
}

fn self_test(model: &Model) -> String {
    let published = SelfTest { enabled: true, expected: None, tolerance: None };
    match published.expected(model) {
        Ok(Some(expected)) => {
            let mut sources: Vec<&str> =
                expected.sets.iter().map(|set| set.source.as_str()).collect();
            sources.dedup();
            format!("{} published scores, from {}", expected.pairs(), sources.join(" and "))
        }
        _ => "no published scores; `--expected FILE` has some".to_owned(),
    }
}

/// What the front matter of the model card says.
fn licence(directory: &Path) -> Option<String> {
    if crossrank_model::bundled() == Some(directory) {
        return Some(BUNDLED_LICENCE.to_owned());
    }
    let card = String::from_utf8(ModelFile::read_whole(directory, "README.md").ok()?).ok()?;
    let matter = card.strip_prefix("---")?.split("\n---").next()?.to_owned();
    let named = matter.lines().find_map(|line| line.strip_prefix("license:"))?;
    let licence = named.trim().trim_matches(['"', '\'']);
    (!licence.is_empty()).then(|| licence.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_told_in_two_digits() {
        let told = [0.4, 7.0, 43.0, 123.0, 98_765.0, 1_249_000.0].map(rounded);
        assert_eq!(told, ["0", "7", "43", "120", "99000", "1200000"]);
    }

    #[test]
    fn the_licence_is_that_of_the_cards_front_matter() {
        let folder = tempfile::tempdir().unwrap();
        let of = |card: &str| {
            std::fs::write(folder.path().join("README.md"), card).unwrap();
            licence(folder.path())
        };
        assert_eq!(of("---\nlicense: apache-2.0\n---\n# X").unwrap(), "apache-2.0");
        assert_eq!(of("---\ntags:\n- x\nlicense: 'mit'\n---\n").unwrap(), "mit");
        assert_eq!(of("---\ntags: x\n---\nlicense: mit\n"), None);
        assert_eq!(of("# license: mit\n"), None);
    }
}
