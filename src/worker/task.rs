use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::breaker::{Breaker, Verdict};
use super::failure::{Disposition, Failure, Unanswered};
use super::ordering::{Lanes, Ticket};
use super::publisher::Publisher;
use super::{Answered, Reranker, Settings, WorkerError};
use crate::engine::Scorer;
use crate::stream::{
    AckHandle, Claimed, Header, Partition, Position, PublishError, Record, RecordSink,
};
use crate::telemetry::board::SetShown;
use crate::telemetry::{Counts, Received, SetSpan, Stage, Tracer};
use crate::wire::{self, DeadLetter, Status, header};

/// What every record in flight shares.
pub(super) struct Task<K, E> {
    reranker: Arc<Reranker<E>>,
    group: Arc<str>,
    outputs: Publisher<K>,
    dead_letters: Publisher<K>,
    /// The worker is stopping: what was not begun goes back unread.
    stopping: Arc<AtomicBool>,
    lanes: Lanes,
    breaker: Mutex<Breaker>,
    tracer: Tracer,
}

/// A record's place among those that are claimed.
#[derive(Debug)]
pub(super) struct Place {
    ticket: Ticket,
    /// To the breaker.
    number: u64,
    claimed: Instant,
}

// === impl Task ===

impl<K: RecordSink, E: Scorer> Task<K, E> {
    pub(super) fn new(
        sink: &Arc<K>,
        reranker: Arc<Reranker<E>>,
        group: Arc<str>,
        settings: &Settings,
    ) -> Self {
        let publisher = |topic: (&str, bool)| {
            Publisher::new(Arc::clone(sink), topic, settings, Arc::clone(reranker.counts()))
        };
        Self {
            group,
            outputs: publisher((&settings.output_topic, true)),
            // With the headers of its input, so that it can be put back as it was.
            dead_letters: publisher((&settings.dead_letter_topic, false)),
            stopping: Arc::default(),
            lanes: Lanes::new(settings.ordering),
            breaker: Mutex::new(Breaker::new(settings.breaker, settings.sets_max)),
            reranker,
            tracer: Tracer::default(),
        }
    }

    /// Traces what it does from now on.
    pub(super) fn trace(&mut self, tracer: Tracer) {
        self.tracer = tracer;
    }

    /// From now on, sets that are not begun go back unread: whoever takes over the partitions
    /// answers them sooner than a worker on its way out.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Takes the record's place. To be called in the order of the claims.
    pub(super) fn place(&self, claimed: &Claimed) -> Place {
        let number = self.with_breaker(Breaker::claimed);
        Place { ticket: self.lanes.ticket(claimed), number, claimed: Instant::now() }
    }

    /// One record's whole way. An error drops the handle unredeemed, so that nothing past the
    /// record is committed; but where the breaker trips, the record has its dead letter.
    pub(super) async fn run(&self, claimed: Claimed, place: Place) -> Result<(), WorkerError> {
        let span = self.receive(&claimed, place.claimed.elapsed());
        let settled = span.within(self.settle(claimed, place, &span)).await;
        span.end();
        settled
    }

    /// Begins the span of a record that was claimed so long ago.
    fn receive(&self, Claimed { record, ack }: &Claimed, waited: Duration) -> SetSpan {
        let Position { partition, offset, .. } = ack.position();
        let received = Received {
            topic: &partition.topic,
            partition: partition.index,
            offset: *offset,
            group: &self.group,
            bytes: record.value.as_ref().map(Bytes::len),
            waited,
        };
        let header = |name: &str| str::from_utf8(record.header(name)?).ok();
        self.tracer.receive(&received, header)
    }

    async fn settle(
        &self,
        claimed: Claimed,
        place: Place,
        span: &SetSpan,
    ) -> Result<(), WorkerError> {
        let Claimed { record, ack } = claimed;
        let Place { mut ticket, number, claimed } = place;
        let answered = self.answer(&record, (&ack, &mut ticket), claimed, span).await;
        let error = answered.as_ref().err().map(|unanswered| unanswered.failure.code());
        let (settled, verdict) = match answered {
            Ok(()) => (true, Verdict::Good),
            Err(unanswered) => {
                // What goes back unread is somebody else's to answer.
                if unanswered.failure.disposition() != Disposition::Return {
                    span.failed(unanswered.failure.code());
                }
                self.failed(record, (&ack, &mut ticket), unanswered, span).await?
            }
        };
        match settled {
            true => {
                self.processed(&ack, error, claimed.elapsed());
                ack.published();
                ticket.settled();
            }
            false => ack.returned(),
        }
        let tripped = self.with_breaker(|breaker| breaker.ended(number, verdict));
        tripped.map_or(Ok(()), |tripped| Err(WorkerError::TooManyBad { tripped }))
    }

