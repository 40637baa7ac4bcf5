//! The engine with a real, if tiny, model: what goes in comes out, whatever else is under way.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossrank::engine::{
    Backend, Deadline, Engine, Late, LongPassages, Model, PackerLimits, PairError, Precision,
    ScoreRequest, Scorer, SetScores, Settings, StartError, WindowScore,
};
use crossrank::telemetry::{Prometheus, Providers, Received, SetSpan, Telemetry};
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};

fn model() -> Model {
    Model::at(Path::new(env!("CARGO_MANIFEST_DIR")).join("model/fixtures/tiny-bert"))
}

fn settings() -> Settings {
    Settings {
        backend: Backend::Flex,
        precision: Precision::F32,
        kernels: crossrank::engine::Kernels::Auto,
        tokens_max: None,
        query_tokens_max: 16,
        long_passages: LongPassages::Truncate,
        replicas: Some(3),
        pin_threads: false,
        tokenizers: Some(2),
        packer: PackerLimits { batch_tokens_max: Some(256), queue_tokens_max: 2048 },
        cache_pairs_max: 0,
    }
}

/// Passages of many lengths; no two pairs are alike.
fn request(id: usize) -> ScoreRequest {
    let passage = |place: usize| {
        format!("set {id} place {place} {}", "word and thing ".repeat(id * place % 23))
    };
    ScoreRequest::new(format!("query {id}"), (0..20).map(passage).collect())
}

