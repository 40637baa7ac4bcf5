//! Holds the types of `wire` against the JSON Schemas that others read them by.

use crossrank::wire::{
    CandidateSet, Context, DeadLetter, Duplicate, Limits, Model, Ranked, Reason, RerankedContext,
    Results, Stage, Status, TimingMs, Usage, decode, encode, read,
};
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};

const LIMITS: Limits = Limits {
    record_bytes_max: 1 << 20,
    query_chars_max: 10_000,
    candidates_max: 1_000,
    candidates_refused_above: 1_000,
    passage_chars_max: 10,
};

const CANDIDATE_SET: &str = include_str!("../schemas/candidate_set.v1.json");
const CONTEXT: &str = include_str!("../schemas/context.v1.json");
const DEAD_LETTER: &str = include_str!("../schemas/dead_letter.v1.json");

fn validator(schema: &str) -> Validator {
    let schema: Value = serde_json::from_str(schema).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|error| panic!("{error}"));
    jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap()
}

#[track_caller]
fn assert_valid(validator: &Validator, instance: &Value) {
    let errors: Vec<String> =
        validator.iter_errors(instance).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{instance:#}");
}

fn one_list() -> Value {
    json!({
        "request_id": "r-17", "query": "what?", "top_n": 8, "min_score": 0.1,
        "expires_at": "2026-11-23T12:00:00.250Z", "tenant": {"a": [1]},
        "candidates": [
            {"id": "a", "text": "passage", "title": "T", "source": "bm25", "rank": 1,
             "score": 12.3, "metadata": {"any": "json"}, "more": true},
            {"id": "b", "text": ""}
        ]
    })
}

fn two_lists() -> Value {
    json!({
        "request_id": "r", "query": "q",
        "lists": [
            {"source": "bm25", "took_ms": 3, "candidates": [{"id": "a", "text": "t", "score": 1}]},
            {"candidates": [{"id": "a", "text": "t"}, {"id": "b", "text": "u", "rank": 3}]}
        ]
    })
}

/// JSON pointers of `value` and everything in it.
fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| pointers(value, format!("{at}/{name}"), found))
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, value)| pointers(value, format!("{at}/{index}"), found)),
        _ => {}
    }
    found.push(at);
}

/// `sample` with one thing changed: each value replaced by one of every kind, each field removed,
/// each field added that stands somewhere else.
fn variants(sample: &Value) -> Vec<(String, Value)> {
    let others = [
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(2.0),
        json!(0.5),
        json!(-1),
        json!(1e300),
        json!(""),
        json!(" \n"),
        json!("x"),
        json!("2026-11-23T12:00:00+01:00"),
        json!("2026-02-30T12:00:00Z"),
        json!("9999-12-31T23:59:59Z"),
        json!([]),
        json!(["x"]),
        json!([[]]),
        json!({}),
        json!({"id": "x"}),
        json!([{"id": "x", "text": "y"}]),
        json!([{"candidates": []}]),
    ];
    let mut at = Vec::new();
    pointers(sample, String::new(), &mut at);
    let mut variants = Vec::new();
    for pointer in at {
        for other in &others {
            let mut variant = sample.clone();
            *variant.pointer_mut(&pointer).unwrap() = other.clone();
            variants.push((format!("{pointer} = {other}"), variant));
        }
        let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
        let mut variant = sample.clone();
        match variant.pointer_mut(parent) {
            Some(Value::Object(fields)) => drop(fields.remove(name)),
            Some(Value::Array(items)) if !name.is_empty() => drop(items.pop()),
            _ => continue,
        }
        variants.push((format!("without {pointer}"), variant));
    }
    variants
}

#[test]
fn the_decoder_and_the_schema_agree_on_every_variant_of_a_set() {
    let schema = validator(CANDIDATE_SET);
    let mut refused = 0;
    for sample in [one_list(), two_lists()] {
        assert_valid(&schema, &sample);
        let mut variants = variants(&sample);
        for extra in ["candidates", "lists"] {
            for value in [json!([]), json!(null)] {
                let mut variant = sample.clone();
                variant[extra] = value;
                variants.push((format!("with {extra}"), variant));
            }
        }
        for (change, variant) in variants {
            let decoded = decode(Some(variant.to_string().as_bytes()), &LIMITS);
            let valid = schema.is_valid(&variant);
            assert_eq!(decoded.is_ok(), valid, "{change}: {decoded:?}");
            refused += usize::from(!valid);
        }
    }
    assert!(refused > 200, "only {refused} variants are bad: the comparison proves little");
}

