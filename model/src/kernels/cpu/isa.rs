use std::fmt;

#[cfg(target_arch = "aarch64")]
use super::simd::neon::Neon;
use super::simd::portable::Portable;
use super::simd::{Kernel, Simd};
#[cfg(target_arch = "x86_64")]
use super::simd::{
    avx2::Avx2,
    avx512::{Avx512, Avx512Vnni},
};

/// Instruction sets that the kernels are compiled for, the fastest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InstructionSet {
    /// AVX-512 with four-byte products.
    Avx512Vnni,
    /// AVX-512.
    Avx512,
    /// AVX2 and FMA.
    Avx2,
    /// 64-bit ARM.
    Neon,
    /// What every processor can do.
    Portable,
}

/// An instruction set that this processor has.
#[derive(Clone, Copy)]
pub(crate) enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(Avx512Vnni),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
    Portable(Portable),
}

// === impl InstructionSet ===

impl InstructionSet {
    /// All there are, the fastest first.
    pub const ALL: [Self; 5] =
        [Self::Avx512Vnni, Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// Those that this processor has, the fastest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|set| Isa::of(*set).is_some())
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avx512Vnni => "avx512-vnni",
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Portable => "portable",
        })
    }
}

// === impl Isa ===

impl Isa {
    /// `None` where this processor lacks it.
    pub(crate) fn of(set: InstructionSet) -> Option<Self> {
        match set {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512Vnni => Avx512Vnni::detect().map(Self::Avx512Vnni),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => Avx512::detect().map(Self::Avx512),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => Avx2::detect().map(Self::Avx2),
            #[cfg(target_arch = "aarch64")]
            InstructionSet::Neon => Neon::detect().map(Self::Neon),
            InstructionSet::Portable => Some(Self::Portable(Portable)),
            #[cfg(not(target_arch = "x86_64"))]
            InstructionSet::Avx512Vnni | InstructionSet::Avx512 | InstructionSet::Avx2 => None,
            #[cfg(not(target_arch = "aarch64"))]
            InstructionSet::Neon => None,
        }
    }

    /// The fastest that this processor has.
    pub(crate) fn best() -> Self {
        let found = InstructionSet::ALL.into_iter().find_map(Self::of);
        found.unwrap_or(Self::Portable(Portable))
    }

    /// Which one it is.
    pub(crate) fn set(self) -> InstructionSet {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni(_) => InstructionSet::Avx512Vnni,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => InstructionSet::Avx512,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => InstructionSet::Avx2,
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => InstructionSet::Neon,
            Self::Portable(_) => InstructionSet::Portable,
        }
    }

    /// Runs the variant of `kernel` that was compiled for this instruction set.
    pub(super) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni(simd) => simd.enter(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => simd.enter(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => simd.enter(kernel),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(simd) => simd.enter(kernel),
            Self::Portable(simd) => simd.enter(kernel),
        }
    }
}

impl fmt::Debug for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.set(), f)
    }
}
