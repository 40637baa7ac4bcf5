use std::collections::HashMap;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, never, select_biased};

use super::EngineError;
use super::cache::ScoreCache;
use super::key::Keyed;
use super::open_set::OpenSet;
use super::packer::BatchPacker;
use super::queue::{Owner, PairQueue};
use super::replica::Event;
use super::tokenizers::Part;

/// How often sets that wait are asked whether they are still wanted. Bounds how long a rebalance
/// waits for work that was not started.
const SWEEP_INTERVAL: Duration = Duration::from_millis(50);
/// When a set without a deadline is due, from its arrival; one with a later deadline is due then,
/// too. Longer than an interactive caller waits, so that its sets go first; and no set is overtaken
/// by any that arrives later than this behind it, whatever deadlines those have.
const PATIENCE: Duration = Duration::from_secs(5);

/// The dispatcher's ends of the channels.
pub(super) struct Channels {
    /// Sets from the tokenizers.
    pub(super) parts: Receiver<Part>,
    /// Answers of the replicas.
    pub(super) events: Receiver<Event>,
    /// Batches for the replicas; its capacity is what may be ahead of them.
    pub(super) batches: Sender<Vec<Keyed>>,
}

/// How much the dispatcher holds and hands out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) replicas: usize,
    /// Batches that may be handed out and not answered.
    pub(super) ahead_max: usize,
    pub(super) batch_tokens_max: usize,
    pub(super) queue_tokens_max: usize,
    pub(super) cache_pairs_max: usize,
}

/// Owns the waiting pairs, the open sets and the score cache; one thread.
pub(super) struct Dispatcher {
    channels: Channels,
    sizes: Sizes,
    queue: PairQueue,
    cache: ScoreCache,
    open: HashMap<u64, OpenSet>,
    /// Batches handed out and not answered.
    ahead: usize,
    /// Batches that came back, for their memory.
    spare: Vec<Vec<Keyed>>,
    /// The tokenizers are gone: finish what is open, then end.
    closing: bool,
    began: Instant,
    swept: Instant,
}

// === impl Dispatcher ===

impl Dispatcher {
    pub(super) fn new(channels: Channels, sizes: Sizes) -> Self {
        let now = Instant::now();
        Self {
            channels,
            queue: PairQueue::new(BatchPacker::new(sizes.batch_tokens_max, sizes.replicas)),
            cache: ScoreCache::new(sizes.cache_pairs_max),
            open: HashMap::new(),
            ahead: 0,
            spare: Vec::new(),
            closing: false,
            began: now,
            swept: now,
            sizes,
        }
    }

    /// The dispatcher thread, whole. Returns once the engine is dropped and nothing is open, or
    /// a replica is lost; every set that is open then is answered with the reason.
    pub(super) fn run(mut self) {
        while !(self.closing && self.open.is_empty()) {
            match self.turn() {
                Ok(()) => self.hand_out(),
                Err(reason) => return self.fail(&reason),
            }
        }
    }

    /// Waits for one thing to happen and deals with it.
    fn turn(&mut self) -> Result<(), String> {
        let full = self.queue.tokens() >= self.sizes.queue_tokens_max;
        let nothing = never();
        let parts = if full || self.closing { &nothing } else { &self.channels.parts };
        select_biased! {
            recv(self.channels.events) -> event => match event {
                Ok(Event::Scored { members, logits }) => self.scored(members, &logits),
                Ok(Event::Lost { reason }) => return Err(reason),
                Err(_) => return Err("every replica is gone".to_owned()),
            },
            recv(parts) -> part => match part {
                Ok(part) => self.arrived(part),
                Err(_) => self.closing = true,
            },
            default(SWEEP_INTERVAL) => {}
        }
        if self.swept.elapsed() >= SWEEP_INTERVAL {
            self.sweep();
        }
        Ok(())
    }

    fn arrived(&mut self, part: Part) {
        let set = part.set;
        if let Some(header) = part.header {
            let due = self.due(header.since, header.deadline);
            self.open.insert(set, OpenSet::new(header, due));
        }
        // Where it was given up, nobody waits for the rest of it.
        let Some(open) = self.open.get_mut(&set) else { return };
        for keyed in part.pairs {
            let index = open.add(&keyed);
            let Some(keyed) = keyed else { continue };
            match self.cache.get(keyed.key) {
                Some(logit) => open.set_logit(index, logit, true),
                None => {
                    open.queue(keyed.key);
                    self.queue.push(Owner { set, index }, open.due(), keyed);
                }
            }
        }
        self.answer_if_complete(set);
    }

    /// A deadline brings a set forward and never back. One that has passed counts as on arrival,
    /// so that a sender of such does not overtake what came before.
    fn due(&self, since: Instant, deadline: Option<Instant>) -> Duration {
        let latest = since + PATIENCE;
        let due = deadline.map_or(latest, |deadline| deadline.clamp(since, latest));
        due.saturating_duration_since(self.began)
    }

    fn scored(&mut self, mut members: Vec<Keyed>, logits: &[f32]) {
        self.ahead -= 1;
        for (keyed, &logit) in members.drain(..).zip(logits) {
            self.cache.insert(keyed.key, logit);
            for (place, owner) in self.queue.scored(keyed.key).into_iter().enumerate() {
                self.answered(owner, logit, place > 0);
            }
        }
        self.spare.push(members);
    }

    fn answered(&mut self, owner: Owner, logit: f32, cached: bool) {
        let Some(open) = self.open.get_mut(&owner.set) else { return };
        open.set_logit(owner.index, logit, cached);
        open.dequeue();
        self.answer_if_complete(owner.set);
    }

    fn answer_if_complete(&mut self, set: u64) {
        if self.open.get(&set).is_some_and(OpenSet::is_complete)
            && let Some(open) = self.open.remove(&set)
        {
            open.answer();
        }
    }

    /// Keeps the replicas supplied, without ever blocking: no more is handed out than fits.
    fn hand_out(&mut self) {
        while self.ahead < self.sizes.ahead_max {
            let mut batch = self.spare.pop().unwrap_or_default();
            self.queue.cut(&mut batch);
            let nothing_waits = batch.is_empty();
            self.keep_wanted(&mut batch);
            if batch.is_empty() {
                self.spare.push(batch);
                match nothing_waits {
                    true => return,
                    false => continue,
                }
            }
            if self.channels.batches.send(batch).is_err() {
                return; // The next turn learns from the replicas why.
            }
            self.ahead += 1;
        }
    }

    /// Leaves out the pairs of sets that nobody waits for, and notes the start of the others.
    fn keep_wanted(&mut self, batch: &mut Vec<Keyed>) {
        let now = Instant::now();
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

    fn sweep(&mut self) {
        self.swept = Instant::now();
        let unwanted = self.open.iter().filter(|(_, open)| !open.is_wanted());
        let unwanted: Vec<u64> = unwanted.map(|(&id, _)| id).collect();
        unwanted.into_iter().for_each(|id| self.drop_set(id));
    }

    /// Gives up a set; the pairs that others wait for too stay.
    fn drop_set(&mut self, id: u64) {
        let Some(open) = self.open.remove(&id) else { return };
        open.queued().iter().for_each(|&key| self.queue.detach(key, id));
        open.refuse(EngineError::Unwanted);
    }

    fn fail(self, reason: &str) {
        tracing::error!(reason, "the engine stopped");
        for (_, open) in self.open {
            open.refuse(EngineError::Lost { reason: reason.to_owned() });
        }
    }
}

#[cfg(test)]
#[path = "dispatcher_tests.rs"]
mod tests;
