/// Tokenised pairs laid end to end, without padding: the only batch type there is.
///
/// Pair `i` is `ids[offsets[i]..offsets[i + 1]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedBatch {
    ids: Vec<u32>,
    types: Vec<u8>,
    offsets: Vec<u32>,
}

// === impl PackedBatch ===

impl PackedBatch {
    /// A batch of no pairs, with room for `tokens` tokens.
    pub fn with_capacity(tokens: usize) -> Self {
        Self {
            ids: Vec::with_capacity(tokens),
            types: Vec::with_capacity(tokens),
            offsets: vec![0],
        }
    }

    /// Drops the pairs and keeps the memory.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.types.clear();
        self.offsets.truncate(1);
    }

    /// Adds one pair, special tokens included. Both slices are as long as the pair.
    ///
    /// # Panics
    /// If the slices differ in length or are empty.
    pub fn push(&mut self, ids: &[u32], types: &[u8]) {
        assert_eq!(ids.len(), types.len(), "every token has a type");
        assert!(!ids.is_empty(), "a pair has at least its special tokens");
        self.ids.extend_from_slice(ids);
        self.types.extend_from_slice(types);
        self.offsets.push(u32::try_from(self.ids.len()).expect("a batch is far below 4 Gi tokens"));
    }

    /// Vocabulary ids of all tokens, `[tokens]`.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Segment of each token, 0 for the query and 1 for the passage, `[tokens]`.
    pub fn types(&self) -> &[u8] {
        &self.types
    }

    /// Where each pair starts, and where the last one ends, `[pairs + 1]`.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// Pairs in the batch.
    pub fn pairs(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Tokens in the batch.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Tokens of each pair, in order.
    pub fn lengths(&self) -> impl Iterator<Item = usize> {
        self.offsets.windows(2).map(|w| (w[1] - w[0]) as usize)
    }
}
