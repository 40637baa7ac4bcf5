//! Models with several labels: the score is the log-odds of one of them, and none is scored that nobody chose.

mod support;

use std::path::Path;

use crossrank_model::{CrossEncoder, Device, LoadError, Precision, labels, quantize};
use serde_json::json;
use support::copy::{Copy, Tensors, says};
use support::{
    FIXTURES, assert_close, cpus, fixture, golden, golden_pairs, gpu, noted, pack, with_kernels,
    without_kernels,
};

const NAME: &str = "tiny-deberta-v2-labels";
const LABELS: [&str; 3] = ["contradiction", "entailment", "neutral"];

fn every_cpu() -> Vec<Device> {
    with_kernels().into_iter().chain(without_kernels()).collect()
}

fn load(dir: &Path, device: &Device, label: Option<&str>) -> Result<CrossEncoder, LoadError> {
    CrossEncoder::load_label(dir, device, Precision::F32, label)
}

/// What transformers gives for each label, `[labels][pairs]`.
fn expected() -> [Vec<f32>; 3] {
    let text = std::fs::read_to_string(fixture(NAME).join("golden.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
    let pairs = golden["pairs"].as_array().unwrap();
    [0, 1, 2].map(|label| {
        pairs.iter().map(|pair| pair["log_odds"][label].as_f64().unwrap() as f32).collect()
    })
}

fn agrees_with_transformers(device: &Device) {
    for (label, expected) in LABELS.into_iter().zip(expected()) {
        let encoder = load(&fixture(NAME), device, Some(label)).unwrap();
        assert_eq!(encoder.label(), Some(label));
        let logits = encoder.score(&pack(&golden_pairs(NAME))).unwrap();
        let what = format!("{label} on {}", device.name());
        let worst = assert_close(&what, &logits, &expected, 1e-4);
        noted("labels", &format!("{what}: largest difference {worst:.1e}"));
    }
}

#[test]
fn the_log_odds_of_each_label_are_those_of_transformers_on_cpus() {
    for device in cpus().into_iter().chain(every_cpu()) {
        agrees_with_transformers(&device);
    }
}

#[test]
fn the_log_odds_of_each_label_are_those_of_transformers_on_a_gpu() {
    let Some(device) = gpu("the_log_odds_of_each_label_on_a_gpu") else { return };
    agrees_with_transformers(&device);
}

#[test]
fn a_label_is_named_or_numbered_and_never_guessed() {
    let device = cpus().remove(0);
    assert_eq!(labels(&fixture(NAME)).unwrap(), LABELS);
    let numbered = load(&fixture(NAME), &device, Some("2")).unwrap();
    assert_eq!(numbered.label(), Some("neutral"));
    let refused = |label, parts: &[&str]| {
        says(&load(&fixture(NAME), &device, label).unwrap_err(), &fixture(NAME), parts);
    };
    let known = "0 \"contradiction\", 1 \"entailment\", 2 \"neutral\"";
    refused(None, &["config.json: the model has several labels", known, "model.label", "--label"]);
    refused(Some("Entailment"), &["config.json: label \"Entailment\" does not exist", known]);
    refused(Some("3"), &["label \"3\" does not exist", known]);
}

#[test]
fn a_model_with_one_label_needs_none_and_refuses_others() {
    let device = cpus().remove(0);
    let dir = fixture("tiny-bert-relu");
    let batch = pack(&golden_pairs("tiny-bert-relu"));
    let plain = load(&dir, &device, None).unwrap();
    let named = load(&dir, &device, Some("LABEL_0")).unwrap();
    assert_eq!((plain.label(), named.label()), (None, None));
    assert_eq!(plain.score(&batch).unwrap(), named.score(&batch).unwrap());
    let error = load(&dir, &device, Some("entailment")).unwrap_err();
    says(
        &error,
        &dir,
        &["label \"entailment\" does not exist; by number and name the model has: 0 \"LABEL_0\""],
    );
}

/// Gives the classifier two more labels, whose logits are 0 and 1 whatever the pair.
fn with_two_more_labels(tensors: &mut Tensors) {
    let last: Vec<_> = tensors
        .iter_mut()
        .filter(|(name, (_, shape, _))| name.starts_with("classifier") && shape[0] == 1)
        .collect();
    assert_eq!(last.len(), 2, "weight and bias");
    for (name, (dtype, shape, bytes)) in last {
        shape[0] = 3;
        bytes.resize(3 * bytes.len(), 0);
        if name.ends_with("bias") {
            let one = match dtype {
                safetensors::Dtype::F32 => 1.0_f32.to_le_bytes().to_vec(),
                safetensors::Dtype::F16 => 0x3c00_u16.to_le_bytes().to_vec(),
                _ => 0x3f80_u16.to_le_bytes().to_vec(),
            };
            let start = bytes.len() - one.len();
            bytes[start..].copy_from_slice(&one);
        }
    }
}

#[test]
fn every_architecture_scores_several_labels() {
    // Modules end in the one score that sentence-transformers asks of them.
    for name in FIXTURES.into_iter().filter(|name| *name != "tiny-modernbert-modules") {
        let copy =
            Copy::of(name).edit_tensors(with_two_more_labels).edit_json("config.json", |c| {
                c["id2label"] = json!({"0": "yes", "1": "zero", "2": "one"});
            });
        let plain: Vec<f64> = golden(name).pairs.iter().map(|p| f64::from(p.logit)).collect();
        let others = |a: f64, b: f64| (a.exp() + b.exp()).ln();
        let device = cpus().remove(0);
        for label in ["yes", "zero", "one"] {
            let log_odds = |&logit: &f64| match label {
                "yes" => logit - others(0.0, 1.0),
                "zero" => 0.0 - others(logit, 1.0),
                _ => 1.0 - others(logit, 0.0),
            };
            let expected: Vec<f32> = plain.iter().map(|logit| log_odds(logit) as f32).collect();
            let encoder = load(&copy.dir, &device, Some(label)).unwrap();
            let logits = encoder.score(&pack(&golden_pairs(name))).unwrap();
            assert_close(&format!("{label} of {name}"), &logits, &expected, 1e-4);
        }
    }
}

#[test]
fn labels_are_kept_by_int8_and_by_a_quantized_directory() {
    let to = tempfile::tempdir().unwrap();
    let to = to.path().join("int8");
    quantize(&fixture(NAME), &to).unwrap();
    let batch = pack(&golden_pairs(NAME));
    for device in every_cpu() {
        for (label, expected) in LABELS.into_iter().zip(expected()) {
            let score = |dir: &Path| {
                let encoder =
                    CrossEncoder::load_label(dir, &device, Precision::Int8, Some(label)).unwrap();
                encoder.score(&batch).unwrap()
            };
            let at_load = score(&fixture(NAME));
            assert_eq!(score(&to), at_load, "{label} on {}", device.name());
            let off = at_load.iter().zip(&expected).map(|(a, e)| (a - e).abs());
            let worst = off.fold(0.0_f32, f32::max);
            assert!(worst < 1.0 && worst > 0.0, "{label} on {}: {worst}", device.name());
        }
    }
}

#[test]
fn labels_that_do_not_exclude_one_another_are_refused() {
    let refused = |change: fn(&mut serde_json::Value), part: &str| {
        let copy = Copy::of(NAME).edit_json("config.json", change);
        let error = load(&copy.dir, &cpus().remove(0), Some("neutral")).unwrap_err();
        says(&error, &copy.dir, &[part]);
    };
    refused(
        |c| c["problem_type"] = json!("multi_label_classification"),
        "problem_type is \"multi_label_classification\"; supported: labels that exclude",
    );
    refused(
        |c| c["sentence_transformers"] = json!({"activation_fn": "torch.nn.modules.Sigmoid"}),
        "sentence_transformers.activation_fn",
    );
}

#[test]
fn a_classifier_with_fewer_rows_than_labels_is_refused() {
    let copy = Copy::of("tiny-bert-relu")
        .edit_json("config.json", |c| c["id2label"] = json!({"0": "no", "1": "yes"}));
    let error = load(&copy.dir, &cpus().remove(0), Some("yes")).unwrap_err();
    says(&error, &copy.dir, &["classifier.weight is [1, 24]; config.json asks for [2, 24]"]);
}
