//! Whether a model's weights have room in memory.

use std::path::Path;

use serde_json::Value;

use super::{HubError, Weights};
use crate::engine::{Memory, Precision, shown};

/// How a model is to be run, and the memory there is for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// In which its weights are held.
    pub precision: Precision,
    /// What there is.
    pub memory: Memory,
}

// === impl Demand ===

impl Demand {
    /// Checks the weights of this directory.
    ///
    /// # Errors
    /// [`HubError::NoMemory`].
    pub fn check(&self, directory: &Path) -> Result<(), HubError> {
        // What is wrong with the file is told when it is loaded.
        let Ok(weights) = Weights::read(directory) else { return Ok(()) };
        let [f32, int8] = [weights.f32_bytes(), weights.int8_bytes()];
        self.check_bytes(&shown(directory).to_string(), self.of(f32, int8))
    }

    /// Checks weights that are not here yet, by the size of their file and what `config.json` says of them.
    pub(super) fn check_announced(
        &self,
        model: &str,
        bytes: u64,
        config: &Value,
    ) -> Result<(), HubError> {
        let [f32, int8] = announced(bytes, config);
        self.check_bytes(model, self.of(f32, int8))
    }

    fn of(&self, f32: u64, int8: u64) -> u64 {
        match self.precision {
            Precision::F32 => f32,
            Precision::F16 | Precision::Bf16 => f32 / 2,
            Precision::Int8 => int8,
        }
    }

    /// More than there is never works. What stands beside the weights (tokenizer, activations, buffers) is about a
    /// quarter of them at most.
    fn check_bytes(&self, model: &str, weights: u64) -> Result<(), HubError> {
        let Self { precision, memory: Memory { total, free } } = *self;
        if weights > total {
            return Err(HubError::NoMemory {
                model: model.to_owned(),
                precision: precision.to_string(),
                needed_mb: weights.div_ceil(1_000_000),
                total_mb: total / 1_000_000,
            });
        }
        let needed = weights.saturating_add(weights / 4);
        if needed > free {
            tracing::warn!(
                model,
                %precision,
                needed_mb = needed.div_ceil(1_000_000),
                free_mb = free / 1_000_000,
                "memory is tight: the model may need more than is free"
            );
        }
        Ok(())
    }
}

/// Bytes in memory with f32 and with int8, about, of a file of so many bytes.
fn announced(bytes: u64, config: &Value) -> [u64; 2] {
    let text = |field: &str| config[field].as_str();
    if !config["quantization_config"].is_null() {
        return [bytes, bytes];
    }
    let parameters = match text("dtype").or_else(|| text("torch_dtype")) {
        Some("float16" | "bfloat16") => bytes / 2,
        _ => bytes / 4,
    };
    [parameters.saturating_mul(4), parameters]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    fn demand(precision: Precision, total: u64) -> Demand {
        Demand { precision, memory: Memory { total, free: total / 2 } }
    }

    #[test]
    fn weights_that_are_announced_take_what_their_format_and_precision_come_to() {
        let of = |config: Value| announced(100 * MB, &config);
        let json = |dtype: &str| serde_json::json!({"dtype": dtype});
        assert_eq!(of(json("float32")), [100 * MB, 25 * MB]);
        assert_eq!(of(json("bfloat16")), [200 * MB, 50 * MB]);
        assert_eq!(of(Value::Null), [100 * MB, 25 * MB]);
        let old = serde_json::json!({"torch_dtype": "float16"});
        assert_eq!(of(old), [200 * MB, 50 * MB]);
        let stored = serde_json::json!({"quantization_config": {"quant_method": "crossrank-int8"}});
        assert_eq!(of(stored), [100 * MB, 100 * MB]);
    }

    #[test]
    fn what_exceeds_all_memory_is_an_error_with_both_figures() {
        let config = serde_json::json!({"dtype": "float32"});
        let check =
            |precision, total| demand(precision, total).check_announced("a/b", 100 * MB, &config);
        let error = check(Precision::F32, 99 * MB).unwrap_err().to_string();
        for part in ["a/b", "100 MB", "f32", "99 MB", "smaller model"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(check(Precision::F32, 100 * MB).is_ok(), "tight, which is told and not refused");
        assert!(check(Precision::Int8, 99 * MB).is_ok());
        assert!(check(Precision::Int8, 24 * MB).is_err());
    }

    #[test]
    fn a_directory_is_checked_by_what_its_file_holds() {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("model/fixtures/tiny-bert");
        let weights = Weights::read(&model).unwrap();
        assert!(weights.int8_bytes() < weights.f32_bytes());
        for (precision, bytes) in
            [(Precision::F32, weights.f32_bytes()), (Precision::Int8, weights.int8_bytes())]
        {
            assert!(demand(precision, bytes).check(&model).is_ok());
            let error = demand(precision, bytes - 1).check(&model).unwrap_err().to_string();
            assert!(error.contains("tiny-bert"), "{error}");
        }
        assert!(demand(Precision::F32, 1).check(Path::new("/nowhere")).is_ok());
    }
}
