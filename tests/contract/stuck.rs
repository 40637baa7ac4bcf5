//! Clients that librdkafka leaves without a broker for good, and those that only have to wait.

use std::collections::BTreeSet;
use std::iter::repeat_with;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossrank::kafka::{KafkaSink, KafkaSource, Settings, start_exactly_once};
use crossrank::stream::{Claimed, PublishError, Record, RecordSink, RecordSource, SourceError};
use crossrank::telemetry::Counts;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::settings;
use crate::kafka::proxy::{Fault, Way};
use crate::kafka::{self, Kafka, Options};
use crate::until;

/// As many as keep a client busy with an answer while its brokers go.
const PARTITIONS: i32 = 500;
const WATCHDOG: Duration = Duration::from_secs(3);
/// So long that a member that is stuck is replaced while it holds its partitions.
const SESSION: Duration = Duration::from_secs(8);
/// What a client may take to get over a forged answer, or a new one to begin, on a busy machine.
const RECOVERY_MAX: Duration = Duration::from_secs(15);
/// What makes librdkafka forget its brokers is a race (see `network.rs`). It takes a handful of forged
/// answers at most.
const TOLD_MAX: usize = 40;
/// Records between two of them.
const BATCH: usize = 40;
const INPUT: &str = "sets";
const OUTPUT: &str = "contexts";
/// Who leads them coordinates all groups, and all transactions: they have one partition here.
const GROUPS: &str = "__consumer_offsets";
const TRANSACTIONS: &str = "__transaction_state";
/// What a topic takes unless it is told otherwise.
const TOPIC_BYTES_MAX: usize = 1 << 20;

/// What a worker is to Kafka: it reads, publishes, and acknowledges.
struct Worker {
    /// The numbers of the inputs that have an output.
    answered: Arc<Mutex<BTreeSet<usize>>>,
    read: Arc<Counts>,
    written: Arc<Counts>,
    task: tokio::task::JoinHandle<SourceError>,
}

// === impl Worker ===

impl Worker {
    fn start(settings: &Settings) -> Self {
        let (read, written) = (Arc::default(), Arc::default());
        let sink = KafkaSink::start_counting(settings, &written).unwrap();
        let source = KafkaSource::start_counting(settings, &read).unwrap();
        let answered = Arc::default();
        let task = tokio::spawn(work(source, Arc::new(sink), Arc::clone(&answered)));
        Self { answered, read, written, task }
    }

