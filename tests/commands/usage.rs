use crate::*;

pub(crate) fn fails_with(arguments: &[&str], code: i32, named: &[&str]) {
    let output = run(&mut crossrank(arguments), b"");
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
    assert!(output.stdout.is_empty(), "data only on standard output");
    for name in named {
        assert!(told.contains(name), "{arguments:?} does not name {name}: {told}");
    }
}

#[test]
fn help_names_every_command_and_flag() {
    let output = run(&mut crossrank(&["--help"]), b"");
    let help = String::from_utf8(output.stdout).unwrap();
    for command in
        ["run", "demo", "rerank", "eval", "score", "check", "bench", "probe", "replay", "model"]
    {
        assert!(help.contains(command), "{help}");
    }
    let output = run(&mut crossrank(&["rerank", "--help"]), b"");
    let help = String::from_utf8(output.stdout).unwrap();
    for flag in ["--model", "--backend", "--precision", "--max-length", "--top-n", "--strict"] {
        assert!(help.contains(flag), "{help}");
    }
}

#[test]
fn bad_usage_ends_with_two_and_says_what_to_do() {
    fails_with(&["rerank", "--nonsense"], 2, &["--nonsense"]);
    fails_with(&["rerank", "--model", "/nowhere"], 2, &["model.path", "--model", "/nowhere"]);
    fails_with(&["rerank", "--model", "a/b/c"], 2, &["model.path", "a/b/c"]);
    let model = model();
    let model = model.to_str().unwrap();
    fails_with(&["rerank", "--model", model, "--backend", "cuda"], 2, &["--backend", "flex"]);
    fails_with(&["rerank", "--model", model, "--precision", "int4"], 2, &["--precision", "int8"]);
    fails_with(&["rerank", "--model", model, "--max-length", "0"], 2, &["--max-length"]);
    fails_with(
        &["rerank", "--model", model, "--max-length", "100000"],
        2,
        &["--max-length", "256"],
    );
    fails_with(&["rerank", "--model", model, "--top-n", "0"], 2, &["--top-n"]);
    fails_with(&["run", "--model", "/nowhere"], 2, &["kafka.brokers", "model.path"]);
    fails_with(&["run", "--config", "/nowhere.toml"], 2, &["/nowhere.toml"]);
}

#[test]
fn a_missing_model_or_file_ends_with_its_name() {
    let model = model();
    let model = model.to_str().unwrap();
    fails_with(&["rerank", "--model", model, "/nowhere.jsonl"], 1, &["/nowhere.jsonl"]);
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().to_str().unwrap();
    fails_with(&["rerank", "--model", empty], 1, &[empty, "config.json"]);
    std::fs::copy(format!("{model}/config.json"), folder.path().join("config.json")).unwrap();
    std::fs::copy(format!("{model}/tokenizer.json"), folder.path().join("tokenizer.json")).unwrap();
    std::fs::write(folder.path().join("model.safetensors"), b"\xff\xff\xff\xff\0\0\0\0").unwrap();
    fails_with(&["rerank", "--model", empty], 1, &["model.safetensors"]);
}

#[test]
fn every_mistake_of_a_configuration_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("crossrank.toml");
    std::fs::write(&file, "[kafka]\nbrokers = 7\ngruop = \"x\"\n[model]\npath = \"/nowhere\"\n")
        .unwrap();
    let file = file.to_str().unwrap();
    fails_with(&["check", "--config", file], 2, &["kafka.brokers", "gruop", "kafka.group", file]);
}

#[test]
fn check_without_kafka_needs_no_broker_and_prints_what_is_effective() {
    let model = model();
    let output =
        run(&mut crossrank(&["check", "--offline", "--model", model.to_str().unwrap()]), b"");
    assert!(output.status.success(), "{}", stderr(&output));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("# brokers is not set\n") && told.contains("sets_max = 256"), "{told}");
    assert!(
        told.contains("kafka.brokers is not set") && told.contains("loaded and warm"),
        "{told}"
    );
    let relation = ["check", "--offline", "--model", model.to_str().unwrap()];
    let mut command = crossrank(&relation);
    command.env("CROSSRANK__KAFKA__BROKERS", "127.0.0.1:9");
    command.env("CROSSRANK__KAFKA__DRAIN_TIMEOUT_MS", "60000");
    let output = run(&mut command, b"");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn check_tells_of_model_and_broker_though_both_are_bad() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = crossrank(&["check", "--model", folder.path().to_str().unwrap()]);
    // Nothing listens on the discard port of this machine.
    command.env("CROSSRANK__KAFKA__BROKERS", "127.0.0.1:9");
    command.env("CROSSRANK__KAFKA__STARTUP_TIMEOUT_MS", "500");
    let output = run(&mut command, b"");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let told = stderr(&output);
    for part in [
        "cannot start the engine",
        "config.json",
        "\nand cannot use the Kafka cluster",
        "127.0.0.1:9",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    let model = model();
    let mut command = crossrank(&["check", "--model", model.to_str().unwrap()]);
    command.env("CROSSRANK__KAFKA__BROKERS", "127.0.0.1:9");
    command.env("CROSSRANK__KAFKA__STARTUP_TIMEOUT_MS", "500");
    let output = run(&mut command, b"");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let (told, said) = (stderr(&output), String::from_utf8(output.stdout).unwrap());
    assert!(said.contains("loaded and warm"), "a good model is told of: {said}");
    assert!(
        told.contains("cannot use the Kafka cluster") && !told.contains("cannot start"),
        "{told}"
    );
}