    /// Whether the record is settled nevertheless, and what that says of the input.
    async fn failed(
        &self,
        record: Record,
        (ack, ticket): (&AckHandle, &mut Ticket),
        unanswered: Unanswered,
        span: &SetSpan,
    ) -> Result<(bool, Verdict), WorkerError> {
        let position = || ack.position().to_string();
        let Unanswered { failure, .. } = &unanswered;
        match failure.disposition() {
            Disposition::DeadLetter => {}
            Disposition::Return => return Ok((false, Verdict::Neither)),
            // The publisher has already tried again for as long as that can help.
            Disposition::Retry | Disposition::Fatal => {
                let Unanswered { failure, .. } = unanswered;
                return Err(WorkerError::Record { position: position(), failure });
            }
        }
        let verdict = failure.verdict();
        let Err(Unanswered { failure, .. }) =
            self.bury(record, (ack, ticket), &unanswered, span).await
        else {
            return Ok((true, verdict));
        };
        // Neither an output nor a dead letter.
        match failure.disposition() {
            Disposition::Return => Ok((false, Verdict::Neither)),
            Disposition::DeadLetter => {
                Err(WorkerError::DeadLetterRefused { position: position(), failure })
            }
            Disposition::Retry | Disposition::Fatal => {
                Err(WorkerError::Record { position: position(), failure })
            }
        }
    }

    async fn answer(
        &self,
        record: &Record,
        (ack, ticket): (&AckHandle, &mut Ticket),
        claimed: Instant,
        span: &SetSpan,
    ) -> Result<(), Unanswered> {
        ticket.begin()?;
        let limits = self.reranker.limits();
        let (now, begun) = (self.reranker.now(), Instant::now());
        let mut set = wire::decode(record.value.as_deref(), limits).map_err(Failure::Decode)?;
        let deadline = record.header(header::DEADLINE).map(|value| wire::decode_deadline(value));
        set.expire_by(deadline.transpose().map_err(Failure::Decode)?);
        self.counts().took(Stage::Decode, begun.elapsed());
        let (stopping, revoked) = (Arc::clone(&self.stopping), ack.revoked());
        let is_set = |flag: &AtomicBool| flag.load(Ordering::Acquire);
        let wanted = Box::new(move || !is_set(&stopping) && !is_set(&revoked));
        let answered = self.reranker.answer_within(span, set, wanted, now).await;
        let Answered { value, status, tokens, shown } = answered.map_err(Failure::Answer)?;
        let Partition { topic, index } = &ack.position().partition;
        self.counts().partitions.read(topic, *index, tokens);
        let output = output(record, ack.position(), value);
        // Waiting for the answers before it is part of publishing, where there is an order to keep.
        let begun = Instant::now();
        ticket.turn().await?;
        self.outputs.publish(output, ack, span).await?;
        self.counts().took(Stage::Publish, begun.elapsed());
        self.count(status);
        if let Some(shown) = shown {
            self.counts().board.show_set(placed(shown, ack.position(), claimed));
        }
        Ok(())
    }

    /// Sets the record aside. Where its topic takes no record of that size, it is set aside without
    /// its value, which still stands where the headers say: one large record must not stop every
    /// worker of the group in turn.
    async fn bury(
        &self,
        mut record: Record,
        (ack, ticket): (&AckHandle, &mut Ticket),
        unanswered: &Unanswered,
        span: &SetSpan,
    ) -> Result<(), Unanswered> {
        let Unanswered { failure, attempts } = unanswered;
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
            attempts: *attempts,
        };
        record.headers.retain(|h| !header::is_dead_letter(&h.name));
        record
            .headers
            .extend(letter.headers().into_iter().map(|(n, value)| Header::text(n, value)));
        // Retention counts from when it was set aside, not from when it was sent.
        record.timestamp_ms = None;
        ticket.turn().await?;
        let buried = self.dead_letters.publish(record.clone(), ack, span).await;
        match buried {
            Err(Unanswered {
                failure: Failure::Publish(PublishError::Refused { reason, .. }),
                ..
            }) => {
                let bytes = record.value.take().map_or(0, |value| value.len());
                tracing::warn!(%position, bytes, reason, "dead letter goes without its value");
                record.headers.push(Header::text(header::DLQ_VALUE_BYTES, bytes.to_string()));
                self.dead_letters.publish(record, ack, span).await?;
            }
            buried => buried?,
        }
        let counts = self.counts();
        counts.dead_letters.add(1);
        counts.dead_letter_codes.add(code, 1);
        counts.board.show_dead_letter(position, code, &message);
        Ok(())
    }

    fn with_breaker<T>(&self, change: impl FnOnce(&mut Breaker) -> T) -> T {
        change(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn counts(&self) -> &Counts {
        self.reranker.counts()
    }

    /// The record's whole way is over, with an answer or a dead letter.
    fn processed(&self, ack: &AckHandle, error: Option<&'static str>, took: Duration) {
        if error.is_none() {
            self.counts().board.answered_after(took);
        }
        if let Some(distributions) = self.counts().distributions() {
            let topic = &ack.position().partition.topic;
            distributions.processed(topic, &self.group, error, took);
        }
    }

    fn count(&self, status: Status) {
        let counts = self.counts();
        counts.sets_published.add(1);
        match status {
            Status::Reranked => counts.sets_reranked.add(1),
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

/// What people are shown of a set, with where it came from and how long it took.
fn placed(mut shown: Box<SetShown>, position: &Position, claimed: Instant) -> Box<SetShown> {
    shown.topic = position.partition.topic.to_string();
    (shown.partition, shown.offset) = (position.partition.index, position.offset);
    shown.took_ms = claimed.elapsed().as_secs_f64() * 1000.0;
    shown
}
