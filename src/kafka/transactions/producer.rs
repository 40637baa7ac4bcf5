use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer, PurgeConfig};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::broken::{Broken, Call};
use crate::kafka::client;
use crate::kafka::context::{Context, Event};
use crate::kafka::error::{StartError, creation_error};
use crate::kafka::reach::{Reach, principal};
use crate::kafka::settings::Settings;
use crate::kafka::sink::to_message;
use crate::stream::{Output, Position};

/// What librdkafka is told that one call may take, so that a stop is noticed and what it reports is served.
const CALL_MAX: Duration = Duration::from_secs(1);
/// A call that has not returned by then never will: far longer than librdkafka was told.
const RETURN_MAX: Duration = Duration::from_secs(3);
/// How long the client is given before it is asked again: for room, for a coordinator.
const PAUSE: Duration = Duration::from_millis(100);

/// A producer of one transactional id. One that has failed is dropped, and another one takes over.
///
/// Its calls are made in a thread of their own, which can be left behind. librdkafka 2.12.1 drops the
/// answer of a broker that the metadata does not name any more, such as one that has just died, and a
/// call that waits for it waits for ever, whatever time it was given (`rd_kafka_txn_op_req`; the
/// handlers of AddOffsetsToTxn and TxnOffsetCommit return on `ERR__DESTROY` without a result).
pub(super) struct Transactional {
    producer: Arc<BaseProducer<Context>>,
    pub(super) events: Receiver<Event>,
    calls: Sender<BlockingCall>,
    results: Receiver<KafkaResult<()>>,
}

type BlockingCall = Box<dyn FnOnce(&BaseProducer<Context>) -> KafkaResult<()> + Send>;

/// What became of a record that was handed to the client.
pub(super) enum Report {
    /// The client did not take it.
    NotTaken(RDKafkaErrorCode),
    /// The brokers will say.
    Sent(oneshot::Receiver<Result<(), RDKafkaErrorCode>>),
    /// The brokers have it.
    Delivered,
    /// The brokers do not have it.
    Failed(RDKafkaErrorCode),
}

// === impl Transactional ===

impl Transactional {
    /// Creates the client. Reaches for nothing yet.
    pub(super) fn new(settings: &Settings, id: &str) -> Result<Self, StartError> {
        let (context, events) = Context::new("producer", settings);
        let config = client::transactional(settings, id);
        let producer = config.create_with_context(context).map_err(creation_error)?;
        let producer: Arc<BaseProducer<Context>> = Arc::new(producer);
        let (calls, asked) = crossbeam_channel::bounded::<BlockingCall>(1);
        let (done, results) = crossbeam_channel::bounded(1);
        let caller = Arc::clone(&producer);
        const NAME: &str = "kafka-txn-calls";
        let thread = thread::Builder::new().name(NAME.to_owned()).spawn(move || {
            for call in asked {
                if done.send(call(&caller)).is_err() {
                    return;
                }
            }
        });
        thread.map_err(|source| StartError::Thread { name: NAME, source })?;
        Ok(Self { producer, events, calls, results })
    }

    /// Makes a call. After one that does not return this producer is of no use.
    fn call(
        &self,
        call: impl FnOnce(&BaseProducer<Context>) -> KafkaResult<()> + Send + 'static,
    ) -> Call {
        let stuck = |_| Call::Broken(Broken::Replace("librdkafka does not return".to_owned()));
        if self.calls.try_send(Box::new(call)).is_err() {
            return stuck(());
        }
        self.results.recv_timeout(RETURN_MAX).map_or_else(|_| stuck(()), Call::of)
    }

    /// Reaches for the brokers and makes the transactional id its own. Blocks, for `startup_timeout` at
    /// most.
    pub(super) fn start(settings: &Settings, id: &str) -> Result<Self, StartError> {
        let transactional = Self::new(settings, id)?;
        let until = Instant::now() + settings.startup_timeout;
        let mut reach = Reach::new(settings, &transactional.events, until);
        // Asking for transactions says less of what is wrong.
        reach.producer(&transactional.producer)?;
        loop {
            let detail = match transactional.own() {
                Call::Done => return Ok(transactional),
                Call::Broken(Broken::Fatal(detail)) => {
                    let (id, principal) = (id.to_owned(), principal(settings));
                    return Err(StartError::Transactions { id, principal, detail });
                }
                Call::Again(detail)
                | Call::Broken(
                    Broken::Abort(detail) | Broken::Replace(detail) | Broken::Fenced(detail),
                ) => detail,
            };
            reach.listen()?;
            if reach.is_over() {
                return Err(StartError::NotReady {
                    subject: "the coordinator of transactions".to_owned(),
                    waited: settings.startup_timeout,
                    detail,
                });
            }
            transactional.serve(PAUSE);
        }
    }

