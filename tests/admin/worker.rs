//! What a worker in this process tells of itself.

use std::time::Duration;

use crossrank::telemetry::Pulse;
use serde_json::Value;

use crate::client::{Events, get};
use crate::http::{Port, model};
use crate::stage::{
    DEAD, Running, TestScorer, all_answered, broker, eventually, produce_sets, record,
    reranker_counting, settings,
};

/// What is shown once `condition` holds of it.
fn shown(port: &Port, condition: impl Fn(&Value) -> bool) -> Value {
    let mut events = Events::open(port.address());
    // An event comes every second; what is not there in a minute does not come.
    let mut told = std::iter::from_fn(|| events.next().map(|(_, state)| state)).take(60);
    let mut kept = told.next().expect("the whole state");
    while !condition(&kept) {
        let mut news = told.next().expect("news");
        for list in ["sets", "notices"] {
            let more = news[list].as_array_mut().unwrap().drain(..).collect::<Vec<_>>();
            kept[list].as_array_mut().unwrap().extend(more);
        }
        kept["totals"] = news["totals"].take();
        kept["stages"] = news["stages"].take();
    }
    kept
}

fn count(state: &Value, list: &str) -> usize {
    state[list].as_array().unwrap().len()
}

#[tokio::test(start_paused = true)]
async fn a_worker_is_ready_while_it_works_and_neither_before_nor_after() {
    let port = Port::open(None, None);
    let ready = || get(port.address(), "/readyz");
    let board = &port.counts.board;
    assert_eq!(ready().status, 503);
    board.model_is_warm(model(), Pulse::default().into());
    board.producer_reached.anew();
    board.joined.anew();
    let starting = ready();
    assert_eq!(starting.status, 503);
    assert!(starting.body.ends_with("[-] worker: starting\n"), "{starting:?}");

    let broker = broker(1);
    let scorer = TestScorer::taking(Duration::from_millis(1));
    let reranker = reranker_counting(scorer, port.counts.clone());
    let worker = Running::answering(&broker, reranker, settings());
    produce_sets(&broker, 1, 3);
    all_answered(&broker, 3).await;
    assert_eq!(ready().status, 200, "{:?}", ready());
    worker.stop().await.unwrap();
    let stopping = ready();
    assert_eq!(stopping.status, 503);
    assert!(stopping.body.contains("[-] worker: stopping"), "{stopping:?}");
    assert_eq!(get(port.address(), "/livez").status, 200, "what drains is not killed");
}

#[tokio::test(start_paused = true)]
async fn sets_are_shown_with_their_order_before_and_after_and_without_texts() {
    let port = Port::open(None, None);
    let broker = broker(1);
    let reranker = reranker_counting(TestScorer::taking(Duration::ZERO), port.counts.clone());
    let worker = Running::answering(&broker, reranker, settings());
    produce_sets(&broker, 1, 2);
    all_answered(&broker, 2).await;
    worker.stop().await.unwrap();
    let state = shown(&port, |state| count(state, "sets") == 2);
    let set = &state["sets"][1];
    assert_eq!((&set["topic"], &set["partition"]), (&"candidates".into(), &0.into()));
    assert_eq!((&set["status"], &set["candidates"]), (&"reranked".into(), &2.into()));
    let order = |of: &str| {
        let placed = set[of].as_array().unwrap().iter();
        let told = placed.map(|p| format!("{} {}", p["id"].as_str().unwrap(), p["first"]));
        told.collect::<Vec<_>>()
    };
    assert_eq!(order("before"), ["a 1", "b 2"]);
    assert_eq!(order("after"), ["b 2", "a 1"], "each with its rank in the first stage");
    assert_eq!(set["displacement"], 1.0);
    assert!(set["after"][0]["score"].as_f64().unwrap() > 0.5);
    let all = state.to_string();
    assert!(!all.contains("a longer one") && !all.contains("short"), "{all}");
    assert!(set.get("query").is_none());
    let stages = state["stages"].as_array().unwrap();
    let seen = stages.iter().filter(|stage| stage["count"] == 2);
    let seen: Vec<&str> = seen.map(|stage| stage["name"].as_str().unwrap()).collect();
    assert_eq!(seen, ["decode", "queue", "score", "assemble", "publish", "whole"]);
}

#[tokio::test(start_paused = true)]
async fn texts_are_shown_where_they_may_be() {
    let port = Port::showing_texts();
    let broker = broker(1);
    let reranker = reranker_counting(TestScorer::taking(Duration::ZERO), port.counts.clone());
    let worker = Running::answering(&broker, reranker, settings());
    produce_sets(&broker, 1, 1);
    all_answered(&broker, 1).await;
    worker.stop().await.unwrap();
    let state = shown(&port, |state| count(state, "sets") == 1);
    let set = &state["sets"][0];
    assert_eq!(set["query"], "0");
    assert_eq!(set["after"][0]["text"], "a longer one");
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_shown_by_its_code_and_place_and_never_by_its_text() {
    let port = Port::showing_texts();
    let broker = broker(1);
    let reranker = reranker_counting(TestScorer::taking(Duration::ZERO), port.counts.clone());
    let worker = Running::answering(&broker, reranker, settings());
    let candidates = [serde_json::json!({"id": "a", "text": "a secret passage"})];
    let bad = serde_json::json!({
        "request_id": "r-17", "query": ["a secret question"], "candidates": candidates,
    });
    broker.produce(crate::stage::INPUT, 0, record(&bad));
    eventually(&broker, |broker| broker.records(DEAD).len() == 1).await;
    worker.stop().await.unwrap();
    let state = shown(&port, |state| count(state, "notices") == 1);
    let letter = &state["notices"][0];
    assert_eq!((&letter["kind"], &letter["code"]), (&"dead_letter".into(), &"wrong_type".into()));
    assert_eq!(letter["position"], "candidates/0/0");
    assert!(!state.to_string().contains("a secret"), "{state}");
    assert_eq!(state["totals"]["dead_letters"], 1);
}
