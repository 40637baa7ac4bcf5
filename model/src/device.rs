use std::fmt;
use std::str::FromStr;

use burn::tensor::Device as BurnDevice;

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

/// Number format of weights and activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// IEEE single precision.
    F32,
}

/// An opened backend, ready to hold a model. Clones are the same device.
#[derive(Clone, Debug)]
pub struct Device {
    backend: Backend,
    name: String,
    inner: BurnDevice,
}

/// A backend that cannot be had. Nothing stands in for it.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The name is none of ours.
    #[error("backend \"{0}\" does not exist; there are flex, ndarray and wgpu")]
    UnknownBackend(String),
    /// The number format is none that is available.
    #[error("precision \"{0}\" is not available; only f32 is")]
    UnknownPrecision(String),
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

// === impl Precision ===

impl Precision {
    /// All precisions.
    pub const ALL: [Self; 1] = [Self::F32];
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
        })
    }
}

impl FromStr for Precision {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        Self::ALL
            .into_iter()
            .find(|precision| precision.to_string() == name)
            .ok_or_else(|| DeviceError::UnknownPrecision(name.to_owned()))
    }
}

// === impl Device ===

impl Device {
    /// Opens the device of a backend: the CPU, or the best GPU that the driver offers.
    ///
    /// A software renderer counts as a GPU when the driver offers nothing else; [`Device::name`] says so.
    pub fn open(backend: Backend) -> Result<Self, DeviceError> {
        match backend {
            Backend::Flex => open_flex(),
            Backend::NdArray => open_ndarray(),
            Backend::Wgpu => open_wgpu(),
        }
    }

    /// What computes.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// For people, such as `CPU (flex)` or `NVIDIA L4 (wgpu, Vulkan)`.
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// Operations that one core could do in a second at most, a multiplication and an addition
    /// counted as two: measured, with the widest instruction for this precision. `None` where it is
    /// not known how to measure that.
    pub fn peak_ops_per_s(&self, precision: Precision) -> Option<f64> {
        match (self.backend, precision) {
            (Backend::Flex | Backend::NdArray | Backend::Wgpu, Precision::F32) => None,
        }
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
    fn cpu(backend: Backend, inner: BurnDevice) -> Self {
        Self { backend, name: format!("CPU ({backend})"), inner }
    }
}

fn compiled_names() -> String {
    let names: Vec<_> =
        Backend::ALL.iter().filter(|b| b.compiled()).map(Backend::to_string).collect();
    names.join(", ")
}

#[cfg(feature = "flex")]
fn open_flex() -> Result<Device, DeviceError> {
    Ok(Device::cpu(Backend::Flex, BurnDevice::flex()))
}

#[cfg(not(feature = "flex"))]
fn open_flex() -> Result<Device, DeviceError> {
    Err(DeviceError::NotCompiled(Backend::Flex))
}

#[cfg(feature = "ndarray")]
fn open_ndarray() -> Result<Device, DeviceError> {
    #[expect(deprecated, reason = "kept as an oracle beside flex, and for those who ask for it")]
    let inner = BurnDevice::ndarray();
    Ok(Device::cpu(Backend::NdArray, inner))
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
impl Device {
    pub(crate) fn gpu(name: String, inner: BurnDevice) -> Self {
        Self { backend: Backend::Wgpu, name, inner }
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
    fn only_f32_is_available() {
        assert_eq!("f32".parse::<Precision>().unwrap(), Precision::F32);
        for name in ["f16", "bf16", "int8", "F32", ""] {
            let error = name.parse::<Precision>().unwrap_err().to_string();
            assert!(error.ends_with("only f32 is"), "{error}");
        }
    }

    #[test]
    fn a_backend_that_is_not_compiled_in_is_an_error() {
        for backend in Backend::ALL.into_iter().filter(|backend| !backend.compiled()) {
            let error = Device::open(backend).unwrap_err().to_string();
            assert!(error.contains("not compiled in; build with `--features"), "{error}");
        }
    }
}
