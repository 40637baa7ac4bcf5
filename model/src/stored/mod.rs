//! A model's parts as its file holds them, before a device takes them.

mod distances;
mod network;
mod table;

use safetensors::tensor::TensorView;

use crate::config::ModelConfig;
use crate::kernels::cpu::{Int8Rows, NormSlices, PackedLinear};
use crate::weights::{Weights, WeightsError};
pub(crate) use distances::StoredDistances;
pub(crate) use network::{
    StoredEmbeddings, StoredHead, StoredLayer, StoredProjection, StoredStage,
};
pub(crate) use table::StoredTable;

/// What stands behind a quantised layer's name, beside its int8 `weight`.
const STEPS: &str = "weight_step";
const SMOOTHING: &str = "weight_smoothing";

/// A linear layer, `x → x W + b`.
#[derive(Clone, Debug)]
pub(crate) struct StoredLinear {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) weights: StoredWeights,
    /// `[outputs]`; zeros where the file has none.
    pub(crate) bias: Vec<f32>,
    pub(crate) has_bias: bool,
}

/// `W`, as `[outputs, inputs]`.
#[derive(Clone, Debug)]
pub(crate) enum StoredWeights {
    /// Inputs are float32.
    Table(StoredTable),
    /// Inputs are rounded to 8 bits, too.
    Int8(Int8Rows),
}

/// A layer normalisation, `[hidden]` each.
#[derive(Clone, Debug)]
pub(crate) struct StoredNorm {
    pub(crate) gamma: Vec<f32>,
    /// Zeros where the file has none.
    pub(crate) beta: Vec<f32>,
    pub(crate) has_beta: bool,
    pub(crate) epsilon: f64,
}

// === impl StoredLinear ===

impl StoredLinear {
    /// One layer that computes what the layers of these names compute side by side.
    ///
    /// `shape` is that of one of them, `[inputs, outputs]`.
    pub(crate) fn take(
        weights: &mut Weights,
        names: &[&str],
        [inputs, outputs]: [usize; 2],
        has_bias: bool,
    ) -> Result<Self, WeightsError> {
        let (mut rows, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            rows.extend(weights.take(&format!("{name}.weight"), [outputs, inputs])?);
            bias.extend(take_bias(weights, name, outputs, has_bias)?);
        }
        let outputs = names.len() * outputs;
        let weights = StoredWeights::Table(StoredTable::Float(rows));
        Ok(Self { inputs, outputs, weights, bias, has_bias })
    }

    /// As [`StoredLinear::take`], for one layer of a quantised file, which may have rounded its weights.
    pub(crate) fn take_table(
        weights: &mut Weights,
        name: &str,
        [inputs, outputs]: [usize; 2],
        has_bias: bool,
    ) -> Result<Self, WeightsError> {
        let shape = [outputs, inputs];
        let table = StoredTable::take(weights, &format!("{name}.weight"), shape, true)?;
        let bias = take_bias(weights, name, outputs, has_bias)?;
        Ok(Self { inputs, outputs, weights: StoredWeights::Table(table), bias, has_bias })
    }

    /// As [`StoredLinear::take`], from a file of int8 weights.
    pub(crate) fn take_int8(
        weights: &mut Weights,
        names: &[&str],
        [inputs, outputs]: [usize; 2],
        has_bias: bool,
    ) -> Result<Self, WeightsError> {
        let (mut rows, mut steps, mut bias) = (Vec::new(), Vec::new(), Vec::new());
        let mut shared: Option<(String, Vec<f32>)> = None;
        for name in names {
            rows.extend(weights.take_int8(&format!("{name}.weight"), [outputs, inputs])?);
            steps.extend(weights.take_positive(&format!("{name}.{STEPS}"), [outputs])?);
            bias.extend(take_bias(weights, name, outputs, has_bias)?);
            let tensor = format!("{name}.{SMOOTHING}");
            let smoothing = weights.take_positive(&tensor, [inputs])?;
            // Layers side by side read the same input, which is quantised once.
            match &shared {
                None => shared = Some((tensor, smoothing)),
                Some((_, first)) if *first == smoothing => {}
                Some((first, _)) => return Err(weights.unequal(tensor, first.clone())),
            }
        }
        let (_, smoothing) = shared.expect("a layer has a name");
        let outputs = names.len() * outputs;
        let weights = StoredWeights::Int8(Int8Rows { weights: rows, steps, smoothing });
        Ok(Self { inputs, outputs, weights, bias, has_bias })
    }

