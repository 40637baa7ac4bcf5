use bm25::{Embedder, EmbedderBuilder, Language, Scorer};

/// BM25 over passages (Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009), with English stems and stop
/// words.
pub(crate) struct Index {
    embedder: Embedder,
    scorer: Scorer<u32>,
}

// === impl Index ===

impl Index {
    /// Reads the passages; a passage is known by its place among them.
    pub(crate) fn new(passages: &[String]) -> Self {
        let texts: Vec<&str> = passages.iter().map(String::as_str).collect();
        let embedder: Embedder =
            EmbedderBuilder::with_fit_to_corpus(Language::English, &texts).build();
        let mut scorer = Scorer::new();
        for (place, text) in (0..).zip(&texts) {
            scorer.upsert(&place, embedder.embed(text));
        }
        Self { embedder, scorer }
    }

    /// Passages that share words with a query, and their scores; the best first.
    pub(crate) fn search(&self, query: &str) -> Vec<(u32, f32)> {
        let found = self.scorer.matches(&self.embedder.embed(query));
        let mut found: Vec<_> = found.into_iter().map(|found| (found.id, found.score)).collect();
        // Equal scores come in any order.
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found
    }
}
