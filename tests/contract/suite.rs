//! What every source and sink promises.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crossrank::stream::{
    Claimed, OffsetTracker, RecordSink, RecordSource, SourceError, StoredRecord,
};

use crate::{WAIT_MAX, records, until};

/// The record size that the suite's sinks are limited to.
pub(crate) const RECORD_BYTES_MAX: usize = 100_000;

/// A broker, and ways to look into it from outside.
pub(crate) trait Harness {
    type Source: RecordSource + 'static;
    type Sink: RecordSink;

    /// For messages of failed assertions.
    fn name(&self) -> &'static str;
    /// Creates a topic of a name that nothing else uses.
    async fn topic(&self, partitions: i32) -> String;
    /// A new member of the group.
    async fn source(&self, group: &str, topic: &str, drain_timeout: Duration) -> Self::Source;
    /// A sink limited to [`RECORD_BYTES_MAX`].
    async fn sink(&self) -> Self::Sink;
    /// Appends records to one partition.
    async fn produce(&self, topic: &str, partition: i32, values: &[String]);
    /// The group's commit.
    async fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64>;
    /// Everything in a topic.
    async fn records(&self, topic: &str) -> Vec<StoredRecord>;
    /// What a close needs at least to commit what is settled. A commit need not be waited for to count.
    fn close_min(&self) -> Duration {
        Duration::ZERO
    }
    /// After this long without a sign of life a member is put out.
    fn session_timeout(&self) -> Duration;
}

/// Runs the whole suite.
pub(crate) async fn all<H: Harness>(harness: &H) {
    every_record_is_claimed_once_and_in_order(harness).await;
    a_hole_holds_the_commit_and_is_read_again(harness).await;
    a_returned_record_is_read_again(harness).await;
    an_abandoned_record_stops_the_source(harness).await;
    members_share_the_work_and_inherit_it(harness).await;
    an_outcome_after_the_revocation_is_a_no_op(harness).await;
    // The mock ends a rebalance without a member that takes its time, and refuses its last commit.
    if harness.name() != "MockCluster" {
        a_rebalance_waits_for_work_in_flight(harness).await;
    }
    a_close_waits_for_work_in_flight(harness).await;
    a_record_that_is_never_settled_stops_its_partition_in_the_end(harness).await;
    records::a_record_comes_back_as_it_was_written(harness).await;
    records::a_published_record_can_be_read(harness).await;
    records::a_record_that_is_too_large_is_refused(harness).await;
    a_member_that_claims_nothing_stays_a_member(harness).await;
}

pub(crate) const DRAIN: Duration = Duration::from_secs(5);

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("record {number}")).collect()
}

pub(crate) async fn claim<S: RecordSource>(source: &mut S) -> Claimed {
    let claimed = tokio::time::timeout(WAIT_MAX, source.claim()).await;
    claimed.expect("a record within the time limit").expect("a record")
}

async fn claim_some<S: RecordSource>(source: &mut S, count: usize) -> Vec<Claimed> {
    let mut claimed = Vec::new();
    for _ in 0..count {
        claimed.push(claim(source).await);
    }
    claimed
}

/// How often each record was worked on.
type Seen = BTreeMap<(i32, i64), usize>;

fn note(seen: &mut Seen, claimed: &Claimed) {
    let position = claimed.ack.position();
    *seen.entry((position.partition.index, position.offset)).or_default() += 1;
}

/// Claims until nothing has come for a while, publishing everything.
async fn work_off<S: RecordSource>(source: &mut S, seen: &mut Seen) {
    while let Ok(claimed) = tokio::time::timeout(Duration::from_millis(200), source.claim()).await {
        let claimed = claimed.expect("a record");
        note(seen, &claimed);
        claimed.ack.published();
    }
}

async fn committed_is<H: Harness>(h: &H, group: &str, topic: &str, partition: i32, offset: i64) {
    let what = format!("{}: commit {offset} of {topic}/{partition}", h.name());
    until(&what, async || h.committed(group, topic, partition).await == Some(offset)).await;
}

