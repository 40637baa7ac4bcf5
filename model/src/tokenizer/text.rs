use std::path::Path;

use super::encoder::TextEncoder;
use super::{TokenizerError, parse};
use crate::bundled::is_bundled;
use crate::files::{self, FileError};

/// Counts and cuts text by any tokenizer's tokens, for budgets.
#[derive(Clone, Debug)]
pub struct TextTokenizer {
    encoder: TextEncoder,
}

// === impl TextTokenizer ===

impl TextTokenizer {
    /// Loads a tokenizer.json, or the one in a directory.
    pub fn load(file_or_dir: &Path) -> Result<Self, TokenizerError> {
        let (path, bytes) = if is_bundled(file_or_dir) || file_or_dir.is_dir() {
            let path = files::place(file_or_dir, files::TOKENIZER);
            (path, files::read(file_or_dir, files::TOKENIZER)?)
        } else {
            let path = file_or_dir.to_path_buf();
            let bytes = std::fs::read(&path)
                .map_err(|source| FileError::Unreadable { path: path.clone(), source })?;
            (path, bytes)
        };
        Ok(Self::new(TextEncoder::new(parse(&path, &bytes)?)))
    }

    pub(super) fn new(encoder: TextEncoder) -> Self {
        Self { encoder }
    }

    /// Tokens of a text, without special tokens. A text that the tokenizer cannot encode counts one
    /// token a byte, so that a budget is rather undercut.
    pub fn count(&self, text: &str) -> usize {
        self.count_up_to(text, usize::MAX)
    }

    /// Tokens of a text, or some larger number than `tokens_max` where it has more; as
    /// [`count`](Self::count), but what is beyond need not be read.
    pub fn count_up_to(&self, text: &str, tokens_max: usize) -> usize {
        self.encoder.count_up_to(text, tokens_max).unwrap_or(text.len())
    }

    /// Whether any texts with `separator` between them have the tokens of the parts, no more and no
    /// fewer.
    pub fn adds_up(&self, separator: &str) -> bool {
        self.encoder.is_parted_by(separator)
    }

    /// The longest beginning of a text that ends at a token's end and has at most `tokens_max` tokens
    /// when counted on its own.
    pub fn cut<'a>(&self, text: &'a str, tokens_max: usize) -> &'a str {
        let Ok(encoding) = self.encoder.tokenizer().encode(text, false) else { return "" };
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
