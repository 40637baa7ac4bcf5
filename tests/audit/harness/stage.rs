//! The cluster and its topics.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::Metadata;

use super::inputs;
use super::worker::{Delivery, Role};
use crate::kafka::{self, Kafka, Options};

pub(crate) const NODES: usize = 3;
pub(crate) const INPUT_PARTITIONS: usize = 6;
pub(crate) const OUTPUT_PARTITIONS: usize = 3;
pub(crate) const LETTER_PARTITIONS: usize = 2;
pub(crate) const REQUEST_MAX: Duration = Duration::from_secs(10);

const INPUT: &str = "candidates";
const OUTPUTS: &str = "contexts";
const LETTERS: &str = "dead-letters";
const GROUP: &str = "workers";
/// The topic of the committed offsets. It has one partition here.
const OFFSETS: &str = "__consumer_offsets";
/// A broker takes about ten seconds to start and to catch up.
const IN_SYNC_MAX: Duration = Duration::from_secs(120);

/// Three brokers, with a proxy before them.
pub(crate) struct Stage {
    pub(crate) kafka: Kafka,
    runtime: tokio::runtime::Runtime,
    client: BaseConsumer,
}

// === impl Stage ===

impl Stage {
    /// `None` where there is no Kafka to be had, which has been said.
    pub(crate) fn set() -> Option<Self> {
        let kafka = Kafka::own(Options { nodes: NODES, proxied: true, ..Options::default() })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let brokers = kafka.brokers();
        let topics =
            [(INPUT, INPUT_PARTITIONS), (OUTPUTS, OUTPUT_PARTITIONS), (LETTERS, LETTER_PARTITIONS)];
        for (topic, partitions) in topics {
            let partitions = i32::try_from(partitions).expect("few partitions");
            runtime.block_on(kafka::create_topic(&brokers, topic, partitions, NODES as i32));
        }
        let client =
            ClientConfig::new().set("bootstrap.servers", &brokers).create().expect("a client");
        let stage = Self { kafka, runtime, client };
        stage.refuse_letters(false);
        Some(stage)
    }

    /// What a worker of this cluster is to do.
    pub(crate) fn role(&self, delivery: Delivery, is_hasty: bool) -> Role {
        Role {
            brokers: self.kafka.proxied_brokers(),
            group: GROUP.to_owned(),
            input: INPUT.to_owned(),
            outputs: OUTPUTS.to_owned(),
            letters: LETTERS.to_owned(),
            delivery,
            is_hasty,
        }
    }

    /// From now on the dead letter topic takes nothing, or takes what is not too large.
    pub(crate) fn refuse_letters(&self, is_refused: bool) {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", self.kafka.brokers())
            .create()
            .expect("an admin client");
        let bytes = inputs::DEAD_LETTER_BYTES_MAX.to_string();
        let in_sync = if is_refused { NODES + 1 } else { NODES - 1 }.to_string();
        // What is not named goes back to its default.
        let config = AlterConfig::new(ResourceSpecifier::Topic(LETTERS))
            .set("max.message.bytes", &bytes)
            .set("min.insync.replicas", &in_sync);
        let options = AdminOptions::new().operation_timeout(Some(REQUEST_MAX));
        let altered = self.runtime.block_on(admin.alter_configs([&config], &options));
        altered.expect("an answer")[0].as_ref().expect("another configuration");
    }

    /// How far readers of committed records get in the topics that are written to, and how far these go.
    pub(crate) fn ends(&self) -> String {
        let reader = |isolation: &str| -> BaseConsumer {
            let brokers = self.kafka.brokers();
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", brokers).set("isolation.level", isolation);
            config.create().expect("a client")
        };
        let (committed, all) = (reader("read_committed"), reader("read_uncommitted"));
        let mut ends = Vec::new();
        for (topic, partitions) in [(OUTPUTS, OUTPUT_PARTITIONS), (LETTERS, LETTER_PARTITIONS)] {
            for partition in 0..partitions {
                let [committed, all] = [&committed, &all].map(|reader| {
                    let end = reader.fetch_watermarks(topic, partition as i32, REQUEST_MAX);
                    end.map_or(-1, |(_, end)| end)
                });
                ends.push(format!("{topic}/{partition}: {committed} of {all}"));
            }
        }
        ends.join(", ")
    }

    /// The broker that leads this partition of the input topic.
    pub(crate) fn leader_of_input(&self, partition: usize) -> usize {
        self.leader_of(INPUT, partition)
    }

    /// The broker that coordinates the group.
    pub(crate) fn coordinator(&self) -> usize {
        self.leader_of(OFFSETS, 0)
    }

    fn leader_of(&self, topic: &str, partition: usize) -> usize {
        let until = Instant::now() + IN_SYNC_MAX;
        loop {
            let leader = self.metadata().and_then(|metadata| {
                let topic = metadata.topics().iter().find(|found| found.name() == topic)?;
                let partition =
                    topic.partitions().iter().find(|found| found.id() as usize == partition)?;
                usize::try_from(partition.leader()).ok()
            });
            if let Some(leader) = leader {
                return leader;
            }
            assert!(Instant::now() < until, "{topic}/{partition} has no leader");
            self.pause();
        }
    }

    /// Waits until every broker has all records of its partitions.
    pub(crate) fn wait_until_in_sync(&self) {
        let until = Instant::now() + IN_SYNC_MAX;
        let is_in_sync = |metadata: Metadata| {
            let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            metadata.brokers().len() == NODES
                && partitions.all(|partition| {
                    partition.leader() > 0 && partition.isr().len() == partition.replicas().len()
                })
        };
        while !self.metadata().is_some_and(is_in_sync) {
            assert!(Instant::now() < until, "the brokers are not in sync again");
            self.pause();
        }
    }

    fn metadata(&self) -> Option<Metadata> {
        drop(self.client.poll(Duration::ZERO));
        self.client.fetch_metadata(None, REQUEST_MAX / 5).ok()
    }

    fn pause(&self) {
        // Serves the client too.
        drop(self.client.poll(Duration::from_millis(100)));
    }
}
