//! The model that ships inside: the files of `default/`, in the program itself.

use std::path::Path;

/// What answers call it.
pub(crate) const NAME: &str = "crossrank-bundled";

/// Where its files seem to lie. No file of any system has a NUL in its name, so neither is taken for the other.
const DIRECTORY: &str = "crossrank-bundled\0";

/// Its files, under the names that a model directory gives them.
#[cfg(feature = "bundled")]
const FILES: &[(&str, &[u8])] = &[
    ("config.json", include_bytes!("../default/config.json")),
    ("tokenizer.json", include_bytes!("../default/tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../default/tokenizer_config.json")),
    ("model.safetensors", include_bytes!("../default/model.safetensors")),
    ("README.md", include_bytes!("../default/MODEL_CARD.md")),
];
#[cfg(not(feature = "bundled"))]
const FILES: &[(&str, &[u8])] = &[];

/// The model that ships inside, for whatever takes a model directory; `None` where the build left it out (feature
/// `bundled`). Nothing of it is on a disk: [`crate::ModelFile`] reads its files, and [`crate::shown`] tells its name.
pub fn bundled() -> Option<&'static Path> {
    (!FILES.is_empty()).then(|| Path::new(DIRECTORY))
}

/// Whether this stands for the files of this module, rather than for a directory.
pub(crate) fn is_bundled(dir: &Path) -> bool {
    dir.as_os_str() == DIRECTORY
}

/// One of its files.
pub(crate) fn file(name: &Path) -> Option<&'static [u8]> {
    FILES.iter().find(|(own, _)| name.as_os_str() == *own).map(|(_, content)| *content)
}
