//! The in-process twin.

use std::cell::Cell;
use std::time::Duration;

use crossrank::stream::{LocalBroker, LocalSink, LocalSource, Record, StoredRecord};

use crate::suite;

pub(crate) struct Harness {
    pub(crate) broker: LocalBroker,
    topics: Cell<usize>,
    is_transactional: bool,
}

// === impl Harness ===

impl Harness {
    pub(crate) fn new() -> Self {
        Self { broker: LocalBroker::new(), topics: Cell::new(0), is_transactional: false }
    }

    /// Where transactions commit.
    pub(crate) fn exactly_once() -> Self {
        Self { is_transactional: true, ..Self::new() }
    }
}

impl suite::Harness for Harness {
    type Source = LocalSource;
    type Sink = LocalSink;

    fn name(&self) -> &'static str {
        if self.is_transactional { "LocalBroker, exactly once" } else { "LocalBroker" }
    }

    async fn topic(&self, partitions: i32) -> String {
        self.topics.set(self.topics.get() + 1);
        let name = format!("topic-{}", self.topics.get());
        self.broker.create_topic(&name, partitions.unsigned_abs() as usize);
        name
    }

    async fn source(&self, group: &str, topic: &str, drain_timeout: Duration) -> LocalSource {
        let broker = self.broker.clone().drain_timeout(drain_timeout);
        match self.is_transactional {
            true => broker.exactly_once(group, topic).0,
            false => broker.source(group, topic),
        }
    }

    async fn sink(&self) -> LocalSink {
        self.broker.sink().record_bytes_max(suite::RECORD_BYTES_MAX)
    }

    async fn produce(&self, topic: &str, partition: i32, values: &[String]) {
        for value in values {
            let record = Record { value: Some(value.clone().into()), ..Record::default() };
            self.broker.produce(topic, partition, record);
        }
    }

    async fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        self.broker.committed(group, topic, partition)
    }

    async fn records(&self, topic: &str) -> Vec<StoredRecord> {
        self.broker.records(topic)
    }

    fn session_timeout(&self) -> Duration {
        Duration::from_secs(10)
    }
}
