use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, Producer};

use super::client;
use super::context::{Context, Event};
use super::error::{Meaning, StartError, creation_error};
use super::settings::{Sasl, Settings};

/// One request at most, so that errors that come meanwhile are looked at.
const REQUEST_MAX: Duration = Duration::from_millis(1_000);
/// Between two requests: long enough not to hammer, short enough not to be felt.
const PAUSE: Duration = Duration::from_millis(50);
/// A topic that was just created may be unknown to some broker for a moment.
const MISSING_MAX: Duration = Duration::from_secs(3);

/// What a probe saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterReport {
    /// `host:port` of every broker, as the cluster names them.
    pub brokers: Vec<String>,
    /// The topics asked for, in that order.
    pub topics: Vec<TopicReport>,
    /// Who we are to the brokers.
    pub principal: String,
}

/// A topic that a probe saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicReport {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: usize,
}

/// Reaches for the brokers with the configured credentials, and looks for the topics and at the
/// group. Joins nothing and writes nothing. Blocks, for `startup_timeout` at most.
///
/// That a topic can be seen does not prove that it may be written to: Kafka tells only a writer.
pub fn probe(settings: &Settings, topics: &[&str]) -> Result<ClusterReport, StartError> {
    let until = Instant::now() + settings.startup_timeout;
    let (context, events) = Context::new("probe", settings);
    let config = client::consumer(settings, 1);
    let consumer: BaseConsumer<Context> =
        config.create_with_context(context).map_err(creation_error)?;
    let result = look(settings, topics, Reach::new(settings, &events, until), &consumer);
    // Closing a consumer has no time limit of its own, and nobody has to wait for it.
    let dropped = thread::Builder::new().name("kafka-probe".to_owned());
    drop(dropped.spawn(move || drop(consumer)));
    result
}

fn look(
    settings: &Settings,
    topics: &[&str],
    mut reach: Reach<'_>,
    consumer: &BaseConsumer<Context>,
) -> Result<ClusterReport, StartError> {
    let mut metadata = None;
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for &topic in topics {
        match reach.topic(consumer, topic) {
            Ok((seen, partitions)) => {
                metadata = Some(seen);
                found.push(TopicReport { name: topic.to_owned(), partitions });
            }
            Err(StartError::TopicMissing { topics }) => missing.extend(topics),
            Err(error) => return Err(error),
        }
    }
    if !missing.is_empty() {
        return Err(StartError::TopicMissing { topics: missing });
    }
    reach.group(consumer)?;
    let brokers = metadata.iter().flat_map(Metadata::brokers);
    let brokers = brokers.map(|broker| format!("{}:{}", broker.host(), broker.port())).collect();
    Ok(ClusterReport { brokers, topics: found, principal: principal(settings) })
}

/// Tries until something is certain, or the time is up.
pub(super) struct Reach<'a> {
    settings: &'a Settings,
    events: &'a Receiver<Event>,
    started: Instant,
    until: Instant,
    /// The last reason why no broker could be used.
    last: Option<(Meaning, String)>,
}

// === impl Reach ===

impl<'a> Reach<'a> {
    pub(super) fn new(settings: &'a Settings, events: &'a Receiver<Event>, until: Instant) -> Self {
        Self { settings, events, started: Instant::now(), until, last: None }
    }

