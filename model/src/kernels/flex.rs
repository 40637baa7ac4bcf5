//! The kernels behind flex tensors.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{TensorData, TensorMetadata};

use super::cpu::{self, FeedForward, FirstAttention, NormSlices, SelfAttention};
use super::inputs::{LinearWeights, NormWeights, PairLayout, TokenRows};
use super::{EncoderOps, plain};
use crate::config::Activation;

impl EncoderOps for Flex {
    fn embed(
        words: FlexTensor,
        types: FlexTensor,
        positions: FlexTensor,
        rows: TokenRows<Self>,
        norm: NormWeights<Self>,
    ) -> FlexTensor {
        let TokenRows::Packed { isa, words: word, types: kind, positions: position } = &rows else {
            return plain::embed::<Self>([words, types, positions], rows, norm);
        };
        let hidden = words.shape()[1];
        let [words, types, positions] = [words, types, positions].map(whole);
        let mut x = vec![0.0; word.len() * hidden];
        let tables = [
            (words.storage::<f32>(), &**word),
            (types.storage(), &**kind),
            (positions.storage(), &**position),
        ];
        norm.lend(|norm| cpu::embed(*isa, tables, norm, &mut x));
        tensor(x, hidden)
    }

    fn linear(
        x: FlexTensor,
        weights: LinearWeights<Self>,
        activation: Option<Activation>,
    ) -> FlexTensor {
        let LinearWeights::Packed(isa, packed) = &weights else {
            return plain::linear::<Self>(x, weights, activation);
        };
        let x = whole(x);
        let mut y = vec![0.0; x.shape()[0] * packed.outputs()];
        cpu::linear(*isa, x.storage(), packed, activation, &mut y);
        tensor(y, packed.outputs())
    }

    fn self_attention(
        x: FlexTensor,
        qkv: LinearWeights<Self>,
        output: LinearWeights<Self>,
        norm: NormWeights<Self>,
        layout: PairLayout<Self>,
        heads: usize,
    ) -> FlexTensor {
        let PairLayout::Packed(isa, offsets) = &layout else {
            return plain::self_attention::<Self>(x, qkv, output, norm, layout, heads);
        };
        let mut x = whole(x);
        let (qkv, output) = (packed(&qkv), packed(&output));
        norm.lend(|norm| {
            let attention = SelfAttention { qkv, output, norm, heads };
            attention.run(*isa, x.storage_mut(), offsets, &mut ());
        });
        x
    }

    fn first_attention(
        x: FlexTensor,
        query: LinearWeights<Self>,
        key_value: LinearWeights<Self>,
        output: LinearWeights<Self>,
        norm: NormWeights<Self>,
        layout: PairLayout<Self>,
        heads: usize,
    ) -> FlexTensor {
        let PairLayout::Packed(isa, offsets) = &layout else {
            let weights = [query, key_value, output];
            return plain::first_attention::<Self>(x, weights, norm, layout, heads);
        };
        let x = whole(x);
        let (query, key_value, output) = (packed(&query), packed(&key_value), packed(&output));
        let hidden = query.outputs();
        let mut firsts = vec![0.0; (offsets.len() - 1) * hidden];
        norm.lend(|norm| {
            let attention = FirstAttention { query, key_value, output, norm, heads };
            attention.run(*isa, x.storage(), offsets, &mut firsts);
        });
        tensor(firsts, hidden)
    }

    fn feed_forward(
        x: FlexTensor,
        up: LinearWeights<Self>,
        activation: Activation,
        down: LinearWeights<Self>,
        norm: NormWeights<Self>,
    ) -> FlexTensor {
        let LinearWeights::Packed(isa, packed_up) = &up else {
            return plain::feed_forward::<Self>(x, up, activation, down, norm);
        };
        let mut x = whole(x);
        let down = packed(&down);
        norm.lend(|norm| {
            let feed_forward = FeedForward { up: packed_up, activation, down, norm };
            feed_forward.run(*isa, x.storage_mut(), &mut ());
        });
        x
    }
}

// === impl NormWeights ===

impl NormWeights<Flex> {
    fn lend(&self, work: impl FnOnce(NormSlices<'_>)) {
        let (gamma, beta) = (whole(self.gamma.clone()), whole(self.beta.clone()));
        let (gamma, beta) = (gamma.storage(), beta.storage());
        work(NormSlices { gamma, beta, epsilon: self.epsilon as f32 });
    }
}

/// The tensor with its numbers row after row from the start of its storage, and none behind.
fn whole(x: FloatTensor<Flex>) -> FlexTensor {
    let fits = x.layout().contiguous_offsets() == Some((0, x.storage::<f32>().len()));
    if fits { x } else { x.to_contiguous() }
}

/// Rows of `columns`.
fn tensor(values: Vec<f32>, columns: usize) -> FlexTensor {
    let rows = values.len() / columns;
    FlexTensor::from_data(TensorData::new(values, [rows, columns]))
}

fn packed(weights: &LinearWeights<Flex>) -> &cpu::PackedLinear {
    match weights {
        LinearWeights::Packed(_, packed) => packed,
        LinearWeights::Float { .. } | LinearWeights::Int8 { .. } => {
            unreachable!("a model's inputs are packed all, or none")
        }
    }
}
