//! A checkpoint of a real model's size, if there is one: a directory with golden.jsonl, named by
//! CROSSRANK_REAL_MODEL.

mod support;

use std::path::PathBuf;
use std::time::Instant;

use crossrank_model::{CrossEncoder, Device, Pair, PairTokenizer, Precision, TokenLimits};
use serde::Deserialize;
use support::{assert_close, cpus, gpu, noted, pack, skipped};

/// About what stays in a core's cache.
const BATCH_TOKENS: usize = 512;

#[derive(Deserialize)]
struct Line {
    query: String,
    text: String,
    tokens: usize,
    logit: f32,
}

struct Real {
    dir: PathBuf,
    pairs: Vec<Pair>,
    expected: Vec<f32>,
}

fn real(test: &str) -> Option<Real> {
    let Some(dir) = std::env::var_os("CROSSRANK_REAL_MODEL").map(PathBuf::from) else {
        skipped(test, "CROSSRANK_REAL_MODEL names no model directory with golden.jsonl");
        return None;
    };
    let text = std::fs::read_to_string(dir.join("golden.jsonl")).unwrap();
    let limits = TokenLimits { tokens_max: 512, query_tokens_max: 256 };
    let tokenizer = PairTokenizer::load(&dir, limits).unwrap();
    let (mut pairs, mut expected) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let line: Line = serde_json::from_str(line).unwrap();
        let pair = tokenizer.pair(&tokenizer.query(&line.query).unwrap(), &line.text).unwrap();
        assert_eq!(pair.ids.len(), line.tokens, "{}", line.text);
        pairs.push(pair);
        expected.push(line.logit);
    }
    Some(Real { dir, pairs, expected })
}

/// Batches of near-equal length, as the engine cuts them.
fn score_sorted(encoder: &CrossEncoder, pairs: &[Pair]) -> Vec<f32> {
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    order.sort_by_key(|&i| pairs[i].ids.len());
    let mut logits = vec![f32::NAN; pairs.len()];
    let mut rest = order.as_slice();
    while !rest.is_empty() {
        let longest = |n: usize| pairs[rest[n - 1]].ids.len();
        let count = (2..=rest.len()).take_while(|&n| n * longest(n) <= BATCH_TOKENS).last();
        let (batch, later) = rest.split_at(count.unwrap_or(1));
        let scored = encoder.score(&pack(batch.iter().map(|&i| &pairs[i]))).unwrap();
        for (&i, logit) in batch.iter().zip(scored) {
            logits[i] = logit;
        }
        rest = later;
    }
    logits
}

fn agrees(device: &Device, real: &Real) {
    let encoder = CrossEncoder::load(&real.dir, device, Precision::F32).unwrap();
    score_sorted(&encoder, &real.pairs[..8]);
    let start = Instant::now();
    let logits = score_sorted(&encoder, &real.pairs);
    let seconds = start.elapsed().as_secs_f64();
    let worst = assert_close(&device.name(), &logits, &real.expected, 1e-4);
    let per_second = real.pairs.len() as f64 / seconds;
    noted(
        "real size",
        &format!("{}: largest difference {worst:.1e}, {per_second:.1} pairs/s", device.name()),
    );
}

#[test]
fn cpu_backends_agree_with_transformers_at_real_size() {
    let Some(real) = real("cpu_backends_agree_with_transformers_at_real_size") else { return };
    for device in cpus() {
        agrees(&device, &real);
    }
}

#[test]
fn wgpu_agrees_with_transformers_at_real_size() {
    const TEST: &str = "wgpu_agrees_with_transformers_at_real_size";
    let Some(mut real) = real(TEST) else { return };
    let Some(device) = gpu(TEST) else { return };
    // A software renderer takes a second for a pair.
    if device.name().contains("software") {
        real.pairs.truncate(20);
        real.expected.truncate(20);
    }
    agrees(&device, &real);
}

#[test]
fn a_real_pair_scores_bit_for_bit_the_same_in_any_company_on_a_cpu() {
    const TEST: &str = "a_real_pair_scores_bit_for_bit_the_same_in_any_company_on_a_cpu";
    let Some(real) = real(TEST) else { return };
    for device in cpus() {
        let encoder = CrossEncoder::load(&real.dir, &device, Precision::F32).unwrap();
        let pairs = &real.pairs[..24];
        let together = encoder.score(&pack(pairs)).unwrap();
        for (i, pair) in pairs.iter().enumerate() {
            let alone = encoder.score(&pack([pair])).unwrap()[0];
            assert_eq!(alone.to_bits(), together[i].to_bits(), "pair {i} on {}", device.name());
        }
        assert_eq!(score_sorted(&encoder, pairs), together, "on {}", device.name());
    }
}
