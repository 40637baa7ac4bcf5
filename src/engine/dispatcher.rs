use std::collections::HashMap;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, never, select_biased};
use crossrank_model::Pair;
use tokio::sync::oneshot;

use super::packer::{BatchPacker, Waiting};
use super::replica::Event;
use super::tokenizers::Tokenized;
use super::{EngineError, PairError, PairScore, SetScores};

/// How often sets that wait are asked whether they are still wanted. Bounds how long a rebalance
/// waits for work that was not started.
const SWEEP_INTERVAL: Duration = Duration::from_millis(50);

/// The dispatcher's ends of the channels.
pub(super) struct Channels {
    /// Sets from the tokenizers.
    pub(super) sets: Receiver<Tokenized>,
    /// Answers of the replicas.
    pub(super) events: Receiver<Event>,
    /// Batches for the replicas; its capacity is what may be ahead of them.
    pub(super) batches: Sender<Vec<Waiting>>,
}

/// Owns the waiting pairs and the open sets; one thread.
pub(super) struct Dispatcher {
    channels: Channels,
    packer: BatchPacker,
    open: HashMap<u64, OpenSet>,
    next_set: u64,
    queue_tokens_max: usize,
    /// Batches handed out and not answered.
    ahead: usize,
    ahead_max: usize,
    /// The tokenizers are gone: finish what is open, then end.
    closing: bool,
    swept: Instant,
}

/// A set that waits for logits.
struct OpenSet {
    query_truncated: bool,
    pairs: Vec<PairScore>,
    unanswered: usize,
    wanted: Box<dyn Fn() -> bool + Send + Sync>,
    since: Instant,
    started: Option<Instant>,
    reply: oneshot::Sender<Result<SetScores, EngineError>>,
}

// === impl Dispatcher ===

impl Dispatcher {
    pub(super) fn new(
        channels: Channels,
        batch_tokens_max: usize,
        queue_tokens_max: usize,
        ahead_max: usize,
    ) -> Self {
        Self {
            channels,
            packer: BatchPacker::new(batch_tokens_max),
            open: HashMap::new(),
            next_set: 0,
            queue_tokens_max,
            ahead: 0,
            ahead_max,
            closing: false,
            swept: Instant::now(),
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
        let full = self.packer.tokens() >= self.queue_tokens_max;
        let nothing = never();
        let sets = if full || self.closing { &nothing } else { &self.channels.sets };
        select_biased! {
            recv(self.channels.events) -> event => match event {
                Ok(Event::Scored { members, logits }) => self.scored(members, &logits),
                Ok(Event::Lost { reason }) => return Err(reason),
                Err(_) => return Err("every replica is gone".to_owned()),
            },
            recv(sets) -> set => match set {
                Ok(set) => self.opened(set),
                Err(_) => self.closing = true,
            },
            default(SWEEP_INTERVAL) => {}
        }
        if self.swept.elapsed() >= SWEEP_INTERVAL {
            self.sweep();
        }
        Ok(())
    }

    fn opened(&mut self, set: Tokenized) {
        let id = self.next_set;
        self.next_set += 1;
        let pairs: Vec<PairScore> = set.pairs.iter().map(unscored).collect();
        let waiting = set.pairs.into_iter().enumerate();
        let waiting: Vec<Waiting> = waiting
            .filter_map(|(index, pair)| Some(Waiting { set: id, index, pair: pair? }))
            .collect();
        let open = OpenSet {
            query_truncated: set.query_truncated,
            pairs,
            unanswered: waiting.len(),
            wanted: set.wanted,
            since: set.since,
            started: None,
            reply: set.reply,
        };
        if waiting.is_empty() {
            return open.answer();
        }
        self.open.insert(id, open);
        self.packer.push(waiting);
    }

    fn scored(&mut self, members: Vec<Waiting>, logits: &[f32]) {
        self.ahead -= 1;
        for (member, &logit) in members.iter().zip(logits) {
            let Some(open) = self.open.get_mut(&member.set) else { continue };
            if logit.is_finite() {
                open.pairs[member.index].logit = Ok(logit);
            }
            open.unanswered -= 1;
            if open.unanswered == 0
                && let Some(open) = self.open.remove(&member.set)
            {
                open.answer();
            }
        }
    }

    /// Keeps the replicas supplied, without ever blocking: no more is handed out than fits.
    fn hand_out(&mut self) {
        while self.ahead < self.ahead_max {
            let Some(batch) = self.packer.cut() else { return };
            let batch = self.still_wanted(batch);
            if batch.is_empty() {
                continue;
            }
            if self.channels.batches.send(batch).is_err() {
                return; // The next turn learns from the replicas why.
            }
            self.ahead += 1;
        }
    }

    /// Leaves out the pairs of sets that nobody waits for, and notes the start of the others.
    fn still_wanted(&mut self, batch: Vec<Waiting>) -> Vec<Waiting> {
        let mut kept = Vec::with_capacity(batch.len());
        for waiting in batch {
            match self.open.get_mut(&waiting.set) {
                Some(open) if open.is_wanted() => {
                    open.started.get_or_insert_with(Instant::now);
                    kept.push(waiting);
                }
                Some(_) => self.drop_set(waiting.set),
                None => {}
            }
        }
        kept
    }

    fn sweep(&mut self) {
        self.swept = Instant::now();
        let unwanted = self.open.iter().filter(|(_, open)| !open.is_wanted());
        let unwanted: Vec<u64> = unwanted.map(|(&id, _)| id).collect();
        unwanted.into_iter().for_each(|id| self.drop_set(id));
    }

    fn drop_set(&mut self, id: u64) {
        self.packer.remove(id);
        if let Some(open) = self.open.remove(&id) {
            let _gone = open.reply.send(Err(EngineError::Unwanted));
        }
    }

    fn fail(self, reason: &str) {
        tracing::error!(reason, "the engine stopped");
        for (_, open) in self.open {
            let _gone = open.reply.send(Err(EngineError::Lost { reason: reason.to_owned() }));
        }
    }
}

// === impl OpenSet ===

impl OpenSet {
    /// A set that was begun is finished, unless its caller is gone altogether.
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed() && (self.started.is_some() || (self.wanted)())
    }

    fn answer(self) {
        let now = Instant::now();
        let started = self.started.unwrap_or(now);
        let _gone = self.reply.send(Ok(SetScores {
            query_truncated: self.query_truncated,
            pairs: self.pairs,
            queue: started - self.since,
            score: now - started,
        }));
    }
}

/// The score of a pair as long as no finite logit has come back for it.
fn unscored(pair: &Option<Pair>) -> PairScore {
    match pair {
        Some(pair) => PairScore {
            logit: Err(PairError::NotFinite),
            tokens: pair.ids.len(),
            truncated: pair.truncated,
        },
        None => PairScore { logit: Err(PairError::Tokenization), tokens: 0, truncated: false },
    }
}

#[cfg(test)]
#[path = "dispatcher_tests.rs"]
mod tests;
