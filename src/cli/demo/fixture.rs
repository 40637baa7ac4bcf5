use std::io;

use tempfile::TempDir;

/// A folder that goes away with its owner.
pub(super) type Folder = TempDir;

/// The files of a tiny cross-encoder with random weights: enough to run, not to judge.
const FILES: [(&str, &[u8]); 3] = [
    ("config.json", include_bytes!("../../../model/fixtures/tiny-bert/config.json")),
    ("tokenizer.json", include_bytes!("../../../model/fixtures/tiny-bert/tokenizer.json")),
    ("model.safetensors", include_bytes!("../../../model/fixtures/tiny-bert/model.safetensors")),
];

/// Writes the fixture where a model is expected: into a directory.
pub(super) fn unpack() -> io::Result<Folder> {
    let folder = tempfile::Builder::new().prefix("crossrank-demo-").tempdir()?;
    for (name, content) in FILES {
        std::fs::write(folder.path().join(name), content)?;
    }
    Ok(folder)
}
