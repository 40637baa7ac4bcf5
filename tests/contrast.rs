//! The shape of the contrast cases, which `tests/data/contrast.md` describes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

const CASES: &str = include_str!("data/contrast.jsonl");
const CASES_MIN: usize = 120;
const CASES_OF_A_KIND_MIN: usize = 15;

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Negation,
    Numbers,
    Dates,
    Comparatives,
    Constraints,
    NearDuplicate,
    Roles,
    QuestionType,
}

const KINDS: usize = 8;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    kind: Kind,
    query: String,
    relevant: String,
    distractor: String,
}

fn cases() -> Vec<Case> {
    let parse = |(index, line)| {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("line {}: {error}", index + 1))
    };
    CASES.lines().enumerate().map(parse).collect()
}

/// The words of a text, in lower case, each once.
fn words(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// Of `cases`, how many have the property.
fn count(cases: &[Case], property: impl Fn(&Case) -> bool) -> usize {
    cases.iter().filter(|case| property(case)).count()
}

#[test]
fn there_are_enough_cases_of_every_kind() {
    let cases = cases();
    assert!(cases.len() >= CASES_MIN, "{} cases", cases.len());
    let mut of_kind = BTreeMap::new();
    for case in &cases {
        *of_kind.entry(case.kind).or_insert(0) += 1;
    }
    assert_eq!(of_kind.len(), KINDS, "{of_kind:?}");
    assert!(of_kind.values().all(|&cases| cases >= CASES_OF_A_KIND_MIN), "{of_kind:?}");
}

#[test]
fn no_id_query_or_passage_stands_twice() {
    let mut seen = BTreeSet::new();
    for case in cases() {
        for text in [case.id, case.query, case.relevant, case.distractor] {
            assert!(seen.insert(text.clone()), "twice: {text}");
        }
    }
}

#[test]
fn no_text_is_empty_or_padded() {
    for case in cases() {
        for text in [&case.id, &case.query, &case.relevant, &case.distractor] {
            assert!(!text.is_empty() && text.trim() == text, "{}: {text:?}", case.id);
        }
    }
}

#[test]
fn length_does_not_tell_the_answer() {
    let cases = cases();
    let longer = count(&cases, |case| case.distractor.len() > case.relevant.len());
    let share = longer as f64 / cases.len() as f64;
    assert!((0.4..=0.6).contains(&share), "the distractor is longer in {share:.2} of the cases");
}

#[test]
fn most_distractors_share_more_words_with_the_query_than_the_answer() {
    let cases = cases();
    let misled = count(&cases, |case| {
        let query = words(&case.query);
        let shared = |passage| words(passage).intersection(&query).count();
        shared(&case.distractor) > shared(&case.relevant)
    });
    assert!(misled * 2 > cases.len(), "{misled} of {}", cases.len());
}
