use std::path::Path;

use crate::*;

/// What a set's candidates come to, in order.
fn logits(model: &str, precision: &str) -> Vec<Vec<Value>> {
    let sets = (0..14).map(set).collect::<Vec<_>>().join("\n");
    let mut command = crossrank(&["rerank", "--model", model, "--precision", precision]);
    let output = run(&mut command, sets.as_bytes());
    assert!(output.status.success(), "{}", stderr(&output));
    let results = |set: &Value| set["results"].as_array().unwrap().clone();
    lines(&output)
        .iter()
        .map(|set| results(set).iter().map(|r| r["logit"].clone()).collect())
        .collect()
}

#[test]
fn a_quantized_model_scores_as_int8_of_the_model_it_was_made_from() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("tiny-bert-int8");
    let (model, out) = (model(), out.to_str().unwrap().to_owned());
    let model = model.to_str().unwrap();
    let quantize = ["model", "quantize", "--model", model, "--out", &out];
    let output = run(&mut crossrank(&quantize), b"");
    assert!(output.status.success(), "{}", stderr(&output));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("use it with --precision int8"), "{told}");
    assert_eq!(logits(&out, "int8"), logits(model, "int8"));
    assert_ne!(logits(model, "int8"), logits(model, "f32"));

    // Nothing is overwritten, and nothing passes for what it is not.
    usage::fails_with(&quantize, 1, &["tiny-bert-int8 exists"]);
    let twice = ["model", "quantize", "--model", &out, "--out", "/nowhere/new"];
    usage::fails_with(&twice, 1, &["holds int8 weights already"]);
    usage::fails_with(&["rerank", "--model", &out], 1, &["holds int8 weights", "precision int8"]);
    usage::fails_with(&["model", "quantize", "--model", model], 2, &["--out"]);
}

#[test]
fn every_kernel_that_this_processor_has_can_be_chosen() {
    let sets = set(6);
    let model = model();
    let arguments = ["rerank", "--model", model.to_str().unwrap()];
    let mut ran = 0;
    for kernels in ["auto", "off", "avx512-vnni", "avx512", "avx2", "neon", "portable"] {
        let mut command = crossrank(&arguments);
        command.env("CROSSRANK__ENGINE__KERNELS", kernels);
        let output = run(&mut command, sets.as_bytes());
        match output.status.success() {
            true => ran += 1,
            false => assert!(stderr(&output).contains("this processor cannot run kernels")),
        }
    }
    assert!(ran >= 3, "auto, off and portable run everywhere");
}

/// The fixture with three labels.
fn with_labels() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.join("model/fixtures/tiny-deberta-v2-labels").to_str().unwrap().to_owned()
}

#[test]
fn a_model_with_several_labels_ranks_by_the_one_that_is_chosen() {
    let model = with_labels();
    let answer = |label: &str| {
        let output = run(
            &mut crossrank(&["rerank", "--model", &model, "--label", label]),
            set(6).as_bytes(),
        );
        assert!(output.status.success(), "{}", stderr(&output));
        lines(&output).remove(0)
    };
    let (by_name, by_number) = (answer("entailment"), answer("1"));
    assert_eq!(by_name["model"]["label"], "entailment");
    assert_eq!(by_name["model"]["label"], by_number["model"]["label"]);
    assert_eq!(by_name["results"], by_number["results"]);
    let other = answer("contradiction");
    assert_ne!(other["results"], by_name["results"]);

    // The three softmaxes of a passage are one.
    let score = |answer: &Value| -> f64 {
        let results = answer["results"].as_array().unwrap();
        results.iter().find(|result| result["id"] == "0").unwrap()["score"].as_f64().unwrap()
    };
    let sum: f64 = [&by_name, &other, &answer("neutral")].into_iter().map(score).sum();
    assert!((sum - 1.0).abs() < 1e-6, "{sum}");
}

#[test]
fn a_model_with_several_labels_is_not_run_until_one_is_chosen() {
    let model = with_labels();
    let known = "0 \"contradiction\", 1 \"entailment\", 2 \"neutral\"";
    usage::fails_with(&["rerank", "--model", &model], 1, &["several labels", known, "model.label"]);
    let unknown = ["rerank", "--model", &model, "--label", "yes"];
    usage::fails_with(&unknown, 1, &["label \"yes\" does not exist", known]);
    let output = run(&mut crossrank(&["model", "inspect", &model]), b"");
    let told = String::from_utf8(output.stdout).unwrap();
    for part in ["3: contradiction, entailment, neutral; model.label", "yes, pairs of 96 tokens"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
}

#[test]
fn expected_scores_are_those_of_one_label() {
    let model = with_labels();
    let golden = Path::new(&model).join("golden.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let pair = &golden["pairs"][0];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("expected.json");
    let set = json!([{
        "source": "transformers", "label": "entailment", "query": pair["query"],
        "passages": [pair["passage"]], "logits": [pair["log_odds"][1]],
    }]);
    std::fs::write(&path, set.to_string()).unwrap();
    let check = |label| {
        let expected = path.to_str().unwrap();
        let arguments = ["check", "--offline", "--model", &model, "--expected", expected];
        run(&mut crossrank(&[&arguments[..], &["--label", label]].concat()), b"")
    };
    let passed = check("1");
    let told = String::from_utf8(passed.stdout.clone()).unwrap();
    assert!(passed.status.success(), "{}", stderr(&passed));
    for part in ["label \"entailment\"", "self-test passed: 1 scores differ from transformers"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    let refused = check("neutral");
    assert_eq!(refused.status.code(), Some(1));
    for part in ["scores of label \"entailment\"", "asked about \"neutral\"", "model.label"] {
        assert!(stderr(&refused).contains(part), "{part} is not in {}", stderr(&refused));
    }
}
