use std::io;
use std::path::PathBuf;

use tempfile::TempDir;

/// A folder that goes away with its owner.
pub(super) type Folder = TempDir;

/// The files of a tiny cross-encoder with random weights: enough to run, not to judge.
const FILES: [(&str, &[u8]); 3] = [
    ("config.json", include_bytes!("../../../model/fixtures/tiny-bert/config.json")),
    ("tokenizer.json", include_bytes!("../../../model/fixtures/tiny-bert/tokenizer.json")),
    ("model.safetensors", include_bytes!("../../../model/fixtures/tiny-bert/model.safetensors")),
];

/// The fixture's name, which ends up in every answer as the name of the model.
const NAME: &str = "tiny-bert";

/// Writes the fixture where a model is expected, into a directory of its name in the folder.
pub(super) fn unpack() -> io::Result<(Folder, PathBuf)> {
    let folder = tempfile::Builder::new().prefix("crossrank-demo-").tempdir()?;
    let model = folder.path().join(NAME);
    std::fs::create_dir(&model)?;
    for (name, content) in FILES {
        std::fs::write(model.join(name), content)?;
    }
    Ok((folder, model))
}