    /// The first `outputs` outputs, and the others, as layers of their own.
    pub(crate) fn split(mut self, outputs: usize) -> [Self; 2] {
        let bias = self.bias.split_off(outputs);
        let rows = match &mut self.weights {
            StoredWeights::Table(table) => {
                let others = table.part(outputs..self.outputs, self.inputs);
                *table = table.part(0..outputs, self.inputs);
                StoredWeights::Table(others)
            }
            StoredWeights::Int8(int8) => StoredWeights::Int8(Int8Rows {
                weights: int8.weights.split_off(outputs * self.inputs),
                steps: int8.steps.split_off(outputs),
                smoothing: int8.smoothing.clone(),
            }),
        };
        let others = Self { outputs: self.outputs - outputs, weights: rows, bias, ..self };
        [Self { outputs, weights: self.weights, bias: self.bias, ..others }, others]
    }

    /// A layer of floats that computes what this one and another compute side by side.
    pub(crate) fn beside(&self, other: &Self) -> Self {
        let rows = [self.floats(), other.floats()].concat();
        let weights = StoredWeights::Table(StoredTable::Float(rows));
        let bias = [&self.bias[..], &other.bias].concat();
        Self { outputs: self.outputs + other.outputs, weights, bias, ..self.clone() }
    }

    /// Its weights become the floats that they stand for.
    #[cfg(feature = "train")]
    pub(crate) fn dequantize(&mut self) {
        self.weights = StoredWeights::Table(StoredTable::Float(self.floats()));
    }

    /// Whether its weights are floats.
    pub(crate) fn is_float(&self) -> bool {
        matches!(self.weights, StoredWeights::Table(StoredTable::Float(_)))
    }

    /// Float weights become int8; `amplitude`, `[inputs]` and what fills rows up, is how large the layer's inputs get.
    pub(crate) fn quantize(&mut self, amplitude: &[f32]) {
        if let StoredWeights::Table(StoredTable::Float(rows)) = &self.weights {
            let smoothing = smoothing(&amplitude[..self.inputs], rows);
            self.weights = StoredWeights::Int8(Int8Rows::quantize(rows, smoothing));
        }
    }

    /// Float weights are rounded for their size; inputs are not.
    pub(crate) fn round(&mut self) {
        if let StoredWeights::Table(table) = &mut self.weights {
            table.quantize(self.inputs);
        }
    }

    /// Laid out for kernels.
    pub(crate) fn packed(self) -> PackedLinear {
        let shape = [self.inputs, self.outputs];
        match self.weights {
            StoredWeights::Table(table) => {
                PackedLinear::float(&table.into_floats(), &self.bias, shape)
            }
            StoredWeights::Int8(rows) => PackedLinear::int8(&rows, &self.bias),
        }
    }

    /// The layer as tensors of a file, one set for each of `names`, by name.
    pub(crate) fn store(&self, names: &[&str], file: &mut StoredFile) {
        let outputs = self.outputs / names.len();
        for (index, name) in names.iter().enumerate() {
            let own = index * outputs..(index + 1) * outputs;
            let rows = index * outputs * self.inputs..(index + 1) * outputs * self.inputs;
            match &self.weights {
                StoredWeights::Table(table) => {
                    let part = table.part(own.clone(), self.inputs);
                    part.store(format!("{name}.weight"), self.inputs, file);
                }
                StoredWeights::Int8(int8) => {
                    file.bytes(
                        format!("{name}.weight"),
                        &[outputs, self.inputs],
                        &int8.weights[rows],
                    );
                    file.floats(format!("{name}.{STEPS}"), &[outputs], &int8.steps[own.clone()]);
                    file.floats(format!("{name}.{SMOOTHING}"), &[self.inputs], &int8.smoothing);
                }
            }
            if self.has_bias {
                file.floats(format!("{name}.bias"), &[outputs], &self.bias[own]);
            }
        }
    }
}

// === impl StoredNorm ===

impl StoredNorm {
    /// Normalises rows of `width`, with the checkpoint's epsilon.
    pub(crate) fn take(
        weights: &mut Weights,
        name: &str,
        width: usize,
        config: &ModelConfig,
    ) -> Result<Self, WeightsError> {
        Self::take_with(weights, name, width, config.biases.norm, config.layer_norm_eps)
    }

    /// As [`StoredNorm::take`], with an epsilon of its own.
    pub(crate) fn take_with(
        weights: &mut Weights,
        name: &str,
        width: usize,
        has_beta: bool,
        epsilon: f64,
    ) -> Result<Self, WeightsError> {
        let shape = [width];
        // Files converted from TensorFlow say gamma and beta.
        let gamma =
            weights.take_either(&format!("{name}.weight"), &format!("{name}.gamma"), shape)?;
        let beta = match has_beta {
            true => weights.take_either(&format!("{name}.bias"), &format!("{name}.beta"), shape)?,
            false => vec![0.0; width],
        };
        Ok(Self { gamma, beta, has_beta, epsilon })
    }

    /// As kernels take it.
    pub(crate) fn slices(&self) -> NormSlices<'_> {
        NormSlices { gamma: &self.gamma, beta: &self.beta, epsilon: self.epsilon as f32 }
    }

    /// The layer as tensors of a file.
    pub(crate) fn store(&self, name: &str, file: &mut StoredFile) {
        file.floats(format!("{name}.weight"), &[self.gamma.len()], &self.gamma);
        if self.has_beta {
            file.floats(format!("{name}.bias"), &[self.beta.len()], &self.beta);
        }
    }
}

