use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;
use crate::context::{self, TokenCounter};
use crate::engine::{ModelIdentity, PairError, PairScore, Windows};

/// Scores a passage by the number it ends with; `nan` is not finite, `?` cannot be tokenised. What
/// begins with `known` comes from the cache.
struct ByNumber {
    model: ModelIdentity,
    asked: Mutex<Vec<usize>>,
    deadlines: Mutex<Vec<Option<std::time::Instant>>>,
}

impl ByNumber {
    fn new() -> Self {
        let word = |text: &str| text.to_owned();
        let model = ModelIdentity {
            id: word("by-number"),
            revision: word("1"),
            precision: word("f32"),
            backend: word("none"),
            label: None,
        };
        Self { model, asked: Mutex::default(), deadlines: Mutex::default() }
    }
}

impl Scorer for ByNumber {
    fn model(&self) -> &ModelIdentity {
        &self.model
    }

    async fn score(&self, request: ScoreRequest) -> Result<SetScores, EngineError> {
        self.asked.lock().unwrap().push(request.passages.len());
        self.deadlines.lock().unwrap().push(request.deadline.map(|deadline| deadline.at));
        if !(request.wanted)() {
            return Err(EngineError::Unwanted);
        }
        let pair = |passage: &String| {
            let last = passage.rsplit(' ').next().unwrap();
            let logit = match last {
                "?" => Err(PairError::Tokenization),
                "nan" => Err(PairError::NotFinite),
                number => Ok(number.parse().unwrap()),
            };
            let cached = passage.starts_with("known");
            // The first half wins where it says `window`; two were read.
            let best = 0..passage.len() / 2;
            PairScore {
                truncated: passage.contains("long"),
                cached,
                tokens_read: if cached { 0 } else { 10 },
                windows: passage.contains("window").then_some(Windows { count: 2, best }),
                ..PairScore::new(logit, 10)
            }
        };
        let pairs = request.passages.iter().map(pair).collect();
        Ok(SetScores { pairs, ..SetScores::nothing() })
    }
}

struct Words;

impl TokenCounter for Words {
    fn count(&self, text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn cut<'a>(&self, _text: &'a str, _tokens_max: usize) -> &'a str {
        ""
    }
}

fn reranker() -> Reranker<ByNumber> {
    let settings = AnswerSettings {
        limits: Limits {
            record_bytes_max: 1 << 20,
            query_chars_max: 1000,
            candidates_max: 5,
            candidates_refused_above: 100,
            passage_chars_max: 1000,
        },
        cuts: Cuts::default(),
        deadlines: Deadlines::default(),
        results: Results::Full,
        context: None,
    };
    Reranker::new(ByNumber::new(), settings, Arc::new(Counts::default()))
}

fn context_settings() -> context::Settings {
    context::Settings {
        tokens_max: 100,
        template: "{{ number }} {{ text }}".to_owned(),
        separator: "\n".to_owned(),
        truncate: false,
        duplicate_similarity: None,
        order: context::Order::BestFirst,
        windows: true,
    }
}

fn with_context(mut reranker: Reranker<ByNumber>) -> Reranker<ByNumber> {
    let settings = context_settings();
    reranker.settings.context = Some(Assembler::new(settings, Arc::new(Words)).unwrap());
    reranker
}

async fn answer(reranker: &Reranker<ByNumber>, mut set: Value) -> Value {
    set["request_id"] = json!("r");
    set["query"] = json!("q");
    let set = wire::decode(Some(set.to_string().as_bytes()), reranker.limits()).unwrap();
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let answered = reranker.answer(set, Box::new(|| true), now).await.unwrap();
    serde_json::from_slice(&answered.value).unwrap()
}

fn texts(texts: &[&str]) -> Value {
    let candidate = |(index, text)| json!({"id": format!("d{index}"), "text": text});
    json!({"candidates": texts.iter().enumerate().map(candidate).collect::<Vec<_>>()})
}

