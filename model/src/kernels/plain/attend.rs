//! Attention of the pairs of one bucket.
//!
//! Written out rather than left to [`Backend::attention`], whose bodies multiply before they scale and add up in the
//! format of the input: in float16 both overflow where a trained network's scores are large.

use std::ops::Range;

use burn::backend::tensor::{BoolTensor, FloatTensor, IntTensor};
use burn::backend::{Backend, Shape, Slice, TensorMetadata, get_or_init_device_settings};

use super::{NO_KERNELS, in_float32, kept_as};
use crate::kernels::EncoderOps;
use crate::kernels::inputs::{Attention, Bucket, Distance};

/// `[pairs, heads, queries, width]` and twice `[pairs, heads, tokens, width]` → `[pairs * queries, hidden]`.
/// `hidden` is true at padding, in places of which the range is this bucket's.
pub(super) fn attend<B: EncoderOps>(
    [query, key, value]: [FloatTensor<B>; 3],
    hidden: Option<(BoolTensor<B>, Range<usize>)>,
    bucket: Bucket,
    attention: &Attention<B>,
) -> FloatTensor<B> {
    let [pairs, heads, queries, width] = query.shape().dims();
    let shape = Shape::from([pairs, heads, queries, bucket.tokens]);
    let padding = hidden.map(|(hidden, places)| {
        let own = B::bool_slice(hidden, &[Slice::from(places)]);
        let own = B::bool_reshape(own, Shape::from([pairs, 1, 1, bucket.tokens]));
        B::bool_expand(own, shape.clone())
    });
    // A window that no pair of the bucket fills hides nothing.
    let window = attention.window.filter(|window| window + 1 < bucket.tokens).map(|window| {
        let own = beyond::<B>(&query, queries, bucket.tokens, window);
        B::bool_expand(own, shape.clone())
    });
    let mask = match (padding, window) {
        (Some(padding), Some(window)) => Some(B::bool_or(padding, window)),
        (padding, window) => padding.or(window),
    };
    let scores = scores::<B>(query, key, &attention.distance);
    // Not infinity: a query that is padding itself may see nothing, and is to be a number.
    let scores = match mask {
        Some(mask) => B::float_mask_fill(scores, mask, f32::MIN.into()),
        None => scores,
    };
    let shares = kept_as::<B>(B::shares(scores), value.dtype());
    let context = B::float_matmul(shares, value);
    let rows = B::float_swap_dims(context, 1, 2);
    B::float_reshape(rows, Shape::from([pairs * queries, heads * width]))
}

/// How much each query asks for each key: `[pairs, heads, queries, tokens]`, in float32.
fn scores<B: Backend>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    distance: &Distance<B>,
) -> FloatTensor<B> {
    let kept = query.dtype();
    let [pairs, heads, queries, width] = query.shape().dims();
    let tokens = key.shape()[2];
    // A score is the sum of so many products.
    let products = if matches!(distance, Distance::Disentangled { .. }) { 3 } else { 1 };
    let scale = 1.0 / ((products * width) as f64).sqrt();
    let scaled = |x: FloatTensor<B>| B::float_mul_scalar(x, scale.into());
    let (query, key) = match distance {
        Distance::Rotary { cos, sin } => {
            let turned = |x: FloatTensor<B>| turn::<B>(in_float32::<B>(x), cos, sin);
            (kept_as::<B>(scaled(turned(query)), kept), kept_as::<B>(turned(key), kept))
        }
        Distance::Unseen | Distance::Bias(_) | Distance::Disentangled { .. } => {
            (scaled(query), key)
        }
        Distance::Packed(_) => unreachable!("{NO_KERNELS}"),
    };
    let scores = B::float_matmul(query.clone(), B::float_transpose(key.clone()));
    let scores = in_float32::<B>(scores);
    match distance {
        Distance::Bias(bias) => {
            let own = by_distance::<B>(bias, &query, queries, tokens);
            let shape = Shape::from([pairs, heads, queries, tokens]);
            B::float_add(scores, B::float_expand(own, shape))
        }
        Distance::Disentangled { keys, queries: asked, rows } => {
            let tables = [keys, &scaled(asked.clone())];
            B::float_add(scores, disentangled::<B>([&query, &key], tables, rows))
        }
        Distance::Unseen | Distance::Rotary { .. } | Distance::Packed(_) => scores,
    }
}

/// Place of each key less that of each query, `[queries, tokens]`.
fn distances<B: Backend>(like: &FloatTensor<B>, queries: usize, tokens: usize) -> IntTensor<B> {
    let device = like.device();
    let dtype = get_or_init_device_settings::<B>(&device).int_dtype;
    let places = |count: usize, shape: [usize; 2]| {
        let places = B::int_arange(0..count as i64, &device, dtype);
        B::int_expand(B::int_reshape(places, Shape::from(shape)), Shape::from([queries, tokens]))
    };
    B::int_sub(places(tokens, [1, tokens]), places(queries, [queries, 1]))
}

