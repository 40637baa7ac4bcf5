/// Between the two halves of the feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// GELU through the error function.
    GeluErf,
    /// GELU through tanh: `gelu_new`, `gelu_pytorch_tanh`.
    GeluTanh,
    Relu,
}
