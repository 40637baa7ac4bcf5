use std::io::{BufRead, BufReader, Write};

use crate::*;

fn rerank(arguments: &[&str], input: &str) -> Output {
    let model = model();
    let mut all = vec!["rerank", "--model", model.to_str().unwrap()];
    all.extend(arguments);
    run(&mut crossrank(&all), input.as_bytes())
}

#[test]
fn answers_come_in_the_order_of_the_lines() {
    let input: Vec<_> = (0..500).map(set).collect();
    let output = rerank(&[], &input.join("\n"));
    assert!(output.status.success(), "{}", stderr(&output));
    let ids: Vec<_> =
        lines(&output).iter().map(|a| a["request_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, (0..500).map(|id| id.to_string()).collect::<Vec<_>>());
    for (id, answer) in lines(&output).iter().enumerate() {
        assert_eq!(answer["results"].as_array().unwrap().len(), id % 7);
        assert_eq!(answer["status"], "reranked");
    }
}

#[test]
fn files_gzip_and_standard_input_are_read_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("a.jsonl");
    std::fs::write(&plain, format!("{}\n\n{}", set(1), set(2))).unwrap();
    let zipped = folder.path().join("b.jsonl.gz");
    // Two members, as `cat a.gz b.gz` makes them.
    let mut bytes = Vec::new();
    for id in [3, 4] {
        let mut gzip = flate2::write::GzEncoder::new(&mut bytes, flate2::Compression::fast());
        gzip.write_all(format!("{}\n", set(id)).as_bytes()).unwrap();
        gzip.finish().unwrap();
    }
    std::fs::write(&zipped, bytes).unwrap();
    let files = [plain.to_str().unwrap(), zipped.to_str().unwrap(), "-"];
    let output = rerank(&files, &set(5));
    assert!(output.status.success(), "{}", stderr(&output));
    let ids: Vec<_> = lines(&output).iter().map(|a| a["request_id"].clone()).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5"]);
}

#[test]
fn a_bad_line_is_reported_with_its_number_and_the_rest_goes_on() {
    let input = [set(1), "not JSON".to_owned(), set(2), "{}".to_owned(), set(3)].join("\n");
    let output = rerank(&[], &input);
    assert_eq!(lines(&output).len(), 3);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains("stdin:2: ") && told.contains("[invalid_json]"), "{told}");
    assert!(told.contains("stdin:4: ") && told.contains("request_id"), "{told}");
    assert!(told.contains("2 of 5 lines"), "{told}");
}

