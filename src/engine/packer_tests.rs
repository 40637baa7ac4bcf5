use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::engine::key::PairKey;

fn at(due: u64, seq: u64) -> Urgency {
    Urgency { due: Duration::from_millis(due), seq }
}

/// Pushes pairs that are due at one time; a pair's number is its `seq`.
fn push(packer: &mut BatchPacker, due: u64, seqs: std::ops::Range<u64>, length: usize) {
    seqs.for_each(|seq| packer.push(at(due, seq), Keyed::numbered(seq, length)));
}

fn packer_of(tokens_max: usize, lengths: &[usize]) -> BatchPacker {
    let mut packer = BatchPacker::new(tokens_max, 1);
    for (seq, &length) in (0..).zip(lengths) {
        push(&mut packer, 0, seq..seq + 1, length);
    }
    packer
}

fn cut(packer: &mut BatchPacker) -> Vec<Keyed> {
    let mut batch = Vec::new();
    packer.cut(&mut batch);
    batch
}

fn lengths(batch: &[Keyed]) -> Vec<usize> {
    batch.iter().map(|keyed| keyed.pair.ids.len()).collect()
}

fn tokens(batch: &[Keyed]) -> usize {
    lengths(batch).iter().sum()
}

fn key(number: u64) -> PairKey {
    Keyed::numbered(number, 1).key
}

/// Tokens that each of `replicas` computes, if whoever is free first takes the next batch.
fn loads(lengths: &[usize], tokens_max: usize, replicas: usize) -> Vec<usize> {
    let mut packer = BatchPacker::new(tokens_max, replicas);
    for (seq, &length) in (0..).zip(lengths) {
        push(&mut packer, 0, seq..seq + 1, length);
    }
    let mut loads = vec![0; replicas];
    loop {
        let batch = cut(&mut packer);
        if batch.is_empty() {
            return loads;
        }
        *loads.iter_mut().min().unwrap() += tokens(&batch);
    }
}

fn spread(loads: &[usize]) -> usize {
    loads.iter().max().unwrap() - loads.iter().min().unwrap()
}

#[test]
fn a_batch_holds_pairs_of_like_length() {
    let mut packer = packer_of(40, &[10, 30, 11, 29, 9]);
    assert_eq!(lengths(&cut(&mut packer)), [10, 11, 9]);
}

#[test]
fn a_pair_that_does_not_fit_does_not_end_the_batch() {
    let mut packer = packer_of(40, &[20, 21, 5, 15]);
    assert_eq!(lengths(&cut(&mut packer)), [20, 15, 5]);
}

#[test]
fn a_pair_longer_than_a_batch_is_a_batch_of_its_own() {
    let mut packer = packer_of(16, &[100, 5]);
    assert_eq!(lengths(&cut(&mut packer)), [100]);
    assert_eq!(lengths(&cut(&mut packer)), [5]);
    assert!(cut(&mut packer).is_empty());
}

#[test]
fn a_pair_is_not_overtaken_by_a_backlog_of_better_fitting_ones() {
    let mut packer = BatchPacker::new(64, 1);
    push(&mut packer, 0, 0..10, 64);
    push(&mut packer, 0, 10..1000, 8);
    for seq in 0..10 {
        assert_eq!(cut(&mut packer)[0].key, key(seq));
    }
}

#[test]
fn the_earliest_deadline_is_in_the_next_batch_whatever_waits() {
    let mut packer = BatchPacker::new(64, 1);
    push(&mut packer, 50, 0..1000, 64);
    push(&mut packer, 20, 1000..1001, 7);
    push(&mut packer, 40, 1001..1002, 7);
    assert_eq!(cut(&mut packer)[0].key, key(1000));
    assert_eq!(cut(&mut packer)[0].key, key(0), "the two short ones went together");
}

#[test]
fn a_pair_that_is_reordered_comes_forward() {
    let mut packer = BatchPacker::new(64, 1);
    push(&mut packer, 50, 0..1000, 64);
    packer.reorder(at(50, 900), at(10, 1000));
    assert_eq!(cut(&mut packer)[0].key, key(900));
    assert_eq!(packer.tokens(), 999 * 64);
}

#[test]
fn removed_pairs_leave_nothing_behind() {
    let mut packer = BatchPacker::new(8, 1);
    push(&mut packer, 0, 0..200, 8);
    (0..200).for_each(|seq| assert_eq!(packer.remove(at(0, seq)).unwrap().key, key(seq)));
    assert!(packer.remove(at(0, 0)).is_none());
    assert_eq!(packer.tokens(), 0);
    assert!(cut(&mut packer).is_empty());
}

#[test]
fn a_set_on_an_idle_engine_is_shared_out_at_once() {
    let mut packer = BatchPacker::new(512, 4);
    push(&mut packer, 0, 0..20, 50);
    assert_eq!(lengths(&cut(&mut packer)), [50; 5], "a fourth for one of four");
}

#[test]
fn a_backlog_makes_full_batches() {
    let mut packer = BatchPacker::new(512, 4);
    push(&mut packer, 0, 0..200, 64);
    for _ in 0..16 {
        assert_eq!(tokens(&cut(&mut packer)), 512);
    }
}