#[test]
fn what_the_schema_of_contexts_takes_can_be_read() {
    let schema = validator(CONTEXT);
    let set = decode(Some(one_list().to_string().as_bytes()), &LIMITS).unwrap();
    let sample = serde_json::from_slice(&encode(&answer(set, &[Some(1.5), None], true))).unwrap();
    assert_valid(&schema, &sample);
    let mut refused = 0;
    // To a schema 2.0 is an integer; the encoder never spells one so, and the reader need not.
    let spelled = |change: &str| !change.ends_with("2.0") && !change.ends_with("e+300");
    for (change, variant) in variants(&sample).into_iter().filter(|(c, _)| spelled(c)) {
        let known = read(variant.to_string().as_bytes());
        let valid = schema.is_valid(&variant);
        assert!(known.is_ok() || !valid, "{change}: {known:?}");
        refused += usize::from(!valid);
    }
    assert!(refused > 200, "only {refused} variants are bad: the comparison proves little");
}

#[test]
fn a_dead_letter_has_the_headers_of_its_schema() {
    let schema = validator(DEAD_LETTER);
    for stage in [Stage::Decode, Stage::Score, Stage::Assemble, Stage::Publish] {
        let long = "é".repeat(5_000);
        let error = decode(Some(b"{"), &LIMITS).unwrap_err();
        let dead = DeadLetter {
            topic: "sets",
            partition: 3,
            offset: 0,
            group: "g",
            stage,
            code: error.code(),
            attempts: 1,
            message: &long,
        };
        let mut headers: Value = dead.headers().into_iter().collect();
        assert_valid(&schema, &headers);
        let names: Vec<String> = headers.as_object().unwrap().keys().cloned().collect();
        for name in names {
            let value = headers.as_object_mut().unwrap().remove(&name).unwrap();
            assert!(!schema.is_valid(&headers), "valid without {name}");
            headers[&name] = json!(7);
            assert!(!schema.is_valid(&headers), "valid with a number as {name}");
            headers[&name] = value;
        }
    }
}

/// An answer to `set` with these logits, as a worker makes it.
fn answer(set: CandidateSet, logits: &[Option<f32>], full: bool) -> RerankedContext {
    let reason = |logit: &Option<f32>| logit.is_none().then_some(Reason::LogitNotFinite);
    let of_each = || (0..set.candidates.len()).map(|i| logits[i % logits.len()]);
    let (status, reason_of_set) = Status::of(of_each().map(|logit| reason(&logit)));
    let ids: Vec<String> = set.candidates.iter().map(|c| c.id.clone()).collect();
    let results = set.candidates.iter().cloned().zip(of_each()).enumerate();
    let results = results.map(|(index, (candidate, logit))| {
        let mut result = match logit {
            Some(logit) => Ranked::scored(
                candidate,
                logit,
                1.0 / (1.0 + f64::from(-logit).exp()),
                true,
                Some(0..1),
            ),
            None => Ranked::unscored(candidate, Reason::LogitNotFinite),
        };
        result.rank = index + 1;
        result.reduce(if full { Results::Full } else { Results::Ids });
        result
    });
    let duplicates = ids.windows(2).map(|p| Duplicate { id: p[1].clone(), of: p[0].clone() });
    RerankedContext {
        request_id: set.request_id.clone(),
        query: set.query.clone(),
        status,
        reason: reason_of_set,
        model: Model {
            id: "m".to_owned(),
            revision: full.then(|| "1".to_owned()),
            label: full.then(|| "entailment".to_owned()),
            precision: "f32".to_owned(),
            backend: "flex".to_owned(),
        },
        results: results.collect(),
        context: full.then(|| Context {
            text: "text".to_owned(),
            tokens: 1,
            truncated: ids.first().cloned(),
            duplicates: duplicates.collect(),
            passages: ids.clone(),
        }),
        usage: Usage {
            candidates: set.candidates.len(),
            query_truncated: true,
            ..Usage::default()
        },
        timing_ms: TimingMs { queue: 0.1, score: 1.0 / 3.0, total: 1e-3 },
        extra: set.extra,
    }
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        Just(json!({"b": [1, {}], "a": null})),
    ]
}

