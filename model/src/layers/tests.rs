//! Layers on a device with kernels against layers on one without: each operation's kernel against its body in plain
//! burn operations.

use std::sync::Arc;

use burn::backend::Dispatch;
use burn::tensor::{Device as BurnDevice, Tensor, TensorData};

use super::{Linear, Norm};
use crate::attending::{Attending, DistanceTables};
use crate::config::Activation;
use crate::device::{Backend, Device, Kernels};
use crate::kernels::cpu::{self, InstructionSet};
use crate::kernels::{
    Attention, EmbeddingTables, EncoderOps as _, NormWeights, Normalize, Table, Words,
};
use crate::layout::Layout;
use crate::packed::PackedBatch;
use crate::stored::{StoredLinear, StoredNorm, StoredTable, StoredWeights};

/// Of the largest number that the plain body comes to.
const TOLERANCE: f32 = 1e-5;
const HIDDEN: usize = 48;
const INNER: usize = 100;
const HEADS: usize = 4;

/// Pairs of these lengths.
const LENGTHS: [&[usize]; 6] =
    [&[1], &[2, 1, 1], &[31, 32, 33], &[97, 5, 1, 64], &[512], &[3, 90, 41, 7, 7, 128, 2]];

/// What the numbers of an input are like.
#[derive(Clone, Copy, Debug)]
enum Numbers {
    /// Between minus this and this.
    Within(f32),
    /// All rows the same.
    EqualRows,
    /// One number only.
    Equal,
}

/// Numbers between -1 and 1 by chance, the same each time (Numerical Recipes' linear congruence).
struct Chance(u32);

// === impl Chance ===

