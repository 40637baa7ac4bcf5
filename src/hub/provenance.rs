//! Where a copied model comes from, in a file beside it.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::file;
use super::name::is_commit;
use super::{HubError, ModelId, files};

const FILE: &str = "crossrank.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Provenance {
    id: String,
    revision: String,
    /// Of the content that this is said of: a model that was changed since is another one.
    sha256: String,
}

pub(super) fn write(directory: &Path, id: &ModelId, commit: &str) -> Result<(), HubError> {
    let provenance = Provenance {
        id: id.to_string(),
        revision: commit.to_owned(),
        sha256: files::sha256(directory)?,
    };
    let path = directory.join(FILE);
    let written = fs::File::create(&path).and_then(|written| {
        serde_json::to_writer_pretty(written, &provenance).map_err(std::io::Error::from)
    });
    written.map_err(file("write", path))
}

pub(super) fn read(directory: &Path) -> Option<(ModelId, String)> {
    let text = fs::read(directory.join(FILE)).ok()?;
    let Provenance { id, revision, sha256 } = serde_json::from_slice(&text).ok()?;
    let is_unchanged = files::sha256(directory).is_ok_and(|actual| actual == sha256);
    (is_unchanged && is_commit(&revision)).then_some(())?;
    Some((ModelId::new(&id).ok()?, revision))
}
