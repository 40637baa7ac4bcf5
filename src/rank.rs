//! Logits → order, scores, cut-offs. Pure.

/// What is left out of an answer, where the candidate set does not say so itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cuts {
    /// At most this many results.
    pub top_n: Option<usize>,
    /// Scored results below this score (after the sigmoid, 0 to 1) are left out.
    pub min_score: Option<f64>,
}
