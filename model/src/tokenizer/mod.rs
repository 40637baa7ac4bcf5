//! Text → token ids, as Hugging Face's tokenizers crate does it.

mod encoder;
mod pair;
mod pieces;
mod short;
mod template;
mod text;
mod windows;
mod words;

use std::path::{Path, PathBuf};

use tokenizers::{ModelWrapper, Tokenizer};

use crate::config::ConfigError;
use crate::files::FileError;

pub use pair::{Pair, PairTokenizer, Query, TokenLimits};
pub use text::TextTokenizer;
pub use windows::{Window, WindowLimits};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A tokenizer that cannot be used, or a text that it cannot encode.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// A file cannot be had.
    #[error(transparent)]
    File(#[from] FileError),
    /// `config.json` or `tokenizer_config.json` is not accepted.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The file is no tokenizer that the tokenizers crate reads.
    #[error("{} is not a tokenizer.json that can be read; download it again", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where it breaks.
        #[source]
        source: Source,
    },
    /// The tokenizer does not keep the texts of a pair apart, or has types that the network lacks.
    #[error(
        "{}: a pair becomes {found}; supported: a query and a passage with special tokens between them, such as \
         [CLS] query [SEP] passage [SEP], and types below type_vocab_size in config.json",
        .path.display()
    )]
    Layout {
        /// The file.
        path: PathBuf,
        /// What the tokenizer makes of a pair of short texts.
        found: String,
    },
    /// A passage could forge the pair's layout.
    #[error(
        "{}: text that spells {token} becomes that special token, so a passage could end itself",
        .path.display()
    )]
    Forgeable {
        /// The file.
        path: PathBuf,
        /// The special token.
        token: String,
    },
    /// The tokenizer knows tokens that the network does not.
    #[error(
        "{}: token ids reach {largest}, but vocab_size in config.json is {rows}; the files belong to \
         different models",
        .path.display()
    )]
    Vocabulary {
        /// The file.
        path: PathBuf,
        /// The largest id.
        largest: u32,
        /// Rows of the embedding table.
        rows: usize,
    },
    /// More tokens than the model takes.
    #[error("a pair of up to {asked} tokens was asked for; the model takes {available}")]
    PairTooLong {
        /// What was asked for.
        asked: usize,
        /// What config.json and tokenizer_config.json allow.
        available: usize,
    },
    /// No room for a passage.
    #[error(
        "a query of up to {query} tokens and {special} special tokens leave no room for a passage in a pair of \
         {pair}; allow longer pairs or shorter queries"
    )]
    NoRoom {
        /// Tokens of the query.
        query: usize,
        /// Special tokens of a pair.
        special: usize,
        /// Tokens of the pair.
        pair: usize,
    },
    /// A text could not be encoded.
    #[error("the tokenizer cannot encode a text")]
    Encode(#[source] Source),
}

/// Parses the tokenizer that was at `path`. Text alone decides what comes out of it: no truncation,
/// no padding, and special tokens that are spelt in the text are text.
fn parse(path: &Path, bytes: &[u8]) -> Result<Tokenizer, TokenizerError> {
    let failed = |source| TokenizerError::Parse { path: path.to_path_buf(), source };
    let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(failed)?;
    if let ModelWrapper::Unigram(model) = tokenizer.get_model() {
        let plain = pieces::without_special(model, &tokenizer).map_err(failed)?;
        tokenizer.with_model(plain);
    }
    tokenizer.with_truncation(None).map_err(failed)?.with_padding(None);
    tokenizer.set_encode_special_tokens(true);
    Ok(tokenizer)
}

#[cfg(test)]
mod tests;
