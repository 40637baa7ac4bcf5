use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensorError};

use crate::files::{self, FileError, ModelFile};
use crate::precision::Precision;

/// The file's own limit on its header, in bytes.
const HEADER_MAX: u64 = 100_000_000;
/// Bytes of a tensor that are read at a time: a table of embeddings need not be in memory twice.
const READ_BYTES: usize = 1 << 20;

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
    /// A tensor holds a number that the precision has no room for.
    #[error("{}: tensor {name} holds {value:e}, which {precision} has no room for; choose precision f32", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The number.
        value: f32,
        /// What was asked for.
        precision: Precision,
    },
}

/// A safetensors file from which every tensor is taken exactly once.
pub(crate) struct Weights {
    path: PathBuf,
    file: Option<ModelFile>,
    /// Where the tensors begin.
    start: u64,
    left: BTreeMap<String, TensorInfo>,
    /// What the numbers have to fit.
    precision: Precision,
    absent: Option<Absent>,
}

/// Gives a tensor that the file lacks, by its name and shape, or leaves it missing.
pub(crate) type Absent = Box<dyn FnMut(&str, &[usize]) -> Option<Vec<f32>>>;

// === impl Weights ===

impl Weights {
    /// Reads the header of a model directory's weight file.
    pub(crate) fn open(dir: &Path) -> Result<Self, WeightsError> {
        let (path, mut file) = files::open(dir, files::WEIGHTS)?;
        match header(&mut file) {
            Ok((start, header)) => {
                let owned = |(name, info): (String, &TensorInfo)| (name, info.clone());
                let left = header.tensors().into_iter().map(owned).collect();
                let (file, precision) = (Some(file), Precision::F32);
                Ok(Self { path, file, start, left, precision, absent: None })
            }
            Err(source) => Err(WeightsError::Corrupt { path, source }),
        }
    }

    /// Those of a model that has none yet.
    #[cfg(feature = "train")]
    pub(crate) fn none(dir: &Path) -> Self {
        let (path, left) = (dir.join(files::WEIGHTS), BTreeMap::new());
        Self { path, file: None, start: 0, left, precision: Precision::F32, absent: None }
    }

