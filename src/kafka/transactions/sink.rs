use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;

use super::refusals::Refusals;
use crate::kafka::source::Bell;
use crate::stream::{Output, Position, PublishError, Record, RecordSink};

/// Publishes into the transactions that commit the inputs. A publish returns when its transaction is
/// committed.
///
/// It never asks to be tried again: what can be repaired is, and takes as long as it takes.
#[derive(Debug)]
pub struct TransactionSink {
    staged: Sender<Output>,
    bell: Bell,
    refusals: Refusals,
    waiting: Arc<Waiting>,
}

/// Publishes that have not returned.
#[derive(Debug, Default)]
struct Waiting {
    count: AtomicUsize,
    less: Notify,
}

/// One of them.
struct Waits(Arc<Waiting>);

// === impl TransactionSink ===

impl TransactionSink {
    pub(super) fn new(staged: Sender<Output>, bell: Bell, refusals: Refusals) -> Self {
        Self { staged, bell, refusals, waiting: Arc::default() }
    }
}

impl RecordSink for TransactionSink {
    async fn publish(
        &self,
        topic: &str,
        record: Record,
        answers: &Position,
    ) -> Result<(), PublishError> {
        let bytes = record.bytes();
        if let Some(limit) = self.refusals.refused(topic, bytes, Instant::now()) {
            let topic = topic.to_owned();
            let reason = format!(
                "{bytes} bytes before compression, and the topic has just refused {limit}; raise its \
                 max.message.bytes"
            );
            return Err(PublishError::Refused { topic, reason });
        }
        let _waits = Waits::new(&self.waiting);
        let (output, answered) = Output::new(topic, record, answers);
        let staged = self.staged.send(output).await.is_ok();
        self.bell.ring();
        match answered.await {
            Ok(answer) if staged => answer,
            // The source has ended; what it has not committed is read again.
            Ok(_) | Err(_) => Err(PublishError::InputReturned { topic: topic.to_owned() }),
        }
    }

    async fn flush(&self, wait_max: Duration) -> Result<(), PublishError> {
        let until = tokio::time::Instant::now() + wait_max;
        loop {
            let less = self.waiting.less.notified();
            tokio::pin!(less);
            less.as_mut().enable();
            let count = self.waiting.count.load(Ordering::Acquire);
            if count == 0 {
                return Ok(());
            }
            if tokio::time::timeout_at(until, less).await.is_err() {
                let reason = format!("{count} records are not committed after {wait_max:?}");
                return Err(PublishError::Retryable { topic: "(any)".to_owned(), reason });
            }
        }
    }
}

// === impl Waits ===

impl Waits {
    fn new(waiting: &Arc<Waiting>) -> Self {
        waiting.count.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(waiting))
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.less.notify_waiters();
    }
}
