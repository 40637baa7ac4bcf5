use rdkafka::message::Headers;
use serde_json::{Value, json};

use crate::stage::{Stage, header};
use crate::worker::Worker;

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
