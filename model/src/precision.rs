use std::fmt;
use std::str::FromStr;

use burn::tensor::FloatDType;

use crate::device::{Backend, DeviceError};

/// Number format of weights and activations.
///
/// It is not that of the file: weights stored in float32, float16 or bfloat16 are converted when they are loaded. What
/// computes in what is [`Precision::support`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// IEEE single precision.
    F32,
    /// IEEE half precision, in half the memory: weights and activations of the encoder. What has to be exact or could
    /// overflow is float32: normalisation, scores and weights of attention, activation functions, pooling and head.
    F16,
    /// As [`Precision::F16`], in bfloat16: float32's range, with three bits less of each number.
    Bf16,
    /// Weights and the inputs of linear layers in 8 bits, sums in 32; attention, normalisation and head in float32.
    Int8,
}

/// Which devices of a backend compute in a precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// Every device.
    Always,
    /// Those whose driver and shaders have the format.
    WhereOffered,
    /// None.
    Never,
}

/// A precision that a device does not compute in. Nothing stands in for it.
#[derive(Debug, thiserror::Error)]
pub enum PrecisionError {
    /// A CPU would convert each number to float32 and back.
    #[error(
        "backend {backend} does not compute in {precision}, which a CPU is slow at; choose precision f32 or int8, \
         which read weights stored in {precision} too; f16 is for backend wgpu"
    )]
    OnCpu {
        /// What computes.
        backend: Backend,
        /// What was asked for.
        precision: Precision,
    },
    /// The driver lacks float16.
    #[error(
        "device {0} does not compute in f16, because its driver has no 16-bit floats in shaders (on Vulkan \
         shaderFloat16 and 16-bit storage); update the driver, or choose precision f32"
    )]
    NoF16(String),
    /// The shaders lack bfloat16.
    #[error(
        "device {0} does not compute in bf16, because its shaders (WGSL) have no such numbers; choose precision f16 \
         or f32, which read weights stored in bf16 too"
    )]
    NoBf16(String),
    /// The device claims to, and does not.
    #[error(transparent)]
    Unusable(#[from] DeviceError),
}

// === impl Precision ===

impl Precision {
    /// All precisions.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Bf16, Self::Int8];

    /// Which devices of `backend` compute in it.
    ///
    /// Architectures do not differ: each computes in whatever its device does. `tests/precision.rs` holds every one to
    /// it.
    pub const fn support(self, backend: Backend) -> Support {
        use Backend::{Flex, NdArray, Wgpu};
        match (self, backend) {
            (Self::F32 | Self::Int8, Flex | NdArray | Wgpu) => Support::Always,
            (Self::F16 | Self::Bf16, Wgpu) => Support::WhereOffered,
            (Self::F16 | Self::Bf16, Flex | NdArray) => Support::Never,
        }
    }

    /// What the encoder's weights and activations are kept in where burn computes.
    pub(crate) const fn floats(self) -> FloatDType {
        match self {
            Self::F32 | Self::Int8 => FloatDType::F32,
            Self::F16 => FloatDType::F16,
            Self::Bf16 => FloatDType::BF16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
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

#[cfg(test)]
mod tests;
