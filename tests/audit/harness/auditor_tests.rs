use std::time::Duration;

use super::*;
use crate::harness::ledger::{End, Memory, Window};

const NOTHING: Promise = Promise { order: Order::None, is_exactly_once: false };
const ONCE: Promise = Promise { order: Order::None, is_exactly_once: true };

fn id(partition: u16, offset: u32) -> u32 {
    u32::from(partition) * 1_000 + offset
}

fn end(partition: u16, offset: u32) -> End {
    End {
        offset: 0,
        published_ms: 0,
        id: id(partition, offset),
        input: (partition, offset),
        fingerprint: u64::from(id(partition, offset)),
        is_right: true,
    }
}

/// Two input partitions of ten, with two keys; all answered in one output partition, in turn, but
/// for the last of each, which is set aside.
fn ledger() -> Ledger {
    let mut ledger = Ledger::new(2, 1, 1);
    for offset in 0..10 {
        for partition in 0..2 {
            let input = Input { id: id(partition, offset), key: Some(offset % 2) };
            ledger.inputs[usize::from(partition)].push(input);
            let list = usize::from(offset == 9);
            push(&mut ledger, list, end(partition, offset));
        }
    }
    ledger.windows = vec![Window { begun_ms: 100, repeats_max: 3 }];
    ledger
}

fn push(ledger: &mut Ledger, list: usize, end: End) {
    let ends = &mut ledger.ends[list].ends;
    ends.push(End { offset: ends.len() as u32, ..end });
}

/// What is found, in the order of [`Broken`].
fn found(ledger: &Ledger, promise: Promise) -> Vec<(Broken, u64)> {
    audit(ledger, promise).counts.into_iter().collect()
}

#[test]
fn nothing_is_found_where_every_promise_is_kept() {
    for order in [Order::None, Order::Key, Order::Partition] {
        let findings = audit(&ledger(), Promise { order, is_exactly_once: true });
        assert!(findings.is_empty(), "{findings}");
        assert_eq!((findings.outputs, findings.letters, findings.repeats), (18, 2, 0));
    }
}

#[test]
fn an_input_without_an_end_is_lost() {
    let mut ledger = ledger();
    ledger.ends[0].ends.remove(4);
    assert_eq!(found(&ledger, NOTHING), [(Broken::Lost, 1)]);
    let findings = audit(&ledger, NOTHING);
    assert!(findings.to_string().contains("record 2 at 0/2"), "{findings}");
}

#[test]
fn an_end_of_an_input_that_nobody_sent_is_made_up() {
    for end in [end(0, 10), end(2, 0), End { id: 5, ..end(0, 4) }] {
        let mut ledger = ledger();
        push(&mut ledger, 0, end);
        assert_eq!(found(&ledger, ONCE), [(Broken::MadeUp, 1)], "{end:?}");
    }
}

#[test]
fn an_end_that_its_input_does_not_lead_to_is_wrong() {
    let mut ledger = ledger();
    ledger.ends[1].ends[0].is_right = false;
    assert_eq!(found(&ledger, ONCE), [(Broken::Wrong, 1)]);
}

#[test]
fn an_input_that_ends_twice_is_repeated_where_once_was_promised() {
    let mut ledger = ledger();
    push(&mut ledger, 0, End { published_ms: 100, ..end(0, 3) });
    assert_eq!(found(&ledger, NOTHING), []);
    assert_eq!(found(&ledger, ONCE), [(Broken::Repeated, 1)]);
    assert_eq!(audit(&ledger, NOTHING).repeats_by_window, [0, 1]);
}

#[test]
fn a_repeat_with_another_content_or_in_another_topic_differs() {
    for (list, end) in [(0, End { fingerprint: 7, ..end(0, 3) }), (1, end(0, 3))] {
        let mut ledger = ledger();
        push(&mut ledger, list, End { published_ms: 100, ..end });
        assert_eq!(found(&ledger, NOTHING), [(Broken::Differs, 1)]);
    }
}

#[test]
fn a_fault_may_repeat_what_was_in_flight_and_no_more() {
    let mut ledger = ledger();
    for offset in 0..3 {
        push(&mut ledger, 0, End { published_ms: 150, ..end(0, offset) });
    }
    assert_eq!(found(&ledger, NOTHING), []);
    push(&mut ledger, 0, End { published_ms: 160, ..end(0, 3) });
    assert_eq!(found(&ledger, NOTHING), [(Broken::TooManyRepeats, 1)]);
}

