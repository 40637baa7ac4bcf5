//! Every operation in plain burn operations.
//!
//! What comes out is in the format of what goes in. In between, sums of many numbers, exponents and curves are
//! computed in float32: float16 has neither the range nor the digits for them, bfloat16 not the digits.

mod attend;

use burn::backend::Backend;
use burn::backend::tensor::{BoolTensor, FloatTensor, IntTensor};
use burn::backend::{Shape, Slice, TensorMetadata};
use burn::tensor::{DType, FloatDType};

use super::EncoderOps;
use super::inputs::{
    Attention, Bucket, EmbeddingTables, LinearWeights, NormWeights, Normalize, PairLayout, Table,
    TokenRows, Words,
};
use crate::config::Activation;
use attend::attend;

const NO_KERNELS: &str = "packed inputs are made for backends with kernels only";

pub(super) fn embed<B: EncoderOps>(
    tables: EmbeddingTables<B>,
    rows: TokenRows<B>,
    norm: NormWeights<B>,
) -> FloatTensor<B> {
    let TokenRows::Plain { words, types, positions } = rows else { unreachable!("{NO_KERNELS}") };
    let Words::Rows(word_table) = tables.words else { unreachable!("{NO_KERNELS}") };
    let kept = word_table.dtype();
    let select = |table, rows| in_float32::<B>(B::float_select(table, 0, rows));
    let mut sum = select(word_table, words);
    for (table, rows) in [(tables.types, types), (tables.positions, positions)] {
        if let Table::Rows(table) = table {
            sum = B::float_add(sum, select(table, rows));
        }
    }
    kept_as::<B>(B::normalize(sum, norm), kept)
}

pub(super) fn linear<B: EncoderOps>(
    x: FloatTensor<B>,
    weights: LinearWeights<B>,
    activation: Option<Activation>,
) -> FloatTensor<B> {
    let (x, weight, bias) = match weights {
        LinearWeights::Float { weight, bias } => (x, weight, bias),
        LinearWeights::Int8 { weight, bias, smoothing } => {
            (in_8_bits::<B>(B::float_mul(x, smoothing)), weight, bias)
        }
        LinearWeights::Packed(..) => unreachable!("{NO_KERNELS}"),
    };
    let outputs = B::float_add(in_company::<B>(x, |x| B::float_matmul(x, weight)), bias);
    match activation {
        None => outputs,
        Some(activation) => activate::<B>(outputs, activation),
    }
}

pub(super) fn self_attention<B: EncoderOps>(
    x: FloatTensor<B>,
    qkv: LinearWeights<B>,
    output: LinearWeights<B>,
    norm: Normalize<B>,
    layout: PairLayout<B>,
    attention: Attention<B>,
) -> FloatTensor<B> {
    let (buckets, padding) = parts::<B>(layout);
    let qkv = linear::<B>(before::<B>(x.clone(), &norm), qkv, None);
    let hidden = qkv.shape()[1] / 3;
    let qkv = match &padding {
        Some(padding) => B::float_select(qkv, 0, padding.spread.clone()),
        None => qkv,
    };
    let (mut start, mut contexts) = (0, Vec::with_capacity(buckets.len()));
    for bucket in buckets.iter() {
        let places = start..start + bucket.pairs * bucket.tokens;
        let part =
            |part: usize| Columns { start: part * hidden, width: hidden, heads: attention.heads };
        let read = |columns: Columns| columns.read::<B>(qkv.clone(), places.clone(), *bucket);
        let (query, key, value) = (read(part(0)), read(part(1)), read(part(2)));
        let hidden_places = padding.as_ref().map(|p| (p.hidden.clone(), places.clone()));
        contexts.push(attend::<B>([query, key, value], hidden_places, *bucket, &attention));
        start = places.end;
    }
    let context = joined::<B>(contexts);
    let context = match padding {
        Some(padding) => B::float_select(context, 0, padding.gather),
        None => context,
    };
    after::<B>(B::float_add(linear::<B>(context, output, None), x), norm)
}

