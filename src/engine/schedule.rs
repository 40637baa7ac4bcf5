use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::EngineError;
use super::cache::ScoreCache;
use super::forecast::Forecast;
use super::key::Keyed;
use super::open_set::OpenSet;
use super::packer::BatchPacker;
use super::queue::{Owner, PairQueue};
use super::tokenizers::Part;
use crate::telemetry::SetSpan;

mod in_time;

/// How often sets that wait are asked whether they are still wanted. Bounds how long a rebalance
/// waits for work that was not started.
pub(super) const SWEEP_INTERVAL: Duration = Duration::from_millis(50);
/// When a set without a deadline is due, from its arrival; one with a later deadline is due then,
/// too. Longer than an interactive caller waits, so that its sets go first; and no set is overtaken
/// by any that arrives later than this behind it, whatever deadlines those have.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How much is held and handed out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) replicas: usize,
    /// Batches that may be handed out and not answered.
    pub(super) ahead_max: usize,
    pub(super) batch_tokens_max: usize,
    pub(super) queue_tokens_max: usize,
    pub(super) cache_pairs_max: usize,
}

/// Owns the waiting pairs, the open sets and the score cache, and says which batch goes next. Knows
/// no channel and no clock: is told what happens, and when.
pub(super) struct Schedule {
    sizes: Sizes,
    queue: PairQueue,
    cache: ScoreCache,
    open: HashMap<u64, OpenSet>,
    /// Those of them whose deadlines bind, the earliest first.
    deadlines: BTreeSet<(Instant, u64)>,
    forecast: Forecast,
    /// Open sets whose spans somebody will read.
    sampled: usize,
    /// Batches handed out and not answered.
    ahead: usize,
    ahead_tokens: usize,
    /// Batches that came back, for their memory.
    spare: Vec<Vec<Keyed>>,
    began: Instant,
    swept: Instant,
}

// === impl Schedule ===

impl Schedule {
    pub(super) fn new(sizes: Sizes, now: Instant) -> Self {
        Self {
            queue: PairQueue::new(BatchPacker::new(sizes.batch_tokens_max, sizes.replicas)),
            cache: ScoreCache::new(sizes.cache_pairs_max),
            open: HashMap::new(),
            deadlines: BTreeSet::new(),
            forecast: Forecast::new(sizes.replicas),
            sampled: 0,
            ahead: 0,
            ahead_tokens: 0,
            spare: Vec::new(),
            began: now,
            swept: now,
            sizes,
        }
    }

    /// Whether no set is open.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether a batch is with a replica.
    pub(super) fn is_ahead(&self) -> bool {
        self.ahead > 0
    }

    /// Whether no further set is to be taken for now.
    pub(super) fn is_full(&self) -> bool {
        self.queue.tokens() >= self.sizes.queue_tokens_max
    }

    /// Tokens that wait to be handed out, counted for every set that they are of.
    pub(super) fn queued_tokens(&self) -> usize {
        self.queue.tokens()
    }

