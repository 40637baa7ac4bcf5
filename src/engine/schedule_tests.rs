//! A schedule before replicas of a known speed, in a time that the test makes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use proptest::prelude::*;
use tokio::sync::oneshot;

use super::*;
use crate::engine::tokenizers::{Header, KeyedWindow};
use crate::engine::{Deadline, Late, PairError, SetScores, WindowScore};

const MS: Duration = Duration::from_millis(1);
/// Of every pair, unless it says otherwise.
const TOKENS: usize = 16;

/// One replica, batches of one pair.
const SIZES: Sizes = Sizes {
    replicas: 1,
    ahead_max: 2,
    batch_tokens_max: TOKENS,
    queue_tokens_max: 1_000_000,
    cache_pairs_max: 100_000,
};

type Reply = oneshot::Receiver<Result<SetScores, EngineError>>;

struct Simulation {
    schedule: Schedule,
    began: Instant,
    now: Instant,
    /// How long a replica takes for a token.
    token: Duration,
    running: Vec<Option<(Instant, Vec<Keyed>)>>,
    ready: VecDeque<Vec<Keyed>>,
    replies: BTreeMap<u64, Reply>,
    answers: BTreeMap<u64, Answer>,
    fresh: u64,
    tokens_read: usize,
}

struct Answer {
    at: Duration,
    logits: Vec<Result<f32, PairError>>,
}

// === impl Simulation ===

impl Simulation {
    fn new(sizes: Sizes) -> Self {
        let now = Instant::now();
        Self {
            schedule: Schedule::new(sizes, now),
            began: now,
            now,
            token: 10 * MS / TOKENS as u32,
            running: (0..sizes.replicas).map(|_| None).collect(),
            ready: VecDeque::new(),
            replies: BTreeMap::new(),
            answers: BTreeMap::new(),
            fresh: 1 << 32,
            tokens_read: 0,
        }
    }

    /// One whose speed is known.
    fn warm(sizes: Sizes) -> Self {
        let mut simulation = Self::new(sizes);
        simulation.arrive(u64::MAX, &[TOKENS; 4], None);
        simulation.run_for(200 * MS);
        simulation
    }

    /// A set of pairs unlike any other, wanted so long from now.
    fn arrive(&mut self, set: u64, lengths: &[usize], deadline: Option<(Duration, Late)>) {
        let numbers: Vec<u64> = (self.fresh..).take(lengths.len()).collect();
        self.fresh += lengths.len() as u64;
        let pairs = numbers.iter().zip(lengths).map(|(&n, &length)| Keyed::numbered(n, length));
        self.arrive_with(set, pairs.collect(), deadline);
    }

    fn arrive_with(&mut self, set: u64, pairs: Vec<Keyed>, deadline: Option<(Duration, Late)>) {
        let (reply, scores) = oneshot::channel();
        let now = self.now;
        let header = Header {
            query_truncated: false,
            passages: pairs.len(),
            score: WindowScore::Best,
            deadline: deadline.map(|(left, late)| Deadline { at: now + left, late }),
            wanted: Box::new(|| true),
            span: SetSpan::default(),
            since: now,
            taken: Arc::default(),
            reply,
        };
        self.replies.insert(set, scores);
        let whole = |keyed| Some(vec![KeyedWindow { keyed, bytes: None }]);
        let mut pairs = pairs.into_iter().map(whole).peekable();
        let mut header = Some(header);
        while header.is_some() || pairs.peek().is_some() {
            let passages = pairs.by_ref().take(16).collect();
            self.schedule.arrived(Part { set, header: header.take(), passages }, now);
            self.settle();
        }
    }

