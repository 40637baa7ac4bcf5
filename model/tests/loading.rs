//! A model directory that is not right never loads, and the error says what is wrong with which file.

mod support;

use std::path::Path;

use crossrank_model::{
    CrossEncoder, Device, PackedBatch, PairTokenizer, Precision, ScoreError, TextTokenizer,
    TokenLimits,
};
use safetensors::Dtype;
use support::copy::{Copy, says};
use support::{cpus, encoder, fixture, golden_pairs, pack};

const LIMITS: TokenLimits = TokenLimits { tokens_max: 96, query_tokens_max: 32 };
const QUERY: &str = "bert.encoder.layer.0.attention.self.query.weight";

trait Refused {
    /// Loads the model, and reads the error with its sources.
    fn refused(self, parts: &[&str]);

    fn tokenizer_refused(self, limits: TokenLimits, parts: &[&str]);
}

// === impl Copy ===

impl Refused for Copy {
    #[track_caller]
    fn refused(self, parts: &[&str]) {
        let error = CrossEncoder::load(&self.dir, &device(), Precision::F32).unwrap_err();
        says(&error, &self.dir, parts);
    }

    #[track_caller]
    fn tokenizer_refused(self, limits: TokenLimits, parts: &[&str]) {
        let error = PairTokenizer::load(&self.dir, limits).unwrap_err();
        says(&error, &self.dir, parts);
    }
}

fn device() -> Device {
    cpus().into_iter().next().expect("a CPU backend is compiled in")
}

#[test]
fn a_missing_directory_or_file_is_named() {
    let error = CrossEncoder::load(Path::new("no/where"), &device(), Precision::F32).unwrap_err();
    says(&error, Path::new("."), &["no/where is not a directory"]);
    Copy::of("tiny-bert-relu").remove("config.json").refused(&["config.json is missing"]);
    Copy::of("tiny-bert-relu").remove("tokenizer.json").refused(&["tokenizer.json is missing"]);
    Copy::of("tiny-bert-relu")
        .remove("model.safetensors")
        .refused(&["model.safetensors is missing", "pytorch_model.bin"]);
}

#[test]
fn another_architecture_is_refused() {
    Copy::of("tiny-bert-relu")
        .edit_json("config.json", |c| c["architectures"] = serde_json::json!(["RobertaModel"]))
        .refused(&[
            "config.json: architectures is [\"RobertaModel\"]",
            "BertForSequenceClassification",
        ]);
}

#[test]
fn a_truncated_or_corrupt_weight_file_is_an_error() {
    let corrupt = ["model.safetensors is not a whole safetensors file"];
    for kept in [0, 7, 8, 100, 5_000, 80_000] {
        Copy::of("tiny-bert-relu")
            .edit("model.safetensors", |b| b.truncate(kept))
            .refused(&corrupt);
    }
    Copy::of("tiny-bert-relu").edit("model.safetensors", |b| b[..8].fill(0xff)).refused(&corrupt);
    Copy::of("tiny-bert-relu").edit("model.safetensors", |b| b[20] = 0).refused(&corrupt);
    Copy::of("tiny-bert-relu").edit("model.safetensors", |b| b.push(0)).refused(&corrupt);
}

#[test]
fn a_missing_tensor_is_named_with_its_shape() {
    Copy::of("tiny-bert-relu").edit_tensors(|t| drop(t.remove(QUERY))).refused(&[
        "model.safetensors: tensor",
        QUERY,
        "[24, 24] is missing",
    ]);
}

#[test]
fn a_tensor_without_use_is_an_error_unless_it_follows_from_the_config() {
    let ids = || (Dtype::I64, vec![1, 1], vec![0; 8]);
    Copy::of("tiny-bert-relu")
        .edit_tensors(|t| drop(t.insert("bert.encoder.layer.2.output.dense.bias".into(), ids())))
        .refused(&["1 tensors", "bert.encoder.layer.2.output.dense.bias"]);
    let copy = Copy::of("tiny-bert-relu")
        .edit_tensors(|t| drop(t.insert("bert.embeddings.position_ids".into(), ids())));
    CrossEncoder::load(&copy.dir, &device(), Precision::F32).unwrap();
}

#[test]
fn a_wrong_shape_is_named_with_both_shapes() {
    Copy::of("tiny-bert-relu")
        .edit_tensors(|t| t.get_mut(QUERY).unwrap().1 = vec![12, 48])
        .refused(&[QUERY, "is [12, 48]; config.json asks for [24, 24]"]);
    Copy::of("tiny-bert-relu")
        .edit_json("config.json", |c| c["max_position_embeddings"] = 100.into())
        .refused(&["position_embeddings.weight is [96, 24]; config.json asks for [100, 24]"]);
}

