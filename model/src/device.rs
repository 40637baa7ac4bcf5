/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// burn-flex: the CPU default.
    Flex,
    /// burn-ndarray: deprecated upstream, kept as an oracle and for those who ask for it.
    NdArray,
    /// burn-wgpu: Vulkan, Metal or DX12.
    Wgpu,
}

/// Number format of weights and activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// IEEE single precision.
    F32,
}
