use proptest::prelude::*;

use super::*;

/// Counts like a word-piece tokenizer: a word of n letters has ⌈n / 4⌉ tokens, every other
/// character but white space has one. Parts that meet may have fewer tokens than apart: two half
/// words are one. With `spaces`, they may have more: white space counts where it is inside.
struct Pieces {
    spaces: bool,
}

/// Counts the same, but only as far as it is asked to, and knows which separators it sees alone.
struct Quick(Pieces);

// === impl Quick ===

impl TokenCounter for Quick {
    fn count(&self, text: &str) -> usize {
        self.0.count(text)
    }

    fn count_up_to(&self, text: &str, tokens_max: usize) -> usize {
        let tokens = self.count(text);
        if tokens > tokens_max { tokens_max + 1 } else { tokens }
    }

    fn adds_up(&self, separator: &str) -> bool {
        !self.0.spaces && separator.bytes().next().is_some_and(|b| !b.is_ascii_alphanumeric())
    }

    fn cut<'a>(&self, text: &'a str, tokens_max: usize) -> &'a str {
        self.0.cut(text, tokens_max)
    }
}

// === impl Pieces ===

impl TokenCounter for Pieces {
    fn count(&self, text: &str) -> usize {
        self.ends(text).len()
    }

    fn cut<'a>(&self, text: &'a str, tokens_max: usize) -> &'a str {
        let ends = self.ends(text);
        match (ends.get(tokens_max), tokens_max) {
            (None, _) => text,
            (_, 0) => "",
            _ => text.get(..ends[tokens_max - 1]).unwrap(),
        }
    }
}

impl Pieces {
    /// Where the tokens of `text` end.
    fn ends(&self, text: &str) -> Vec<usize> {
        let mut ends = Vec::new();
        let (mut letters, mut is_space) = (0, false);
        for (start, c) in text.char_indices() {
            if c.is_whitespace() {
                letters = 0;
                is_space = true;
                continue;
            }
            if is_space && self.spaces && !ends.is_empty() {
                ends.push(start);
            }
            is_space = false;
            if c.is_alphanumeric() && letters % 4 != 0 {
                letters += 1;
                *ends.last_mut().unwrap() = start + c.len_utf8();
            } else {
                letters = usize::from(c.is_alphanumeric());
                ends.push(start + c.len_utf8());
            }
        }
        ends
    }
}

fn settings(tokens_max: usize) -> Settings {
    Settings {
        tokens_max,
        template: "{{ text }}".to_owned(),
        separator: "\n\n".to_owned(),
        truncate: false,
        duplicate_similarity: None,
        order: Order::BestFirst,
        windows: true,
    }
}

fn assemble(settings: Settings, texts: &[&str]) -> PromptContext {
    assemble_by(Pieces { spaces: false }, settings, texts)
}

fn assemble_by(
    counter: impl TokenCounter + 'static,
    settings: Settings,
    texts: &[&str],
) -> PromptContext {
    let ids: Vec<String> = (0..texts.len()).map(|n| format!("d{n}")).collect();
    let passages: Vec<Passage<'_>> = ids
        .iter()
        .zip(texts)
        .map(|(id, text)| Passage { id, title: None, text, source: None, score: None })
        .collect();
    Assembler::new(settings, Arc::new(counter)).unwrap().assemble(&passages).unwrap()
}

#[test]
fn passages_stand_best_first_with_separators_between() {
    let context = assemble(settings(100), &["one", "two", "three"]);
    assert_eq!(context.text, "one\n\ntwo\n\nthree");
    assert_eq!((context.tokens, context.truncated), (4, None));
    assert_eq!(context.passages, ["d0", "d1", "d2"]);
}

#[test]
fn the_best_stand_at_the_edges_and_numbers_follow_the_text() {
    let settings = Settings {
        template: "{{ number }}:{{ text }}".to_owned(),
        separator: " ".to_owned(),
        order: Order::BestAtEdges,
        windows: true,
        ..settings(100)
    };
    let context = assemble(settings.clone(), &["a", "b", "c", "d", "e"]);
    assert_eq!(context.text, "1:a 2:c 3:e 4:d 5:b");
    assert_eq!(context.passages, ["d0", "d2", "d4", "d3", "d1"]);
    assert_eq!(assemble(settings.clone(), &["a", "b", "c", "d"]).text, "1:a 2:c 3:d 4:b");
    assert_eq!(assemble(settings, &["a"]).text, "1:a");
}

#[test]
fn a_passage_that_does_not_fit_is_passed_over_for_one_that_does() {
    let context = assemble(settings(3), &["far too long a passage", "a b", "c d", "e"]);
    assert_eq!(context.passages, ["d1", "d3"]);
    assert_eq!(context.tokens, 3);
}

#[test]
fn after_sixteen_that_do_not_fit_the_rest_is_not_looked_at() {
    let mut texts = vec!["a b c d"; 16];
    texts.push("a");
    assert_eq!(assemble(settings(3), &texts).passages, [""; 0]);
    assert_eq!(assemble(settings(3), &texts[1..]).passages, ["d15"]);
}

#[test]
fn separators_and_template_text_count() {
    let texts = ["a", "b"];
    let plain = settings(2);
    assert_eq!(assemble(plain.clone(), &texts).passages.len(), 2);
    let dashes = Settings { separator: " - ".to_owned(), ..plain.clone() };
    assert_eq!(assemble(dashes, &texts).passages.len(), 1);
    let dashes = Settings { separator: " - ".to_owned(), ..settings(3) };
    assert_eq!(assemble(dashes, &["a", "b c", "d"]).passages, ["d0", "d2"]);
    let dots = Settings { template: "{{ text }}.".to_owned(), ..plain };
    assert_eq!(assemble(dots, &texts).passages.len(), 1);
}