    /// What the dispatcher does after every turn, and what the replicas make of it.
    fn settle(&mut self) {
        self.schedule.tick(self.now);
        self.ready.extend(std::iter::from_fn(|| self.schedule.next_batch(self.now)));
        for running in self.running.iter_mut().filter(|running| running.is_none()) {
            let Some(batch) = self.ready.pop_front() else { break };
            let tokens = tokens(&batch);
            self.tokens_read += tokens;
            *running = Some((self.now + self.token * tokens as u32, batch));
        }
        let at = self.now - self.began;
        self.replies.retain(|&set, reply| match reply.try_recv() {
            Ok(scores) => {
                let logits = scores.unwrap().pairs.into_iter().map(|pair| pair.logit).collect();
                self.answers.insert(set, Answer { at, logits });
                false
            }
            Err(oneshot::error::TryRecvError::Empty) => true,
            Err(oneshot::error::TryRecvError::Closed) => panic!("set {set} has no answer"),
        });
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        while self.now < end {
            let done = self.running.iter().flatten().map(|(done, _)| *done).min();
            let look = self.now + self.schedule.wait(self.now);
            let next = end.min(look).min(done.unwrap_or(end));
            assert!(next > self.now, "something was left undone");
            self.now = next;
            for running in &mut self.running {
                if let Some((_, batch)) = running.take_if(|(done, _)| *done <= self.now) {
                    let took = self.token * tokens(&batch) as u32;
                    let logits = vec![1.0; batch.len()];
                    self.schedule.scored(batch, &logits, took, self.now);
                }
            }
            self.settle();
        }
    }

    fn elapsed(&self) -> Duration {
        self.now - self.began
    }

    /// How many passages of a set were scored, which are the first ones.
    fn scored(&self, set: u64) -> usize {
        let logits = &self.answers[&set].logits;
        let scored = logits.iter().take_while(|logit| logit.is_ok()).count();
        assert!(logits.iter().skip(scored).all(|logit| *logit == Err(PairError::Late)));
        scored
    }
}

#[test]
fn a_set_gets_the_scores_of_the_first_passages_that_there_is_time_for() {
    for sizes in [SIZES, Sizes { replicas: 4, ahead_max: 8, ..SIZES }] {
        let mut simulation = Simulation::warm(sizes);
        let (begin, left) = (simulation.elapsed(), 200 * MS);
        simulation.arrive(1, &[TOKENS; 200], Some((left, Late::Trim)));
        simulation.arrive(2, &[TOKENS; 200], None);
        simulation.run_for(5_000 * MS);
        let (scored, possible) = (simulation.scored(1), 20 * sizes.replicas);
        assert!((possible - 2 * sizes.replicas..=possible).contains(&scored), "{scored}");
        assert!(simulation.answers[&1].at <= begin + left);
        assert_eq!(simulation.scored(2), 200, "one that does not expire is scored whole");
    }
}

#[test]
fn a_set_in_a_hurry_is_scored_in_order_and_goes_alone() {
    let mut simulation = Simulation::warm(Sizes { batch_tokens_max: 4 * TOKENS, ..SIZES });
    let lengths: Vec<usize> = (0..60).map(|place| 4 + 7 * place % 29).collect();
    simulation.arrive(1, &lengths, None);
    simulation.run_for(20 * MS);
    simulation.arrive(2, &lengths, Some((300 * MS, Late::Trim)));
    simulation.run_for(2_000 * MS);
    let read: usize = lengths.iter().take(simulation.scored(2)).sum();
    // Two batches were ahead of it.
    assert!(read > 300 * TOKENS / 10 - 3 * 4 * TOKENS, "{read}");
    assert_eq!(simulation.scored(1), 60);
}

#[test]
fn a_set_that_has_the_time_is_scored_whole() {
    for late in [Late::Trim, Late::Drop, Late::Score] {
        let mut simulation = Simulation::warm(SIZES);
        simulation.arrive(1, &[TOKENS; 20], Some((240 * MS, late)));
        simulation.run_for(1_000 * MS);
        assert_eq!(simulation.scored(1), 20, "{late:?}");
        let far = Duration::from_secs(10 * 365 * 86_400);
        simulation.arrive(2, &[TOKENS; 20], Some((far, late)));
        simulation.run_for(1_000 * MS);
        assert_eq!(simulation.scored(2), 20, "{late:?}");
    }
}