    /// Waits until `topic` can be seen.
    fn topic(
        &mut self,
        consumer: &BaseConsumer<Context>,
        topic: &str,
    ) -> Result<(Metadata, usize), StartError> {
        let mut missing_since = None;
        loop {
            drop(consumer.poll(PAUSE));
            self.listen()?;
            let code = match consumer.fetch_metadata(Some(topic), self.request_max()) {
                Ok(metadata) => match error_of(&metadata, topic) {
                    None => {
                        let topics = metadata.topics().iter();
                        let count = topics.map(|topic| topic.partitions().len()).sum();
                        return Ok((metadata, count));
                    }
                    Some(code) => code,
                },
                Err(error) => error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail),
            };
            self.listen()?;
            let missing = || StartError::TopicMissing { topics: vec![topic.to_owned()] };
            match Meaning::of(code) {
                Meaning::TopicMissing => {
                    let since = *missing_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= MISSING_MAX {
                        return Err(missing());
                    }
                }
                Meaning::TopicUnauthorized => {
                    return Err(StartError::TopicUnauthorized {
                        topic: topic.to_owned(),
                        principal: principal(self.settings),
                    });
                }
                Meaning::GroupUnauthorized
                | Meaning::Transient
                | Meaning::Unreachable
                | Meaning::Dns
                | Meaning::Tls
                | Meaning::Credentials
                | Meaning::RecordRefused
                | Meaning::Fatal => missing_since = None,
            }
            if Instant::now() >= self.until {
                return Err(match missing_since {
                    Some(_) => missing(),
                    None => self.give_up(&format!("topic {topic}"), code),
                });
            }
        }
    }

    /// Waits until some broker has answered the producer.
    pub(super) fn producer(&mut self, producer: &BaseProducer<Context>) -> Result<(), StartError> {
        loop {
            producer.poll(Duration::ZERO);
            self.listen()?;
            // Known from the first answer of any broker.
            if producer.client().fetch_cluster_id(self.request_max() / 4).is_some() {
                return Ok(());
            }
            if self.is_over() {
                return Err(self.give_up("the cluster", RDKafkaErrorCode::OperationTimedOut));
            }
        }
    }

    /// Waits until the group's commits can be read, which needs its coordinator and Read on it.
    fn group(&mut self, consumer: &BaseConsumer<Context>) -> Result<(), StartError> {
        let group = &self.settings.group;
        loop {
            drop(consumer.poll(PAUSE));
            self.listen()?;
            let mut list = TopicPartitionList::new();
            list.add_partition(&self.settings.input_topic, 0);
            let code = match consumer.committed_offsets(list, self.request_max()) {
                Ok(list) => match list.elements().iter().find_map(|e| e.error().err()) {
                    None => return Ok(()),
                    Some(error) => error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail),
                },
                Err(error) => error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail),
            };
            let principal = || principal(self.settings);
            match Meaning::of(code) {
                Meaning::GroupUnauthorized => {
                    let (group, principal) = (group.clone(), principal());
                    return Err(StartError::GroupUnauthorized { group, principal });
                }
                Meaning::TopicUnauthorized => {
                    let topic = self.settings.input_topic.clone();
                    return Err(StartError::TopicUnauthorized { topic, principal: principal() });
                }
                Meaning::TopicMissing
                | Meaning::Transient
                | Meaning::Unreachable
                | Meaning::Dns
                | Meaning::Tls
                | Meaning::Credentials
                | Meaning::RecordRefused
                | Meaning::Fatal => {}
            }
            if Instant::now() >= self.until {
                return Err(self.give_up(&format!("consumer group {group}"), code));
            }
        }
    }

    /// Takes in what was reported meanwhile; some of it is certain at once.
    pub(super) fn listen(&mut self) -> Result<(), StartError> {
        for event in self.events.try_iter() {
            let Event::Failed(code, reason) = event else {
                continue;
            };
            let brokers = self.settings.brokers.clone();
            match Meaning::of(code) {
                Meaning::Credentials => {
                    let principal = principal(self.settings);
                    return Err(StartError::Credentials { brokers, principal, detail: reason });
                }
                Meaning::Tls => return Err(StartError::Tls { brokers, detail: reason }),
                // That all brokers are down says less than why the last one is.
                Meaning::Unreachable if code == RDKafkaErrorCode::AllBrokersDown => {
                    self.last.get_or_insert((Meaning::Unreachable, reason));
                }
                meaning @ (Meaning::Unreachable | Meaning::Dns) => {
                    self.last = Some((meaning, reason));
                }
                Meaning::Transient
                | Meaning::TopicMissing
                | Meaning::TopicUnauthorized
                | Meaning::GroupUnauthorized
                | Meaning::RecordRefused
                | Meaning::Fatal => {}
            }
        }
        Ok(())
    }

    /// The time is up: why, as far as is known.
    fn give_up(&mut self, subject: &str, code: RDKafkaErrorCode) -> StartError {
        let (brokers, waited) = (self.settings.brokers.clone(), self.started.elapsed());
        match self.last.take() {
            Some((Meaning::Dns, detail)) => StartError::Dns { brokers, waited, detail },
            Some((_, detail)) => StartError::NoBroker { brokers, waited, detail },
            None if Meaning::of(code) == Meaning::Unreachable || is_silence(code) => {
                let detail = "no answer".to_owned();
                StartError::NoBroker { brokers, waited, detail }
            }
            None => {
                let (subject, detail) = (subject.to_owned(), code.to_string());
                StartError::NotReady { subject, waited, detail }
            }
        }
    }

    /// How long the next request may take.
    fn request_max(&self) -> Duration {
        let left = self.until.saturating_duration_since(Instant::now());
        // Never zero: the last look must be able to see something.
        left.clamp(PAUSE, REQUEST_MAX)
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}

fn is_silence(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::OperationTimedOut | RDKafkaErrorCode::MessageTimedOut)
}

/// What is wrong with the topic, or with a partition of it that has no leader.
fn error_of(metadata: &Metadata, topic: &str) -> Option<RDKafkaErrorCode> {
    let Some(topic) = metadata.topics().iter().find(|seen| seen.name() == topic) else {
        return Some(RDKafkaErrorCode::UnknownTopicOrPartition);
    };
    if topic.error().is_none() && topic.partitions().is_empty() {
        return Some(RDKafkaErrorCode::LeaderNotAvailable);
    }
    topic.error().map(RDKafkaErrorCode::from)
}

/// Who we are to the brokers, as far as the configuration tells.
pub(super) fn principal(settings: &Settings) -> String {
    match (&settings.security.sasl, &settings.security.certificate_file) {
        (Some(Sasl::Plain(c) | Sasl::ScramSha256(c) | Sasl::ScramSha512(c)), _) => {
            format!("User:{}", c.username)
        }
        (Some(Sasl::OauthBearer { token_file }), _) => {
            format!("the subject of the token in {token_file}")
        }
        (None, Some(file)) => format!("the subject of the certificate in {file}"),
        (None, None) => "User:ANONYMOUS".to_owned(),
    }
}