#[test]
fn tokens_of_the_whole_decide_where_the_parts_have_fewer() {
    let settings = Settings { duplicate_similarity: Some(1.0), ..settings(4) };
    let context = assemble_by(Pieces { spaces: true }, settings.clone(), &["a", "b", "c", "C"]);
    assert_eq!((context.text.as_str(), context.tokens), ("a\n\nb", 3));
    assert_eq!(context.duplicates, [], "what c would have repeated is not in the text");
    let settings = Settings { truncate: true, ..settings };
    let context = assemble_by(Pieces { spaces: true }, settings, &["a", "bbbb ccc"]);
    assert_eq!((context.text.as_str(), context.tokens), ("a\n\nbbbb", 3));
    assert_eq!(context.truncated.as_deref(), Some("d1"));
}

#[test]
fn where_allowed_the_passage_that_does_not_fit_is_cut_and_ends_the_text() {
    let settings = Settings {
        truncate: true,
        template: "<{{ text }}>".to_owned(),
        separator: String::new(),
        ..settings(9)
    };
    let context = assemble(settings.clone(), &["a b", "c d e f g", "h"]);
    assert_eq!(context.text, "<a b><c d e>");
    assert_eq!((context.tokens, context.truncated.as_deref()), (9, Some("d1")));
    let context = assemble(Settings { tokens_max: 6, ..settings }, &["a b", "c d e f g", "h"]);
    assert_eq!((context.text.as_str(), context.truncated), ("<a b>", None));
}

#[test]
fn a_repeat_is_left_out_and_named_and_its_room_goes_to_the_next() {
    let settings = Settings { duplicate_similarity: Some(0.9), ..settings(9) };
    let texts = ["one two six ten", "nothing alike", "One  two six ten!", "last"];
    let context = assemble(settings, &texts);
    assert_eq!(context.passages, ["d0", "d1", "d3"]);
    assert_eq!(context.duplicates, [Duplicate { id: "d2".to_owned(), of: "d0".to_owned() }]);
}

#[test]
fn what_repeats_a_passage_that_did_not_fit_is_no_repeat() {
    let settings = Settings { duplicate_similarity: Some(0.5), ..settings(5) };
    let context = assemble(settings, &["a b c d e f", "a b c d e"]);
    assert_eq!((context.passages, context.duplicates), (vec!["d1".to_owned()], vec![]));
}

#[test]
fn blank_passages_and_empty_lists_make_no_text() {
    assert_eq!(assemble(settings(10), &[]), PromptContext::default());
    assert_eq!(assemble(settings(10), &["", " \n"]), PromptContext::default());
    assert_eq!(assemble(settings(0), &["a"]), PromptContext::default());
    assert_eq!(assemble(settings(10), &["", "a"]).text, "a");
}

#[test]
fn a_template_that_fails_on_one_passage_says_which() {
    let template = "{{ text if number < 3 else text + 1 }}".to_owned();
    let assembler =
        Assembler::new(Settings { template, ..settings(10) }, Arc::new(Pieces { spaces: false }))
            .unwrap();
    let passage = Passage { id: "d", title: None, text: "t", source: None, score: None };
    let AssembleError::Template { number, .. } = assembler.assemble(&[passage; 3]).unwrap_err();
    assert_eq!(number, 3);
}

#[test]
fn each_of_a_thousand_long_passages_is_in_the_text_or_named_as_a_duplicate() {
    let word = |n: usize| format!("w{}", n.wrapping_mul(2_654_435_761) % 5_000);
    let text = |n: usize| (0..330).map(|i| word(n * 331 + i)).collect::<Vec<_>>().join(" ");
    let texts: Vec<String> = (0..1_000).map(text).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let settings = Settings { duplicate_similarity: Some(0.8), ..settings(10_000_000) };
    let context = assemble(settings, &texts);
    assert_eq!(context.passages.len() + context.duplicates.len(), 1_000);
}

proptest! {
    #[test]
    fn no_text_is_over_its_budget_and_only_the_last_taken_is_cut(
        texts in prop::collection::vec("[ab]{0,9}([ .,]{1,2}[abc]{1,9}){0,6}", 0..12),
        tokens_max in 0usize..40,
        truncate in any::<bool>(),
        separator in prop::sample::select(vec!["", " ", "\n--\n", "x"]),
        template in prop::sample::select(vec!["{{ text }}", "[{{ number }}] {{ text }}", "w{{ text }}w"]),
        order in prop::sample::select(vec![Order::BestFirst, Order::BestAtEdges]),
        duplicate_similarity in prop::sample::select(vec![None, Some(0.4), Some(1.0)]),
        spaces in any::<bool>(),
    ) {
        let settings = Settings {
            tokens_max,
            template: template.to_owned(),
            separator: separator.to_owned(),
            truncate,
            duplicate_similarity,
            order,
            windows: true,
        };
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let context = assemble_by(Pieces { spaces }, settings.clone(), &texts);
        let quick = assemble_by(Quick(Pieces { spaces }), settings, &texts);
        prop_assert_eq!(&quick, &context);
        prop_assert!(context.tokens <= tokens_max);
        prop_assert_eq!(context.tokens, Pieces { spaces }.count(&context.text));
        prop_assert!(truncate || context.truncated.is_none());
        for id in &context.passages {
            let text = texts[id.trim_start_matches('d').parse::<usize>().unwrap()];
            let whole = context.truncated.as_ref() != Some(id);
            prop_assert!(!whole || context.text.contains(text));
        }
        for Duplicate { id, of } in &context.duplicates {
            prop_assert!(context.passages.contains(of) && !context.passages.contains(id));
        }
    }
}