/// Tensors on their way into a safetensors file.
#[derive(Debug, Default)]
pub(crate) struct StoredFile(pub(crate) Vec<StoredTensor>);

/// One of them.
#[derive(Debug)]
pub(crate) struct StoredTensor {
    pub(crate) name: String,
    pub(crate) dtype: safetensors::Dtype,
    pub(crate) shape: Vec<usize>,
    /// Little-endian.
    pub(crate) bytes: Vec<u8>,
}

// === impl StoredFile ===

impl StoredFile {
    /// The file.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let views = self.0.iter().map(|tensor| {
            let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes);
            (&tensor.name, view.expect("as many bytes as the shape says"))
        });
        safetensors::serialize(views, None).expect("sizes are right and names are unique")
    }

    pub(crate) fn floats(&mut self, name: String, shape: &[usize], values: &[f32]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let (dtype, shape) = (safetensors::Dtype::F32, shape.to_vec());
        self.0.push(StoredTensor { name, dtype, shape, bytes });
    }

    fn bytes(&mut self, name: String, shape: &[usize], values: &[i8]) {
        let bytes = values.iter().map(|value| value.cast_unsigned()).collect();
        let (dtype, shape) = (safetensors::Dtype::I8, shape.to_vec());
        self.0.push(StoredTensor { name, dtype, shape, bytes });
    }
}

fn take_bias(
    weights: &mut Weights,
    name: &str,
    outputs: usize,
    has_bias: bool,
) -> Result<Vec<f32>, WeightsError> {
    match has_bias {
        true => weights.take(&format!("{name}.bias"), [outputs]),
        false => Ok(vec![0.0; outputs]),
    }
}

/// What to multiply each input with before it is quantised: where inputs are large and weights small, some of the
/// inputs' size moves into the weights, so that both lose least by rounding.
///
/// Xiao et al., SmoothQuant, 2023, with its exponent of a half. Factors are rounded to an eighth of an octave, so that
/// the last bit of an amplitude, in which processors differ, does not change the weights.
///
/// An input that the calibration hardly met may well be met by other texts: it is taken to be within a factor of the
/// largest, or its own factor would be so large that it, once there, would leave no digits for all others.
fn smoothing(amplitude: &[f32], rows: &[f32]) -> Vec<f32> {
    const STEPS_PER_OCTAVE: f32 = 8.0;
    const SPREAD_MAX: f32 = 256.0;
    let least = amplitude.iter().fold(0.0_f32, |most, &own| most.max(own)) / SPREAD_MAX;
    let inputs = amplitude.len();
    let mut largest = vec![0.0_f32; inputs];
    for row in rows.chunks_exact(inputs) {
        for (largest, weight) in largest.iter_mut().zip(row) {
            *largest = largest.max(weight.abs());
        }
    }
    let factor = |(amplitude, largest): (&f32, &f32)| {
        let amplitude = amplitude.max(least);
        let both = amplitude * largest;
        // Inputs that are always 0, or one that nobody reads, need nothing.
        if !(both > 0.0 && both.is_finite()) {
            return 1.0;
        }
        let octaves = (largest / amplitude).log2() / 2.0;
        ((octaves * STEPS_PER_OCTAVE).round() / STEPS_PER_OCTAVE).exp2()
    };
    amplitude.iter().zip(&largest).map(factor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_balances_large_inputs_against_small_weights() {
        // Inputs of 16 meet weights of 1, inputs of 1 those of 4: both become 4, as do the weights.
        let factors = smoothing(&[16.0, 1.0], &[1.0, -4.0, -0.5, 2.0]);
        assert_eq!(factors, [0.25, 2.0]);
    }

    #[test]
    fn smoothing_does_not_follow_the_last_bit_of_an_amplitude() {
        let exactly = smoothing(&[3.0, 0.7], &[0.2, 0.4]);
        let nearly = smoothing(&[3.0_f32.next_up(), 0.7_f32.next_down()], &[0.2, 0.4]);
        assert_eq!(exactly, nearly);
    }

    #[test]
    fn inputs_that_were_hardly_met_get_factors_in_proportion() {
        for hardly in [0.0, 1e-45, 1e-38, 1e-20, 1e-5] {
            let factors = smoothing(&[1.0, hardly], &[1.0, 1.0]);
            assert_eq!(factors, [1.0, 16.0], "{hardly:e}");
        }
        assert_eq!(smoothing(&[0.0, 0.0], &[1.0, 1.0]), [1.0, 1.0]);
        assert_eq!(smoothing(&[1.0, 1.0], &[0.0, 0.0]), [1.0, 1.0]);
    }
}
