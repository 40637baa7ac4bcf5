use std::ops::Range;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_json::json;

use crate::kafka::{self, Kafka};

/// How long anything may take that is only waited for.
const WAIT_MAX: Duration = Duration::from_secs(180);
const REQUEST_MAX: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// A broker with topics of their own for one test.
pub(crate) struct Stage {
    // Ends with the test.
    pub(crate) kafka: Kafka,
    pub(crate) brokers: String,
    pub(crate) group: String,
    pub(crate) input: String,
    pub(crate) output: String,
    pub(crate) dead: String,
    partitions: i32,
    observer: BaseConsumer,
    producer: BaseProducer,
}

/// An output record.
pub(crate) struct Output {
    pub(crate) value: Vec<u8>,
    pub(crate) source: String,
}

/// A dead letter.
pub(crate) struct Letter {
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: OwnedHeaders,
}

// === impl Stage ===

impl Stage {
    /// `None` where there is no Kafka to be had, which has been said.
    pub(crate) fn set(name: &str, partitions: i32) -> Option<Self> {
        let kafka = Kafka::start()?;
        let unique = format!("{name}-{}", std::process::id());
        let topic = |kind: &str| format!("{unique}.{kind}");
        let (input, output, dead) = (topic("candidates"), topic("contexts"), topic("dead"));
        let brokers = kafka.brokers();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for topic in [&input, &output, &dead] {
            runtime.block_on(kafka::create_topic(&brokers, topic, partitions, 1));
        }
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &brokers).set("group.id", &unique);
        config.set("enable.auto.commit", "false").set("enable.partition.eof", "true");
        let observer = config.create().unwrap();
        let producer =
            ClientConfig::new().set("bootstrap.servers", &brokers).set("linger.ms", "5").create();
        let producer = producer.unwrap();
        let group = unique;
        Some(Self { kafka, brokers, group, input, output, dead, partitions, observer, producer })
    }

    /// Sends sets with these ids, keyed, and waits until they are acknowledged.
    pub(crate) fn produce(&self, ids: Range<usize>) {
        for id in ids {
            self.send(&id.to_string(), Some(set(id).as_bytes()));
        }
        self.producer.flush(REQUEST_MAX).unwrap();
    }

    /// Sends sets that are large, and waits until they are acknowledged. No pair is like another, even
    /// where only the first tokens are read.
    pub(crate) fn produce_large(&self, ids: Range<usize>, candidates: usize, chars: usize) {
        let text = "a passage that goes on and on ".repeat(chars / 30);
        let candidate =
            |id: usize| json!({"id": id.to_string(), "text": format!("{id} is {text}")});
        let candidates: Vec<_> = (0..candidates).map(candidate).collect();
        for id in ids {
            let set = json!({
                "request_id": id.to_string(),
                "query": format!("{id}, how long"),
                "candidates": candidates,
            });
            self.send(&id.to_string(), Some(set.to_string().as_bytes()));
        }
        self.producer.flush(REQUEST_MAX).unwrap();
    }

    /// Sends one record, and waits until it is acknowledged.
    pub(crate) fn produce_one(&self, key: &str, value: Option<&[u8]>) {
        self.send(key, value);
        self.producer.flush(REQUEST_MAX).unwrap();
    }

    /// Sends a set with these headers, and waits until it is acknowledged.
    pub(crate) fn produce_with(&self, set: &str, headers: &[(&str, &str)]) {
        self.send_with("headed", Some(set.as_bytes()), headers);
        self.producer.flush(REQUEST_MAX).unwrap();
    }

    fn send(&self, key: &str, value: Option<&[u8]>) {
        self.send_with(key, value, &[]);
    }

    fn send_with(&self, key: &str, value: Option<&[u8]>, more: &[(&str, &str)]) {
        loop {
            let header = Header { key: "sent-as", value: Some(key) };
            let headers =
                more.iter().fold(OwnedHeaders::new().insert(header), |headers, (key, value)| {
                    headers.insert(Header { key, value: Some(*value) })
                });
            let mut record = BaseRecord::to(&self.input).key(key).headers(headers);
            record.payload = value;
            match self.producer.send(record) {
                Ok(()) => return,
                Err((error, _)) => {
                    let full = Some(RDKafkaErrorCode::QueueFull);
                    assert_eq!(error.rdkafka_error_code(), full, "{error}");
                    self.producer.poll(LOOK_AGAIN);
                }
            }
        }
    }

    /// Dead letters that are larger are refused from now on.
    pub(crate) fn limit_dead_letters(&self, bytes: usize) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap();
        let bytes = bytes.to_string();
        let limit =
            AlterConfig::new(ResourceSpecifier::Topic(&self.dead)).set("max.message.bytes", &bytes);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let altering = admin.alter_configs([&limit], &AdminOptions::new());
        runtime.block_on(altering).unwrap().remove(0).unwrap();
    }

    /// Answers in the output topic, repeated ones included.
    pub(crate) fn answers(&self) -> usize {
        self.count(&self.output)
    }

    pub(crate) fn wait_for_answers(&self, count: usize) {
        self.wait("answers", || self.answers() >= count);
    }

    pub(crate) fn inputs(&self) -> usize {
        self.count(&self.input)
    }

    pub(crate) fn wait_for_inputs(&self, count: usize) {
        self.wait("inputs", || self.inputs() >= count);
    }

    pub(crate) fn wait_for_letters(&self, count: usize) {
        self.wait("dead letters", || self.count(&self.dead) >= count);
    }

    /// Waits until the group has committed every input, and says how many that are.
    pub(crate) fn wait_until_committed(&self) -> i64 {
        let committed = || {
            let mut partitions = TopicPartitionList::new();
            partitions.add_partition_range(&self.input, 0, self.partitions - 1);
            let committed = self.observer.committed_offsets(partitions, REQUEST_MAX).unwrap();
            let offsets = committed.elements().into_iter().map(|e| e.offset());
            offsets.filter_map(|o| if let Offset::Offset(o) = o { Some(o) } else { None }).sum()
        };
        self.wait("commits", || committed() == self.count(&self.input) as i64);
        committed()
    }

    pub(crate) fn outputs(&self) -> Vec<Output> {
        self.read(&self.output, |message| Output {
            value: message.payload().unwrap().to_vec(),
            source: header(message.headers(), "crossrank-source"),
        })
    }

    /// One header of each answer.
    pub(crate) fn headers_of_outputs(&self, name: &str) -> Vec<String> {
        self.read(&self.output, |message| header(message.headers(), name))
    }

    pub(crate) fn letters(&self) -> Vec<Letter> {
        self.read(&self.dead, |message| Letter {
            value: message.payload().map(<[u8]>::to_vec),
            headers: message.headers().unwrap().detach(),
        })
    }

    fn count(&self, topic: &str) -> usize {
        let end = |partition| {
            self.observer.fetch_watermarks(topic, partition, REQUEST_MAX).unwrap().1 as usize
        };
        (0..self.partitions).map(end).sum()
    }

    fn read<T>(
        &self,
        topic: &str,
        take: impl Fn(&rdkafka::message::BorrowedMessage<'_>) -> T,
    ) -> Vec<T> {
        let mut partitions = TopicPartitionList::new();
        for partition in 0..self.partitions {
            partitions.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        self.observer.assign(&partitions).unwrap();
        let (mut taken, mut ended) = (Vec::new(), 0);
        let deadline = Instant::now() + WAIT_MAX;
        // Not as many as there are offsets: some belong to transactions.
        while ended < self.partitions {
            assert!(Instant::now() < deadline, "read {} records of {topic}", taken.len());
            match self.observer.poll(LOOK_AGAIN) {
                None => {}
                Some(Ok(message)) => taken.push(take(&message)),
                Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
                Some(Err(error)) => panic!("{error}"),
            }
        }
        self.observer.unassign().unwrap();
        taken
    }

    fn wait(&self, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + WAIT_MAX;
        while !condition() {
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            // Serves the client, and paces the requests.
            drop(self.observer.poll(LOOK_AGAIN));
        }
    }
}

/// The text of a header.
pub(crate) fn header<H: Headers>(headers: Option<&H>, name: &str) -> String {
    let found = headers.and_then(|headers| headers.iter().find(|h| h.key == name)?.value);
    String::from_utf8(found.unwrap_or_else(|| panic!("no header {name}")).to_vec()).unwrap()
}

/// A candidate set; each id has its own texts.
pub(crate) fn set(id: usize) -> String {
    let text = |place: usize| format!("set {id} says thing {}", id.wrapping_mul(place + 3) % 1009);
    let candidates: Vec<_> =
        (0..4).map(|place| json!({"id": place.to_string(), "text": text(place)})).collect();
    json!({"request_id": id.to_string(), "query": format!("what is thing {id}"), "candidates": candidates})
        .to_string()
}
