//! What the integration tests share: fixtures, their golden logits, and devices.
#![allow(dead_code, reason = "each test binary uses a part")]

pub(crate) mod copy;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crossrank_model::{
    Backend, CrossEncoder, Device, InstructionSet, Kernels, PackedBatch, Pair, PairTokenizer,
    Precision, TokenLimits,
};
use serde::Deserialize;

/// Checkpoints in `fixtures/`, each with `golden.json`.
pub(crate) const FIXTURES: [&str; 14] = [
    "tiny-bert",
    "tiny-bert-f16",
    "tiny-bert-bf16",
    "tiny-bert-gelu-new",
    "tiny-bert-relu",
    "tiny-roberta",
    "tiny-xlm-roberta",
    "tiny-distilbert",
    "tiny-electra",
    "tiny-mpnet",
    "tiny-deberta-v2",
    "tiny-modernbert",
    "tiny-modernbert-mean",
    "tiny-modernbert-modules",
];

/// Those of architectures beside BERT, each with `tokens.json`.
pub(crate) fn families() -> impl Iterator<Item = &'static str> {
    FIXTURES.into_iter().skip(5)
}

/// What transformers makes of a fixture.
#[derive(Deserialize)]
pub(crate) struct Golden {
    pub(crate) tokens_max: usize,
    pub(crate) pairs: Vec<GoldenPair>,
}

/// The tokens that the tokenizers package gives for a pair of odd texts.
#[derive(Deserialize)]
pub(crate) struct OddPair {
    pub(crate) query: String,
    pub(crate) passage: String,
    /// How often the passage stands in the text.
    pub(crate) repeat: usize,
    pub(crate) ids: Vec<u32>,
    pub(crate) types: Vec<u8>,
}

#[derive(Deserialize)]
pub(crate) struct GoldenPair {
    pub(crate) query: String,
    pub(crate) passage: String,
    pub(crate) logit: f32,
    pub(crate) ids: Vec<u32>,
    pub(crate) types: Vec<u8>,
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

pub(crate) fn golden(name: &str) -> Golden {
    let text = std::fs::read_to_string(fixture(name).join("golden.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn encoder(name: &str, device: &Device) -> CrossEncoder {
    CrossEncoder::load(&fixture(name), device, Precision::F32).unwrap()
}

pub(crate) fn tokenizer(name: &str) -> PairTokenizer {
    let tokens_max = golden(name).tokens_max;
    PairTokenizer::load(&fixture(name), TokenLimits { tokens_max, query_tokens_max: 32 }).unwrap()
}

pub(crate) fn pack<'a>(pairs: impl IntoIterator<Item = &'a Pair>) -> PackedBatch {
    let mut batch = PackedBatch::with_capacity(0);
    for pair in pairs {
        batch.push(&pair.ids, &pair.types);
    }
    batch
}

/// The golden pairs of a fixture as this crate tokenises them.
pub(crate) fn golden_pairs(name: &str) -> Vec<Pair> {
    let tokenizer = tokenizer(name);
    let pair = |golden: &GoldenPair| {
        tokenizer.pair(&tokenizer.query(&golden.query).unwrap(), &golden.passage).unwrap()
    };
    golden(name).pairs.iter().map(pair).collect()
}

/// Every CPU backend of this build.
pub(crate) fn cpus() -> Vec<Device> {
    [Backend::Flex, Backend::NdArray]
        .into_iter()
        .filter(|backend| backend.compiled())
        .map(|backend| Device::open(backend).unwrap())
        .collect()
}

/// flex with each kind of kernels that this processor can run, the fastest first; none where flex is not compiled in.
pub(crate) fn with_kernels() -> Vec<Device> {
    InstructionSet::available()
        .filter(|_| Backend::Flex.compiled())
        .map(|set| Device::open_with(Backend::Flex, Kernels::For(set)).unwrap())
        .collect()
}

/// Every CPU backend of this build, in plain burn operations.
pub(crate) fn without_kernels() -> Vec<Device> {
    [Backend::Flex, Backend::NdArray]
        .into_iter()
        .filter(|backend| backend.compiled())
        .map(|backend| Device::open_with(backend, Kernels::Off).unwrap())
        .collect()
}

/// Pairs of these lengths, or of the longest that the fixture takes, of tokens by chance, the same each time.
pub(crate) fn random_batch(lengths: &[usize], name: &str) -> PackedBatch {
    let config = std::fs::read_to_string(fixture(name).join("config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    // As many as BERT's fixtures have at least.
    let vocabulary = config["vocab_size"].as_u64().unwrap().min(290) as u32;
    let Golden { tokens_max, pairs } = golden(name);
    let has_types = pairs.iter().any(|pair| pair.types.contains(&1));
    let mut batch = PackedBatch::with_capacity(lengths.iter().sum());
    let mut state = 1_u32;
    for length in lengths.iter().map(|&length| length.min(tokens_max)) {
        let id = |_| {
            // Numerical Recipes' linear congruence; its low bits repeat soon.
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % vocabulary
        };
        let ids: Vec<u32> = (0..length).map(id).collect();
        let types: Vec<u8> =
            (0..length).map(|token| u8::from(has_types && token > length / 4)).collect();
        batch.push(&ids, &types);
    }
    batch
}

/// The GPU, or `None` after one line that says what is missing. CI sets CROSSRANK_REQUIRE_VULKAN=1,
/// so that there a missing driver fails.
pub(crate) fn gpu(test: &str) -> Option<Device> {
    match Device::open(Backend::Wgpu) {
        Ok(device) => Some(device),
        Err(error) if std::env::var_os("CROSSRANK_REQUIRE_VULKAN").is_some_and(|v| v == "1") => {
            panic!("CROSSRANK_REQUIRE_VULKAN is set, but: {error}")
        }
        Err(error) => {
            skipped(
                test,
                &format!(
                    "{error}; without a GPU: apt-get install libvulkan1 chromium, then \
                     VK_DRIVER_FILES=/usr/lib/chromium/vk_swiftshader_icd.json"
                ),
            );
            None
        }
    }
}

/// Says why a test did nothing.
pub(crate) fn skipped(test: &str, why: &str) {
    tell(&format!("skipped: {test}: {why}\n"));
}

/// Figures that a reader of the test log wants.
pub(crate) fn noted(test: &str, what: &str) {
    tell(&format!("{test}: {what}\n"));
}

/// Past libtest's capture, which hides what passing tests print.
fn tell(line: &str) {
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Data that is not part of this repository: evaluation sets and published tokenizers.
pub(crate) fn shared() -> PathBuf {
    std::env::var_os("CROSSRANK_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from)
}

/// The largest difference, which fails the test above `tolerance`.
#[track_caller]
pub(crate) fn assert_close(what: &str, actual: &[f32], expected: &[f32], tolerance: f32) -> f32 {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let differences = actual.iter().zip(expected).map(|(a, e)| (a - e).abs());
    let worst =
        differences.fold(0.0f32, |worst, d| if d.is_nan() { f32::NAN } else { worst.max(d) });
    assert!(worst <= tolerance, "{what}: off by {worst:e}, {tolerance:e} allowed");
    worst
}
