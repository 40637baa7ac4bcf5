//! Models by name: from the Hugging Face hub, a mirror of it or its cache, to a local directory.
//!
//! ```text
//! settings.rs  the variables that all tools of the hub read (HF_HOME, HF_TOKEN, HF_ENDPOINT, …)
//! address.rs   who is asked, and who therefore gets the token
//! cache.rs     the layout that all tools share: blobs, refs, snapshots, locks
//! client.rs    requests, redirects, attempts; what an answer means
//! download.rs  one blob: locked, resumed, proven, then renamed
//! files.rs     which files a model needs
//! weights.rs   what its weights take, by their header
//! demand.rs    whether there is memory for them
//! choice.rs    which model, as the configuration says
//! expected.rs  scores that a model is known to give: published.json, or a file of the user's
//! proof.rs     whether it gives them here
//! ```
//!
//! A blob has its name only when all of it is on the disk and its SHA-256 is the one announced, so nothing half
//! written is ever used, and a snapshot's weights are linked last.
//!
//! # Why not hf-hub
//!
//! The crate hf-hub 1.0 begins a file that was cut off anew, proves no hash, looks at no free space, and brings
//! reqwest, hyper and the Xet stack: some 200 crates for eight GET requests. Its older, small version 0.x is no
//! longer kept. What remains to be written beside either is most of this room, so it is written over ureq, which
//! blocks as everything at start-up does. The cache's layout and locks are those of huggingface_hub.

mod address;
mod cache;
mod choice;
mod client;
mod demand;
mod download;
mod error;
mod expected;
mod files;
mod name;
mod proof;
mod provenance;
mod settings;
mod weights;

use std::fs;
use std::path::{Path, PathBuf};

pub use address::Endpoint;
pub use cache::Cached;
pub use choice::{BUNDLED, Choice, SelfTest, Source, bundled};
pub use demand::Demand;
pub use error::HubError;
pub use expected::{ExpectedError, ExpectedScores};
pub use name::{ModelId, NameError, Revision};
pub use proof::{Proof, ProofError, prove, tolerance};
pub use settings::{FreeBytes, Settings, Token};
pub use weights::Weights;

use cache::{Cache, Folder};
use client::Client;
use download::Download;
use error::file;

/// Told how a download gets on.
pub trait Progress: Sync {
    /// So many more bytes will be fetched.
    fn expect(&self, bytes: u64);

    /// So many of them have arrived.
    fn advance(&self, bytes: u64);
}

/// Nobody looks.
#[derive(Debug)]
pub struct Unseen;

/// A model on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub id: ModelId,
    /// Which content: a whole git commit.
    pub commit: String,
    /// Where its files are.
    pub directory: PathBuf,
}

/// The way to models by name.
#[derive(Debug)]
pub struct Hub {
    settings: Settings,
    cache: Cache,
}

// === impl Hub ===

impl Hub {
    /// The hub and the cache of these settings. Nothing is asked or read yet.
    pub fn new(settings: Settings) -> Self {
        Self { cache: Cache::new(settings.cache.clone()), settings }
    }

    /// The model of this name on this machine, fetched where it is not here yet. Blocks for as long as that takes.
    ///
    /// A commit that is here whole needs no network. A branch or tag is asked for each time, and where the hub does
    /// not answer, what it last stood for counts.
    ///
    /// # Errors
    /// It is not to be had; the error says why, and what to do.
    pub fn obtain(
        &self,
        id: &ModelId,
        revision: Option<&Revision>,
        progress: &dyn Progress,
    ) -> Result<Snapshot, HubError> {
        let cached = self.in_cache(id, revision);
        if revision.is_some_and(Revision::is_commit)
            && let Some(cached) = cached
        {
            return Ok(cached);
        }
        if self.settings.offline {
            let (cache, revision) = (self.settings.cache.clone(), named(revision).to_owned());
            return cached.ok_or(HubError::Offline { id: id.clone(), revision, cache });
        }
        match (self.fetch(id, named(revision), progress), cached) {
            (Err(error), Some(cached)) if error.leaves_the_cache() => {
                let (error, commit) = (error.in_short(), cached.commit.as_str());
                tracing::warn!(
                    error,
                    commit,
                    "the hub does not answer; the model in the cache is used"
                );
                Ok(cached)
            }
            (outcome, _) => outcome,
        }
    }

    /// The model of this name where the cache has all of it, whatever the hub would say.
    ///
    /// # Errors
    /// [`HubError::NotInCache`].
    pub fn cached(&self, id: &ModelId, revision: Option<&Revision>) -> Result<Snapshot, HubError> {
        self.in_cache(id, revision).ok_or_else(|| HubError::NotInCache {
            id: id.clone(),
            revision: named(revision).to_owned(),
            cache: self.settings.cache.clone(),
        })
    }

    /// Every model of the cache, by name.
    ///
    /// # Errors
    /// The cache cannot be read.
    pub fn list(&self) -> Result<Vec<Cached>, HubError> {
        self.cache.list()
    }