/// Fields that the format does not know, some of them with names that the output needs.
fn unknown() -> impl Strategy<Value = Vec<(String, Value)>> {
    let name = prop_oneof![
        "[a-zé\"\\\\]{1,6}",
        prop::sample::select(vec![
            "status",
            "logit",
            "results",
            "input",
            "context",
            "reason",
            "retrieval",
            "truncated",
            "window",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec((name, leaf()), 0..4)
}

fn candidate() -> impl Strategy<Value = Value> {
    let optional = (
        prop::option::of(".{0,6}"),
        prop::option::of("[a-z]{0,6}"),
        prop::option::of(1u32..),
        prop::option::of(-1e9..1e9f64),
        prop::option::of(leaf()),
    );
    (".{0,14}", optional, unknown()).prop_map(|(text, optional, unknown)| {
        let (title, source, rank, score, metadata) = optional;
        let mut candidate: Value = unknown.into_iter().collect();
        if !candidate.is_object() {
            candidate = json!({});
        }
        candidate["text"] = json!(text);
        candidate["title"] = json!(title);
        candidate["source"] = json!(source);
        candidate["rank"] = json!(rank);
        candidate["score"] = json!(score);
        candidate["metadata"] = json!(metadata);
        candidate
    })
}

fn list() -> impl Strategy<Value = Value> {
    prop::collection::vec(candidate(), 0..6).prop_map(|mut candidates| {
        let ids = candidates.iter_mut().enumerate();
        ids.for_each(|(index, candidate)| candidate["id"] = json!(format!("d{index}")));
        Value::from(candidates)
    })
}

fn set() -> impl Strategy<Value = Value> {
    let lists = prop::collection::vec((list(), unknown()), 0..3).prop_map(|lists| {
        let list = |(candidates, unknown): (Value, Vec<(String, Value)>)| {
            let mut list: Value = unknown.into_iter().collect();
            list["candidates"] = candidates;
            list
        };
        ("lists", Value::from_iter(lists.into_iter().map(list)))
    });
    let body = prop_oneof![list().prop_map(|list| ("candidates", list)), lists];
    ("[a-z]{1,5}", "\\PC{0,9}x", body, unknown()).prop_map(|(request_id, query, body, unknown)| {
        let mut set: Value = unknown.into_iter().collect();
        set["request_id"] = json!(request_id);
        set["query"] = json!(query);
        set[body.0] = body.1;
        set
    })
}

proptest! {
    #[test]
    fn every_answer_is_valid_and_reads_back_to_the_same_bytes(
        input in set(),
        logits in prop::collection::vec(prop::option::of(-1e30f32..1e30), 1..5),
        full in any::<bool>(),
    ) {
        let (sets, contexts) = (validator(CANDIDATE_SET), validator(CONTEXT));
        assert_valid(&sets, &input);
        let set = decode(Some(input.to_string().as_bytes()), &LIMITS).unwrap();
        let answer = answer(set, &logits, full);
        let bytes = encode(&answer);
        let output: Value = serde_json::from_slice(&bytes).unwrap();
        assert_valid(&contexts, &output);
        let back = read(&bytes).unwrap();
        prop_assert_eq!(encode(&back), bytes);
    }

    #[test]
    fn unknown_fields_of_a_set_are_in_its_answer(input in set()) {
        let json = input.to_string();
        let set = decode(Some(json.as_bytes()), &LIMITS).unwrap();
        // Parsed as the output is, which rounds some floats.
        let input: Value = serde_json::from_str(&json).unwrap();
        let output: Value = serde_json::from_slice(&encode(&answer(set, &[Some(0.0)], true))).unwrap();
        let known = ["request_id", "query", "candidates", "lists"];
        let needed = ["status", "reason", "results", "context", "input"];
        for (name, value) in input.as_object().unwrap() {
            if needed.contains(&name.as_str()) {
                prop_assert_eq!(&output["input"][name], value);
            } else if !known.contains(&name.as_str()) {
                prop_assert_eq!(&output[name], value);
            }
        }
    }

    #[test]
    fn unknown_fields_of_merged_candidates_are_in_their_results(
        lists in prop::collection::vec(list(), 2..4),
    ) {
        let lists = lists.into_iter().map(|candidates| json!({"candidates": candidates}));
        let json = json!({"request_id": "r", "query": "q", "lists": Value::from_iter(lists)});
        let json = json.to_string();
        let set = decode(Some(json.as_bytes()), &LIMITS).unwrap();
        // Parsed as the output is, which rounds some floats.
        let input: Value = serde_json::from_str(&json).unwrap();
        let output: Value = serde_json::from_slice(&encode(&answer(set, &[Some(0.0)], true))).unwrap();
        let known = ["id", "text", "title", "source", "rank", "score", "metadata"];
        let needed = ["logit", "retrieval", "truncated", "window", "status", "reason", "input"];
        for result in output["results"].as_array().unwrap() {
            let lists = input["lists"].as_array().unwrap().iter();
            let candidates = lists.flat_map(|list| list["candidates"].as_array().unwrap());
            let mut first = serde_json::Map::new();
            for candidate in candidates.filter(|candidate| candidate["id"] == result["id"]) {
                for (name, value) in candidate.as_object().unwrap() {
                    first.entry(name).or_insert_with(|| value.clone());
                }
            }
            for (name, value) in first.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
                let fields = if needed.contains(&name.as_str()) { &result["input"] } else { result };
                prop_assert_eq!(fields.get(name), Some(value), "{}", name);
            }
        }
    }
}
