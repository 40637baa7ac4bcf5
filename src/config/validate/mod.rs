//! Relations between keys, and what a value refers to: files, topics, templates.

mod admin;
mod kafka;
mod model;
mod reranking;
mod worker;

use std::fs::File;
use std::path::Path;

use super::layers::DEFAULTS_NAME;
use super::load::Raw;
use super::problem::{Errors, Problem};
use super::{Config, Reranking, Streaming, keys};

/// Collects what is wrong, beside what the layers already had.
struct Check<'a> {
    raw: &'a Raw,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

pub(super) fn reranking(raw: &Raw) -> Result<Reranking, Errors> {
    let mut check = Check::new(raw);
    let settings = reranking::checked(&mut check);
    check.finish(settings).map(|(settings, _)| settings)
}

pub(super) fn worker(raw: &Raw) -> Result<Config, Errors> {
    let mut check = Check::new(raw);
    let reranking = reranking::checked(&mut check);
    let kafka = kafka::checked(&mut check);
    let worker = worker::checked(&mut check);
    let admin = admin::checked(&mut check);
    let settings = reranking.zip(kafka);
    let ((reranking, kafka), warnings) = check.finish(settings)?;
    Ok(Config { reranking, kafka, worker, admin, warnings })
}

pub(super) fn streaming(raw: &Raw) -> Result<Streaming, Errors> {
    let mut check = Check::new(raw);
    let telemetry = reranking::telemetry(&mut check);
    let kafka = kafka::checked(&mut check);
    let worker = worker::checked(&mut check);
    let (kafka, _) = check.finish(kafka)?;
    Ok(Streaming { kafka, worker, telemetry })
}

// === impl Check ===

impl<'a> Check<'a> {
    fn new(raw: &'a Raw) -> Self {
        Self { raw, problems: raw.problems.clone(), warnings: Vec::new() }
    }

    /// The settings and the warnings, or everything that is wrong. Settings are absent only where
    /// a problem says why.
    fn finish<T>(self, settings: Option<T>) -> Result<(T, Vec<String>), Errors> {
        match settings {
            Some(settings) if self.problems.is_empty() => Ok((settings, self.warnings)),
            _ => Err(Errors(self.problems)),
        }
    }

    /// Whether these keys can be compared: none had a value that was not of its kind.
    fn sound(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| !self.raw.unsound.contains(*key))
    }

    /// Where the value of `key` comes from; empty where it has none.
    fn origin(&self, key: &str) -> String {
        self.raw.settings.get(key).map(|setting| setting.origin.clone()).unwrap_or_default()
    }

    /// Whether somebody set `key`, rather than left it to its default.
    fn is_given(&self, key: &str) -> bool {
        self.raw.settings.get(key).is_some_and(|setting| setting.origin != DEFAULTS_NAME)
    }

    /// Records what is wrong with `key`, unless its value was reported already.
    fn problem(&mut self, key: &str, wrong: String, remedy: &str) {
        if !self.sound(&[key]) {
            return;
        }
        let origin = self.origin(key);
        self.problems.push(Problem {
            key: key.to_owned(),
            origin,
            wrong,
            remedy: remedy.to_owned(),
        });
    }

    /// Records that `key` has no value and needs one; `flag` may give it too.
    fn missing(&mut self, key: &str, what: &str, flag: Option<&str>) {
        let flag = flag.map(|flag| format!(", or by {flag}")).unwrap_or_default();
        let remedy = format!("set it to {what}, in the file, by {}{flag}", keys::variable(key));
        self.problem(key, "is missing".to_owned(), &remedy);
    }

    /// Records a problem where `holds` is false and all of `keys`, the first of which is to be
    /// blamed, are sound.
    fn relation(&mut self, holds: bool, keys: &[&str], wrong: String, remedy: &str) {
        if let (false, true, [key, ..]) = (holds, self.sound(keys), keys) {
            self.problem(key, wrong, remedy);
        }
    }

    /// The first line of a file with a secret, so that an editor's final line end does no harm.
    fn first_line(&mut self, key: &str, file: &Path, what: &str) -> Option<String> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => {
                let wrong = format!("{} cannot be read: {error}", file.display());
                self.problem(key, wrong, "name a text file that this user may read");
                return None;
            }
        };
        let line = text.lines().next().filter(|line| !line.is_empty());
        if line.is_none() {
            let wrong = format!("{} has an empty first line", file.display());
            self.problem(key, wrong, &format!("write the {what} into its first line"));
        }
        line.map(str::to_owned)
    }

    /// Records a problem where this is not a file that can be read.
    fn readable(&mut self, key: &str, path: &Path) {
        let opened = File::open(path).and_then(|file| file.metadata());
        let wrong = match opened {
            Ok(metadata) if metadata.is_file() => return,
            Ok(_) => format!("{} is not a file", path.display()),
            Err(error) => format!("{} cannot be read: {error}", path.display()),
        };
        self.problem(key, wrong, "name a file that this user may read");
    }
}
