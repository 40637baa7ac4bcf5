/// How the prompt-ready text is put together. Already checked by `config`.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Tokens of the whole text, separators included.
    pub tokens_max: usize,
    /// A minijinja template for one passage. It sees `number` (from 1), `id`, `title`, `text`,
    /// `source` and `score`; those that a passage lacks are undefined.
    pub template: String,
    /// Stands between two passages.
    pub separator: String,
    /// Whether the last passage may be cut to what is left of the budget.
    pub truncate: bool,
    /// Passages at least this similar to a better one are left out, 0 to 1; `None` keeps all.
    pub duplicate_similarity: Option<f64>,
    /// Where the best passages stand.
    pub order: Order,
    /// Whether a passage that was scored in windows stands there with the best of them only.
    pub windows: bool,
}

/// Where the best passages stand in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The best first.
    BestFirst,
    /// The best at both ends, the weakest in the middle (Liu et al. 2023, "Lost in the Middle").
    BestAtEdges,
}
