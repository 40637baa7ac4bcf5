//! Each kernel against its body in plain burn operations, on every instruction set of this processor, and whole encoders.
//!
//! `cargo bench --workspace --bench kernels -- linear` runs a part of them. The encoder is that of the model directory that
//! `CROSSRANK_REAL_MODEL` names, or a tiny one.
//!
//! The kernels are not part of what the crate offers. Their files are compiled into this program once more, rather than
//! offered for its sake.

#[path = "../src/config/activation.rs"]
mod activation;

/// Where the kernels' files look for it.
mod config {
    pub(crate) use super::activation::Activation;
}

#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "not all of a crate's own is measured"
)]
#[path = "../src/kernels/mod.rs"]
mod kernels;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use burn::backend::Flex;
use burn::backend::TensorData;
use burn::backend::flex::FlexTensor;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use crossrank_model::{Backend, CrossEncoder, Device, PackedBatch, Precision};

use config::Activation;
use kernels::cpu::{self, InstructionSet, Int8Rows, Isa, PackedLinear};
use kernels::{
    Attention, Bucket, Distance, EmbeddingTables, EncoderOps as _, LinearWeights, NormWeights,
    Normalize, PairLayout, Table, TokenRows, Words,
};

/// Those that a CPU computes in.
const PRECISIONS: [Precision; 2] = [Precision::F32, Precision::Int8];
/// About what stays in a core's cache.
const TOKENS: usize = 512;
/// The sizes of MiniLM-L6.
const HIDDEN: usize = 384;
const INNER: usize = 1536;
const HEADS: usize = 12;
/// Tokens of a pair of a query and a web passage, on average.
const PAIR_TOKENS: usize = 97;
const PAIRS: usize = TOKENS / PAIR_TOKENS;

/// How an operation is computed.
#[derive(Clone, Copy)]
enum Body {
    Kernels(Isa),
    Plain,
}

// === impl Body ===

impl Body {
    /// The kernels of every instruction set, the fastest first, then plain operations.
    fn all() -> impl Iterator<Item = Self> {
        InstructionSet::available().filter_map(Isa::of).map(Self::Kernels).chain([Self::Plain])
    }

    fn name(self) -> String {
        match self {
            Self::Kernels(isa) => format!("{isa:?}"),
            Self::Plain => "plain".to_owned(),
        }
    }

    fn linear(self, [inputs, outputs]: [usize; 2], precision: Precision) -> LinearWeights<Flex> {
        let (rows, bias) = (numbers(inputs * outputs, 0.05), numbers(outputs, 0.05));
        let bias_row = || tensor(bias.clone(), [1, outputs]);
        // A plain body wants `[inputs, outputs]`; what the numbers are makes no difference here.
        let weight = || tensor(rows.clone(), [inputs, outputs]);
        let packed = |packed| LinearWeights::Packed(self.isa(), Arc::new(packed));
        match (self, precision) {
            (Self::Plain, Precision::F32) => {
                LinearWeights::Float { weight: weight(), bias: bias_row() }
            }
            (Self::Plain, Precision::Int8) => {
                let smoothing = tensor(vec![1.0; inputs], [1, inputs]);
                LinearWeights::Int8 { weight: weight(), bias: bias_row(), smoothing }
            }
            (Self::Kernels(_), Precision::F32) => {
                packed(PackedLinear::float(&rows, &bias, [inputs, outputs]))
            }
            (Self::Kernels(_), Precision::Int8) => {
                packed(PackedLinear::int8(&Int8Rows::quantize(&rows, vec![1.0; inputs]), &bias))
            }
            (_, Precision::F16 | Precision::Bf16) => unreachable!("not one of PRECISIONS"),
        }
    }

    /// Pairs of one length.
    fn pairs(self) -> PairLayout<Flex> {
        match self {
            Self::Kernels(isa) => {
                let ends = (0..=PAIRS).map(|pair| (pair * PAIR_TOKENS) as u32);
                PairLayout::Packed(isa, ends.collect())
            }
            Self::Plain => PairLayout::Even {
                buckets: Arc::new([Bucket { pairs: PAIRS, tokens: PAIR_TOKENS }]),
                firsts: indices((0..PAIRS).map(|pair| pair * PAIR_TOKENS)),
            },
        }
    }

    /// Attention to all tokens of a pair.
    fn attention(self) -> Attention<Flex> {
        let distance = match self {
            Self::Kernels(_) => Distance::Packed(Arc::new(cpu::Distance::Unseen)),
            Self::Plain => Distance::Unseen,
        };
        Attention { heads: HEADS, window: None, distance }
    }

    fn tokens(self) -> TokenRows<Flex> {
        let words = || (0..TOKENS).map(|token| token * 37 % 1000);
        let (types, positions) = (|| (0..TOKENS).map(|token| token % 2), || 0..TOKENS);
        let narrow = |rows: &mut dyn Iterator<Item = usize>| rows.map(|row| row as u32).collect();
        match self {
            Self::Kernels(isa) => TokenRows::Packed {
                isa,
                words: narrow(&mut words()),
                types: narrow(&mut types()),
                positions: narrow(&mut positions()),
            },
            Self::Plain => TokenRows::Plain {
                words: indices(words()),
                types: indices(types()),
                positions: indices(positions()),
            },
        }
    }

    fn isa(self) -> Isa {
        match self {
            Self::Kernels(isa) => isa,
            Self::Plain => unreachable!("plain operations have no instruction set"),
        }
    }
}

/// Numbers between `-size` and `size` by chance, the same each time (Numerical Recipes' linear congruence).
fn numbers(count: usize, size: f32) -> Vec<f32> {
    let mut state = 1_u32;
    let number = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * size
    };
    (0..count).map(number).collect()
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

