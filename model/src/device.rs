use std::fmt;
use std::str::FromStr;

use burn::tensor::{Device as BurnDevice, FloatDType};

use crate::kernels::cpu::{self, InstructionSet, Isa};
use crate::precision::{Precision, PrecisionError, Support};

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// burn-flex: the CPU default.
    Flex,
    /// burn-ndarray: deprecated upstream, kept as an oracle and for those who ask for it.
    NdArray,
    /// burn-wgpu: Vulkan, Metal or DX12.
    Wgpu,
}

/// An opened backend, ready to hold a model. Clones are the same device.
#[derive(Clone, Debug)]
pub struct Device {
    backend: Backend,
    name: String,
    inner: BurnDevice,
    kernels: Option<Isa>,
    /// What weights and activations are kept in, where no kernels compute.
    floats: FloatDType,
}

/// Which kernels compute on a CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kernels {
    /// The fastest that this processor has; none on backends without kernels.
    #[default]
    Auto,
    /// None: plain burn operations.
    Off,
    /// Those of this instruction set.
    For(InstructionSet),
}

/// A backend that cannot be had. Nothing stands in for it.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The name is none of ours.
    #[error("backend \"{0}\" does not exist; there are flex, ndarray and wgpu")]
    UnknownBackend(String),
    /// The number format is none of ours.
    #[error("precision \"{0}\" does not exist; there are f32, f16, bf16 and int8")]
    UnknownPrecision(String),
    /// The kernels' name is none of ours.
    #[error("kernels \"{0}\" do not exist; there are auto, off, {sets}", sets = sets(&InstructionSet::ALL))]
    UnknownKernels(String),
    /// The processor lacks the instructions.
    #[error(
        "this processor cannot run kernels {0}; it has {has}; leave the choice to auto",
        has = sets(&InstructionSet::available().collect::<Vec<_>>())
    )]
    NoInstructions(InstructionSet),
    /// The backend computes by itself.
    #[error("backend {backend} has no kernels {set}; choose backend flex, or kernels auto")]
    NoKernels {
        /// What computes.
        backend: Backend,
        /// What was asked for.
        set: InstructionSet,
    },
    /// This build lacks the backend.
    #[error(
        "backend {0} is not compiled in; build with `--features {0}`, or choose one of: {compiled}",
        compiled = compiled_names()
    )]
    NotCompiled(Backend),
    /// No graphics driver offers a device.
    #[error(
        "no device for backend wgpu: {reason}; install the GPU maker's driver for {api} (on Linux also \
         the loader, libvulkan1), or choose backend flex"
    )]
    NoAdapter {
        /// What was looked for.
        api: &'static str,
        /// What the graphics layer says.
        reason: String,
    },
    /// The device was opened but does not compute.
    #[error(
        "device {name} does not compute as it should: {reason}; update its driver, or choose backend flex"
    )]
    Unusable {
        /// The device.
        name: String,
        /// What the graphics layer says.
        reason: String,
    },
}

// === impl Backend ===

impl Backend {
    /// All backends, compiled in or not.
    pub const ALL: [Self; 3] = [Self::Flex, Self::NdArray, Self::Wgpu];

    /// Whether this build has it.
    pub const fn compiled(self) -> bool {
        match self {
            Self::Flex => cfg!(feature = "flex"),
            Self::NdArray => cfg!(feature = "ndarray"),
            Self::Wgpu => cfg!(feature = "wgpu"),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flex => "flex",
            Self::NdArray => "ndarray",
            Self::Wgpu => "wgpu",
        })
    }
}

impl FromStr for Backend {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        Self::ALL
            .into_iter()
            .find(|backend| backend.to_string() == name)
            .ok_or_else(|| DeviceError::UnknownBackend(name.to_owned()))
    }
}

// === impl Kernels ===

impl fmt::Display for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Off => f.write_str("off"),
            Self::For(set) => set.fmt(f),
        }
    }
}

impl FromStr for Kernels {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        let sets = InstructionSet::ALL.into_iter().map(Self::For);
        [Self::Auto, Self::Off]
            .into_iter()
            .chain(sets)
            .find(|kernels| kernels.to_string() == name)
            .ok_or_else(|| DeviceError::UnknownKernels(name.to_owned()))
    }
}

// === impl Device ===

