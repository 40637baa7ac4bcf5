//! A text as words with their places, and the text with some of them replaced.

use std::ops::Range;

use super::super::words;

/// A text and its words: runs of letters and digits. A comma or a point between two digits, and an
/// apostrophe between two letters, belong to the word.
pub(super) struct Text<'a> {
    text: &'a str,
    words: Vec<Word<'a>>,
}

/// A word as it stands, in small letters, and where it is.
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) small: String,
    at: Range<usize>,
}

/// The word of this index, by another; by none where the new text is empty.
pub(super) struct Edit {
    pub(super) word: usize,
    pub(super) by: String,
}

// === impl Text ===

impl<'a> Text<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut words = Vec::new();
        let mut start = None;
        let mut previous = ' ';
        let mut characters = text.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            let next = characters.peek().map_or(' ', |&(_, next)| next);
            let inside = character.is_alphanumeric()
                || (matches!(character, '.' | ',') && digits(previous, next))
                || (matches!(character, '\'' | '’') && letters(previous, next));
            match (inside, start) {
                (true, None) => start = Some(at),
                (false, Some(begin)) => {
                    words.extend(Word::new(text, begin..at));
                    start = None;
                }
                _ => {}
            }
            previous = character;
        }
        if let Some(begin) = start {
            words.extend(Word::new(text, begin..text.len()));
        }
        Self { text, words }
    }

    pub(super) fn words(&self) -> &[Word<'a>] {
        &self.words
    }

    /// The words in small letters, from `index` on; empty beyond either end.
    pub(super) fn small(&self, index: Option<usize>) -> &str {
        index.and_then(|index| self.words.get(index)).map_or("", |word| word.small.as_str())
    }

    /// The word before that of `index`, in small letters.
    pub(super) fn before(&self, index: usize) -> &str {
        self.small(index.checked_sub(1))
    }

    /// The word after that of `index`, in small letters.
    pub(super) fn after(&self, index: usize) -> &str {
        self.small(index.checked_add(1))
    }

    pub(super) fn has(&self, small: &str) -> bool {
        self.words.iter().any(|word| word.small == small)
    }

    /// The indices of the words that read `small`.
    pub(super) fn places(&self, small: &str) -> Vec<usize> {
        (0..self.words.len()).filter(|&index| self.words[index].small == small).collect()
    }

    /// The text with the edits made. An article before a replaced word is adapted to the new one.
    pub(super) fn edited(&self, mut edits: Vec<Edit>) -> String {
        edits.sort_by_key(|edit| edit.word);
        let mut whole = String::with_capacity(self.text.len() + 16);
        let mut done = 0;
        for edit in edits {
            let at = self.words[edit.word].at.clone();
            let mut between = self.text.get(done..at.start).unwrap_or_default().to_owned();
            if let Some(article) = self.article_before(edit.word, done, &edit.by) {
                let bare = between.trim_end();
                let spaces = between.get(bare.len()..).unwrap_or_default().to_owned();
                let stem = bare.get(..bare.len() - self.words[edit.word - 1].text.len());
                between = format!("{}{article}{spaces}", stem.unwrap_or_default());
            }
            if edit.by.is_empty() {
                // One of the two spaces around a word goes with it.
                let gap = self.text.get(at.end..).is_some_and(|rest| rest.starts_with(' '));
                done = at.end + usize::from(gap);
                whole.push_str(&between);
            } else {
                done = at.end;
                whole.push_str(&between);
                whole.push_str(&as_written(self.words[edit.word].text, &edit.by));
            }
        }
        whole.push_str(self.text.get(done..).unwrap_or_default());
        whole
    }

    /// The right form of "a" or "an", where one stands right before the word and is not edited.
    fn article_before(&self, word: usize, done: usize, by: &str) -> Option<&'static str> {
        let article = self.words.get(word.checked_sub(1)?)?;
        let between = self.text.get(article.at.end..self.words[word].at.start)?;
        let old = article.small.as_str();
        let new = words::article(by);
        (matches!(old, "a" | "an")
            && old != new
            && !by.is_empty()
            && article.at.start >= done
            && between.trim().is_empty()
            && old == words::article(&self.words[word].small))
        .then_some(match (article.text, new) {
            ("A" | "An", "an") => "An",
            ("A" | "An", _) => "A",
            _ => new,
        })
    }
}

// === impl Word ===

impl<'a> Word<'a> {
    fn new(text: &'a str, at: Range<usize>) -> Option<Self> {
        let text = text.get(at.clone())?;
        Some(Self { text, small: text.to_lowercase(), at })
    }
}

fn digits(one: char, other: char) -> bool {
    one.is_ascii_digit() && other.is_ascii_digit()
}

fn letters(one: char, other: char) -> bool {
    one.is_alphabetic() && other.is_alphabetic()
}

/// `by` with capitals as the word that it replaces has them.
fn as_written(old: &str, by: &str) -> String {
    let mut letters = old.chars().filter(|character| character.is_alphabetic());
    let first = letters.next().is_some_and(char::is_uppercase);
    let second = letters.next();
    match (first, second) {
        (true, Some(second)) if second.is_uppercase() => by.to_uppercase(),
        (true, _) => by.split(' ').map(words::capitalised).collect::<Vec<_>>().join(" "),
        _ => by.to_owned(),
    }
}
