//! A run: inputs through workers on brokers, fault after fault, until every input is committed.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::auditor::{Order, Promise, audit};
use super::faults::{Fault, Kind, schedule};
use super::fleet::{Fleet, Program};
use super::produce::Producing;
use super::report::{Report, Struck};
use super::stage::{INPUT_PARTITIONS, Stage};
use super::watch::Watch;
use super::watching::Watching;
use super::worker::{Delivery, UNCOMMITTED_MAX};

const WORKERS: usize = 3;
/// What a fault is taken to last, until the first ones have been measured.
const FAULT_TIME: Duration = Duration::from_secs(10);
/// Records a second; fewer leave partitions without any for too long.
const PACE_MIN: u32 = 100;
/// Bounded by what has no end yet.
const PACE_MAX: u32 = 50_000;
/// How long the rest may take once the last fault is over.
const END_MAX: Duration = Duration::from_secs(600);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What to run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) messages: u32,
    pub(crate) faults: usize,
    pub(crate) seed: u64,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) delivery: Delivery,
    pub(crate) program: Program,
    /// The negative control: workers commit before they publish.
    pub(crate) is_hasty: bool,
}

/// A run that goes on.
pub(crate) struct Run {
    plan: Plan,
    schedule: Vec<Fault>,
    pub(crate) stage: Stage,
    pub(crate) fleet: Fleet,
    pub(crate) watch: Arc<Watch>,
    watching: Option<Watching>,
    producing: Option<Producing>,
    struck: Vec<Struck>,
}

// === impl Plan ===

impl Plan {
    /// Runs it; `None` where there is no Kafka to be had, which has been said.
    pub(crate) fn run(self, told: impl Fn(&str)) -> Option<Report> {
        let stage = Stage::set()?;
        let mut run = Run::start(self, stage);
        for fault in run.schedule.clone() {
            let took = run.one(&fault);
            let at = run.watch.elapsed().as_secs();
            told(&format!("{at:>5} s  {:<22} {took:>7.2?}", fault.kind));
        }
        Some(run.end())
    }

    fn promise(&self) -> Promise {
        match self.delivery {
            Delivery::AtLeastOnce => Promise { order: Order::Key, is_exactly_once: false },
            Delivery::ExactlyOnce => Promise { order: Order::Partition, is_exactly_once: true },
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, faults, seed, delivery, is_hasty, .. } = self;
        write!(f, "{delivery:?}, {messages} records, {faults} faults, seed {seed}")?;
        if *is_hasty { f.write_str(", negative control") } else { Ok(()) }
    }
}

// === impl Run ===

impl Run {
    fn start(plan: Plan, stage: Stage) -> Self {
        let schedule = schedule(&plan.kinds, plan.faults, plan.seed);
        let role = stage.role(plan.delivery, plan.is_hasty);
        let watch = Watch::new(matches!(plan.program, Program::Again(_)));
        let name = format!("{:?}-{}", plan.delivery, plan.seed);
        let mut fleet = Fleet::new(plan.program.clone(), role.clone(), &name);
        for _ in 0..WORKERS {
            fleet.start();
        }
        fleet.wait_until_joined();
        let brokers = stage.kafka.brokers();
        let watching = Watching::start(&watch, &brokers, &role, fleet.pids());
        let (messages, seed) = (plan.messages, plan.seed);
        let producing = Producing::start(&watch, &brokers, &role.input, messages, seed);
        let (watching, producing) = (Some(watching), Some(producing));
        let struck = Vec::new();
        Self { plan, schedule, stage, fleet, watch, watching, producing, struck }
    }

    /// One fault, once the one before it is over.
    fn one(&mut self, fault: &Fault) -> Duration {
        self.set_pace();
        self.rest(fault.after);
        let in_flight = INPUT_PARTITIONS as u32 * UNCOMMITTED_MAX;
        self.watch.begin_window(fault.kind.losses() * in_flight);
        let began = Instant::now();
        let recovery = self.strike(fault);
        let lasted = began.elapsed() + fault.after;
        self.struck.push(Struck { kind: fault.kind, recovery, lasted });
        recovery
    }

    /// What is left is spread over the faults that are left.
    fn set_pace(&self) {
        let Some(producing) = &self.producing else { return };
        let left = self.schedule.len() - self.struck.len();
        let lasted: Duration = self.struck.iter().map(|struck| struck.lasted).sum();
        let mean = (lasted + FAULT_TIME) / (self.struck.len() as u32 + 1);
        let messages = f64::from(self.plan.messages) - self.watch.sent_count() as f64;
        let share = messages / (left as f64 + 1.0);
        let pace = (share / mean.as_secs_f64()) as u32;
        let quota = self.watch.sent_count() as f64 + share;
        producing.pace.set(pace.clamp(PACE_MIN, PACE_MAX), quota as u32);
    }

    pub(crate) fn messages(&self) -> usize {
        self.plan.messages as usize
    }

    /// Whether something has failed that has nothing to do with the workers.
    pub(crate) fn has_failed(&self) -> bool {
        let is_short = || self.watch.sent_count() < self.messages();
        self.watching.as_ref().is_none_or(Watching::has_failed)
            || self.producing.as_ref().is_some_and(|p| p.is_over() && is_short())
    }

    /// What to tell where a run does not go on.
    pub(crate) fn stuck(&self, fault: &Fault) -> String {
        format!(
            "{}: partitions {:?} have no progress after {fault:?}\n{}\n{:#?}",
            self.plan,
            self.watch.behind(),
            self.state(),
            self.struck,
        )
    }

    /// How far everything is, and what the workers say.
    fn state(&self) -> String {
        format!(
            "{} sent, {} answered, {} committed\nreadable: {}\nread: {}\n{}\n{}",
            self.watch.sent_count(),
            self.watch.answered(),
            self.watch.committed(),
            self.stage.ends(),
            self.watch.read_up_to(),
            self.fleet.mishaps.join("\n"),
            self.fleet.tails(),
        )
    }

    /// Sends the rest, waits until all is committed, and reads everything that there is.
    fn end(mut self) -> Report {
        let producing = self.producing.take().expect("a producer");
        producing.pace.set(PACE_MAX, u32::MAX);
        let until = Instant::now() + END_MAX;
        let messages = self.messages();
        while self.watch.committed() < messages {
            if Instant::now() > until || self.has_failed() {
                panic!("{} does not end\n{}", self.plan, self.state());
            }
            self.fleet.tend();
            thread::park_timeout(LOOK_AGAIN);
        }
        producing.end();
        let workers = self.fleet.len();
        self.fleet.terminate(0, workers);
        let ledger = self.watching.take().expect("watchers").end(END_MAX);
        Report {
            title: self.plan.to_string(),
            took: self.watch.elapsed(),
            findings: audit(&ledger, self.plan.promise()),
            produced: ledger.produced(),
            samples: ledger.samples.len(),
            memory: super::auditor::thirds(&ledger),
            struck: std::mem::take(&mut self.struck),
            clients_replaced: self.fleet.clients_replaced(),
            mishaps: std::mem::take(&mut self.fleet.mishaps),
            ledger,
        }
    }
}
