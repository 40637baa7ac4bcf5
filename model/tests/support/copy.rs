//! Copies of a fixture, to be broken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::fixture;

/// A tensor as the file holds it.
pub(crate) type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

/// A model directory that a test may change.
pub(crate) struct Copy {
    _keep: tempfile::TempDir,
    pub(crate) dir: PathBuf,
}

// === impl Copy ===

impl Copy {
    /// Of a fixture.
    pub(crate) fn of(name: &str) -> Self {
        let keep = tempfile::tempdir().unwrap();
        let dir = keep.path().join("a-model");
        copy_all(&fixture(name), &dir);
        Self { _keep: keep, dir }
    }

    /// Changes a file's bytes.
    pub(crate) fn edit(self, file: &str, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let path = self.dir.join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(path, bytes).unwrap();
        self
    }

    pub(crate) fn edit_json(self, file: &str, change: impl FnOnce(&mut serde_json::Value)) -> Self {
        self.edit(file, |bytes| {
            let mut value = serde_json::from_slice(bytes).unwrap();
            change(&mut value);
            *bytes = serde_json::to_vec(&value).unwrap();
        })
    }

    pub(crate) fn edit_tensors(self, change: impl FnOnce(&mut Tensors)) -> Self {
        self.edit("model.safetensors", |bytes| {
            let file = SafeTensors::deserialize(bytes).unwrap();
            let mut tensors: Tensors = file
                .iter()
                .map(|(name, t)| {
                    (name.to_owned(), (t.dtype(), t.shape().to_vec(), t.data().to_vec()))
                })
                .collect();
            change(&mut tensors);
            let views = tensors.iter().map(|(name, (dtype, shape, data))| {
                (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
            });
            *bytes = safetensors::serialize(views, None).unwrap();
        })
    }

    /// Takes a file away.
    pub(crate) fn remove(self, file: &str) -> Self {
        std::fs::remove_file(self.dir.join(file)).unwrap();
        self
    }
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let copy = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &copy);
        } else {
            std::fs::copy(entry.path(), copy).unwrap();
        }
    }
}

/// The error and its sources, one after the other, say each of `parts`.
#[track_caller]
pub(crate) fn says(error: &dyn std::error::Error, dir: &Path, parts: &[&str]) {
    let chain: Vec<String> =
        std::iter::successors(Some(error), |e| e.source()).map(|e| e.to_string()).collect();
    let message = chain.join(": ").replace(&format!("{}/", dir.display()), "");
    for part in parts {
        assert!(message.contains(part), "\"{message}\" lacks \"{part}\"");
    }
}