    fn in_cache(&self, id: &ModelId, revision: Option<&Revision>) -> Option<Snapshot> {
        let folder = self.cache.folder(id);
        let commit = match revision {
            Some(commit) if commit.is_commit() => commit.as_str().to_owned(),
            other => folder.read_reference(named(other))?,
        };
        let directory = folder.snapshot(&commit);
        files::is_complete(&directory).then(|| Snapshot { id: id.clone(), commit, directory })
    }

    fn fetch(
        &self,
        id: &ModelId,
        revision: &str,
        progress: &dyn Progress,
    ) -> Result<Snapshot, HubError> {
        let client = Client::new(&self.settings);
        let client::Info { commit, files: present } = client.info(id, revision)?;
        let folder = self.cache.folder(id);
        let directory = folder.snapshot(&commit);
        let snapshot = Snapshot { id: id.clone(), commit, directory };
        let commit = snapshot.commit.as_str();
        if !files::is_complete(&snapshot.directory) {
            files::check(id, commit, &present)?;
            let download = Download { client: &client, folder: &folder, id, commit, progress };
            let cache = self.cache.root();
            let small = download.heads(files::small(&present))?;
            let weights = download.head(files::WEIGHTS.to_owned())?;
            // All of it, before the first byte; modules are small.
            let whole = small.iter().chain([&weights]);
            download.check_space(whole, cache, self.settings.free_bytes)?;
            download.fetch(&small)?;
            if let Some(demand) = &self.settings.demand {
                let config = files::config(&snapshot.directory);
                demand.check_announced(id.as_str(), weights.head.bytes, &config)?;
            }
            let modules = files::modules(&snapshot.directory);
            let mut large = download.heads(files::of_modules(&present, &modules))?;
            // Last of all: a snapshot with weights is whole.
            large.push(weights);
            download.check_space(large.iter(), cache, self.settings.free_bytes)?;
            download.fetch(&large)?;
        }
        if revision != commit {
            remember(&folder, revision, commit);
        }
        Ok(snapshot)
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// The snapshot that this directory is: one that lies in a cache, or was made by [`Self::copy_to`] and not
    /// changed since. `None` for any other directory.
    pub fn of(directory: &Path) -> Option<Self> {
        let (id, commit) = cache::snapshot_of(directory).or_else(|| provenance::read(directory))?;
        Some(Self { id, commit, directory: directory.to_owned() })
    }

    /// Copies its files, not links to them, into a directory of its own, which still knows where it comes from.
    ///
    /// # Errors
    /// The directory exists, or cannot be written.
    pub fn copy_to(&self, directory: &Path) -> Result<(), HubError> {
        fs::create_dir(directory).map_err(file("make", directory))?;
        copy(&self.directory, directory)?;
        provenance::write(directory, &self.id, &self.commit)
    }
}

// === impl Unseen ===

impl Progress for Unseen {
    fn expect(&self, _bytes: u64) {}

    fn advance(&self, _bytes: u64) {}
}

/// SHA-256 of the files of a model directory that decide its scores, in hexadecimal. It is what `model.sha256` pins.
///
/// `cat config.json tokenizer.json model.safetensors | sha256sum` says the same of most models. Where there are
/// modules, modules.json and the files of its folders follow, and sentence_bert_config.json; with modules, or where it
/// shortens pairs or leaves out token types, tokenizer_config.json does too.
///
/// # Errors
/// One of them cannot be read.
pub fn sha256(directory: &Path) -> Result<String, HubError> {
    files::sha256(directory)
}

/// # Errors
/// The directory does not hold what this SHA-256, in hexadecimal, says ([`sha256`]).
pub fn verify(directory: &Path, expected: &str) -> Result<(), HubError> {
    let actual = sha256(directory)?;
    match actual == expected {
        true => Ok(()),
        false => {
            let (directory, expected) = (directory.to_owned(), expected.to_owned());
            Err(HubError::NotPinned { directory, actual, expected })
        }
    }
}

fn named(revision: Option<&Revision>) -> &str {
    revision.map_or(ModelId::BRANCH, Revision::as_str)
}

/// A cache that cannot be written to may still be used.
fn remember(folder: &Folder, revision: &str, commit: &str) {
    if folder.read_reference(revision).as_deref() == Some(commit) {
        return;
    }
    if let Err(error) = folder.write_reference(revision, commit) {
        let error = crate::error_text(&error);
        tracing::warn!(revision, commit, error, "the cache does not remember this revision");
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), HubError> {
    for entry in fs::read_dir(from).map_err(file("read", from))? {
        let entry = entry.map_err(file("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        // Links are followed: what is copied stands alone.
        if source.is_dir() {
            fs::create_dir(&target).map_err(file("make", &target))?;
            copy(&source, &target)?;
        } else {
            fs::copy(&source, &target).map_err(file("write", target))?;
        }
    }
    Ok(())
}