    fn answered(&self) -> usize {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn rebuilds(&self) -> (u64, u64) {
        (self.read.client_rebuilds.get(), self.written.client_rebuilds.get())
    }
}

/// Works until the source fails.
async fn work(
    mut source: KafkaSource,
    sink: Arc<KafkaSink>,
    answered: Arc<Mutex<BTreeSet<usize>>>,
) -> SourceError {
    let mut running = JoinSet::new();
    loop {
        let Claimed { record, ack } = match source.claim().await {
            Ok(claimed) => claimed,
            Err(error) => return error,
        };
        let (sink, answered) = (Arc::clone(&sink), Arc::clone(&answered));
        running.spawn(async move {
            if publish(&sink, OUTPUT, record.clone()).await.is_err() {
                return ack.returned();
            }
            ack.published();
            answered.lock().unwrap_or_else(PoisonError::into_inner).insert(number(&record));
        });
    }
}

/// Publishes, and tries again where that may help.
async fn publish(sink: &KafkaSink, topic: &str, record: Record) -> Result<(), PublishError> {
    loop {
        match sink.send(topic, record.clone()).await {
            Err(PublishError::Retryable { .. }) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => return other,
        }
    }
}

fn numbered(number: usize) -> Record {
    Record { value: Some(number.to_string().into()), ..Record::default() }
}

fn number(record: &Record) -> usize {
    String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap().parse().unwrap()
}

async fn stage(nodes: usize, partitions: i32) -> Option<(Kafka, Settings)> {
    crate::show_logs();
    let kafka = Kafka::own(Options { nodes, proxied: true, ..Options::default() })?;
    for topic in [INPUT, OUTPUT] {
        kafka::create_topic(&kafka.brokers(), topic, partitions, 1).await;
    }
    let mut settings = settings(&kafka.proxied_brokers(), "workers", INPUT);
    settings.watchdog_timeout = WATCHDOG;
    settings.session_timeout = SESSION;
    settings.delivery_timeout = WATCHDOG * 2;
    let client = [
        // So that answers to be forged come at once.
        ("topic.metadata.refresh.interval.ms", "500"),
        ("reconnect.backoff.max.ms", "500"),
    ];
    settings.client.extend(client.map(|(name, value)| (name.to_owned(), value.to_owned())));
    Some((kafka, settings))
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_are_stuck_are_replaced_and_nothing_is_lost() {
    let Some((kafka, settings)) = stage(1, PARTITIONS).await else { return };
    let upstream = self::settings(&kafka.brokers(), "upstream", INPUT);
    let upstream = KafkaSink::start(&upstream).unwrap();
    let worker = Worker::start(&settings);
    let mut sent = 0;
    for told in 0.. {
        assert!(told <= TOLD_MAX, "they always get over it: is the watchdog needed?");
        if told > 0 {
            let forged = kafka.proxy().forged();
            kafka.proxy().set(Fault::NoBrokers);
            until("metadata is asked for", async || kafka.proxy().forged() > forged).await;
            kafka.proxy().set(Fault::Honest);
        }
        let told_at = Instant::now();
        for number in sent..sent + BATCH {
            publish(&upstream, INPUT, numbered(number)).await.unwrap();
        }
        sent += BATCH;
        until("they go on by themselves", async || {
            let rebuilt = worker.rebuilds();
            assert!(told_at.elapsed() < WATCHDOG + SESSION + RECOVERY_MAX, "{rebuilt:?} rebuilt");
            worker.answered() == sent
        })
        .await;
        if let (1.., 1..) = worker.rebuilds() {
            break;
        }
    }
    let answered = worker.answered.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(answered, (0..sent).collect());
}

/// librdkafka can leave a partition at a broker that does not lead it, for good (its pull request 5593).
/// Here the client cannot get to the leader, which looks the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_does_not_read_from_a_leader_that_others_reach_is_replaced() {
    let Some((kafka, settings)) = stage(2, 2).await else { return };
    let upstream = KafkaSink::start(&self::settings(&kafka.brokers(), "upstream", INPUT)).unwrap();
    let rebuilt = Arc::<Counts>::default();
    let mut source = KafkaSource::start_counting(&settings, &rebuilt).unwrap();
    let mut sent = 0;
    let mut send = async || {
        for _ in 0..2 * BATCH {
            publish(&upstream, INPUT, numbered(sent)).await.unwrap();
            sent += 1;
        }
        sent
    };
    let read = read_all(&mut source, BTreeSet::new(), send().await).await;

    // The group's coordinator is the other one.
    let broker = 3 - leader(&kafka, GROUPS).await;
    kafka.proxy().set_on(broker, Fault::Only("-watchdog"));
    let sent = send().await;
    let (read, ()) = tokio::join!(read_all(&mut source, read, sent), async {
        until("it is replaced", async || rebuilt.client_rebuilds.get() == 1).await;
        kafka.proxy().set(Fault::Honest);
    });
    assert_eq!(read, (0..sent).collect());
}

/// The number of the broker that leads the only partition of a topic, as soon as there is one.
async fn leader(kafka: &Kafka, topic: &str) -> usize {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.brokers());
    let consumer: BaseConsumer = config.create().unwrap();
    let mut leader = 0;
    until("the topic has a leader", async || {
        let metadata = consumer.fetch_metadata(Some(topic), WATCHDOG).unwrap();
        let partition = metadata.topics()[0].partitions().first();
        leader = partition.and_then(|p| usize::try_from(p.leader()).ok()).unwrap_or(0);
        leader > 0
    })
    .await;
    leader
}

/// Reads, and is done with what it reads, until all numbers below `sent` have come.
async fn read_all(
    source: &mut KafkaSource,
    mut read: BTreeSet<usize>,
    sent: usize,
) -> BTreeSet<usize> {
    while read.len() < sent {
        let claimed = tokio::time::timeout(WATCHDOG + SESSION + RECOVERY_MAX * 2, source.claim());
        let Claimed { record, ack } = claimed.await.expect("a record in time").unwrap();
        ack.published();
        read.insert(number(&record));
    }
    read
}

