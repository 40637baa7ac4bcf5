//! What the benches of the pipeline share: sets, a scorer that costs nothing, and the settings of a
//! worker.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossrank::config::{self, Config, Sources};
use crossrank::context::Assembler;
use crossrank::engine::{EngineError, ModelIdentity, PairScore, ScoreRequest, Scorer, SetScores};
use crossrank::telemetry::Counts;
use crossrank::worker::{AnswerSettings, Reranker};
use crossrank_model::TextTokenizer;
use serde_json::{Value, json};

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bytes of a passage, about.
const PASSAGE_BYTES: usize = 600;

/// The logit of a passage is its place in the request, the last one best.
pub(crate) struct NoOp(ModelIdentity);

/// Makes sets of passages, the same ones in every run.
pub(crate) struct Sets {
    words: Vec<String>,
    random: fastrand::Rng,
}

// === impl NoOp ===

impl NoOp {
    pub(crate) fn new() -> Self {
        let word = |text: &str| text.to_owned();
        Self(ModelIdentity {
            id: word("no-op"),
            revision: word("1"),
            precision: word("f32"),
            backend: word("none"),
            label: None,
        })
    }
}

impl Scorer for NoOp {
    fn model(&self) -> &ModelIdentity {
        &self.0
    }

    async fn score(&self, request: ScoreRequest) -> Result<SetScores, EngineError> {
        let pair = |place: usize| PairScore::new(Ok(place as f32 / 8.0), 150);
        Ok(SetScores {
            query_truncated: false,
            pairs: (0..request.passages.len()).map(pair).collect(),
            queue: Duration::ZERO,
            score: Duration::ZERO,
        })
    }
}

// === impl Sets ===

impl Sets {
    pub(crate) fn new() -> Self {
        let file = std::fs::read(model().join("tokenizer.json")).expect("the fixture's tokenizer");
        let tokenizer: Value = serde_json::from_slice(&file).expect("JSON");
        let vocabulary = tokenizer["model"]["vocab"].as_object().expect("a vocabulary");
        let is_word =
            |text: &&String| text.len() > 1 && text.bytes().all(|b| b.is_ascii_lowercase());
        let words = vocabulary.keys().filter(is_word).cloned().collect();
        Self { words, random: fastrand::Rng::with_seed(5) }
    }

    /// The value of a record: a set of so many candidates.
    pub(crate) fn set(&mut self, id: usize, candidates: usize) -> Vec<u8> {
        let candidate = |place: usize| {
            json!({
                "id": format!("doc-{id}-{place}"), "text": self.passage(),
                "source": "bm25", "rank": place + 1, "score": 30.0 - place as f64 * 0.37,
            })
        };
        let candidates: Vec<Value> = (0..candidates).map(candidate).collect();
        let query = "what is it that the passages are about";
        let set =
            json!({"request_id": format!("r-{id}"), "query": query, "candidates": candidates});
        serde_json::to_vec(&set).expect("a value is JSON")
    }

    fn passage(&mut self) -> String {
        let mut text = String::with_capacity(PASSAGE_BYTES + 16);
        while text.len() < PASSAGE_BYTES {
            let word = self.random.usize(..self.words.len());
            text.push_str(&self.words[word]);
            text.push_str(if self.random.u8(..12) == 0 { ". " } else { " " });
        }
        text
    }
}

/// The configuration of a worker that says no more than it must.
pub(crate) fn config(more: &[(&str, &str)]) -> Config {
    let model = model().display().to_string();
    let flag = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned(), "a flag");
    let given = [("model.path", model.as_str())];
    let flags = given.iter().chain(more).map(flag).collect();
    let sources = Sources { flags, ..Sources::default() };
    config::load(sources).and_then(|raw| raw.worker()).expect("a sound configuration")
}

/// Answers as the worker of this configuration, with scores that cost nothing.
pub(crate) fn reranker<S: Scorer>(config: &Config, scorer: S) -> Arc<Reranker<S>> {
    let reranking = &config.reranking;
    let context = reranking.context.clone().map(|settings| {
        let counter = TextTokenizer::load(&model()).expect("the fixture's tokenizer");
        Assembler::new(settings, Arc::new(counter)).expect("the default template")
    });
    let answers = AnswerSettings {
        limits: reranking.limits,
        cuts: reranking.cuts,
        deadlines: reranking.deadlines,
        results: reranking.results,
        context,
    };
    Arc::new(Reranker::new(scorer, answers, Arc::new(Counts::default())))
}

/// Whether to measure: `cargo bench` says so; `cargo test --benches`, or `-- --test`, does not.
pub(crate) fn is_measured() -> bool {
    let mut arguments = std::env::args();
    arguments.any(|argument| argument == "--bench") && !std::env::args().any(|a| a == "--test")
}

fn model() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("model/fixtures/tiny-bert")
}