async fn every_record_is_claimed_once_and_in_order<H: Harness>(h: &H) {
    let topic = h.topic(4).await;
    for partition in 0..4 {
        h.produce(&topic, partition, &numbered(50)).await;
    }
    let mut source = h.source("once", &topic, DRAIN).await;
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    for claimed in claim_some(&mut source, 200).await {
        let position = claimed.ack.position().clone();
        let expected = next.entry(position.partition.index).or_default();
        assert_eq!(position.offset, *expected, "{}: {position}", h.name());
        let value = format!("record {expected}");
        assert_eq!(claimed.record.value.as_deref(), Some(value.as_bytes()));
        *expected += 1;
        claimed.ack.published();
    }
    for partition in 0..4 {
        committed_is(h, "once", &topic, partition, 50).await;
    }
    let more = tokio::time::timeout(Duration::from_millis(200), source.claim()).await;
    assert!(more.is_err(), "{}: a record came twice", h.name());
    source.close(DRAIN).await.unwrap();
}

pub(crate) async fn a_hole_holds_the_commit_and_is_read_again<H: Harness>(h: &H) {
    let topic = h.topic(1).await;
    h.produce(&topic, 0, &numbered(10)).await;
    let mut source = h.source("hole", &topic, DRAIN).await;
    let mut claimed = claim_some(&mut source, 10).await;
    let hole = claimed.remove(3);
    // The highest first: whoever commits the highest has no time to look honest.
    for claimed in claimed.into_iter().rev() {
        claimed.ack.published();
    }
    committed_is(h, "hole", &topic, 0, 3).await;
    match source.close(Duration::ZERO).await {
        Err(SourceError::DrainDeadline { unsettled: 1 }) => {}
        other => panic!("{}: expected the drain deadline, got {other:?}", h.name()),
    }
    assert!(hole.ack.is_revoked(), "{}: nobody told the work that it is wasted", h.name());
    hole.ack.published();
    let mut source = h.source("hole", &topic, DRAIN).await;
    assert_eq!(h.committed("hole", &topic, 0).await, Some(3));
    let offsets: Vec<i64> = claim_some(&mut source, 7)
        .await
        .into_iter()
        .map(|claimed| {
            let offset = claimed.ack.position().offset;
            claimed.ack.published();
            offset
        })
        .collect();
    assert_eq!(offsets, (3..10).collect::<Vec<_>>(), "{}", h.name());
    source.close(DRAIN).await.unwrap();
    assert_eq!(h.committed("hole", &topic, 0).await, Some(10), "{}: commit at close", h.name());
}

async fn a_returned_record_is_read_again<H: Harness>(h: &H) {
    let topic = h.topic(1).await;
    h.produce(&topic, 0, &numbered(3)).await;
    let mut source = h.source("returned", &topic, DRAIN).await;
    for (number, claimed) in claim_some(&mut source, 3).await.into_iter().enumerate() {
        if number == 1 { claimed.ack.returned() } else { claimed.ack.published() }
    }
    source.close(DRAIN).await.unwrap();
    assert_eq!(h.committed("returned", &topic, 0).await, Some(1), "{}", h.name());
    let mut source = h.source("returned", &topic, DRAIN).await;
    let again = claim(&mut source).await;
    assert_eq!(again.ack.position().offset, 1, "{}", h.name());
    again.ack.returned();
    source.close(DRAIN).await.unwrap();
}

async fn an_abandoned_record_stops_the_source<H: Harness>(h: &H) {
    let topic = h.topic(1).await;
    h.produce(&topic, 0, &numbered(3)).await;
    let mut source = h.source("abandoned", &topic, DRAIN).await;
    let mut claimed = claim_some(&mut source, 3).await.into_iter();
    claimed.next().unwrap().ack.published();
    drop(claimed.next());
    claimed.next().unwrap().ack.published();
    match tokio::time::timeout(WAIT_MAX, source.claim()).await.unwrap() {
        Err(SourceError::Abandoned { position }) => assert_eq!(position, format!("{topic}/0/1")),
        other => panic!("{}: expected an abandoned record, got {other:?}", h.name()),
    }
    drop(source);
    committed_is(h, "abandoned", &topic, 0, 1).await;
}

