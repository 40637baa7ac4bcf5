use proptest::prelude::*;

use super::*;
use crate::wire::FIELDS_MAX;

const LIMITS: Limits = Limits {
    record_bytes_max: 10_000,
    query_chars_max: 20,
    candidates_max: 3,
    candidates_refused_above: 5,
    passage_chars_max: 10,
};

fn read(json: &str) -> CandidateSet {
    decode(Some(json.as_bytes()), &LIMITS).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn refuse(value: &[u8]) -> (&'static str, String) {
    let error = decode(Some(value), &LIMITS).unwrap_err();
    (error.code(), error.to_string())
}

/// A set with this in the place of its candidates.
fn set(candidates: &str) -> String {
    format!(r#"{{"request_id":"r","query":"q",{candidates}}}"#)
}

#[test]
fn every_field_of_a_set_is_read() {
    let set = read(
        r#" {"request_id": "r-17", "query": "qué", "top_n": 8, "min_score": 0.1,
        "expires_at": "2026-11-23T12:00:00.250Z", "candidates": [{"id": "d1", "text": "a \"b\"",
        "title": "T", "source": "bm25", "rank": 4, "score": 12.3, "metadata": {"b":1, "a":[ ]}}]} "#,
    );
    assert_eq!((set.request_id.as_str(), set.query.as_str()), ("r-17", "qué"));
    assert_eq!((set.top_n, set.min_score), (Some(8), Some(0.1)));
    assert_eq!(set.expires_at.map(Timestamp::as_millisecond), Some(1_795_435_200_250));
    let candidate = &set.candidates[0];
    assert_eq!(candidate.text, "a \"b\"");
    assert_eq!(candidate.title.as_deref(), Some("T"));
    let found = Retrieval { source: Some("bm25".to_owned()), rank: 4, score: Some(12.3) };
    assert_eq!(candidate.retrieval, [found]);
    assert_eq!(candidate.metadata.as_ref().map(|raw| raw.get()), Some(r#"{"b":1, "a":[ ]}"#));
    assert!(!candidate.cut && candidate.extra.is_empty() && set.extra.is_empty());
}

#[test]
fn no_candidates_are_a_set_too() {
    assert!(read(&set(r#""candidates":[]"#)).candidates.is_empty());
    assert!(read(&set(r#""lists":[]"#)).candidates.is_empty());
    assert!(read(&set(r#""candidates":null,"lists":[{"candidates":[]}]"#)).candidates.is_empty());
}

#[test]
fn null_is_absent_where_a_field_is_optional() {
    let set = read(&set(
        r#""top_n":null,"min_score":null,"expires_at":null,"lists":null,"candidates":[{"id":"a",
        "text":"","title":null,"source":null,"rank":null,"score":null,"metadata":null}]"#,
    ));
    assert_eq!((set.top_n, set.min_score, set.expires_at), (None, None, None));
    assert_eq!(set.candidates[0].metadata.as_ref().map(|raw| raw.get()), None);
    assert!(set.extra.is_empty());
}

#[test]
fn a_whole_number_may_be_spelled_as_a_float() {
    let set = read(&set(r#""top_n":3.0,"candidates":[{"id":"a","text":"","rank":2e0}]"#));
    assert_eq!((set.top_n, set.candidates[0].retrieval[0].rank), (Some(3), 2));
    assert_eq!(read(&self::set(r#""top_n":1e300,"candidates":[]"#)).top_n, Some(usize::MAX));
}

#[test]
fn unknown_fields_are_kept_byte_for_byte_and_in_order() {
    let set = read(&set(
        r#""z":123456789012345678901234567890,"a":1e400,"f":1.50,"é\u0041":[ {"k" : null} ],
        "candidates":[{"n":-0.0,"id":"a","big":1e999,"text":"t"}]"#,
    ));
    let fields: Vec<_> = set.extra.iter().collect();
    let big = "123456789012345678901234567890";
    let expected = [("z", big), ("a", "1e400"), ("f", "1.50"), ("éA", r#"[ {"k" : null} ]"#)];
    assert_eq!(fields, expected);
    assert_eq!(
        set.candidates[0].extra.iter().collect::<Vec<_>>(),
        [("n", "-0.0"), ("big", "1e999")]
    );
}

#[test]
fn a_field_whose_name_the_output_needs_goes_under_input() {
    let set = read(&set(
        r#""status":"new","tenant":7,"input":[1],"candidates":[{"id":"a","text":"t","logit":"L","x":1}]"#,
    ));
    let fields: Vec<_> = set.extra.iter().collect();
    assert_eq!(fields, [("tenant", "7"), ("input", r#"{"status":"new","input":[1]}"#)]);
    let fields: Vec<_> = set.candidates[0].extra.iter().collect();
    assert_eq!(fields, [("x", "1"), ("input", r#"{"logit":"L"}"#)]);
}

#[test]
fn a_first_stage_score_out_of_range_counts_as_absent() {
    let set = read(&set(r#""candidates":[{"id":"a","text":"t","score":1e400},
        {"id":"b","text":"t","score":-1e400},{"id":"c","text":"t","score":1e308}]"#));
    let scores: Vec<_> = set.candidates.iter().map(|c| c.retrieval[0].score).collect();
    assert_eq!(scores, [None, None, Some(1e308)]);
}

#[test]
fn a_long_passage_is_cut_between_characters() {
    let set = read(&set(
        r#""candidates":[{"id":"a","text":"éééééééééé"},{"id":"b","text":"ééééééééééé"}]"#,
    ));
    let [whole, cut] = &set.candidates[..] else { panic!("two candidates") };
    assert_eq!((whole.text.as_str(), whole.cut), ("éééééééééé", false));
    assert_eq!((cut.text.as_str(), cut.cut), ("éééééééééé", true));
    assert_eq!(cut.text.capacity(), cut.text.len());
    let set = read(&self::set(r#""candidates":[{"id":"a","text":"01234567890"}]"#));
    assert_eq!((set.candidates[0].text.as_str(), set.candidates[0].cut), ("0123456789", true));
}

#[test]
fn a_record_without_a_value_or_over_the_limit_is_refused_unread() {
    assert_eq!(decode(None, &LIMITS).unwrap_err(), DecodeError::NullValue);
    let (code, message) = refuse(&vec![b'x'; 10_001]);
    assert_eq!(code, "record_too_large");
    assert_eq!(message, "the record has 10001 bytes, limits.record_bytes_max is 10000");
}

/// Sets that are refused: the value, the code, and what the message begins with.
const REFUSED: &[(&str, &str, &str)] = &[
    ("", "invalid_json", "candidate set: not valid JSON: EOF while parsing a value at byte 0"),
    (
        "\u{feff}{}",
        "invalid_json",
        "candidate set: not valid JSON: begins with a byte order mark; send plain UTF-8",
    ),
    ("hello", "invalid_json", "candidate set: not valid JSON"),
    ("[1]", "wrong_type", "candidate set: expected an object, found an array"),
    ("\"secret\"", "wrong_type", "candidate set: expected an object, found a string"),
    ("{} {}", "invalid_json", "candidate set: not valid JSON: trailing characters at byte 3"),
    ("{}", "missing_field", "request_id: missing; a candidate set has"),
    (r#"{"request_id":7}"#, "wrong_type", "request_id: expected a string, found a number"),
    (r#"{"request_id":""}"#, "invalid_value", "request_id: must not be empty"),
    (r#"{"request_id":"r"}"#, "missing_field", "query: missing"),
    (r#"{"request_id":"r","query":" \n\u00a0"}"#, "empty_query", "query: empty"),
    (r#"{"request_id":"r","query":null}"#, "wrong_type", "query: expected a string, found null"),
    (
        r#"{"request_id":"r","query":"012345678901234567890"}"#,
        "query_too_long",
        "query: 21 characters, limits.query_chars_max is 20",
    ),
    (r#"{"request_id":"r","query":"q"}"#, "missing_field", "candidates: missing"),
    (r#"{"request_id":"r","request_id":"r"}"#, "duplicate_field", "request_id: occurs twice"),
    (r#"{"x":{"k":1},"x":2}"#, "duplicate_field", "x: occurs twice"),
    (r#"{"request_id":"\ud800"}"#, "invalid_json", "request_id: not valid JSON: "),
    ("{\"request_id\":\"a\nb\"}", "invalid_json", "request_id: not valid JSON: control character"),
];

/// The same, of what stands beside `request_id` and `query`.
const REFUSED_BODIES: &[(&str, &str, &str)] = &[
    (r#""candidates":{}"#, "wrong_type", "candidates: expected an array, found an object"),
    (r#""candidates":[],"lists":[]"#, "candidates_and_lists", "lists: cannot be combined"),
    (r#""candidates":[],"top_n":0"#, "invalid_value", "top_n: must be a whole number from 1"),
    (r#""candidates":[],"top_n":1.5"#, "invalid_value", "top_n: must be a whole number from 1"),
    (r#""candidates":[],"top_n":"5""#, "wrong_type", "top_n: expected a number, found a string"),
    (r#""candidates":[],"min_score":1.1"#, "invalid_value", "min_score: must be between 0 and 1"),
    (
        r#""candidates":[],"min_score":true"#,
        "wrong_type",
        "min_score: expected a number, found a b",
    ),
    (r#""candidates":[],"expires_at":"soon""#, "invalid_value", "expires_at: must be an RFC 3339"),
    (
        r#""candidates":[],"expires_at":17"#,
        "wrong_type",
        "expires_at: expected a string, found a n",
    ),
    (r#""candidates":["x"]"#, "wrong_type", "candidates[0]: expected an object, found a string"),
    (
        r#""candidates":[{"text":""}]"#,
        "missing_field",
        "candidates[0].id: missing; a candidate has",
    ),
    (r#""candidates":[{"id":"a"}]"#, "missing_field", "candidates[0].text: missing"),
    (
        r#""candidates":[{"id":"","text":""}]"#,
        "invalid_value",
        "candidates[0].id: must not be empty",
    ),
    (
        r#""candidates":[{"id":"a","text":""},{"id":"b","text":["secret"]}]"#,
        "wrong_type",
        "candidates[1].text: expected a string, found an array",
    ),
    (
        r#""candidates":[{"id":"a","text":"x" "b"}]"#,
        "invalid_json",
        "candidates[0].text: not valid",
    ),
    (
        r#""candidates":[{"id":"a","text":"","rank":0}]"#,
        "invalid_value",
        "candidates[0].rank: must",
    ),
    (
        r#""candidates":[{"id":"a","text":"","rank":-1}]"#,
        "invalid_value",
        "candidates[0].rank: must",
    ),
    (
        r#""candidates":[{"id":"a","text":"","rank":4294967296}]"#,
        "invalid_value",
        "candidates[0].rank: must be a whole number from 1 to 4294967295",
    ),
    (
        r#""candidates":[],"top_n":1e400"#,
        "invalid_value",
        "top_n: beyond the range of a 64-bit float",
    ),
    (
        r#""candidates":[{"id":"a","text":"","score":"9"}]"#,
        "wrong_type",
        "candidates[0].score: exp",
    ),
    (r#""candidates":[{"id":"a","text":"","title":{}}]"#, "wrong_type", "candidates[0].title: exp"),
    (
        r#""candidates":[{"id":"a","text":"","source":1}]"#,
        "wrong_type",
        "candidates[0].source: exp",
    ),
    (r#""candidates":[{"id":"a","text":"","id":"b"}]"#, "duplicate_field", "candidates[0].id: occ"),
    (
        r#""candidates":[{"id":"a","text":""},{"id":"b","text":""},{"id":"a","text":""}]"#,
        "duplicate_id",
        "candidates[2].id: the same id as candidates[0].id",
    ),
    (r#""lists":[{}]"#, "missing_field", "lists[0].candidates: missing; a list has candidates"),
    (r#""lists":[[]]"#, "wrong_type", "lists[0]: expected an object, found an array"),
    (r#""lists":[{"candidates":[],"source":1}]"#, "wrong_type", "lists[0].source: expected a str"),
    (
        r#""lists":[{"candidates":[]},{"candidates":[{"id":"a","text":""},{"id":"a","text":""}]}]"#,
        "duplicate_id",
        "lists[1].candidates[1].id: the same id as lists[1].candidates[0].id",
    ),
];

#[test]
fn every_refusal_has_its_code_and_names_its_field() {
    let bodies = REFUSED_BODIES.iter().map(|&(body, code, message)| (set(body), code, message));
    let whole = REFUSED.iter().map(|&(set, code, message)| (set.to_owned(), code, message));
    for (set, code, message) in whole.chain(bodies) {
        let (actual_code, actual) = refuse(set.as_bytes());
        assert_eq!(actual_code, code, "{set}: {actual}");
        assert!(actual.starts_with(message), "{set}: {actual}");
        assert!(!actual.contains("secret") && actual.len() < 200, "{set}: {actual}");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_refused_with_their_place() {
    let mut set = set(r#""candidates":[{"id":"a","text":"?"}]"#).into_bytes();
    let place = set.iter().position(|&byte| byte == b'?').unwrap();
    set[place] = 0xff;
    let (code, message) = refuse(&set);
    assert_eq!(code, "invalid_utf8");
    assert_eq!(message, format!("candidates[0].text: byte {place} of the record is not UTF-8"));
}

#[test]
fn a_place_in_a_later_line_is_counted_from_the_start_of_the_record() {
    let json = "{\"request_id\": \"r\",\n \"query\": \"q\",\n \"candidates\": [nul]}";
    let (_, message) = refuse(json.as_bytes());
    let place = json.find("nul").unwrap() + 3;
    assert_eq!(message, format!("candidates[0]: not valid JSON: expected ident at byte {place}"));
}

#[test]
fn a_path_is_found_past_strings_that_look_like_structure() {
    let (code, message) = refuse(br#"{"a\"[{":["\\\"]}[,", {"b":"}"}], "x":[1,{"y":[[],nul]}]}"#);
    assert_eq!(code, "invalid_json");
    assert!(message.starts_with("x[1].y[1]: not valid JSON"), "{message}");
}

#[test]
fn nesting_is_refused_above_the_limit_wherever_it_is() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let top = |levels| set(&format!(r#""candidates":[],"deep":{}"#, nested(levels)));
    let inner = |name: &str, levels| {
        set(&format!(r#""candidates":[{{"id":"a","text":"t","{name}":{}}}]"#, nested(levels)))
    };
    read(&top(DEPTH_MAX - 1));
    read(&inner("metadata", DEPTH_MAX - 3));
    read(&set(&format!(r#""candidates":[],"\"{0}":"\"{0}\\""#, "[".repeat(100))));
    for (set, path) in [
        (top(DEPTH_MAX), "deep"),
        (top(4_000), "deep"),
        (inner("metadata", DEPTH_MAX - 2), "candidates[0].metadata"),
        (inner("x", DEPTH_MAX - 2), "candidates[0].x"),
        (inner("title", 500), "candidates[0].title[0][0]"),
        ("[".repeat(9_000), "candidate set"),
        (r#"{"a":"#.repeat(1_000), "a.a.a.a"),
        (set(&format!(r#""candidates":{}"#, nested(3_000))), "candidates[0]"),
        (set(&format!(r#""query":{}"#, "[{\"k\":".repeat(900))), "query[0].k[0]"),
    ] {
        let (code, message) = refuse(set.as_bytes());
        assert_eq!(code, "nested_too_deep", "{message}");
        assert!(message.starts_with(path), "{message}");
        assert!(message.ends_with("nested deeper than 64 levels") && message.len() < 120);
    }
}

#[test]
fn more_candidates_than_are_taken_are_refused_with_their_number() {
    let list = |from: usize, to: usize| {
        let one = |n: usize| format!(r#"{{"id":"{n}","text":""}}"#);
        let all: Vec<String> = (from..to).map(one).collect();
        format!("[{}]", all.join(","))
    };
    assert_eq!(read(&set(&format!(r#""candidates":{}"#, list(0, 5)))).candidates.len(), 5);
    let (code, message) = refuse(set(&format!(r#""candidates":{}"#, list(0, 7))).as_bytes());
    assert_eq!(code, "too_many_candidates");
    assert_eq!(message, "candidates: 7 candidates, limits.candidates_refused_above is 5");
    let two = |second| {
        set(&format!(r#""lists":[{{"candidates":{}}},{{"candidates":{second}}}]"#, list(0, 4)))
    };
    assert_eq!(read(&two(list(0, 5))).candidates.len(), 5);
    let (_, message) = refuse(two(list(0, 6)).as_bytes());
    assert_eq!(message, "lists[1].candidates: 6 candidates, limits.candidates_refused_above is 5");
    let (_, message) = refuse(two(list(3, 7)).as_bytes());
    assert_eq!(message, "lists: 7 candidates, limits.candidates_refused_above is 5");
}

#[test]
fn fields_and_lists_without_end_are_refused() {
    let limits = Limits { record_bytes_max: 1 << 20, ..LIMITS };
    let fields = |count: usize| {
        let all: Vec<String> = (0..count).map(|n| format!(r#","f{n}":0"#)).collect();
        set(&format!(r#""candidates":[]{}"#, all.concat()))
    };
    let most = fields(FIELDS_MAX - 3);
    assert_eq!(
        decode(Some(most.as_bytes()), &limits).unwrap().extra.iter().count(),
        FIELDS_MAX - 3
    );
    let error = decode(Some(fields(FIELDS_MAX - 2).as_bytes()), &limits).unwrap_err();
    assert_eq!(error.code(), "too_many_fields");
    assert_eq!(error.to_string(), "candidate set: 1001 fields, at most 1000 are allowed");
    let twice = fields(900).replace("f899", "f17");
    let error = decode(Some(twice.as_bytes()), &limits).unwrap_err();
    assert_eq!(error, DecodeError::DuplicateField { path: "f17".to_owned() });
    let lists = set(&format!(r#""lists":[{}0]"#, "0,".repeat(64)));
    let (code, message) = refuse(lists.as_bytes());
    assert_eq!(code, "too_many_lists");
    assert_eq!(message, "lists: 65 lists, at most 64 are allowed");
}

#[test]
fn times_are_rfc_3339_and_nothing_else() {
    let time = |text: &str| {
        let set = set(&format!(r#""candidates":[],"expires_at":"{text}""#));
        decode(Some(set.as_bytes()), &LIMITS).is_ok()
    };
    for good in [
        "2026-11-23T12:00:00Z",
        "2026-11-23t12:00:00.1z",
        "2026-11-23T12:00:00.123456789+05:30",
        "2024-02-29T23:59:60-00:00",
    ] {
        assert!(time(good), "{good}");
    }
    for bad in [
        "",
        "2026-11-23",
        "2026-11-23T12:00:00",
        "2026-11-23T12:00Z",
        "2026-11-23 12:00:00Z",
        "2026-11-23T12:00:00.Z",
        "2026-11-23T12:00:00.1234567890Z",
        "2026-11-23T12:00:00+0530",
        "2026-11-23T12:00:00+05:30[Asia/Kolkata]",
        "2026-13-23T12:00:00Z",
        "2026-02-30T12:00:00Z",
    ] {
        assert!(!time(bad), "{bad}");
    }
}

#[test]
fn a_time_after_the_latest_is_the_latest() {
    let time = |text: &str| read(&set(&format!(r#""candidates":[],"expires_at":"{text}""#)));
    for never in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999999-23:59"] {
        assert_eq!(time(never).expires_at, Some(Timestamp::MAX), "{never}");
    }
    for representable in ["9999-12-30T22:00:00Z", "0000-01-01T00:00:00+23:59"] {
        assert_eq!(time(representable).expires_at, Some(representable.parse().unwrap()));
    }
    let (code, _) =
        refuse(set(r#""candidates":[],"expires_at":"9999-12-32T23:59:59Z""#).as_bytes());
    assert_eq!(code, "invalid_value");
}

#[test]
fn a_name_in_a_message_is_short_and_on_one_line() {
    let json = format!(r#"{{"{}\n":1,"a\u0000b":2,"a\u0000b":3}}"#, "é".repeat(500));
    let (_, message) = refuse(json.as_bytes());
    assert_eq!(message, r"a\0b: occurs twice in the same object");
    let json = format!(r#"{{"{0}":1,"{0}":1}}"#, "é".repeat(500));
    assert_eq!(refuse(json.as_bytes()).1.chars().filter(|&c| c == 'é').count(), 64);
}

proptest! {
    #[test]
    fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(decode(Some(&bytes), &LIMITS).is_err());
    }

    #[test]
    fn a_set_broken_anywhere_is_read_or_refused_with_a_path(
        at in any::<prop::sample::Index>(),
        with in prop::option::of(prop::sample::select(b"{}[]\",:\\0ntf\xff".to_vec())),
    ) {
        let whole = set(r#""top_n":3,"lists":[{"source":"s","candidates":[{"id":"a","text":"\u00e9x",
            "metadata":{"k":[1,2.5,null]},"rank":1,"z":true}]},{"candidates":[]}],"u":"\\\"""#);
        let mut bytes = whole.into_bytes();
        let at = at.index(bytes.len());
        match with {
            Some(byte) => bytes[at] = byte,
            None => bytes.truncate(at),
        }
        if let Err(error) = decode(Some(&bytes), &LIMITS) {
            let message = error.to_string();
            prop_assert!(message.contains(": ") && message.len() < 200, "{}", message);
        }
    }
}
