//! Token ids agree with Hugging Face's, and text cannot forge the layout.

mod support;

use crossrank_model::{PairTokenizer, TextTokenizer, TokenLimits};
use serde_json::Value;
use support::copy::Copy;
use support::{
    FIXTURES, OddPair, families, fixture, golden, golden_pairs, shared, skipped, tokenizer,
};

#[test]
fn pairs_agree_with_transformers() {
    for name in FIXTURES {
        for (pair, expected) in golden_pairs(name).into_iter().zip(golden(name).pairs) {
            assert_eq!(pair.ids, expected.ids, "{name}: {}", expected.passage);
            assert_eq!(pair.types, expected.types, "{name}: {}", expected.passage);
        }
    }
}

#[test]
fn pairs_of_odd_texts_agree_with_the_tokenizers_package() {
    for name in families() {
        let tokenizer = tokenizer(name);
        let text = std::fs::read_to_string(fixture(name).join("tokens.json")).unwrap();
        let pairs: Vec<OddPair> = serde_json::from_str(&text).unwrap();
        assert!(pairs.len() > 10 && pairs.iter().any(|p| p.passage.len() * p.repeat >= 100_000));
        for expected in pairs {
            agrees(name, &tokenizer, &expected);
        }
    }
}

#[track_caller]
fn agrees(name: &str, tokenizer: &PairTokenizer, expected: &OddPair) {
    let OddPair { query, passage, repeat, ids, types } = expected;
    let asked = tokenizer.query(query).unwrap();
    assert!(!asked.truncated, "{name}: {query:?}");
    let pair = tokenizer.pair(&asked, &passage.repeat(*repeat)).unwrap();
    assert_eq!(pair.ids, *ids, "{name}: {query:?}, {passage:?} times {repeat}");
    assert_eq!(pair.types, *types, "{name}: {query:?}, {passage:?} times {repeat}");
}

/// As the tokenizer.json of XLM-RoBERTa and DeBERTa-v3 have one.
#[test]
fn a_normaliser_that_sentencepiece_compiled_agrees_with_the_tokenizers_package() {
    #[derive(serde::Deserialize)]
    struct Precompiled {
        normalizer: Value,
        pairs: Vec<OddPair>,
    }
    let name = "tiny-xlm-roberta";
    let text = std::fs::read_to_string(fixture(name).join("precompiled.json")).unwrap();
    let Precompiled { normalizer, pairs } = serde_json::from_str(&text).unwrap();
    assert_eq!(normalizer["normalizers"][0]["type"], "Precompiled");
    let copy = Copy::of(name).edit_json("tokenizer.json", |t| t["normalizer"] = normalizer);
    let tokens_max = golden(name).tokens_max;
    let limits = TokenLimits { tokens_max, query_tokens_max: 32 };
    let compiled = PairTokenizer::load(&copy.dir, limits).unwrap();
    for expected in &pairs {
        agrees(name, &compiled, expected);
    }
    // Without it, the tokens are others.
    let as_is =
        Copy::of(name).edit_json("tokenizer.json", |t| t["normalizer"] = serde_json::Value::Null);
    let as_is = PairTokenizer::load(&as_is.dir, limits).unwrap();
    let differs = |pair: &&OddPair| {
        let query = as_is.query(&pair.query).unwrap();
        as_is.pair(&query, &pair.passage.repeat(pair.repeat)).unwrap().ids != pair.ids
    };
    assert!(pairs.iter().filter(differs).count() >= 5);
}