async fn members_share_the_work_and_inherit_it<H: Harness>(h: &H) {
    let topic = h.topic(4).await;
    for partition in 0..4 {
        h.produce(&topic, partition, &numbered(20)).await;
    }
    let mut seen = Seen::new();
    let mut first = h.source("shared", &topic, DRAIN).await;
    let held = claim(&mut first).await;
    let mut second = h.source("shared", &topic, DRAIN).await;
    note(&mut seen, &held);
    held.ack.published();
    // Both must get work: that is what shows that partitions have moved.
    let mut shares = [BTreeSet::new(), BTreeSet::new()];
    let deadline = tokio::time::Instant::now() + WAIT_MAX;
    for round in 0.. {
        assert!(tokio::time::Instant::now() < deadline, "{}: {shares:?}", h.name());
        for partition in 0..4 {
            h.produce(&topic, partition, &[format!("round {round}")]).await;
        }
        shares = [BTreeSet::new(), BTreeSet::new()];
        for (member, share) in [&mut first, &mut second].into_iter().zip(&mut shares) {
            let mut of_member = Seen::new();
            work_off(member, &mut of_member).await;
            share.extend(of_member.keys().map(|(partition, _)| *partition));
            for (position, count) in of_member {
                *seen.entry(position).or_default() += count;
            }
        }
        if shares.iter().all(|share| share.len() == 2) {
            break;
        }
    }
    assert!(shares[0].is_disjoint(&shares[1]), "{}: {shares:?}", h.name());
    // The first leaves with work in flight: what it has settled counts, the rest is inherited.
    let mine: Vec<i32> = shares[0].iter().copied().collect();
    for &partition in &mine {
        h.produce(&topic, partition, &numbered(5)).await;
    }
    let mut last = claim_some(&mut first, 2 * 5).await;
    let unsettled = last.pop().unwrap();
    let (partition, offset) =
        (unsettled.ack.position().partition.index, unsettled.ack.position().offset);
    for claimed in last {
        note(&mut seen, &claimed);
        claimed.ack.published();
    }
    first.close(h.close_min()).await.unwrap_err();
    until("the second inherits", async || {
        work_off(&mut second, &mut seen).await;
        let ends = h.records(&topic).await.len();
        seen.len() == ends
    })
    .await;
    assert!(seen.contains_key(&(partition, offset)), "{}: the one in flight", h.name());
    drop(unsettled);
    let again: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
    // A stop without a drain repeats what lay above the record in flight, and nothing else.
    let inherited = |at: &(i32, i64)| at.0 == partition && at.1 >= offset;
    assert!(again.iter().all(|(at, _)| inherited(at)), "{}: {again:?}", h.name());
    second.close(DRAIN).await.unwrap();
}

async fn an_outcome_after_the_revocation_is_a_no_op<H: Harness>(h: &H) {
    let topic = h.topic(2).await;
    for partition in 0..2 {
        h.produce(&topic, partition, &numbered(1)).await;
    }
    // No patience: the partition moves while its record is in flight.
    let mut first = h.source("late", &topic, Duration::ZERO).await;
    let claimed = claim_some(&mut first, 2).await;
    let mut second = h.source("late", &topic, Duration::ZERO).await;
    let (inherited, _) = tokio::join!(claim(&mut second), async {
        // The first has to poll for the group to notice; a claim that waits does.
        let nothing = tokio::time::timeout(Duration::from_millis(500), first.claim()).await;
        assert!(nothing.is_err(), "{}: a record came twice", h.name());
    });
    let moved = inherited.ack.position().partition.index;
    for claimed in claimed {
        let late = claimed.ack.position().partition.index == moved;
        assert_eq!(claimed.ack.is_revoked(), late, "{}", h.name());
        claimed.ack.published();
    }
    // When the other one is committed, the late one would have been too.
    committed_is(h, "late", &topic, 1 - moved, 1).await;
    assert_eq!(h.committed("late", &topic, moved).await, None, "{}", h.name());
    inherited.ack.published();
    committed_is(h, "late", &topic, moved, 1).await;
    first.close(DRAIN).await.unwrap();
    second.close(DRAIN).await.unwrap();
}

