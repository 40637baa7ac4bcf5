//! What the watchdog reads of librdkafka's statistics.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::stream::Partition;

/// What they say about a client.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Brokers that it is connected to. Those that stand for a role (the group's coordinator) are not
    /// counted: librdkafka keeps its connection to them when it forgets all others, and can neither read
    /// nor write through them.
    pub(super) brokers: usize,
    /// Partitions that it should read and cannot, as things are.
    pub(super) astray: Vec<Astray>,
    /// What it knows of the offsets of partitions that it should read.
    pub(super) known: Vec<(Partition, Known)>,
    /// Whether its group has it as a member, with nothing left to be assigned. `None` without a group.
    pub(super) member: Option<Member>,
}

/// Offsets of a partition; `None` where librdkafka does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Where it ends, for readers of committed records.
    pub(super) end: Option<i64>,
    /// What the group had committed when it was assigned, or has since.
    pub(super) committed: Option<i64>,
    /// Where reading would go on.
    pub(super) next: Option<i64>,
}

/// What a consumer is to its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    /// It has no connection to the group's coordinator.
    Apart,
    /// It joins, or takes part in a rebalance.
    Joining,
    /// It has what is assigned to it, which may be nothing.
    Settled,
}

/// A partition that is not read from the broker that leads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Astray {
    pub(super) partition: Partition,
    /// Where reading would go on.
    pub(super) next: i64,
}

// Only what is needed, so that what a later librdkafka adds or changes elsewhere does no harm.

#[derive(Deserialize)]
struct Statistics {
    brokers: Values<Broker>,
    topics: Values<Topic>,
    #[serde(default)]
    cgrp: Option<Group>,
}

#[derive(Deserialize)]
struct Group {
    state: String,
    join_state: String,
}

#[derive(Deserialize)]
struct Broker {
    source: String,
    state: String,
    toppars: Values<Held>,
}

/// A partition that a broker's thread looks after.
#[derive(Deserialize, PartialEq, Eq, Hash)]
struct Held {
    topic: String,
    partition: i32,
}

#[derive(Deserialize)]
struct Topic {
    topic: String,
    partitions: Values<State>,
}

/// Of a partition.
#[derive(Deserialize)]
struct State {
    partition: i32,
    broker: i32,
    leader: i32,
    desired: bool,
    fetch_state: String,
    next_offset: i64,
    #[serde(default = "unknown")]
    hi_offset: i64,
    #[serde(default = "unknown")]
    ls_offset: i64,
    #[serde(default = "unknown")]
    committed_offset: i64,
}

/// The values of an object, also where two have the same key: a broker that was let go stays until
/// everything has left it, beside its successor of the same name.
struct Values<T>(Vec<T>);

/// Reads them. `None` where they cannot be read: they say nothing then, least of all that there is no broker.
///
/// Where the client may read from replicas that do not lead (`follows_replicas`), which one it reads from
/// says nothing.
pub(super) fn read(json: &[u8], follows_replicas: bool) -> Option<Heard> {
    let statistics: Statistics = serde_json::from_slice(json).ok()?;
    let real = |broker: &&Broker| matches!(broker.source.as_str(), "configured" | "learned");
    let up = |broker: &&Broker| broker.state == "UP";
    let brokers: Vec<&Broker> = statistics.brokers.0.iter().filter(real).filter(up).collect();
    let held: HashSet<&Held> = brokers.iter().flat_map(|broker| &broker.toppars.0).collect();
    let (mut astray, mut known) = (Vec::new(), Vec::new());
    for topic in &statistics.topics.0 {
        for state in topic.partitions.0.iter().filter(|state| state.desired) {
            let here = Held { topic: topic.topic.clone(), partition: state.partition };
            let is_astray = match state.fetch_state.as_str() {
                // It still asks where to begin, or whether it may go on.
                "offset-query" | "offset-wait" | "validate-epoch-wait" => true,
                "active" => {
                    let elsewhere = state.broker != state.leader && !follows_replicas;
                    elsewhere || !held.contains(&here)
                }
                // Not read, and not to be.
                _ => false,
            };
            let partition = Partition { topic: here.topic.into(), index: state.partition };
            known.push((partition.clone(), Known::of(state)));
            if is_astray {
                astray.push(Astray { partition, next: state.next_offset });
            }
        }
    }
    let member = statistics.cgrp.map(|group| match (&*group.state, &*group.join_state) {
        ("up", "steady") => Member::Settled,
        ("up", _) => Member::Joining,
        _ => Member::Apart,
    });
    Some(Heard { brokers: brokers.len(), astray, known, member })
}

