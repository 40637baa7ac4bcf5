use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use config::{Map, Value, ValueKind};

use super::layers::{self, DEFAULTS_NAME, Findings, Layer};
use super::problem::{Errors, Problem};
use super::{Config, Reranking, Streaming, effective, keys, raw, secret, validate};
use crate::hub::BUNDLED;

/// The origin of a model that the command means where nobody names one.
const COMMANDS_NAME: &str = "where no model is named";

/// Where the configuration comes from. Later ones override earlier ones.
#[derive(Clone, Default)]
pub struct Sources {
    /// The `model.id` that a command means where nobody names a model; that of default.toml where absent.
    pub default_model: Option<&'static str>,
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Environment variables, see [`environment`]. One that nearly begins with `CROSSRANK__` is a
    /// problem; all others are not ours and not looked at.
    pub environment: BTreeMap<String, String>,
    /// What the command line says: dotted key, value, and the flag's name for messages.
    pub flags: Vec<(String, String, &'static str)>,
}

/// The merged layers, each value sound on its own; not yet checked against each other.
pub struct Raw {
    pub(super) values: raw::Values,
    /// All keys that are set, with secrets already left out.
    pub(super) settings: BTreeMap<String, Setting>,
    pub(super) problems: Vec<Problem>,
    pub(super) unsound: BTreeSet<String>,
}

/// A value to be shown, and where it comes from.
pub(super) struct Setting {
    pub(super) shown: ValueKind,
    pub(super) origin: String,
}

/// Our variables among those of this process, and those whose names are nearly ours. One that is
/// not UTF-8 is taken with substitutes, which [`load`] then reports.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .map(|(name, value)| {
            (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
        })
        .filter(|(name, _)| layers::is_ours(name))
        .collect()
}

/// Reads and merges all layers.
///
/// Unknown keys and values of the wrong type are kept in [`Raw`] and reported by
/// [`Raw::reranking`] and [`Raw::worker`], together with contradictions between keys.
///
/// # Errors
/// Where the file cannot be read or is not TOML: what it was to say is then unknown, and nothing
/// can be checked against it. Problems of the other layers are reported beside this one.
pub fn load(sources: Sources) -> Result<Raw, Errors> {
    let mut findings = Findings::default();
    let defaults = layers::defaults(&mut findings);
    let command =
        sources.default_model.map(|id| ("model.id".to_owned(), id.to_owned(), COMMANDS_NAME));
    let command = layers::flags(command.as_slice(), &mut findings);
    let file = match &sources.file {
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => layers::file(&path.display().to_string(), &text, &mut findings),
            Err(error) => {
                findings.problems.push(unreadable(path.display().to_string(), &error));
                None
            }
        },
        None => Some(Layer::default()),
    };
    let environment = layers::environment(&sources.environment, &mut findings);
    let flags = layers::flags(&sources.flags, &mut findings);
    let Some(file) = file else {
        return Err(Errors(findings.problems));
    };
    let [defaults, command, file, environment, flags] =
        layers::one_model([defaults, command, file, environment, flags]);
    let merged = config::Config::builder()
        .add_source(defaults)
        .add_source(command)
        .add_source(file)
        .add_source(environment)
        .add_source(flags)
        .build()
        .expect("layers are tables of checked values, which always merge");
    let mut settings = BTreeMap::new();
    if let ValueKind::Table(table) = &merged.cache.kind {
        flatten("", table, &mut settings);
    }
    let mut values: raw::Values = merged
        .try_deserialize()
        .expect("every key fits its field: the tests of this room hold them together");
    query_gives_way(&mut values, &mut settings);
    precision_gives_way(&mut values, &mut settings);
    Ok(Raw { values, settings, problems: findings.problems, unsound: findings.unsound })
}

// === impl Raw ===

impl Raw {
    /// The settings that turn a candidate set into an answer, for use without Kafka.
    ///
    /// # Errors
    /// With everything that is wrong in any layer, and the contradictions between these settings.
    pub fn reranking(&self) -> Result<Reranking, Errors> {
        validate::reranking(self)
    }

    /// The settings of a worker.
    ///
    /// # Errors
    /// With everything that is wrong in any layer, and all contradictions.
    pub fn worker(&self) -> Result<Config, Errors> {
        validate::worker(self)
    }

    /// The settings of a worker but for its model, for what only moves records.
    ///
    /// # Errors
    /// With everything that is wrong in any layer, and the contradictions between these settings.
    pub fn streaming(&self) -> Result<Streaming, Errors> {
        validate::streaming(self)
    }

    /// Whether `kafka.brokers` has a value, without which there is no worker.
    pub fn names_brokers(&self) -> bool {
        self.values.kafka.brokers.is_some()
    }

    /// What is in force, as TOML with the origin of each value. Secrets are shown as `***`.
    pub fn effective(&self) -> String {
        effective::toml(&self.settings)
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.effective())
    }
}

// === impl Sources ===

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names only: a value may be a secret.
        f.debug_struct("Sources")
            .field("default_model", &self.default_model)
            .field("file", &self.file)
            .field("environment", &self.environment.keys())
            .field("flags", &self.flags.iter().map(|(_, _, flag)| flag).collect::<Vec<_>>())
            .finish()
    }
}

fn unreadable(path: String, error: &std::io::Error) -> Problem {
    Problem {
        key: String::new(),
        origin: path,
        wrong: format!("the configuration file cannot be read: {error}"),
        remedy: "give the path of a readable TOML file".to_owned(),
    }
}

/// A default that was made for a longer pair gives way to a shorter one.
fn query_gives_way(values: &mut raw::Values, settings: &mut BTreeMap<String, Setting>) {
    let model = &mut values.model;
    let (Some(pair), Some(query)) = (model.tokens_max, settings.get_mut("model.query_tokens_max"))
    else {
        return;
    };
    if query.origin == DEFAULTS_NAME && model.query_tokens_max > pair / 4 {
        model.query_tokens_max = pair / 4;
        query.shown = ValueKind::from(model.query_tokens_max as u64);
        query.origin = "a quarter of model.tokens_max".to_owned();
    }
}

/// The default precision is that of float weights; the bundled model has others.
fn precision_gives_way(values: &mut raw::Values, settings: &mut BTreeMap<String, Setting>) {
    let model = &mut values.model;
    let (Some(BUNDLED), Some(precision)) =
        (model.id.as_deref(), settings.get_mut("model.precision"))
    else {
        return;
    };
    if precision.origin == DEFAULTS_NAME {
        model.precision = raw::Precision::Int8;
        precision.shown = ValueKind::from("int8");
        precision.origin = "that of the bundled model".to_owned();
    }
}

fn flatten(section: &str, table: &Map<String, Value>, settings: &mut BTreeMap<String, Setting>) {
    for (key, value) in table {
        let name = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
        if let ValueKind::Table(below) = &value.kind {
            flatten(&name, below, settings);
            continue;
        }
        let secret = match keys::below(&name, keys::CLIENT) {
            Some(property) => secret::is_secret(property),
            None => keys::find(&name).is_some_and(|key| matches!(key.kind, keys::Kind::Secret)),
        };
        let shown = if secret { ValueKind::String("***".to_owned()) } else { value.kind.clone() };
        let origin = value.origin().unwrap_or(DEFAULTS_NAME).to_owned();
        settings.insert(name, Setting { shown, origin });
    }
}
