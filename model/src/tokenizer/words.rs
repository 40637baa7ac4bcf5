use std::sync::Arc;

use tokenizers::{Model, ModelWrapper, NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

use super::TokenizerError;
use super::short::{self, ShortWords};

/// Tokens of a word that is not ASCII; where such words follow each other, more is read at once.
const WINDOW_MIN: usize = 64;
/// Bytes that a token covers, rather too many.
const BYTES_PER_TOKEN: usize = 8;

/// Punctuation besides ASCII's that ends a word, for scripts without spaces.
const STOPS: [char; 6] = ['。', '、', '，', '．', '！', '？'];

/// Encodes a text word by word, reading no more of it than is asked for.
///
/// A tokenizer in the manner of BERT looks at one word at a time, so the tokens of a text are those
/// of its words. What is ASCII letters and digits is looked up in the vocabulary right here, without
/// the record of where every byte came from that the tokenizers crate keeps; all else goes there.
#[derive(Clone, Debug)]
pub(super) struct Words {
    tokenizer: Arc<Tokenizer>,
    is_lowercase: bool,
    prefix: String,
    /// A longer word is unknown.
    chars_max: usize,
    unknown: u32,
    short: ShortWords,
    /// The token of each ASCII punctuation character.
    punctuation: Vec<u32>,
}

/// What a byte is to a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Space,
    Punctuation,
    /// Letters and digits.
    Plain,
    /// Controls, and all that is not ASCII.
    Other,
}

const KINDS: [Kind; 256] = {
    let mut kinds = [Kind::Other; 256];
    let mut byte = 0;
    while byte < 128u8 {
        kinds[byte as usize] = match byte {
            b' ' | b'\t' | b'\n' | b'\r' => Kind::Space,
            byte if byte.is_ascii_punctuation() => Kind::Punctuation,
            byte if byte.is_ascii_alphanumeric() => Kind::Plain,
            _ => Kind::Other,
        };
        byte += 1;
    }
    kinds
};

// === impl Words ===

impl Words {
    /// `None` if words of this tokenizer may depend on what stands beside them, or if it is no
    /// WordPiece.
    pub(super) fn of(tokenizer: &Arc<Tokenizer>) -> Option<Self> {
        let is_lowercase = match tokenizer.get_normalizer() {
            None => false,
            Some(NormalizerWrapper::Lowercase(_)) => true,
            Some(NormalizerWrapper::BertNormalizer(bert)) => bert.lowercase,
            Some(_) => return None,
        };
        let Some(PreTokenizerWrapper::BertPreTokenizer(_)) = tokenizer.get_pre_tokenizer() else {
            return None;
        };
        // Special tokens are text to us, see `parse`; others would reach across words.
        if tokenizer.get_added_tokens_decoder().values().any(|token| !token.special) {
            return None;
        }
        let ModelWrapper::WordPiece(model) = tokenizer.get_model() else { return None };
        let unknown = model.token_to_id(&model.unk_token)?;
        let token = |byte: u8| model.token_to_id(&char::from(byte).to_string()).unwrap_or(unknown);
        let vocabulary = model.get_vocab();
        let vocabulary = vocabulary.iter().map(|(word, &id)| (word.as_str(), id));
        Some(Self {
            short: ShortWords::new(vocabulary),
            is_lowercase,
            prefix: model.continuing_subword_prefix.clone(),
            chars_max: model.max_input_chars_per_word,
            unknown,
            punctuation: (0..128).map(token).collect(),
            tokenizer: Arc::clone(tokenizer),
        })
    }

    /// The tokens of the whole text, or the first ones if there are more than `tokens_max`: more
    /// than that many.
    pub(super) fn encode(&self, text: &str, tokens_max: usize) -> Result<Vec<u32>, TokenizerError> {
        let mut ids = Vec::with_capacity((text.len() / 4).min(tokens_max) + 1);
        let (mut rest, mut window) = (text, 0);
        let mut word = String::new();
        while ids.len() <= tokens_max {
            let Some(&first) = rest.as_bytes().first() else { break };
            match KINDS[usize::from(first)] {
                Kind::Plain | Kind::Other => {}
                alone => {
                    if alone == Kind::Punctuation {
                        ids.push(self.punctuation[usize::from(first)]);
                    }
                    rest = rest.get(1..).unwrap_or_default();
                    continue;
                }
            }
            let plain = short::plain_run(rest.as_bytes());
            let ends =
                rest.as_bytes().get(plain).is_none_or(|&b| KINDS[usize::from(b)] != Kind::Other);
            if ends {
                let (plain, after) = rest.split_at(plain);
                self.push_plain(plain, &mut word, &mut ids);
                (rest, window) = (after, 0);
                continue;
            }
            let enough = (tokens_max - ids.len()).saturating_add(1).saturating_mul(BYTES_PER_TOKEN);
            let (other, after) = rest.split_at(word_end(rest, window.min(enough)));
            let encoding =
                self.tokenizer.encode_fast(other, false).map_err(TokenizerError::Encode)?;
            ids.extend_from_slice(encoding.get_ids());
            (rest, window) = (after, WINDOW_MIN.max(2 * window));
        }
        Ok(ids)
    }

