use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::{LocalBroker, LocalSource, PublishFailure, Shared, State};
use crate::stream::{Output, Position, PublishError, Record, RecordSink};

/// Between two transactions of a member.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long a transaction takes: time for a rebalance or a death in the middle of it.
const DURATION: Duration = Duration::from_millis(10);

/// Publishes into the transactions that commit the inputs of one member of a group. They are carried
/// out by the publishes that wait for them.
///
/// A publish failure that is injected aborts the transaction.
#[derive(Clone, Debug)]
pub struct LocalTransactions {
    shared: Arc<Shared>,
    group: (String, Arc<str>),
    member: u64,
    record_bytes_max: usize,
}

// === impl LocalBroker ===

impl LocalBroker {
    /// Joins `group` as [`Self::source`] does, with a sink whose outputs are committed with their inputs.
    ///
    /// # Panics
    /// If the topic does not exist.
    pub fn exactly_once(&self, group: &str, topic: &str) -> (LocalSource, LocalTransactions) {
        let source = LocalSource::join(&self.shared, group, topic, true);
        let sink = LocalTransactions {
            shared: Arc::clone(&self.shared),
            group: source.group().clone(),
            member: source.member(),
            record_bytes_max: usize::MAX,
        };
        (source, sink)
    }
}

// === impl LocalTransactions ===

impl LocalTransactions {
    /// Refuses records that are longer, as a producer does.
    pub fn record_bytes_max(mut self, bytes: usize) -> Self {
        self.record_bytes_max = bytes;
        self
    }

    /// Takes the next step of this member's transactions; when to look again.
    fn step(&self) -> Instant {
        let now = Instant::now();
        let mut state = self.shared.lock();
        let limit = state.drain_limit();
        let State { topics, groups, failures, .. } = &mut *state;
        let Some(group) = groups.get_mut(&self.group) else { return now + INTERVAL };
        let Some((batch, until)) = group.running(self.member) else {
            return group
                .begin(self.member, now + INTERVAL, now + DURATION)
                .unwrap_or(now + INTERVAL);
        };
        if now < until {
            return until;
        }
        let mut refusal = None;
        for (place, output) in batch.outputs.iter().enumerate() {
            let injected = failures.get_mut(&output.topic).filter(|failures| !failures.is_empty());
            let failure = match injected {
                Some(failures) => failures.remove(0),
                None if output.record.bytes() > self.record_bytes_max => PublishFailure::Refused,
                None if topics.contains_key(output.topic.as_str()) => continue,
                None => PublishFailure::Retryable,
            };
            refusal = Some((place, failure));
            break;
        }
        match refusal {
            None => {
                for output in group.end(self.member, limit) {
                    if let Some(topic) = topics.get_mut(output.topic.as_str()) {
                        topic.append(output.record.clone());
                    }
                    output.published();
                }
            }
            Some((place, failure)) => group.abort(self.member, place, |output| match failure {
                PublishFailure::Retryable => Some(output),
                PublishFailure::Refused | PublishFailure::Fatal => {
                    output.failed(|topic| failure.into_error(&topic));
                    None
                }
            }),
        }
        drop(state);
        self.shared.changed.notify_waiters();
        now
    }

    /// Waits for an answer, and carries out transactions meanwhile.
    async fn wait(
        &self,
        mut answered: oneshot::Receiver<Result<(), PublishError>>,
    ) -> Option<Result<(), PublishError>> {
        loop {
            match timeout_at(self.step(), &mut answered).await {
                Ok(answer) => return answer.ok(),
                Err(_look_again) => {}
            }
        }
    }
}

impl RecordSink for LocalTransactions {
    fn publish(
        &self,
        topic: &str,
        record: Record,
        answers: &Position,
    ) -> impl Future<Output = Result<(), PublishError>> + Send {
        let (output, answered) = Output::new(topic, record, answers);
        let topic = topic.to_owned();
        async move {
            // Lets others run, as a round trip to a broker does.
            tokio::task::yield_now().await;
            {
                let mut state = self.shared.lock();
                // A member that is gone drops the output, and that is an answer too.
                if let Some(group) = state.groups.get_mut(&self.group) {
                    group.stage(self.member, output);
                }
            }
            self.shared.changed.notify_waiters();
            self.wait(answered).await.unwrap_or(Err(PublishError::InputReturned { topic }))
        }
    }

    async fn flush(&self, _wait_max: Duration) -> Result<(), PublishError> {
        // A publish is complete when it returns: nothing is ever in flight between calls.
        Ok(())
    }
}