impl Device {
    /// Opens the device of a backend: the CPU, or the best GPU that the driver offers.
    ///
    /// A software renderer counts as a GPU when the driver offers nothing else; [`Device::name`] says so.
    pub fn open(backend: Backend) -> Result<Self, DeviceError> {
        Self::open_with(backend, Kernels::Auto)
    }

    /// As [`Device::open`], with a choice of kernels.
    pub fn open_with(backend: Backend, kernels: Kernels) -> Result<Self, DeviceError> {
        match backend {
            Backend::Flex => open_flex(chosen(kernels)?),
            Backend::NdArray | Backend::Wgpu => {
                if let Kernels::For(set) = kernels {
                    return Err(DeviceError::NoKernels { backend, set });
                }
                if backend == Backend::NdArray { open_ndarray() } else { open_wgpu() }
            }
        }
    }

    /// What computes.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Whether kernels of our own compute, rather than plain burn operations.
    pub fn has_kernels(&self) -> bool {
        self.kernels.is_some()
    }

    /// What the kernels are called that compute, such as `avx512-vnni`; `None` where none do.
    pub fn kernels_name(&self) -> Option<String> {
        self.kernels.map(|isa| format!("{isa:?}"))
    }

    /// The kernels that compute, where any do.
    pub(crate) fn kernels(&self) -> Option<Isa> {
        self.kernels
    }

    /// Operations per second of one core, multiplication and addition counted as two, as fast as its widest
    /// instruction goes on registers alone. Measured on the calling thread, in a fifth of a second. `None` for a GPU.
    pub fn peak_ops_per_s(&self, precision: Precision) -> Option<f64> {
        match self.backend {
            Backend::Flex | Backend::NdArray => {
                let isa = self.kernels.unwrap_or_else(Isa::best);
                Some(cpu::operations_per_second(isa, precision == Precision::Int8))
            }
            Backend::Wgpu => None,
        }
    }

    /// For people, such as `CPU (flex, avx512-vnni)` or `NVIDIA L4 (wgpu, Vulkan)`.
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// Whether it computes in `precision`: what [`crate::CrossEncoder::load`] asks before all else.
    ///
    /// # Errors
    /// It does not; the error says what to choose instead.
    pub fn computes_in(&self, precision: Precision) -> Result<(), PrecisionError> {
        let floats = precision.floats();
        match precision.support(self.backend) {
            Support::Always => Ok(()),
            Support::Never => Err(PrecisionError::OnCpu { backend: self.backend, precision }),
            Support::WhereOffered if self.inner.supports_dtype(floats) => proven(self, floats),
            Support::WhereOffered => Err(match precision {
                Precision::Bf16 => PrecisionError::NoBf16(self.name()),
                Precision::F16 | Precision::F32 | Precision::Int8 => {
                    PrecisionError::NoF16(self.name())
                }
            }),
        }
    }

    /// The same device, which keeps what it computes in `precision`.
    pub(crate) fn keeping(&self, precision: Precision) -> Self {
        Self { floats: precision.floats(), ..self.clone() }
    }

    /// The same device, on which operations have derivatives.
    #[cfg(feature = "train")]
    pub(crate) fn differentiating(self) -> Self {
        Self { inner: self.inner.clone().autodiff(), ..self }
    }

    /// What weights and activations are kept in, where no kernels compute.
    pub(crate) fn floats(&self) -> FloatDType {
        self.floats
    }

    /// Lengths that attention pads up to a multiple of. On a CPU every pair is computed on its own, so
    /// padding buys nothing; a GPU wants few launches.
    pub(crate) fn attention_step(&self) -> usize {
        match self.backend {
            Backend::Flex | Backend::NdArray => 1,
            Backend::Wgpu => 32,
        }
    }

    pub(crate) fn burn(&self) -> &BurnDevice {
        &self.inner
    }

    #[cfg(any(feature = "flex", feature = "ndarray"))]
    fn cpu(backend: Backend, inner: BurnDevice, kernels: Option<Isa>) -> Self {
        let name = match kernels {
            Some(isa) => format!("CPU ({backend}, {isa:?})"),
            None => format!("CPU ({backend})"),
        };
        Self { backend, name, inner, kernels, floats: FloatDType::F32 }
    }
}

