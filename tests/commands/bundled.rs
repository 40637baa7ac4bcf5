//! The model that ships inside, by its name and where none is named.

use tempfile::TempDir;

use crate::*;

/// A machine without models: every folder that a program may write to is this one.
fn bare(arguments: &[&str], home: &TempDir) -> Command {
    let mut command = crossrank(arguments);
    for variable in ["HOME", "HF_HOME", "XDG_CACHE_HOME", "TMPDIR"] {
        command.env(variable, home.path());
    }
    command.current_dir(home.path());
    command
}

fn told(command: &mut Command) -> String {
    let output = run(command, b"");
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn rerank_needs_no_model_no_network_and_no_disk() {
    let home = tempfile::tempdir().unwrap();
    let input = (1..4).map(set).collect::<Vec<_>>().join("\n");
    let output = run(&mut bare(&["rerank"], &home), input.as_bytes());
    assert!(output.status.success(), "{}", stderr(&output));
    let answers = lines(&output);
    assert_eq!(answers.len(), 3);
    for answer in &answers {
        let model = &answer["model"];
        assert_eq!(
            (&model["id"], &model["precision"]),
            (&json!("crossrank-bundled"), &json!("int8"))
        );
        assert!(model["revision"].as_str().unwrap().starts_with("sha256:"), "{model}");
        assert_eq!(answer["status"], "reranked");
    }
    for part in ["ships inside", "--model", "model.id"] {
        assert!(stderr(&output).contains(part), "{part} is not in {}", stderr(&output));
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "something was written");
    // Named, it is the same.
    let named = run(&mut bare(&["rerank", "--model", "bundled"], &home), input.as_bytes());
    let results =
        |answers: &[Value]| answers.iter().map(|a| a["results"].clone()).collect::<Vec<_>>();
    assert_eq!(results(&lines(&named)), results(&answers));
}

#[test]
fn a_model_that_is_named_anywhere_is_the_one_that_is_used() {
    let home = tempfile::tempdir().unwrap();
    let model = model();
    for (key, value) in [("PATH", model.to_str().unwrap()), ("ID", "org/absent")] {
        let mut command = bare(&["rerank"], &home);
        let output = run(command.env(format!("CROSSRANK__MODEL__{key}"), value), set(3).as_bytes());
        match key {
            "PATH" => assert_eq!(lines(&output)[0]["model"]["id"], "tiny-bert"),
            _ => assert!(stderr(&output).contains("org/absent"), "{}", stderr(&output)),
        }
    }
}

#[test]
fn its_name_is_not_that_of_a_folder() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("bundled")).unwrap();
    let check = told(&mut bare(&["check", "--offline", "--model", "bundled"], &home));
    for part in ["id = \"bundled\" # --model", "precision = \"int8\" # that of the bundled model"] {
        assert!(check.contains(part), "{part} is not in {check}");
    }
    assert!(check.contains("# model: crossrank-bundled at sha256:"), "{check}");
    usage::fails_with(&["rerank", "--model", "./bundled"], 2, &["./bundled"]);
}

#[test]
fn what_it_is_not_made_for_is_refused_with_what_to_do() {
    let f32 = ["rerank", "--precision", "f32"];
    usage::fails_with(&f32, 2, &["model.precision", "int8 weights", "--model"]);
    let revision = ["check", "--offline", "--model", "bundled", "--revision", "main"];
    usage::fails_with(&revision, 2, &["model.revision", "the bundled model", "model.sha256"]);
    let pull = ["model", "pull", "bundled"];
    usage::fails_with(&pull, 1, &["nothing to fetch", "--model bundled"]);
    let quantize = ["model", "quantize", "--model", "bundled", "--out", "/nowhere/new"];
    usage::fails_with(&quantize, 1, &["crossrank-bundled holds int8 weights already"]);
}

#[test]
fn it_is_listed_and_inspected_and_its_hash_pins_it() {
    let home = tempfile::tempdir().unwrap();
    let list = told(&mut bare(&["model", "list"], &home));
    assert!(list.starts_with("bundled  sha256:") && list.contains("ships inside"), "{list}");
    let inspect = told(&mut bare(&["model", "inspect", "bundled"], &home));
    for part in [
        "crossrank-bundled",
        "BertForSequenceClassification",
        "yes, pairs of",
        "I8",
        " of weights with int8, as they are stored",
        "Apache-2.0",
    ] {
        assert!(inspect.contains(part), "{part} is not in {inspect}");
    }
    assert!(!inspect.contains("f32"), "{inspect}");
    let sha256 = inspect.lines().find_map(|line| line.strip_prefix("sha256       ")).unwrap();
    let revision = list.split_whitespace().nth(1).unwrap();
    assert!(format!("sha256:{sha256}").starts_with(revision), "{revision} of {sha256}");
    let pinned = |sha256: &str| {
        let mut command = bare(&["rerank"], &home);
        run(
            command.env("CROSSRANK__MODEL__ID", "bundled").env("CROSSRANK__MODEL__SHA256", sha256),
            set(3).as_bytes(),
        )
    };
    let output = pinned(sha256);
    assert_eq!(lines(&output)[0]["model"]["revision"], revision, "{}", stderr(&output));
    let refusal = stderr(&pinned(&"0".repeat(64)));
    assert!(refusal.contains("crossrank-bundled does not hold the model"), "{refusal}");
}

#[test]
fn bench_measures_it_where_no_model_is_named() {
    let home = tempfile::tempdir().unwrap();
    let mut command = bare(&["bench", "--input", "-", "--repeat", "1", "--json"], &home);
    let output = run(&mut command, set(6).as_bytes());
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(lines(&output)[0]["engine"], "crossrank-int8");
}

#[test]
fn the_demonstration_shows_every_set_in_80_columns() {
    let home = tempfile::tempdir().unwrap();
    let shown = told(&mut bare(&["demo", "--sets", "8"], &home));
    for part in [
        "ships inside",
        "negation: ",
        "hybrid-lists: ",
        "crossrank-bundled",
        "came first in",
        "pairs/s",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    let wide: Vec<&str> = shown.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:#?}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "something was written");
}
