//! Lag, as gauges and the page tell it.

use std::sync::Arc;
use std::time::Duration;

use crossrank::kafka::KafkaSource;
use crossrank::stream::RecordSource;
use crossrank::telemetry::Counts;
use crossrank::telemetry::board::PartitionNow;

use crate::cluster::Harness;
use crate::suite::Harness as _;
use crate::until;

/// More than a consumer reads ahead.
const RECORDS: usize = 3_000;

/// A consumer that has read ahead as far as it may fetches no more, and hears of no end with it.
pub(crate) async fn grows_while_nothing_is_fetched(h: &Harness<'_>) {
    let topic = h.topic(1).await;
    let values = |from: usize| (from..from + RECORDS).map(|n| n.to_string()).collect::<Vec<_>>();
    h.produce(&topic, 0, &values(0)).await;
    let counts = Arc::new(Counts::default());
    let source = KafkaSource::start_counting(&h.settings("lagging", &topic), &counts).unwrap();
    let lag = || counts.board.partitions().first().and_then(PartitionNow::lag);
    until("the lag", async || lag() == Some(RECORDS as u64)).await;
    h.produce(&topic, 0, &values(RECORDS)).await;
    until("the lag of what is not fetched", async || lag() == Some(2 * RECORDS as u64)).await;
    source.close(Duration::ZERO).await.unwrap();
}
