//! The kernels behind flex tensors.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{TensorData, TensorMetadata};

#[cfg(feature = "train")]
use super::cpu::Isa;
use super::cpu::{self, FeedForward, FirstAttention, NormSlices, SelfAttention};
use super::inputs::{
    Attention, Distance, EmbeddingTables, LinearWeights, NormWeights, Normalize, PairLayout, Table,
    TokenRows, Words,
};
use super::{EncoderOps, plain};
use crate::config::Activation;

impl EncoderOps for Flex {
    fn embed(
        tables: EmbeddingTables<Self>,
        rows: TokenRows<Self>,
        norm: NormWeights<Self>,
    ) -> FlexTensor {
        let TokenRows::Packed { isa, words: word, types: kind, positions: position } = &rows else {
            return plain::embed::<Self>(tables, rows, norm);
        };
        let EmbeddingTables { words, types, positions } = tables;
        let width = norm.gamma.shape()[0];
        let floats;
        let words = match &words {
            Words::Rows(rows) => {
                floats = whole(rows.clone());
                cpu::Words::Float(floats.storage())
            }
            Words::Packed(table) => cpu::Words::Int8(table),
        };
        let [types, positions] = [types, positions].map(|table| match table {
            Table::Rows(rows) => Some(whole(rows)),
            Table::Absent => None,
        });
        let mut x = vec![0.0; word.len() * width];
        let mut others: Vec<(&[f32], &[u32])> = Vec::with_capacity(2);
        others.extend(types.as_ref().map(|types| (types.storage(), &**kind)));
        others.extend(positions.as_ref().map(|positions| (positions.storage(), &**position)));
        norm.lend(|norm| cpu::embed(*isa, (words, word), &others, norm, &mut x));
        tensor(x, width)
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

    fn normalize(x: FlexTensor, norm: NormWeights<Self>) -> FlexTensor {
        let NormWeights { isa: Some(isa), .. } = norm else {
            return plain::normalize::<Self>(x, norm);
        };
        let mut x = whole(x);
        norm.lend(|norm| cpu::normalize(isa, norm, x.storage_mut()));
        x
    }

    fn self_attention(
        x: FlexTensor,
        qkv: LinearWeights<Self>,
        output: LinearWeights<Self>,
        norm: Normalize<Self>,
        layout: PairLayout<Self>,
        attention: Attention<Self>,
    ) -> FlexTensor {
        let PairLayout::Packed(isa, offsets) = &layout else {
            return plain::self_attention::<Self>(x, qkv, output, norm, layout, attention);
        };
        let mut x = whole(x);
        let (qkv, output) = (packed(&qkv), packed(&output));
        norm.lend(|norm| {
            let attention = attention.lent();
            let attention = SelfAttention { qkv, output, norm, attention };
            attention.run(*isa, x.storage_mut(), offsets, &mut ());
        });
        x
    }

    fn first_attention(
        x: FlexTensor,
        query: LinearWeights<Self>,
        key_value: LinearWeights<Self>,
        output: LinearWeights<Self>,
        norm: Normalize<Self>,
        layout: PairLayout<Self>,
        attention: Attention<Self>,
    ) -> FlexTensor {
        let PairLayout::Packed(isa, offsets) = &layout else {
            let weights = [query, key_value, output];
            return plain::first_attention::<Self>(x, weights, norm, layout, attention);
        };
        let x = whole(x);
        let (query, key_value, output) = (packed(&query), packed(&key_value), packed(&output));
        let hidden = query.outputs();
        let mut firsts = vec![0.0; (offsets.len() - 1) * hidden];
        norm.lend(|norm| {
            let attention = attention.lent();
            let attention = FirstAttention { query, key_value, output, norm, attention };
            attention.run(*isa, x.storage(), offsets, &mut firsts);
        });
        tensor(firsts, hidden)
    }

    fn feed_forward(
        x: FlexTensor,
        up: LinearWeights<Self>,
        activation: Activation,
        gated: bool,
        down: LinearWeights<Self>,
        norm: Normalize<Self>,
    ) -> FlexTensor {
        let LinearWeights::Packed(isa, packed_up) = &up else {
            return plain::feed_forward::<Self>(x, [up, down], activation, gated, norm);
        };
        let mut x = whole(x);
        let down = packed(&down);
        norm.lend(|norm| {
            let feed_forward = FeedForward { up: packed_up, activation, gated, down, norm };
            feed_forward.run(*isa, x.storage_mut(), &mut ());
        });
        x
    }

    fn mean(x: FlexTensor, layout: PairLayout<Self>) -> FlexTensor {
        let PairLayout::Packed(_, offsets) = &layout else {
            return plain::mean::<Self>(x, layout);
        };
        let (x, hidden) = (whole(x.clone()), x.shape()[1]);
        tensor(cpu::mean(x.storage(), offsets, hidden), hidden)
    }
}

#[cfg(feature = "train")]
impl super::training::Derivatives for Flex {
    fn gelu_forward(x: FlexTensor) -> FlexTensor {
        let mut x = whole(x);
        cpu::gelu(Isa::best(), x.storage_mut());
        x
    }

    fn gelu_slope(x: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        let (x, mut gradient) = (whole(x), whole(gradient));
        cpu::gelu_backward(Isa::best(), x.storage(), gradient.storage_mut());
        gradient
    }

    fn softmax_slope(shares: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        let (shares, mut gradient) = (whole(shares), whole(gradient));
        let width = shares.shape()[shares.shape().num_dims() - 1];
        cpu::softmax_backward(Isa::best(), shares.storage(), gradient.storage_mut(), width);
        gradient
    }

    fn norm_slopes(
        x: FlexTensor,
        norm: NormWeights<Self>,
        gradient: FlexTensor,
    ) -> [FlexTensor; 3] {
        let (x, mut gradient) = (whole(x), whole(gradient));
        let mut of_weights = Vec::new();
        norm.lend(|norm| {
            let gradient = gradient.storage_mut();
            of_weights = cpu::normalize_backward(Isa::best(), x.storage(), norm, gradient).into();
        });
        let mut of_weights = of_weights.into_iter().map(|own| {
            let hidden = own.len();
            FlexTensor::from_data(TensorData::new(own, [hidden]))
        });
        let (of_gamma, of_beta) = (of_weights.next(), of_weights.next());
        let both = of_gamma.zip(of_beta).expect("a normalisation has gamma and beta");
        [gradient, both.0, both.1]
    }
}

// === impl Normalize ===

impl Normalize<Flex> {
    fn lend(&self, work: impl FnOnce(cpu::Normalize<'_>)) {
        match self {
            Self::After(norm) => norm.lend(|norm| work(cpu::Normalize::After(norm))),
            Self::Before(norm) => norm.lend(|norm| work(cpu::Normalize::Before(norm))),
            Self::Nowhere => work(cpu::Normalize::Nowhere),
        }
    }
}

// === impl Attention ===

impl Attention<Flex> {
    fn lent(&self) -> cpu::Attention<'_> {
        let Self { heads, window, distance } = self;
        let Distance::Packed(distance) = distance else {
            unreachable!("a model's inputs are packed all, or none")
        };
        cpu::Attention { heads: *heads, window: *window, distance }
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
