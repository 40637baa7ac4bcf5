use std::path::Path;

use super::Check;
use crate::config::raw;
use crate::hub::{BUNDLED, Choice, ModelId, Revision, SelfTest, Source};

/// Digits of a SHA-256.
const HASH_DIGITS: usize = 64;

/// Which model: by name or by path, and what proves that it is the right one.
pub(super) fn checked(check: &mut Check<'_>) -> Option<Choice> {
    let model = &check.raw.values.model;
    let source = match (&model.id, &model.path) {
        (Some(_), Some(_)) => {
            let remedy = "keep one: model.id for a model of the hub or the bundled one, model.path for a directory";
            check.problem("model.id", "stands beside model.path".to_owned(), remedy);
            None
        }
        (Some(id), None) if id == BUNDLED => {
            no_revision(check, "the bundled model");
            Some(Source::Bundled)
        }
        (Some(id), None) => named(check, id, model),
        (None, Some(path)) => {
            directory(check, path);
            no_revision(check, "model.path");
            Some(Source::Directory(path.clone()))
        }
        (None, None) => {
            check.missing("model.id", "the name of a model, or model.path", Some("--model"));
            None
        }
    };
    if let Some(path) = &model.expected {
        check.readable("model.expected", path);
    }
    let sha256 = model.sha256.as_ref().map(|hash| hash.to_ascii_lowercase());
    if let Some(hash) = &sha256
        && !(hash.len() == HASH_DIGITS && hash.bytes().all(|digit| digit.is_ascii_hexdigit()))
    {
        let wrong = format!("is {hash:?}, which is not a SHA-256");
        let remedy = "write its 64 hexadecimal digits; `crossrank model inspect` prints them";
        check.problem("model.sha256", wrong, remedy);
    }
    Some(Choice {
        source: source?,
        label: model.label.clone(),
        sha256,
        self_test: SelfTest {
            enabled: model.self_test,
            expected: model.expected.clone(),
            tolerance: model.self_test_tolerance,
        },
    })
}

fn named(check: &mut Check<'_>, id: &str, model: &raw::Model) -> Option<Source> {
    let id = ModelId::new(id).map_err(|error| {
        let remedy = "write it as the hub does, or set model.path to a directory";
        check.problem("model.id", error.to_string(), remedy);
    });
    let revision = model.revision.as_deref().map(Revision::new).transpose().map_err(|error| {
        check.problem("model.revision", error.to_string(), "correct it");
    });
    let (id, revision) = (id.ok()?, revision.ok()?);
    if !revision.as_ref().is_some_and(Revision::is_commit) {
        let branch = revision.as_ref().map_or(ModelId::BRANCH, Revision::as_str);
        check.warnings.push(format!(
            "model.revision is not a commit: what {branch} of {id} stands for may change, and workers that start at \
             different times may score differently; pin the commit that is logged at start-up"
        ));
    }
    Some(Source::Named { id, revision })
}

/// Only a model of the hub has revisions.
fn no_revision(check: &mut Check<'_>, with: &str) {
    if check.raw.values.model.revision.is_some() {
        let wrong = format!("has no effect with {with}");
        check.problem("model.revision", wrong, "remove it, or set model.sha256");
    }
}

fn directory(check: &mut Check<'_>, path: &Path) {
    let wrong = match std::fs::read_dir(path) {
        Ok(_) => return,
        Err(error) => format!("{} cannot be read: {error}", path.display()),
    };
    let remedy = "name a directory with config.json, tokenizer.json and model.safetensors";
    check.problem("model.path", wrong, remedy);
}
