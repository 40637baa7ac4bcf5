//! Anything that speaks Kafka's protocol: the mock, and the real thing.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::process;
use std::time::Duration;

use bytes::Bytes;
use crossrank::kafka::{
    Delivery, GroupProtocol, InProcessCluster, KafkaSink, KafkaSource, Security, Settings,
    start_exactly_once,
};
use crossrank::stream::{Header, OffsetTracker, Record, StoredRecord};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Headers;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::kafka::{self, Kafka};
use crate::suite;

const REQUEST_MAX: Duration = Duration::from_secs(10);

pub(crate) struct Harness<'a> {
    name: &'static str,
    brokers: String,
    create: Create<'a>,
    topics: Cell<usize>,
    producer: FutureProducer,
    group_protocol: GroupProtocol,
    delivery: Delivery,
    /// One a group, to read its commits with. They never join.
    observers: RefCell<HashMap<String, BaseConsumer>>,
}

enum Create<'a> {
    Mock(&'a InProcessCluster),
    Real,
}

/// Settings that suit a test: short waits.
pub(crate) fn settings(brokers: &str, group: &str, topic: &str) -> Settings {
    Settings {
        brokers: brokers.to_owned(),
        group: group.to_owned(),
        input_topic: topic.to_owned(),
        security: Security::default(),
        group_protocol: GroupProtocol::Classic,
        instance_id: None,
        session_timeout: Duration::from_secs(3),
        drain_timeout: Duration::from_secs(5),
        rebalance_timeout: Duration::from_secs(300),
        commit_interval: Duration::from_millis(100),
        uncommitted_max: OffsetTracker::UNCOMMITTED_MAX,
        // The suite wants to see everything again that is not committed.
        keep_completed: false,
        delivery: Delivery::AtLeastOnce,
        transaction_interval: Duration::from_millis(100),
        transaction_records: 100,
        transaction_timeout: Duration::from_secs(10),
        delivery_timeout: Duration::from_secs(30),
        watchdog_timeout: Duration::from_secs(15),
        prefetch_bytes: 8 << 20,
        record_bytes_max: suite::RECORD_BYTES_MAX,
        startup_timeout: Duration::from_secs(30),
        client: Default::default(),
    }
}

// === impl Harness ===

impl<'a> Harness<'a> {
    pub(crate) fn mock(cluster: &'a InProcessCluster) -> Self {
        Self::new("MockCluster", cluster.brokers(), Create::Mock(cluster))
    }

    pub(crate) fn real(kafka: &Kafka) -> Self {
        Self::new("Apache Kafka", kafka.brokers(), Create::Real)
    }

    /// Where the brokers assign.
    pub(crate) fn brokers_assign(kafka: &Kafka) -> Self {
        let name = "Apache Kafka, consumer protocol";
        let harness = Self::new(name, kafka.brokers(), Create::Real);
        Self { group_protocol: GroupProtocol::Consumer, ..harness }
    }

    /// Where transactions commit.
    pub(crate) fn exactly_once(self) -> Self {
        Self { delivery: Delivery::ExactlyOnce, ..self }
    }

    fn new(name: &'static str, brokers: String, create: Create<'a>) -> Self {
        let producer = ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
        let (topics, observers) = (Cell::new(0), RefCell::default());
        Self {
            name,
            brokers,
            create,
            topics,
            producer,
            group_protocol: GroupProtocol::Classic,
            delivery: Delivery::AtLeastOnce,
            observers,
        }
    }

    pub(crate) fn brokers(&self) -> &str {
        &self.brokers
    }

    pub(crate) fn settings(&self, group: &str, topic: &str) -> Settings {
        let settings = settings(&self.brokers, &self.group(group, topic), topic);
        Settings {
            group_protocol: self.group_protocol,
            delivery: self.delivery,
            session_timeout: suite::Harness::session_timeout(self),
            ..settings
        }
    }

    /// Groups are as unique as topics: a cluster may be in use by others.
    fn group(&self, group: &str, topic: &str) -> String {
        format!("{group} of {topic}")
    }
}

impl suite::Harness for Harness<'_> {
    type Source = KafkaSource;
    type Sink = KafkaSink;

    fn name(&self) -> &'static str {
        self.name
    }

    fn close_min(&self) -> Duration {
        match self.delivery {
            Delivery::AtLeastOnce => Duration::ZERO,
            // A transaction counts once it is committed.
            Delivery::ExactlyOnce => Duration::from_secs(4),
        }
    }

    async fn topic(&self, partitions: i32) -> String {
        self.topics.set(self.topics.get() + 1);
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let name = format!("contract-{}-{now}-{}", process::id(), self.topics.get());
        match self.create {
            Create::Mock(cluster) => cluster.create_topic(&name, partitions).unwrap(),
            Create::Real => kafka::create_topic(&self.brokers, &name, partitions, 1).await,
        }
        name
    }

    async fn source(&self, group: &str, topic: &str, drain_timeout: Duration) -> KafkaSource {
        let mut settings = self.settings(group, topic);
        settings.drain_timeout = drain_timeout;
        match self.delivery {
            Delivery::AtLeastOnce => KafkaSource::start(&settings).unwrap(),
            // What has no output is committed by a transaction all the same.
            Delivery::ExactlyOnce => start_exactly_once(&settings).unwrap().0,
        }
    }

    async fn sink(&self) -> KafkaSink {
        KafkaSink::start(&settings(&self.brokers, "unused", "unused")).unwrap()
    }

    async fn produce(&self, topic: &str, partition: i32, values: &[String]) {
        let record =
            |value| FutureRecord::<(), String>::to(topic).partition(partition).payload(value);
        let deliveries: Vec<_> =
            values.iter().map(|value| self.producer.send_result(record(value)).unwrap()).collect();
        for delivery in deliveries {
            delivery.await.unwrap().unwrap();
        }
    }

    async fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let group = self.group(group, topic);
        let mut observers = self.observers.borrow_mut();
        let observer = observers.entry(group.clone()).or_insert_with(|| {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", &self.brokers).set("group.id", &group);
            config.create().unwrap()
        });
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let list = observer.committed_offsets(list, REQUEST_MAX).unwrap();
        match list.elements()[0].offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    }

    async fn records(&self, topic: &str) -> Vec<StoredRecord> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("group.id", "reads everything");
        config.set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), REQUEST_MAX).unwrap();
        let mut list = TopicPartitionList::new();
        let mut expected = 0;
        for partition in metadata.topics()[0].partitions() {
            let (low, high) =
                consumer.fetch_watermarks(topic, partition.id(), REQUEST_MAX).unwrap();
            expected += usize::try_from(high - low).unwrap();
            list.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let mut records = Vec::new();
        while records.len() < expected {
            let message = consumer.poll(REQUEST_MAX).expect("a record").unwrap();
            let headers = message.headers().into_iter().flat_map(Headers::iter);
            let header = |header: rdkafka::message::Header<'_, &[u8]>| Header {
                name: header.key.to_owned(),
                value: header.value.map(Bytes::copy_from_slice),
            };
            records.push(StoredRecord {
                partition: message.partition(),
                offset: message.offset(),
                record: Record {
                    key: message.key().map(Bytes::copy_from_slice),
                    value: message.payload().map(Bytes::copy_from_slice),
                    headers: headers.map(header).collect(),
                    timestamp_ms: message.timestamp().to_millis(),
                },
            });
        }
        records
    }

    fn session_timeout(&self) -> Duration {
        match self.create {
            // One thread answers for all its brokers, late where the machine is busy.
            Create::Mock(_) => Duration::from_secs(8),
            Create::Real => Duration::from_secs(3),
        }
    }
}