fn ids(answer: &Value) -> Vec<&str> {
    answer["results"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn candidates_stand_by_logit_and_ties_by_first_stage() {
    let answer = answer(&reranker(), texts(&["a 1", "b 3", "c 1", "d -2"])).await;
    assert_eq!(ids(&answer), ["d1", "d0", "d2", "d3"]);
    assert_eq!(answer["status"], "reranked");
    assert_eq!(answer["reason"], Value::Null);
    assert_eq!(answer["results"][0]["rank"], 1);
    assert_eq!(answer["results"][0]["logit"], 3.0);
    assert_eq!(answer["results"][0]["score"], 1.0 / (1.0 + (-3.0_f64).exp()));
    assert_eq!(answer["usage"]["pairs"], 4);
    assert_eq!(answer["usage"]["tokens"], 40);
    assert_eq!(answer["model"]["id"], "by-number");
}

#[tokio::test]
async fn known_pairs_count_as_scored_but_not_as_read() {
    let reranker = reranker();
    let answer = answer(&reranker, texts(&["known 1", "b 3", "known 2", "c 4", "known nan"])).await;
    assert_eq!(ids(&answer), ["d3", "d1", "d2", "d0", "d4"]);
    assert_eq!(answer["usage"]["pairs"], 4);
    assert_eq!(answer["usage"]["cache_hits"], 2, "one of the known has no score");
    assert_eq!(answer["usage"]["tokens"], 20);
    let counts = reranker.counts().snapshot();
    assert_eq!((counts.pairs_scored, counts.cache_hits, counts.tokens_scored), (4, 2, 20));
}

#[tokio::test]
async fn a_set_is_due_when_it_expires() {
    let reranker = reranker();
    let before = std::time::Instant::now();
    answer(&reranker, texts(&["a 1"])).await;
    let mut set = texts(&["a 1"]);
    // The tests' now is the start of that year.
    set["expires_at"] = json!("2026-01-01T00:00:30Z");
    answer(&reranker, set.clone()).await;
    set["expires_at"] = json!("9999-01-01T00:00:00Z");
    answer(&reranker, set).await;
    let deadlines = reranker.scorer.deadlines.lock().unwrap();
    let [None, Some(soon), Some(late)] = deadlines[..] else { panic!("{deadlines:?}") };
    let left = soon - before;
    assert!((30.0..60.0).contains(&left.as_secs_f64()), "{left:?}");
    assert!(late > soon);
}

#[tokio::test]
async fn one_bad_candidate_never_fails_its_set() {
    let reranker = reranker();
    let answer = answer(&reranker, texts(&["a nan", " \n", "b ?", "c 2", "d 5"])).await;
    assert_eq!(ids(&answer), ["d4", "d3", "d0", "d1", "d2"]);
    assert_eq!(answer["status"], "partial");
    assert_eq!(answer["results"][2]["status"], "unscored");
    let reasons = ["logit_not_finite", "empty_text", "not_tokenised"];
    for (result, reason) in answer["results"].as_array().unwrap()[2..].iter().zip(reasons) {
        assert_eq!(result["reason"], reason);
    }
    assert_eq!(reranker.scorer.asked.lock().unwrap()[..], [4], "the empty one is not sent");
    assert_eq!(answer["usage"]["pairs"], 2);
}

#[tokio::test]
async fn candidates_over_the_limit_stand_unscored_behind_the_rest() {
    let answer = answer(&reranker(), texts(&["1", "2", "3", "4", "5", "6", "7"])).await;
    assert_eq!(ids(&answer), ["d4", "d3", "d2", "d1", "d0", "d5", "d6"]);
    assert_eq!(answer["status"], "partial");
    assert_eq!(answer["reason"], "over_candidate_limit");
}

#[tokio::test]
async fn an_expired_set_passes_through_without_being_scored() {
    let reranker = with_context(reranker());
    let mut set = texts(&["a 1", "b 9"]);
    set["min_score"] = json!(0.9);
    set["expires_at"] = json!("2026-01-01T00:00:00Z");
    let expired = answer(&reranker, set.clone()).await;
    assert_eq!(ids(&expired), ["d0", "d1"]);
    assert_eq!(expired["status"], "passthrough");
    assert_eq!(expired["reason"], "expired");
    assert_eq!(expired["context"]["text"], "1 a 1\n2 b 9");
    assert!(reranker.scorer.asked.lock().unwrap().is_empty());
    set["expires_at"] = json!("2026-01-01T00:00:00.001Z");
    assert_eq!(answer(&reranker, set).await["status"], "reranked");
}

#[tokio::test]
async fn a_set_without_candidates_has_an_empty_answer() {
    let reranker = with_context(reranker());
    let answer = answer(&reranker, texts(&[])).await;
    assert_eq!(answer["results"], json!([]));
    assert_eq!(answer["status"], "reranked");
    assert_eq!(answer["context"]["text"], "");
    assert!(reranker.scorer.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_sets_own_cuts_win_over_the_configured_ones() {
    let mut reranker = reranker();
    reranker.settings.cuts = Cuts { top_n: Some(1), min_score: Some(0.5) };
    let mut set = texts(&["a 1", "b -1", "c 2", "d 3"]);
    assert_eq!(ids(&answer(&reranker, set.clone()).await), ["d3"]);
    set["top_n"] = json!(10);
    assert_eq!(ids(&answer(&reranker, set.clone()).await), ["d3", "d2", "d0"]);
    set["min_score"] = json!(0.0);
    assert_eq!(ids(&answer(&reranker, set).await), ["d3", "d2", "d0", "d1"]);
}

#[tokio::test]
async fn a_passage_in_windows_names_the_best_and_the_context_shows_it() {
    let mut reranker = with_context(reranker());
    let set = texts(&["a 1", "ä window of two halves 7"]);
    let answered = answer(&reranker, set.clone()).await;
    assert_eq!(ids(&answered), ["d1", "d0"]);
    // Twelve bytes, one character fewer.
    assert_eq!(answered["results"][0]["window"], json!({"start": 0, "end": 11}));
    assert_eq!(answered["results"][1].get("window"), None);
    assert_eq!(answered["context"]["text"], "1 ä window of\n2 a 1");
    assert_eq!(
        (&answered["usage"]["pairs"], &answered["usage"]["windows"]),
        (&json!(2), &json!(3))
    );
    assert_eq!(reranker.counts.windows_scored.get(), 3);
    reranker.settings.results = Results::Ids;
    let short = answer(&reranker, set.clone()).await;
    assert_eq!(short["results"][0]["window"], json!({"start": 0, "end": 11}));
    let whole = context::Settings { windows: false, ..context_settings() };
    reranker.settings.context = Some(Assembler::new(whole, Arc::new(Words)).unwrap());
    let whole = answer(&reranker, set).await;
    assert_eq!(whole["context"]["text"], "1 ä window of two halves 7\n2 a 1");
}

#[tokio::test]
async fn ids_only_results_still_come_with_a_context() {
    let mut reranker = with_context(reranker());
    reranker.settings.results = Results::Ids;
    let answer = answer(&reranker, texts(&["a 1", "  ", "b 2"])).await;
    assert_eq!(answer["results"][0]["text"], Value::Null);
    assert_eq!(answer["context"]["text"], "1 b 2\n2 a 1");
    assert_eq!(answer["context"]["passages"], json!(["d2", "d0"]));
}

#[tokio::test]
async fn a_set_that_is_no_longer_wanted_has_no_answer() {
    let reranker = reranker();
    let set = json!({"request_id": "r", "query": "q", "candidates": [{"id": "a", "text": "1"}]});
    let set = wire::decode(Some(set.to_string().as_bytes()), reranker.limits()).unwrap();
    let refused = reranker.answer(set, Box::new(|| false), Timestamp::now()).await;
    assert!(matches!(refused, Err(AnswerError::Engine(EngineError::Unwanted))));
}