fn chosen(kernels: Kernels) -> Result<Option<Isa>, DeviceError> {
    match kernels {
        Kernels::Auto => Ok(Some(Isa::best())),
        Kernels::Off => Ok(None),
        Kernels::For(set) => Isa::of(set).map(Some).ok_or(DeviceError::NoInstructions(set)),
    }
}

fn sets(sets: &[InstructionSet]) -> String {
    sets.iter().map(InstructionSet::to_string).collect::<Vec<_>>().join(", ")
}

fn compiled_names() -> String {
    let names: Vec<_> =
        Backend::ALL.iter().filter(|b| b.compiled()).map(Backend::to_string).collect();
    names.join(", ")
}

#[cfg(feature = "flex")]
fn open_flex(kernels: Option<Isa>) -> Result<Device, DeviceError> {
    Ok(Device::cpu(Backend::Flex, BurnDevice::flex(), kernels))
}

#[cfg(not(feature = "flex"))]
fn open_flex(_kernels: Option<Isa>) -> Result<Device, DeviceError> {
    Err(DeviceError::NotCompiled(Backend::Flex))
}

#[cfg(feature = "ndarray")]
fn open_ndarray() -> Result<Device, DeviceError> {
    #[expect(deprecated, reason = "kept as an oracle beside flex, and for those who ask for it")]
    let inner = BurnDevice::ndarray();
    Ok(Device::cpu(Backend::NdArray, inner, None))
}

#[cfg(not(feature = "ndarray"))]
fn open_ndarray() -> Result<Device, DeviceError> {
    Err(DeviceError::NotCompiled(Backend::NdArray))
}

#[cfg(feature = "wgpu")]
fn open_wgpu() -> Result<Device, DeviceError> {
    crate::gpu::open()
}

#[cfg(not(feature = "wgpu"))]
fn open_wgpu() -> Result<Device, DeviceError> {
    Err(DeviceError::NotCompiled(Backend::Wgpu))
}

#[cfg(feature = "wgpu")]
fn proven(device: &Device, floats: FloatDType) -> Result<(), PrecisionError> {
    Ok(crate::gpu::proven(device, floats)?)
}

#[cfg(not(feature = "wgpu"))]
fn proven(_device: &Device, _floats: FloatDType) -> Result<(), PrecisionError> {
    Err(DeviceError::NotCompiled(Backend::Wgpu).into())
}

#[cfg(feature = "wgpu")]
impl Device {
    pub(crate) fn gpu(name: String, inner: BurnDevice) -> Self {
        Self { backend: Backend::Wgpu, name, inner, kernels: None, floats: FloatDType::F32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_backends_are_one_to_one() {
        for backend in Backend::ALL {
            assert_eq!(backend.to_string().parse::<Backend>().unwrap(), backend);
        }
        let error = "cuda".parse::<Backend>().unwrap_err().to_string();
        assert_eq!(error, "backend \"cuda\" does not exist; there are flex, ndarray and wgpu");
    }

    #[test]
    fn kernels_are_chosen_by_name_or_refused_with_what_there_is() {
        for name in ["auto", "off", "avx512-vnni", "avx512", "avx2", "neon", "portable"] {
            assert_eq!(name.parse::<Kernels>().unwrap().to_string(), name);
        }
        let error = "sse9".parse::<Kernels>().unwrap_err().to_string();
        assert!(error.ends_with("there are auto, off, avx512-vnni, avx512, avx2, neon, portable"));
        let missing = InstructionSet::ALL.into_iter().find(|set| Isa::of(*set).is_none());
        let missing = missing.expect("no processor is both x86 and ARM");
        let error = chosen(Kernels::For(missing)).unwrap_err().to_string();
        assert!(error.contains(&format!("cannot run kernels {missing}; it has")), "{error}");
        let refused = Device::open_with(Backend::NdArray, Kernels::For(InstructionSet::Portable));
        let error = refused.unwrap_err().to_string();
        assert!(error.starts_with("backend ndarray has no kernels portable"), "{error}");
    }

    #[test]
    fn a_backend_that_is_not_compiled_in_is_an_error() {
        for backend in Backend::ALL.into_iter().filter(|backend| !backend.compiled()) {
            let error = Device::open(backend).unwrap_err().to_string();
            assert!(error.contains("not compiled in; build with `--features"), "{error}");
        }
    }
}
