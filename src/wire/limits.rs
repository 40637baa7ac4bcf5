/// What a candidate set may be at most. Already checked by `config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a record's value; a longer one is refused.
    pub record_bytes_max: usize,
    /// Characters of a query; a longer one is refused.
    pub query_chars_max: usize,
    /// Candidates that are scored, by first-stage order; the rest is `unscored`.
    pub candidates_max: usize,
    /// Candidates above which the set is refused.
    pub candidates_refused_above: usize,
    /// Characters of a passage that are kept; the rest is dropped and the result `truncated`.
    pub passage_chars_max: usize,
}

/// How much of each candidate an answer repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Results {
    /// Everything that came in, with its rank and score.
    Full,
    /// Ids, ranks, scores and states only, to keep records small.
    Ids,
}