async fn a_rebalance_waits_for_work_in_flight<H: Harness>(h: &H) {
    let topic = h.topic(2).await;
    for partition in 0..2 {
        h.produce(&topic, partition, &numbered(1)).await;
    }
    let patience = Duration::from_secs(30);
    let mut first = h.source("drain", &topic, patience).await;
    let claimed = claim_some(&mut first, 2).await;
    let mut second = h.source("drain", &topic, patience).await;
    until("one of two partitions is revoked", async || {
        claimed.iter().filter(|claimed| claimed.ack.is_revoked()).count() == 1
    })
    .await;
    let moved = claimed.iter().find(|claimed| claimed.ack.is_revoked()).unwrap();
    let moved = moved.ack.position().partition.index;
    for claimed in claimed {
        claimed.ack.published();
    }
    // Settled in time: committed before it moved, so that nobody reads it again.
    h.produce(&topic, moved, &["next".to_owned()]).await;
    let next = claim(&mut second).await;
    assert_eq!(next.record.value.as_deref(), Some(b"next".as_slice()), "{}", h.name());
    next.ack.published();
    first.close(DRAIN).await.unwrap();
    second.close(DRAIN).await.unwrap();
    assert_eq!(h.committed("drain", &topic, moved).await, Some(2), "{}", h.name());
}

async fn a_close_waits_for_work_in_flight<H: Harness>(h: &H) {
    let topic = h.topic(1).await;
    h.produce(&topic, 0, &numbered(3)).await;
    let mut source = h.source("close", &topic, DRAIN).await;
    let claimed = claim_some(&mut source, 2).await;
    let (closed, ()) = tokio::join!(source.close(WAIT_MAX), async {
        for claimed in claimed {
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(!claimed.ack.is_revoked(), "{}: work is wanted until the deadline", h.name());
            claimed.ack.published();
        }
    });
    closed.unwrap();
    // The third was read ahead at most: it goes back unread.
    assert_eq!(h.committed("close", &topic, 0).await, Some(2), "{}", h.name());
}

async fn a_record_that_is_never_settled_stops_its_partition_in_the_end<H: Harness>(h: &H) {
    let topic = h.topic(2).await;
    h.produce(&topic, 0, &numbered(OffsetTracker::UNCOMMITTED_MAX + 1)).await;
    let mut source = h.source("stuck", &topic, DRAIN).await;
    let stuck = claim(&mut source).await;
    for _ in 1..OffsetTracker::UNCOMMITTED_MAX {
        claim(&mut source).await.ack.published();
    }
    let more = tokio::time::timeout(Duration::from_millis(500), source.claim()).await;
    assert!(more.is_err(), "{}: no limit to what is remembered", h.name());
    h.produce(&topic, 1, &numbered(1)).await;
    let other = claim(&mut source).await;
    assert_eq!(other.ack.position().partition.index, 1, "{}", h.name());
    other.ack.published();
    stuck.ack.published();
    let next = claim(&mut source).await;
    let offset = usize::try_from(next.ack.position().offset).unwrap();
    assert_eq!(offset, OffsetTracker::UNCOMMITTED_MAX, "{}", h.name());
    next.ack.published();
    source.close(DRAIN).await.unwrap();
}

async fn a_member_that_claims_nothing_stays_a_member<H: Harness>(h: &H) {
    let topic = h.topic(1).await;
    h.produce(&topic, 0, &numbered(100)).await;
    let mut source = h.source("patient", &topic, DRAIN).await;
    let held = claim(&mut source).await;
    // Not a wait for something: the silence itself is what is tested.
    tokio::time::sleep(h.session_timeout() * 2).await;
    assert!(!held.ack.is_revoked(), "{}: the partition was taken away", h.name());
    held.ack.published();
    committed_is(h, "patient", &topic, 0, 1).await;
    for claimed in claim_some(&mut source, 99).await {
        claimed.ack.published();
    }
    source.close(DRAIN).await.unwrap();
    assert_eq!(h.committed("patient", &topic, 0).await, Some(100), "{}", h.name());
}
