//! Models by name, from a server that speaks the hub's protocol.

use std::path::Path;

use tempfile::TempDir;

use crate::server::{COMMIT, TestHub, tiny};
use crate::*;

/// A hub that has the fixture as `org/tiny`, and an empty cache.
struct Stage {
    server: TestHub,
    home: TempDir,
}

// === impl Stage ===

impl Stage {
    fn new() -> Self {
        let server = TestHub::start("org/tiny", tiny(), |_| None);
        Self { server, home: tempfile::tempdir().unwrap() }
    }

    fn crossrank(&self, arguments: &[&str]) -> Command {
        let mut command = crossrank(arguments);
        command.env_remove("HF_HUB_OFFLINE");
        command.env("HF_HOME", self.home.path()).env("HF_ENDPOINT", self.server.endpoint());
        command
    }

    /// What it prints, where it succeeds.
    fn told(&self, arguments: &[&str]) -> String {
        let output = run(&mut self.crossrank(arguments), b"");
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it says, where it fails.
    fn refusal(&self, arguments: &[&str]) -> String {
        let output = run(&mut self.crossrank(arguments), set(3).as_bytes());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", stderr(&output));
        stderr(&output)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// A file of scores that the fixture gives, each this much too high.
fn expected(stage: &Stage, too_high: f64) -> String {
    let input = set(3);
    let model = model();
    let mut command = crossrank(&["rerank", "--model", model.to_str().unwrap()]);
    let answer = lines(&run(&mut command, input.as_bytes())).remove(0);
    let results = answer["results"].as_array().unwrap();
    let texts: Vec<&Value> = results.iter().map(|result| &result["text"]).collect();
    let logits: Vec<f64> =
        results.iter().map(|result| result["logit"].as_f64().unwrap() + too_high).collect();
    let set =
        json!([{"source": "this test", "query": "a query", "passages": texts, "logits": logits}]);
    stage.write(&format!("expected{too_high}.json"), &set.to_string())
}

#[test]
fn a_name_is_enough_to_rerank_and_stands_in_every_answer() {
    let stage = Stage::new();
    let input = (1..4).map(set).collect::<Vec<_>>().join("\n");
    let arguments = ["rerank", "--model", "org/tiny"];
    let online = run(&mut stage.crossrank(&arguments), input.as_bytes());
    assert!(online.status.success(), "{}", stderr(&online));
    let answers = lines(&online);
    assert_eq!(answers.len(), 3);
    for answer in &answers {
        assert_eq!(
            (answer["model"]["id"].as_str(), answer["model"]["revision"].as_str()),
            (Some("org/tiny"), Some(COMMIT))
        );
    }
    assert!(stderr(&online).contains(COMMIT), "logged: {}", stderr(&online));
    // The second start is from the cache.
    let asked = stage.server.seen().len();
    let pinned = ["rerank", "--model", "org/tiny", "--revision", COMMIT];
    for offline in [false, true] {
        let mut command = stage.crossrank(if offline { &arguments } else { &pinned });
        if offline {
            command.env("HF_HUB_OFFLINE", "1");
        }
        let again = run(&mut command, input.as_bytes());
        assert!(again.status.success(), "{}", stderr(&again));
        for (again, first) in lines(&again).iter().zip(&answers) {
            assert_eq!(again["results"], first["results"]);
        }
    }
    assert_eq!(stage.server.seen().len(), asked, "nobody was asked");
}

#[test]
fn processes_that_start_at_once_share_one_download() {
    let stage = Stage::new();
    let children: Vec<_> = (0..3)
        .map(|_| {
            let mut command = stage.crossrank(&["rerank", "--model", "org/tiny"]);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
    assert_eq!(stage.server.downloads().len(), 1);
}

#[test]
fn a_model_is_pulled_listed_inspected_and_carried_away() {
    let stage = Stage::new();
    assert!(stage.told(&["model", "list"]).contains("no models in"));
    assert!(stage.refusal(&["model", "inspect", "org/tiny"]).contains("model pull org/tiny"));
    let copy = stage.home.path().join("carried");
    let copy = copy.to_str().unwrap();
    let told = stage.told(&["model", "pull", "org/tiny", "--dir", copy]);
    for part in [COMMIT, copy, "self-test  none"] {
        assert!(told.contains(part), "{told}");
    }
    let told = stage.told(&["model", "list"]);
    assert!(told.contains("org/tiny") && told.contains(COMMIT) && told.contains("main"), "{told}");
    for (key, model) in [("ID", "org/tiny"), ("PATH", copy)] {
        let told = stage.told(&["model", "inspect", model]);
        for part in [
            &format!("org/tiny at {COMMIT}"),
            "BertForSequenceClassification",
            "labels       1",
            "yes, pairs of 256 tokens",
            "F32, 0.1 million",
            " with f32, ",
            " tokens/s with int8 (pairs of 128 tokens, flex, ",
            "of activations beside them",
            "apache-2.0",
            "no published scores",
        ] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
        assert_eq!(told.contains(" are free here"), cfg!(target_os = "linux"), "{told}");
        let sha256 = told.lines().find_map(|line| line.strip_prefix("sha256       ")).unwrap();
        let mut command = stage.crossrank(&["rerank"]);
        command.env(format!("CROSSRANK__MODEL__{key}"), model);
        command.env("CROSSRANK__MODEL__SHA256", sha256);
        let output = run(&mut command, set(3).as_bytes());
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(lines(&output)[0]["model"]["id"], "org/tiny");
        command.env("CROSSRANK__MODEL__SHA256", "0".repeat(64));
        let output = run(&mut command, set(3).as_bytes());
        assert!(stderr(&output).contains("model.sha256"), "{}", stderr(&output));
    }
    let int8 = stage.home.path().join("int8");
    stage.told(&["model", "quantize", "--model", "org/tiny", "--out", int8.to_str().unwrap()]);
    let refusal = stage.refusal(&["model", "pull", "org/none"]);
    assert!(refusal.contains("knows no model org/none"), "{refusal}");
}

#[test]
fn a_directory_that_exists_wins_over_a_name() {
    let stage = Stage::new();
    let model = model();
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("org/tiny");
    std::fs::create_dir_all(&into).unwrap();
    for entry in std::fs::read_dir(&model).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), into.join(entry.file_name())).unwrap();
    }
    let mut command = stage.crossrank(&["rerank", "--model", "org/tiny"]);
    let output = run(command.current_dir(Path::new(folder.path())), set(3).as_bytes());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stage.server.seen().is_empty(), "nobody was asked");
    assert!(lines(&output)[0]["model"]["revision"].as_str().unwrap().starts_with("sha256:"));
}

#[test]
fn a_model_that_does_not_give_its_scores_is_not_served() {
    let stage = Stage::new();
    let (good, bad) = (expected(&stage, 0.0), expected(&stage, 0.01));
    let told = stage.told(&["check", "--offline", "--model", "org/tiny", "--expected", &good]);
    assert!(told.contains("self-test passed: 3 scores differ from this test by"), "{told}");
    for arguments in [
        &["check", "--offline", "--model", "org/tiny", "--expected", &bad][..],
        &["rerank", "--model", "org/tiny", "--expected", &bad],
        &["model", "pull", "org/tiny", "--expected", &bad],
    ] {
        let refusal = stage.refusal(arguments);
        for part in ["the model is not served", "this test", "0.002", "model.self_test_tolerance"] {
            assert!(refusal.contains(part), "{part} is not in {refusal}");
        }
    }
    // What the configuration may say about it.
    let check = ["check", "--offline", "--model", "org/tiny", "--expected", &bad];
    for (variable, value, told) in [
        ("CROSSRANK__MODEL__SELF_TEST_TOLERANCE", "0.02", "of 0.02 allowed"),
        ("CROSSRANK__MODEL__SELF_TEST", "false", "self-test off"),
    ] {
        let mut command = stage.crossrank(&check);
        let output = run(command.env(variable, value), b"");
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(String::from_utf8(output.stdout).unwrap().contains(told));
    }
    // int8 is allowed more, and texts that are cut are not compared.
    let told = stage.told(&[
        "check",
        "--offline",
        "--model",
        "org/tiny",
        "--expected",
        &good,
        "--precision",
        "int8",
    ]);
    assert!(told.contains("of 0.5 allowed"), "{told}");
    let told = stage.told(&[
        "check",
        "--offline",
        "--model",
        "org/tiny",
        "--expected",
        &bad,
        "--max-length",
        "8",
    ]);
    assert!(told.contains("nothing was compared"), "{told}");
}

#[test]
fn a_branch_is_warned_of_and_a_commit_is_not() {
    let stage = Stage::new();
    let check = |more: &[&str]| {
        let all = [&["check", "--offline", "--model", "org/tiny"], more].concat();
        let mut command = stage.crossrank(&all);
        let output = run(command.env("CROSSRANK__KAFKA__BROKERS", "b:9092"), b"");
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(check(&[]).contains("# warning: model.revision is not a commit"));
    assert!(!check(&["--revision", COMMIT]).contains("warning: model.revision"));
}

#[test]
fn the_default_that_cannot_be_had_says_how_to_get_it_there() {
    let home = tempfile::tempdir().unwrap();
    let mut command = crossrank(&["check", "--offline"]);
    let output = run(command.env("HF_HOME", home.path()), b"");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    for part in ["cross-encoder/ms-marco-MiniLM-L6-v2", "crossrank model pull", "model.path"] {
        assert!(stderr(&output).contains(part), "{part} is not in {}", stderr(&output));
    }
    let inside = stderr(&output).contains("`--model bundled`");
    assert_eq!(inside, cfg!(feature = "bundled"), "{}", stderr(&output));
}
