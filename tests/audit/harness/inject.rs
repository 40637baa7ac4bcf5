//! Each fault, from its beginning until every partition is served again.

use std::thread;
use std::time::{Duration, Instant};

use super::faults::{Fault, Kind};
use super::ledger::Topic;
use super::run::Run;
use super::stage::{INPUT_PARTITIONS, NODES};
use super::worker::{REQUEST_MAX, STALL, WATCHDOG_TIMEOUT};
use crate::kafka::proxy::{self, Way};

/// What never recovers ends the run.
const RECOVERY_MAX: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const LATE: Duration = Duration::from_millis(150);
/// Each client asks for metadata about this often.
const FORGED_MAX: Duration = Duration::from_secs(10);

// === impl Run ===

impl Run {
    /// Injects a fault, and says how long it took until every partition had progress again: since
    /// a worker or a broker was gone, or since all else was well again.
    pub(crate) fn strike(&mut self, fault: &Fault) -> Duration {
        let choice = fault.choice as usize;
        match fault.kind {
            Kind::WorkerDies => {
                self.watch.mark(None);
                self.fleet.kill(self.fleet.busy(choice));
                self.fleet.start();
                self.recovery(fault)
            }
            Kind::WorkerStops => {
                self.watch.mark(None);
                self.fleet.terminate(self.fleet.busy(choice), 1);
                self.fleet.start();
                self.recovery(fault)
            }
            Kind::WorkerFreezes => self.freeze(fault),
            Kind::Scaling => self.scale(fault),
            Kind::SlowScorer => self.stall(fault),
            Kind::BrokerDies => {
                let broker = self.stage.leader_of_input(choice % INPUT_PARTITIONS);
                self.watch.mark(None);
                self.stage.kafka.kill(broker);
                self.broker_away(fault, broker)
            }
            Kind::CoordinatorMoves => {
                let broker = self.stage.coordinator();
                self.watch.mark(None);
                self.stage.kafka.stop(broker);
                self.broker_away(fault, broker)
            }
            Kind::ConnectionsCut => self.on_the_network(fault, proxy::Fault::Refuse, None, |run| {
                run.stage.kafka.proxy().cut();
            }),
            Kind::Latency => {
                let late = LATE.mul_f64(1.0 + f64::from(fault.choice % 8) / 8.0);
                self.on_the_network(fault, proxy::Fault::Delay(late), None, |_| {})
            }
            Kind::HalfOpen => {
                let way = [Way::Requests, Way::Answers, Way::Both][choice % 3];
                // One of them, or all.
                let broker = Some(choice / 3 % (NODES + 1)).filter(|&broker| broker > 0);
                self.on_the_network(fault, proxy::Fault::Swallow(way), broker, |_| {})
            }
            Kind::NoBrokers => self.no_brokers(fault),
            Kind::DeadLettersRefused => {
                self.stage.refuse_letters(true);
                self.rest(fault.lasts);
                self.stage.refuse_letters(false);
                self.watch.mark(Some(Topic::Letters));
                self.recovery(fault)
            }
        }
    }

    /// Some clients get over it, and others have to be replaced: their workers are not done when
    /// somebody else has taken over.
    fn no_brokers(&mut self, fault: &Fault) -> Duration {
        let forged = self.stage.kafka.proxy().forged();
        let took = self.on_the_network(fault, proxy::Fault::NoBrokers, None, |run| {
            let until = Instant::now() + FORGED_MAX;
            while run.stage.kafka.proxy().forged() == forged && Instant::now() < until {
                thread::park_timeout(LOOK_AGAIN);
            }
        });
        self.rest((WATCHDOG_TIMEOUT + REQUEST_MAX).saturating_sub(took));
        self.watch.mark(None);
        self.recovery(fault);
        took
    }

    /// Somebody takes over meanwhile; then the sleeper wakes up, and believes that all is as it was.
    fn freeze(&mut self, fault: &Fault) -> Duration {
        let place = self.fleet.busy(fault.choice as usize);
        self.watch.mark(None);
        let frozen = Instant::now();
        self.fleet.signal(place, "STOP");
        let took = self.recovery(fault);
        self.rest(fault.lasts.saturating_sub(frozen.elapsed()));
        self.fleet.signal(place, "CONT");
        self.watch.mark(None);
        self.recovery(fault);
        took
    }

    fn scale(&mut self, fault: &Fault) -> Duration {
        let leaving = self.fleet.len() - 1;
        self.watch.mark(None);
        self.fleet.terminate(fault.choice as usize % self.fleet.len(), leaving);
        let took = self.recovery(fault);
        self.rest(fault.lasts);
        self.watch.mark(None);
        for _ in 0..leaving {
            self.fleet.start();
        }
        self.fleet.wait_until_joined();
        took.max(self.recovery(fault))
    }

    /// Its work is still in flight when a rebalance takes partitions from it.
    fn stall(&mut self, fault: &Fault) -> Duration {
        let place = self.fleet.busy(fault.choice as usize);
        self.fleet.signal(place, "USR1");
        let stalled = Instant::now();
        self.fleet.start();
        self.rest(STALL.saturating_sub(stalled.elapsed()));
        self.watch.mark(None);
        let took = self.recovery(fault);
        self.fleet.terminate(place, 1);
        self.watch.mark(None);
        self.recovery(fault);
        took
    }

    /// Without it, and with it again.
    fn broker_away(&mut self, fault: &Fault, broker: usize) -> Duration {
        let took = self.recovery(fault);
        self.rest(fault.lasts);
        self.stage.kafka.restart(broker);
        self.stage.wait_until_in_sync();
        self.watch.mark(None);
        self.recovery(fault);
        took
    }

    fn on_the_network(
        &mut self,
        fault: &Fault,
        what: proxy::Fault,
        broker: Option<usize>,
        also: impl FnOnce(&Self),
    ) -> Duration {
        let proxy = self.stage.kafka.proxy();
        match broker {
            Some(broker) => proxy.set_on(broker, what),
            None => proxy.set(what),
        }
        also(self);
        self.rest(fault.lasts);
        self.stage.kafka.proxy().set(proxy::Fault::Honest);
        self.watch.mark(None);
        self.recovery(fault)
    }

    /// Waits until every partition has had progress since the mark.
    fn recovery(&mut self, fault: &Fault) -> Duration {
        let since = self.watch.marked();
        loop {
            // Where nothing is left to do, there is nothing to wait for.
            let recovered = self.watch.has_recovered() || self.watch.answered() == self.messages();
            let took = since.elapsed();
            if recovered {
                return took;
            }
            if took > RECOVERY_MAX || self.has_failed() {
                panic!("{}", self.stuck(fault));
            }
            self.fleet.tend();
            thread::park_timeout(LOOK_AGAIN);
        }
    }

    /// Lets time pass.
    pub(crate) fn rest(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left.min(LOOK_AGAIN));
        }
    }
}
