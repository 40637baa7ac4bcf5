//! An in-process broker that behaves like Kafka where it matters, and the same way every time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use self::group::Group;
use super::Record;

mod group;
mod sink;
mod source;
mod transactions;

pub use sink::{LocalSink, PublishFailure};
pub use source::LocalSource;
pub use transactions::LocalTransactions;

/// How long a rebalance waits for work in flight, unless told otherwise.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// An in-process broker: topics with partitions, consumer groups that rebalance, commits, and
/// publish failures on demand.
///
/// Cloning gives another handle on the same broker. It has no threads and no clock of its own:
/// everything happens inside the calls made to it, and its waits are tokio's, so that tests under
/// paused time are deterministic. It keeps everything that was ever produced.
///
/// ```
/// # use crossrank::stream::{LocalBroker, Record, RecordSource};
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let broker = LocalBroker::new().topic("in", 4);
/// broker.produce("in", "a key", Record { value: Some("a value".into()), ..Record::default() });
/// let mut source = broker.source("group", "in");
/// let claimed = source.claim().await.unwrap();
/// let partition = claimed.ack.position().partition.index;
/// claimed.ack.published();
/// assert_eq!(broker.committed("group", "in", partition), Some(1));
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct LocalBroker {
    shared: Arc<Shared>,
}

/// Where a produced record goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This partition.
    Partition(i32),
    /// The partition that this key belongs to; the record gets the key.
    Key(String),
}

/// A record as a topic holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// The partition's number.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// The record.
    pub record: Record,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Rung after every change that somebody may wait for.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    topics: HashMap<Arc<str>, Topic>,
    groups: HashMap<(String, Arc<str>), Group>,
    /// What the next publishes to a topic fail with.
    failures: HashMap<String, Vec<PublishFailure>>,
    drain_timeout: Option<Duration>,
    members: u64,
}

#[derive(Debug, Default)]
struct Topic {
    partitions: Vec<Vec<Record>>,
    /// Records without a key go round.
    turn: usize,
}

// === impl LocalBroker ===

impl LocalBroker {
    /// A broker without topics.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a topic.
    ///
    /// # Panics
    /// If `partitions` is 0.
    pub fn topic(self, name: &str, partitions: usize) -> Self {
        self.create_topic(name, partitions);
        self
    }

    /// Adds a topic to a broker that is in use.
    ///
    /// # Panics
    /// If `partitions` is 0.
    pub fn create_topic(&self, name: &str, partitions: usize) {
        assert!(partitions > 0, "a topic has at least one partition");
        let topic = Topic { partitions: vec![Vec::new(); partitions], turn: 0 };
        self.shared.lock().topics.insert(name.into(), topic);
    }

    /// How long a rebalance waits for work in flight on a partition that moves.
    pub fn drain_timeout(self, limit: Duration) -> Self {
        self.shared.lock().drain_timeout = Some(limit);
        self
    }

    /// Appends a record, and says where it went.
    ///
    /// # Panics
    /// If the topic or the partition does not exist.
    pub fn produce(
        &self,
        topic: &str,
        target: impl Into<Target>,
        mut record: Record,
    ) -> (i32, i64) {
        let mut state = self.shared.lock();
        let stored = match target.into() {
            Target::Partition(index) => {
                let partition = usize::try_from(index).ok();
                let topic = state.topics.get_mut(topic);
                let log = topic.and_then(|t| t.partitions.get_mut(partition?));
                let log = log.unwrap_or_else(|| panic!("no partition {index} in this topic"));
                log.push(record);
                (index, last_offset(log))
            }
            Target::Key(key) => {
                record.key = Some(key.into());
                let topic = state.topics.get_mut(topic);
                topic.unwrap_or_else(|| panic!("no such topic")).append(record)
            }
        };
        drop(state);
        self.shared.changed.notify_waiters();
        stored
    }

    /// Joins `group` as a new member that reads `topic`. The group rebalances at once.
    ///
    /// # Panics
    /// If the topic does not exist.
    pub fn source(&self, group: &str, topic: &str) -> LocalSource {
        LocalSource::join(&self.shared, group, topic, false)
    }

    /// A sink that writes to this broker.
    pub fn sink(&self) -> LocalSink {
        LocalSink::new(Arc::clone(&self.shared))
    }

    /// Everything in a topic, partition by partition; empty if there is no such topic.
    pub fn records(&self, topic: &str) -> Vec<StoredRecord> {
        let state = self.shared.lock();
        let partitions = state.topics.get(topic).into_iter().flat_map(|t| t.partitions.iter());
        let stored = (0..).zip(partitions).flat_map(|(partition, log)| {
            let stored = move |(offset, record): (i64, &Record)| StoredRecord {
                partition,
                offset,
                record: record.clone(),
            };
            (0..).zip(log).map(stored)
        });
        stored.collect()
    }

    /// The offset that `group` has committed: the next one to read.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let state = self.shared.lock();
        state.groups.get(&(group.to_owned(), topic.into()))?.committed(partition)
    }

    /// Makes the next `times` publishes to `topic` fail.
    pub fn fail_next_publish(&self, topic: &str, failure: PublishFailure, times: usize) {
        let mut state = self.shared.lock();
        let failures = state.failures.entry(topic.to_owned()).or_default();
        failures.extend(std::iter::repeat_n(failure, times));
    }

    /// Waits until `condition` holds, looking again whenever something has changed.
    pub async fn until(&self, condition: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if condition(self) {
                return;
            }
            changed.await;
        }
    }
}

// === impl Target ===

impl From<i32> for Target {
    fn from(partition: i32) -> Self {
        Self::Partition(partition)
    }
}

impl From<&str> for Target {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

// === impl Shared ===

impl Shared {
    /// The state. A panic elsewhere leaves it usable: every change is complete before any assertion.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Topic ===

impl Topic {
    /// Appends to the partition that the record's key belongs to.
    fn append(&mut self, record: Record) -> (i32, i64) {
        let count = self.partitions.len();
        let index = match &record.key {
            Some(key) => fnv1a(key) as usize % count,
            None => {
                self.turn += 1;
                (self.turn - 1) % count
            }
        };
        self.partitions[index].push(record);
        (index as i32, last_offset(&self.partitions[index]))
    }
}

fn last_offset(log: &[Record]) -> i64 {
    log.len() as i64 - 1
}

/// A hash that is the same in every run, unlike the standard library's.
fn fnv1a(key: &[u8]) -> u32 {
    key.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests;
