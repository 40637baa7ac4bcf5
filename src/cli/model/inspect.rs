use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use crossrank_model::{Backend, CrossEncoder, Device, Precision};
use serde_json::Value;

use super::weights::Weights;
use super::{megabytes, print};
use crate::cli::CliError;
use crate::engine::Model;
use crate::hub::{self, Hub, HubError, ModelId, Revision, SelfTest, Settings, Snapshot};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A model of the cache, or a directory; a directory that exists wins.
    #[arg(value_name = "ID|DIR")]
    model: String,
    /// Branch, tag or commit of a model of the cache; main where left out.
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), CliError> {
    let model = arguments.model().map_err(CliError::Hub)?;
    print(&described(&model).map_err(CliError::Hub)?)
}

// === impl Arguments ===

impl Arguments {
    fn model(&self) -> Result<Model, HubError> {
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

fn described(model: &Model) -> Result<String, HubError> {
    let directory = &model.directory;
    // Of the hash of what is here, the rest follows.
    let sha256 = hub::sha256(directory)?;
    let config = json(&directory.join("config.json"));
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a text does not fail.
        let _written = writeln!(out, "{name:<13}{value}");
    };
    if let Some(name) = &model.name {
        line("model", format!("{} at {}", name.id, name.revision));
    }
    line("directory", directory.display().to_string());
    line("architecture", texts(&config["architectures"]));
    line("labels", labels(&config));
    line("runs here", runs(directory));
    match Weights::read(directory) {
        Ok(weights) => {
            let millions = weights.parameters as f64 / 1e6;
            line("weights", format!("{}, {millions:.1} million", weights.formats.join(" and ")));
            let [f32, half, int8] =
                [weights.f32_bytes(), weights.half_bytes(), weights.int8_bytes()].map(megabytes);
            let all = format!(
                "{f32} of weights with f32, about {half} with f16 or bf16, {int8} with int8"
            );
            line("memory", all);
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
fn json(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn texts(value: &Value) -> String {
    let texts: Vec<&str> =
        value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if texts.is_empty() { "not stated".to_owned() } else { texts.join(", ") }
}

fn labels(config: &Value) -> String {
    match config["id2label"].as_object() {
        Some(labels) => {
            let names: Vec<&str> = labels.values().filter_map(Value::as_str).collect();
            format!("{}: {}", names.len(), names.join(", "))
        }
        None => "not stated".to_owned(),
    }
}

/// Whether the model loads on a CPU, and how long its pairs may be.
fn runs(directory: &Path) -> String {
    let told = |error: &dyn std::error::Error| format!("no: {}", crate::error_text(error));
    let device = match Device::open(Backend::Flex) {
        Ok(device) => device,
        Err(error) => return told(&error),
    };
    // Weights that are int8 already do not load as float32.
    let loaded = CrossEncoder::load(directory, &device, Precision::F32).or_else(|error| {
        CrossEncoder::load(directory, &device, Precision::Int8).map_err(|_| error)
    });
    match loaded {
        Ok(encoder) => format!("yes, pairs of {} tokens at most", encoder.tokens_max()),
        Err(error) => told(&error),
    }
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
    let card = std::fs::read_to_string(directory.join("README.md")).ok()?;
    let matter = card.strip_prefix("---")?.split("\n---").next()?.to_owned();
    let named = matter.lines().find_map(|line| line.strip_prefix("license:"))?;
    let licence = named.trim().trim_matches(['"', '\'']);
    (!licence.is_empty()).then(|| licence.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
