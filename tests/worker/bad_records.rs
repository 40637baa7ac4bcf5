use std::time::Duration;

use bytes::Bytes;
use crossrank::stream::{Header, Record};
use crossrank::telemetry::label_values;
use serde_json::json;

use crate::stage::*;

/// Every kind of bad record, the code it gets, and what its message must name.
fn bad_records() -> Vec<(Option<Bytes>, &'static str, &'static str)> {
    let candidate = json!({"id": "a", "text": "t"});
    let set = |extra: serde_json::Value| {
        let mut set = json!({"request_id": "r", "query": "q", "candidates": [candidate]});
        set.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        Some(Bytes::from(set.to_string()))
    };
    let text = |text: &str| Some(Bytes::from(text.to_owned()));
    let deep = format!(r#"{{"request_id":"r","query":"q","deep":{}"#, "[".repeat(40_000));
    let long = format!(r#"{{"request_id":"r","query":"{}"}}"#, "q".repeat(50_000));
    let many: Vec<_> = (0..31).map(|i| json!({"id": i.to_string(), "text": "t"})).collect();
    vec![
        (None, "null_value", "no value"),
        (text(""), "invalid_json", ""),
        (text("not JSON"), "invalid_json", ""),
        (text(r#"{"request_id": "r", "query": "q", "#), "invalid_json", ""),
        (text("[]"), "wrong_type", "object"),
        (text(r#"{"query": "q", "candidates": []}"#), "missing_field", "request_id"),
        (text(r#"{"request_id": "r", "candidates": []}"#), "missing_field", "query"),
        (text(r#"{"request_id": "r", "query": "q"}"#), "missing_field", "candidates"),
        (set(json!({"query": 7})), "wrong_type", "query"),
        (set(json!({"query": " \n"})), "empty_query", "query"),
        (
            set(json!({"candidates": [candidate, {"id": "b", "text": 1}]})),
            "wrong_type",
            "candidates[1].text",
        ),
        (
            set(json!({"candidates": [candidate, {"text": "t"}]})),
            "missing_field",
            "candidates[1].id",
        ),
        (set(json!({"candidates": [candidate, candidate]})), "duplicate_id", "candidates[1].id"),
        (set(json!({"candidates": many})), "too_many_candidates", "candidates"),
        (set(json!({"expires_at": "tomorrow"})), "invalid_value", "expires_at"),
        (set(json!({"query": "q".repeat(501)})), "query_too_long", "query"),
        (
            Some(Bytes::from_static(b"{\"request_id\": \"r\", \"query\": \"\xff\"}")),
            "invalid_utf8",
            "query",
        ),
        (text(&deep), "nested_too_deep", "deep"),
        (text(&long), "record_too_large", "bytes"),
    ]
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_bad_record_becomes_a_dead_letter_and_the_worker_goes_on() {
    let broker = broker(1);
    let bad = bad_records();
    for (index, (value, ..)) in bad.iter().enumerate() {
        let headers = vec![Header::text("kept", index.to_string())];
        let record = Record { value: value.clone(), headers, ..Record::default() };
        broker.produce(INPUT, 0, record);
        broker.produce(INPUT, 0, set(index));
    }
    let worker = Running::start(&broker, TestScorer::taking(Duration::ZERO), settings());
    all_answered(&broker, bad.len()).await;
    eventually(&broker, |broker| committed(broker, 1) == 2 * bad.len() as i64).await;
    assert_eq!(worker.counts.snapshot().dead_letters, bad.len() as u64);
    worker.stop().await.unwrap();

    let mut letters = broker.records(DEAD);
    assert_eq!(letters.len(), bad.len());
    let foretold = label_values("crossrank_code").unwrap();
    for (_, code, _) in &bad {
        assert!(foretold.contains(code), "{code}");
    }
    let header = |letter: &Record, name: &str| {
        String::from_utf8(letter.header(name).unwrap_or_else(|| panic!("{name}")).to_vec()).unwrap()
    };
    letters.sort_by_key(|letter| header(&letter.record, "kept").parse::<usize>().unwrap());
    for (index, (letter, (value, code, named))) in letters.iter().zip(bad).enumerate() {
        let letter = &letter.record;
        assert_eq!(letter.value, value, "the value comes back as it was");
        assert_eq!(header(letter, "crossrank.dlq.code"), code, "record {index}");
        assert_eq!(header(letter, "crossrank.dlq.stage"), "decode");
        assert_eq!(header(letter, "crossrank.dlq.attempts"), "1");
        assert_eq!(header(letter, "__dlq.errors.topic"), INPUT);
        assert_eq!(header(letter, "__dlq.errors.partition"), "0");
        assert_eq!(header(letter, "__dlq.errors.offset"), (2 * index).to_string());
        assert_eq!(header(letter, "__dlq.errors.group"), GROUP);
        let message = header(letter, "__dlq.errors.message");
        assert!(message.contains(named), "{code}: {message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_comes_again_tells_of_its_last_failure_only() {
    let broker = broker(1);
    let headers = vec![
        Header::text("__dlq.errors.offset", "99"),
        Header::text("crossrank.dlq.code", "old"),
        Header::text("own", "kept"),
    ];
    broker.produce(INPUT, 0, Record { value: Some("x".into()), headers, ..Record::default() });
    let worker = Running::start(&broker, TestScorer::taking(Duration::ZERO), settings());
    eventually(&broker, |broker| committed(broker, 1) == 1).await;
    worker.stop().await.unwrap();
    let letter = &broker.records(DEAD)[0].record;
    let all = |name: &str| letter.headers.iter().filter(|h| h.name == name).count();
    assert_eq!(all("__dlq.errors.offset"), 1);
    assert_eq!(letter.header("__dlq.errors.offset").unwrap().as_ref(), b"0");
    assert_eq!(all("crossrank.dlq.code"), 1);
    assert_eq!(letter.header("own").unwrap().as_ref(), b"kept");
}
