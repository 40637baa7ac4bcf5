use tokenizers::{NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

use super::TokenizerError;

/// First guess at the bytes that a token covers; more is read when it was too low.
const BYTES_PER_TOKEN: usize = 8;

/// Punctuation besides ASCII's that ends a word, for scripts without spaces.
const STOPS: [char; 6] = ['。', '、', '，', '．', '！', '？'];

/// Encodes the beginning of a text, without work for what will be cut off.
#[derive(Clone, Debug)]
pub(super) struct PrefixEncoder {
    tokenizer: Tokenizer,
    /// Words of this tokenizer never depend on what follows them.
    splits_words: bool,
}

// === impl PrefixEncoder ===

impl PrefixEncoder {
    pub(super) fn new(tokenizer: Tokenizer) -> Self {
        let splits_words = splits_words(&tokenizer);
        Self { tokenizer, splits_words }
    }

    /// The first `tokens_max` tokens of a text, and whether it has more.
    ///
    /// The tokens are those of the whole text. A long text is read only as far as needed, up to the
    /// end of a word, if the tokenizer splits at spaces and punctuation as BERT's does; others read all.
    pub(super) fn encode(
        &self,
        text: &str,
        tokens_max: usize,
    ) -> Result<(Vec<u32>, bool), TokenizerError> {
        let mut window = match self.splits_words {
            true => tokens_max.saturating_add(1).saturating_mul(BYTES_PER_TOKEN),
            false => text.len(),
        };
        loop {
            let part = up_to_word_end(text, window);
            let encoding =
                self.tokenizer.encode_fast(part, false).map_err(TokenizerError::Encode)?;
            let ids = encoding.get_ids();
            if ids.len() > tokens_max || part.len() == text.len() {
                let kept = ids.iter().copied().take(tokens_max).collect();
                return Ok((kept, ids.len() > tokens_max));
            }
            window = window.saturating_mul(4);
        }
    }
}

/// Whether a text cut in front of a space or punctuation has, up to there, the tokens of the whole:
/// true of BERT's own normalizer and pre-tokenizer, which look at one character at a time, provided
/// that no added token reaches across.
fn splits_words(tokenizer: &Tokenizer) -> bool {
    matches!(tokenizer.get_pre_tokenizer(), Some(PreTokenizerWrapper::BertPreTokenizer(_)))
        && matches!(
            tokenizer.get_normalizer(),
            None | Some(NormalizerWrapper::BertNormalizer(_) | NormalizerWrapper::Lowercase(_))
        )
        && tokenizer.get_added_tokens_decoder().values().all(|token| token.special)
}

/// The beginning of a text, at least `window` bytes, that ends in front of a space or punctuation.
///
/// Not in front of every white space: form feeds and their like are dropped by BERT's normalizer, so
/// that they join what is on both sides of them.
fn up_to_word_end(text: &str, window: usize) -> &str {
    let start = text.ceil_char_boundary(window);
    let rest = text.get(start..).unwrap_or_default();
    let ends_word = |c: char| {
        matches!(c, ' ' | '\t' | '\n' | '\r') || c.is_ascii_punctuation() || STOPS.contains(&c)
    };
    let end = rest.find(ends_word).map_or(text.len(), |at| start + at);
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_in_front_of_a_space_or_punctuation() {
        let cases = [
            ("alpha beta", 0, "alpha"),
            ("alpha beta", 5, "alpha"),
            ("alpha beta", 6, "alpha beta"),
            ("alpha, beta", 1, "alpha"),
            ("né à", 2, "né"),
            ("ab\u{c}cd ef", 1, "ab\u{c}cd"),
            ("日本。語", 1, "日本"),
            ("", 3, ""),
        ];
        for (text, window, expected) in cases {
            assert_eq!(up_to_word_end(text, window), expected, "{text:?} {window}");
        }
    }
}
