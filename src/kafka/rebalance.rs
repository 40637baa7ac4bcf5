use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use tracing::{debug, info, warn};

use super::commit::{Commits, metadata};
use super::context::{Context, assign, let_go, unassign};
use super::poll::{Lane, PollThread};
use super::showing::LOST;
use crate::stream::{Completed, Partition, SourceError};

/// How long an assignment waits for what earlier owners said beside their commits: a round trip, and
/// a second one where the coordinator has just moved.
const COMMITTED_MAX: Duration = Duration::from_secs(2);

/// Rebalances in the order in which librdkafka announced them. It announces the next one only when
/// the last one is answered, but an assignment may be lost meanwhile.
pub(super) struct Rebalances {
    drain_timeout: Duration,
    announced: VecDeque<Announced>,
    going: Option<Going>,
}

/// A rebalance that must be answered.
pub(super) enum Announced {
    Assigned(TopicPartitionList),
    Revoked(TopicPartitionList),
}

/// Partitions on their way out.
struct Going {
    list: TopicPartitionList,
    partitions: Vec<Partition>,
    started: Instant,
    drain_until: Instant,
    commit_until: Option<Instant>,
}

// === impl Rebalances ===

impl Rebalances {
    pub(super) fn new(drain_timeout: Duration) -> Self {
        Self { drain_timeout, announced: VecDeque::new(), going: None }
    }

    pub(super) fn assigned(&mut self, list: TopicPartitionList) {
        self.announced.push_back(Announced::Assigned(list));
    }

    pub(super) fn revoked(&mut self, list: TopicPartitionList) {
        self.announced.push_back(Announced::Revoked(list));
    }

    /// What librdkafka still waits for an answer to, in its order.
    pub(super) fn take_unanswered(&mut self) -> Vec<Announced> {
        let going = self.going.take().map(|going| Announced::Revoked(going.list));
        going.into_iter().chain(self.announced.drain(..)).collect()
    }
}

// === impl Announced ===

impl Announced {
    /// Answers when nobody works any more: what goes is let go, and of what comes nothing is taken.
    pub(super) fn let_go(&self, consumer: &BaseConsumer<Context>) {
        match self {
            Self::Assigned(_) => let_go(consumer, None),
            Self::Revoked(list) => let_go(consumer, Some(list)),
        }
    }
}

// === impl PollThread ===

impl PollThread {
    /// Takes the next step of a rebalance, if there is one.
    pub(super) fn advance_rebalance(&mut self) -> Result<(), SourceError> {
        loop {
            if self.rebalances.going.is_some() && !self.advance_revocation()? {
                return Ok(());
            }
            match self.rebalances.announced.pop_front() {
                None => return Ok(()),
                Some(Announced::Assigned(list)) => self.take_partitions(&list)?,
                Some(Announced::Revoked(list)) => self.start_revocation(list)?,
            }
        }
    }

    fn take_partitions(&mut self, list: &TopicPartitionList) -> Result<(), SourceError> {
        let partitions = partitions(list);
        let mut completed = self.completed_of(list);
        for partition in &partitions {
            // An old queue that goes after the new one has come takes the new one's bell with it.
            self.lanes.retain(|lane| lane.partition != *partition);
            // On every assignment, and before it: from then on it is read through its own queue.
            let queue = self.consumer.split_partition_queue(&partition.topic, partition.index);
            let Some(mut queue) = queue else {
                let reason = format!("partition {partition} has no queue");
                return Err(SourceError::Fatal { reason, source: None });
            };
            let bell = self.wires.bell.clone();
            queue.set_nonempty_callback(move || bell.ring());
            let completed = completed.remove(partition).unwrap_or_default();
            self.tracker.assign_with(partition.clone(), completed);
            let revoked = Arc::new(AtomicBool::new(false));
            self.lanes.push(Lane { partition: partition.clone(), revoked, queue });
        }
        assign(&self.consumer, list).map_err(|error| failed("take partitions", error))?;
        // A rebalance that brings nothing is announced all the same.
        if !partitions.is_empty() {
            self.watch.counts().rebalances.add("assigned", 1);
            info!(partitions = %named(&partitions), total = self.lanes.len(), "partitions assigned");
        }
        Ok(())
    }