impl Chance {
    fn number(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    fn numbers(&mut self, count: usize, size: f32) -> Vec<f32> {
        (0..count).map(|_| self.number() * size).collect()
    }

    fn linear(&mut self, inputs: usize, outputs: usize) -> StoredLinear {
        let rows = StoredTable::Float(self.numbers(inputs * outputs, 0.2));
        let weights = StoredWeights::Table(rows);
        StoredLinear { inputs, outputs, weights, bias: self.numbers(outputs, 0.2), has_bias: true }
    }

    fn norm(&mut self) -> StoredNorm {
        let gamma = self.numbers(HIDDEN, 0.5).iter().map(|gamma| 1.0 + gamma).collect();
        StoredNorm { gamma, beta: self.numbers(HIDDEN, 0.5), has_beta: true, epsilon: 1e-12 }
    }

    fn rows(&mut self, numbers: Numbers, rows: usize) -> Vec<f32> {
        match numbers {
            Numbers::Within(size) => self.numbers(rows * HIDDEN, size),
            Numbers::EqualRows => self.numbers(HIDDEN, 1.0).repeat(rows),
            Numbers::Equal => vec![0.625; rows * HIDDEN],
        }
    }
}

/// What each operation comes to.
fn outputs(device: &Device, numbers: Numbers, lengths: &[usize]) -> Vec<(String, Vec<f32>)> {
    let (mut chance, burn) = (Chance(1), device.burn());
    let mut batch = PackedBatch::with_capacity(0);
    for &length in lengths {
        let ids: Vec<u32> = (0..length as u32).map(|token| token * 7 % 20).collect();
        batch.push(&ids, &vec![0; length]);
    }
    let layout = Layout::new(&batch, device);
    let x = chance.rows(numbers, batch.tokens());
    let x = || tensor(x.clone(), HIDDEN, burn);
    let mut linear = |inputs, outputs| Linear::new(chance.linear(inputs, outputs), device);
    let (qkv, output) = (linear(HIDDEN, 3 * HIDDEN), linear(HIDDEN, HIDDEN));
    let (query, key_value) = (linear(HIDDEN, HIDDEN), linear(HIDDEN, 2 * HIDDEN));
    let (up, down) = (linear(HIDDEN, INNER), linear(INNER, HIDDEN));
    let gated_up = linear(HIDDEN, 2 * INNER);
    let norm = || Norm::new(Chance(2).norm(), device).weights();
    let [words, types, positions] = [20, 2, 512]
        .map(|rows| tensor(chance.numbers(rows * HIDDEN, 1.0), HIDDEN, burn).into_dispatch());
    let (words, types) = (Words::Rows(words), Table::Rows(types));
    let tables = EmbeddingTables { words, types, positions: Table::Rows(positions) };

    let embedded = Dispatch::embed(tables.clone(), layout.tokens.clone(), norm());
    let words_only = EmbeddingTables { types: Table::Absent, positions: Table::Absent, ..tables };
    let words_only = Dispatch::embed(words_only, layout.tokens.clone(), norm());
    let mut all = vec![
        ("embed".to_owned(), Tensor::<2>::from_dispatch(embedded)),
        ("embed words".to_owned(), Tensor::from_dispatch(words_only)),
        ("linear".to_owned(), up.forward(x(), None)),
    ];
    let normalized = Dispatch::normalize(x().into_dispatch(), norm());
    all.push(("normalize".to_owned(), Tensor::from_dispatch(normalized)));
    let mean = Dispatch::mean(x().into_dispatch(), layout.pairs.clone());
    all.push(("mean".to_owned(), Tensor::from_dispatch(mean)));
    for (name, attention) in attentions(device) {
        for (place, norm) in places(norm()) {
            let attended = Dispatch::self_attention(
                x().into_dispatch(),
                qkv.weights(),
                output.weights(),
                norm.clone(),
                layout.pairs.clone(),
                attention.clone(),
            );
            let firsts = Dispatch::first_attention(
                x().into_dispatch(),
                query.weights(),
                key_value.weights(),
                output.weights(),
                norm,
                layout.pairs.clone(),
                attention.clone(),
            );
            all.push((format!("self_attention, {name}, {place}"), Tensor::from_dispatch(attended)));
            all.push((format!("first_attention, {name}, {place}"), Tensor::from_dispatch(firsts)));
        }
    }
    for activation in [Activation::GeluErf, Activation::GeluTanh, Activation::Relu] {
        all.push((format!("linear, {activation:?}"), up.forward(x(), Some(activation))));
        for (place, norm) in places(norm()) {
            for (gated, up) in [(false, &up), (true, &gated_up)] {
                let fed = Dispatch::feed_forward(
                    x().into_dispatch(),
                    up.weights(),
                    activation,
                    gated,
                    down.weights(),
                    norm.clone(),
                );
                let name = format!("feed_forward, {activation:?}, gated: {gated}, {place}");
                all.push((name, Tensor::from_dispatch(fed)));
            }
        }
    }
    all.into_iter().map(|(name, y)| (name, y.into_data().try_to_vec().unwrap())).collect()
}

/// Every kind of attention, with a window that is shorter than some of the pairs, and shorter than a panel or not.
fn attentions(device: &Device) -> Vec<(String, Attention<Dispatch>)> {
    let rotary = cpu::Rotary::new(10_000.0, HIDDEN / HEADS / 2, 512);
    let values = Chance(3).numbers(HEADS * (2 * 512 - 1), 2.0);
    let bias = cpu::DistanceBias { positions: 512, values };
    let kinds = [cpu::Distance::Unseen, cpu::Distance::Rotary(rotary), cpu::Distance::Bias(bias)];
    let mut all = Vec::new();
    for (kind, distance) in
        ["", "rotary ", "bias ", "disentangled "].iter().zip(kinds.map(Arc::new))
    {
        for window in [None, Some(0), Some(5), Some(40)] {
            let distance = DistanceTables::new(&distance, [HEADS, HIDDEN], device);
            let attending = Attending { heads: HEADS, window, distance };
            all.push((format!("{kind}{window:?}"), attending.attention()));
        }
    }
    all
}

/// Every place where a half can be normalised.
fn places(norm: NormWeights<Dispatch>) -> [(&'static str, Normalize<Dispatch>); 3] {
    [
        ("after", Normalize::After(norm.clone())),
        ("before", Normalize::Before(norm)),
        ("nowhere", Normalize::Nowhere),
    ]
}

fn tensor(values: Vec<f32>, columns: usize, device: &BurnDevice) -> Tensor<2> {
    let rows = values.len() / columns;
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

#[test]
fn kernels_come_to_what_plain_operations_do() {
    let plain = Device::open_with(Backend::Flex, Kernels::Off).unwrap();
    let all_numbers = [1.0, 1e15, 1e-3, 1e-15, 1e-40].map(Numbers::Within);
    for numbers in all_numbers.into_iter().chain([Numbers::EqualRows, Numbers::Equal]) {
        for lengths in LENGTHS {
            // In the order that plain bodies compute pairs in.
            let mut lengths = lengths.to_vec();
            lengths.sort_unstable();
            let expected = outputs(&plain, numbers, &lengths);
            for set in InstructionSet::available() {
                let device = Device::open_with(Backend::Flex, Kernels::For(set)).unwrap();
                for ((name, actual), (_, expected)) in
                    outputs(&device, numbers, &lengths).into_iter().zip(&expected)
                {
                    let what = format!("{name} of {lengths:?}, {numbers:?} on {set}");
                    let largest = expected.iter().fold(0.0_f32, |most, y| most.max(y.abs()));
                    assert_eq!(actual.len(), expected.len(), "{what}");
                    assert!(largest.is_finite() && largest > 0.0, "{what}: {largest}");
                    for (actual, expected) in actual.iter().zip(expected) {
                        let off = (actual - expected).abs() / largest;
                        assert!(off <= TOLERANCE, "{what}: {actual}, not {expected}: {off:e} off");
                    }
                }
            }
        }
    }
}