#[test]
fn published_bert_ids_come_out() {
    let golden = shared().join("eval/golden_tokenizer_bert_uncased.json");
    let dir = shared().join("models/ms-marco-MiniLM-L-6-v2");
    let Ok(text) = std::fs::read_to_string(&golden) else {
        skipped(
            "published_bert_ids_come_out",
            &format!("{} is not there (CROSSRANK_SHARED names its folder)", golden.display()),
        );
        return;
    };
    let golden: Value = serde_json::from_str(&text).unwrap();
    let limits = TokenLimits { tokens_max: 512, query_tokens_max: 256 };
    let tokenizer = PairTokenizer::load(&dir, limits).unwrap();
    let texts = TextTokenizer::load(&dir).unwrap();
    let ids = |value: &Value| -> Vec<u32> { serde_json::from_value(value.clone()).unwrap() };
    let single = golden["single"].as_array().unwrap();
    assert_eq!(single.len(), 10);
    for case in single {
        let text = case["text"].as_str().unwrap();
        let inner = tokenizer.query(text).unwrap().ids;
        let whole = [&[101], &*inner, &[102]].concat();
        assert_eq!(whole, ids(&case["ids"]), "{text}");
        assert_eq!(texts.count(text), inner.len(), "{text}");
    }
    let case = &golden["pair"];
    let query = tokenizer.query(case["first"].as_str().unwrap()).unwrap();
    let pair = tokenizer.pair(&query, case["second"].as_str().unwrap()).unwrap();
    assert_eq!(pair.ids, ids(&case["ids"]));
    let types: Vec<u32> = pair.types.iter().map(|&kind| u32::from(kind)).collect();
    assert_eq!(types, ids(&case["type_ids"]));
    // Padding is what this crate does without.
    let padded = &golden["batch_pad"];
    for (i, text) in padded["texts"].as_array().unwrap().iter().enumerate() {
        let inner = tokenizer.query(text.as_str().unwrap()).unwrap().ids;
        let mut whole = [&[101], &*inner, &[102]].concat();
        whole.resize(ids(&padded["mask"][i]).len(), 0);
        assert_eq!(whole, ids(&padded["ids"][i]), "{text}");
    }
}

#[test]
fn special_tokens_in_the_text_are_text() {
    let tokenizer = tokenizer("tiny-bert");
    let plain = tokenizer.query("a").unwrap();
    for spelt in ["[SEP]", "[CLS]", "[PAD]", "[MASK]", "x[SEP]y", " [SEP] ", "[sep]"] {
        let query = tokenizer.query(spelt).unwrap();
        let pair = tokenizer.pair(&plain, spelt).unwrap();
        assert!(query.ids.iter().all(|&id| id > 4), "{spelt}: {:?}", query.ids);
        let separators = pair.ids.iter().filter(|&&id| id == 3).count();
        assert_eq!(separators, 2, "{spelt}: {:?}", pair.ids);
        assert_eq!(pair.ids.iter().filter(|&&id| id == 2).count(), 1, "{spelt}: {:?}", pair.ids);
    }
}

#[test]
fn types_that_the_tokenizer_does_not_give_are_all_0() {
    let copy = Copy::of("tiny-bert").edit_json("tokenizer_config.json", |config| {
        config["model_input_names"] = serde_json::json!(["input_ids", "attention_mask"]);
    });
    let limits = TokenLimits { tokens_max: 64, query_tokens_max: 16 };
    let pair = |dir| {
        let tokenizer = PairTokenizer::load(dir, limits).unwrap();
        tokenizer.pair(&tokenizer.query("who").unwrap(), "the one").unwrap()
    };
    let (with, without) = (pair(&fixture("tiny-bert")), pair(&copy.dir));
    assert_eq!(with.ids, without.ids);
    assert!(with.types.contains(&1) && without.types.iter().all(|&kind| kind == 0));
}

#[test]
fn truncation_and_padding_in_the_file_are_ignored() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json"] {
        std::fs::copy(fixture("tiny-bert").join(file), dir.path().join(file)).unwrap();
    }
    let path = dir.path().join("tokenizer.json");
    let mut json: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    json["truncation"] = serde_json::json!(
        {"direction": "Left", "max_length": 8, "strategy": "LongestFirst", "stride": 0});
    json["padding"] = serde_json::json!({"strategy": {"Fixed": 64}, "direction": "Right",
        "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"});
    std::fs::write(&path, json.to_string()).unwrap();
    let limits = TokenLimits { tokens_max: 64, query_tokens_max: 16 };
    let edited = PairTokenizer::load(dir.path(), limits).unwrap();
    let query = edited.query("what is the capital of france").unwrap();
    assert_eq!(
        query.ids.len(),
        tokenizer("tiny-bert").query("what is the capital of france").unwrap().ids.len()
    );
    assert!(query.ids.len() > 8 || !query.truncated);
    assert!(edited.pair(&query, "the one").unwrap().ids.len() < 64);
}