/// librdkafka sends nothing more of a transaction of which a record has failed. What was on its way to a
/// broker that dies then comes back, and a commit would wait until that has timed out.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_ends_with_the_first_record_that_is_refused() {
    let Some((kafka, mut settings)) = stage(3, 1).await else { return };
    settings.transaction_timeout = crate::WAIT_MAX * 5;
    settings.delivery_timeout = crate::WAIT_MAX * 5;
    // The brokers refuse it, not the client.
    settings.record_bytes_max = 2 * TOPIC_BYTES_MAX;
    let upstream = KafkaSink::start(&self::settings(&kafka.brokers(), "upstream", INPUT)).unwrap();
    let (mut source, sink) = start_exactly_once(&settings).unwrap();
    let needed = [leader(&kafka, GROUPS).await, leader(&kafka, TRANSACTIONS).await];
    let broker = (1..=3).find(|broker| !needed.contains(broker)).expect("one of three");
    let (away, here) = ("away", "here");
    for (topic, broker) in [(away, broker), (here, needed[0])] {
        kafka::create_topic_on(&kafka.brokers(), topic, broker.try_into().unwrap()).await;
    }

    for number in 0..3 {
        publish(&upstream, INPUT, numbered(number)).await.unwrap();
    }
    // So that both brokers are connected to.
    let before = source.claim().await.unwrap();
    sink.publish(away, numbered(0), before.ack.position()).await.unwrap();
    before.ack.published();
    let (first, second) = (source.claim().await.unwrap(), source.claim().await.unwrap());
    kafka.proxy().set_on(broker, Fault::Stall(Way::Requests));
    // It must not be compressed to less.
    let noise: Vec<u8> = repeat_with(|| fastrand::u8(..)).take(TOPIC_BYTES_MAX * 5 / 4).collect();
    let large = Record { value: Some(noise.into()), ..Record::default() };
    // In one transaction: what stands above waits for what stands below.
    let refused = sink.publish(here, large, second.ack.position());
    let refused = async {
        let mut refused = std::pin::pin!(refused);
        let until = Instant::now() + crate::WAIT_MAX;
        // Long enough for the refusal to be there at the first cut.
        loop {
            match tokio::time::timeout(Duration::from_secs(2), &mut refused).await {
                Ok(refused) => {
                    kafka.proxy().set(Fault::Honest);
                    return refused;
                }
                Err(_elapsed) => kafka.proxy().cut(),
            }
            assert!(Instant::now() < until, "it waits for the other record");
        }
    };
    let published = sink.publish(away, numbered(1), first.ack.position());
    let (refused, published) = tokio::join!(refused, published);
    assert!(matches!(refused, Err(PublishError::Refused { .. })), "{refused:?}");
    published.unwrap();
    first.ack.published();
    sink.publish(here, numbered(2), second.ack.position()).await.unwrap();
    second.ack.published();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_away_is_waited_for_and_one_that_others_reach_is_not_for_ever() {
    let Some((kafka, settings)) = stage(1, 2).await else { return };
    let worker = Worker::start(&settings);
    let sink = KafkaSink::start(&settings).unwrap();
    publish(&sink, INPUT, numbered(0)).await.unwrap();
    until("it works", async || worker.answered() == 1).await;

    kafka.proxy().set(Fault::Refuse);
    kafka.proxy().cut();
    // Each takes longer than a client that is stuck would be left alone.
    for _ in 0..2 {
        let error = sink.send(INPUT, numbered(1)).await.unwrap_err();
        assert!(matches!(error, PublishError::Retryable { .. }), "{error:?}");
    }
    kafka.proxy().set(Fault::Honest);
    publish(&sink, INPUT, numbered(1)).await.unwrap();
    until("it works again", async || worker.answered() == 2).await;
    assert_eq!(worker.rebuilds(), (0, 0));

    // Only a fresh client that looks for the cluster reaches it.
    kafka.proxy().set(Fault::Only("-watchdog"));
    let error = publish(&sink, INPUT, numbered(2)).await.unwrap_err();
    let PublishError::Fatal { reason, .. } = error else { panic!("{error:?}") };
    assert!(reason.contains("look at the network"), "{reason}");
    let error = worker.task.await.unwrap();
    let SourceError::Fatal { reason, .. } = error else { panic!("{error:?}") };
    assert!(reason.contains("look at the network"), "{reason}");
    assert_eq!(worker.read.client_rebuilds.get(), 3);
}
