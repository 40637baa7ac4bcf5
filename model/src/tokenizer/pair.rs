use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokenizers::{ModelWrapper, Tokenizer};

use super::encoder::TextEncoder;
use super::{TextTokenizer, TokenizerError, parse};
use crate::config::{self, BertConfig};
use crate::files;

/// `[CLS]`, and `[SEP]` twice.
const SPECIAL_TOKENS: usize = 3;

/// How long a pair and its query may be. Both are cut, never refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLimits {
    /// Tokens of a pair, special tokens included. The passage is cut to fit.
    pub tokens_max: usize,
    /// Tokens of a query, without special tokens.
    pub query_tokens_max: usize,
}

/// A query's tokens, shared by all pairs of its set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Vocabulary ids, without special tokens.
    pub ids: Arc<[u32]>,
    /// Whether the query was longer than its limit.
    pub truncated: bool,
}

/// A query and a passage, laid out for the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// `[CLS] query [SEP] passage [SEP]`, vocabulary ids.
    pub ids: Vec<u32>,
    /// Segment of each token, 0 for the query and 1 for the passage.
    pub types: Vec<u8>,
    /// Whether the passage was longer than what fits.
    pub truncated: bool,
}

/// Query and passage → `[CLS] query [SEP] passage [SEP]` with token types.
///
/// Text is text: a passage that spells `[SEP]` gets the tokens of those five characters.
#[derive(Clone, Debug)]
pub struct PairTokenizer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    encoder: TextEncoder,
    limits: TokenLimits,
    cls: u32,
    sep: u32,
}

// === impl PairTokenizer ===

impl PairTokenizer {
    /// Loads the tokenizer of a model directory, and checks it and the limits against the model.
    pub fn load(dir: &Path, limits: TokenLimits) -> Result<Self, TokenizerError> {
        let config = BertConfig::read(dir)?;
        check_limits(limits, config::tokens_max(dir, &config)?)?;
        let path = dir.join(files::TOKENIZER);
        let tokenizer = parse(&path, &files::read(dir, files::TOKENIZER)?)?;
        check_vocabulary(&path, &tokenizer, config.vocab_size)?;
        let (cls, sep) = layout(&path, &tokenizer)?;
        check_text_stays_text(&path, &tokenizer)?;
        let encoder = TextEncoder::new(tokenizer);
        Ok(Self { inner: Arc::new(Inner { encoder, limits, cls, sep }) })
    }

    /// The same tokenizer for single texts, without a second copy of its vocabulary.
    pub fn text(&self) -> TextTokenizer {
        TextTokenizer::new(self.inner.encoder.clone())
    }

    /// Tokenises a query, once for all its passages.
    pub fn query(&self, text: &str) -> Result<Query, TokenizerError> {
        let (ids, truncated) =
            self.inner.encoder.encode(text, self.inner.limits.query_tokens_max)?;
        Ok(Query { ids: ids.into(), truncated })
    }

    /// Tokenises a passage and lays it out behind its query.
    pub fn pair(&self, query: &Query, passage: &str) -> Result<Pair, TokenizerError> {
        let Inner { encoder, limits, cls, sep } = &*self.inner;
        // A query from a tokenizer with a larger limit is cut rather than trusted.
        let asked = query.ids.get(..limits.query_tokens_max).unwrap_or(&query.ids);
        let room = limits.tokens_max - SPECIAL_TOKENS - asked.len();
        let (passage, truncated) = encoder.encode(passage, room)?;
        let (ids, types) = lay_out(*cls, *sep, asked, &passage);
        Ok(Pair { ids, types, truncated })
    }
}

fn lay_out(cls: u32, sep: u32, query: &[u32], passage: &[u32]) -> (Vec<u32>, Vec<u8>) {
    let ids = [&[cls], query, &[sep], passage, &[sep]].concat();
    let mut types = vec![0; query.len() + 2];
    types.resize(ids.len(), 1);
    (ids, types)
}

fn check_limits(limits: TokenLimits, available: usize) -> Result<(), TokenizerError> {
    let TokenLimits { tokens_max: pair, query_tokens_max: query } = limits;
    if pair > available {
        return Err(TokenizerError::PairTooLong { asked: pair, available });
    }
    if query.saturating_add(SPECIAL_TOKENS) >= pair {
        return Err(TokenizerError::NoRoom { query, pair });
    }
    Ok(())
}

fn check_vocabulary(path: &Path, tokenizer: &Tokenizer, rows: usize) -> Result<(), TokenizerError> {
    let largest = tokenizer.get_vocab(true).into_values().max().unwrap_or_default();
    match (largest as usize) < rows {
        true => Ok(()),
        false => Err(TokenizerError::Vocabulary { path: path.to_path_buf(), largest, rows }),
    }
}

/// Asks the tokenizer's own post-processor for a pair, and holds our layout against it.
fn layout(path: &Path, tokenizer: &Tokenizer) -> Result<(u32, u32), TokenizerError> {
    let encode = |text| tokenizer.encode_fast(text, false).map_err(TokenizerError::Encode);
    let (query, passage) = ("who is it", "it is the one.");
    let whole = tokenizer.encode_fast((query, passage), true).map_err(TokenizerError::Encode)?;
    let (query, passage) = (encode(query)?, encode(passage)?);
    let found = || TokenizerError::Layout {
        path: PathBuf::from(path),
        found: format!("{:?} with types {:?}", whole.get_tokens(), whole.get_type_ids()),
    };
    let ids = whole.get_ids();
    let (Some(&cls), Some(&sep)) = (ids.first(), ids.last()) else { return Err(found()) };
    let (expected, types) = lay_out(cls, sep, query.get_ids(), passage.get_ids());
    let types_agree = whole.get_type_ids().iter().copied().eq(types.into_iter().map(u32::from));
    match cls != sep && ids == expected && types_agree {
        true => Ok((cls, sep)),
        false => Err(found()),
    }
}

/// Encodes each special token's own spelling.
fn check_text_stays_text(path: &Path, tokenizer: &Tokenizer) -> Result<(), TokenizerError> {
    let unknown = match tokenizer.get_model() {
        ModelWrapper::WordPiece(model) => tokenizer.token_to_id(&model.unk_token),
        _ => None,
    };
    for (id, token) in tokenizer.get_added_tokens_decoder() {
        let spelt =
            tokenizer.encode_fast(token.content.as_str(), false).map_err(TokenizerError::Encode)?;
        if token.special && Some(id) != unknown && spelt.get_ids().contains(&id) {
            let path = path.to_path_buf();
            return Err(TokenizerError::Forgeable { path, token: token.content });
        }
    }
    Ok(())
}