#[test]
fn short_pairs_are_not_cut_to_tiny_batches() {
    let mut packer = BatchPacker::new(512, 64);
    push(&mut packer, 0, 0..20, 8);
    assert_eq!(tokens(&cut(&mut packer)), SHARE_TOKENS_MIN);
}

/// What may happen to a packer; the numbers pick among what waits.
#[derive(Clone, Debug)]
enum Step {
    Push { due: u64, length: usize },
    Remove(usize),
    Reorder(usize, u64),
    Cut,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u64..50, 1usize..80).prop_map(|(due, length)| Step::Push { due, length }),
        1 => any::<usize>().prop_map(Step::Remove),
        1 => (any::<usize>(), 0u64..50).prop_map(|(which, due)| Step::Reorder(which, due)),
        2 => Just(Step::Cut),
    ]
}

proptest! {
    #[test]
    fn every_pair_leaves_once_the_most_urgent_first_within_the_limit(
        mut steps in prop::collection::vec(step(), 1..300),
        tokens_max in 1usize..128,
        replicas in 1usize..5,
    ) {
        let mut packer = BatchPacker::new(tokens_max, replicas);
        let mut waits = BTreeMap::<Urgency, Keyed>::new();
        steps.extend(std::iter::repeat_n(Step::Cut, 300));
        for (seq, step) in (0..).zip(steps) {
            let pick = |which: usize| waits.keys().nth(which % waits.len().max(1)).copied();
            match step {
                Step::Push { due, length } => {
                    waits.insert(at(due, seq), Keyed::numbered(seq, length));
                    packer.push(at(due, seq), Keyed::numbered(seq, length));
                }
                Step::Remove(which) => if let Some(gone) = pick(which) {
                    let expected = waits.remove(&gone).unwrap();
                    prop_assert_eq!(packer.remove(gone).unwrap().key, expected.key);
                },
                Step::Reorder(which, due) => if let Some(from) = pick(which) {
                    let moved = waits.remove(&from).unwrap();
                    waits.insert(at(due, seq), moved);
                    packer.reorder(from, at(due, seq));
                },
                Step::Cut => {
                    let first = waits.first_key_value().map(|(_, keyed)| keyed.key);
                    let batch = cut(&mut packer);
                    prop_assert_eq!(batch.first().map(|keyed| keyed.key), first);
                    prop_assert!(tokens(&batch) <= tokens_max || batch.len() == 1);
                    for keyed in &batch {
                        let before = waits.len();
                        waits.retain(|_, w| w.key != keyed.key);
                        prop_assert_eq!(waits.len() + 1, before, "a pair came twice");
                    }
                }
            }
            let left: usize = waits.values().map(|keyed| keyed.pair.ids.len()).sum();
            prop_assert_eq!(packer.tokens(), left);
            check_window(&packer);
        }
        prop_assert!(waits.is_empty());
    }

    #[test]
    fn replicas_end_within_a_pair_of_one_another(
        lengths in prop::collection::vec(5usize..256, 10..100),
        tokens_max in 256usize..600,
        replicas in 1usize..9,
    ) {
        let longest = *lengths.iter().max().unwrap();
        let loads = loads(&lengths, tokens_max, replicas);
        prop_assert!(spread(&loads) <= longest.max(SHARE_TOKENS_MIN), "{:?}", loads);
    }
}

/// The window is the most urgent of what waits, and just enough of it.
fn check_window(packer: &BatchPacker) {
    let window: BTreeSet<Urgency> = packer.window.iter().map(|&(_, urgency)| urgency).collect();
    let first: BTreeSet<Urgency> = packer.waiting.keys().copied().take(window.len()).collect();
    assert_eq!(window, first);
    let lengths: usize = packer.window.iter().map(|&(length, _)| length).sum();
    assert_eq!(packer.window_tokens, lengths);
    let enough = packer.tokens_max * WINDOW_BATCHES;
    assert!(lengths >= enough || window.len() == packer.waiting.len());
    let last = window.last().map_or(0, |last| packer.waiting[last].pair.ids.len());
    assert!(lengths < enough + last.max(1), "no more than enough");
}

#[test]
fn a_batch_in_order_holds_what_is_due_together_and_fits() {
    let mut packer = packer_of(100, &[30, 60, 40, 20, 10]);
    push(&mut packer, 1, 5..6, 1);
    let mut in_order = |room| {
        let mut batch = Vec::new();
        packer.cut_in_order(&mut batch, room);
        lengths(&batch)
    };
    assert_eq!(in_order(70), [30], "40 would fit, but stands behind 60");
    assert_eq!(in_order(5), [60], "one pair there is always");
    assert_eq!(in_order(usize::MAX), [40, 20, 10], "the last one is due later");
    assert_eq!(in_order(usize::MAX), [1]);
    assert!(in_order(usize::MAX).is_empty());
    assert_eq!((packer.tokens(), packer.window_tokens()), (0, 0));
}