#[test]
fn a_wrong_number_format_is_named() {
    Copy::of("tiny-bert-relu")
        .edit_tensors(|t| {
            let tensor = t.get_mut(QUERY).unwrap();
            *tensor = (Dtype::I32, tensor.1.clone(), tensor.2.clone());
        })
        .refused(&[QUERY, "is I32; supported: F32, F16, BF16"]);
}

#[test]
fn a_weight_that_is_not_finite_is_an_error() {
    for value in [f32::NAN, f32::INFINITY] {
        Copy::of("tiny-bert-relu")
            .edit_tensors(|t| {
                t.get_mut(QUERY).unwrap().2[..4].copy_from_slice(&value.to_le_bytes())
            })
            .refused(&[QUERY, "not finite"]);
    }
}

#[test]
fn old_layer_norm_names_are_read() {
    let copy = Copy::of("tiny-bert-relu").edit_tensors(|tensors| {
        *tensors = std::mem::take(tensors)
            .into_iter()
            .map(|(name, tensor)| {
                let old = name
                    .replace("LayerNorm.weight", "LayerNorm.gamma")
                    .replace("LayerNorm.bias", "LayerNorm.beta");
                (old, tensor)
            })
            .collect();
        assert!(tensors.contains_key("bert.embeddings.LayerNorm.gamma"));
    });
    let old = CrossEncoder::load(&copy.dir, &device(), Precision::F32).unwrap();
    let batch = pack(&golden_pairs("tiny-bert-relu"));
    let expected = encoder("tiny-bert-relu", &device()).score(&batch).unwrap();
    assert_eq!(old.score(&batch).unwrap(), expected);
}

#[test]
fn a_tokenizer_that_does_not_fit_the_model_is_refused() {
    Copy::of("tiny-bert-relu")
        .edit("tokenizer.json", |b| b.truncate(500))
        .tokenizer_refused(LIMITS, &["tokenizer.json is not a tokenizer.json that can be read"]);
    Copy::of("tiny-bert-relu")
        .edit_json("config.json", |c| c["vocab_size"] = 290.into())
        .tokenizer_refused(LIMITS, &["tokenizer.json: token ids reach 290", "vocab_size", "290"]);
    Copy::of("tiny-bert-relu")
        .edit_json("tokenizer.json", |t| t["post_processor"] = serde_json::Value::Null)
        .tokenizer_refused(
            LIMITS,
            &["tokenizer.json: a pair becomes", "[CLS] query [SEP] passage"],
        );
    Copy::of("tiny-bert-relu")
        .edit_json("tokenizer.json", |t| {
            t["post_processor"]["pair"][3]["Sequence"]["type_id"] = 2.into();
        })
        .tokenizer_refused(LIMITS, &["a pair becomes", "with types", "below type_vocab_size"]);
    Copy::of("tiny-bert-relu")
        .edit_json("tokenizer.json", |t| {
            t["pre_tokenizer"] = serde_json::json!({"type": "WhitespaceSplit"});
            t["normalizer"] = serde_json::Value::Null;
        })
        .tokenizer_refused(LIMITS, &["text that spells [", "becomes that special token"]);
}

#[test]
fn limits_must_fit_the_model_and_leave_room_for_a_passage() {
    let limits = |tokens_max, query_tokens_max| TokenLimits { tokens_max, query_tokens_max };
    Copy::of("tiny-bert-relu").tokenizer_refused(limits(97, 32), &["up to 97 tokens", "takes 96"]);
    Copy::of("tiny-bert-relu")
        .edit_json("tokenizer_config.json", |t| t["model_max_length"] = 64.into())
        .tokenizer_refused(limits(96, 32), &["takes 64"]);
    Copy::of("tiny-bert-relu").tokenizer_refused(limits(35, 32), &["leave no room"]);
    Copy::of("tiny-bert-relu").tokenizer_refused(limits(0, usize::MAX), &["leave no room"]);
    assert!(PairTokenizer::load(&fixture("tiny-bert-relu"), limits(36, 32)).is_ok());
}

