//! A source that is wrong on purpose: it commits the highest settled offset.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossrank::stream::{
    AckHandle, Claimed, LocalSink, LocalSource, Outcome, RecordSource, Settled, SourceError,
    StoredRecord,
};

use crate::{local, suite};

pub(crate) struct Harness(pub(crate) local::Harness);

/// Settles everything below a settled record as well.
pub(crate) struct Hasty {
    honest: LocalSource,
    open: Arc<Mutex<BTreeMap<i64, AckHandle>>>,
}

impl RecordSource for Hasty {
    async fn claim(&mut self) -> Result<Claimed, SourceError> {
        let Claimed { record, ack } = self.honest.claim().await?;
        let position = ack.position().clone();
        self.open.lock().unwrap().insert(position.offset, ack);
        let open = Arc::clone(&self.open);
        let settle = Arc::new(move |settled: Settled| {
            let mut open = open.lock().unwrap();
            let above = open.split_off(&(settled.position.offset + 1));
            let below = std::mem::replace(&mut *open, above);
            drop(open);
            for ack in below.into_values() {
                match settled.outcome {
                    Outcome::Published => ack.published(),
                    Outcome::Returned | Outcome::Abandoned => ack.returned(),
                }
            }
        });
        Ok(Claimed { record, ack: AckHandle::new(position, Arc::default(), settle) })
    }

    async fn close(self, drain_max: Duration) -> Result<(), SourceError> {
        self.honest.close(drain_max).await
    }
}

impl suite::Harness for Harness {
    type Source = Hasty;
    type Sink = LocalSink;

    fn name(&self) -> &'static str {
        "a hasty source"
    }

    async fn topic(&self, partitions: i32) -> String {
        self.0.topic(partitions).await
    }

    async fn source(&self, group: &str, topic: &str, drain_timeout: Duration) -> Hasty {
        let honest = self.0.source(group, topic, drain_timeout).await;
        Hasty { honest, open: Arc::default() }
    }

    async fn sink(&self) -> LocalSink {
        self.0.sink().await
    }

    async fn produce(&self, topic: &str, partition: i32, values: &[String]) {
        self.0.produce(topic, partition, values).await;
    }

    async fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        self.0.committed(group, topic, partition).await
    }

    async fn records(&self, topic: &str) -> Vec<StoredRecord> {
        self.0.records(topic).await
    }

    fn session_timeout(&self) -> Duration {
        self.0.session_timeout()
    }
}
