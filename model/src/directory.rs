//! Writing a model directory: whole, or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::ModelConfig;
use crate::files::{self, FileError};

/// Files of a directory, by their names in it.
pub(crate) type Files = Vec<(PathBuf, Vec<u8>)>;

/// What stands beside config.json and the weights in the model directory `from`.
pub(crate) fn companions(from: &Path, config: &ModelConfig) -> Result<Files, FileError> {
    let mut found: Files = vec![(files::TOKENIZER.into(), files::read(from, files::TOKENIZER)?)];
    for name in [files::TOKENIZER_CONFIG, files::SENTENCE_BERT, files::SENTENCE_TRANSFORMERS] {
        let bytes = files::read_optional(from, name)?;
        found.extend(bytes.map(|bytes| (name.into(), bytes)));
    }
    for name in &config.module_files {
        found.push((name.clone(), files::read_module(from, name)?));
    }
    Ok(found)
}

/// Makes the directory `to` of these files.
///
/// # Errors
/// It exists or cannot be written; the path is that of which the error speaks.
pub(crate) fn write(to: &Path, files: &Files) -> Result<(), (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_path_buf();
        move |source| (path, source)
    };
    if to.try_exists().map_err(at(to))? {
        return Err(at(to)(io::ErrorKind::AlreadyExists.into()));
    }
    let aside = aside(to);
    fs::create_dir(&aside).map_err(at(&aside))?;
    let fill = || {
        for (name, bytes) in files {
            let path = aside.join(name);
            let folder = path.parent().unwrap_or(&aside);
            fs::create_dir_all(folder).map_err(at(folder))?;
            fs::write(&path, bytes).map_err(at(&path))?;
        }
        fs::rename(&aside, to).map_err(at(to))
    };
    fill().inspect_err(|_| {
        // What is left behind does no harm, and the error says where it is.
        drop(fs::remove_dir_all(&aside));
    })
}

/// A name beside `to` that nobody else uses.
fn aside(to: &Path) -> PathBuf {
    // Without a slash at the end, behind which the name would be one of a file inside.
    let mut name = to.components().as_path().as_os_str().to_owned();
    name.push(format!(".partial-{}", std::process::id()));
    PathBuf::from(name)
}
