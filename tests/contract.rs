//! One suite over every broker that the worker may meet: the in-process twin, librdkafka's mock,
//! and a real Apache Kafka. A double counts only if it passes what the real thing passes.

#[path = "contract/cluster.rs"]
mod cluster;
#[path = "contract/completed.rs"]
mod completed;
#[path = "contract/forged.rs"]
mod forged;
#[path = "contract/hasty.rs"]
mod hasty;
#[path = "support/kafka.rs"]
mod kafka;
#[path = "contract/lag.rs"]
mod lag;
#[path = "contract/leaving.rs"]
mod leaving;
#[path = "contract/local.rs"]
mod local;
#[path = "contract/members.rs"]
mod members;
#[path = "contract/network.rs"]
mod network;
#[path = "contract/outages.rs"]
mod outages;
#[path = "contract/records.rs"]
mod records;
#[path = "contract/start.rs"]
mod start;
#[path = "contract/stuck.rs"]
mod stuck;
#[path = "contract/suite.rs"]
mod suite;
#[path = "contract/transactions.rs"]
mod transactions;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crossrank::kafka::InProcessCluster;

#[tokio::test(start_paused = true)]
async fn the_local_broker_keeps_the_contract() {
    suite::all(&local::Harness::new()).await;
    suite::all(&local::Harness::exactly_once()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mock_cluster_keeps_the_contract() {
    show_logs();
    let cluster = InProcessCluster::start(&[]).unwrap();
    suite::all(&cluster::Harness::mock(&cluster)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_kafka_keeps_the_contract() {
    show_logs();
    let Some(kafka) = kafka::Kafka::start() else {
        return;
    };
    let harness = cluster::Harness::real(&kafka);
    suite::all(&harness).await;
    leaving::in_the_middle_of_a_revocation(&harness).await;
    completed::is_not_read_again(&harness).await;
    completed::in_the_words_of_others_is_ignored(&harness).await;
    completed::is_bounded(&harness).await;
    members::come_back_to_their_partitions(&harness).await;
    lag::grows_while_nothing_is_fetched(&harness).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_kafka_that_assigns_by_itself_keeps_the_contract() {
    show_logs();
    let Some(kafka) = kafka::Kafka::start() else {
        return;
    };
    let harness = cluster::Harness::brokers_assign(&kafka);
    suite::all(&harness).await;
    completed::is_not_read_again(&harness).await;
    let harness = harness.exactly_once();
    transactions::make_outputs_and_commits_visible_together(&harness).await;
    transactions::move_on_with_their_partition(&harness).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_kafka_with_transactions_keeps_the_contract() {
    show_logs();
    let Some(kafka) = kafka::Kafka::start() else {
        return;
    };
    let harness = cluster::Harness::real(&kafka).exactly_once();
    transactions::make_outputs_and_commits_visible_together(&harness).await;
    transactions::hold_what_stands_above_a_hole(&harness).await;
    transactions::go_on_without_what_is_refused(&harness).await;
    transactions::outlive_a_producer_that_is_fenced(&harness).await;
    transactions::move_on_with_their_partition(&harness).await;
    suite::all(&harness).await;
}

/// A suite that cannot fail proves nothing.
#[test]
fn a_source_that_commits_the_highest_settled_offset_breaks_the_contract() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let honest = local::Harness::new();
    runtime.block_on(suite::a_hole_holds_the_commit_and_is_read_again(&honest));
    let hasty = hasty::Harness(local::Harness::new());
    let broken = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(suite::a_hole_holds_the_commit_and_is_read_again(&hasty));
    }));
    assert!(broken.is_err(), "the suite did not notice");
}

/// Shows logs of the code under test where `RUST_LOG` asks for them.
fn show_logs() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer();
    // Whichever test is first sets it for all.
    let _set = logs.try_init();
}

/// How long anything may take that is only waited for.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Waits until `condition` holds.
async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + WAIT_MAX;
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
