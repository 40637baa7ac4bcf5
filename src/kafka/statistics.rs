//! What the watchdog reads of librdkafka's statistics.

use std::collections::HashMap;

use serde::Deserialize;

/// Only what is needed, so that what a later librdkafka adds or changes elsewhere does no harm.
#[derive(Deserialize)]
struct Statistics {
    brokers: HashMap<String, Broker>,
}

#[derive(Deserialize)]
struct Broker {
    source: String,
    state: String,
}

/// How many brokers the client is connected to. `None` where that cannot be read: it says nothing then,
/// least of all that there is no broker.
///
/// Brokers that stand for a role (the group's coordinator) are not counted: librdkafka keeps its
/// connection to them when it forgets all others, and can neither read nor write through them.
pub(super) fn brokers_up(json: &[u8]) -> Option<usize> {
    let statistics: Statistics = serde_json::from_slice(json).ok()?;
    let real = |broker: &&Broker| matches!(broker.source.as_str(), "configured" | "learned");
    let up = |broker: &&Broker| broker.state == "UP";
    Some(statistics.brokers.values().filter(real).filter(up).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up(brokers: &str) -> Option<usize> {
        let json = format!(r#"{{"name": "rdkafka#producer-1", "brokers": {brokers}, "tx": 7}}"#);
        brokers_up(json.as_bytes())
    }

    fn broker(source: &str, state: &str) -> String {
        format!(r#"{{"nodeid": -1, "source": "{source}", "state": "{state}", "toppars": {{}}}}"#)
    }

    #[test]
    fn only_connected_brokers_of_the_cluster_count() {
        let brokers = [
            broker("learned", "UP"),
            broker("configured", "UP"),
            broker("learned", "CONNECT"),
            broker("configured", "DOWN"),
            // The coordinator of a group, and librdkafka's own.
            broker("logical", "UP"),
            broker("internal", "UP"),
        ];
        let brokers = brokers.iter().enumerate().map(|(at, broker)| format!(r#""{at}": {broker}"#));
        assert_eq!(up(&format!("{{{}}}", brokers.collect::<Vec<_>>().join(","))), Some(2));
    }

    #[test]
    fn a_client_that_has_forgotten_all_brokers_has_none() {
        assert_eq!(up("{}"), Some(0));
        assert_eq!(up(&format!(r#"{{"x": {}}}"#, broker("logical", "UP"))), Some(0));
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_no_broker() {
        for brokers in ["[]", "7", r#"{"x": {"state": "UP"}}"#, r#"{"x": {"source": "learned"}}"#] {
            assert_eq!(up(brokers), None, "{brokers}");
        }
        assert_eq!(brokers_up(b"{}"), None);
        assert_eq!(brokers_up(b"\xff"), None);
    }
}
