use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{self, Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::bundled::{self, is_bundled};

/// Sizes and options of the network.
pub(crate) const CONFIG: &str = "config.json";
/// Text → token ids.
pub(crate) const TOKENIZER: &str = "tokenizer.json";
/// Optional: how many tokens the tokenizer's author allows.
pub(crate) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// Optional: what stands behind an encoder without a head, in sentence-transformers' layout.
pub(crate) const MODULES: &str = "modules.json";
/// Optional: how sentence-transformers calls the encoder.
pub(crate) const SENTENCE_BERT: &str = "sentence_bert_config.json";
/// Optional: what sentence-transformers does before and behind the model.
pub(crate) const SENTENCE_TRANSFORMERS: &str = "config_sentence_transformers.json";
/// The weights.
pub(crate) const WEIGHTS: &str = "model.safetensors";

/// A file of a model directory that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The path is not a directory.
    #[error(
        "{} is not a directory; a model is a Hugging Face directory with {CONFIG}, {TOKENIZER} and {WEIGHTS}",
        .0.display()
    )]
    NotADirectory(PathBuf),
    /// The directory lacks a file.
    #[error("{} is missing; {hint}", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What to do about it.
        hint: &'static str,
    },
    /// The file is there but cannot be read.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// A file of a model directory, or of the model that ships inside.
#[derive(Debug)]
pub struct ModelFile(Content);

/// Where its bytes are.
#[derive(Debug)]
enum Content {
    OnDisk(File),
    /// In the program, where they are read in place.
    Inside(Cursor<&'static [u8]>),
}

// === impl ModelFile ===

impl ModelFile {
    /// Opens the file `name` of a model directory, which may be that of [`crate::bundled`].
    ///
    /// # Errors
    /// There is no such file, or it cannot be opened.
    pub fn open(dir: &Path, name: impl AsRef<Path>) -> io::Result<Self> {
        let name = name.as_ref();
        if !is_bundled(dir) {
            return File::open(dir.join(name)).map(|file| Self(Content::OnDisk(file)));
        }
        let content = bundled::file(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Self(Content::Inside(Cursor::new(content))))
    }

    /// Reads the file `name` whole.
    ///
    /// # Errors
    /// As of [`ModelFile::open`], or it cannot be read.
    pub fn read_whole(dir: &Path, name: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Self::open(dir, name)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Its size.
    ///
    /// # Errors
    /// The system does not say.
    pub fn size_bytes(&self) -> io::Result<u64> {
        match &self.0 {
            Content::OnDisk(file) => Ok(file.metadata()?.len()),
            Content::Inside(content) => Ok(content.get_ref().len() as u64),
        }
    }
}

impl Read for ModelFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Content::OnDisk(file) => file.read(buffer),
            Content::Inside(content) => content.read(buffer),
        }
    }
}

impl Seek for ModelFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.0 {
            Content::OnDisk(file) => file.seek(to),
            Content::Inside(content) => content.seek(to),
        }
    }
}

/// A model directory as people are told of it.
pub fn shown(dir: &Path) -> path::Display<'_> {
    if is_bundled(dir) { Path::new(bundled::NAME).display() } else { dir.display() }
}

/// Where a file of a model directory is, to be told.
pub(crate) fn place(dir: &Path, name: impl AsRef<Path>) -> PathBuf {
    if is_bundled(dir) { Path::new(bundled::NAME).join(name) } else { dir.join(name) }
}

/// Whether a model directory has this file.
pub(crate) fn is_there(dir: &Path, name: &str) -> bool {
    match is_bundled(dir) {
        true => bundled::file(Path::new(name)).is_some(),
        false => dir.join(name).is_file(),
    }
}

/// Opens one file of a model directory.
pub(crate) fn open(dir: &Path, name: &'static str) -> Result<(PathBuf, ModelFile), FileError> {
    if !is_bundled(dir) && !dir.is_dir() {
        return Err(FileError::NotADirectory(dir.to_path_buf()));
    }
    let path = place(dir, name);
    match ModelFile::open(dir, name) {
        Ok(file) => Ok((path, file)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            Err(FileError::Missing { path, hint: hint(name) })
        }
        Err(source) => Err(FileError::Unreadable { path, source }),
    }
}

/// Reads one file of a model directory whole.
pub(crate) fn read(dir: &Path, name: &'static str) -> Result<Vec<u8>, FileError> {
    let (path, mut file) = open(dir, name)?;
    let mut bytes = Vec::new();
    match file.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(source) => Err(FileError::Unreadable { path, source }),
    }
}

/// As [`read`], for a file that need not be there.
pub(crate) fn read_optional(dir: &Path, name: &'static str) -> Result<Option<Vec<u8>>, FileError> {
    match read(dir, name) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(FileError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a file of one of the modules whole; `file` is relative to `dir`.
pub(crate) fn read_module(dir: &Path, file: &Path) -> Result<Vec<u8>, FileError> {
    let unreadable = |source| FileError::Unreadable { path: place(dir, file), source };
    ModelFile::read_whole(dir, file).map_err(unreadable)
}

/// What identifies a model: equal for equal files, wherever they lie.
///
/// `cat config.json tokenizer.json model.safetensors | sha256sum` gives the same; what else decides scores follows.
pub(crate) fn revision(
    dir: &Path,
    config: &[u8],
    tokenizer: &[u8],
    also: &[PathBuf],
) -> Result<String, FileError> {
    let (path, mut weights) = open(dir, WEIGHTS)?;
    let mut digest = Sha256::new().chain_update(config).chain_update(tokenizer);
    if let Err(source) = io::copy(&mut BufReader::with_capacity(1 << 20, &mut weights), &mut digest)
    {
        return Err(FileError::Unreadable { path, source });
    }
    for file in also {
        digest.update(read_module(dir, file)?);
    }
    let hex: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sha256:{hex}"))
}

fn hint(name: &str) -> &'static str {
    match name {
        WEIGHTS => {
            "only model.safetensors is read: neither pickled weights (pytorch_model.bin) nor weights \
             in several files; `model.save_pretrained(dir, max_shard_size=\"50GB\")` in transformers writes one"
        }
        TOKENIZER => {
            "a vocab.txt alone is not read; `AutoTokenizer.from_pretrained(dir).save_pretrained(dir)` \
             in transformers writes it"
        }
        _ => "download the model's whole directory",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revision_is_what_sha256sum_says_about_the_files_in_a_row() {
        // printf abc | sha256sum
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(WEIGHTS), b"c").unwrap();
        assert_eq!(revision(dir.path(), b"a", b"b", &[]).unwrap(), "sha256:ba7816bf8f01cfea");
    }

    #[test]
    fn a_missing_file_is_named_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let error = read(dir.path(), WEIGHTS).unwrap_err().to_string();
        assert!(error.contains("model.safetensors is missing; only model.safetensors"), "{error}");
        let error = read(&dir.path().join("nowhere"), WEIGHTS).unwrap_err().to_string();
        assert!(error.contains("nowhere is not a directory"), "{error}");
        assert!(read_optional(dir.path(), TOKENIZER_CONFIG).unwrap().is_none());
    }
}