#[test]
fn a_repeat_without_a_fault_is_one_too_many() {
    let mut ledger = ledger();
    push(&mut ledger, 0, End { published_ms: 99, ..end(0, 3) });
    assert_eq!(found(&ledger, NOTHING), [(Broken::TooManyRepeats, 1)]);
    assert_eq!(audit(&ledger, NOTHING).repeats_by_window, [1, 0]);
}

#[test]
fn an_order_is_held_within_its_lanes_only() {
    let promise = |order| Promise { order, is_exactly_once: false };
    let mut swapped = ledger();
    // Places 2 and 4 are offsets 1 and 2 of partition 0, which differ in their keys.
    swapped.ends[0].ends.swap(2, 4);
    assert_eq!(found(&swapped, promise(Order::None)), []);
    assert_eq!(found(&swapped, promise(Order::Key)), []);
    assert_eq!(found(&swapped, promise(Order::Partition)), [(Broken::OutOfOrder, 1)]);
    let mut swapped = ledger();
    swapped.ends[0].ends.swap(2, 6);
    assert_eq!(found(&swapped, promise(Order::Key)), [(Broken::OutOfOrder, 1)]);
    for input in swapped.inputs.iter_mut().flatten() {
        input.key = None;
    }
    assert_eq!(found(&swapped, promise(Order::Key)), [], "nothing is promised without a key");
}

#[test]
fn what_is_published_again_does_not_break_the_order() {
    let mut ledger = ledger();
    for offset in 1..4 {
        push(&mut ledger, 0, End { published_ms: 100, ..end(1, offset) });
    }
    let promise = Promise { order: Order::Partition, is_exactly_once: false };
    assert_eq!(found(&ledger, promise), []);
}

#[test]
fn a_commit_past_a_record_that_ends_later_is_noticed() {
    let mut ledger = ledger();
    let sample =
        |committed, limit| Sample { committed: vec![committed, None], limits: vec![limit, 0] };
    // Ends of partition 0 stand at every other place.
    ledger.samples =
        vec![sample(None, 0), sample(Some(2), 3), sample(Some(2), 3), sample(Some(5), 9)];
    assert_eq!(found(&ledger, ONCE), []);
    ledger.samples.push(sample(Some(8), 11));
    assert_eq!(found(&ledger, ONCE), [(Broken::CommittedPast, 2)]);
    ledger.samples = vec![Sample { committed: vec![None, Some(10)], limits: vec![18, 1] }];
    assert_eq!(found(&ledger, ONCE), [(Broken::CommittedPast, 1)], "its dead letter came later");
    ledger.samples = vec![Sample { committed: vec![None, Some(11)], limits: vec![18, 2] }];
    assert_eq!(found(&ledger, ONCE), [(Broken::CommittedPast, 1)], "past the end of the log");
}

#[test]
fn a_commit_that_goes_back_is_noticed() {
    let mut ledger = ledger();
    let sample = |committed| Sample { committed: vec![None, Some(committed)], limits: vec![18, 2] };
    let samples = |back: usize| {
        let committed = [vec![4, 6], vec![5; back], vec![6, 5, 6, 10]].concat();
        committed.into_iter().map(sample).collect()
    };
    ledger.samples = samples(BACK_MAX);
    assert_eq!(found(&ledger, ONCE), [], "a coordinator that has just taken over");
    ledger.samples = samples(BACK_MAX + 2);
    assert_eq!(found(&ledger, ONCE), [(Broken::CommitWentBack, 2)]);
}

#[test]
fn memory_may_settle_but_not_grow() {
    let mut ledger = ledger();
    let memory = |second, mib: u64| Memory { at: Duration::from_secs(second), bytes: mib << 20 };
    ledger.memory = (0..90).map(|second| memory(second, 40 + second.min(20))).collect();
    assert_eq!(found(&ledger, ONCE), []);
    ledger.memory = (0..90).map(|second| memory(second, 40 + second)).collect();
    assert_eq!(found(&ledger, ONCE), [(Broken::MemoryGrows, 1)]);
}