/// As librdkafka says that it does not know an offset; any number below zero is.
fn unknown() -> i64 {
    -1
}

// === impl Known ===

impl Known {
    fn of(state: &State) -> Self {
        let known = |offset: i64| (offset >= 0).then_some(offset);
        Self {
            end: known(state.ls_offset).or(known(state.hi_offset)),
            committed: known(state.committed_offset),
            next: known(state.next_offset),
        }
    }
}

// === impl Values ===

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Values<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Values<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some((IgnoredAny, value)) = map.next_entry()? {
                    values.push(value);
                }
                Ok(Values(values))
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(brokers: &[String], partitions: &[String]) -> Option<Heard> {
        read(json(brokers, partitions).as_bytes(), false)
    }

    fn json(brokers: &[String], partitions: &[String]) -> String {
        let (brokers, partitions) = (brokers.join(","), partitions.join(","));
        format!(
            r#"{{"name": "rdkafka#consumer-1", "brokers": {{{brokers}}}, "tx": 7,
                "topics": {{"sets": {{"topic": "sets", "age": 1, "partitions": {{{partitions}}}}}}}}}"#
        )
    }

    /// Which looks after these partitions.
    fn broker(name: &str, source: &str, state: &str, partitions: &[i32]) -> String {
        let toppar = |p: &i32| format!(r#""sets-{p}": {{"topic": "sets", "partition": {p}}}"#);
        let toppars: Vec<String> = partitions.iter().map(toppar).collect();
        let toppars = toppars.join(",");
        format!(
            r#""{name}": {{"nodeid": 1, "source": "{source}", "state": "{state}", "toppars": {{{toppars}}}}}"#
        )
    }

    fn partition(index: i32, broker: i32, leader: i32, fetch_state: &str) -> String {
        format!(
            r#""{index}": {{"partition": {index}, "broker": {broker}, "leader": {leader}, "desired": true,
                "fetchq_cnt": 0, "fetch_state": "{fetch_state}", "next_offset": 7}}"#
        )
    }

    fn astray(heard: Option<Heard>) -> Vec<i32> {
        let heard = heard.expect("statistics that can be read");
        assert!(heard.astray.iter().all(|astray| astray.next == 7));
        heard.astray.iter().map(|astray| astray.partition.index).collect()
    }

    #[test]
    fn only_connected_brokers_of_the_cluster_count() {
        let brokers = [
            broker("a", "learned", "UP", &[]),
            broker("b", "configured", "UP", &[]),
            broker("c", "learned", "CONNECT", &[]),
            broker("d", "configured", "DOWN", &[]),
            // The coordinator of a group, and librdkafka's own.
            broker("e", "logical", "UP", &[]),
            broker("f", "internal", "UP", &[]),
        ];
        assert_eq!(statistics(&brokers, &[]), Some(Heard { brokers: 2, ..Heard::default() }));
    }

    #[test]
    fn offsets_are_told_as_far_as_they_are_known() {
        let state = |index: i32, end: i64, committed: i64| {
            let state = partition(index, 1, 1, "active");
            let more = format!(
                r#""hi_offset": 30, "ls_offset": {end}, "committed_offset": {committed}, "next"#
            );
            state.replacen(r#""next"#, &more, 1)
        };
        let partitions = [state(0, 25, 4), state(1, -1001, -1001), partition(2, 1, 1, "active")];
        let heard = statistics(&[], &partitions).unwrap();
        let known: Vec<Known> = heard.known.iter().map(|(_, known)| *known).collect();
        // A reader of committed records sees no further than the last stable offset, where there is one.
        assert_eq!(known[0], Known { end: Some(25), committed: Some(4), next: Some(7) });
        assert_eq!(known[1], Known { end: Some(30), committed: None, next: Some(7) });
        assert_eq!(known[2], Known { end: None, committed: None, next: Some(7) });
    }

    #[test]
    fn a_member_is_settled_once_its_group_is_steady() {
        for (state, join_state, member) in [
            ("up", "steady", Member::Settled),
            ("up", "wait-sync", Member::Joining),
            ("wait-broker-transport", "steady", Member::Apart),
        ] {
            let group =
                format!(r#""cgrp": {{"state": "{state}", "join_state": "{join_state}"}}, "tx""#);
            let json = json(&[], &[]).replace(r#""tx""#, &group);
            assert_eq!(read(json.as_bytes(), false).unwrap().member, Some(member));
        }
        assert_eq!(statistics(&[], &[]).unwrap().member, None);
    }

    #[test]
    fn a_client_that_has_forgotten_all_brokers_has_none() {
        for brokers in [vec![], vec![broker("a", "logical", "UP", &[])]] {
            assert_eq!(statistics(&brokers, &[]), Some(Heard::default()));
        }
    }

    #[test]
    fn a_broker_that_was_let_go_does_not_hide_its_successor() {
        let (old, new) = (broker("a", "learned", "DOWN", &[]), broker("a", "learned", "UP", &[]));
        for brokers in [[old.clone(), new.clone()], [new, old]] {
            assert_eq!(statistics(&brokers, &[]).unwrap().brokers, 1);
        }
    }

    #[test]
    fn a_partition_is_read_where_a_connected_broker_has_it_that_leads_it() {
        let brokers = [broker("a", "learned", "UP", &[0, 1]), broker("i", "internal", "UP", &[3])];
        let partitions = [
            partition(0, 1, 1, "active"),
            partition(1, 1, 2, "active"),
            partition(2, 1, 1, "active"),
            // librdkafka's own broker has what no other has.
            partition(3, -1, 1, "active"),
        ];
        assert_eq!(astray(statistics(&brokers, &partitions)), [1, 2, 3]);
    }

    #[test]
    fn a_partition_stays_behind_at_a_broker_that_was_let_go() {
        let brokers =
            [broker("a", "learned", "TRY_CONNECT", &[4]), broker("a", "learned", "UP", &[5])];
        let partitions = [partition(4, 1, 1, "active"), partition(5, 1, 1, "active")];
        assert_eq!(astray(statistics(&brokers, &partitions)), [4]);
    }

    #[test]
    fn a_partition_that_asks_where_it_is_is_not_read_yet() {
        let brokers = [broker("a", "learned", "UP", &[0, 1, 2, 3, 4])];
        let states = ["offset-query", "offset-wait", "validate-epoch-wait", "none", "stopped"];
        let partitions: Vec<String> =
            (0..).zip(states).map(|(index, state)| partition(index, 1, 1, state)).collect();
        assert_eq!(astray(statistics(&brokers, &partitions)), [0, 1, 2]);
    }

    #[test]
    fn a_partition_of_somebody_else_is_not_astray() {
        let other =
            partition(0, -1, 1, "active").replace(r#""desired": true"#, r#""desired": false"#);
        assert_eq!(astray(statistics(&[], &[other])), [0; 0]);
    }

    #[test]
    fn a_replica_that_does_not_lead_may_be_read_where_that_was_asked_for() {
        let brokers = [broker("a", "learned", "UP", &[0])];
        let partitions = [partition(0, 1, 2, "active"), partition(1, 1, 2, "active")];
        assert_eq!(astray(read(json(&brokers, &partitions).as_bytes(), true)), [1]);
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_no_broker() {
        for brokers in ["[]", "7", r#"{"x": {"state": "UP"}}"#, r#"{"x": {"source": "learned"}}"#] {
            let json = format!(r#"{{"brokers": {brokers}, "topics": {{}}}}"#);
            assert_eq!(read(json.as_bytes(), false), None, "{brokers}");
        }
        assert_eq!(read(b"{}", false), None);
        assert_eq!(read(b"\xff", false), None);
    }
}
