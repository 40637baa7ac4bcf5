use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::failure::{Disposition, Failure};
use super::publisher::Publisher;
use super::{Answered, Reranker, Settings, WorkerError};
use crate::engine::Scorer;
use crate::stream::{AckHandle, Claimed, Header, Position, PublishError, Record, RecordSink};
use crate::wire::{self, DeadLetter, Status, header};

/// What every record in flight shares.
pub(super) struct Task<K, E> {
    reranker: Arc<Reranker<E>>,
    group: String,
    outputs: Publisher<K>,
    dead_letters: Publisher<K>,
    /// The worker is stopping: what was not begun goes back unread.
    stopping: Arc<AtomicBool>,
}

// === impl Task ===

impl<K: RecordSink, E: Scorer> Task<K, E> {
    pub(super) fn new(
        sink: &Arc<K>,
        reranker: Arc<Reranker<E>>,
        group: &str,
        settings: &Settings,
    ) -> Self {
        let publisher = |topic| {
            Publisher::new(Arc::clone(sink), topic, settings, Arc::clone(reranker.counts()))
        };
        Self {
            group: group.to_owned(),
            outputs: publisher(&settings.output_topic),
            dead_letters: publisher(&settings.dead_letter_topic),
            stopping: Arc::default(),
            reranker,
        }
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
                match self.bury(record, &ack, &failure).await {
                    Ok(()) => ack.published(),
                    Err(failure) => return self.unburied(ack, failure),
                }
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
        let now = self.reranker.now();
        let mut set = wire::decode(record.value.as_deref(), limits).map_err(Failure::Decode)?;
        let deadline = record.header(header::DEADLINE).map(|value| wire::decode_deadline(value));
        set.expire_by(deadline.transpose().map_err(Failure::Decode)?);
        let (stopping, revoked) = (Arc::clone(&self.stopping), ack.revoked());
        let is_set = |flag: &AtomicBool| flag.load(Ordering::Acquire);
        let wanted = Box::new(move || !is_set(&stopping) && !is_set(&revoked));
        let Answered { value, status } =
            self.reranker.answer(set, wanted, now).await.map_err(Failure::Answer)?;
        let output = output(record, ack.position(), value);
        self.outputs.publish(output, ack).await?;
        self.count(status);
        Ok(())
    }

    /// Sets the record aside. Where its topic takes no record of that size, it is set aside without
    /// its value, which still stands where the headers say: one large record must not stop every
    /// worker of the group in turn.
    async fn bury(
        &self,
        mut record: Record,
        ack: &AckHandle,
        failure: &Failure,
    ) -> Result<(), Failure> {
        let position = ack.position();
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
        // Retention counts from when it was set aside, not from when it was sent.
        record.timestamp_ms = None;
        let buried = self.dead_letters.publish(record.clone(), ack).await;
        match buried {
            Err(Failure::Publish(PublishError::Refused { reason, .. })) => {
                let bytes = record.value.take().map_or(0, |value| value.len());
                tracing::warn!(%position, bytes, reason, "dead letter goes without its value");
                record.headers.push(Header::text(header::DLQ_VALUE_BYTES, bytes.to_string()));
                self.dead_letters.publish(record, ack).await?;
            }
            buried => buried?,
        }
        self.reranker.counts().dead_letters.add(1);
        Ok(())
    }

    /// What becomes of a record that has neither an output nor a dead letter.
    fn unburied(&self, ack: AckHandle, failure: Failure) -> Result<(), WorkerError> {
        let position = ack.position().to_string();
        match failure.disposition() {
            Disposition::Return => {
                ack.returned();
                Ok(())
            }
            Disposition::DeadLetter => Err(WorkerError::DeadLetterRefused { position, failure }),
            Disposition::Retry | Disposition::Fatal => {
                Err(WorkerError::Record { position, failure })
            }
        }
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
    headers.retain(|h| !header::is_written_by_us(&h.name));
    headers.push(Header::text(header::SOURCE, position.to_string()));
    Record { key: input.key.clone(), value: Some(Bytes::from(value)), headers, timestamp_ms: None }
}
