use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use jiff::Timestamp;

use super::failure::{Disposition, Failure};
use super::publisher::Publisher;
use super::{Answered, Reranker, Settings, WorkerError};
use crate::engine::Scorer;
use crate::stream::{AckHandle, Claimed, Header, Position, Record, RecordSink};
use crate::wire::{self, DeadLetter, Status, header};

/// What every record in flight shares.
pub(super) struct Task<K, E> {
    publisher: Publisher<K>,
    reranker: Arc<Reranker<E>>,
    group: String,
    output_topic: String,
    dead_letter_topic: String,
    /// The worker is stopping: what was not begun goes back unread.
    stopping: Arc<AtomicBool>,
}

// === impl Task ===

impl<K: RecordSink, E: Scorer> Task<K, E> {
    pub(super) fn new(
        publisher: Publisher<K>,
        reranker: Arc<Reranker<E>>,
        group: String,
        settings: &Settings,
    ) -> Self {
        Self {
            publisher,
            reranker,
            group,
            output_topic: settings.output_topic.clone(),
            dead_letter_topic: settings.dead_letter_topic.clone(),
            stopping: Arc::default(),
        }
    }

    pub(super) fn publisher(&self) -> &Publisher<K> {
        &self.publisher
    }

    /// From now on, sets that are not begun go back unread: whoever takes over the partitions
    /// answers them sooner than a worker on its way out.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// One record's whole way. An error drops the handle unredeemed, so that nothing past the
    /// record is committed.
    pub(super) async fn run(&self, claimed: Claimed) -> Result<(), WorkerError> {
        let Claimed { record, ack } = claimed;
        let position = ack.position().clone();
        let Err(failure) = self.answer(&record, &ack).await else {
            ack.published();
            return Ok(());
        };
        match failure.disposition() {
            Disposition::DeadLetter => {
                self.bury(record, &position, &failure).await?;
                ack.published();
                Ok(())
            }
            Disposition::Return => {
                ack.returned();
                Ok(())
            }
            // The publisher has already tried again for as long as that can help.
            Disposition::Retry | Disposition::Fatal => {
                Err(WorkerError::Record { position: position.to_string(), failure })
            }
        }
    }

    async fn answer(&self, record: &Record, ack: &AckHandle) -> Result<(), Failure> {
        let limits = self.reranker.limits();
        let set = wire::decode(record.value.as_deref(), limits).map_err(Failure::Decode)?;
        let (stopping, revoked) = (Arc::clone(&self.stopping), ack.revoked());
        let is_set = |flag: &AtomicBool| flag.load(Ordering::Acquire);
        let wanted = Box::new(move || !is_set(&stopping) && !is_set(&revoked));
        let Answered { value, status } =
            self.reranker.answer(set, wanted, Timestamp::now()).await.map_err(Failure::Answer)?;
        let output = output(record, ack.position(), value);
        self.publisher.publish(&self.output_topic, output).await?;
        self.count(status);
        Ok(())
    }

    async fn bury(
        &self,
        mut record: Record,
        position: &Position,
        failure: &Failure,
    ) -> Result<(), WorkerError> {
        let message = crate::error_text(failure);
        let code = failure.code();
        tracing::debug!(%position, code, message, "dead letter");
        let letter = DeadLetter {
            topic: &position.partition.topic,
            partition: position.partition.index,
            offset: position.offset,
            group: &self.group,
            message: &message,
            stage: failure.stage(),
            code,
            attempts: 1,
        };
        record.headers.retain(|h| !header::is_dead_letter(&h.name));
        record
            .headers
            .extend(letter.headers().into_iter().map(|(n, value)| Header::text(n, value)));
        let buried = self.publisher.publish(&self.dead_letter_topic, record).await;
        buried.map_err(|failure| {
            let position = position.to_string();
            match failure.disposition() {
                Disposition::DeadLetter => WorkerError::DeadLetterRefused { position, failure },
                Disposition::Retry | Disposition::Return | Disposition::Fatal => {
                    WorkerError::Record { position, failure }
                }
            }
        })?;
        self.reranker.counts().dead_letters.add(1);
        Ok(())
    }

    fn count(&self, status: Status) {
        let counts = self.reranker.counts();
        counts.sets_published.add(1);
        match status {
            Status::Reranked => {}
            Status::Partial => counts.sets_partial.add(1),
            Status::Passthrough => counts.sets_passthrough.add(1),
        }
    }
}

/// The output record: the input's key and headers, and where it came from.
fn output(input: &Record, position: &Position, value: Vec<u8>) -> Record {
    let mut headers = input.headers.clone();
    headers.retain(|h| h.name != header::SOURCE);
    headers.push(Header::text(header::SOURCE, position.to_string()));
    Record { key: input.key.clone(), value: Some(Bytes::from(value)), headers, timestamp_ms: None }
}
