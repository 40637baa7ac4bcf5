//! Worker processes on a real Apache Kafka: killed, stopped, joined by others, fed with rubbish.
//! Every record is accounted for.

#[path = "../support/kafka.rs"]
mod kafka;

mod audit;
mod bad_records;
mod collector;
#[cfg(target_os = "linux")]
mod memory;
mod observed;
mod replay;
mod same_answers;
mod stage;
mod start;
mod worker;

use audit::Audit;
use stage::Stage;
use worker::Worker;

/// A run of the demonstration model takes a few milliseconds a set; this many keep two workers
/// busy for long enough to be disturbed.
const SETS: usize = 10_000;
const NONE: [usize; 0] = [];

#[test]
fn ten_thousand_sets_through_two_workers_are_all_accounted_for() {
    let Some(stage) = Stage::set("two-workers", 4) else { return };
    let workers = [Worker::start(&stage), Worker::start(&stage)];
    stage.produce(0..SETS);
    stage.wait_for_answers(SETS);
    let committed = stage.wait_until_committed();
    for worker in workers {
        let stopped = worker.terminate();
        assert_eq!(stopped.code, Some(0));
        assert!(stopped.sets_claimed() > SETS / 10, "both workers have a share: {}", stopped.log);
    }
    let audit = Audit::of(&stage);
    assert_eq!(audit.lost(0..SETS), NONE);
    assert_eq!(audit.repeated(), 0, "nothing went wrong, so nothing is answered twice");
    assert_eq!(audit.unexplained(), 0);
    assert_eq!(committed, SETS as i64);
}

#[test]
fn a_worker_killed_in_mid_work_loses_nothing() {
    const PARTITIONS: usize = 4;
    let Some(stage) = Stage::set("killed", PARTITIONS as i32) else { return };
    stage.produce(0..SETS);
    let mut killed = 0;
    for round in 1..=3 {
        let worker = Worker::start(&stage);
        stage.wait_for_answers(round * SETS / 5);
        worker.kill();
        killed += 1;
    }
    let before = stage.answers();
    assert!(before < SETS, "{before} answers: it was not mid-work any more");
    let worker = Worker::start(&stage);
    stage.wait_until_committed();
    assert_eq!(worker.terminate().code, Some(0));
    let audit = Audit::of(&stage);
    assert_eq!(audit.lost(0..SETS), NONE);
    assert_eq!(audit.unexplained(), 0);
    let bound = killed * PARTITIONS * worker::UNCOMMITTED_MAX;
    assert!(audit.repeated() <= bound, "{} answered twice, {bound} allowed", audit.repeated());
}

#[test]
fn a_worker_killed_in_the_middle_of_transactions_answers_nothing_twice() {
    let Some(stage) = Stage::set("transactions", 4) else { return };
    stage.produce(0..SETS);
    stage.produce_one("rubbish", Some(b"no candidate set"));
    for round in 1..=3 {
        let worker = Worker::start_exactly_once(&stage);
        stage.wait_for_answers(round * SETS / 5);
        worker.kill();
    }
    let worker = Worker::start_exactly_once(&stage);
    stage.wait_until_committed();
    assert_eq!(worker.terminate().code, Some(0));
    let audit = Audit::of(&stage);
    assert_eq!(audit.lost(0..SETS), NONE);
    assert_eq!((audit.repeated(), audit.unexplained()), (0, 0));
    assert_eq!(stage.letters().len(), 1);
}

#[test]
fn workers_that_come_and_go_in_mid_work_lose_nothing() {
    let Some(stage) = Stage::set("rebalanced", 6) else { return };
    stage.produce(0..SETS);
    let mut workers = vec![Worker::start(&stage)];
    for round in 1..=3 {
        stage.wait_for_answers(round * SETS / 5);
        workers.push(Worker::start(&stage));
        // The oldest goes: in order, and while sets are in flight.
        assert_eq!(workers.remove(0).terminate().code, Some(0));
    }
    stage.wait_until_committed();
    assert_eq!(workers.remove(0).terminate().code, Some(0));
    let audit = Audit::of(&stage);
    assert_eq!(audit.lost(0..SETS), NONE);
    assert_eq!(audit.unexplained(), 0);
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let Some(stage) = Stage::set("signals", 1) else { return };
    stage.produce(0..SETS);
    let worker = Worker::start_with(&stage, &[("CROSSRANK__ENGINE__REPLICAS", "1")]);
    stage.wait_for_answers(10);
    assert_eq!(worker.interrupt_twice().code, Some(130));
}

/// An audit that cannot fail proves nothing.
#[test]
fn the_audit_notices_what_is_lost_repeated_or_made_up() {
    let answers = || (0..10).map(|id| (id, format!("in/0/{id}"), format!("answer {id}")));
    let honest = Audit::new(answers());
    assert_eq!((honest.lost(0..10), honest.repeated(), honest.unexplained()), (vec![], 0, 0));
    let lossy = Audit::new(answers().filter(|(id, ..)| *id != 4));
    assert_eq!(lossy.lost(0..10), [4]);
    let again = Audit::new(answers().chain(answers().take(2)));
    assert_eq!((again.repeated(), again.unexplained()), (2, 0));
    let other = Audit::new(answers().chain([(3, "in/0/3".to_owned(), "another".to_owned())]));
    assert_eq!(other.unexplained(), 1, "the same set twice, with another answer");
    let elsewhere = Audit::new(answers().chain([(3, "in/0/99".to_owned(), "answer 3".to_owned())]));
    assert_eq!(elsewhere.unexplained(), 1, "the same set from another offset");
}