pub(super) fn first_attention<B: EncoderOps>(
    x: FloatTensor<B>,
    [query, key_value, output]: [LinearWeights<B>; 3],
    norm: Normalize<B>,
    layout: PairLayout<B>,
    attention: Attention<B>,
) -> FloatTensor<B> {
    let firsts = match &layout {
        PairLayout::Even { firsts, .. } | PairLayout::Padded { firsts, .. } => firsts.clone(),
        PairLayout::Packed(..) => unreachable!("{NO_KERNELS}"),
    };
    let (buckets, padding) = parts::<B>(layout);
    let normed = before::<B>(x.clone(), &norm);
    let key_value = linear::<B>(normed.clone(), key_value, None);
    let query = linear::<B>(B::float_select(normed, 0, firsts.clone()), query, None);
    let x = B::float_select(x, 0, firsts);
    let hidden = query.shape()[1];
    let key_value = match &padding {
        Some(padding) => B::float_select(key_value, 0, padding.spread.clone()),
        None => key_value,
    };
    let (mut start, mut pair, mut contexts) = (0, 0, Vec::with_capacity(buckets.len()));
    for bucket in buckets.iter() {
        let places = start..start + bucket.pairs * bucket.tokens;
        let part =
            |part: usize| Columns { start: part * hidden, width: hidden, heads: attention.heads };
        let read = |columns: Columns| columns.read::<B>(key_value.clone(), places.clone(), *bucket);
        let (key, value) = (read(part(0)), read(part(1)));
        let one_each = Bucket { tokens: 1, ..*bucket };
        let query = part(0).read::<B>(query.clone(), pair..pair + bucket.pairs, one_each);
        let hidden_places = padding.as_ref().map(|p| (p.hidden.clone(), places.clone()));
        contexts.push(attend::<B>([query, key, value], hidden_places, *bucket, &attention));
        start = places.end;
        pair += bucket.pairs;
    }
    let context = joined::<B>(contexts);
    after::<B>(B::float_add(linear::<B>(context, output, None), x), norm)
}

pub(super) fn feed_forward<B: EncoderOps>(
    x: FloatTensor<B>,
    [up, down]: [LinearWeights<B>; 2],
    activation: Activation,
    gated: bool,
    norm: Normalize<B>,
) -> FloatTensor<B> {
    let normed = before::<B>(x.clone(), &norm);
    let inner = match gated {
        false => linear::<B>(normed, up, Some(activation)),
        true => {
            let both = linear::<B>(normed, up, None);
            let [rows, width] = both.shape().dims();
            let half = |columns: std::ops::Range<usize>| {
                B::float_slice(both.clone(), &[Slice::from(0..rows), Slice::from(columns)])
            };
            let value = activate::<B>(half(0..width / 2), activation);
            B::float_mul(value, half(width / 2..width))
        }
    };
    after::<B>(B::float_add(linear::<B>(inner, down, None), x), norm)
}

pub(super) fn mean<B: Backend>(x: FloatTensor<B>, layout: PairLayout<B>) -> FloatTensor<B> {
    let (buckets, padding) = parts::<B>(layout);
    let (hidden, kept) = (x.shape()[1], x.dtype());
    let x = in_float32::<B>(x);
    // Padding adds nothing, and does not count.
    let (x, weights) = match padding {
        None => (x, None),
        Some(padding) => {
            let x = B::float_select(x, 0, padding.spread);
            let dtype = x.dtype().into();
            let real = B::bool_into_float(B::bool_not(padding.hidden), dtype);
            let real = B::float_reshape(real, Shape::from([x.shape()[0], 1]));
            (B::float_mul(x, real.clone()), Some(real))
        }
    };
    let (mut start, mut means) = (0, Vec::with_capacity(buckets.len()));
    for Bucket { pairs, tokens } in buckets.iter().copied() {
        let places = start..start + pairs * tokens;
        start = places.end;
        let sum = |x: FloatTensor<B>, width: usize| {
            let own = B::float_slice(x, &[Slice::from(places.clone()), Slice::from(0..width)]);
            let own = B::float_reshape(own, Shape::from([pairs, tokens, width]));
            B::float_reshape(B::float_sum_dim(own, 1), Shape::from([pairs, width]))
        };
        let total = sum(x.clone(), hidden);
        means.push(match &weights {
            None => B::float_div_scalar(total, (tokens as f32).into()),
            Some(real) => B::float_div(total, sum(real.clone(), 1)),
        });
    }
    kept_as::<B>(joined::<B>(means), kept)
}

