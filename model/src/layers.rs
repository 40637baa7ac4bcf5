//! burn's layers, filled from a weight file with nothing left to a default.

use burn::module::Param;
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{Device, Tensor, TensorData};

use crate::config::BertConfig;
use crate::weights::{Weights, WeightsError};

/// One layer that computes what the layers of these names compute side by side.
///
/// `shape` is that of one of them, `[inputs, outputs]`.
pub(crate) fn linear(
    weights: &mut Weights<'_>,
    names: &[String],
    [inputs, outputs]: [usize; 2],
    device: &Device,
) -> Result<Linear, WeightsError> {
    let (mut rows, mut bias) = (Vec::new(), Vec::new());
    for name in names {
        rows.extend(weights.take(&format!("{name}.weight"), [outputs, inputs])?);
        bias.extend(weights.take(&format!("{name}.bias"), [outputs])?);
    }
    let outputs = names.len() * outputs;
    Ok(Linear {
        weight: param(transposed(&rows, inputs, outputs), [inputs, outputs], device),
        bias: Some(param(bias, [outputs], device)),
    })
}

/// Normalises rows of `hidden_size`, with the checkpoint's epsilon.
pub(crate) fn layer_norm(
    weights: &mut Weights<'_>,
    name: &str,
    config: &BertConfig,
    device: &Device,
) -> Result<LayerNorm, WeightsError> {
    let shape = [config.hidden_size];
    // burn's default epsilon is 1e-5, BERT's is 1e-12.
    let mut norm = LayerNormConfig::new(config.hidden_size)
        .with_epsilon(config.layer_norm_eps)
        .with_bias(true)
        .init(device);
    // Files converted from TensorFlow say gamma and beta.
    let gamma = weights.take_either(&format!("{name}.weight"), &format!("{name}.gamma"), shape)?;
    let beta = weights.take_either(&format!("{name}.bias"), &format!("{name}.beta"), shape)?;
    norm.gamma = param(gamma, shape, device);
    norm.beta = Some(param(beta, shape, device));
    Ok(norm)
}

/// A table of `shape`, `[rows, hidden]`.
pub(crate) fn embedding(
    weights: &mut Weights<'_>,
    name: &str,
    shape: [usize; 2],
    device: &Device,
) -> Result<Embedding, WeightsError> {
    let mut table = EmbeddingConfig::new(shape[0], shape[1]).init(device);
    table.weight = param(weights.take(name, shape)?, shape, device);
    Ok(table)
}

fn param<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Param::from_data(TensorData::new(values, shape), device)
}

/// PyTorch keeps `[outputs, inputs]`, burn multiplies with `[inputs, outputs]`.
fn transposed(rows: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
    let mut columns = Vec::with_capacity(rows.len());
    for input in 0..inputs {
        columns.extend((0..outputs).map(|output| rows[output * inputs + input]));
    }
    columns
}
