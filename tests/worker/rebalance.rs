use std::time::Duration;

use crossrank::stream::PublishFailure;

use crate::stage::*;

#[tokio::test(start_paused = true)]
async fn workers_that_come_and_go_lose_nothing() {
    let broker = broker(6);
    produce_sets(&broker, 6, 3000);
    let scorer = || TestScorer::taking(Duration::from_millis(20));
    let mut workers = vec![Running::start(&broker, scorer(), settings())];
    for round in 1..=4 {
        eventually(&broker, |broker| answers(broker).len() >= round * 500).await;
        workers.push(Running::start(&broker, scorer(), settings()));
        eventually(&broker, |broker| answers(broker).len() >= round * 500 + 250).await;
        workers.remove(0).stop().await.unwrap();
    }
    all_answered(&broker, 3000).await;
    for worker in workers {
        worker.stop().await.unwrap();
    }
    assert_eq!(committed(&broker, 6), 3000);
    let repeated = answers(&broker).values().filter(|&&times| times > 1).count();
    // Work that is begun is drained before a partition moves, and what is not begun is returned.
    assert_eq!(repeated, 0);
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_goes_does_not_wait_for_an_output_topic_that_is_down() {
    let broker = broker(2).drain_timeout(Duration::from_secs(300));
    produce_sets(&broker, 2, 20);
    broker.fail_next_publish(OUTPUT, PublishFailure::Retryable, 200);
    let scorer = || TestScorer::taking(Duration::ZERO);
    let first = Running::start(&broker, scorer(), settings());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = tokio::time::Instant::now();
    let second = Running::start(&broker, scorer(), settings());
    eventually(&broker, |_| second.counts.snapshot().sets_claimed > 0).await;
    // The wait that was under way is ended, and no other one begun.
    assert!(asked.elapsed() <= settings().retry_wait_max, "{:?}", asked.elapsed());
    all_answered(&broker, 20).await;
    first.stop().await.unwrap();
    second.stop().await.unwrap();
    assert_eq!(committed(&broker, 2), 20);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_while_another_joins_loses_nothing() {
    let broker = broker(4);
    produce_sets(&broker, 4, 1000);
    let scorer = || TestScorer::taking(Duration::from_millis(20));
    let first = Running::start(&broker, scorer(), settings());
    eventually(&broker, |broker| answers(broker).len() >= 100).await;
    let second = Running::start(&broker, scorer(), settings());
    eventually(&broker, |broker| answers(broker).len() >= 200).await;
    first.kill().await;
    all_answered(&broker, 1000).await;
    second.stop().await.unwrap();
    assert_eq!(committed(&broker, 4), 1000);
}