#[test]
fn an_answer_is_written_while_the_input_is_still_open() {
    let model = model();
    let mut command = crossrank(&["rerank", "--model", model.to_str().unwrap()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    for id in ["1", "2"] {
        // A wrong implementation waits here for ever, as the input ends only after the answer.
        writeln!(stdin, "{}", set(id.parse().unwrap())).unwrap();
        let answer: Value = serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap();
        assert_eq!(answer["request_id"], id);
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_file_that_cannot_be_read_to_its_end_does_not_hide_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.jsonl.gz");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(format!("{}\n", set(1)).repeat(500).as_bytes()).unwrap();
    let bytes = gzip.finish().unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let whole = folder.path().join("whole.jsonl");
    std::fs::write(&whole, set(2)).unwrap();
    let files = [cut.to_str().unwrap(), whole.to_str().unwrap()];
    let output = rerank(&files, "");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(lines(&output).last().unwrap()["request_id"], "2");
    assert!(stderr(&output).contains("cut.jsonl.gz:"), "{}", stderr(&output));
    let strict = rerank(&[files[0], files[1], "--strict"], "");
    assert!(lines(&strict).iter().all(|answer| answer["request_id"] == "1"));
}

#[test]
fn gzip_and_byte_order_marks_are_known_by_their_bytes_not_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let zipped = folder.path().join("zipped.jsonl");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(set(1).as_bytes()).unwrap();
    std::fs::write(&zipped, gzip.finish().unwrap()).unwrap();
    let marked = folder.path().join("marked.gz");
    std::fs::write(&marked, format!("\u{feff}{}\r\n{}", set(2), set(3))).unwrap();
    let output = rerank(&[zipped.to_str().unwrap(), marked.to_str().unwrap()], "");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(lines(&output).len(), 3);
}

#[test]
fn strict_stops_at_the_first_bad_line() {
    let input = [set(1), "not JSON".to_owned(), set(2)].join("\n");
    let output = rerank(&["--strict"], &input);
    assert_eq!(lines(&output).len(), 1);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("stdin:2: "), "{}", stderr(&output));
}

#[test]
fn a_line_over_the_limit_is_skipped_not_held() {
    let long = format!(r#"{{"request_id": "{}"}}"#, "x".repeat(5 << 20));
    let output = rerank(&[], &[set(1), long, set(2)].join("\n"));
    assert_eq!(lines(&output).len(), 2);
    assert!(stderr(&output).contains("[record_too_large]"), "{}", stderr(&output));
}

#[test]
fn nothing_in_is_nothing_out() {
    let output = rerank(&[], "");
    assert!(output.status.success());
    assert!(output.stdout.is_empty());
    assert!(stderr(&output).contains("the input is empty"), "{}", stderr(&output));
}

#[test]
fn flags_change_what_comes_out() {
    let output = rerank(&["--top-n", "2"], &set(6));
    assert_eq!(lines(&output)[0]["results"].as_array().unwrap().len(), 2);
    let long = json!({"request_id": "r", "query": "q",
        "candidates": [{"id": "a", "text": "word ".repeat(40)}]});
    let truncated = |arguments: &[&str]| {
        lines(&rerank(arguments, &long.to_string()))[0]["results"][0]["truncated"].clone()
    };
    assert_eq!(truncated(&["--max-length", "32", "--long-passages", "truncate"]), true);
    assert_eq!(truncated(&["--max-length", "32"]), false);
}

#[test]
fn a_long_passage_is_scored_in_windows_unless_told_otherwise() {
    let text = "word ".repeat(40) + "thing and set " + &"word ".repeat(40);
    let set = json!({"request_id": "r", "query": "q", "candidates": [{"id": "a", "text": text}]});
    let answer = &lines(&rerank(&["--max-length", "32"], &set.to_string()))[0];
    let (result, usage) = (&answer["results"][0], &answer["usage"]);
    assert_eq!(result["truncated"], false);
    assert!(usage["windows"].as_u64() > Some(3) && usage["pairs"] == 1, "{usage}");
    let at = |side: &str| result["window"][side].as_u64().unwrap() as usize;
    let part = text.get(at("start")..at("end")).unwrap();
    assert!(answer["context"]["text"].as_str().unwrap().ends_with(part.trim_end()), "{answer}");
}

#[test]
fn a_set_that_has_expired_is_treated_as_a_worker_would() {
    let model = model();
    let candidates = json!([{"id": "a", "text": "one"}, {"id": "b", "text": "two"}]);
    let set = json!({"request_id": "r", "query": "q", "expires_at": "2001-01-01T00:00:00Z",
        "candidates": candidates})
    .to_string();
    let rerank = |late: Option<&str>| {
        let mut command = crossrank(&["rerank", "--model", model.to_str().unwrap()]);
        late.map(|late| command.env("CROSSRANK__WORKER__LATE", late));
        run(&mut command, set.as_bytes())
    };
    for late in [None, Some("partial"), Some("passthrough")] {
        let answer = lines(&rerank(late)).remove(0);
        assert_eq!(
            (&answer["status"], &answer["reason"]),
            (&json!("passthrough"), &json!("expired"))
        );
    }
    assert_eq!(lines(&rerank(Some("late")))[0]["status"], "reranked");
    let failed = rerank(Some("fail"));
    assert_eq!(failed.status.code(), Some(1));
    assert!(failed.stdout.is_empty());
    let told = stderr(&failed);
    assert!(told.contains("stdin:1: ") && told.contains("[deadline_missed]"), "{told}");
    assert!(told.contains("worker.late"), "{told}");
}

#[test]
fn every_backend_gives_the_same_order() {
    let input: Vec<_> = (0..40).map(set).collect();
    let order = |backend: &str| {
        let output = rerank(&["--backend", backend], &input.join("\n"));
        assert!(output.status.success(), "{}", stderr(&output));
        let ids = |answer: &Value| {
            let results = answer["results"].as_array().unwrap().clone();
            results.into_iter().map(|r| r["id"].clone()).collect::<Vec<_>>()
        };
        lines(&output).iter().map(ids).collect::<Vec<_>>()
    };
    assert_eq!(order("flex"), order("ndarray"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sets.jsonl");
    let sets: Vec<_> = (0..3000).map(|_| set(6)).collect();
    std::fs::write(&file, sets.join("\n")).unwrap();
    let model = model();
    let mut command = crossrank(&["rerank", "--model", model.to_str().unwrap()]);
    command.arg(&file).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}
