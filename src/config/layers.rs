//! One layer at a time: what it says is checked, key by key, before the layers are merged.

use std::collections::{BTreeMap, BTreeSet};

use config::{ConfigError, Map, Source, Value, ValueKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::given::Given;
use super::keys::{self, CLIENT};
use super::problem::Problem;
use super::secret::is_secret;
use crate::kafka::{guarded, refused};

/// What our environment variables begin with.
pub(super) const PREFIX: &str = "CROSSRANK__";
/// What follows in the names of those for [`CLIENT`].
const CLIENT_PREFIX: &str = "KAFKA__CLIENT__";
/// The origin of a value that nobody set.
pub(super) const DEFAULTS_NAME: &str = "default.toml";
const DEFAULTS: &str = include_str!("default.toml");
/// What is said of one model and holds for no other.
const OF_ONE_MODEL: [&str; 6] =
    ["model.id", "model.revision", "model.path", "model.label", "model.sha256", "model.expected"];

/// The sound values of one layer, ready to be merged.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer(Vec<Entry>);

#[derive(Clone, Debug)]
struct Entry {
    path: Vec<String>,
    value: Value,
}

/// What is wrong with the layers read so far.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    /// Keys with a value that is not of their kind.
    pub(super) unsound: BTreeSet<String>,
}

/// Puts checked values into a layer, and the others into the findings.
struct Reader<'a> {
    layer: Layer,
    findings: &'a mut Findings,
}

/// The built-in defaults.
pub(super) fn defaults(findings: &mut Findings) -> Layer {
    toml(DEFAULTS, &|_| DEFAULTS_NAME.to_owned(), findings).unwrap_or_default()
}

/// A TOML file, or `None` where it is not TOML.
pub(super) fn file(name: &str, text: &str, findings: &mut Findings) -> Option<Layer> {
    let ends: Vec<usize> = text.match_indices('\n').map(|(end, _)| end).collect();
    let line = |offset| ends.partition_point(|&end| end < offset) + 1;
    toml(text, &|offset| format!("{name}, line {}", line(offset)), findings)
}

fn toml(text: &str, origin: &dyn Fn(usize) -> String, findings: &mut Findings) -> Option<Layer> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let mut reader = Reader::new(findings);
        reader.table("", document.into_inner(), origin);
        return Some(reader.layer);
    }
    // The error's own text quotes the line, which may hold a password.
    findings.problems.extend(errors.iter().map(|error| Problem {
        key: String::new(),
        origin: origin(error.span().map_or(0, |span| span.start)),
        wrong: format!("not valid TOML: {}", error.message()),
        remedy: "correct this line; text stands in double quotes".to_owned(),
    }));
    None
}

/// Whether a variable of this name is ours, or was probably meant to be: `CROSSRANK_MODEL__PATH`.
pub(super) fn is_ours(variable: &str) -> bool {
    variable.starts_with(PREFIX)
        || (variable.to_uppercase().starts_with("CROSSRANK_") && variable.contains("__"))
}

/// The variables that are ours; all others are not looked at.
pub(super) fn environment(variables: &BTreeMap<String, String>, findings: &mut Findings) -> Layer {
    let mut reader = Reader::new(findings);
    for (variable, text) in variables {
        let origin = format!("environment variable {variable}");
        let property = variable.strip_prefix(PREFIX).and_then(|it| it.strip_prefix(CLIENT_PREFIX));
        if let Some(property) = property {
            reader.property(&property_of(property), Given::Text(text), origin);
        } else if let Some(key) =
            keys::KEYS.iter().find(|key| keys::variable(key.name) == *variable)
        {
            reader.value(key, Given::Text(text), origin);
        } else if is_ours(variable) {
            reader.misnamed(variable, origin);
        }
    }
    reader.layer
}

