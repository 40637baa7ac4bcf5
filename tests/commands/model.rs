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
