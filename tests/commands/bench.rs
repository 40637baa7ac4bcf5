use std::collections::BTreeMap;

use crate::*;

/// Sets with enough pairs for every size that is timed.
fn sets() -> String {
    (0..40).map(set).collect::<Vec<_>>().join("\n")
}

fn bench(arguments: &[&str], input: &str) -> Output {
    let model = model();
    let mut all = vec!["bench", "--model", model.to_str().unwrap(), "--input", "-"];
    all.extend(arguments);
    run(&mut crossrank(&all), input.as_bytes())
}

/// One measurement of everything; it takes a second or two.
fn json(arguments: &[&str], input: &str) -> Value {
    let output = bench(&[&["--json", "--repeat", "2"], arguments].concat(), input);
    assert!(output.status.success(), "{}", stderr(&output));
    let mut lines = lines(&output);
    assert_eq!(lines.len(), 1, "one line");
    lines.remove(0)
}

fn number(report: &Value, name: &str) -> f64 {
    report[name].as_f64().unwrap_or_else(|| panic!("{name} is no number in {report}"))
}

#[test]
fn the_table_ends_with_what_a_capacity_plan_needs() {
    let output = bench(&["--repeat", "3"], &sets());
    assert!(output.status.success(), "{}", stderr(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    for part in ["tiny-bert at sha256:", "f32, flex on CPU", "115 pairs", "median of 3 passes"] {
        assert!(table.contains(part), "{part} is not in {table}");
    }
    let value = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(name)).unwrap();
        let value = line.trim_start_matches(name).split_whitespace().next().unwrap();
        value.trim_end_matches(',').parse::<f64>().unwrap()
    };
    let planned = value("sets of 50 per second per worker:");
    assert!((planned - value("pairs/s") / 50.0).abs() <= 0.06, "{table}");
    assert!(table.ends_with(&format!("per worker: {planned:.1}\n")), "{table}");
}

#[test]
fn the_line_of_json_has_the_figures_of_every_engine_and_our_own() {
    let report = json(&["--threads", "1"], &sets());
    assert_eq!(report["engine"], "crossrank-f32");
    assert_eq!((&report["pairs"], &report["threads"]), (&json!(115), &json!(1)));
    assert_eq!(report["max_length"], 256);
    let (seconds, tokens) = (number(&report, "seconds"), number(&report, "tokens"));
    assert!(tokens > 5.0 * 115.0, "{report}");
    let close = |name: &str, expected: f64| {
        let (found, exact) = (number(&report, name), expected);
        assert!((found / exact - 1.0).abs() < 0.01, "{name} is {found}, not {exact}: {report}");
    };
    close("pairs_per_s", 115.0 / seconds);
    close("tokens_per_s", tokens / seconds);
    assert!(number(&report, "seconds_min") <= seconds);
    assert!(number(&report, "seconds_max") >= seconds);
    // Two layers, 32 hidden, 64 intermediate; attention adds a little.
    let linears = 2.0 * 2.0 * (4.0 * 32.0 * 32.0 + 2.0 * 32.0 * 64.0);
    let linears = tokens * linears / seconds / 1e9;
    let gop_per_s = number(&report, "gop_per_s");
    assert!((linears * 0.99..linears * 1.5).contains(&gop_per_s), "{gop_per_s}, not {linears}");
    for size in ["10", "50", "100"] {
        let latency = &report["latency_ms"][size];
        assert!(number(latency, "p50") > 0.0, "{report}");
        assert!(number(latency, "p99") >= number(latency, "p50"), "{report}");
    }
}

#[test]
fn scores_are_those_of_rerank() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scores.tsv");
    // A blank passage is not scored, neither there nor here.
    let blank = json!({"request_id": "blank", "query": "q",
        "candidates": [{"id": "a", "text": " "}, {"id": "b", "text": "text"}]});
    let input = format!("{}\n{blank}", sets());
    let report = json(&["--scores", file.to_str().unwrap()], &input);
    assert_eq!(report["pairs"], 116);
    let written = std::fs::read_to_string(&file).unwrap();
    let row = |line: &str| {
        let mut fields = line.split('\t').map(str::to_owned);
        let (request, id) = (fields.next().unwrap(), fields.next().unwrap());
        ((request, id), fields.next().unwrap())
    };
    let rows: Vec<_> = written.lines().map(row).collect();
    assert_eq!(rows[0].0, ("1".to_owned(), "0".to_owned()));
    assert_eq!(rows.last().unwrap().0, ("blank".to_owned(), "b".to_owned()));

    let model = model();
    let command = ["rerank", "--max-length", "256", "--model", model.to_str().unwrap()];
    let answers = lines(&run(&mut crossrank(&command), input.as_bytes()));
    let mut expected = BTreeMap::new();
    for answer in &answers {
        for result in answer["results"].as_array().unwrap() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            if let Some(logit) = result["logit"].as_f64() {
                let key = (text(&answer["request_id"]), text(&result["id"]));
                expected.insert(key, format!("{:.6}", logit as f32));
            }
        }
    }
    assert_eq!(rows.into_iter().collect::<BTreeMap<_, _>>(), expected);
}

#[test]
fn a_limit_takes_the_first_pairs() {
    let report = json(&["--limit", "20"], &sets());
    assert_eq!(report["pairs"], 20);
    assert!(report["latency_ms"]["10"]["runs"].as_u64().unwrap() > 0);
    assert_eq!(report["latency_ms"]["50"], Value::Null, "there are no 50 pairs");
}

#[test]
fn another_backend_and_length_are_named() {
    let text = "word ".repeat(100);
    let long = json!({"request_id": "r", "query": "q", "candidates": [{"id": "a", "text": text}]});
    let report = json(&["--backend", "ndarray", "--max-length", "32"], &long.to_string());
    assert_eq!(report["engine"], "crossrank-f32-ndarray");
    assert_eq!((&report["tokens"], &report["max_length"]), (&json!(32), &json!(32)));
}

#[test]
fn a_bad_line_ends_it_with_its_file_and_number() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sets.jsonl");
    std::fs::write(&file, format!("{}\n\n{}\n", set(3), r#"{"request_id": "r"}"#)).unwrap();
    let model = model();
    let model = model.to_str().unwrap();
    let file = file.to_str().unwrap();
    let bench =
        |input: &str| run(&mut crossrank(&["bench", "--model", model, "--input", input]), b"");
    let output = bench(file);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains(&format!("{file}:3: ")) && told.contains("[missing_field]"), "{told}");
    assert!(output.stdout.is_empty());
    let output = bench("/nowhere.jsonl");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/nowhere.jsonl"));
    let output = bench("-");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("holds no pair"), "{}", stderr(&output));
}

#[test]
fn bad_flags_are_told_before_anything_is_measured() {
    for (arguments, named) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["--repeat", "0"], "--repeat"),
        (&["--limit", "0"], "--limit"),
        (&["--threads", "0"], "--threads"),
        (&["--backend", "cuda"], "--backend"),
        (&["--precision", "int3"], "--precision"),
        (&["--top-n", "3"], "--top-n"),
    ] {
        let output = bench(arguments, &set(3));
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(named), "{arguments:?} does not name {named}: {told}");
    }
    let output = run(&mut crossrank(&["bench"]), b"");
    assert_eq!(output.status.code(), Some(2));
    let output = bench(&["--scores", "/nowhere/scores.tsv"], &set(3));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/nowhere/scores.tsv"), "{}", stderr(&output));
}