/// What padding a batch needs.
struct Padding<B: Backend> {
    spread: IntTensor<B>,
    gather: IntTensor<B>,
    hidden: BoolTensor<B>,
}

/// The heads of a query, a key or a value, among the columns of a projection.
#[derive(Clone, Copy)]
struct Columns {
    start: usize,
    width: usize,
    heads: usize,
}

// === impl Columns ===

impl Columns {
    /// Rows `places` of `projection` → `[pairs, heads, tokens, width / heads]`.
    fn read<B: Backend>(
        self,
        projection: FloatTensor<B>,
        places: std::ops::Range<usize>,
        bucket: Bucket,
    ) -> FloatTensor<B> {
        let columns = self.start..self.start + self.width;
        let part = B::float_slice(projection, &[Slice::from(places), Slice::from(columns)]);
        let shape = [bucket.pairs, bucket.tokens, self.heads, self.width / self.heads];
        B::float_swap_dims(B::float_reshape(part, Shape::from(shape)), 1, 2)
    }
}

fn parts<B: Backend>(layout: PairLayout<B>) -> (std::sync::Arc<[Bucket]>, Option<Padding<B>>) {
    match layout {
        PairLayout::Even { buckets, .. } => (buckets, None),
        PairLayout::Padded { buckets, spread, gather, hidden, .. } => {
            (buckets, Some(Padding { spread, gather, hidden }))
        }
        PairLayout::Packed(..) => unreachable!("{NO_KERNELS}"),
    }
}

/// What goes into a half of a layer.
fn before<B: EncoderOps>(x: FloatTensor<B>, norm: &Normalize<B>) -> FloatTensor<B> {
    match norm {
        Normalize::Before(norm) => B::normalize(x, norm.clone()),
        Normalize::After(_) | Normalize::Nowhere => x,
    }
}

/// What comes out of it.
fn after<B: EncoderOps>(x: FloatTensor<B>, norm: Normalize<B>) -> FloatTensor<B> {
    match norm {
        Normalize::After(norm) => B::normalize(x, norm),
        Normalize::Before(_) | Normalize::Nowhere => x,
    }
}

fn joined<B: Backend>(mut rows: Vec<FloatTensor<B>>) -> FloatTensor<B> {
    match rows.len() {
        1 => rows.remove(0),
        _ => B::float_cat(rows, 0),
    }
}

pub(super) fn normalize<B: Backend>(x: FloatTensor<B>, norm: NormWeights<B>) -> FloatTensor<B> {
    let kept = x.dtype();
    let y = in_company::<B>(in_float32::<B>(x), |x| {
        B::layer_norm(x, norm.gamma, Some(norm.beta), norm.epsilon)
    });
    kept_as::<B>(y, kept)
}

