//! Which files of a model are fetched, and what makes a directory whole.

use std::fs;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::file;
use super::name::is_part;
use super::{HubError, ModelId};
use crate::engine::{ModelFile, deciding_files};

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
pub(super) const WEIGHTS: &str = "model.safetensors";
/// The parts of a sentence-transformers model that has more than an encoder, and their folders.
pub(super) const MODULES: &str = "modules.json";
/// The model card.
pub(super) const CARD: &str = "README.md";

/// Without these nothing can be scored; what to do where a model lacks one. They decide the scores, so their
/// content, in this order, is what `model.sha256` pins, with what a model has of others that do.
const REQUIRED: [(&str, &str); 3] = [
    (CONFIG, "is it a model of transformers?"),
    (
        TOKENIZER,
        "`AutoTokenizer.from_pretrained(id).save_pretrained(dir)` in transformers writes one; then use model.path",
    ),
    (
        WEIGHTS,
        "neither pickled weights (pytorch_model.bin) nor weights in several files are read; \
         `model.save_pretrained(dir, max_shard_size=\"50GB\")` in transformers writes one file; then use model.path",
    ),
];

/// Taken where a model has them.
const OPTIONAL: [&str; 6] = [
    CARD,
    "config_sentence_transformers.json",
    MODULES,
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
];

/// In the folder of a module.
const OF_MODULE: [&str; 2] = [CONFIG, WEIGHTS];

/// Of the files that a model has, those to fetch before its modules are known, in that order: the weights are
/// not among them, they come last of all.
pub(super) fn small(present: &[String]) -> Vec<String> {
    let wanted = OPTIONAL.into_iter().chain([CONFIG, TOKENIZER]);
    wanted.filter(|name| present.iter().any(|file| file == name)).map(str::to_owned).collect()
}

/// Of the files that a model has, those of its modules.
pub(super) fn of_modules(present: &[String], modules: &[String]) -> Vec<String> {
    let wanted = modules.iter().flat_map(|folder| OF_MODULE.map(|name| format!("{folder}/{name}")));
    wanted.filter(|name| present.contains(name)).collect()
}

/// `config.json` of this directory, as far as it can be read.
pub(super) fn config(directory: &Path) -> serde_json::Value {
    let text = fs::read(directory.join(CONFIG)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// # Errors
/// The model lacks a file without which nothing can be scored.
pub(super) fn check(id: &ModelId, commit: &str, present: &[String]) -> Result<(), HubError> {
    for (name, hint) in REQUIRED {
        if !present.iter().any(|file| file == name) {
            let (id, commit) = (id.clone(), commit.to_owned());
            return Err(HubError::Lacks { id, commit, file: name, hint });
        }
    }
    Ok(())
}

/// The folders that `modules.json` of this directory names; none where there is no such file.
pub(super) fn modules(directory: &Path) -> Vec<String> {
    let text = fs::read(directory.join(MODULES)).unwrap_or_default();
    // What is wrong with it is the model's to say, when it is loaded.
    let modules: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap_or_default();
    modules
        .iter()
        .filter_map(|module| module["path"].as_str())
        .filter(|path| is_below(path))
        .map(str::to_owned)
        .collect()
}

/// Whether everything is there that a model needs. The weights are fetched last, so with them the rest is there.
pub(super) fn is_complete(directory: &Path) -> bool {
    REQUIRED.iter().all(|(name, _)| directory.join(name).is_file())
}

/// SHA-256 of the files that decide the scores in a row, in hexadecimal; of a model that is not run here, those that
/// every model has.
///
/// # Errors
/// One of them cannot be read.
pub(super) fn sha256(directory: &Path) -> Result<String, HubError> {
    let mut digest = Sha256::new();
    let names = deciding_files(directory)
        .unwrap_or_else(|_| REQUIRED.map(|(name, _)| name.into()).to_vec());
    for name in names {
        let path = directory.join(&name);
        let mut opened = ModelFile::open(directory, name).map_err(file("read", &path))?;
        io::copy(&mut opened, &mut digest).map_err(file("read", path))?;
    }
    Ok(hex(&digest.finalize()))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether this is a path into a folder, and not out of it.
fn is_below(path: &str) -> bool {
    path.split('/').all(is_part)
}
