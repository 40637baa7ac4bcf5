//! A network's layers on their device, in the form that the device computes them in.

use std::sync::Arc;

use burn::backend::Dispatch;
use burn::module::{Module, Param};
use burn::tensor::{Device as BurnDevice, FloatDType, Tensor, TensorData};

use crate::config::Activation;
use crate::device::Device;
use crate::kernels::cpu::{Int8Table, Isa, PackedLinear};
use crate::kernels::{self, EncoderOps as _, LinearWeights, NormWeights};
use crate::stored::{StoredLinear, StoredNorm, StoredTable, StoredWeights};

/// `x → x W + b`.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a model has some dozens")]
pub(crate) enum Linear {
    Plain(PlainLinear),
    Packed(KernelLinear),
}

/// For plain burn operations.
#[derive(Module, Debug)]
pub(crate) struct PlainLinear {
    /// `[inputs, outputs]`.
    weight: Param<Tensor<2>>,
    /// `[1, outputs]`.
    bias: Param<Tensor<2>>,
    /// Of an int8 layer: `[1, inputs]`.
    smoothing: Option<Param<Tensor<2>>>,
}

/// For kernels.
#[derive(Module, Debug)]
pub(crate) struct KernelLinear {
    #[module(skip)]
    isa: Isa,
    #[module(skip)]
    packed: Arc<PackedLinear>,
}

/// Word embeddings.
#[derive(Module, Debug)]
pub(crate) enum Words {
    /// `[vocabulary, embedding]`.
    Plain(Param<Tensor<2>>),
    Packed(KernelWords),
}

/// For kernels.
#[derive(Module, Debug)]
pub(crate) struct KernelWords {
    #[module(skip)]
    table: Arc<Int8Table>,
}

/// Layer normalisation over `hidden`, in float32 whatever the precision.
#[derive(Module, Debug)]
pub(crate) struct Norm {
    /// `[hidden]`.
    gamma: Param<Tensor<1>>,
    /// `[hidden]`.
    beta: Param<Tensor<1>>,
    #[module(skip)]
    epsilon: f64,
    /// Where kernels compute.
    #[module(skip)]
    isa: Option<Isa>,
}

// === impl Linear ===

impl Linear {
    /// Lays the weights out for `device`.
    pub(crate) fn new(stored: StoredLinear, device: &Device) -> Self {
        if let Some(isa) = device.kernels() {
            return Self::Packed(KernelLinear { isa, packed: Arc::new(stored.packed()) });
        }
        let StoredLinear { inputs, outputs, weights, bias, has_bias } = stored;
        let kept = (device.burn(), device.floats());
        let (rows, smoothing) = match weights {
            StoredWeights::Table(table) => (table.into_floats(), None),
            StoredWeights::Int8(rows) => (rows.floats(), Some(rows.smoothing)),
        };
        Self::Plain(PlainLinear {
            weight: param(transposed(&rows, inputs, outputs), [inputs, outputs], kept),
            // One that no file holds stays 0 in training.
            bias: param(bias, [1, outputs], kept).set_require_grad(has_bias),
            smoothing: smoothing.map(|factors| param(factors, [1, inputs], kept)),
        })
    }

    /// The layer as an operation takes it.
    pub(crate) fn weights(&self) -> LinearWeights<Dispatch> {
        match self {
            Self::Plain(PlainLinear { weight, bias, smoothing: None }) => LinearWeights::Float {
                weight: weight.val().into_dispatch(),
                bias: bias.val().into_dispatch(),
            },
            Self::Plain(PlainLinear { weight, bias, smoothing: Some(smoothing) }) => {
                LinearWeights::Int8 {
                    weight: weight.val().into_dispatch(),
                    bias: bias.val().into_dispatch(),
                    smoothing: smoothing.val().into_dispatch(),
                }
            }
            Self::Packed(KernelLinear { isa, packed }) => {
                LinearWeights::Packed(*isa, Arc::clone(packed))
            }
        }
    }