fn logits(scores: &SetScores) -> Vec<f32> {
    scores.pairs.iter().map(|pair| pair.logit.unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_scores_the_same_alone_and_among_many() {
    let engine = Arc::new(Engine::start(&model(), &settings()).unwrap());
    let mut alone = Vec::new();
    for id in 0..60 {
        alone.push(engine.score(request(id)).await.unwrap());
    }
    let mut together = tokio::task::JoinSet::new();
    for id in 0..60 {
        let engine = Arc::clone(&engine);
        together.spawn(async move { (id, engine.score(request(id)).await.unwrap()) });
    }
    while let Some(scored) = together.join_next().await {
        let (id, scores) = scored.unwrap();
        for (together, alone) in logits(&scores).iter().zip(logits(&alone[id])) {
            assert!((together - alone).abs() < 1e-5, "set {id}: {together} and {alone}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_and_many_give_the_same_scores() {
    let one =
        Engine::start(&model(), &Settings { replicas: Some(1), tokenizers: Some(1), ..settings() })
            .unwrap();
    let many = Engine::start(&model(), &Settings { replicas: Some(8), ..settings() }).unwrap();
    let (one, many) = tokio::join!(one.score(request(7)), many.score(request(7)));
    assert_eq!(logits(&one.unwrap()), logits(&many.unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn truncation_is_told_for_query_and_passage() {
    let engine = Engine::start(&model(), &settings()).unwrap();
    let passages = vec!["short".to_owned(), "long ".repeat(5000)];
    let scores = engine.score(ScoreRequest::new("word ".repeat(40), passages)).await.unwrap();
    assert!(scores.query_truncated);
    assert_eq!(scores.pairs.iter().map(|p| p.truncated).collect::<Vec<_>>(), [false, true]);
    let scores = engine.score(ScoreRequest::new("word", vec!["short".to_owned()])).await.unwrap();
    assert!(!scores.query_truncated);
}

/// The engine that reads long passages in windows, whose score is this.
fn in_windows(score: WindowScore, cache_pairs_max: usize) -> Engine {
    let long_passages = LongPassages::Windows { overlap_tokens: 8, windows_max: 6, score };
    let tokens_max = Some(40);
    Engine::start(&model(), &Settings { long_passages, tokens_max, cache_pairs_max, ..settings() })
        .unwrap()
}

/// What each window says is asked for by itself: as a passage of that text.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_passage_has_the_score_of_its_windows() {
    let words = ["word", "thing", "set", "place", "query", "and"];
    // Letters, so that no token is cut in two.
    let passage: Vec<&str> = (0..40).map(|n| words[n * n % 7 % words.len()]).collect();
    let passages = vec!["short".to_owned(), passage.join(" "), "set ".repeat(1000)];
    let request = || ScoreRequest::new("query", passages.clone());
    let best = in_windows(WindowScore::Best, 100);
    let scores = best.score(request()).await.unwrap();
    let windows = |place: usize| scores.pairs[place].windows.clone();
    assert_eq!(windows(0), None);
    let long = windows(1).unwrap();
    assert!((3..=6).contains(&long.count) && !scores.pairs[1].truncated, "{long:?}");
    assert!(scores.pairs[1].tokens > passages[1].split(' ').count());
    let alone = ScoreRequest::new("query", vec![passages[1].get(long.best).unwrap().to_owned()]);
    let alone = best.score(alone).await.unwrap();
    assert_eq!(alone.pairs[0].windows, None);
    assert!((logits(&alone)[0] - logits(&scores)[1]).abs() < 1e-5);
    let beyond = windows(2).unwrap();
    assert_eq!((beyond.count, scores.pairs[2].truncated), (6, true));

    let again = best.score(request()).await.unwrap();
    assert_eq!(logits(&again), logits(&scores));
    assert!(again.pairs.iter().all(|pair| pair.cached && pair.tokens_read == 0));

    let first = in_windows(WindowScore::First, 0).score(request()).await.unwrap();
    let cut = Settings { tokens_max: Some(40), ..settings() };
    let cut = Engine::start(&model(), &cut).unwrap().score(request()).await.unwrap();
    for (first, cut) in logits(&first).iter().zip(logits(&cut)) {
        assert!((first - cut).abs() < 1e-5);
    }
    let named: Vec<_> = first.pairs.iter().map(|pair| pair.windows.is_some()).collect();
    assert_eq!(named, [false, true, true]);
    assert!(cut.pairs.iter().all(|pair| pair.windows.is_none()));
    let mean = in_windows(WindowScore::MeanOfTopTwo, 0).score(request()).await.unwrap();
    assert!(logits(&mean)[1] < logits(&scores)[1] && logits(&mean)[0] == logits(&scores)[0]);
}

/// A part of its windows would be another score.
#[tokio::test(flavor = "multi_thread")]
async fn a_passage_is_late_when_one_of_its_windows_is() {
    let engine = in_windows(WindowScore::Best, 0);
    // No window is like another one, whose logit it would share.
    let passage = |n: usize| (0..20).map(|word| format!("{n}x{word} ")).collect::<String>();
    let passages: Vec<String> = (0..4000).map(passage).collect();
    let at = Instant::now() + Duration::from_millis(300);
    let deadline = Some(Deadline { at, late: Late::Trim });
    let request = ScoreRequest { deadline, ..ScoreRequest::new("query", passages) };
    let scores = engine.score(request).await.unwrap();
    assert!(scores.pairs.iter().any(|pair| pair.logit == Err(PairError::Late)));
    for pair in &scores.pairs {
        assert_eq!(pair.logit.is_ok(), pair.windows.is_some(), "{pair:?}");
        assert!(pair.logit.is_err() || pair.tokens_read == pair.tokens, "{pair:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_does_not_hold_up_the_others() {
    let engine = Arc::new(Engine::start(&model(), &settings()).unwrap());
    for id in 0..50 {
        let given_up = tokio::spawn({
            let engine = Arc::clone(&engine);
            async move { engine.score(request(id)).await }
        });
        tokio::task::yield_now().await;
        given_up.abort();
    }
    assert_eq!(engine.score(request(3)).await.unwrap().pairs.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn sets_are_served_in_the_order_of_the_calls() {
    let one = Settings { replicas: Some(1), tokenizers: Some(1), ..settings() };
    let engine = Arc::new(Engine::start(&model(), &one).unwrap());
    let (into_ended, mut ended) = tokio::sync::mpsc::channel(100);
    let calls: Vec<_> = (0..100).map(|id| (id, Arc::clone(&engine), into_ended.clone())).collect();
    // Every future is polled once, in order, before any set can be done.
    let mut calls: Vec<_> = calls
        .into_iter()
        .map(|(id, engine, ended)| {
            Box::pin(async move {
                let passages = request(50).passages;
                engine.score(ScoreRequest::new(format!("query {id}"), passages)).await.unwrap();
                ended.send(id).await.unwrap();
            })
        })
        .collect();
    let waker = std::task::Waker::noop();
    for call in &mut calls {
        let _pending = call.as_mut().poll(&mut std::task::Context::from_waker(waker));
    }
    let calls: Vec<_> = calls.into_iter().map(tokio::spawn).collect();
    for call in calls {
        call.await.unwrap();
    }
    let mut order = Vec::new();
    while let Ok(id) = ended.try_recv() {
        order.push(id);
    }
    // A batch window mixes neighbours; none is overtaken by what came much later.
    let late = order.iter().enumerate().filter(|(place, id)| place.abs_diff(**id) > 20);
    assert_eq!(late.count(), 0, "{order:?}");
}

fn bits(scores: &SetScores) -> Vec<u32> {
    logits(scores).into_iter().map(f32::to_bits).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_pair_has_the_logit_that_it_had_bit_for_bit() {
    let fresh = Engine::start(&model(), &settings()).unwrap();
    let known = Engine::start(&model(), &Settings { cache_pairs_max: 1000, ..settings() }).unwrap();
    for id in 0..20 {
        let expected = fresh.score(request(id)).await.unwrap();
        let first = known.score(request(id)).await.unwrap();
        let mut reversed = request(id);
        reversed.passages.reverse();
        let mut again = known.score(reversed).await.unwrap();
        again.pairs.reverse();
        assert!(first.pairs.iter().all(|pair| !pair.cached));
        assert!(again.pairs.iter().all(|pair| pair.cached));
        assert_eq!(bits(&first), bits(&expected));
        assert_eq!(bits(&again), bits(&expected));
        let tokens = |scores: &SetScores| scores.pairs.iter().map(|p| p.tokens).collect::<Vec<_>>();
        assert_eq!(tokens(&again), tokens(&expected));
    }
    let other = ScoreRequest::new("another query", request(3).passages);
    let other = known.score(other).await.unwrap();
    assert!(other.pairs.iter().all(|pair| !pair.cached), "the query is part of the pair");
}

async fn is_pending(future: impl Future) -> bool {
    tokio::select! {
        biased;
        _ = future => false,
        () = std::future::ready(()) => true,
    }
}

/// A request that is due so long from now.
fn due(left: Duration, late: Late, request: ScoreRequest) -> ScoreRequest {
    ScoreRequest { deadline: Some(Deadline { at: Instant::now() + left, late }), ..request }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_changes_no_score_where_there_is_time() {
    let engine = Engine::start(&model(), &settings()).unwrap();
    let expected = engine.score(request(5)).await.unwrap();
    for late in [Late::Trim, Late::Drop, Late::Score] {
        let scores = engine.score(due(Duration::from_secs(3600), late, request(5))).await.unwrap();
        assert_eq!(bits(&scores), bits(&expected));
        let past = engine.score(due(Duration::ZERO, late, request(5))).await.unwrap();
        let is_late = past.pairs.iter().all(|pair| pair.logit == Err(PairError::Late));
        assert_eq!(is_late, late != Late::Score, "{late:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_is_answered_by_its_deadline_wherever_it_waits() {
    // With one tokenizer, the second of two sets stands in line before it for long.
    for (tokenizers, queue_tokens_max) in [(1, 1), (2, 1 << 30)] {
        let packer = PackerLimits { batch_tokens_max: Some(256), queue_tokens_max };
        let one =
            Settings { replicas: Some(1), tokenizers: Some(tokenizers), packer, ..settings() };
        let engine = Engine::start(&model(), &one).unwrap();
        let passages = |set: usize| {
            (0..20_000).map(move |place| format!("{set} {place} {}", "word ".repeat(200))).collect()
        };
        let mut long = std::pin::pin!(engine.score(ScoreRequest::new("q", passages(1))));
        assert!(is_pending(long.as_mut()).await, "it is the first in line");
        for late in [Late::Trim, Late::Drop] {
            let request =
                due(Duration::from_millis(300), late, ScoreRequest::new("q", passages(2)));
            let scores = engine.score(request).await.unwrap();
            assert_eq!(scores.pairs.len(), 20_000);
            assert!(scores.pairs.iter().any(|pair| pair.logit == Err(PairError::Late)));
            let some = scores.pairs.iter().any(|pair| pair.logit.is_ok());
            assert_eq!(some, late == Late::Trim && tokenizers == 2, "{late:?}");
            assert!(is_pending(long.as_mut()).await, "no answer waits for the sets before");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn identical_pairs_are_scored_once_and_what_is_cut_off_does_not_count() {
    let engine = Engine::start(&model(), &settings()).unwrap();
    let long = "word ".repeat(400);
    let passages = vec!["A Thing".to_owned(), "a  thing".to_owned(), long.clone(), long + "more"];
    let scores = engine.score(ScoreRequest::new("query", passages)).await.unwrap();
    let cached: Vec<_> = scores.pairs.iter().map(|pair| pair.cached).collect();
    assert_eq!(cached, [false, true, false, true]);
    let logits = logits(&scores);
    assert_eq!((logits[0], logits[2]), (logits[1], logits[3]));
}

#[tokio::test(flavor = "multi_thread")]
async fn pinned_replicas_give_the_same_scores() {
    let free = Engine::start(&model(), &settings()).unwrap();
    let pinned = Engine::start(&model(), &Settings { pin_threads: true, ..settings() }).unwrap();
    let (free, pinned) = tokio::join!(free.score(request(9)), pinned.score(request(9)));
    assert_eq!(bits(&free.unwrap()), bits(&pinned.unwrap()));
}

#[test]
fn the_model_says_who_it_is() {
    let engine = Engine::start(&model(), &settings()).unwrap();
    let model = engine.model();
    assert!(model.revision.starts_with("sha256:"), "{}", model.revision);
    assert_eq!((model.precision.as_str(), model.backend.as_str()), ("f32", "flex"));
}

#[test]
fn a_start_that_fails_names_the_cause() {
    let nowhere = Model::at("/nowhere");
    let error = Engine::start(&nowhere, &settings()).map(|_| ()).unwrap_err();
    assert!(matches!(error, StartError::Model(_)));
    assert!(
        crossrank::error_text(&error).contains("/nowhere"),
        "{}",
        crossrank::error_text(&error)
    );
    let too_long = Settings { tokens_max: Some(1_000_000), ..settings() };
    let error = Engine::start(&model(), &too_long).map(|_| ()).unwrap_err();
    let asked = StartError::TokensMax { asked: 1_000_000, available: 256 };
    assert_eq!(error.to_string(), asked.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_a_span_below_one_of_its_sets_and_linked_to_all_that_are_sampled() {
    let exporter = InMemorySpanExporter::default();
    let tracers = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let providers = Providers { tracers: Some(tracers), ..Providers::default() };
    let telemetry = Telemetry::new(providers, Default::default());
    let engine = Arc::new(Engine::start(&model(), &settings()).unwrap());
    let (topic, group) = (Arc::from("sets"), Arc::from("workers"));
    let mut spans = Vec::new();
    let mut scored = tokio::task::JoinSet::new();
    for id in 0..20 {
        let offset = id as i64;
        let received = Received {
            topic: &topic,
            partition: 0,
            offset,
            group: &group,
            bytes: Some(1),
            waited: Duration::ZERO,
        };
        let span = telemetry.tracer().receive(&received, |_| None);
        let (engine, mut request) = (Arc::clone(&engine), request(id));
        request.span = span.clone();
        spans.push(span);
        scored.spawn(async move { engine.score(request).await.unwrap() });
    }
    scored.join_all().await;
    spans.iter().for_each(SetSpan::end);
    let told = exporter.get_finished_spans().unwrap();
    let of =
        |name: &str| told.iter().filter(|span| span.name.starts_with(name)).collect::<Vec<_>>();
    let (sets, tokenised, batches) = (of("process "), of("tokenise"), of("rerank "));
    assert_eq!((sets.len(), tokenised.len()), (20, 20));
    let is_set = |id| sets.iter().any(|set| set.span_context.span_id() == id);
    let mut linked = BTreeSet::new();
    for batch in &batches {
        let first = &batch.links[0].span_context;
        assert_eq!(batch.parent_span_id, first.span_id());
        assert_eq!(batch.span_context.trace_id(), first.trace_id());
        assert_eq!(batch.span_kind, SpanKind::Internal);
        linked.extend(batch.links.iter().map(|link| link.span_context.span_id().to_string()));
    }
    assert!(tokenised.iter().all(|step| is_set(step.parent_span_id)));
    assert_eq!(linked.len(), 20, "every set is linked from a batch");
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_and_the_model_are_told_as_metrics() {
    let (prometheus, reader) = Prometheus::new().unwrap();
    let meters = SdkMeterProvider::builder().with_reader(reader).build();
    let providers = Providers { meters: Some(meters), ..Providers::default() };
    let telemetry = Telemetry::new(providers, Default::default());
    let counts = Arc::default();
    telemetry.collect(&counts);
    let engine = Engine::start_counting(&model(), &settings(), &counts).unwrap();
    engine.score(request(1)).await.unwrap();
    let text = prometheus.text().unwrap();
    for line in [
        "crossrank_batch_pairs_sum 20",
        r#"crossrank_stage_duration_seconds_count{crossrank_stage="tokenise"} 1"#,
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
    }
    for begin in [
        "crossrank_worker_info{",
        "crossrank_model_load_duration_seconds ",
        "crossrank_queue_tokens ",
    ] {
        assert!(text.lines().any(|one| one.starts_with(begin)), "{begin} is not in\n{text}");
    }
}
