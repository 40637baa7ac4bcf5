use std::fmt;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::producer::{BaseProducer, Producer};

use super::error::{StartError, creation_error};

/// A cluster inside this process, for a demonstration: librdkafka's mock broker, on loopback ports.
///
/// It speaks the protocol and keeps groups and commits, but it keeps nothing else: 5 MiB a
/// partition at most, the oldest records dropped without a word, and everything gone with it.
pub struct InProcessCluster {
    /// The mock cluster lives in this client, which connects to nothing else.
    client: BaseProducer,
}

// === impl InProcessCluster ===

impl InProcessCluster {
    /// Starts one broker with these topics, each with so many partitions.
    pub fn start(topics: &[(&str, i32)]) -> Result<Self, StartError> {
        let mut config = ClientConfig::new();
        // Nobody polls this client: it must not collect log lines.
        config.set_log_level(RDKafkaLogLevel::Emerg).set("test.mock.num.brokers", "1");
        let client: BaseProducer = config.create().map_err(creation_error)?;
        let this = Self { client };
        for (topic, partitions) in topics {
            this.create_topic(topic, *partitions)?;
        }
        Ok(this)
    }

    /// Adds a topic.
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), StartError> {
        match self.client.client().mock_cluster() {
            Some(cluster) => cluster.create_topic(topic, partitions, 1).map_err(creation_error),
            None => Err(StartError::Client { reason: "it holds no in-process cluster".to_owned() }),
        }
    }

    /// Where it listens, for `kafka.brokers`.
    pub fn brokers(&self) -> String {
        let cluster = self.client.client().mock_cluster();
        cluster.map(|cluster| cluster.bootstrap_servers()).unwrap_or_default()
    }
}

impl fmt::Debug for InProcessCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InProcessCluster").field(&self.brokers()).finish()
    }
}