/// The gradients of a normalisation's input, gamma and beta.
///
/// With `n` the normalised rows and `g` the gradient of what is normalised, that of the input is
/// `(g - mean(g) - n mean(g n)) / deviation` (Ba et al., Layer Normalization, 2016).
#[cfg(feature = "train")]
pub(super) fn norm_slopes<B: Backend>(
    x: FloatTensor<B>,
    norm: NormWeights<B>,
    gradient: FloatTensor<B>,
) -> [FloatTensor<B>; 3] {
    let hidden = x.shape()[1];
    let mean = |x: FloatTensor<B>| B::float_mean_dim(x, 1);
    let row = |x: FloatTensor<B>| B::float_reshape(x, Shape::from([1, hidden]));
    let whole = |x: FloatTensor<B>| B::float_reshape(B::float_sum_dim(x, 0), Shape::from([hidden]));
    let centred = B::float_sub(x.clone(), mean(x));
    let variance = mean(B::float_mul(centred.clone(), centred.clone()));
    let deviation = B::float_sqrt(B::float_add_scalar(variance, norm.epsilon.into()));
    let normed = B::float_div(centred, deviation.clone());
    let of_gamma = whole(B::float_mul(gradient.clone(), normed.clone()));
    let of_beta = whole(gradient.clone());
    let gradient = B::float_mul(gradient, row(norm.gamma));
    let stretch = mean(B::float_mul(gradient.clone(), normed.clone()));
    let left = B::float_sub(gradient.clone(), mean(gradient));
    let left = B::float_sub(left, B::float_mul(normed, stretch));
    [B::float_div(left, deviation), of_gamma, of_beta]
}

fn in_float32<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    kept_as::<B>(x, DType::F32)
}

/// Not all backends know that there is nothing to do.
fn kept_as<B: Backend>(x: FloatTensor<B>, dtype: DType) -> FloatTensor<B> {
    if x.dtype() == dtype { x } else { B::float_cast(x, FloatDType::from(dtype)) }
}

/// A lone row takes another path through a CPU's sums and matrix multiplications, and rounds otherwise than the
/// same row in company. It is computed twice.
fn in_company<B: Backend>(
    x: FloatTensor<B>,
    row_by_row: impl FnOnce(FloatTensor<B>) -> FloatTensor<B>,
) -> FloatTensor<B> {
    if x.shape()[0] > 1 {
        return row_by_row(x);
    }
    let twice = row_by_row(B::float_cat(vec![x.clone(), x], 0));
    B::float_slice(twice, &[Slice::from(0..1)])
}

/// Rounds each row to 256 numbers between its least and its largest, 0 among them, as the kernels do.
fn in_8_bits<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let low = B::float_clamp_max(B::float_min_dim(x.clone(), 1), 0f32.into());
    let high = B::float_clamp_min(B::float_max_dim(x.clone(), 1), 0f32.into());
    let step = B::float_div_scalar(B::float_sub(high, low.clone()), 255f32.into());
    let step = B::float_clamp_min(step, f32::MIN_POSITIVE.into());
    let zero = B::float_round(B::float_div(B::float_neg(low), step.clone()));
    let bytes = B::float_round(B::float_add(B::float_div(x, step.clone()), zero.clone()));
    let bytes = B::float_clamp(bytes, 0f32.into(), 255f32.into());
    B::float_mul(B::float_sub(bytes, zero), step)
}

fn activate<B: EncoderOps>(x: FloatTensor<B>, activation: Activation) -> FloatTensor<B> {
    let curve = |x: FloatTensor<B>, of: fn(FloatTensor<B>) -> FloatTensor<B>| {
        let kept = x.dtype();
        kept_as::<B>(of(in_float32::<B>(x)), kept)
    };
    match activation {
        Activation::GeluErf => curve(x, B::curve),
        Activation::GeluTanh => curve(x, gelu_tanh::<B>),
        Activation::Relu => B::relu(x),
    }
}

/// As `gelu_approximate` of burn's tensors.
fn gelu_tanh<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let cube = B::float_mul(B::float_mul(x.clone(), x.clone()), x.clone());
    let inner = B::float_add(x.clone(), B::float_mul_scalar(cube, 0.044_715_f32.into()));
    let inner = B::float_mul_scalar(inner, (2.0 / std::f32::consts::PI).sqrt().into());
    let share = B::float_add_scalar(B::float_tanh(inner), 1f32.into());
    B::float_mul_scalar(B::float_mul(x, share), 0.5_f32.into())
}

#[cfg(all(test, feature = "flex"))]
mod tests;
