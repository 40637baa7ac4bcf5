use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use tracing::{debug, warn};

use super::context::{Context, Event};
use super::poll::{PollThread, TICK};
use super::rebalance::Announced;

/// How long a consumer without a broker may take to let its partitions go. It needs none for that.
const LET_GO_MAX: Duration = Duration::from_secs(1);

// === impl PollThread ===

impl PollThread {
    /// The rebalances that librdkafka has announced and that have no answer yet.
    pub(super) fn unanswered(&mut self) -> Vec<Announced> {
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::Assigned(list) => self.rebalances.assigned(list),
                Event::Revoked(list) => self.rebalances.revoked(list),
                Event::Committed(..) | Event::Failed(..) | Event::Statistics(_) => {}
            }
        }
        self.rebalances.take_unanswered()
    }
}

impl Drop for PollThread {
    /// Leaves the group; what librdkafka still wants to know is answered from here on at once.
    fn drop(&mut self) {
        self.leaving.store(true, Ordering::Release);
        // A lane holds the consumer, and its queue must go before the partition does.
        self.lanes.clear();
        self.showing.ends.settle();
        let unanswered = self.unanswered();
        if self.outage.is_on() || self.watch.is_alone() || self.commits.is_unheard() {
            leave_unheard(&self.consumer, &unanswered);
            warn!(
                "the group's coordinator is away and not told; it notices by the session timeout"
            );
        } else if !unanswered.is_empty() {
            leave_during_a_rebalance(&self.consumer, &unanswered);
        }
        // Otherwise dropping the consumer does it, which closes it.
    }
}

/// librdkafka has taken what goes off its books when it announced the revocation. If that is all
/// that it had, closing asks nothing more, waits for the answer for ever, and tells the group nothing.
fn leave_during_a_rebalance(consumer: &BaseConsumer<Context>, unanswered: &[Announced]) {
    // Before the answers: once it closes, any answer means "let everything go, then leave". An
    // incremental one that comes before lets it end without having left.
    if let Err(error) = consumer.close_queue() {
        debug!(%error, "could not begin to close the consumer");
    }
    for announced in unanswered {
        announced.let_go(consumer);
    }
}

/// Leaves a group whose coordinator is away, or seems to be: lets everything go, but does not close the
/// consumer.
pub(super) fn leave_unheard(consumer: &Arc<BaseConsumer<Context>>, unanswered: &[Announced]) {
    for announced in unanswered {
        announced.let_go(consumer);
    }
    // Ends the heartbeats, so that the group notices by the session timeout even if this process
    // goes on; and tells the group, should a broker come back before the process ends.
    consumer.unsubscribe();
    let until = Instant::now() + LET_GO_MAX;
    let holds = || consumer.assignment().is_ok_and(|held| held.count() > 0);
    while holds() && Instant::now() < until {
        if let Some(Err(error)) = consumer.poll(TICK) {
            debug!(%error, "while leaving the group");
        }
    }
    // Never dropped. Closing a consumer without its coordinator can end the process with SIGSEGV
    // (`rd_kafka_cgrp_handle_LeaveGroup`, repaired in librdkafka 2.14.2), and waits for answers that
    // cannot come. What is lost is some memory and threads, once for each client that was stuck, or of a
    // process that is about to end.
    mem::forget(Arc::clone(consumer));
}