#[test]
fn a_set_that_cannot_be_whole_is_given_up_at_once() {
    let mut simulation = Simulation::warm(SIZES);
    let (before, now) = (simulation.tokens_read, simulation.elapsed());
    simulation.arrive(1, &[TOKENS; 50], Some((200 * MS, Late::Drop)));
    assert_eq!(simulation.answers[&1].at, now);
    assert_eq!(simulation.scored(1), 0);
    simulation.run_for(300 * MS);
    let read = simulation.tokens_read - before;
    assert!(read <= 2 * TOKENS, "no more than went out before the length of the set was known");
}

#[test]
fn a_set_that_waits_is_given_up_as_soon_as_it_could_not_be_whole_even_alone() {
    let mut simulation = Simulation::warm(SIZES);
    simulation.arrive(1, &[TOKENS; 50], Some((599 * MS, Late::Trim)));
    let begin = simulation.elapsed();
    simulation.arrive(2, &[TOKENS; 40], Some((600 * MS, Late::Drop)));
    simulation.run_for(1_000 * MS);
    assert_eq!(simulation.scored(1), 50);
    assert_eq!(simulation.scored(2), 0);
    let at = simulation.answers[&2].at - begin;
    assert!((200 * MS..350 * MS).contains(&at), "{at:?}");
}

#[test]
fn a_deadline_that_has_come_is_answered_without_being_begun() {
    for late in [Late::Trim, Late::Drop] {
        let mut simulation = Simulation::new(SIZES);
        simulation.run_for(MS);
        simulation.arrive(1, &[TOKENS; 3], Some((Duration::ZERO, late)));
        assert_eq!(simulation.scored(1), 0, "{late:?}");
        assert_eq!(simulation.answers[&1].at, simulation.elapsed());
        simulation.run_for(100 * MS);
        assert_eq!(simulation.tokens_read, 0);
    }
    let mut simulation = Simulation::new(SIZES);
    simulation.arrive(1, &[TOKENS; 3], Some((Duration::ZERO, Late::Score)));
    simulation.run_for(100 * MS);
    assert_eq!(simulation.scored(1), 3);
}

#[test]
fn a_replica_that_is_held_up_holds_up_no_answer_and_its_logits_are_kept() {
    let mut simulation = Simulation::new(Sizes { batch_tokens_max: 2 * TOKENS, ..SIZES });
    simulation.token = 10 * Duration::from_secs(1);
    let pairs = || (1..=4).map(|number| Keyed::numbered(number, TOKENS)).collect();
    simulation.arrive_with(1, pairs(), Some((123 * MS, Late::Trim)));
    simulation.arrive_with(2, pairs(), Some((321 * MS, Late::Drop)));
    simulation.run_for(3_600_000 * MS);
    for (set, at) in [(1, 123 * MS), (2, 321 * MS)] {
        assert_eq!(simulation.answers[&set].at, at, "not a moment later");
        assert_eq!(simulation.scored(set), 0);
    }
    let read = simulation.tokens_read;
    simulation.arrive_with(3, pairs(), Some((MS, Late::Drop)));
    assert_eq!(simulation.scored(3), 4);
    assert_eq!(simulation.tokens_read, read);
}

#[test]
fn a_pair_that_another_set_waits_for_is_scored_though_the_first_is_given_up() {
    for late in [Late::Trim, Late::Drop] {
        let mut simulation = Simulation::warm(SIZES);
        let pairs = |numbers: &[u64]| numbers.iter().map(|&n| Keyed::numbered(n, TOKENS)).collect();
        simulation.arrive(0, &[TOKENS; 4], None);
        let twice: Vec<u64> = (1..=10).chain(1..=10).collect();
        simulation.arrive_with(1, pairs(&twice), Some((12 * MS, late)));
        simulation.arrive_with(2, pairs(&[3, 4, 5]), None);
        simulation.run_for(1_000 * MS);
        assert_eq!(simulation.scored(1), 0, "{late:?}");
        assert_eq!(simulation.scored(2), 3);
        assert!(simulation.schedule.is_empty() && simulation.schedule.queue.tokens() == 0);
    }
}