#[test]
fn a_text_tokenizer_is_read_from_a_file_or_a_directory() {
    let dir = fixture("tiny-bert");
    let file = dir.join("tokenizer.json");
    assert_eq!(TextTokenizer::load(&dir).unwrap().count("the one"), 2);
    assert_eq!(TextTokenizer::load(&file).unwrap().count("the one"), 2);
    let error = TextTokenizer::load(&dir.join("nothing.json")).unwrap_err();
    says(&error, &dir, &["cannot read nothing.json"]);
    let error = TextTokenizer::load(&dir.join("config.json")).unwrap_err();
    says(&error, &dir, &["config.json is not a tokenizer.json"]);
}

#[test]
fn identity_follows_from_the_files_and_not_from_the_place() {
    let load = |copy: &Copy| CrossEncoder::load(&copy.dir, &device(), Precision::F32).unwrap();
    let (here, there) = (Copy::of("tiny-bert-relu"), Copy::of("tiny-bert-relu"));
    let revision = load(&here).revision().to_owned();
    assert_eq!(load(&there).revision(), revision);
    assert_eq!(load(&there).name(), "a-model");
    assert!(revision.starts_with("sha256:") && revision.len() == 23, "{revision}");
    for file in ["config.json", "tokenizer.json"] {
        let other = Copy::of("tiny-bert-relu").edit(file, |b| b.push(b'\n'));
        assert_ne!(load(&other).revision(), revision, "{file}");
    }
}

#[test]
fn identity_counts_every_file_that_decides_a_score_and_no_other() {
    let revision = |copy: &Copy| {
        let encoder = CrossEncoder::load(&copy.dir, &device(), Precision::F32).unwrap();
        encoder.revision().to_owned()
    };
    let flip = |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1;
    let modules = revision(&Copy::of("tiny-modernbert-modules"));
    for file in [
        "model.safetensors",
        "2_Dense/model.safetensors",
        "3_LayerNorm/model.safetensors",
        "4_Dense/model.safetensors",
    ] {
        let other = Copy::of("tiny-modernbert-modules").edit(file, flip);
        assert_ne!(revision(&other), modules, "{file}");
    }
    for file in [
        "modules.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
        "tokenizer_config.json",
    ] {
        let other = Copy::of("tiny-modernbert-modules").edit(file, |b| b.push(b'\n'));
        assert_ne!(revision(&other), modules, "{file}");
    }
    // Of a model without modules, tokenizer_config.json counts where it says something of its own.
    let plain = revision(&Copy::of("tiny-bert-relu"));
    let other = |field: &str, value: serde_json::Value| {
        revision(
            &Copy::of("tiny-bert-relu").edit_json("tokenizer_config.json", |t| t[field] = value),
        )
    };
    assert_eq!(other("model_max_length", 96.into()), plain);
    assert_eq!(other("pad_token", "[PAD]".into()), plain);
    assert_ne!(other("model_max_length", 95.into()), plain);
    assert_ne!(other("model_input_names", serde_json::json!(["input_ids"])), plain);
}

#[test]
fn the_longest_pair_is_what_the_files_allow() {
    let copy = Copy::of("tiny-bert-relu");
    let tokens_max = |dir| CrossEncoder::load(dir, &device(), Precision::F32).unwrap().tokens_max();
    assert_eq!(tokens_max(&copy.dir), 96);
    let copy = Copy::of("tiny-bert-relu")
        .edit_json("tokenizer_config.json", |t| t["model_max_length"] = 50.into());
    assert_eq!(tokens_max(&copy.dir), 50);
}

#[test]
fn a_batch_that_the_model_cannot_take_is_an_error() {
    let encoder = encoder("tiny-bert-relu", &device());
    let score = |ids: &[u32], types: &[u8]| {
        let mut batch = PackedBatch::with_capacity(8);
        batch.push(&[2, 3, 3], &[0, 0, 1]);
        batch.push(ids, types);
        encoder.score(&batch)
    };
    let error = score(&[2, 291, 3], &[0, 0, 1]).unwrap_err();
    assert!(
        matches!(error, ScoreError::UnknownToken { pair: 1, id: 291, vocabulary: 291 }),
        "{error}"
    );
    let error = score(&[2, 3, 3], &[0, 0, 2]).unwrap_err();
    assert!(matches!(error, ScoreError::UnknownType { pair: 1, found: 2, types: 2 }), "{error}");
    let error = score(&[2; 97], &[0; 97]).unwrap_err();
    assert!(matches!(error, ScoreError::TooLong { pair: 1, tokens: 97, positions: 96 }), "{error}");
    assert_eq!(score(&[2; 96], &[0; 96]).unwrap().len(), 2);
    assert_eq!(encoder.score(&PackedBatch::with_capacity(0)).unwrap(), [0.0; 0]);
}
