use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use super::key::{Keyed, PairKey};
use super::packer::{BatchPacker, Urgency};

/// Who waits for a logit: a set, and the place of the pair in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) set: u64,
    pub(super) index: usize,
}

/// The pairs that wait or are being scored, each once, whoever and however many ask for it.
///
/// A pair that is here already gets one owner more. It stays as long as anyone owns it, and comes
/// forward to where its most urgent owner would have it.
#[derive(Debug)]
pub(super) struct PairQueue {
    packer: BatchPacker,
    jobs: HashMap<PairKey, Job>,
    /// Tokens of all owners of a pair but one.
    shared_tokens: usize,
    next_seq: u64,
}

/// A pair and those who want its logit.
#[derive(Debug)]
struct Job {
    tokens: usize,
    /// In the order in which they asked. Empty where all have gone while it was being scored.
    owners: Vec<Owner>,
    /// Its place in the packer; `None` once it is in a batch.
    waits: Option<Urgency>,
}

// === impl PairQueue ===

impl PairQueue {
    pub(super) fn new(packer: BatchPacker) -> Self {
        Self { packer, jobs: HashMap::new(), shared_tokens: 0, next_seq: 0 }
    }

    /// Tokens that wait, counted for every owner, so that sets which share all their pairs with
    /// others have a limit too.
    pub(super) fn tokens(&self) -> usize {
        self.packer.tokens() + self.shared_tokens
    }

    /// Tokens that may go ahead of a pair of like length.
    pub(super) fn window_tokens(&self) -> usize {
        self.packer.window_tokens()
    }

    /// The pair that the next batch starts from, and its tokens.
    pub(super) fn first(&self) -> Option<(PairKey, usize)> {
        self.packer.first().map(|keyed| (keyed.key, keyed.pair.ids.len()))
    }

    /// The tokens of a pair that is here and not yet in a batch.
    pub(super) fn waiting_tokens(&self, key: PairKey) -> Option<usize> {
        self.jobs.get(&key).filter(|job| job.waits.is_some()).map(|job| job.tokens)
    }

    /// Adds a pair for `owner`, who wants its logit by `due`.
    pub(super) fn push(&mut self, owner: Owner, due: Duration, keyed: Keyed) {
        let urgency = Urgency { due, seq: self.next_seq };
        self.next_seq += 1;
        match self.jobs.entry(keyed.key) {
            Entry::Vacant(job) => {
                let tokens = keyed.pair.ids.len();
                job.insert(Job { tokens, owners: vec![owner], waits: Some(urgency) });
                self.packer.push(urgency, keyed);
            }
            Entry::Occupied(job) => {
                let job = job.into_mut();
                self.shared_tokens -= job.shared_tokens();
                job.owners.push(owner);
                self.shared_tokens += job.shared_tokens();
                if let Some(later) = job.waits.filter(|&waits| urgency < waits) {
                    self.packer.reorder(later, urgency);
                    job.waits = Some(urgency);
                }
            }
        }
    }

    /// Moves the next batch into `batch`, or nothing if nothing waits.
    pub(super) fn cut(&mut self, batch: &mut Vec<Keyed>) {
        self.packer.cut(batch);
        self.note_cut(batch);
    }

    /// The same by urgency alone, and of at most `room` tokens; but never less than one pair.
    pub(super) fn cut_in_order(&mut self, batch: &mut Vec<Keyed>, room: usize) {
        self.packer.cut_in_order(batch, room);
        self.note_cut(batch);
    }

    fn note_cut(&mut self, batch: &[Keyed]) {
        for keyed in batch {
            if let Some(job) = self.jobs.get_mut(&keyed.key) {
                job.waits = None;
            }
        }
    }

    /// Who waits for this pair, in the order in which they asked.
    pub(super) fn owners(&self, key: PairKey) -> &[Owner] {
        self.jobs.get(&key).map_or(&[], |job| &job.owners)
    }

    /// Takes the pair out, with its logit at hand, and says who waits for it.
    pub(super) fn scored(&mut self, key: PairKey) -> Vec<Owner> {
        let Some(job) = self.jobs.remove(&key) else { return Vec::new() };
        self.shared_tokens -= job.shared_tokens();
        job.owners
    }

    /// `set` no longer waits for this pair. A pair that nobody waits for is dropped, unless it is in
    /// a batch: then its logit is still worth having.
    pub(super) fn detach(&mut self, key: PairKey, set: u64) {
        self.leave(key, |owner| owner.set == set);
    }