#[test]
fn in_an_overload_the_sets_that_can_still_make_it_get_the_time() {
    let mut simulation = Simulation::warm(SIZES);
    // Twice as much as the replica can do, for ten seconds.
    for set in 0..100 {
        simulation.arrive(set, &[TOKENS; 20], Some((500 * MS, Late::Drop)));
        simulation.run_for(100 * MS);
    }
    simulation.run_for(1_000 * MS);
    let whole = (0..100).filter(|&set| simulation.scored(set) == 20).count();
    assert!(whole >= 48, "{whole} of 50 that are possible");
}

#[test]
fn in_an_overload_every_set_gets_its_best_passages_scored() {
    let mut simulation = Simulation::warm(Sizes { batch_tokens_max: 4 * TOKENS, ..SIZES });
    for set in 0..100 {
        simulation.arrive(set, &[TOKENS; 20], Some((500 * MS, Late::Trim)));
        simulation.run_for(100 * MS);
    }
    simulation.run_for(1_000 * MS);
    let scored: Vec<usize> = (0..100).map(|set| simulation.scored(set)).collect();
    assert!(scored.iter().sum::<usize>() >= 960, "1030 are possible: {scored:?}");
    assert!(scored.iter().all(|&count| count >= 6), "{scored:?}");
}

#[test]
fn a_speed_that_was_too_low_is_not_believed_for_long() {
    let mut simulation = Simulation::new(SIZES);
    simulation.token = Duration::from_secs(1);
    simulation.arrive(1, &[TOKENS; 2], None);
    simulation.run_for(100_000 * MS);
    simulation.token = 10 * MS / TOKENS as u32;
    simulation.arrive(2, &[TOKENS; 20], Some((300 * MS, Late::Drop)));
    simulation.run_for(1_000 * MS);
    assert_eq!(simulation.scored(2), 20);
}

/// When a set comes after the one before, its pairs' lengths, and what it wants.
type Coming = (u64, Vec<usize>, Option<(u64, Late)>);

fn coming() -> impl Strategy<Value = Coming> {
    let late = prop::sample::select(vec![Late::Score, Late::Trim, Late::Drop]);
    let deadline = prop::option::of((0_u64..600, late));
    (0_u64..200, prop::collection::vec(1_usize..64, 0..40), deadline)
}

proptest! {
    #[test]
    fn every_set_is_answered_in_time_and_once_whatever_comes(
        sets in prop::collection::vec(coming(), 1..40),
        replicas in 1_usize..5,
        batch_tokens_max in 16_usize..256,
    ) {
        let sizes = Sizes { replicas, ahead_max: 2 * replicas, batch_tokens_max, ..SIZES };
        let mut simulation = Simulation::new(sizes);
        let mut came = Vec::new();
        for (set, (after, lengths, wants)) in sets.iter().enumerate() {
            simulation.run_for(*after as u32 * MS);
            came.push(simulation.elapsed());
            let wants = wants.map(|(ms, late)| (ms as u32 * MS, late));
            // Every second set shares its pairs with others.
            if set % 2 == 0 {
                simulation.arrive(set as u64, lengths, wants);
            } else {
                let pairs = lengths.iter().map(|&length| Keyed::numbered(length as u64, length));
                simulation.arrive_with(set as u64, pairs.collect(), wants);
            }
        }
        simulation.run_for(100_000 * MS);
        for (set, (_, lengths, wants)) in sets.iter().enumerate() {
            let Answer { at, logits } = &simulation.answers[&(set as u64)];
            prop_assert_eq!(logits.len(), lengths.len());
            let scored = logits.iter().filter(|logit| logit.is_ok()).count();
            match *wants {
                None | Some((_, Late::Score)) => prop_assert_eq!(scored, lengths.len()),
                Some((ms, late)) => {
                    prop_assert!(*at <= came[set] + ms as u32 * MS);
                    prop_assert!(late == Late::Trim || scored == 0 || scored == lengths.len());
                }
            }
        }
        prop_assert!(simulation.schedule.is_empty() && simulation.schedule.deadlines.is_empty());
        prop_assert_eq!(simulation.schedule.queue.tokens(), 0);
        prop_assert_eq!((simulation.schedule.ahead, simulation.schedule.ahead_tokens), (0, 0));
    }
}
