use crossrank_model::Pair;
use sha2::{Digest, Sha256};

use super::ModelIdentity;

/// Bytes of a key. Pairs with one key take one another's logit, and texts come from strangers: a
/// pair of texts with the same 128 bits of SHA-256 costs 2^64 attempts to find.
const KEY_BYTES: usize = 16;

/// Names what the model reads, and which model reads it: equal keys, equal logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PairKey([u8; KEY_BYTES]);

/// A tokenised pair and its key.
#[derive(Debug)]
pub(super) struct Keyed {
    pub(super) key: PairKey,
    pub(super) pair: Pair,
}

/// Makes keys for the pairs of one model.
///
/// The key is that of the tokens, not of the texts. They are all that the model reads, so what
/// differs only in letter case, spacing or behind the cut is the same pair, and every limit on
/// tokens is part of the key. Tokenising a pair that turns out to be known costs about a hundredth
/// of scoring it, on threads of its own.
#[derive(Clone, Debug)]
pub(super) struct Keyer {
    model: Sha256,
    bytes: Vec<u8>,
}

// === impl Keyer ===

impl Keyer {
    pub(super) fn new(model: &ModelIdentity) -> Self {
        let mut hasher = Sha256::new();
        let identity = [&model.revision, &model.precision, &model.backend].map(String::as_str);
        for part in identity.into_iter().chain(model.label.as_deref()) {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self { model: hasher, bytes: Vec::new() }
    }

    pub(super) fn keyed(&mut self, pair: Pair) -> Keyed {
        // As many types as ids, so that no two pairs spell the same bytes.
        self.bytes.clear();
        self.bytes.extend(pair.ids.iter().flat_map(|id| id.to_le_bytes()));
        self.bytes.extend(&pair.types);
        let digest = self.model.clone().chain_update(&self.bytes).finalize();
        let mut key = [0; KEY_BYTES];
        key.copy_from_slice(&digest[..KEY_BYTES]);
        Keyed { key: PairKey(key), pair }
    }
}

#[cfg(test)]
impl Keyed {
    /// The pair of this number, for tests that know no model.
    pub(super) fn numbered(number: u64, tokens: usize) -> Self {
        let mut key = [0; KEY_BYTES];
        key[..8].copy_from_slice(&number.to_le_bytes());
        let pair = Pair { ids: vec![1; tokens], types: vec![0; tokens], truncated: false };
        Self { key: PairKey(key), pair }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(revision: &str, precision: &str) -> ModelIdentity {
        ModelIdentity {
            id: "m".to_owned(),
            revision: revision.to_owned(),
            precision: precision.to_owned(),
            backend: "flex".to_owned(),
            label: None,
        }
    }

    fn key(model: &ModelIdentity, ids: &[u32], types: &[u8]) -> PairKey {
        let pair = Pair { ids: ids.to_vec(), types: types.to_vec(), truncated: false };
        Keyer::new(model).keyed(pair).key
    }

    #[test]
    fn a_key_names_the_tokens_their_types_and_the_model() {
        let m = model("a", "f32");
        let known = key(&m, &[1, 2, 3], &[0, 0, 1]);
        assert_eq!(known, key(&m, &[1, 2, 3], &[0, 0, 1]));
        let others = [
            key(&m, &[1, 2, 4], &[0, 0, 1]),
            key(&m, &[1, 2], &[0, 0]),
            // The same tokens, with the query ending elsewhere.
            key(&m, &[1, 2, 3], &[0, 1, 1]),
            key(&model("b", "f32"), &[1, 2, 3], &[0, 0, 1]),
            key(&model("a", "int8"), &[1, 2, 3], &[0, 0, 1]),
            key(&model("af", "32"), &[1, 2, 3], &[0, 0, 1]),
        ];
        assert!(!others.contains(&known));
    }

    #[test]
    fn a_key_names_the_label_that_the_model_is_asked_about() {
        let key = |label: Option<&str>| {
            let label = label.map(str::to_owned);
            key(&ModelIdentity { label, ..model("a", "f32") }, &[1, 2], &[0, 1])
        };
        let keys = [key(None), key(Some("yes")), key(Some("no"))];
        assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2]);
        assert_eq!(key(Some("yes")), keys[1]);
    }

    #[test]
    fn one_key_does_not_depend_on_the_one_before() {
        let pair = |n: u32| Pair { ids: vec![n; 9], types: vec![0; 9], truncated: false };
        let mut keyer = Keyer::new(&model("a", "f32"));
        let first = keyer.keyed(pair(1)).key;
        assert_ne!(keyer.keyed(pair(2)).key, first);
        assert_eq!(keyer.keyed(pair(1)).key, first);
    }
}
