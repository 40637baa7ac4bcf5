use std::path::Path;

use tokenizers::{Encoding, Tokenizer};

use super::TokenizerError;

/// What a tokenizer puts around and between the two texts of a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    before: Special,
    query_type: u8,
    between: Special,
    passage_type: u8,
    after: Special,
}

/// Special tokens in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Special {
    ids: Vec<u32>,
    types: Vec<u8>,
}

// === impl Template ===

impl Template {
    /// Asks the tokenizer's own post-processor for a pair, and reads its layout off. A network with `types` segments of
    /// fewer than two has no use for them.
    pub(super) fn of(
        path: &Path,
        tokenizer: &Tokenizer,
        types: usize,
    ) -> Result<Self, TokenizerError> {
        let encode = |text| tokenizer.encode_fast(text, false).map_err(TokenizerError::Encode);
        let (query, passage) = ("who is it", "it is the one.");
        let whole = tokenizer.encode((query, passage), true).map_err(TokenizerError::Encode)?;
        let found = || TokenizerError::Layout {
            path: path.to_path_buf(),
            found: format!("{:?} with types {:?}", whole.get_tokens(), whole.get_type_ids()),
        };
        let template = Self::read(&whole, types).ok_or_else(found)?;
        let (query, passage) = (encode(query)?, encode(passage)?);
        let (ids, kinds) = template.lay_out(query.get_ids(), passage.get_ids());
        let kinds_agree = types < 2 || kinds_of(&whole).is_ok_and(|whole| whole == kinds);
        match ids == whole.get_ids() && kinds_agree {
            true => Ok(template),
            false => Err(found()),
        }
    }

    /// Special tokens, text, special tokens, text, special tokens; there is one in between at least.
    fn read(whole: &Encoding, types: usize) -> Option<Self> {
        let kinds = if types < 2 { vec![0; whole.len()] } else { kinds_of(whole).ok()? };
        if kinds.iter().any(|&kind| usize::from(kind) >= types.max(1)) {
            return None;
        }
        let special: Vec<bool> =
            whole.get_special_tokens_mask().iter().map(|&special| special == 1).collect();
        let mut parts =
            special.chunk_by(|a, b| a == b).map(|part| (part[0], part.len())).peekable();
        let mut start = 0;
        let mut take = |special: bool| {
            let (_, len) = parts.next_if(|&(kind, _)| kind == special)?;
            start += len;
            Some(start - len..start)
        };
        let specials = |range: std::ops::Range<usize>| Special {
            ids: whole.get_ids()[range.clone()].to_vec(),
            types: kinds[range].to_vec(),
        };
        let before = take(true).map(specials).unwrap_or_default();
        let query = take(false)?;
        let between = specials(take(true)?);
        let passage = take(false)?;
        let after = take(true).map(specials).unwrap_or_default();
        let (query_type, passage_type) = (kinds[query.start], kinds[passage.start]);
        Some(Self { before, query_type, between, passage_type, after })
    }

    /// How many special tokens a pair has.
    pub(super) fn special_tokens(&self) -> usize {
        [&self.before, &self.between, &self.after].map(|special| special.ids.len()).iter().sum()
    }

    /// Token ids and types of a pair.
    pub(super) fn lay_out(&self, query: &[u32], passage: &[u32]) -> (Vec<u32>, Vec<u8>) {
        let Self { before, query_type, between, passage_type, after } = self;
        let ids = [&before.ids, query, &between.ids, passage, &after.ids].concat();
        let mut types = Vec::with_capacity(ids.len());
        types.extend(&before.types);
        types.resize(types.len() + query.len(), *query_type);
        types.extend(&between.types);
        types.resize(types.len() + passage.len(), *passage_type);
        types.extend(&after.types);
        (ids, types)
    }
}

/// Token types, which are small.
fn kinds_of(encoding: &Encoding) -> Result<Vec<u8>, std::num::TryFromIntError> {
    encoding.get_type_ids().iter().map(|&kind| u8::try_from(kind)).collect()
}
