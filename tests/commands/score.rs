use std::io::{BufRead, BufReader, Write};

use crate::*;

fn score(arguments: &[&str], input: &[u8]) -> Output {
    let model = model();
    let mut all = vec!["score", "--model", model.to_str().unwrap()];
    all.extend(arguments);
    run(&mut crossrank(&all), input)
}

fn text(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn scores_are_those_of_rerank_in_the_order_of_the_pairs_in_both_forms() {
    let passages: Vec<String> = (0..300).map(|n| format!("text {n} of a set")).collect();
    let candidates: Vec<_> =
        passages.iter().enumerate().map(|(n, t)| json!({"id": n.to_string(), "text": t})).collect();
    let set = json!({"request_id": "r", "query": "a query", "candidates": candidates});
    let model = model();
    let rerank = ["rerank", "--model", model.to_str().unwrap()];
    let answer = lines(&run(&mut crossrank(&rerank), set.to_string().as_bytes())).remove(0);
    let mut expected = vec![Value::Null; passages.len()];
    for result in answer["results"].as_array().unwrap() {
        let place: usize = result["id"].as_str().unwrap().parse().unwrap();
        expected[place] = json!({"id": place, "logit": result["logit"], "score": result["score"]});
    }

    let json: Vec<String> = (0..)
        .zip(&passages)
        .map(|(id, text)| json!({"query": "a query", "text": text, "id": id}).to_string())
        .collect();
    let output = score(&[], json.join("\n").as_bytes());
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(lines(&output), expected);

    let tabs: String = passages.iter().map(|text| format!("a query\t{text}\n")).collect();
    let output = score(&[], tabs.as_bytes());
    assert!(output.status.success(), "{}", stderr(&output));
    let rows: Vec<Vec<f64>> = text(&output)
        .lines()
        .map(|line| line.split('\t').map(|number| number.parse().unwrap()).collect())
        .collect();
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(&expected) {
        assert_eq!(row[0] as f32, expected["logit"].as_f64().unwrap() as f32);
        assert_eq!(row[1], expected["score"].as_f64().unwrap());
    }
}

#[test]
fn a_bad_line_is_reported_with_its_number_and_the_rest_goes_on() {
    let input = "q\tone\nno tab\n\nq\ttwo\n \tno query\n";
    let output = score(&[], input.as_bytes());
    assert_eq!((text(&output).lines().count(), output.status.code()), (2, Some(1)));
    let told = stderr(&output);
    assert!(told.contains("stdin:2: 0 tabs"), "{told}");
    assert!(told.contains("stdin:5: the query is empty"), "{told}");
    assert!(told.contains("2 of 4 lines"), "{told}");
    let strict = score(&["--strict"], input.as_bytes());
    assert_eq!((text(&strict).lines().count(), strict.status.code()), (1, Some(1)));
}

#[test]
fn a_pair_that_cannot_be_scored_keeps_its_place() {
    let output = score(&[], b"q\tone\nq\t \nq\ttwo\n");
    assert!(output.status.success(), "{}", stderr(&output));
    let rows: Vec<_> = text(&output).lines().collect();
    assert_eq!((rows.len(), rows[1]), (3, "nan\tnan"));
    let output = score(&[], br#"{"query": "q", "text": "", "id": "x"}"#);
    let expected = json!({"id": "x", "logit": null, "score": null, "reason": "empty_text"});
    assert_eq!(lines(&output), [expected]);
}

#[test]
fn the_form_is_that_of_the_first_line_unless_it_is_said() {
    let braces = b"{curly} query\ta passage\n";
    let output = score(&[], braces);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("stdin:1: not a pair as JSON"), "{}", stderr(&output));
    let output = score(&["--form", "tsv"], braces);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(text(&output).lines().count(), 1);
}

#[test]
fn gzip_is_read_and_a_long_passage_is_said_to_be_cut() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pairs.gz");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let long = json!({"query": "q", "text": "word ".repeat(60)});
    writeln!(gzip, "{long}\n{}", json!({"query": "q", "text": "short"})).unwrap();
    std::fs::write(&file, gzip.finish().unwrap()).unwrap();
    let cut = ["--max-length", "32", "--long-passages", "truncate", file.to_str().unwrap()];
    let output = score(&cut, b"");
    assert!(output.status.success(), "{}", stderr(&output));
    let scores = lines(&output);
    assert_eq!((&scores[0]["truncated"], &scores[1]["truncated"]), (&json!(true), &Value::Null));
}

#[test]
fn a_score_is_written_while_the_input_is_still_open() {
    let model = model();
    let mut command = crossrank(&["score", "--model", model.to_str().unwrap()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut scores = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        // A wrong implementation waits here for ever, as the input ends only after the score.
        writeln!(stdin, "a query\ta passage").unwrap();
        assert!(scores.next().unwrap().unwrap().contains('\t'));
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn bad_usage_ends_with_two_and_nothing_in_is_nothing_out() {
    for arguments in [&["--top-n", "3"][..], &["--form", "xml"], &["--precision", "int3"]] {
        assert_eq!(score(arguments, b"").status.code(), Some(2), "{arguments:?}");
    }
    assert_eq!(score(&["/nowhere.tsv"], b"").status.code(), Some(1));
    let output = score(&[], b"");
    assert!(output.status.success() && output.stdout.is_empty());
    assert!(stderr(&output).contains("the input is empty"), "{}", stderr(&output));
}