fn indices(rows: impl Iterator<Item = usize>) -> FlexTensor {
    let rows: Vec<i32> = rows.map(|row| row as i32).collect();
    let count = rows.len();
    FlexTensor::from_data(TensorData::new(rows, [count]))
}

fn rows(rows: usize, columns: usize) -> FlexTensor {
    tensor(numbers(rows * columns, 1.0), [rows, columns])
}

fn norm() -> NormWeights<Flex> {
    let (gamma, beta) = (numbers(HIDDEN, 0.5), numbers(HIDDEN, 0.5));
    let (gamma, beta) = (tensor(gamma, [HIDDEN]), tensor(beta, [HIDDEN]));
    NormWeights { gamma, beta, epsilon: 1e-12, isa: None }
}

fn group<'a>(
    criterion: &'a mut Criterion,
    name: &str,
    per_call: usize,
) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_secs(1));
    group.throughput(Throughput::Elements(per_call as u64));
    group
}

/// A second is as many operations: multiplication and addition are two.
fn linear(criterion: &mut Criterion) {
    for precision in PRECISIONS {
        for [inputs, outputs] in
            [[HIDDEN, HIDDEN], [HIDDEN, 3 * HIDDEN], [HIDDEN, INNER], [INNER, HIDDEN]]
        {
            let name = format!("linear/{precision}/{TOKENS}x{inputs}x{outputs}");
            let activation = (outputs == INNER).then_some(Activation::GeluErf);
            let mut group = group(criterion, &name, 2 * TOKENS * inputs * outputs);
            for body in Body::all() {
                let (x, weights) =
                    (rows(TOKENS, inputs), body.linear([inputs, outputs], precision));
                group.bench_function(body.name(), |bencher| {
                    bencher.iter(|| Flex::linear(x.clone(), weights.clone(), activation));
                });
            }
        }
    }
}

/// A second is as many tokens.
fn attention(criterion: &mut Criterion) {
    for precision in PRECISIONS {
        let name = format!("attention/{precision}/{PAIRS}x{PAIR_TOKENS}");
        let mut group = group(criterion, &name, PAIRS * PAIR_TOKENS);
        for body in Body::all() {
            let qkv = body.linear([HIDDEN, 3 * HIDDEN], precision);
            let (output, layout) = (body.linear([HIDDEN, HIDDEN], precision), body.pairs());
            let (x, norm) = (rows(PAIRS * PAIR_TOKENS, HIDDEN), Normalize::After(norm()));
            let heads = body.attention();
            group.bench_function(body.name(), |bencher| {
                bencher.iter(|| {
                    let (qkv, output) = (qkv.clone(), output.clone());
                    let (norm, layout) = (norm.clone(), layout.clone());
                    Flex::self_attention(x.clone(), qkv, output, norm, layout, heads.clone())
                });
            });
        }
    }
}

/// A second is as many tokens.
fn feed_forward(criterion: &mut Criterion) {
    for precision in PRECISIONS {
        let name = format!("feed_forward/{precision}/{TOKENS}");
        let mut group = group(criterion, &name, TOKENS);
        for body in Body::all() {
            let up = body.linear([HIDDEN, INNER], precision);
            let down = body.linear([INNER, HIDDEN], precision);
            let (x, norm) = (rows(TOKENS, HIDDEN), Normalize::After(norm()));
            group.bench_function(body.name(), |bencher| {
                bencher.iter(|| {
                    let (up, down, norm) = (up.clone(), down.clone(), norm.clone());
                    Flex::feed_forward(x.clone(), up, Activation::GeluErf, false, down, norm)
                });
            });
        }
    }
}

/// Sums and layer normalisation, with a look-up. A second is as many tokens.
fn embed(criterion: &mut Criterion) {
    let mut group = group(criterion, &format!("embed/{TOKENS}"), TOKENS);
    for body in Body::all() {
        let (tables, tokens, norm) =
            ([1000, 2, TOKENS].map(|table| rows(table, HIDDEN)), body.tokens(), norm());
        group.bench_function(body.name(), |bencher| {
            bencher.iter(|| {
                let [words, types, positions] = tables.clone();
                let (types, positions) = (Table::Rows(types), Table::Rows(positions));
                let words = Words::Rows(words);
                let tables = EmbeddingTables { words, types, positions };
                Flex::embed(tables, tokens.clone(), norm.clone())
            });
        });
    }
}

/// A batch of pairs of many lengths through a whole encoder. A second is as many tokens.
fn encoder(criterion: &mut Criterion) {
    let dir = std::env::var_os("CROSSRANK_REAL_MODEL").map(PathBuf::from);
    let tiny = || Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tiny-bert");
    let dir = dir.unwrap_or_else(tiny);
    let mut batch = PackedBatch::with_capacity(TOKENS);
    for length in [33, 47, 60, 71, 80, 90, 96, 35] {
        let ids: Vec<u32> = (0..length).map(|token| token * 37 % 290).collect();
        let types: Vec<u8> = (0..length).map(|token| u8::from(token > 12)).collect();
        batch.push(&ids, &types);
    }
    for precision in PRECISIONS {
        let mut group = group(criterion, &format!("encoder/{precision}"), batch.tokens());
        for body in Body::all() {
            let kernels = body.name().replace("plain", "off").parse().expect("kernels have names");
            let device = Device::open_with(Backend::Flex, kernels).expect("flex is compiled in");
            let encoder = CrossEncoder::load(&dir, &device, precision).expect("a model directory");
            group.bench_function(body.name(), |bencher| {
                bencher.iter(|| encoder.score(&batch).expect("a batch within the model's limits"));
            });
        }
    }
}

criterion_group!(benches, linear, attention, feed_forward, embed, encoder);
criterion_main!(benches);
