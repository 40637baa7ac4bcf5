use super::*;
use crate::wire::{CandidateSet, Limits, decode};

const LIMITS: Limits = Limits {
    record_bytes_max: 10_000,
    query_chars_max: 20,
    candidates_max: 3,
    candidates_refused_above: 5,
    passage_chars_max: 10,
};

/// Reads a set with this in the place of its candidates.
fn read(candidates: &str) -> CandidateSet {
    let json = format!(r#"{{"request_id":"r","query":"q",{candidates}}}"#);
    decode(Some(json.as_bytes()), &LIMITS).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn ids(set: &CandidateSet) -> Vec<&str> {
    set.candidates.iter().map(|candidate| candidate.id.as_str()).collect()
}

#[test]
fn one_list_is_ordered_by_rank_or_else_by_place() {
    let list = |candidates: &[(&str, &str)]| {
        let one = |(id, rank): &(&str, &str)| format!(r#"{{"id":"{id}","text":"t"{rank}}}"#);
        let all: Vec<String> = candidates.iter().map(one).collect();
        read(&format!(r#""candidates":[{}]"#, all.join(",")))
    };
    assert_eq!(ids(&list(&[("a", ""), ("b", ""), ("c", "")])), ["a", "b", "c"]);
    let given = [("a", r#","rank":3"#), ("b", r#","rank":1"#), ("c", r#","rank":1"#)];
    assert_eq!(ids(&list(&given)), ["b", "c", "a"]);
    let mixed = list(&[("a", r#","rank":9"#), ("b", ""), ("c", r#","rank":2"#), ("d", "")]);
    assert_eq!(ids(&mixed), ["b", "c", "d", "a"]);
    assert_eq!(mixed.candidates[2].retrieval[0].rank, 4);
}

#[test]
fn lists_are_merged_by_reciprocal_rank_fusion() {
    let set = read(
        r#""lists":[
        {"source":"bm25","candidates":[{"id":"a","text":"first","score":9},{"id":"b","text":"b"}]},
        {"source":"dense","candidates":[{"id":"c","text":"c"},{"id":"a","text":"other","title":"T"},
                                        {"id":"b","text":"b","source":"own","rank":7}]}]"#,
    );
    // a: 1/61 + 1/62, b: 1/62 + 1/67, c: 1/61
    assert_eq!(ids(&set), ["a", "b", "c"]);
    let [a, b, c] = &set.candidates[..] else { panic!("three candidates") };
    assert_eq!((a.text.as_str(), a.title.as_deref()), ("first", Some("T")));
    let found = |source: &str, rank, score| Retrieval { source: Some(source.into()), rank, score };
    assert_eq!(a.retrieval, [found("bm25", 1, Some(9.0)), found("dense", 2, None)]);
    assert_eq!(b.retrieval, [found("bm25", 2, None), found("own", 7, None)]);
    assert_eq!((b.source.as_deref(), c.source.as_deref()), (Some("bm25"), Some("dense")));
}

#[test]
fn candidates_that_fuse_to_the_same_stay_in_order_of_occurrence() {
    // x and y have the same ranks, but added up list by list the sum of y is a little larger.
    let list = |x: u32, y: u32| {
        let one = |id: &str, rank: u32| format!(r#"{{"id":"{id}","text":"t","rank":{rank}}}"#);
        format!(r#"{{"candidates":[{},{}]}}"#, one("x", x), one("y", y))
    };
    let (x, y): ([u32; 3], [u32; 3]) = ([1, 7, 2], [1, 2, 7]);
    let summed = |ranks: [u32; 3]| ranks.iter().fold(0.0, |sum, &r| sum + 1.0 / f64::from(60 + r));
    assert!(summed(x) < summed(y));
    let lists: Vec<String> = x.into_iter().zip(y).map(|(x, y)| list(x, y)).collect();
    assert_eq!(ids(&read(&format!(r#""lists":[{}]"#, lists.join(",")))), ["x", "y"]);
}

#[test]
fn unknown_fields_of_lists_come_back_under_lists() {
    let set = read(r#""lists":[{"source":"bm25","took":1.0,"candidates":[]},{"candidates":[]}]"#);
    assert_eq!(set.extra.get("lists"), Some(r#"[{"source":"bm25","took":1.0},{}]"#));
    assert_eq!(read(r#""lists":[{"source":"s","candidates":[]}]"#).extra.get("lists"), None);
}

#[test]
fn merged_candidates_keep_the_first_of_each_field() {
    let set = read(
        r#""lists":[{"candidates":[{"id":"a","text":"t","u":1,"title":"T"}]},
        {"candidates":[{"id":"a","text":"t","u":2,"v":3,"title":"U","metadata":{"m":0}}]}]"#,
    );
    assert_eq!(set.candidates[0].title.as_deref(), Some("T"));
    assert_eq!(set.candidates[0].extra.iter().collect::<Vec<_>>(), [("u", "1"), ("v", "3")]);
    assert_eq!(set.candidates[0].metadata.as_ref().map(|raw| raw.get()), Some(r#"{"m":0}"#));
}

#[test]
fn merged_candidates_lose_no_field_whose_name_the_output_needs() {
    let set = read(
        r#""lists":[
        {"candidates":[{"id":"a","text":"t","logit":1,"u":1}],"input":[0]},
        {"candidates":[{"id":"a","text":"t","status":"keep me","logit":2,"input":3,"v":2}]}]"#,
    );
    let fields: Vec<_> = set.candidates[0].extra.iter().collect();
    let input = r#"{"logit":1,"status":"keep me","input":3}"#;
    assert_eq!(fields, [("u", "1"), ("v", "2"), ("input", input)]);
    assert_eq!(set.extra.get("lists"), Some(r#"[{"input":[0]},{}]"#));
}

#[test]
fn a_blank_text_gives_way_to_that_of_a_later_list() {
    let merged = |texts: [&str; 3]| {
        let list = |text| format!(r#"{{"candidates":[{{"id":"a","text":"{text}"}}]}}"#);
        let mut set = read(&format!(r#""lists":[{}]"#, texts.map(list).join(",")));
        let first = set.candidates.remove(0);
        (first.text, first.cut)
    };
    let long = "01234567890";
    assert_eq!(merged(["", " \\n", long]), ("0123456789".to_owned(), true));
    assert_eq!(merged([&" ".repeat(11), "b", "c"]), ("b".to_owned(), false));
    assert_eq!(merged(["a", long, ""]), ("a".to_owned(), false));
    assert_eq!(merged([" ", "", "\\t"]), (" ".to_owned(), false));
}
