//! Logits agree with transformers, on every backend, and do not depend on a pair's company.

mod support;

use crossrank_model::{Device, Pair};
use support::{FIXTURES, assert_close, cpus, encoder, golden, golden_pairs, gpu, noted, pack};

/// Absolute, on logits that span several units.
const TOLERANCE: f32 = 1e-4;

fn agrees_with_transformers(device: &Device) {
    for name in FIXTURES {
        let pairs = golden_pairs(name);
        let expected: Vec<f32> = golden(name).pairs.iter().map(|pair| pair.logit).collect();
        let logits = encoder(name, device).score(&pack(&pairs)).unwrap();
        let what = format!("{name} on {}", device.name());
        let worst = assert_close(&what, &logits, &expected, TOLERANCE);
        noted("parity", &format!("{what}: largest difference {worst:.1e}"));
    }
}

/// Scores of each pair alone, and in a batch of 64 that starts with another pair each time.
fn alone_and_in_company(name: &str, device: &Device) -> Vec<(f32, Vec<f32>)> {
    let encoder = encoder(name, device);
    let pairs = golden_pairs(name);
    let alone = pairs.iter().map(|pair| encoder.score(&pack([pair])).unwrap()[0]);
    let mut scores: Vec<(f32, Vec<f32>)> = alone.map(|score| (score, Vec::new())).collect();
    for shift in [0, 1, 5, 13] {
        let company: Vec<&Pair> = pairs.iter().cycle().skip(shift).take(64).collect();
        let logits = encoder.score(&pack(company)).unwrap();
        for (place, logit) in logits.into_iter().enumerate() {
            scores[(shift + place) % pairs.len()].1.push(logit);
        }
    }
    scores
}

#[test]
fn cpu_backends_agree_with_transformers() {
    for device in cpus() {
        agrees_with_transformers(&device);
    }
}

#[test]
fn wgpu_agrees_with_transformers() {
    let Some(device) = gpu("wgpu_agrees_with_transformers") else { return };
    agrees_with_transformers(&device);
}

#[test]
fn on_a_cpu_a_pair_scores_bit_for_bit_the_same_in_any_company() {
    for (device, name) in cpus().iter().flat_map(|device| FIXTURES.map(|name| (device, name))) {
        for (pair, (alone, company)) in alone_and_in_company(name, device).into_iter().enumerate() {
            for logit in company {
                let what = format!("pair {pair} of {name} on {}", device.name());
                assert_eq!(logit.to_bits(), alone.to_bits(), "{what}");
            }
        }
    }
}

#[test]
fn on_a_gpu_a_pair_scores_the_same_in_any_company() {
    let Some(device) = gpu("on_a_gpu_a_pair_scores_the_same_in_any_company") else { return };
    // One for each way to know of distances; software takes its time.
    for name in ["tiny-bert", "tiny-mpnet", "tiny-deberta-v2", "tiny-modernbert-mean"] {
        for (pair, (alone, company)) in alone_and_in_company(name, &device).into_iter().enumerate()
        {
            let (expected, what) = (vec![alone; company.len()], format!("pair {pair} of {name}"));
            assert_close(&what, &company, &expected, 1e-5);
        }
    }
}

#[test]
fn clones_score_the_same_on_other_threads() {
    for device in cpus() {
        let encoder = encoder("tiny-bert", &device);
        let batch = pack(&golden_pairs("tiny-bert"));
        let expected = encoder.score(&batch).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (encoder, batch, expected) = (encoder.clone(), batch.clone(), &expected);
                scope.spawn(move || assert_eq!(encoder.score(&batch).unwrap(), *expected));
            }
        });
    }
}
