use std::sync::Arc;

use tokenizers::Tokenizer;

use super::TokenizerError;
use super::windows::Places;
use super::words::{self, Words};

/// Text → token ids, without work for what will be cut off where the tokenizer allows that.
#[derive(Clone, Debug)]
pub(super) struct TextEncoder {
    tokenizer: Arc<Tokenizer>,
    words: Option<Words>,
}

// === impl TextEncoder ===

impl TextEncoder {
    pub(super) fn new(tokenizer: Tokenizer) -> Self {
        let tokenizer = Arc::new(tokenizer);
        Self { words: Words::of(&tokenizer), tokenizer }
    }

    /// The first `tokens_max` tokens of a text, and whether it has more. They are those of the whole
    /// text.
    pub(super) fn encode(
        &self,
        text: &str,
        tokens_max: usize,
    ) -> Result<(Vec<u32>, bool), TokenizerError> {
        let mut ids = match &self.words {
            Some(words) => words.encode(text, tokens_max)?,
            None => {
                let encoding = self.tokenizer.encode_fast(text, false);
                encoding.map_err(TokenizerError::Encode)?.get_ids().to_vec()
            }
        };
        let has_more = ids.len() > tokens_max;
        ids.truncate(tokens_max);
        Ok((ids, has_more))
    }

    /// All tokens of a text, with their places in it.
    pub(super) fn places(&self, text: &str) -> Result<Places, TokenizerError> {
        let encoding = self.tokenizer.encode(text, false).map_err(TokenizerError::Encode)?;
        Ok(Places::of(&encoding))
    }

    /// How many tokens a text has, or some larger number than `tokens_max`.
    pub(super) fn count_up_to(
        &self,
        text: &str,
        tokens_max: usize,
    ) -> Result<usize, TokenizerError> {
        match &self.words {
            Some(words) => words.encode(text, tokens_max).map(|ids| ids.len()),
            None => match self.tokenizer.encode_fast(text, false) {
                Ok(encoding) => Ok(encoding.len()),
                Err(error) => Err(TokenizerError::Encode(error)),
            },
        }
    }

    /// Whether tokens never reach into or across `separator` from either side.
    pub(super) fn is_parted_by(&self, separator: &str) -> bool {
        self.words.is_some() && words::is_border(separator)
    }

    pub(super) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }
}
