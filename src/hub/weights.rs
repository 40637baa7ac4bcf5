use std::io::{self, Read};
use std::path::Path;

use serde_json::{Map, Value};

use super::files::WEIGHTS;
use crate::engine::ModelFile;

/// A header of more than this is no safetensors file.
const HEADER_BYTES_MAX: u64 = 100 << 20;

/// What a `model.safetensors` holds, from its header.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Weights {
    /// Number formats, such as `F32`, each once.
    pub formats: Vec<String>,
    /// Numbers in all tensors.
    pub parameters: u64,
    /// Those of linear layers and words, which int8 keeps in one byte each.
    pub in_int8: u64,
}

// === impl Weights ===

impl Weights {
    /// Reads the header of the file in this model directory.
    ///
    /// # Errors
    /// There is no such file, or it is none of safetensors.
    pub fn read(directory: &Path) -> io::Result<Self> {
        let mut file = ModelFile::open(directory, WEIGHTS)?;
        let mut length = [0; 8];
        file.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        let mut header = Vec::new();
        file.take(length.min(HEADER_BYTES_MAX)).read_to_end(&mut header)?;
        let header: Map<String, Value> = serde_json::from_slice(&header)?;
        let mut weights = Self::default();
        for (name, tensor) in header.iter().filter(|(name, _)| *name != "__metadata__") {
            weights.add(name, tensor);
        }
        weights.formats.sort();
        weights.formats.dedup();
        Ok(weights)
    }

    /// Bytes in memory with float32.
    pub fn f32_bytes(&self) -> u64 {
        self.parameters.saturating_mul(4)
    }

    /// Bytes in memory with float16 or bfloat16, about: what normalises and the head stay float32.
    pub fn half_bytes(&self) -> u64 {
        self.parameters.saturating_mul(2)
    }

    /// Bytes in memory with int8, about: scales and what is kept for speed come on top.
    pub fn int8_bytes(&self) -> u64 {
        self.f32_bytes().saturating_sub(self.in_int8.saturating_mul(3))
    }

    fn add(&mut self, name: &str, tensor: &Value) {
        let sizes = tensor["shape"].as_array().into_iter().flatten().filter_map(Value::as_u64);
        let sizes: Vec<u64> = sizes.collect();
        let parameters = sizes.iter().fold(1_u64, |all, size| all.saturating_mul(*size));
        self.formats.extend(tensor["dtype"].as_str().map(str::to_owned));
        self.parameters = self.parameters.saturating_add(parameters);
        let is_word = name.contains("word_embeddings") || name.contains("tok_embeddings");
        if sizes.len() == 2 && (is_word || !name.contains("embedding")) {
            self.in_int8 = self.in_int8.saturating_add(parameters);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_what_is_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let header = r#"{"__metadata__": {"format": "pt"},
            "embeddings.position_embeddings.weight": {"dtype": "F16", "shape": [10, 4], "data_offsets": [0, 80]},
            "dense.weight": {"dtype": "F32", "shape": [4, 4], "data_offsets": [80, 144]},
            "dense.bias": {"dtype": "F32", "shape": [4], "data_offsets": [144, 160]},
            "embeddings.word_embeddings.weight": {"dtype": "F32", "shape": [5, 4], "data_offsets": [160, 240]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
        let weights = Weights::read(folder.path()).unwrap();
        assert_eq!(weights.formats, ["F16", "F32"]);
        assert_eq!((weights.parameters, weights.in_int8), (80, 36));
        assert_eq!((weights.f32_bytes(), weights.half_bytes()), (320, 160));
        assert_eq!(weights.int8_bytes(), 4 * 44 + 36);
    }

    #[test]
    fn a_file_that_is_none_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        Weights::read(folder.path()).unwrap_err();
        std::fs::write(folder.path().join("model.safetensors"), [0xff; 8]).unwrap();
        Weights::read(folder.path()).unwrap_err();
    }
}
