//! Where partitions end, as their leaders say.
//!
//! librdkafka learns of an end with what it fetches. Where it fetches nothing, because there is enough to
//! do or nowhere to put the answers, lag would stand still just when it grows.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::context::Context;
use crate::stream::Partition;

/// How long an end may stand still before its leader is asked, and then again.
const STILL_MAX: Duration = Duration::from_secs(5);
/// One request. While it is on its way, the consumer cannot be closed.
const REQUEST_MAX: Duration = Duration::from_millis(1_000);

/// Ends beside those that fetching tells of.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// The last one that is known, and since when.
    known: HashMap<Partition, (i64, Instant)>,
    asking: Option<Receiver<Vec<(Partition, i64)>>>,
}

// === impl Ends ===

impl Ends {
    /// Takes what fetching tells of `partition`, and says what is known by now.
    pub(super) fn of(
        &mut self,
        partition: &Partition,
        fetched: Option<i64>,
        now: Instant,
    ) -> Option<i64> {
        if let Some(end) = fetched {
            self.learn(partition, end, now);
        }
        self.known.get(partition).map(|(end, _)| *end)
    }

    /// Keeps those partitions only.
    pub(super) fn retain(&mut self, is_ours: impl Fn(&Partition) -> bool) {
        self.known.retain(|partition, _| is_ours(partition));
    }

    /// Asks for the ends that have stood still, on a thread of its own: an answer may take its time.
    pub(super) fn ask(&mut self, consumer: &Arc<BaseConsumer<Context>>, now: Instant) {
        match self.asking.as_ref().map(Receiver::try_recv) {
            Some(Err(TryRecvError::Empty)) => return,
            Some(Ok(answers)) => {
                answers.into_iter().for_each(|(partition, end)| self.learn(&partition, end, now));
            }
            Some(Err(TryRecvError::Disconnected)) | None => {}
        }
        self.asking = None;
        let still = |(_, since): &(i64, Instant)| now - *since >= STILL_MAX;
        let partitions: Vec<Partition> = self
            .known
            .iter()
            .filter(|(_, known)| still(known))
            .map(|(partition, _)| partition.clone())
            .collect();
        if partitions.is_empty() {
            return;
        }
        // Asked for again when this has had its time, whether there is an answer or none.
        for partition in &partitions {
            if let Some((_, since)) = self.known.get_mut(partition) {
                *since = now;
            }
        }
        let (answers, asking) = crossbeam_channel::bounded(1);
        let consumer = Arc::downgrade(consumer);
        let asked = thread::Builder::new().name("kafka-ends".to_owned()).spawn(move || {
            // Whoever asked may be gone.
            let _told = answers.send(asked(&consumer, partitions));
        });
        self.asking = asked.is_ok().then_some(asking);
    }

    /// Waits until nobody but the caller has the consumer.
    pub(super) fn settle(&mut self) {
        if let Some(asking) = self.asking.take() {
            let _answers = asking.recv_timeout(REQUEST_MAX);
        }
    }

    fn learn(&mut self, partition: &Partition, end: i64, now: Instant) {
        let known = self.known.entry(partition.clone()).or_insert((end, now));
        // Statistics go on telling the end of the last fetch.
        if end > known.0 {
            *known = (end, now);
        }
    }
}

/// The ends of partitions, for readers of committed records where the consumer is one. Stops at the first
/// that has no answer: the next will have none either.
fn asked(
    consumer: &Weak<BaseConsumer<Context>>,
    partitions: Vec<Partition>,
) -> Vec<(Partition, i64)> {
    let end = |partition: Partition| {
        let consumer = consumer.upgrade()?;
        if consumer.context().leaving.load(Ordering::Acquire) {
            return None;
        }
        let ends = consumer.fetch_watermarks(&partition.topic, partition.index, REQUEST_MAX);
        ends.ok().map(|(_, end)| (partition, end))
    };
    partitions.into_iter().map_while(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> Partition {
        Partition { topic: "sets".into(), index: 1 }
    }

    #[test]
    fn an_end_that_was_asked_for_is_not_taken_back_by_older_statistics() {
        let (mut ends, now) = (Ends::default(), Instant::now());
        assert_eq!(ends.of(&partition(), None, now), None);
        assert_eq!(ends.of(&partition(), Some(10), now), Some(10));
        ends.learn(&partition(), 25, now);
        assert_eq!(ends.of(&partition(), Some(10), now), Some(25));
        assert_eq!(ends.of(&partition(), Some(30), now), Some(30));
        ends.retain(|_| false);
        assert_eq!(ends.of(&partition(), None, now), None);
    }
}
