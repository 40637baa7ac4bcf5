use std::time::Duration;

use crossrank::engine::EngineError;
use crossrank::stream::{PublishFailure, Record, SourceError};
use crossrank::worker::WorkerError;
use serde_json::json;

use crate::stage::*;

/// A worker that stopped loses nothing: the next one answers what is left.
async fn the_next_worker_answers_everything(broker: &crossrank::stream::LocalBroker, count: usize) {
    let next = Running::start(broker, TestScorer::taking(Duration::ZERO), settings());
    all_answered(broker, count).await;
    next.stop().await.unwrap();
    assert_eq!(committed(broker, 1), count as i64);
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_may_succeed_is_tried_again_until_it_does() {
    let broker = broker(1);
    broker.fail_next_publish(OUTPUT, PublishFailure::Retryable, 25);
    produce_sets(&broker, 1, 1);
    let worker = Running::start(&broker, TestScorer::taking(Duration::ZERO), settings());
    all_answered(&broker, 1).await;
    assert_eq!(worker.counts.snapshot().publish_retries, 25);
    worker.stop().await.unwrap();
    assert_eq!(committed(&broker, 1), 1);
}

#[tokio::test(start_paused = true)]
async fn an_output_that_is_refused_becomes_a_dead_letter() {
    let broker = broker(1);
    broker.fail_next_publish(OUTPUT, PublishFailure::Refused, 1);
    produce_sets(&broker, 1, 2);
    let worker = Running::start(&broker, TestScorer::taking(Duration::ZERO), settings());
    eventually(&broker, |broker| committed(broker, 1) == 2).await;
    worker.stop().await.unwrap();
    let letters = broker.records(DEAD);
    assert_eq!(letters.len(), 1);
    let letter = &letters[0].record;
    assert_eq!(letter.header("crossrank.dlq.stage").unwrap().as_ref(), b"publish");
    assert_eq!(letter.header("crossrank.dlq.code").unwrap().as_ref(), b"output_refused");
    assert_eq!(answers(&broker).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_tells_how_often_the_output_was_tried() {
    let broker = broker(1);
    broker.fail_next_publish(OUTPUT, PublishFailure::Retryable, 4);
    broker.fail_next_publish(OUTPUT, PublishFailure::Refused, 1);
    produce_sets(&broker, 1, 1);
    let worker = Running::start(&broker, TestScorer::taking(Duration::ZERO), settings());
    eventually(&broker, |broker| committed(broker, 1) == 1).await;
    worker.stop().await.unwrap();
    let letter = &broker.records(DEAD)[0].record;
    assert_eq!(letter.header("crossrank.dlq.attempts").unwrap().as_ref(), b"5");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_committed_before_the_dead_letter_is_acknowledged() {
    let broker = broker(1);
    broker.produce(INPUT, 0, record(&json!("not a set")));
    produce_sets(&broker, 1, 1);
    broker.fail_next_publish(DEAD, PublishFailure::Retryable, 20);
    let worker = Running::start(&broker, TestScorer::taking(Duration::ZERO), settings());
    all_answered(&broker, 1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!((5..20).contains(&worker.counts.snapshot().publish_retries));
    assert_eq!(committed(&broker, 1), 0);
    eventually(&broker, |broker| committed(broker, 1) == 2).await;
    assert_eq!(broker.records(DEAD).len(), 1);
    worker.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_is_too_large_goes_without_its_value() {
    let broker = broker(1);
    let bad = Record { timestamp_ms: Some(1), ..record(&json!("not a set")) };
    broker.produce(INPUT, 0, bad);
    produce_sets(&broker, 1, 1);
    broker.fail_next_publish(DEAD, PublishFailure::Refused, 1);
    let worker = Running::start(&broker, TestScorer::taking(Duration::ZERO), settings());
    eventually(&broker, |broker| committed(broker, 1) == 2).await;
    worker.stop().await.unwrap();
    let letter = &broker.records(DEAD)[0].record;
    assert_eq!(letter.value, None);
    assert_eq!(letter.header("crossrank.dlq.value_bytes").unwrap().as_ref(), b"11");
    assert_eq!(letter.header("crossrank.dlq.code").unwrap().as_ref(), b"wrong_type");
    assert_eq!(letter.timestamp_ms, None, "retention counts from when it was set aside");
}

#[tokio::test(start_paused = true)]
async fn a_refused_dead_letter_stops_the_worker_and_commits_nothing() {
    let broker = broker(1);
    broker.produce(INPUT, 0, record(&json!("not a set")));
    broker.fail_next_publish(DEAD, PublishFailure::Refused, 2);
    let worker = Running::start(&broker, TestScorer::taking(Duration::ZERO), settings());
    let error = worker.ended().await;
    assert!(matches!(error, WorkerError::DeadLetterRefused { .. }), "{error}");
    assert_eq!(committed(&broker, 1), 0);
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_failed_for_good_stops_the_worker() {
    let broker = broker(1);
    produce_sets(&broker, 1, 10);
    broker.fail_next_publish(OUTPUT, PublishFailure::Fatal, 1);
    let worker = Running::start(&broker, TestScorer::taking(Duration::ZERO), settings());
    let error = worker.ended().await;
    assert!(matches!(error, WorkerError::Record { .. }), "{error}");
    the_next_worker_answers_everything(&broker, 10).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_engine_stops_the_worker() {
    let broker = broker(1);
    produce_sets(&broker, 1, 10);
    let scorer = TestScorer::new(|request| async move {
        if request.query == "5" {
            return Err(EngineError::Lost { reason: "device lost".to_owned() });
        }
        Ok(scores(&request))
    });
    let error = Running::start(&broker, scorer, settings()).ended().await;
    let text = crossrank::error_text(&error);
    assert!(text.contains("device lost") && text.contains("candidates/0/5"), "{text}");
    assert!(committed(&broker, 1) <= 5);
    the_next_worker_answers_everything(&broker, 10).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_stops_the_worker_instead_of_losing_a_set() {
    let broker = broker(1);
    produce_sets(&broker, 1, 3);
    let scorer = TestScorer::new(|request| async move {
        assert_ne!(request.query, "1", "made up");
        Ok(scores(&request))
    });
    let error = Running::start(&broker, scorer, settings()).ended().await;
    assert!(matches!(error, WorkerError::Panicked(_)), "{error}");
    assert!(committed(&broker, 1) <= 1);
    the_next_worker_answers_everything(&broker, 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_at_its_deadline_even_if_a_set_does_not() {
    let broker = broker(1);
    produce_sets(&broker, 1, 1);
    let scorer = TestScorer::new(|_| std::future::pending());
    let worker = Running::start(&broker, scorer, settings());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = tokio::time::Instant::now();
    let error = worker.stop().await.unwrap_err();
    assert!(asked.elapsed() <= settings().shutdown_timeout + Duration::from_secs(1));
    let deadline =
        matches!(error, WorkerError::Source(SourceError::DrainDeadline { unsettled: 1 }));
    assert!(deadline, "{error:?}");
    the_next_worker_answers_everything(&broker, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_worker_loses_nothing() {
    let broker = broker(1);
    produce_sets(&broker, 1, 200);
    let worker = Running::start(&broker, TestScorer::taking(Duration::from_millis(10)), settings());
    eventually(&broker, |broker| answers(broker).len() > 50).await;
    worker.kill().await;
    let before = answers(&broker).len();
    assert!(before < 200);
    the_next_worker_answers_everything(&broker, 200).await;
    let twice = answers(&broker).values().filter(|&&times| times > 1).count();
    assert!(twice <= settings().sets_max, "{twice} sets were answered twice");
}