/// True where a key is beyond the window of a query, `[1, 1, queries, tokens]`.
fn beyond<B: Backend>(
    like: &FloatTensor<B>,
    queries: usize,
    tokens: usize,
    window: usize,
) -> BoolTensor<B> {
    let apart = B::int_abs(distances::<B>(like, queries, tokens));
    let dtype = get_or_init_device_settings::<B>(&like.device()).bool_dtype;
    let beyond = B::int_greater_elem(apart, (window as i64).into(), dtype);
    B::bool_reshape(beyond, Shape::from([1, 1, queries, tokens]))
}

/// `[heads, 2 * positions - 1]` → `[1, heads, queries, tokens]`.
fn by_distance<B: Backend>(
    bias: &FloatTensor<B>,
    like: &FloatTensor<B>,
    queries: usize,
    tokens: usize,
) -> FloatTensor<B> {
    let [heads, width] = bias.shape().dims();
    let places =
        B::int_add_scalar(distances::<B>(like, queries, tokens), ((width / 2) as i64).into());
    let places = B::int_reshape(places, Shape::from([queries * tokens]));
    let own = B::float_select(bias.clone(), 1, places);
    B::float_reshape(own, Shape::from([1, heads, queries, tokens]))
}

/// Scores of queries with the keys of positions, and of keys with their queries: `[pairs, heads, queries, tokens]`, in
/// float32.
fn disentangled<B: Backend>(
    [query, key]: [&FloatTensor<B>; 2],
    [keys, asked]: [&FloatTensor<B>; 2],
    rows: &IntTensor<B>,
) -> FloatTensor<B> {
    let [pairs, heads, queries, width] = query.shape().dims();
    let tokens = key.shape()[2];
    let (count, middle) = (keys.shape()[0], rows.shape()[0] / 2);
    let places = distances::<B>(query, queries, tokens);
    let places = B::int_add_scalar(places, (middle as i64).into());
    let places = B::int_reshape(places, Shape::from([queries * tokens]));
    let places = B::int_select(rows.clone(), 0, places);
    let places = B::int_reshape(places, Shape::from([1, 1, queries, tokens]));
    let met = |content: &FloatTensor<B>, positions: &FloatTensor<B>| {
        let own = B::float_reshape(positions.clone(), Shape::from([1, count, heads, width]));
        // `[1, heads, width, rows]`
        let own = B::float_transpose(B::float_swap_dims(own, 1, 2));
        let own = B::float_expand(own, Shape::from([pairs, heads, width, count]));
        B::float_matmul(content.clone(), own)
    };
    let pick = |scores: FloatTensor<B>, places: IntTensor<B>, shape: [usize; 2]| {
        let all = Shape::from([pairs, heads, shape[0], shape[1]]);
        B::float_gather(3, scores, B::int_expand(places, all))
    };
    let of_queries = pick(met(query, keys), places.clone(), [queries, tokens]);
    let turned = B::int_swap_dims(places, 2, 3);
    let of_keys = pick(met(key, asked), turned, [tokens, queries]);
    let of_keys = B::float_swap_dims(of_keys, 2, 3);
    B::float_add(in_float32::<B>(of_queries), in_float32::<B>(of_keys))
}

/// Turns `[pairs, heads, tokens, width]`: number `i` of a head together with number `i + width / 2`.
fn turn<B: Backend>(
    x: FloatTensor<B>,
    cos: &FloatTensor<B>,
    sin: &FloatTensor<B>,
) -> FloatTensor<B> {
    let [pairs, heads, tokens, width] = x.shape().dims();
    let half = width / 2;
    let [cos, sin] = [cos, sin].map(|table| {
        let own = B::float_slice(table.clone(), &[Slice::from(0..tokens), Slice::from(0..half)]);
        B::float_reshape(own, Shape::from([1, 1, tokens, half]))
    });
    let part = |numbers: Range<usize>| {
        let all = [0..pairs, 0..heads, 0..tokens, numbers].map(Slice::from);
        B::float_slice(x.clone(), &all)
    };
    let (first, second) = (part(0..half), part(half..width));
    let scaled = |x: &FloatTensor<B>, by: &FloatTensor<B>| B::float_mul(x.clone(), by.clone());
    let turned = [
        B::float_sub(scaled(&first, &cos), scaled(&second, &sin)),
        B::float_add(scaled(&second, &cos), scaled(&first, &sin)),
    ];
    B::float_cat(turned.into(), 3)
}
