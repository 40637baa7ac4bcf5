use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::*;

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tiny-bert")
}

fn pairs(tokens_max: usize, query_tokens_max: usize) -> PairTokenizer {
    PairTokenizer::load(&dir(), TokenLimits { tokens_max, query_tokens_max }).unwrap()
}

/// The ids of a whole text, without our shortcut.
fn whole(text: &str) -> Vec<u32> {
    let path = dir().join("tokenizer.json");
    let tokenizer = parse(&path, &std::fs::read(&path).unwrap()).unwrap();
    tokenizer.encode(text, false).unwrap().get_ids().to_vec()
}

#[test]
fn passage_is_cut_to_what_the_query_leaves() {
    let tokenizer = pairs(10, 4);
    let query = tokenizer.query("who is it").unwrap();
    assert_eq!((query.ids.len(), query.truncated), (3, false));
    let pair = tokenizer.pair(&query, "the the the the").unwrap();
    assert_eq!((pair.ids.len(), pair.truncated), (10, false));
    let pair = tokenizer.pair(&query, "the the the the the").unwrap();
    assert_eq!((pair.ids.len(), pair.truncated), (10, true));
    assert_eq!(pair.types, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
    assert_eq!(pair.ids.last(), pair.ids.get(4), "both are [SEP]");
}

#[test]
fn a_long_passage_is_read_in_windows_that_carry_its_own_tokens() {
    let tokenizer = pairs(16, 4);
    let query = tokenizer.query("who is it").unwrap();
    // Ten tokens of the passage fit.
    let limits = WindowLimits { overlap: 4, windows_max: 40 };
    let passage =
        "  The unaffordable café and the 北京 one, running e\u{301} the end of it.  ".repeat(3);
    let all = whole(&passage);
    let windows = tokenizer.windows(&query, &passage, limits).unwrap();
    assert!(windows.len() > 5 && windows.iter().all(|window| !window.pair.truncated));
    let head = windows[0].pair.ids[..5].to_vec();
    for window in &windows {
        let Window { pair: Pair { ids, types, .. }, bytes } = window;
        assert_eq!((&ids[..5], ids.len()), (&head[..], types.len()));
        assert!(ids.len() <= 16);
        let kept = &ids[5..ids.len() - 1];
        assert!(all.windows(kept.len()).any(|part| part == kept));
        // A window may begin and end within a word, whose parts alone have other tokens.
        let text = passage.get(bytes.clone()).unwrap();
        let own = whole(text);
        let middle = kept.get(3..kept.len().saturating_sub(3)).unwrap_or_default();
        let is_there = middle.is_empty() || own.windows(middle.len()).any(|part| part == middle);
        assert!(is_there && own.len().abs_diff(kept.len()) <= 6, "{text}");
    }
    assert_eq!((windows[0].bytes.start, windows[windows.len() - 1].bytes.end), (0, passage.len()));
    let overlaps = windows.windows(2).all(|two| two[1].bytes.start < two[0].bytes.end);
    assert!(overlaps, "{windows:?}");
}

#[test]
fn windows_end_where_they_may_be_no_more() {
    let tokenizer = pairs(16, 4);
    let query = tokenizer.query("who is it").unwrap();
    let passage = "the one ".repeat(50);
    let of = |windows_max| {
        let limits = WindowLimits { overlap: 2, windows_max };
        tokenizer.windows(&query, &passage, limits).unwrap()
    };
    let [first] = &of(1)[..] else { panic!("one window") };
    assert_eq!(first.pair, tokenizer.pair(&query, &passage).unwrap());
    assert_eq!(
        passage.get(first.bytes.clone()).unwrap(),
        "the one the one the one the one the one"
    );
    let two = of(2);
    assert_eq!((two.len(), two[1].pair.truncated), (2, true));
    let limits = WindowLimits { overlap: 2, windows_max: 9 };
    let fits = tokenizer.windows(&query, " the one ", limits).unwrap();
    let pair = tokenizer.pair(&query, " the one ").unwrap();
    assert_eq!(fits, [Window { pair, bytes: 0..9 }]);
}

#[test]
fn query_over_its_limit_is_cut_and_reported() {
    let tokenizer = pairs(10, 4);
    let query = tokenizer.query("the one the one the one").unwrap();
    assert_eq!((query.ids.len(), query.truncated), (4, true));
    assert_eq!(tokenizer.pair(&query, "the one the one").unwrap().ids.len(), 10);
    // A query from elsewhere, over the limit, still leaves room.
    let long = pairs(64, 32).query("the one the one the one the one the one").unwrap();
    assert_eq!(tokenizer.pair(&long, "the").unwrap().ids.len(), 4 + 1 + 3);
}

#[test]
fn a_text_without_tokens_is_laid_out_all_the_same() {
    let tokenizer = pairs(10, 4);
    let empty = tokenizer.query(" \t\u{0}").unwrap();
    assert!(empty.ids.is_empty() && !empty.truncated);
    let pair = tokenizer.pair(&empty, "").unwrap();
    assert_eq!((pair.ids.len(), pair.types), (3, vec![0, 0, 1]));
}

#[test]
fn reading_a_prefix_never_changes_the_ids() {
    let texts = [
        "the one and only ".repeat(50),
        "a".repeat(300),
        format!("{} the end", "x".repeat(200)),
        "no,spaces;but-punctuation.".repeat(30),
        "日本語のテキスト。".repeat(40),
        "e\u{301}t\u{0}e\u{b} form\u{c}feed\u{c}here \u{200b}zero ".repeat(20),
        " ".repeat(900) + "late",
        "\u{0}".repeat(900) + "late",
        "[SEP] [CLS] the ".repeat(20),
    ];
    for text in &texts {
        let expected = whole(text);
        for room in [1, 2, 7, 30, 200] {
            let tokenizer = pairs(room + 3, room - room.min(1));
            let query = Query { ids: [].into(), truncated: false };
            let pair = tokenizer.pair(&query, text).unwrap();
            let kept = pair.ids.get(2..pair.ids.len() - 1).unwrap();
            assert_eq!(kept, expected.get(..room).unwrap_or(&expected), "{room}: {text:.40}");
            assert_eq!(pair.truncated, expected.len() > room, "{room}: {text:.40}");
        }
    }
}

#[test]
fn a_megabyte_for_a_short_pair_costs_little() {
    let text = "the one and only ".repeat(1 << 16);
    let tokenizer = pairs(128, 32);
    let query = tokenizer.query("who").unwrap();
    let start = Instant::now();
    let pair = tokenizer.pair(&query, &text).unwrap();
    let took = start.elapsed();
    assert!(pair.truncated && pair.ids.len() == 128);
    // The whole takes a hundred times as long; this holds on a busy machine too.
    assert!(took < Duration::from_millis(100), "{took:?}");
}

#[test]
fn cut_keeps_the_longest_beginning_that_counts_no_more() {
    let tokenizer = TextTokenizer::load(&dir()).unwrap();
    let text = "  The one,  naïve café and 北京 e\u{301} unaffordable ☃.  ";
    let total = tokenizer.count(text);
    let mut last = 0;
    for tokens_max in 0..=total + 1 {
        let cut = tokenizer.cut(text, tokens_max);
        assert!(text.starts_with(cut));
        assert_eq!(tokenizer.count(cut), tokens_max.min(total), "{cut}");
        assert!(cut.len() >= last);
        last = cut.len();
    }
    assert_eq!(tokenizer.cut(text, total), text);
    assert_eq!(tokenizer.cut(text, 0), "");
    assert_eq!(tokenizer.cut("", 5), "");
}

#[test]
fn texts_with_a_border_between_them_add_up() {
    let tokenizer = TextTokenizer::load(&dir()).unwrap();
    let pairs = [
        ["the one", "and only"],
        ["naïve", "e\u{301}"],
        ["日本", "語。"],
        ["", "the"],
        ["##", "ing"],
        ["x", "\u{301}y"],
        ["run", "ning"],
    ];
    for separator in ["\n\n", " ", ",", "\n---\n", "."] {
        assert!(tokenizer.adds_up(separator), "{separator:?}");
        for [a, b] in pairs {
            let parts: usize = [a, separator, b].map(|part| tokenizer.count(part)).iter().sum();
            assert_eq!(tokenizer.count(&format!("{a}{separator}{b}")), parts, "{a} {b}");
        }
    }
    for separator in ["", "x", " x", "\u{c}", "é ", "##x"] {
        assert!(!tokenizer.adds_up(separator), "{separator:?}");
    }
}

#[test]
fn counting_goes_no_further_than_it_is_asked_to() {
    let tokenizer = TextTokenizer::load(&dir()).unwrap();
    let text = "The one, naïve café; unaffordable.".repeat(40);
    let all = tokenizer.count(&text);
    for tokens_max in [0, 1, 17, all - 1, all, all + 1] {
        let counted = tokenizer.count_up_to(&text, tokens_max);
        assert!(counted == all || (tokens_max < counted && counted < all), "{counted}");
    }
    assert!(tokenizer.count_up_to(&text, 17) < all / 4);
}