    /// What earlier owners of these partitions settled above their commits. Without an answer in time
    /// it is scored again.
    fn completed_of(&self, list: &TopicPartitionList) -> HashMap<Partition, Completed> {
        if !self.commits.keeps_completed() || list.count() == 0 {
            return HashMap::new();
        }
        let committed = match self.consumer.committed_offsets(list.clone(), COMMITTED_MAX) {
            Ok(committed) => committed,
            Err(error) => {
                debug!(%error, "could not read what is settled above the commits");
                return HashMap::new();
            }
        };
        let completed = committed.elements().into_iter().filter_map(|element| {
            let Offset::Offset(offset) = element.offset() else { return None };
            let partition = Partition { topic: element.topic().into(), index: element.partition() };
            let completed = Completed::from_text(&metadata(&committed, &partition)?, offset);
            Some((partition, completed))
        });
        completed.collect()
    }

    fn start_revocation(&mut self, list: TopicPartitionList) -> Result<(), SourceError> {
        let partitions = partitions(&list);
        for lane in self.lanes.iter().filter(|lane| partitions.contains(&lane.partition)) {
            lane.revoked.store(true, Ordering::Release);
        }
        self.take_back(|claimed| claimed.ack.is_revoked());
        self.take_outcomes()?;
        let started = Instant::now();
        let drain_until = started + self.rebalances.drain_timeout;
        let going = Going { list, partitions, started, drain_until, commit_until: None };
        self.rebalances.going = Some(going);
        Ok(())
    }

    /// Waits for the work on what goes, commits it, and lets it go. True when it is gone.
    fn advance_revocation(&mut self) -> Result<bool, SourceError> {
        let lost = self.consumer.assignment_lost();
        let now = Instant::now();
        let Some(going) = &mut self.rebalances.going else {
            return Ok(true);
        };
        let unsettled: usize =
            going.partitions.iter().map(|partition| self.tracker.unsettled_of(partition)).sum();
        if !lost {
            if unsettled > 0 && now < going.drain_until {
                return Ok(false);
            }
            let commit_until = *going.commit_until.get_or_insert(now + Commits::WAIT_MAX);
            if now < commit_until && !self.commit_rest() {
                return Ok(false);
            }
        }
        let Some(going) = self.rebalances.going.take() else {
            return Ok(true);
        };
        // The queues go first: one that outlives its partition takes the bell of the next one.
        self.lanes.retain(|lane| !going.partitions.contains(&lane.partition));
        for partition in &going.partitions {
            self.tracker.revoke(partition);
            self.commits.forget(partition);
            if let Some(transactions) = &mut self.transactions {
                transactions.revoke(partition);
            }
        }
        unassign(&self.consumer, Some(&going.list))
            .map_err(|error| failed("let partitions go", error))?;
        self.tell_gone(&going.partitions, if lost { LOST } else { "revoked" });
        let (partitions, drain) = (named(&going.partitions), going.started.elapsed());
        if lost {
            warn!(%partitions, unsettled, "partitions lost; what was in flight is read again");
        } else if unsettled > 0 {
            warn!(%partitions, unsettled, ?drain, "partitions revoked before their work was done");
        } else {
            info!(%partitions, ?drain, "partitions revoked");
        }
        Ok(true)
    }
}

fn failed(what: &str, error: KafkaError) -> SourceError {
    SourceError::Fatal { reason: format!("could not {what}"), source: Some(Box::new(error)) }
}

fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    let elements = list.elements();
    let partition =
        elements.iter().map(|e| Partition { topic: e.topic().into(), index: e.partition() });
    partition.collect()
}

fn named(partitions: &[Partition]) -> String {
    let indices: Vec<String> = partitions.iter().map(|p| p.index.to_string()).collect();
    indices.join(",")
}