/// Flags of the command line: key, value, and the flag's name.
pub(super) fn flags(flags: &[(String, String, &'static str)], findings: &mut Findings) -> Layer {
    let mut reader = Reader::new(findings);
    for (name, text, flag) in flags {
        match (keys::find(name), keys::below(name, CLIENT)) {
            (Some(key), _) => reader.value(key, Given::Text(text), (*flag).to_owned()),
            (None, Some(property)) => {
                reader.property(property, Given::Text(text), (*flag).to_owned());
            }
            (None, None) => reader.unknown(name, (*flag).to_owned()),
        }
    }
    reader.layer
}

/// The layers, lowest first, without what lower ones say about another model: one that names a model by id or by path
/// names it for good, and a revision or a hash belongs to its own.
pub(super) fn one_model<const N: usize>(mut layers: [Layer; N]) -> [Layer; N] {
    let naming = |layer: &Layer| layer.gives("model.id") || layer.gives("model.path");
    if let Some(highest) = layers.iter().rposition(naming) {
        for lower in layers.iter_mut().take(highest) {
            lower.0.retain(|entry| !OF_ONE_MODEL.iter().any(|key| entry.is(key)));
        }
    }
    layers
}

// === impl Reader ===

impl<'a> Reader<'a> {
    fn new(findings: &'a mut Findings) -> Self {
        Self { layer: Layer::default(), findings }
    }

    fn table(&mut self, section: &str, table: DeTable<'_>, origin: &dyn Fn(usize) -> String) {
        let mut items: Vec<(Spanned<_>, Spanned<DeValue<'_>>)> = table.into_iter().collect();
        items.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in items {
            let at = origin(key.span().start);
            let name = match section {
                "" => key.get_ref().to_string(),
                section => format!("{section}.{}", key.get_ref()),
            };
            match (value.into_inner(), keys::below(&name, CLIENT)) {
                (DeValue::Table(table), Some(_)) => self.table(&name, table, origin),
                (DeValue::Table(table), None) if keys::is_section(&name) => {
                    self.table(&name, table, origin);
                }
                (DeValue::Table(_), None) => self.unknown_section(&name, at),
                (value, Some(property)) => self.property(property, Given::Toml(&value), at),
                (value, None) => match keys::find(&name) {
                    Some(key) => self.value(key, Given::Toml(&value), at),
                    None => self.unknown(&name, at),
                },
            }
        }
    }

    fn value(&mut self, key: &'static keys::Key, given: Given<'_>, origin: String) {
        match given.of(key.kind) {
            Ok(kind) => self.layer.push(key.name.split('.'), &origin, kind),
            Err(wrong) => {
                self.findings.unsound.insert(key.name.to_owned());
                self.problem(key.name, origin, wrong, format!("give it {}", key.kind.described()));
            }
        }
    }

    fn property(&mut self, property: &str, given: Given<'_>, origin: String) {
        let name = format!("{CLIENT}.{property}");
        let legal =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_');
        if property.is_empty() || !property.chars().all(legal) {
            let wrong = "is not the name of a librdkafka property".to_owned();
            let remedy = "write it as librdkafka does, such as socket.keepalive.enable".to_owned();
            return self.problem(&name, origin, wrong, remedy);
        }
        if let Some(reason) = guarded(property) {
            let wrong = format!("may not be set: {reason}");
            return self.problem(&name, origin, wrong, "remove it".to_owned());
        }
        match given.of_property() {
            Ok(text) => {
                if let Some(reason) = refused(property, &text) {
                    // librdkafka repeats the value.
                    let told = if is_secret(property) { "refused by librdkafka" } else { &reason };
                    let remedy = "see librdkafka's CONFIGURATION.md".to_owned();
                    return self.problem(&name, origin, told.to_owned(), remedy);
                }
                let path = CLIENT.split('.').chain([property]);
                self.layer.push(path, &origin, ValueKind::String(text));
            }
            Err(wrong) => {
                let remedy = "give it text, a number, true or false".to_owned();
                self.problem(&name, origin, wrong, remedy);
            }
        }
    }

    /// A variable that nothing reads.
    fn misnamed(&mut self, variable: &str, origin: String) {
        let upper = variable.to_uppercase();
        let name = upper.trim_start_matches("CROSSRANK").trim_start_matches('_');
        let unknown = name.to_lowercase().replace("__", ".");
        if keys::find(&unknown).is_some() || keys::below(&unknown, CLIENT).is_some() {
            let wrong = "is not read from a variable of this name".to_owned();
            self.problem(&unknown, origin, wrong, format!("call it {PREFIX}{name}"));
            self.findings.unsound.insert(unknown);
            return;
        }
        let remedy = match keys::nearest(&unknown) {
            Some(near) => format!("did you mean {}?", keys::variable(near)),
            None => format!("remove it, or write {PREFIX}SECTION__KEY"),
        };
        self.problem(&unknown, origin, "is not a key".to_owned(), remedy);
    }

    fn unknown(&mut self, name: &str, origin: String) {
        if keys::is_section(name) {
            let remedy = format!("write [{name}] and below it its keys: {}", keys::listed(name));
            return self.problem(name, origin, "is a section, not a value".to_owned(), remedy);
        }
        let section = name.rsplit_once('.').map_or("", |(section, _)| section);
        let remedy = match (keys::nearest(name), section) {
            (Some(near), _) => format!("did you mean {near}?"),
            (None, "") => format!("remove it; the sections are {}", keys::listed("")),
            (None, section) => format!("remove it; the keys are {}", keys::listed(section)),
        };
        self.problem(name, origin, "is not a key".to_owned(), remedy);
    }

    fn unknown_section(&mut self, name: &str, origin: String) {
        if let Some(key) = keys::find(name) {
            self.findings.unsound.insert(name.to_owned());
            let remedy = format!("give it {}", key.kind.described());
            return self.problem(name, origin, "is a value, not a section".to_owned(), remedy);
        }
        let remedy = match keys::nearest_section(name) {
            Some(near) => format!("did you mean [{near}]?"),
            None => format!("remove it; the sections are {}", keys::listed("")),
        };
        self.problem(name, origin, "is not a section".to_owned(), remedy);
    }

    fn problem(&mut self, key: &str, origin: String, wrong: String, remedy: String) {
        self.findings.problems.push(Problem { key: key.to_owned(), origin, wrong, remedy });
    }
}

// === impl Entry ===

impl Entry {
    fn is(&self, key: &str) -> bool {
        self.path.iter().map(String::as_str).eq(key.split('.'))
    }
}

// === impl Layer ===

impl Layer {
    /// Whether it has a value for this key.
    fn gives(&self, key: &str) -> bool {
        self.0.iter().any(|entry| entry.is(key))
    }

    fn push<'a>(&mut self, path: impl Iterator<Item = &'a str>, origin: &String, kind: ValueKind) {
        let path = path.map(str::to_owned).collect();
        self.0.push(Entry { path, value: Value::new(Some(origin), kind) });
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let mut root = Map::new();
        for entry in &self.0 {
            insert(&mut root, &entry.path, entry.value.clone());
        }
        Ok(root)
    }
}

fn insert(table: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            table.insert(last.clone(), value);
        }
        [section, rest @ ..] => {
            let below = table
                .entry(section.clone())
                .or_insert_with(|| Value::new(None, ValueKind::Table(Map::new())));
            if let ValueKind::Table(below) = &mut below.kind {
                insert(below, rest, value);
            }
        }
    }
}

/// The property that a variable names: dots are underscores there. The few that have an underscore
/// of their own are all guarded.
fn property_of(variable: &str) -> String {
    let name = variable.to_lowercase();
    if guarded(&name).is_some() { name } else { name.replace('_', ".") }
}
