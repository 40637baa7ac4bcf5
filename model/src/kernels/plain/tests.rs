//! What half precision must not lose, operation by operation: each comes to what float32 does, rounded once.

use burn::backend::flex::FlexTensor;
use burn::backend::{Flex, TensorData};
use burn::tensor::DType;

use super::attend::attend;
use super::{activate, embed, in_float32, kept_as, mean, normalize};
use crate::config::Activation;
use crate::kernels::inputs::{
    Attention, Bucket, Distance, EmbeddingTables, NormWeights, PairLayout, Table, TokenRows, Words,
};

const HALVES: [DType; 2] = [DType::F16, DType::BF16];

fn tensor<const D: usize>(values: &[f32], shape: [usize; D], dtype: DType) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values.to_vec(), shape).convert_dtype(dtype))
}

fn indices(values: &[i32]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values.to_vec(), [values.len()]))
}

fn numbers(x: FlexTensor) -> Vec<f32> {
    in_float32::<Flex>(x).into_data().try_to_vec().unwrap()
}

/// What `operation` makes of `x` in half precision, and what it makes of the same numbers in float32, rounded.
fn both(x: FlexTensor, operation: impl Fn(FlexTensor) -> FlexTensor) -> [Vec<f32>; 2] {
    let dtype = x.dtype();
    let exact = operation(in_float32::<Flex>(x.clone()));
    let half = operation(x);
    assert_eq!((half.dtype(), exact.dtype()), (dtype, DType::F32), "kept as it comes");
    [numbers(half), numbers(kept_as::<Flex>(exact, dtype))]
}

fn norm(width: usize) -> NormWeights<Flex> {
    let one = |value: f32| tensor(&vec![value; width], [width], DType::F32);
    NormWeights { gamma: one(1.25), beta: one(0.3), epsilon: 1e-5, isa: None }
}

#[test]
fn a_row_is_normalized_whose_variance_is_beyond_float16() {
    let values: Vec<f32> =
        (0..64).map(|i| if i % 2 == 0 { 3000.0 } else { -2900.0 - i as f32 }).collect();
    for dtype in HALVES {
        let [half, exact] =
            both(tensor(&values, [2, 32], dtype), |x| normalize::<Flex>(x, norm(32)));
        assert_eq!(half, exact, "{dtype:?}");
        assert!(half.iter().all(|y| (0.5..2.0).contains(&y.abs())), "{half:?}");
    }
}

#[test]
fn activations_are_float32s_rounded_once() {
    let values: Vec<f32> = (0..256).map(|i| (i - 128) as f32 / 16.0).collect();
    for (dtype, activation) in HALVES.into_iter().flat_map(|dtype| {
        [Activation::GeluErf, Activation::GeluTanh, Activation::Relu].map(|a| (dtype, a))
    }) {
        let x = tensor(&values, [16, 16], dtype);
        let [half, exact] = both(x, |x| activate::<Flex>(x, activation));
        assert_eq!(half, exact, "{activation:?} in {dtype:?}");
    }
}

#[test]
fn a_mean_is_that_of_sums_beyond_float16() {
    let (tokens, width) = (1000, 3);
    let values: Vec<f32> = (0..tokens * width).map(|i| 200.0 + (i % 7) as f32).collect();
    for dtype in HALVES {
        let [half, exact] = both(tensor(&values, [tokens, width], dtype), |x| {
            let buckets = [Bucket { pairs: 1, tokens }].into();
            mean::<Flex>(x, PairLayout::Even { buckets, firsts: indices(&[0]) })
        });
        assert_eq!(half, exact, "{dtype:?}");
    }
}

#[test]
fn an_embedding_is_added_up_before_it_is_rounded() {
    let table = |rows: &[f32], dtype| tensor(rows, [rows.len() / 2, 2], dtype);
    for dtype in HALVES {
        // What the small ones add is lost in half precision, and is all that is left when normalised.
        let [half, exact] = both(table(&[512.0, 512.0], dtype), |words| {
            let kept = words.dtype();
            let types = Table::Rows(table(&[0.03, 0.05], kept));
            let positions = Table::Rows(table(&[0.06, 0.01], kept));
            let rows = || indices(&[0]);
            let rows = TokenRows::Plain { words: rows(), types: rows(), positions: rows() };
            let tables = EmbeddingTables { words: Words::Rows(words), types, positions };
            embed::<Flex>(tables, rows, norm(2))
        });
        assert_eq!(half, exact, "{dtype:?}");
        assert!((half[0] - half[1]).abs() > 1.0, "{half:?}");
    }
}

/// Three tokens of which each asks for itself with a score that is beyond float16 before it is scaled.
const LOUD: [f32; 12] = [250.0, 250.0, 0.0, 0.0, 0.0, 250.0, 250.0, 0.0, 0.0, 0.0, 250.0, 250.0];
const VALUES: [f32; 12] = [1.0, 2.0, 3.0, 4.0, -1.0, -2.0, -3.0, -4.0, 0.5, 0.25, 8.0, -8.0];

