use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use tracing::{debug, info, warn};

use super::error::Meaning;

/// Between two log lines about the same outage.
const LOG_EVERY: Duration = Duration::from_secs(30);
/// Between two looks whether it is over.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Says, not too often, that the cluster cannot be used, and when it can be used again.
///
/// librdkafka reconnects by itself, with back-off; nothing here has to.
#[derive(Debug, Default)]
pub(super) struct Outage {
    since: Option<Instant>,
    logged: Option<Instant>,
    looked: Option<Instant>,
}

// === impl Outage ===

impl Outage {
    /// Notes a failure. That one broker of several is away is no outage.
    pub(super) fn failed(&mut self, client: &str, code: RDKafkaErrorCode, reason: &str) {
        if code == RDKafkaErrorCode::BrokerTransportFailure {
            return debug!(client, %code, reason, "a broker is away");
        }
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        if self.logged.is_some_and(|logged| now - logged < LOG_EVERY) {
            return;
        }
        self.logged = Some(now);
        let outage = now - since;
        match Meaning::of(code) {
            Meaning::Credentials | Meaning::Tls => {
                warn!(client, ?outage, reason, "brokers refuse the connection; tried again");
            }
            Meaning::Dns
            | Meaning::Unreachable
            | Meaning::Transient
            | Meaning::TopicMissing
            | Meaning::TopicUnauthorized
            | Meaning::GroupUnauthorized
            | Meaning::RecordRefused
            | Meaning::Fatal => {
                warn!(client, ?outage, reason, "no broker reachable; tried again");
            }
        }
    }

    /// Something worked that needs a broker.
    pub(super) fn over(&mut self, client: &str) {
        if let Some(since) = self.since.take() {
            self.logged = None;
            info!(client, outage = ?since.elapsed(), "brokers reachable again");
        }
    }

    /// Whether the cluster could not be used when last heard of.
    pub(super) fn is_on(&self) -> bool {
        self.since.is_some()
    }

    /// Whether it is time to look if the trouble is over; `also` is trouble of another kind.
    pub(super) fn wants_look(&mut self, also: bool) -> bool {
        let due = self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY);
        let wants = due && (also || self.since.is_some());
        if wants {
            self.looked = Some(Instant::now());
        }
        wants
    }
}
