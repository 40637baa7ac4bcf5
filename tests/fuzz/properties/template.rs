//! A template → the text of a prompt.

use std::sync::Arc;

use crossrank::context::{Assembler, Order, Passage, Settings, Template, TokenCounter};

use super::{fuel, memory};

const TOKENS_MAX: usize = 40;
/// The line between the template and the passage of an input.
const NEXT: &str = "\n====\n";

/// A token is a byte or, where that is no boundary, what is left of a character.
struct Bytes;

// === impl Bytes ===

impl TokenCounter for Bytes {
    fn count(&self, text: &str) -> usize {
        text.len()
    }

    fn cut<'a>(&self, text: &'a str, tokens_max: usize) -> &'a str {
        text.get(..text.floor_char_boundary(tokens_max)).unwrap_or_default()
    }
}

/// Takes `data` as a template and, behind a line of four equals signs, what a passage says, and puts a
/// prompt together of them.
///
/// # Panics
/// Where a property does not hold that is promised of any input.
pub(crate) fn run(data: &[u8]) {
    let data = String::from_utf8_lossy(data);
    let (source, passage) = data.split_once(NEXT).unwrap_or((&data, "passage"));
    if fuel::is_beyond(source) {
        return;
    }
    memory::within(fuel::BYTES_MAX, || {
        if let Err(error) = Template::new(source) {
            assert!(!error.to_string().is_empty());
            return;
        }
        for truncate in [false, true] {
            assemble(source, passage, truncate);
        }
    });
}

fn assemble(source: &str, passage: &str, truncate: bool) {
    let settings = Settings {
        tokens_max: TOKENS_MAX,
        template: source.to_owned(),
        separator: "\n".to_owned(),
        truncate,
        duplicate_similarity: Some(0.8),
        order: if truncate { Order::BestAtEdges } else { Order::BestFirst },
        windows: true,
    };
    let assembler = Assembler::new(settings, Arc::new(Bytes)).expect("it was compiled before");
    let long = "é ".repeat(30);
    let texts = ["first", "", passage, long.as_str(), "{{ text }}", "first"];
    let passages: Vec<Passage<'_>> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| Passage {
            id: if index == 2 { passage } else { "id" },
            title: (index % 2 == 0).then_some(passage),
            text,
            source: (index % 3 == 0).then_some("source"),
            score: (index % 2 == 1).then_some(0.5),
        })
        .collect();
    let (first, second) = (assembler.assemble(&passages), assembler.assemble(&passages));
    match (first, second) {
        (Ok(first), Ok(second)) => {
            assert_eq!(first, second, "the same passages are the same text");
            assert_eq!(first.tokens, first.text.len());
            assert!(first.tokens <= TOKENS_MAX, "{} tokens", first.tokens);
            assert!(first.passages.len() <= passages.len());
        }
        (Err(first), Err(second)) => assert_eq!(first.to_string(), second.to_string()),
        (first, second) => panic!("{first:?}, then {second:?}"),
    }
}
