use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use crate::files::FileError;

/// A weight file that does not hold what its config.json promises.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be had.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is truncated, corrupt, or of another format.
    #[error("{} is not a whole safetensors file; download it again", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where it breaks.
        #[source]
        source: SafeTensorError,
    },
    /// A tensor is absent.
    #[error("{}: tensor {name} {} is missing", .path.display(), dims(.expected))]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The shape that config.json asks for.
        expected: Vec<usize>,
    },
    /// Tensors are there that the network has no use for.
    #[error("{}: {count} tensors that this architecture does not use, first {first}", .path.display())]
    Unused {
        /// The file.
        path: PathBuf,
        /// How many.
        count: usize,
        /// The first by name.
        first: String,
    },
    /// A tensor has another shape than config.json says.
    #[error("{}: tensor {name} is {}; config.json asks for {}", .path.display(), dims(.actual), dims(.expected))]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What the file holds.
        actual: Vec<usize>,
        /// What config.json asks for.
        expected: Vec<usize>,
    },
    /// A tensor has a number format that is not read.
    #[error("{}: tensor {name} is {actual}; supported: {supported}", .path.display())]
    Dtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What the file holds.
        actual: String,
        /// What it may hold.
        supported: &'static str,
    },
    /// A tensor of steps or factors holds a number that is not above 0.
    #[error("{}: tensor {name} holds a value that is not above 0; quantize the model again", .path.display())]
    NotPositive {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// Layers that read the same input scale it differently.
    #[error("{}: tensors {name} and {first} differ; quantize the model again", .path.display())]
    Unequal {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The one that it should equal.
        first: String,
    },
    /// A tensor holds infinity or not-a-number, which would reach every score.
    #[error("{}: tensor {name} holds a value that is not finite; download or convert it again", .path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
}

/// A safetensors file from which every tensor is taken exactly once, as float32.
pub(crate) struct Weights<'a> {
    path: PathBuf,
    file: SafeTensors<'a>,
    left: BTreeSet<String>,
}

// === impl Weights ===

impl<'a> Weights<'a> {
    /// Reads the header of the file that was at `path`.
    pub(crate) fn parse(path: &Path, bytes: &'a [u8]) -> Result<Self, WeightsError> {
        let file = SafeTensors::deserialize(bytes)
            .map_err(|source| WeightsError::Corrupt { path: path.to_path_buf(), source })?;
        let left = file.names().into_iter().map(str::to_owned).collect();
        Ok(Self { path: path.to_path_buf(), file, left })
    }

    /// Takes a tensor, row-major.
    pub(crate) fn take<const D: usize>(
        &mut self,
        name: &str,
        expected: [usize; D],
    ) -> Result<Vec<f32>, WeightsError> {
        let view = self.view(name, &expected)?;
        let values = match view.dtype() {
            Dtype::F32 => floats(view.data(), f32::from_le_bytes),
            Dtype::F16 => floats(view.data(), |b| f16::from_le_bytes(b).to_f32()),
            Dtype::BF16 => floats(view.data(), |b| bf16::from_le_bytes(b).to_f32()),
            other => return Err(self.dtype(name, other, "F32, F16, BF16")),
        };
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => {
                Err(WeightsError::NotFinite { path: self.path.clone(), name: name.to_owned() })
            }
        }
    }

    /// As [`Weights::take`], for steps and factors, which are above 0.
    pub(crate) fn take_positive<const D: usize>(
        &mut self,
        name: &str,
        expected: [usize; D],
    ) -> Result<Vec<f32>, WeightsError> {
        let values = self.take(name, expected)?;
        match values.iter().all(|value| *value > 0.0) {
            true => Ok(values),
            false => {
                Err(WeightsError::NotPositive { path: self.path.clone(), name: name.to_owned() })
            }
        }
    }

    /// Takes a tensor of int8, row-major.
    pub(crate) fn take_int8<const D: usize>(
        &mut self,
        name: &str,
        expected: [usize; D],
    ) -> Result<Vec<i8>, WeightsError> {
        let view = self.view(name, &expected)?;
        match view.dtype() {
            Dtype::I8 => Ok(view.data().iter().map(|byte| byte.cast_signed()).collect()),
            other => Err(self.dtype(name, other, "I8")),
        }
    }

    /// The error for a tensor that should equal another.
    pub(crate) fn unequal(&self, name: String, first: String) -> WeightsError {
        WeightsError::Unequal { path: self.path.clone(), name, first }
    }

    fn view(&mut self, name: &str, expected: &[usize]) -> Result<TensorView<'a>, WeightsError> {
        let (path, name) = (self.path.clone(), name.to_owned());
        if !self.left.remove(&name) {
            return Err(WeightsError::Missing { path, name, expected: expected.to_vec() });
        }
        let view = match self.file.tensor(&name) {
            Ok(view) => view,
            Err(source) => return Err(WeightsError::Corrupt { path, source }),
        };
        if view.shape() != expected {
            let (actual, expected) = (view.shape().to_vec(), expected.to_vec());
            return Err(WeightsError::Shape { path, name, actual, expected });
        }
        Ok(view)
    }

    fn dtype(&self, name: &str, actual: Dtype, supported: &'static str) -> WeightsError {
        let (path, name, actual) = (self.path.clone(), name.to_owned(), actual.to_string());
        WeightsError::Dtype { path, name, actual, supported }
    }

    /// Takes the first of two names that is there; if none is, the error names the first.
    pub(crate) fn take_either<const D: usize>(
        &mut self,
        name: &str,
        old_name: &str,
        expected: [usize; D],
    ) -> Result<Vec<f32>, WeightsError> {
        let there = !self.left.contains(name) && self.left.contains(old_name);
        self.take(if there { old_name } else { name }, expected)
    }

    /// Refuses tensors that nobody took, except those named in `ignored`.
    pub(crate) fn finish(mut self, ignored: &[&str]) -> Result<(), WeightsError> {
        self.left.retain(|name| !ignored.contains(&name.as_str()));
        match self.left.first() {
            None => Ok(()),
            Some(first) => Err(WeightsError::Unused {
                path: self.path,
                count: self.left.len(),
                first: first.clone(),
            }),
        }
    }
}

fn floats<const N: usize>(bytes: &[u8], convert: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().map(|chunk| convert(*chunk)).collect()
}

fn dims(shape: &[usize]) -> String {
    format!("{shape:?}")
}
