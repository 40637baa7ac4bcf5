//! The fixtures can tell: where a configuration says something else than what the weights were made with, or a weight is
//! not used as it should be, the logits move far more than parity allows.

mod support;

use crossrank_model::{Backend, CrossEncoder, Device, Precision};
use serde_json::{Value, json};
use support::copy::{Copy, Tensors};
use support::{golden, golden_pairs, pack};

/// Ten times what parity allows.
const TELLING: f32 = 1e-3;

/// What a fixture's configuration does not say, and the field that would.
fn mistakes() -> Vec<(&'static str, &'static str, Value)> {
    let rotary = |global: f64, local: f64| {
        json!({
            "full_attention": {"rope_type": "default", "rope_theta": global},
            "sliding_attention": {"rope_type": "default", "rope_theta": local},
        })
    };
    let (full, local) = ("full_attention", "sliding_attention");
    vec![
        ("tiny-bert", "hidden_act", json!("gelu_new")),
        ("tiny-bert", "num_attention_heads", json!(8)),
        ("tiny-roberta", "layer_norm_eps", json!(1e-12)),
        ("tiny-roberta", "hidden_act", json!("gelu_new")),
        ("tiny-roberta", "num_attention_heads", json!(5)),
        ("tiny-roberta", "pad_token_id", json!(0)),
        ("tiny-xlm-roberta", "layer_norm_eps", json!(1e-12)),
        ("tiny-xlm-roberta", "hidden_act", json!("relu")),
        ("tiny-xlm-roberta", "num_attention_heads", json!(3)),
        ("tiny-xlm-roberta", "pad_token_id", json!(0)),
        ("tiny-distilbert", "activation", json!("gelu_new")),
        ("tiny-distilbert", "activation", json!("relu")),
        ("tiny-distilbert", "n_heads", json!(4)),
        ("tiny-electra", "layer_norm_eps", json!(1e-5)),
        ("tiny-electra", "hidden_act", json!("gelu_new")),
        ("tiny-electra", "num_attention_heads", json!(4)),
        ("tiny-mpnet", "layer_norm_eps", json!(1e-5)),
        ("tiny-mpnet", "hidden_act", json!("gelu_new")),
        ("tiny-deberta-v2", "layer_norm_eps", json!(1e-5)),
        ("tiny-deberta-v2", "hidden_act", json!("gelu_new")),
        ("tiny-deberta-v2", "pooler_hidden_act", json!("relu")),
        ("tiny-deberta-v2", "num_attention_heads", json!(3)),
        ("tiny-deberta-v2", "max_relative_positions", json!(100)),
        ("tiny-modernbert", "norm_eps", json!(1e-12)),
        ("tiny-modernbert", "hidden_activation", json!("relu")),
        ("tiny-modernbert", "classifier_activation", json!("relu")),
        ("tiny-modernbert", "num_attention_heads", json!(6)),
        ("tiny-modernbert", "rope_parameters", rotary(10_000.0, 10_000.0)),
        ("tiny-modernbert", "rope_parameters", rotary(160_000.0, 160_000.0)),
        ("tiny-modernbert", "local_attention", json!(16)),
        ("tiny-modernbert", "local_attention", json!(20)),
        ("tiny-modernbert", "layer_types", json!([full, local, full, local])),
        ("tiny-modernbert", "classifier_pooling", json!("mean")),
        ("tiny-modernbert-mean", "rope_parameters", rotary(20.0, 500.0)),
        ("tiny-modernbert-mean", "local_attention", json!(8)),
        ("tiny-modernbert-mean", "classifier_pooling", json!("cls")),
        ("tiny-modernbert-mean", "hidden_activation", json!("gelu")),
        ("tiny-modernbert-modules", "num_attention_heads", json!(3)),
        ("tiny-modernbert-modules", "local_attention", json!(128)),
    ]
}

/// What a program might do with the weights instead of what they are for.
#[derive(Clone, Copy, Debug)]
enum Misreading {
    /// Positions begin one later.
    Shifted,
    /// It is not added at all.
    LeftOut,
    /// A dense layer passes on what comes in, or a normalisation does not scale.
    PassedOn,
}

use Misreading::{LeftOut, PassedOn, Shifted};

