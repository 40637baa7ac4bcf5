use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use tokenizers::{ModelWrapper, Tokenizer};

use super::encoder::TextEncoder;
use super::template::Template;
use super::windows::{Window, WindowLimits};
use super::{TextTokenizer, TokenizerError, parse};
use crate::config::{self, ModelConfig};
use crate::files;

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
    /// Query and passage between the tokenizer's special tokens, such as `[CLS] query [SEP] passage [SEP]`.
    pub ids: Vec<u32>,
    /// Segment of each token, such as 0 for the query and 1 for the passage; all 0 where the model has no segments.
    pub types: Vec<u8>,
    /// Whether the passage was longer than what fits.
    pub truncated: bool,
}

/// Query and passage → token ids and types, between special tokens as the tokenizer's own template has them.
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
    template: Template,
}

// === impl PairTokenizer ===

impl PairTokenizer {
    /// Loads the tokenizer of a model directory, and checks it and the limits against the model.
    pub fn load(dir: &Path, limits: TokenLimits) -> Result<Self, TokenizerError> {
        let config = ModelConfig::read(dir)?;
        let path = files::place(dir, files::TOKENIZER);
        let tokenizer = parse(&path, &files::read(dir, files::TOKENIZER)?)?;
        let types = if config::gives_types(dir)? { config.types } else { 0 };
        let template = Template::of(&path, &tokenizer, types)?;
        check_limits(limits, config::tokens_max(dir, &config)?, template.special_tokens())?;
        check_vocabulary(&path, &tokenizer, config.vocab_size)?;
        check_text_stays_text(&path, &tokenizer)?;
        let encoder = TextEncoder::new(tokenizer);
        Ok(Self { inner: Arc::new(Inner { encoder, limits, template }) })
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
        let (asked, room) = self.room(query);
        let (ids, truncated) = self.inner.encoder.encode(passage, room)?;
        Ok(self.lay_out(asked, &ids, truncated))
    }

    /// Tokenises a passage and lays it out behind its query in as many windows as it takes: one that is the whole
    /// passage where that fits, otherwise several that overlap, of about the same length.
    ///
    /// A window has the tokens of the whole passage between two places of it, and begins with a word where one begins
    /// within the overlap. Where the windows do not reach the end of the passage, all of them say `truncated`.
    pub fn windows(
        &self,
        query: &Query,
        passage: &str,
        limits: WindowLimits,
    ) -> Result<Vec<Window>, TokenizerError> {
        let (asked, room) = self.room(query);
        let (ids, has_more) = self.inner.encoder.encode(passage, room)?;
        if !has_more {
            let pair = self.lay_out(asked, &ids, false);
            return Ok(vec![Window { pair, bytes: 0..passage.len() }]);
        }
        let places = self.inner.encoder.places(passage)?;
        let (cuts, truncated) = places.cut(room, limits);
        let window = |tokens: Range<usize>| Window {
            pair: self.lay_out(asked, &places.ids[tokens.clone()], truncated),
            bytes: places.bytes(passage, tokens),
        };
        Ok(cuts.into_iter().map(window).collect())
    }

    /// What of a query is used, and the tokens that it leaves for a passage: one at least.
    fn room<'q>(&self, query: &'q Query) -> (&'q [u32], usize) {
        let Inner { limits, template, .. } = &*self.inner;
        // A query from a tokenizer with a larger limit is cut rather than trusted.
        let asked = query.ids.get(..limits.query_tokens_max).unwrap_or(&query.ids);
        (asked, limits.tokens_max - template.special_tokens() - asked.len())
    }

    fn lay_out(&self, query: &[u32], passage: &[u32], truncated: bool) -> Pair {
        let (ids, types) = self.inner.template.lay_out(query, passage);
        Pair { ids, types, truncated }
    }
}

fn check_limits(
    limits: TokenLimits,
    available: usize,
    special: usize,
) -> Result<(), TokenizerError> {
    let TokenLimits { tokens_max: pair, query_tokens_max: query } = limits;
    if pair > available {
        return Err(TokenizerError::PairTooLong { asked: pair, available });
    }
    if query.saturating_add(special) >= pair {
        return Err(TokenizerError::NoRoom { query, special, pair });
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

/// Encodes each special token's own spelling.
fn check_text_stays_text(path: &Path, tokenizer: &Tokenizer) -> Result<(), TokenizerError> {
    let unknown = match tokenizer.get_model() {
        ModelWrapper::WordPiece(model) => tokenizer.token_to_id(&model.unk_token),
        // What a character becomes that no vocabulary has, from the end of the last private use area.
        _ => {
            let nobody = tokenizer.encode_fast("\u{10fffd}", false);
            nobody.map_err(TokenizerError::Encode)?.get_ids().last().copied()
        }
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