    /// Names of the tensors that nobody took.
    #[cfg(feature = "train")]
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.left.keys().map(String::as_str)
    }

    /// Calls each tensor what `name` makes of its name, and drops those of which it makes nothing.
    #[cfg(feature = "train")]
    pub(crate) fn renamed(mut self, name: impl Fn(&str) -> Option<String>) -> Self {
        let renamed = |(old, info): (String, TensorInfo)| name(&old).map(|name| (name, info));
        self.left = self.left.into_iter().filter_map(renamed).collect();
        self
    }

    /// Takes what is missing from `absent`.
    #[cfg(feature = "train")]
    pub(crate) fn completed_by(self, absent: Absent) -> Self {
        Self { absent: Some(absent), ..self }
    }

    /// Refuses numbers that `precision` has no room for.
    pub(crate) fn fitting(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// Takes a tensor, row-major.
    pub(crate) fn take<const D: usize>(
        &mut self,
        name: &str,
        expected: [usize; D],
    ) -> Result<Vec<f32>, WeightsError> {
        if let (false, Some(absent)) = (self.left.contains_key(name), &mut self.absent)
            && let Some(values) = absent(name, &expected)
        {
            return Ok(values);
        }
        let info = self.info(name, &expected)?;
        let values = match info.dtype {
            Dtype::F32 => self.read(&info, f32::from_le_bytes)?,
            Dtype::F16 => self.read(&info, |bytes| f16::from_le_bytes(bytes).to_f32())?,
            Dtype::BF16 => self.read(&info, |bytes| bf16::from_le_bytes(bytes).to_f32())?,
            other => return Err(self.dtype(name, other, "F32, F16, BF16")),
        };
        let largest = match self.precision {
            Precision::F32 | Precision::Int8 => f32::MAX,
            Precision::F16 => f16::MAX.to_f32(),
            Precision::Bf16 => bf16::MAX.to_f32(),
        };
        let outside = values.iter().find(|value| value.is_nan() || value.abs() > largest);
        let (path, name) = (self.path.clone(), name.to_owned());
        match outside.copied() {
            None => Ok(values),
            Some(value) if value.is_finite() => {
                Err(WeightsError::TooLarge { path, name, value, precision: self.precision })
            }
            Some(_) => Err(WeightsError::NotFinite { path, name }),
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
        let info = self.info(name, &expected)?;
        match info.dtype {
            Dtype::I8 => self.read(&info, i8::from_le_bytes),
            other => Err(self.dtype(name, other, "I8")),
        }
    }

    /// Whether the file has this tensor in int8.
    pub(crate) fn is_int8(&self, name: &str) -> bool {
        self.left.get(name).is_some_and(|info| info.dtype == Dtype::I8)
    }

    /// The error for a tensor that should equal another.
    pub(crate) fn unequal(&self, name: String, first: String) -> WeightsError {
        WeightsError::Unequal { path: self.path.clone(), name, first }
    }

    /// What the header says of a tensor that is taken now.
    fn info(&mut self, name: &str, expected: &[usize]) -> Result<TensorInfo, WeightsError> {
        let (path, name) = (self.path.clone(), name.to_owned());
        match self.left.remove(&name) {
            None => Err(WeightsError::Missing { path, name, expected: expected.to_vec() }),
            Some(info) if info.shape != expected => {
                let (actual, expected) = (info.shape, expected.to_vec());
                Err(WeightsError::Shape { path, name, actual, expected })
            }
            Some(info) => Ok(info),
        }
    }

    fn read<const N: usize, T>(
        &mut self,
        info: &TensorInfo,
        convert: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, WeightsError> {
        let (first, end) = info.data_offsets;
        let mut values = Vec::with_capacity((end - first) / N);
        let mut left = end - first;
        let mut piece = vec![0; left.min(READ_BYTES)];
        let mut fill = |file: &mut ModelFile| -> io::Result<()> {
            file.seek(SeekFrom::Start(self.start + first as u64))?;
            while left > 0 {
                let piece = &mut piece[..left.min(READ_BYTES)];
                file.read_exact(piece)?;
                values.extend(piece.as_chunks().0.iter().map(|bytes| convert(*bytes)));
                left -= piece.len();
            }
            Ok(())
        };
        let file = self.file.as_mut().expect("a tensor is in a file");
        match fill(file) {
            Ok(()) => Ok(values),
            Err(source) => {
                let path = self.path.clone();
                Err(WeightsError::File(FileError::Unreadable { path, source }))
            }
        }
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
        let there = !self.left.contains_key(name) && self.left.contains_key(old_name);
        self.take(if there { old_name } else { name }, expected)
    }

    /// Refuses tensors that nobody took, except those named in `ignored`.
    pub(crate) fn finish(mut self, ignored: &[String]) -> Result<(), WeightsError> {
        self.left.retain(|name, _| !ignored.contains(name));
        match self.left.keys().next() {
            None => Ok(()),
            Some(first) => Err(WeightsError::Unused {
                path: self.path,
                count: self.left.len(),
                first: first.clone(),
            }),
        }
    }
}

/// Where the tensors begin, and what they are.
fn header(file: &mut ModelFile) -> Result<(u64, Metadata), SafeTensorError> {
    let whole = file.size_bytes()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|_| SafeTensorError::HeaderTooSmall)?;
    let length = u64::from_le_bytes(length);
    if length > HEADER_MAX {
        return Err(SafeTensorError::HeaderTooLarge);
    }
    let mut text = Vec::new();
    file.take(length).read_to_end(&mut text)?;
    if text.len() as u64 != length {
        return Err(SafeTensorError::InvalidHeaderLength);
    }
    let header: Metadata =
        serde_json::from_slice(&text).map_err(SafeTensorError::InvalidHeaderDeserialization)?;
    let start = 8 + length;
    if start.checked_add(header.data_len() as u64) != Some(whole) {
        return Err(SafeTensorError::MetadataIncompleteBuffer);
    }
    Ok((start, header))
}

fn dims(shape: &[usize]) -> String {
    format!("{shape:?}")
}