    /// The layer as its file holds it. Only plain ones of floats are trained.
    #[cfg(feature = "train")]
    pub(crate) fn stored(&self, has_bias: bool) -> StoredLinear {
        let Self::Plain(PlainLinear { weight, bias, smoothing: None }) = self else {
            unreachable!("a model is trained without kernels, in floats")
        };
        let [inputs, outputs] = weight.shape().dims();
        let rows = transposed(&numbers(weight), outputs, inputs);
        let weights = StoredWeights::Table(StoredTable::Float(rows));
        let bias = numbers(bias);
        StoredLinear { inputs, outputs, weights, bias, has_bias }
    }

    /// `[rows, inputs]` → `[rows, outputs]`.
    pub(crate) fn forward(&self, x: Tensor<2>, activation: Option<Activation>) -> Tensor<2> {
        Tensor::from_dispatch(Dispatch::linear(x.into_dispatch(), self.weights(), activation))
    }
}

// === impl Words ===

impl Words {
    /// Puts `[vocabulary, width]` on `device`; int8 stays that where kernels read it.
    pub(crate) fn new(stored: StoredTable, width: usize, device: &Device) -> Self {
        match (stored, device.kernels()) {
            (StoredTable::Int8(table), Some(_)) => {
                Self::Packed(KernelWords { table: Arc::new(table) })
            }
            (stored, _) => {
                let floats = stored.into_floats();
                let shape = [floats.len() / width, width];
                Self::Plain(param(floats, shape, (device.burn(), device.floats())))
            }
        }
    }

    /// The table as its file holds it. Only a plain one is trained.
    #[cfg(feature = "train")]
    pub(crate) fn stored(&self) -> StoredTable {
        let Self::Plain(rows) = self else {
            unreachable!("a model is trained without kernels, in floats")
        };
        StoredTable::Float(numbers(rows))
    }

    /// The table as an operation takes it.
    pub(crate) fn table(&self) -> kernels::Words<Dispatch> {
        match self {
            Self::Plain(rows) => kernels::Words::Rows(rows.val().into_dispatch()),
            Self::Packed(KernelWords { table }) => kernels::Words::Packed(Arc::clone(table)),
        }
    }
}

// === impl Norm ===

impl Norm {
    /// Puts the layer on `device`.
    pub(crate) fn new(stored: StoredNorm, device: &Device) -> Self {
        let (shape, kept) = ([stored.gamma.len()], (device.burn(), FloatDType::F32));
        Self {
            gamma: param(stored.gamma, shape, kept),
            beta: param(stored.beta, shape, kept).set_require_grad(stored.has_beta),
            epsilon: stored.epsilon,
            isa: device.kernels(),
        }
    }

    /// `[rows, hidden]` → `[rows, hidden]`.
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        Tensor::from_dispatch(Dispatch::normalize(x.into_dispatch(), self.weights()))
    }

    /// The layer as its file holds it.
    #[cfg(feature = "train")]
    pub(crate) fn stored(&self, has_beta: bool) -> StoredNorm {
        let (gamma, beta) = (numbers(&self.gamma), numbers(&self.beta));
        StoredNorm { gamma, beta, has_beta, epsilon: self.epsilon }
    }

    /// The layer as an operation takes it.
    pub(crate) fn weights(&self) -> NormWeights<Dispatch> {
        NormWeights {
            gamma: self.gamma.val().into_dispatch(),
            beta: self.beta.val().into_dispatch(),
            epsilon: self.epsilon,
            isa: self.isa,
        }
    }
}

/// Numbers on a device, rounded to what it keeps.
pub(crate) fn param<const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    (device, floats): (&BurnDevice, FloatDType),
) -> Param<Tensor<D>> {
    device.memory_persistent_allocations(TensorData::new(values, shape), |data| {
        Param::from_tensor(Tensor::from_data(data, (device, floats.into())))
    })
}

/// The numbers of a parameter.
#[cfg(feature = "train")]
pub(crate) fn numbers<const D: usize>(param: &Param<Tensor<D>>) -> Vec<f32> {
    param.val().inner().into_data().try_to_vec().expect("parameters are float32")
}

/// PyTorch keeps `[outputs, inputs]`, burn multiplies with `[inputs, outputs]`.
fn transposed(rows: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
    let mut columns = Vec::with_capacity(rows.len());
    for input in 0..inputs {
        columns.extend((0..outputs).map(|output| rows[output * inputs + input]));
    }
    columns
}

#[cfg(all(test, feature = "flex"))]
mod tests;