fn attended(
    query_and_key: [&[f32]; 2],
    dtype: DType,
    distance: Distance<Flex>,
    [window, hidden]: [Option<usize>; 2],
) -> Vec<f32> {
    let shaped = |values: &[f32]| tensor(values, [1, 1, 3, 4], dtype);
    let [query, key] = query_and_key.map(shaped);
    let attention = Attention { heads: 1, window, distance };
    let hidden = hidden.map(|token| {
        let places: Vec<bool> = (0..3).map(|place| place == token).collect();
        (FlexTensor::from_data(TensorData::new(places, [3])), 0..3)
    });
    let inputs = [query, key, shaped(&VALUES)];
    let context = attend::<Flex>(inputs, hidden, Bucket { pairs: 1, tokens: 3 }, &attention);
    assert_eq!(context.dtype(), dtype, "kept as it comes");
    numbers(context)
}

#[test]
fn scores_beyond_float16_find_their_token() {
    for dtype in HALVES {
        let unseen = attended([&LOUD, &LOUD], dtype, Distance::Unseen, [None, None]);
        assert_eq!(unseen, VALUES, "{dtype:?}");
        let table = |value: f32| tensor(&[value; 6], [3, 2], DType::F32);
        let rotary = Distance::Rotary { cos: table(0.6), sin: table(0.8) };
        assert_eq!(attended([&LOUD, &LOUD], dtype, rotary, [None, None]), VALUES, "{dtype:?}");
        // To the token behind, for which the sum is beyond float16 as well.
        let bias = tensor(&[0.0, 0.0, 0.0, 80_000.0, 0.0], [1, 5], DType::F32);
        let behind = [&VALUES[4..], &VALUES[8..]].concat();
        let biased = attended([&LOUD, &LOUD], dtype, Distance::Bias(bias), [None, None]);
        assert_eq!(biased, behind, "{dtype:?}");
    }
}

/// DeBERTa's scores are sums of three products, each of which may be beyond float16 before it is scaled, as may be
/// their sum afterwards.
#[test]
fn disentangled_scores_beyond_float16_find_their_token() {
    let even = [186.0; 12];
    for dtype in HALVES {
        let row = |values: [f32; 4]| [[0.0; 4], values].concat();
        let disentangled = |keys: [f32; 4], queries: [f32; 4]| Distance::Disentangled {
            keys: tensor(&row(keys), [2, 4], dtype),
            queries: tensor(&row(queries), [2, 4], dtype),
            // The second row is that of a token's own place.
            rows: indices(&[0, 0, 1, 0, 0]),
        };
        for (keys, queries) in
            [([186.0; 4], [0.0; 4]), ([0.0; 4], [186.0; 4]), ([186.0; 4], [186.0; 4])]
        {
            let distance = disentangled(keys, queries);
            let found = attended([&even, &even], dtype, distance, [None, None]);
            assert_eq!(found, VALUES, "{dtype:?}, {keys:?}, {queries:?}");
        }
    }
}

#[test]
fn tokens_are_turned_in_float32() {
    // Turned, neither has a number where the other has one; rounded on the way, they would meet.
    let query = [4.0, 0.0, 3.0, 0.0].repeat(3);
    let key = [&[36_000.0, 0.0, -48_000.0, 0.0], [0.0; 8].as_slice()].concat();
    for dtype in HALVES {
        let table = |value: f32| tensor(&[value; 6], [3, 2], DType::F32);
        let rotary = Distance::Rotary { cos: table(0.6), sin: table(0.8) };
        let context = attended([&query, &key], dtype, rotary, [None, None]);
        for row in context.chunks_exact(4) {
            for (actual, even) in row.iter().zip([0.1667, 0.0833, 2.6667, -2.6667]) {
                assert!((actual - even).abs() < 0.05, "{dtype:?}: {row:?}");
            }
        }
    }
}

#[test]
fn what_is_hidden_has_no_share_and_who_sees_nothing_is_a_number() {
    // The hidden token would be found by all.
    let key = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 900.0, 900.0, 900.0, 900.0];
    let query = [1.0; 12];
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let context = attended([&query, &key], dtype, Distance::Unseen, [None, Some(2)]);
        // Both others are asked for alike.
        for row in context.chunks_exact(4) {
            assert_eq!(row, [0.0; 4], "{dtype:?}");
        }
        // The last sees itself alone, and is hidden.
        let context = attended([&query, &key], dtype, Distance::Unseen, [Some(0), Some(2)]);
        assert_eq!(context[..8], VALUES[..8], "{dtype:?}");
        assert!(context[8..].iter().all(|y| y.is_finite()), "{dtype:?}: {context:?}");
    }
}
