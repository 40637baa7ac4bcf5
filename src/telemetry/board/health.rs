//! What probes ask: whether this process makes progress, and whether it does its work.

use std::time::Duration;

use serde::Serialize;

use super::{Board, Phase, Pulse};

/// A thread that goes round ten times a second and has not for so long is stuck. Its longest single
/// step, replacing a client, takes a few seconds.
const SILENT_MAX: Duration = Duration::from_secs(30);
/// A batch takes a second or two on the slowest machine; a device that does not answer never does.
const BATCH_MAX: Duration = Duration::from_secs(60);

/// One line of a probe's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub good: bool,
    /// What was seen.
    pub says: String,
}

// === impl Check ===

impl Check {
    fn new(name: &'static str, good: bool, says: impl Into<String>) -> Self {
        Self { name, good, says: says.into() }
    }
}

// === impl Board ===

impl Board {
    /// Whether the threads that everything depends on make progress. One that is away cannot be helped
    /// by a restart, so brokers are not asked about here. `running` is for how long this process
    /// has been running since it last stood still: what a thread did before that says nothing.
    pub fn live(&self, running: Duration) -> Vec<Check> {
        if self.phase() == Phase::Stopping {
            return vec![Check::new("worker", true, "stopping")];
        }
        let look = |name, pulse: Option<&Pulse>| {
            let (silent, waiting) = (pulse.and_then(Pulse::silent), pulse.and_then(Pulse::waiting));
            alive(name, silent, waiting, running)
        };
        vec![
            look("poll thread", Some(&self.poll)),
            look("engine", self.engine.get().map(|pulse| &**pulse)),
            look("publisher", Some(&self.publisher)),
        ]
    }

    /// Whether the worker does its work: the model is warm, the group has it as a member, and the
    /// producer has reached the brokers.
    pub fn ready(&self) -> Vec<Check> {
        let phase = self.phase();
        let worker = match phase {
            Phase::Starting => "starting",
            Phase::Working => "working",
            Phase::Stopping => "stopping: no further set is taken",
        };
        let model = match self.model.get() {
            Some(model) => Check::new("model", true, format!("{} is warm", model.id)),
            None => Check::new("model", false, "not loaded yet"),
        };
        vec![
            model,
            self.member(),
            self.producer(),
            Check::new("worker", phase == Phase::Working, worker),
        ]
    }

    fn member(&self) -> Check {
        const NAME: &str = "group";
        if let Some(alone) = self.consumer_alone.held() {
            return Check::new(NAME, false, format!("no broker for {alone:.0?}"));
        }
        let partitions = self.partitions();
        match (self.joined.held(), partitions.len()) {
            (None, _) => Check::new(NAME, false, "not a member yet"),
            (Some(_), 0) => Check::new(NAME, true, "a member, idle: no partition is left for it"),
            (Some(_), 1) => Check::new(NAME, true, "a member, with 1 partition"),
            (Some(_), count) => {
                Check::new(NAME, true, format!("a member, with {count} partitions"))
            }
        }
    }

    fn producer(&self) -> Check {
        const NAME: &str = "producer";
        match (self.producer_reached.held(), self.producer_alone.held()) {
            (None, _) => Check::new(NAME, false, "has not reached the brokers yet"),
            (Some(_), Some(alone)) => {
                Check::new(NAME, false, format!("no broker has answered it for {alone:.0?}"))
            }
            (Some(_), None) => Check::new(NAME, true, "has reached the brokers"),
        }
    }
}

fn alive(
    name: &'static str,
    silent: Option<Duration>,
    waiting: Option<Duration>,
    running: Duration,
) -> Check {
    let Some(silent) = silent.map(|time| time.min(running)) else {
        return Check::new(name, true, "not started yet");
    };
    match waiting.map(|time| time.min(running)) {
        _ if silent >= SILENT_MAX => {
            Check::new(name, false, format!("has not gone round for {silent:.0?}"))
        }
        Some(waiting) if waiting >= BATCH_MAX => {
            Check::new(name, false, format!("has waited {waiting:.0?} for a batch"))
        }
        Some(_) | None => Check::new(name, true, "makes progress"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::telemetry::board::{ModelShown, PartitionNow, PartitionState};

    const LONG: Duration = Duration::from_secs(3600);

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    fn model() -> ModelShown {
        ModelShown { id: "tiny".to_owned(), ..ModelShown::default() }
    }

    fn ready(board: &Board) -> bool {
        board.ready().iter().all(|check| check.good)
    }

    fn said(board: &Board, name: &str) -> String {
        board.ready().into_iter().find(|check| check.name == name).unwrap().says
    }

    #[test]
    fn a_thread_that_is_silent_or_waits_in_vain_is_not_alive() {
        let good = |silent, waiting, running| alive("thread", silent, waiting, running).good;
        assert!(good(None, None, LONG), "not begun");
        assert!(good(seconds(29), seconds(59), LONG));
        assert!(!good(seconds(30), None, LONG));
        assert!(!good(seconds(0), seconds(60), LONG));
    }

    #[test]
    fn what_happened_before_the_process_stood_still_says_nothing() {
        let good = |running| alive("thread", seconds(900), seconds(900), running).good;
        assert!(good(Duration::from_secs(3)));
        assert!(!good(LONG));
    }

    #[test]
    fn a_worker_is_ready_with_model_group_and_producer_and_until_it_stops() {
        let board = Board::default();
        let steps: [&dyn Fn(); 4] = [
            &|| board.model_is_warm(model(), Arc::default()),
            &|| board.producer_reached.anew(),
            &|| board.joined.anew(),
            &|| board.enter(Phase::Working),
        ];
        for step in steps {
            assert!(!ready(&board));
            step();
        }
        assert!(ready(&board), "{:?}", board.ready());
        board.enter(Phase::Stopping);
        assert!(!ready(&board));
        assert!(board.live(LONG).iter().all(|check| check.good), "one that drains is not killed");
    }

    #[test]
    fn a_member_without_partitions_is_ready_and_one_without_brokers_is_not() {
        let board = Board::default();
        board.joined.anew();
        assert!(said(&board, "group").contains("idle"));
        let partition = PartitionNow {
            topic: "sets".into(),
            index: 0,
            next: None,
            committed: None,
            end: None,
            in_flight: 0,
            uncommitted: 0,
            commit_age: Duration::ZERO,
            state: PartitionState::Assigned,
        };
        board.show_partitions(vec![partition]);
        assert!(said(&board, "group").contains("1 partition"));
        board.consumer_alone.note(true);
        let group = board.ready().into_iter().find(|check| check.name == "group").unwrap();
        assert!(!group.good && group.says.contains("no broker"), "{group:?}");
    }
}
