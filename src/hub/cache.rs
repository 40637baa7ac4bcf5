use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::error::file;
use super::name::{is_commit, is_part};
use super::{HubError, ModelId};

/// What a folder of a model begins with.
const MODELS: &str = "models--";
const LOCKS: &str = ".locks";
/// A blob on its way.
const INCOMPLETE: &str = "incomplete";

/// The cache that all tools of the hub share.
///
/// ```text
/// models--owner--name/
///   blobs/<etag>                    contents; <etag>.incomplete while one arrives
///   refs/main                       the commit that a branch or tag stood for when it was last asked
///   snapshots/<commit>/config.json  a link to a blob
/// .locks/models--owner--name/<etag>.lock   held by whoever fetches this blob
/// ```
#[derive(Clone, Debug)]
pub(super) struct Cache {
    root: PathBuf,
}

/// One model of the cache.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    locks: PathBuf,
}

/// A model that is in the cache, as `model list` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// The model.
    pub id: ModelId,
    /// Which content of it.
    pub commit: String,
    /// The branches and tags that stood for it when they were last asked.
    pub references: Vec<String>,
    /// Size of its files.
    pub bytes: u64,
    /// Where it lies.
    pub directory: PathBuf,
    /// Whether everything is there that a model needs.
    pub complete: bool,
}

/// Held while a blob is fetched; other processes wait for it.
#[derive(Debug)]
pub(super) struct BlobLock {
    _held: File,
}

// === impl Cache ===

impl Cache {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn folder(&self, id: &ModelId) -> Folder {
        let name = format!("{MODELS}{}", id.as_str().replace('/', "--"));
        Folder { path: self.root.join(&name), locks: self.root.join(LOCKS).join(name) }
    }

    /// Every snapshot of every model, by name. An absent cache is an empty one.
    pub(super) fn list(&self) -> Result<Vec<Cached>, HubError> {
        let mut found = Vec::new();
        for name in names(&self.root)? {
            let Some(id) = id_of_folder(&name) else { continue };
            let folder = self.folder(&id);
            let references = folder.references()?;
            for commit in names(&folder.path.join("snapshots"))? {
                if !is_commit(&commit) {
                    continue;
                }
                let directory = folder.snapshot(&commit);
                found.push(Cached {
                    id: id.clone(),
                    references: references
                        .iter()
                        .filter(|(_, of)| *of == commit)
                        .map(|(name, _)| name.clone())
                        .collect(),
                    bytes: bytes(&directory)?,
                    complete: super::files::is_complete(&directory),
                    commit,
                    directory,
                });
            }
        }
        Ok(found)
    }
}

// === impl Folder ===

impl Folder {
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.path.join("snapshots").join(commit)
    }

    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.path.join("blobs").join(etag)
    }

    /// Where a blob arrives. It becomes [`Self::blob`] when all of it is there and proven.
    pub(super) fn incomplete(&self, etag: &str) -> PathBuf {
        self.path.join("blobs").join(format!("{etag}.{INCOMPLETE}"))
    }

    /// The commit that this branch or tag stood for when it was last asked.
    pub(super) fn read_reference(&self, revision: &str) -> Option<String> {
        let text = fs::read_to_string(self.path.join("refs").join(revision)).ok()?;
        let commit = text.trim();
        is_commit(commit).then(|| commit.to_owned())
    }

    pub(super) fn write_reference(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        let path = self.path.join("refs").join(revision);
        replace(&path, |new| fs::write(new, commit)).map_err(file("write", path))
    }

    /// Makes `name` of a snapshot stand for a blob.
    pub(super) fn link(&self, commit: &str, name: &str, etag: &str) -> Result<(), HubError> {
        let path = self.snapshot(commit).join(name);
        // From the file's folder up to the model's.
        let up = "../".repeat(2 + name.matches('/').count());
        let target = PathBuf::from(format!("{up}blobs/{etag}"));
        if fs::read_link(&path).is_ok_and(|present| present == target) {
            return Ok(());
        }
        let blob = self.blob(etag);
        replace(&path, |new| link(&target, &blob, new)).map_err(file("write", path))
    }

    /// Waits until nobody else fetches this blob.
    pub(super) fn lock(&self, etag: &str) -> Result<BlobLock, HubError> {
        // The file that huggingface_hub locks, in its way (flock), so that it waits for us too.
        let path = self.locks.join(format!("{etag}.lock"));
        let opened = fs::create_dir_all(&self.locks)
            .and_then(|()| File::options().create(true).truncate(false).write(true).open(&path));
        let held = opened.map_err(file("open", &path))?;
        let locked = match held.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => {
                tracing::info!(lock = %path.display(), "another process fetches this; waiting for it");
                held.lock()
            }
            Err(TryLockError::Error(error)) => Err(error),
        };
        locked.map_err(file("lock", path))?;
        Ok(BlobLock { _held: held })
    }

    /// Branches and tags, and what they stood for.
    fn references(&self) -> Result<Vec<(String, String)>, HubError> {
        let root = self.path.join("refs");
        let mut found = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for name in names(&root.join(&folder))? {
                let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                if root.join(&name).is_dir() {
                    folders.push(name);
                } else if let Some(commit) = self.read_reference(&name) {
                    found.push((name, commit));
                }
            }
        }
        Ok(found)
    }
}

/// The model and commit of a snapshot, from where it lies; `None` for any other directory.
pub(super) fn snapshot_of(directory: &Path) -> Option<(ModelId, String)> {
    let directory = directory.canonicalize().ok()?;
    let mut parts = directory.components().rev().map(Component::as_os_str);
    let commit = parts.next()?.to_str().filter(|commit| is_commit(commit))?;
    parts.next().filter(|name| *name == "snapshots")?;
    Some((id_of_folder(parts.next()?.to_str()?)?, commit.to_owned()))
}

fn id_of_folder(name: &str) -> Option<ModelId> {
    ModelId::new(&name.strip_prefix(MODELS)?.replacen("--", "/", 1)).ok()
}

/// Names in a folder that we can have given, in order; none where there is no folder.
fn names(folder: &Path) -> Result<Vec<String>, HubError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(file("read", folder)(error)),
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| is_part(name))
        .collect();
    names.sort();
    Ok(names)
}

/// Size of all files below a folder, links followed.
fn bytes(folder: &Path) -> Result<u64, HubError> {
    let mut sum = 0;
    for name in names(folder)? {
        let path = folder.join(name);
        sum += match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => bytes(&path)?,
            Ok(metadata) => metadata.len(),
            // A link whose blob is gone.
            Err(_) => 0,
        };
    }
    Ok(sum)
}

/// Puts what `make` makes in the place of `path` in one step, folders included.
fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // Its own name for each process and thread, beside the place it will have.
    let unique = format!("{}-{:?}.new", std::process::id(), std::thread::current().id());
    let new = path.with_added_extension(unique);
    make(&new)?;
    fs::rename(&new, path).inspect_err(|_| {
        let _gone = fs::remove_file(&new);
    })
}

#[cfg(unix)]
fn link(target: &Path, _blob: &Path, new: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, new)
}

/// Links need a privilege elsewhere; huggingface_hub copies there too.
#[cfg(not(unix))]
fn link(_target: &Path, blob: &Path, new: &Path) -> io::Result<()> {
    fs::copy(blob, new).map(drop)
}