    /// The same for one place of a set, which may have the pair in others too.
    pub(super) fn detach_one(&mut self, key: PairKey, owner: Owner) {
        self.leave(key, |other| *other == owner);
    }

    fn leave(&mut self, key: PairKey, leaves: impl Fn(&Owner) -> bool) {
        let Some(job) = self.jobs.get_mut(&key) else { return };
        self.shared_tokens -= job.shared_tokens();
        job.owners.retain(|owner| !leaves(owner));
        self.shared_tokens += job.shared_tokens();
        if let Some(urgency) = job.waits.filter(|_| job.owners.is_empty()) {
            self.packer.remove(urgency);
            self.jobs.remove(&key);
        }
    }

    /// Drops a pair that was cut but not handed out, if nobody waits for it.
    pub(super) fn drop_unowned(&mut self, key: PairKey) -> bool {
        let unowned = self.owners(key).is_empty();
        if unowned {
            self.jobs.remove(&key);
        }
        unowned
    }
}

// === impl Job ===

impl Job {
    fn shared_tokens(&self) -> usize {
        self.owners.len().saturating_sub(1) * self.tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUE: Duration = Duration::from_secs(1);

    fn queue() -> PairQueue {
        PairQueue::new(BatchPacker::new(16, 1))
    }

    fn owner(set: u64) -> Owner {
        Owner { set, index: 0 }
    }

    fn key(number: u64) -> PairKey {
        Keyed::numbered(number, 1).key
    }

    fn cut(queue: &mut PairQueue) -> Vec<PairKey> {
        let mut batch = Vec::new();
        queue.cut(&mut batch);
        batch.iter().map(|keyed| keyed.key).collect()
    }

    #[test]
    fn an_identical_pair_waits_once_for_all_its_owners() {
        let mut queue = queue();
        (0..3).for_each(|set| queue.push(owner(set), DUE, Keyed::numbered(7, 16)));
        assert_eq!(cut(&mut queue), [key(7)]);
        queue.push(owner(3), DUE, Keyed::numbered(7, 16));
        assert!(cut(&mut queue).is_empty());
        assert_eq!(queue.scored(key(7)), [owner(0), owner(1), owner(2), owner(3)]);
        queue.push(owner(4), DUE, Keyed::numbered(7, 16));
        assert_eq!(cut(&mut queue), [key(7)], "it is not in flight any more");
    }

    #[test]
    fn an_urgent_owner_brings_an_identical_pair_forward() {
        let mut queue = queue();
        queue.push(owner(0), DUE, Keyed::numbered(1, 16));
        queue.push(owner(1), DUE, Keyed::numbered(2, 16));
        queue.push(owner(2), DUE * 2, Keyed::numbered(2, 16));
        queue.push(owner(3), DUE / 2, Keyed::numbered(2, 16));
        assert_eq!(cut(&mut queue), [key(2)]);
        assert_eq!(cut(&mut queue), [key(1)]);
    }

    #[test]
    fn tokens_count_for_every_owner_until_the_pair_is_scored() {
        let mut queue = queue();
        (0..3).for_each(|set| queue.push(owner(set), DUE, Keyed::numbered(7, 16)));
        assert_eq!(queue.tokens(), 48);
        queue.detach(key(7), 1);
        assert_eq!(queue.tokens(), 32);
        cut(&mut queue);
        assert_eq!(queue.tokens(), 16, "one of the two is being scored");
        queue.scored(key(7));
        assert_eq!(queue.tokens(), 0);
    }

    #[test]
    fn a_pair_that_its_last_owner_left_is_gone_unless_it_is_in_a_batch() {
        let mut queue = queue();
        queue.push(owner(0), DUE, Keyed::numbered(1, 16));
        queue.push(owner(0), DUE, Keyed::numbered(2, 16));
        assert_eq!(cut(&mut queue), [key(1)]);
        queue.detach(key(1), 0);
        queue.detach(key(2), 0);
        assert!(cut(&mut queue).is_empty());
        queue.push(owner(1), DUE, Keyed::numbered(1, 16));
        assert!(cut(&mut queue).is_empty(), "its logit is on its way");
        assert_eq!(queue.scored(key(1)), [owner(1)]);
        assert!(queue.jobs.is_empty());
    }
}
