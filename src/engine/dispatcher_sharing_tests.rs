//! Pairs that more than one set asks for: at one time, or one after the other.

use super::*;

#[test]
fn an_identical_pair_is_scored_once_for_all_who_wait() {
    let stage = Stage::start(SIZES);
    let first = stage.send(numbered(&[1, 2]));
    let second = stage.send(numbered(&[2, 3, 1]));
    let third = stage.send(numbered(&[3, 3]));
    assert!(is(&stage.answer_one(), 1) && is(&stage.answer_one(), 2));
    assert_eq!(cached(first), [false, false]);
    assert!(is(&stage.answer_one(), 3));
    assert_eq!(cached(second), [true, false, true]);
    assert_eq!(cached(third), [true, true]);
    stage.end();
}

#[test]
fn a_pair_that_was_scored_is_known_to_later_sets() {
    let stage = Stage::start(Sizes { cache_pairs_max: 10, ..SIZES });
    let first = stage.send(numbered(&[1, 2]));
    (0..2).for_each(|_| drop(stage.answer_one()));
    assert_eq!(cached(first), [false, false]);
    let known = stage.send(numbered(&[2, 1]));
    assert_eq!(logits(known), [Ok(16.0), Ok(16.0)], "without a replica");
    let partly = stage.send(numbered(&[2, 3]));
    assert!(is(&stage.answer_one(), 3));
    assert_eq!(cached(partly), [true, false]);
    stage.end();
}

#[test]
fn a_cache_is_bounded_and_can_be_off() {
    for (cache_pairs_max, known) in [(0, [false, false]), (1, [false, true])] {
        let stage = Stage::start(Sizes { cache_pairs_max, ..SIZES });
        let first = stage.send(numbered(&[1, 2]));
        (0..2).for_each(|_| drop(stage.answer_one()));
        assert_eq!(logits(first).len(), 2);
        let again = stage.send(numbered(&[1, 2]));
        known.iter().filter(|known| !**known).for_each(|_| drop(stage.answer_one()));
        assert_eq!(cached(again), known);
        stage.end();
    }
}

#[test]
fn a_caller_that_leaves_does_not_take_the_logit_that_others_wait_for() {
    let stage = Stage::start(SIZES);
    let busy = stage.send(stage.set(&[16]));
    let unwanted = wanted();
    let refused = stage.send(numbered(&[1, 2]).wanted(&unwanted));
    drop(stage.send(numbered(&[1, 3])));
    let waits = stage.send(numbered(&[1]));
    unwanted.store(false, Ordering::Release);
    assert_eq!(received(refused), Err(EngineError::Unwanted));
    stage.answer_one();
    assert_eq!(logits(busy), [Ok(16.0)]);
    assert!(is(&stage.answer_one(), 1), "2 and 3 have nobody left");
    assert_eq!(cached(waits), [false], "the model ran for the one who stayed");
    stage.end();
}

#[test]
fn a_logit_is_kept_even_if_all_who_waited_left_while_it_was_computed() {
    let stage = Stage::start(Sizes { cache_pairs_max: 10, ..SIZES });
    let left = stage.send(numbered(&[1]));
    let members = stage.batch();
    drop(left);
    // By the time that this is sorted out, the set that left was swept.
    let unwanted = stage.send(numbered(&[2]).wanted(&Arc::new(AtomicBool::new(false))));
    assert_eq!(received(unwanted), Err(EngineError::Unwanted));
    let attached = stage.send(numbered(&[1]));
    stage.events.send(Event::Scored { members, logits: vec![4.0], took: TOOK }).unwrap();
    assert_eq!(logits(attached), [Ok(4.0)]);
    assert_eq!(logits(stage.send(numbered(&[1]))), [Ok(4.0)]);
    stage.end();
}