/// Tensors that each architecture may get wrong; a dense layer or a norm is named without its weight and bias.
const MISREADINGS: &[(&str, Misreading, &str)] = &[
    ("tiny-bert", Shifted, "bert.embeddings.position_embeddings"),
    ("tiny-bert", LeftOut, "bert.embeddings.token_type_embeddings"),
    ("tiny-bert", PassedOn, "bert.embeddings.LayerNorm"),
    ("tiny-bert", PassedOn, "bert.pooler.dense"),
    ("tiny-roberta", Shifted, "roberta.embeddings.position_embeddings"),
    ("tiny-roberta", LeftOut, "roberta.embeddings.token_type_embeddings"),
    ("tiny-roberta", PassedOn, "classifier.dense"),
    ("tiny-xlm-roberta", Shifted, "roberta.embeddings.position_embeddings"),
    ("tiny-xlm-roberta", LeftOut, "roberta.embeddings.token_type_embeddings"),
    ("tiny-xlm-roberta", PassedOn, "classifier.dense"),
    ("tiny-distilbert", Shifted, "distilbert.embeddings.position_embeddings"),
    ("tiny-distilbert", PassedOn, "distilbert.embeddings.LayerNorm"),
    ("tiny-distilbert", PassedOn, "pre_classifier"),
    ("tiny-electra", Shifted, "electra.embeddings.position_embeddings"),
    ("tiny-electra", LeftOut, "electra.embeddings.token_type_embeddings"),
    ("tiny-electra", PassedOn, "classifier.dense"),
    ("tiny-mpnet", Shifted, "mpnet.embeddings.position_embeddings"),
    ("tiny-mpnet", LeftOut, "mpnet.encoder.relative_attention_bias"),
    ("tiny-mpnet", PassedOn, "classifier.dense"),
    ("tiny-deberta-v2", LeftOut, "deberta.encoder.rel_embeddings"),
    ("tiny-deberta-v2", PassedOn, "pooler.dense"),
];

#[test]
fn a_configuration_that_says_something_else_moves_the_logits() {
    for (name, field, value) in mistakes() {
        let copy = Copy::of(name).edit_json("config.json", |config| config[field] = value.clone());
        moves_the_logits(name, &copy, &format!("{name} with {field} = {value}"));
    }
}

#[test]
fn weights_that_are_read_otherwise_move_the_logits() {
    for &(name, misreading, tensor) in MISREADINGS {
        let copy = Copy::of(name).edit_tensors(|tensors| misread(tensors, misreading, tensor));
        moves_the_logits(name, &copy, &format!("{name} with {tensor} {misreading:?}"));
    }
}

fn misread(tensors: &mut Tensors, misreading: Misreading, tensor: &str) {
    let (dtype, shape, data) = tensors.get_mut(&format!("{tensor}.weight")).expect(tensor);
    assert_eq!(*dtype, safetensors::Dtype::F32);
    let row = data.len() / shape[0];
    let floats = |value: &dyn Fn(usize) -> f32, count: usize| -> Vec<u8> {
        (0..count).flat_map(|place| value(place).to_le_bytes()).collect()
    };
    match misreading {
        Shifted => data.rotate_left(row),
        LeftOut => data.fill(0),
        PassedOn => {
            let width = *shape.last().unwrap();
            *data = match shape.len() {
                1 => floats(&|_| 1.0, width),
                _ => floats(
                    &|place| f32::from(u8::from(place / width == place % width)),
                    width * width,
                ),
            };
            tensors.get_mut(&format!("{tensor}.bias")).expect(tensor).2.fill(0);
        }
    }
}

fn moves_the_logits(name: &str, copy: &Copy, what: &str) {
    let backends = [Backend::Flex, Backend::NdArray, Backend::Wgpu];
    let device = backends.into_iter().find(|backend| backend.compiled());
    let device = Device::open(device.expect("a backend is compiled in")).unwrap();
    let encoder = CrossEncoder::load(&copy.dir, &device, Precision::F32);
    let logits = encoder.expect(what).score(&pack(&golden_pairs(name))).unwrap();
    let expected = golden(name).pairs.into_iter().map(|pair| pair.logit);
    let moved = expected.zip(logits).map(|(a, b)| (a - b).abs()).fold(0.0_f32, f32::max);
    assert!(moved > TELLING, "{what} moves the logits by {moved:e} only");
}
