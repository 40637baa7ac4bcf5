use std::time::Duration;

use crossrank::worker::{BreakerSettings, Settings, WorkerError};
use serde_json::json;

use crate::stage::*;

fn breaking(run_max: Option<usize>, share_max: Option<f64>) -> Settings {
    let breaker = BreakerSettings { run_max, share_max, window: 40 };
    Settings { breaker, ..settings() }
}

#[tokio::test(start_paused = true)]
async fn a_run_of_bad_records_stops_the_worker_which_finishes_what_is_begun() {
    let broker = broker(1);
    produce_sets(&broker, 1, 10);
    for _ in 0..1000 {
        broker.produce(INPUT, 0, record(&json!("not a set")));
    }
    let scorer = TestScorer::taking(Duration::from_secs(1));
    let worker = Running::start(&broker, scorer, breaking(Some(20), None));
    let error = worker.ended().await;
    assert!(matches!(error, WorkerError::TooManyBad { .. }), "{error}");
    let told = error.to_string();
    for part in ["20 records one after another", "20 wrong_type", "replay", "breaker_run_max"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let letters = broker.records(DEAD).len();
    assert!(letters < 200, "{letters} were set aside before it stopped");
    assert_eq!(answers(&broker).len(), 10);
    assert_eq!(committed(&broker, 1), 10 + letters as i64, "what was settled is committed");
}

#[tokio::test(start_paused = true)]
async fn a_share_of_bad_records_stops_the_worker() {
    let broker = broker(1);
    for id in 0..300 {
        let bad = id % 10 >= 3;
        broker.produce(INPUT, 0, if bad { record(&json!("not a set")) } else { set(id) });
    }
    let scorer = TestScorer::taking(Duration::from_millis(20));
    let worker = Running::start(&broker, scorer, breaking(Some(20), Some(0.6)));
    let told = worker.ended().await.to_string();
    assert!(told.contains("of the last 40 records are bad"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn bad_records_between_good_ones_stop_nothing() {
    let broker = broker(1);
    for id in 0..400 {
        let bad = id % 2 == 0;
        broker.produce(INPUT, 0, if bad { record(&json!("not a set")) } else { set(id) });
    }
    // Good ones take long: the bad ones end first, many at once.
    let scorer = TestScorer::taking(Duration::from_secs(1));
    let worker = Running::start(&broker, scorer, breaking(Some(2), Some(0.5)));
    eventually(&broker, |broker| committed(broker, 1) == 400).await;
    worker.stop().await.unwrap();
    assert_eq!(broker.records(DEAD).len(), 200);
}
