use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::group::Group;
use super::{DRAIN_TIMEOUT, Shared, State};
use crate::stream::{AckHandle, Claimed, RecordSource, Settled, SourceError};

/// A member of a group on a [`super::LocalBroker`].
///
/// Commits as soon as an outcome makes it possible. Dropping it without [`RecordSource::close`] is
/// a crash: its partitions are free at once, and what was not settled is read again by others.
#[derive(Debug)]
pub struct LocalSource {
    shared: Arc<Shared>,
    group: (String, Arc<str>),
    member: u64,
}

// === impl LocalSource ===

impl LocalSource {
    pub(super) fn join(
        shared: &Arc<Shared>,
        group: &str,
        topic: &str,
        transactional: bool,
    ) -> Self {
        let mut state = shared.lock();
        let topics = state.topics.get_key_value(topic);
        let (name, topic) = topics.unwrap_or_else(|| panic!("no such topic"));
        let (name, partitions) = (Arc::clone(name), topic.partitions.len());
        state.members += 1;
        let member = state.members;
        let limit = state.drain_limit();
        let group = (group.to_owned(), name);
        let members = state.groups.entry(group.clone());
        members.or_insert_with(|| Group::new(Arc::clone(&group.1), partitions)).join(
            member,
            transactional,
            limit,
        );
        drop(state);
        shared.changed.notify_waiters();
        Self { shared: Arc::clone(shared), group, member }
    }

    pub(super) fn group(&self) -> &(String, Arc<str>) {
        &self.group
    }

    pub(super) fn member(&self) -> u64 {
        self.member
    }

    /// Claims if there is something, and says otherwise how long it may be waited for.
    fn try_claim(&self) -> Result<Result<Claimed, Option<Instant>>, SourceError> {
        let mut state = self.shared.lock();
        let State { topics, groups, .. } = &mut *state;
        let log_ends: Vec<i64> =
            topics[&self.group.1].partitions.iter().map(|log| log.len() as i64).collect();
        let Some(group) = groups.get_mut(&self.group) else {
            return Ok(Err(None));
        };
        if let Some(position) = group.abandoned(self.member) {
            return Err(SourceError::Abandoned { position });
        }
        let Some((position, revoked)) = group.claim(self.member, &log_ends) else {
            return Ok(Err(group.next_deadline()));
        };
        let log = &topics[&self.group.1].partitions[position.partition.index as usize];
        let record = log[position.offset as usize].clone();
        let ack = AckHandle::new(position, revoked, self.settle());
        Ok(Ok(Claimed { record, ack }))
    }

    fn settle(&self) -> Arc<dyn Fn(Settled) + Send + Sync> {
        let (shared, group, member) = (Arc::clone(&self.shared), self.group.clone(), self.member);
        Arc::new(move |settled: Settled| {
            let mut state = shared.lock();
            let limit = state.drain_limit();
            if let Some(group) = state.groups.get_mut(&group) {
                group.settle(member, &settled, limit);
            }
            drop(state);
            shared.changed.notify_waiters();
        })
    }

    /// Hands over what is due, and wakes the others if something moved.
    fn hand_over(&self) {
        let mut state = self.shared.lock();
        let limit = state.drain_limit();
        let moved = state.groups.get_mut(&self.group).is_some_and(|group| group.hand_over(limit));
        drop(state);
        if moved {
            self.shared.changed.notify_waiters();
        }
    }

    fn with_group<T: Default>(&self, read: impl FnOnce(&mut Group) -> T) -> T {
        self.shared.lock().groups.get_mut(&self.group).map(read).unwrap_or_default()
    }
}

impl RecordSource for LocalSource {
    fn claim(&mut self) -> impl Future<Output = Result<Claimed, SourceError>> + Send {
        let this = &*self;
        async move {
            loop {
                let changed = this.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                this.hand_over();
                let deadline = match this.try_claim()? {
                    Ok(claimed) => return Ok(claimed),
                    Err(deadline) => deadline,
                };
                match deadline {
                    // Either way there is something to look at again.
                    Some(deadline) => drop(timeout_at(deadline, changed).await),
                    None => changed.await,
                }
            }
        }
    }

    async fn close(self, drain_max: Duration) -> Result<(), SourceError> {
        let deadline = Instant::now() + drain_max;
        self.with_group(|group| group.stop(self.member));
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            self.hand_over();
            let unsettled = self.with_group(|group| group.unsettled(self.member));
            if let Some(position) = self.with_group(|group| group.abandoned(self.member)) {
                return Err(SourceError::Abandoned { position });
            }
            if unsettled == 0 {
                return Ok(());
            }
            if timeout_at(deadline, changed).await.is_err() {
                return Err(SourceError::DrainDeadline { unsettled });
            }
        }
    }
}

impl Drop for LocalSource {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let limit = state.drain_limit();
        if let Some(group) = state.groups.get_mut(&self.group) {
            group.leave(self.member, limit);
        }
        drop(state);
        self.shared.changed.notify_waiters();
    }
}

// === impl State ===

impl State {
    pub(super) fn drain_limit(&self) -> Duration {
        self.drain_timeout.unwrap_or(DRAIN_TIMEOUT)
    }
}
