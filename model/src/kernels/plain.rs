//! Every operation in plain burn operations.

use burn::backend::Backend;
use burn::backend::ops::AttentionModuleOptions;
use burn::backend::tensor::{BoolTensor, FloatTensor, IntTensor};
use burn::backend::{Shape, Slice, TensorMetadata};

use super::inputs::{Bucket, LinearWeights, NormWeights, PairLayout, TokenRows};
use crate::config::Activation;

const NO_KERNELS: &str = "packed inputs are made for backends with kernels only";

pub(super) fn embed<B: Backend>(
    tables: [FloatTensor<B>; 3],
    rows: TokenRows<B>,
    norm: NormWeights<B>,
) -> FloatTensor<B> {
    let TokenRows::Plain { words, types, positions } = rows else { unreachable!("{NO_KERNELS}") };
    let [word, kind, position] = tables;
    let sum = B::float_add(B::float_select(word, 0, words), B::float_select(kind, 0, types));
    normalize::<B>(B::float_add(sum, B::float_select(position, 0, positions)), norm)
}

pub(super) fn linear<B: Backend>(
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
        Some(Activation::GeluErf) => B::gelu(outputs),
        Some(Activation::GeluTanh) => gelu_tanh::<B>(outputs),
        Some(Activation::Relu) => B::relu(outputs),
    }
}

pub(super) fn self_attention<B: Backend>(
    x: FloatTensor<B>,
    qkv: LinearWeights<B>,
    output: LinearWeights<B>,
    norm: NormWeights<B>,
    layout: PairLayout<B>,
    heads: usize,
) -> FloatTensor<B> {
    let (buckets, padding) = parts::<B>(layout);
    let qkv = linear::<B>(x.clone(), qkv, None);
    let hidden = qkv.shape()[1] / 3;
    let qkv = match &padding {
        Some(padding) => B::float_select(qkv, 0, padding.spread.clone()),
        None => qkv,
    };
    let (mut start, mut contexts) = (0, Vec::with_capacity(buckets.len()));
    for bucket in buckets.iter() {
        let places = start..start + bucket.pairs * bucket.tokens;
        let part = |part: usize| Columns { start: part * hidden, width: hidden, heads };
        let read = |columns: Columns| columns.read::<B>(qkv.clone(), places.clone(), *bucket);
        let (query, key, value) = (read(part(0)), read(part(1)), read(part(2)));
        let hidden_places = padding.as_ref().map(|p| (p.hidden.clone(), places.clone()));
        contexts.push(attend::<B>([query, key, value], hidden_places, *bucket));
        start = places.end;
    }
    let context = joined::<B>(contexts);
    let context = match padding {
        Some(padding) => B::float_select(context, 0, padding.gather),
        None => context,
    };
    normalize::<B>(B::float_add(linear::<B>(context, output, None), x), norm)
}

pub(super) fn first_attention<B: Backend>(
    x: FloatTensor<B>,
    [query, key_value, output]: [LinearWeights<B>; 3],
    norm: NormWeights<B>,
    layout: PairLayout<B>,
    heads: usize,
) -> FloatTensor<B> {
    let firsts = match &layout {
        PairLayout::Even { firsts, .. } | PairLayout::Padded { firsts, .. } => firsts.clone(),
        PairLayout::Packed(..) => unreachable!("{NO_KERNELS}"),
    };
    let (buckets, padding) = parts::<B>(layout);
    let key_value = linear::<B>(x.clone(), key_value, None);
    let x = B::float_select(x, 0, firsts);
    let query = linear::<B>(x.clone(), query, None);
    let hidden = query.shape()[1];
    let key_value = match &padding {
        Some(padding) => B::float_select(key_value, 0, padding.spread.clone()),
        None => key_value,
    };
    let (mut start, mut pair, mut contexts) = (0, 0, Vec::with_capacity(buckets.len()));
    for bucket in buckets.iter() {
        let places = start..start + bucket.pairs * bucket.tokens;
        let part = |part: usize| Columns { start: part * hidden, width: hidden, heads };
        let read = |columns: Columns| columns.read::<B>(key_value.clone(), places.clone(), *bucket);
        let (key, value) = (read(part(0)), read(part(1)));
        let one_each = Bucket { tokens: 1, ..*bucket };
        let query = part(0).read::<B>(query.clone(), pair..pair + bucket.pairs, one_each);
        let hidden_places = padding.as_ref().map(|p| (p.hidden.clone(), places.clone()));
        contexts.push(attend::<B>([query, key, value], hidden_places, *bucket));
        start = places.end;
        pair += bucket.pairs;
    }
    let context = joined::<B>(contexts);
    normalize::<B>(B::float_add(linear::<B>(context, output, None), x), norm)
}

pub(super) fn feed_forward<B: Backend>(
    x: FloatTensor<B>,
    up: LinearWeights<B>,
    activation: Activation,
    down: LinearWeights<B>,
    norm: NormWeights<B>,
) -> FloatTensor<B> {
    let inner = linear::<B>(x.clone(), up, Some(activation));
    normalize::<B>(B::float_add(linear::<B>(inner, down, None), x), norm)
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

/// `[pairs, heads, queries, width]` and twice `[pairs, heads, tokens, width]` → `[pairs * queries, hidden]`.
fn attend<B: Backend>(
    [query, key, value]: [FloatTensor<B>; 3],
    hidden: Option<(BoolTensor<B>, std::ops::Range<usize>)>,
    bucket: Bucket,
) -> FloatTensor<B> {
    let [pairs, heads, queries, width] = query.shape().dims();
    let mask = hidden.map(|(hidden, places)| {
        let own = B::bool_slice(hidden, &[Slice::from(places)]);
        let own = B::bool_reshape(own, Shape::from([pairs, 1, 1, bucket.tokens]));
        B::bool_expand(own, Shape::from([pairs, heads, queries, bucket.tokens]))
    });
    let options = AttentionModuleOptions { scale: None, softcap: None, is_causal: false };
    let context = B::attention(query, key, value, mask, None, options);
    let rows = B::float_swap_dims(context, 1, 2);
    B::float_reshape(rows, Shape::from([pairs * queries, heads * width]))
}

fn joined<B: Backend>(mut rows: Vec<FloatTensor<B>>) -> FloatTensor<B> {
    match rows.len() {
        1 => rows.remove(0),
        _ => B::float_cat(rows, 0),
    }
}

fn normalize<B: Backend>(x: FloatTensor<B>, norm: NormWeights<B>) -> FloatTensor<B> {
    in_company::<B>(x, |x| B::layer_norm(x, norm.gamma, Some(norm.beta), norm.epsilon))
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

/// As `gelu_approximate` of burn's tensors.
fn gelu_tanh<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let cube = B::float_mul(B::float_mul(x.clone(), x.clone()), x.clone());
    let inner = B::float_add(x.clone(), B::float_mul_scalar(cube, 0.044_715_f32.into()));
    let inner = B::float_mul_scalar(inner, (2.0 / std::f32::consts::PI).sqrt().into());
    let share = B::float_add_scalar(B::float_tanh(inner), 1f32.into());
    B::float_mul_scalar(B::float_mul(x, share), 0.5_f32.into())
}