    /// Makes the transactional id this producer's own: a transaction that an earlier one has left open
    /// is aborted, and one whose commit was under way is completed.
    pub(super) fn own(&self) -> Call {
        self.call(|producer| producer.init_transactions(CALL_MAX))
    }

    pub(super) fn begin(&self) -> Call {
        self.call(Producer::begin_transaction)
    }

    /// Hands a record to the client, which copies it.
    pub(super) fn send(&self, output: &Output) -> Report {
        let (report, reported) = oneshot::channel();
        let mut message = to_message(&output.topic, &output.record, Box::new(report));
        loop {
            let Err((error, back)) = self.producer.send(message) else {
                return Report::Sent(reported);
            };
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::InvalidRecord);
            if code != RDKafkaErrorCode::QueueFull {
                return Report::NotTaken(code);
            }
            message = back;
            self.producer.poll(PAUSE);
        }
    }

    pub(super) fn send_offsets(
        &self,
        offsets: &[Position],
        group: &Arc<ConsumerGroupMetadata>,
    ) -> Call {
        let offsets = match list(offsets, |position| Offset::Offset(position.offset)) {
            Ok(offsets) => offsets,
            Err(error) => return Call::Broken(Broken::Abort(error.to_string())),
        };
        let group = Arc::clone(group);
        self.call(move |producer| producer.send_offsets_to_transaction(&offsets, &group, CALL_MAX))
    }

    pub(super) fn commit(&self) -> Call {
        self.call(|producer| producer.commit_transaction(CALL_MAX))
    }

    /// Aborts what was begun.
    pub(super) fn abort(&self) -> Call {
        self.call(|producer| {
            // What is on its way is waited for: to forget it would tear the sequence of the producer. Its
            // reports have to be served before, as librdkafka only counts them.
            producer.purge(PurgeConfig::default().queue());
            producer.flush(CALL_MAX)?;
            producer.abort_transaction(CALL_MAX)
        })
    }

    /// Serves what librdkafka reports, and waits for it.
    pub(super) fn serve(&self, wait_max: Duration) {
        self.producer.poll(wait_max);
    }
}

// === impl Report ===

impl Report {
    /// Takes what the client has reported by now.
    pub(super) fn look(&mut self) {
        if let Self::Sent(reported) = self {
            match reported.try_recv() {
                Ok(Ok(())) => *self = Self::Delivered,
                Ok(Err(code)) => *self = Self::Failed(code),
                // Who would report is gone with its producer; the calls tell that.
                Err(TryRecvError::Empty | TryRecvError::Closed) => {}
            }
        }
    }

    pub(super) fn is_known(&self) -> bool {
        !matches!(self, Self::Sent(_))
    }

    /// Why it was not delivered, if that is known.
    pub(super) fn failure(&self) -> Option<RDKafkaErrorCode> {
        match self {
            Self::NotTaken(code) | Self::Failed(code) => Some(*code),
            Self::Sent(_) | Self::Delivered => None,
        }
    }
}

/// What is committed in these partitions, when no transaction is under way in them. `None` where the
/// brokers do not say for now.
pub(super) fn committed(settings: &Settings, offsets: &[Position]) -> Option<Vec<Position>> {
    let (context, _events) = Context::new("look-up", settings);
    let consumer: BaseConsumer<Context> =
        client::consumer(settings, 1).create_with_context(context).ok()?;
    let asked = list(offsets, |_| Offset::Invalid).ok();
    let committed = asked.and_then(|asked| consumer.committed_offsets(asked, CALL_MAX * 2).ok());
    // Closing a consumer has no time limit of its own, and nobody has to wait for it.
    let dropped = thread::Builder::new().name("kafka-look-up".to_owned());
    drop(dropped.spawn(move || drop(consumer)));
    let committed = committed?;
    let known = offsets.iter().filter_map(|position| {
        let Position { partition, epoch, .. } = position.clone();
        let found = committed.find_partition(&partition.topic, partition.index)?;
        found.error().ok()?;
        match found.offset() {
            Offset::Offset(offset) => Some(Position { partition, offset, epoch }),
            // Nothing is committed yet.
            _ => Some(Position { partition, offset: -1, epoch }),
        }
    });
    let known: Vec<Position> = known.collect();
    (known.len() == offsets.len()).then_some(known)
}

fn list(
    offsets: &[Position],
    offset: impl Fn(&Position) -> Offset,
) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for position in offsets {
        let partition = &position.partition;
        list.add_partition_offset(&partition.topic, partition.index, offset(position))?;
    }
    Ok(list)
}
