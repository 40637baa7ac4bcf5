mod keys;
mod layers;
mod relations;
mod secrets;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Config, Errors, Raw, Sources, load};

/// Enough for a worker's configuration to be complete.
const COMPLETE: &str = "[kafka]\nbrokers = \"b:9092\"\n[model]\npath = \".\"\n";

/// A configuration in the making.
#[derive(Default)]
struct Given {
    sources: Sources,
    folder: Option<tempfile::TempDir>,
}

// === impl Given ===

impl Given {
    /// A file `worker.toml` with this text.
    fn file(mut self, text: &str) -> Self {
        let path = self.in_folder("worker.toml", text);
        self.sources.file = Some(path);
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    fn flag(mut self, key: &str, value: &str) -> Self {
        self.sources.flags.push((key.to_owned(), value.to_owned(), "--flag"));
        self
    }

    /// Another file beside `worker.toml`.
    fn in_folder(&mut self, name: &str, text: &str) -> PathBuf {
        let folder = self.folder.get_or_insert_with(|| tempfile::tempdir().unwrap());
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn raw(&self) -> Raw {
        load(self.sources.clone()).unwrap()
    }

    fn worker(&self) -> Config {
        self.raw().worker().unwrap()
    }

    /// All problems of a worker, as `key: what is wrong`.
    fn problems(&self) -> Vec<String> {
        match load(self.sources.clone()).and_then(|raw| raw.worker()) {
            Ok(_) => Vec::new(),
            Err(errors) => {
                errors.problems().iter().map(|p| format!("{}: {}", p.key, p.wrong)).collect()
            }
        }
    }

    /// What is printed, with the folder's name left out.
    fn printed(&self) -> String {
        let errors: Errors = load(self.sources.clone()).and_then(|raw| raw.worker()).unwrap_err();
        let folder = self
            .folder
            .as_ref()
            .map_or(String::new(), |folder| format!("{}/", folder.path().display()));
        errors.to_string().replace(&folder, "")
    }
}

/// The lines of `effective`, without origins.
fn effective(raw: &Raw) -> BTreeMap<String, String> {
    raw.settings
        .iter()
        .map(|(key, setting)| (key.clone(), format!("{:?}", setting.shown)))
        .collect()
}
