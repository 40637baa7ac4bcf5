use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossrank::engine::EngineError;
use crossrank::stream::{Header, Record};
use serde_json::json;
use tokio::sync::Notify;

use crate::stage::*;

#[tokio::test(start_paused = true)]
async fn every_set_is_answered_once_and_committed() {
    let broker = broker(4);
    produce_sets(&broker, 4, 1000);
    let worker = Running::start(&broker, TestScorer::taking(Duration::from_millis(5)), settings());
    all_answered(&broker, 1000).await;
    assert_eq!(worker.counts.snapshot().sets_claimed, 1000);
    worker.stop().await.unwrap();
    assert!(answers(&broker).values().all(|&times| times == 1));
    assert_eq!(committed(&broker, 4), 1000);
    assert!(broker.records(DEAD).is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_committed_past_a_set_that_is_still_scored() {
    let broker = broker(1);
    produce_sets(&broker, 1, 10);
    let gate = Arc::new(Notify::new());
    let opened = Arc::clone(&gate);
    let scorer = TestScorer::new(move |request| {
        let gate = Arc::clone(&gate);
        async move {
            if request.query == "3" {
                gate.notified().await;
            }
            Ok(scores(&request))
        }
    });
    let worker = Running::start(&broker, scorer, settings());
    eventually(&broker, |broker| answers(broker).len() == 9).await;
    eventually(&broker, |broker| committed(broker, 1) == 3).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(committed(&broker, 1), 3);
    opened.notify_one();
    eventually(&broker, |broker| committed(broker, 1) == 10).await;
    worker.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_output_carries_key_headers_and_the_place_of_its_input() {
    let broker = broker(2);
    let input = Record {
        headers: vec![
            Header::text("traceparent", "00-1-2-01"),
            Header { name: "null".to_owned(), value: None },
            Header::text("crossrank-source", "an/earlier/1"),
            // A dead letter that was sent through again is none any more.
            Header::text("__dlq.errors.offset", "99"),
            Header::text("twice", "1"),
            Header::text("twice", "2"),
        ],
        ..set(7)
    };
    let (partition, offset) = broker.produce(INPUT, "the key", input.clone());
    let worker = Running::start(&broker, TestScorer::taking(Duration::ZERO), settings());
    all_answered(&broker, 1).await;
    worker.stop().await.unwrap();
    let output = broker.records(OUTPUT).remove(0);
    assert_eq!(output.record.key.as_deref(), Some(b"the key".as_slice()));
    let mut expected = input.headers;
    expected.drain(2..4);
    expected.push(Header::text("crossrank-source", format!("{INPUT}/{partition}/{offset}")));
    assert_eq!(output.record.headers, expected);
    let answer = json_of(&output);
    assert_eq!(answer["results"][0]["id"], "b");
    assert_eq!(answer["status"], "reranked");
}

#[tokio::test(start_paused = true)]
async fn an_expired_set_is_published_unscored() {
    let broker = broker(1);
    let set = json!({
        "request_id": "0", "query": "q", "expires_at": "2001-01-01T00:00:00Z",
        "candidates": [{"id": "a", "text": "short"}, {"id": "b", "text": "a longer one"}],
    });
    broker.produce(INPUT, 0, record(&set));
    let scorer = TestScorer::new(|_| async { unreachable!("an expired set is not scored") });
    let worker = Running::start(&broker, scorer, settings());
    all_answered(&broker, 1).await;
    assert_eq!(worker.counts.snapshot().sets_passthrough, 1);
    worker.stop().await.unwrap();
    let answer = json_of(&broker.records(OUTPUT)[0]);
    assert_eq!(answer["status"], "passthrough");
    assert_eq!(answer["results"][0]["id"], "a");
}

#[tokio::test(start_paused = true)]
async fn no_more_is_in_flight_than_sets_and_bytes_allow() {
    let at_once = async |sets_max, bytes_max| {
        let broker = broker(1);
        produce_sets(&broker, 1, 50);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&most);
        let scorer = TestScorer::new(move |request| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(10)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(scores(&request))
            }
        });
        let settings = crossrank::worker::Settings { sets_max, bytes_max, ..settings() };
        let worker = Running::start(&broker, scorer, settings);
        all_answered(&broker, 50).await;
        worker.stop().await.unwrap();
        seen.load(Ordering::SeqCst)
    };
    // The set and its two candidates count as decoded objects too.
    let cost = set(10).bytes() + 3 * 512;
    assert_eq!(at_once(3, 1 << 20).await, 3);
    assert_eq!(at_once(16, 5 * cost).await, 5);
    assert_eq!(at_once(16, 1).await, 1, "a record over the limit is taken alone");
}

#[tokio::test(start_paused = true)]
async fn stopping_finishes_what_is_begun_and_gives_back_the_rest() {
    let broker = broker(1);
    produce_sets(&broker, 1, 16);
    // The scorer has room for four sets; the others wait in line.
    let room = Arc::new(tokio::sync::Semaphore::new(4));
    let scorer = TestScorer::new(move |request| {
        let room = Arc::clone(&room);
        async move {
            let _place = room.acquire().await.unwrap();
            if !(request.wanted)() {
                return Err(EngineError::Unwanted);
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok(scores(&request))
        }
    });
    let worker = Running::start(&broker, scorer, settings());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = tokio::time::Instant::now();
    worker.stop().await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(6), "only what was begun is waited for");
    assert_eq!(answers(&broker).keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(committed(&broker, 1), 4);

    let next = Running::start(&broker, TestScorer::taking(Duration::ZERO), settings());
    all_answered(&broker, 16).await;
    next.stop().await.unwrap();
    let once: BTreeMap<usize, usize> = (0..16).map(|id| (id, 1)).collect();
    assert_eq!(answers(&broker), once);
}