    /// How long nothing needs to be done unless something happens; then [`tick`](Self::tick).
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let first = self.deadlines.first();
        first
            .map_or(SWEEP_INTERVAL, |(at, _)| at.saturating_duration_since(now).min(SWEEP_INTERVAL))
    }

    /// Does what it is time for.
    pub(super) fn tick(&mut self, now: Instant) {
        self.answer_overdue(now);
        if now.saturating_duration_since(self.swept) >= SWEEP_INTERVAL {
            self.sweep(now);
        }
    }

    pub(super) fn arrived(&mut self, part: Part, now: Instant) {
        let set = part.set;
        if let Some(header) = part.header {
            header.taken.store(true, std::sync::atomic::Ordering::Release);
            let due = self.due(header.since, header.deadline.map(|deadline| deadline.at));
            let open = OpenSet::new(header, due);
            self.sampled += usize::from(open.span().is_sampled());
            self.deadlines.extend(open.deadline().map(|deadline| (deadline.at, set)));
            self.open.insert(set, open);
        }
        // Where it was given up, nobody waits for the rest of it.
        let Some(open) = self.open.get_mut(&set) else { return };
        for passage in part.passages {
            let first = open.add(passage.as_deref());
            for (index, window) in (first..).zip(passage.into_iter().flatten()) {
                let keyed = window.keyed;
                match self.cache.get(keyed.key) {
                    Some(logit) => open.set_logit(index, logit, true),
                    None => {
                        open.queue(index, keyed.key);
                        self.queue.push(Owner { set, index }, open.due(), keyed);
                    }
                }
            }
        }
        self.answer_if_complete(set, now);
        self.give_up_if_hopeless(set, now);
    }

    /// A deadline brings a set forward and never back. One that has passed counts as on arrival,
    /// so that a sender of such does not overtake what came before.
    fn due(&self, since: Instant, deadline: Option<Instant>) -> Duration {
        let latest = since + PATIENCE;
        let due = deadline.map_or(latest, |deadline| deadline.clamp(since, latest));
        due.saturating_duration_since(self.began)
    }

    /// The spans of the open sets that this batch is for, the most urgent first. None where none is sampled.
    pub(super) fn spans_of(&self, members: &[Keyed]) -> Vec<SetSpan> {
        if self.sampled == 0 {
            return Vec::new();
        }
        let mut sets: Vec<u64> = Vec::new();
        for owner in members.iter().flat_map(|keyed| self.queue.owners(keyed.key)) {
            if !sets.contains(&owner.set) {
                sets.push(owner.set);
            }
        }
        let spans = sets.iter().filter_map(|set| self.open.get(set)).map(OpenSet::span);
        spans.filter(|span| span.is_sampled()).cloned().collect()
    }

    /// A batch is back from its replica, which took so long for it.
    pub(super) fn scored(
        &mut self,
        mut members: Vec<Keyed>,
        logits: &[f32],
        took: Duration,
        now: Instant,
    ) {
        let tokens = tokens(&members);
        self.ahead -= 1;
        self.ahead_tokens -= tokens;
        self.forecast.observe(tokens, took, now);
        for (keyed, &logit) in members.drain(..).zip(logits) {
            self.cache.insert(keyed.key, logit);
            for (place, owner) in self.queue.scored(keyed.key).into_iter().enumerate() {
                self.answered(owner, logit, place > 0, now);
            }
        }
        self.spare.push(members);
    }

    fn answered(&mut self, owner: Owner, logit: f32, cached: bool, now: Instant) {
        let Some(open) = self.open.get_mut(&owner.set) else { return };
        open.set_logit(owner.index, logit, cached);
        open.dequeue(owner.index);
        self.answer_if_complete(owner.set, now);
    }

    fn answer_if_complete(&mut self, set: u64, now: Instant) {
        if self.open.get(&set).is_some_and(OpenSet::is_complete)
            && let Some(open) = self.close(set)
        {
            open.answer(now);
        }
    }

    /// The batch to be handed out next, if one may be.
    pub(super) fn next_batch(&mut self, now: Instant) -> Option<Vec<Keyed>> {
        if self.ahead >= self.sizes.ahead_max {
            return None;
        }
        let mut batch = self.spare.pop().unwrap_or_default();
        loop {
            match self.room_in_order(now) {
                Some(room) => self.queue.cut_in_order(&mut batch, room),
                None => self.queue.cut(&mut batch),
            }
            if batch.is_empty() {
                self.spare.push(batch);
                return None;
            }
            self.keep_wanted(&mut batch, now);
            if !batch.is_empty() {
                self.ahead += 1;
                self.ahead_tokens += tokens(&batch);
                return Some(batch);
            }
        }
    }

    /// Leaves out the pairs of sets that nobody waits for, and notes the start of the others.
    fn keep_wanted(&mut self, batch: &mut Vec<Keyed>, now: Instant) {
        let mut unwanted = Vec::new();
        for owner in batch.iter().flat_map(|keyed| self.queue.owners(keyed.key)) {
            match self.open.get_mut(&owner.set) {
                Some(open) if open.is_wanted() => open.begin(now),
                Some(_) | None => unwanted.push(owner.set),
            }
        }
        unwanted.into_iter().for_each(|id| self.drop_set(id));
        batch.retain(|keyed| !self.queue.drop_unowned(keyed.key));
    }

    fn sweep(&mut self, now: Instant) {
        self.swept = now;
        let unwanted = self.open.iter().filter(|(_, open)| !open.is_wanted());
        let unwanted: Vec<u64> = unwanted.map(|(&id, _)| id).collect();
        unwanted.into_iter().for_each(|id| self.drop_set(id));
        let deadlines: Vec<u64> = self.deadlines.iter().map(|&(_, set)| set).collect();
        deadlines.into_iter().for_each(|set| self.give_up_if_hopeless(set, now));
    }

    fn drop_set(&mut self, id: u64) {
        if let Some(open) = self.close(id) {
            open.refuse(EngineError::Unwanted);
        }
    }

    /// Takes out a set; the pairs that others wait for too stay.
    fn close(&mut self, id: u64) -> Option<OpenSet> {
        let open = self.open.remove(&id)?;
        self.sampled -= usize::from(open.span().is_sampled());
        if let Some(deadline) = open.deadline() {
            self.deadlines.remove(&(deadline.at, id));
        }
        if !open.is_complete() {
            open.queued().iter().for_each(|&(_, key)| self.queue.detach(key, id));
        }
        Some(open)
    }

    /// The replicas are gone: answers every open set with the reason.
    pub(super) fn fail(self, reason: &str) {
        tracing::error!(reason, "the engine stopped");
        for (_, open) in self.open {
            open.refuse(EngineError::Lost { reason: reason.to_owned() });
        }
    }
}

/// Tokens of a batch.
pub(super) fn tokens(batch: &[Keyed]) -> usize {
    batch.iter().map(|keyed| keyed.pair.ids.len()).sum()
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
