use std::path::Path;
use std::sync::Arc;

use tokenizers::Tokenizer;

use super::{TokenizerError, parse};
use crate::files::{self, FileError};

/// Counts and cuts text by any tokenizer's tokens, for budgets.
#[derive(Clone, Debug)]
pub struct TextTokenizer {
    tokenizer: Arc<Tokenizer>,
}

// === impl TextTokenizer ===

impl TextTokenizer {
    /// Loads a tokenizer.json, or the one in a directory.
    pub fn load(file_or_dir: &Path) -> Result<Self, TokenizerError> {
        let (path, bytes) = if file_or_dir.is_dir() {
            let path = file_or_dir.join(files::TOKENIZER);
            (path, files::read(file_or_dir, files::TOKENIZER)?)
        } else {
            let path = file_or_dir.to_path_buf();
            let bytes = std::fs::read(&path)
                .map_err(|source| FileError::Unreadable { path: path.clone(), source })?;
            (path, bytes)
        };
        Ok(Self { tokenizer: Arc::new(parse(&path, &bytes)?) })
    }

    /// Tokens of a text, without special tokens. A text that the tokenizer cannot encode counts one
    /// token a byte, so that a budget is rather undercut.
    pub fn count(&self, text: &str) -> usize {
        self.tokenizer.encode_fast(text, false).map_or(text.len(), |encoding| encoding.len())
    }

    /// The longest beginning of a text that ends at a token's end and has at most `tokens_max` tokens
    /// when counted on its own.
    pub fn cut<'a>(&self, text: &'a str, tokens_max: usize) -> &'a str {
        let Ok(encoding) = self.tokenizer.encode(text, false) else { return "" };
        if encoding.len() <= tokens_max {
            return text;
        }
        // Tokens of a beginning can differ from the beginning of the tokens (byte pairs merge
        // otherwise at a cut), so the cut is counted again; for WordPiece the first try holds.
        let mut ends = encoding.get_offsets().iter().take(tokens_max).rev().map(|&(_, end)| end);
        ends.find_map(|end| {
            let cut = text.get(..text.floor_char_boundary(end))?;
            (self.count(cut) <= tokens_max).then_some(cut)
        })
        .unwrap_or_default()
    }
}