    /// Adds the pieces of a word of ASCII letters and digits: of each rest the longest beginning
    /// that the vocabulary has.
    fn push_plain(&self, plain: &str, word: &mut String, ids: &mut Vec<u32>) {
        if plain.len() > self.chars_max {
            return ids.push(self.unknown);
        }
        if plain.len() <= 8 {
            let key = short::key(short::eight(plain.as_bytes()), plain.len(), self.is_lowercase);
            if let Some(id) = self.short.get(key) {
                return ids.push(id);
            }
        }
        let ModelWrapper::WordPiece(model) = self.tokenizer.get_model() else { return };
        word.clear();
        word.push_str(plain);
        if self.is_lowercase {
            word.make_ascii_lowercase();
        }
        let before = ids.len();
        let mut pieces = 0;
        loop {
            // A piece inside a word stands behind its prefix.
            let start = if pieces == 0 { 0 } else { self.prefix.len() };
            let found = (start + 1..=word.len())
                .rev()
                .find_map(|end| Some((end, model.token_to_id(word.get(..end)?)?)));
            let Some((end, id)) = found else {
                ids.truncate(before);
                return ids.push(self.unknown);
            };
            ids.push(id);
            if end == word.len() {
                return;
            }
            word.replace_range(..end, &self.prefix);
            pieces += 1;
        }
    }
}

/// Whether a text ends what stands before it, and is ended by what stands behind it.
pub(super) fn is_border(text: &str) -> bool {
    let ends = |byte: Option<&u8>| {
        byte.is_some_and(|&byte| {
            matches!(KINDS[usize::from(byte)], Kind::Space | Kind::Punctuation)
        })
    };
    ends(text.as_bytes().first()) && ends(text.as_bytes().last())
}

/// Not every white space: form feeds and their like are dropped by BERT's normalizer, so that they
/// join what is on both sides of them.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Where the first word ends that ends at `window` or later, but not at 0.
fn word_end(text: &str, window: usize) -> usize {
    let start = text.ceil_char_boundary(window.max(1));
    let rest = text.get(start..).unwrap_or_default();
    let ends_word = |c: char| is_space(c) || c.is_ascii_punctuation() || STOPS.contains(&c);
    rest.find(ends_word).map_or(text.len(), |at| start + at)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::tokenizer::parse;

    fn tokenizer() -> Arc<Tokenizer> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tiny-bert/tokenizer.json");
        Arc::new(parse(&path, &std::fs::read(&path).unwrap()).unwrap())
    }

    fn whole(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
        tokenizer.encode_fast(text, false).unwrap().get_ids().to_vec()
    }

    #[test]
    fn a_word_ends_in_front_of_a_space_or_punctuation() {
        let cases = [
            ("alpha beta", 0, "alpha"),
            ("alpha beta", 5, "alpha"),
            ("alpha beta", 6, "alpha beta"),
            ("alpha, beta", 1, "alpha"),
            ("né à", 2, "né"),
            ("ab\u{c}cd ef", 1, "ab\u{c}cd"),
            ("日本。語", 1, "日本"),
            ("。語。", 0, "。語"),
            ("", 3, ""),
        ];
        for (text, window, expected) in cases {
            assert_eq!(text.get(..word_end(text, window)), Some(expected), "{text:?} {window}");
        }
    }

    #[test]
    fn tokens_are_those_of_the_tokenizers_crate() {
        let tokenizer = tokenizer();
        let words = Words::of(&tokenizer).unwrap();
        let texts = [
            "",
            " \t\r\n ",
            "The quick, brown FOX; doesn't—jump (twice)!",
            "[CLS] what [SEP] is [MASK] this [UNK] ##ing",
            "caf\u{e9} cafe\u{301} na\u{ef}ve ’quoted’ \u{a0}space\u{200b}d",
            "ab\u{c}cd e\u{0}f \u{1}\u{2} -\u{0}x \u{fffd}",
            "東京は日本の首都である。人口、一千万！ok",
            "Привет, мир. Как дела? İstanbul ſtraße ǅ",
            &"x".repeat(101),
            &"the ".repeat(3000),
            &"é".repeat(500),
        ];
        for text in texts {
            assert_eq!(words.encode(text, usize::MAX).unwrap(), whole(&tokenizer, text), "{text}");
        }
    }

    #[test]
    fn no_more_is_read_than_is_asked_for() {
        let tokenizer = tokenizer();
        let words = Words::of(&tokenizer).unwrap();
        for text in ["the ".repeat(9000), "вот ".repeat(9000), "日本。".repeat(9000)] {
            let all = whole(&tokenizer, &text);
            for tokens_max in [0, 1, 10, 300] {
                let first = words.encode(&text, tokens_max).unwrap();
                assert!(first.len() > tokens_max && first.len() < 3000, "{}", first.len());
                assert_eq!(first, all[..first.len()]);
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_has_the_tokens_of_the_tokenizers_crate(
            parts in prop::collection::vec(
                prop_oneof![
                    "[a-zA-Z0-9]{1,12}",
                    "[ \t\r\n.,'\\[\\]#-]{1,3}",
                    "(the|of|and|people|city|which|running|unbelievable)",
                    "[\u{0}-\u{20}\u{7f}\u{a0}\u{ad}\u{300}-\u{305}\u{2009}\u{200b}\u{2019}]{1,3}",
                    "[àéßñİıſ日本。、！абв\u{1f600}]{1,6}",
                    any::<char>().prop_map(String::from),
                ],
                0..40,
            ),
            tokens_max in 0usize..60,
        ) {
            let tokenizer = tokenizer();
            let words = Words::of(&tokenizer).unwrap();
            let text = parts.concat();
            let all = whole(&tokenizer, &text);
            prop_assert_eq!(&words.encode(&text, usize::MAX).unwrap(), &all);
            let first = words.encode(&text, tokens_max).unwrap();
            prop_assert!(first.len() > tokens_max || first.len() == all.len());
            prop_assert_eq!(&first[..], &all[..first.len()]);
        }
    }
}
