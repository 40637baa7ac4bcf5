//! Worker processes on three brokers, while one thing after another goes wrong. Every record is
//! accounted for, or the audit says which is not.
//!
//! `CROSSRANK_SEED` draws other faults. `cargo run --release --example audit` runs longer.

#![cfg(unix)]

mod harness;
#[path = "../support/kafka.rs"]
mod kafka;

use std::io::Write;

use harness::auditor::{Broken, Order, Promise, audit};
use harness::faults::Kind;
use harness::fleet::Program;
use harness::report::Report;
use harness::run::Plan;
use harness::worker::{Delivery, Role};

const SEED: u64 = 7;

/// The test below, which is what this program does as a worker.
const WORKER: &str = "a_worker_process";

fn plan(delivery: Delivery) -> Plan {
    let seed = std::env::var("CROSSRANK_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    let arguments = ["--exact", WORKER, "--nocapture", "--ignored"];
    Plan {
        messages: 100_000,
        faults: 20,
        seed,
        kinds: Kind::ALL.to_vec(),
        delivery,
        program: Program::Again(arguments.map(str::to_owned).to_vec()),
        is_hasty: false,
    }
}

/// Tells what happens and what came out, past libtest's capture: these tests take minutes.
fn run(plan: Plan) -> Option<Report> {
    let say = |line: &str| std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
    say(&format!("\n{plan}"));
    let report = plan.run(say)?;
    say(&format!("\n{report}"));
    Some(report)
}

#[test]
#[ignore = "not a test, but the worker process of the tests here"]
fn a_worker_process() {
    if let Some(role) = Role::of_this_process() {
        role.play();
    }
}

#[test]
fn whatever_goes_wrong_no_record_is_lost_and_few_come_twice() {
    let Some(report) = run(plan(Delivery::AtLeastOnce)) else { return };
    assert!(report.is_clean(), "{report}");
    // Held against what transactions promise, it is not clean: that audit can fail too.
    let once = Promise { order: Order::Key, is_exactly_once: true };
    assert!(audit(&report.ledger, once).count(Broken::Repeated) > 0, "{report}");
}

#[test]
fn whatever_goes_wrong_in_transactions_no_record_is_lost_and_none_comes_twice() {
    let Some(report) = run(plan(Delivery::ExactlyOnce)) else { return };
    assert!(report.is_clean(), "{report}");
}

/// An audit that cannot fail proves nothing.
#[test]
fn workers_that_commit_before_they_publish_are_found_out() {
    let kinds = vec![Kind::WorkerDies];
    let hasty =
        Plan { messages: 6_000, faults: 3, kinds, is_hasty: true, ..plan(Delivery::AtLeastOnce) };
    let Some(report) = run(hasty) else { return };
    // Whether one is lost, too, depends on the moment of the kill.
    assert!(report.findings.count(Broken::CommittedPast) > 0, "{report}");
}

/// The program that users run, with a model.
#[test]
fn the_real_program_loses_nothing_either() {
    let model = std::env::var_os("CROSSRANK_REAL_MODEL").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("model/fixtures/tiny-bert"),
        Into::into,
    );
    let program = Program::Real { program: env!("CARGO_BIN_EXE_crossrank").into(), model };
    let kinds = vec![
        Kind::WorkerDies,
        Kind::WorkerStops,
        Kind::Scaling,
        Kind::BrokerDies,
        Kind::ConnectionsCut,
        Kind::HalfOpen,
    ];
    let (faults, plan) = (kinds.len(), plan(Delivery::AtLeastOnce));
    let Some(report) = run(Plan { messages: 6_000, faults, kinds, program, ..plan }) else {
        return;
    };
    assert!(report.is_clean(), "{report}");
}
