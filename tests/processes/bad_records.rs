use rdkafka::message::Headers;
use serde_json::{Value, json};

use crate::stage::{Stage, header, set};
use crate::worker::{self, Worker};

#[test]
fn every_kind_of_bad_record_becomes_a_dead_letter_and_the_worker_goes_on() {
    let Some(stage) = Stage::set("bad", 2) else { return };
    let candidate = json!({"id": "a", "text": "t"});
    let with = |extra: Value| {
        let mut set = json!({"request_id": "r", "query": "q", "candidates": [candidate]});
        set.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        set.to_string().into_bytes()
    };
    let deep = format!(r#"{{"request_id":"r","query":"q","deep":{}"#, "[".repeat(200_000));
    let many: Vec<_> = (0..=10_000).map(|i| json!({"id": i.to_string(), "text": "t"})).collect();
    let bad: Vec<(&str, Option<Vec<u8>>, &str)> = vec![
        ("null_value", None, "value"),
        ("invalid_json", Some(b"not JSON".to_vec()), ""),
        ("wrong_type", Some(with(json!({"query": 7}))), "query"),
        ("missing_field", Some(br#"{"query": "q", "candidates": []}"#.to_vec()), "request_id"),
        ("empty_query", Some(with(json!({"query": "  "}))), "query"),
        (
            "duplicate_id",
            Some(with(json!({"candidates": [candidate, candidate]}))),
            "candidates[1].id",
        ),
        ("invalid_utf8", Some(b"{\"request_id\": \"r\", \"query\": \"\xff\"}".to_vec()), "query"),
        ("nested_too_deep", Some(deep.into_bytes()), "deep"),
        ("too_many_candidates", Some(with(json!({"candidates": many}))), "candidates"),
        ("record_too_large", Some(with(json!({"filler": "x".repeat(900_000)}))), "bytes"),
    ];
    for (key, value, _) in &bad {
        stage.produce_one(key, value.as_deref());
        stage.produce(0..3);
    }
    let worker = Worker::start_with(&stage, &[("CROSSRANK__LIMITS__RECORD_BYTES_MAX", "800000")]);
    stage.wait_for_letters(bad.len());
    stage.wait_for_answers(3 * bad.len());
    stage.wait_until_committed();
    assert_eq!(worker.terminate().code, Some(0));

    let letters = stage.letters();
    assert_eq!(letters.len(), bad.len());
    for letter in letters {
        let headers = Some(&letter.headers);
        let sent_as = header(headers, "sent-as");
        let (code, value, named) = bad.iter().find(|(key, ..)| *key == sent_as).unwrap();
        assert_eq!(header(headers, "crossrank.dlq.code"), *code);
        assert_eq!(header(headers, "crossrank.dlq.stage"), "decode");
        assert_eq!(header(headers, "__dlq.errors.topic"), stage.input);
        assert_eq!(header(headers, "__dlq.errors.group"), stage.group);
        let message = header(headers, "__dlq.errors.message");
        assert!(message.contains(named), "{code}: {message}");
        assert!(letter.value == *value, "{code}: the value comes back as it was");
        assert!(letter.headers.iter().all(|h| h.value.is_some()));
    }
}

/// What a file gets and what a topic gets is the same, byte for byte, but for the timings.
#[test]
fn files_and_topics_give_the_same_answers() {
    let Some(stage) = Stage::set("same", 3) else { return };
    let sets: Vec<String> = (0..300).map(set).collect();
    stage.produce(0..sets.len());
    let worker = Worker::start(&stage);
    stage.wait_for_answers(sets.len());
    assert_eq!(worker.terminate().code, Some(0));

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), sets.join("\n")).unwrap();
    let mut rerank = std::process::Command::new(env!("CARGO_BIN_EXE_crossrank"));
    rerank.args(["rerank", "--model"]).arg(worker::model()).arg(file.path());
    let from_file = rerank.output().unwrap();
    assert!(from_file.status.success(), "{}", String::from_utf8_lossy(&from_file.stderr));

    let mut from_file: Vec<String> =
        String::from_utf8(from_file.stdout).unwrap().lines().map(without_timings).collect();
    let outputs = stage.outputs().into_iter();
    let mut from_topic: Vec<String> = outputs
        .map(|output| without_timings(std::str::from_utf8(&output.value).unwrap()))
        .collect();
    from_file.sort();
    from_topic.sort();
    assert_eq!(from_file.len(), sets.len());
    assert_eq!(from_file, from_topic);
}

/// The bytes of an answer, but for the object of timings.
fn without_timings(answer: &str) -> String {
    let (before, rest) = answer.split_once(r#""timing_ms":{"#).unwrap();
    let (_, after) = rest.split_once('}').unwrap();
    format!("{before}{after}")
}
