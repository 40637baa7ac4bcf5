use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::stream::{AckHandle, Position, Record};

fn claimed(index: i32, epoch: u64, key: Option<&'static str>) -> Claimed {
    let partition = Partition { topic: "sets".into(), index };
    let position = Position { partition, offset: 0, epoch: Epoch(epoch) };
    let ack = AckHandle::new(position, Arc::default(), Arc::new(|_| {}));
    Claimed { record: Record { key: key.map(Bytes::from), ..Record::default() }, ack }
}

/// What the ticket says now; `None` where it waits.
fn turn(ticket: &mut Ticket) -> Option<Result<(), BehindHole>> {
    match pin!(ticket.turn()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(turn) => Some(turn),
        Poll::Pending => None,
    }
}

fn remembered(lanes: &Lanes) -> (usize, usize) {
    let state = lanes.shared.lock();
    (state.lasts.len(), state.holes.len())
}

#[test]
fn a_partition_is_one_lane_and_others_do_not_wait() {
    let lanes = Lanes::new(OutputOrder::Partition);
    let mut first = lanes.ticket(&claimed(0, 1, Some("a")));
    let mut second = lanes.ticket(&claimed(0, 1, None));
    let mut other = lanes.ticket(&claimed(1, 1, Some("a")));
    assert_eq!(turn(&mut second), None);
    assert_eq!(turn(&mut first), Some(Ok(())));
    assert_eq!(turn(&mut other), Some(Ok(())));
    first.settled();
    assert_eq!(turn(&mut second), Some(Ok(())));
    assert_eq!(turn(&mut second), Some(Ok(())), "ready for good");
}

#[test]
fn a_key_is_a_lane_within_its_partition_and_no_key_waits_for_nothing() {
    let lanes = Lanes::new(OutputOrder::Key);
    let first = lanes.ticket(&claimed(0, 1, Some("a")));
    let mut same = lanes.ticket(&claimed(0, 1, Some("a")));
    let mut others = [(0, Some("b")), (1, Some("a")), (0, None), (0, None)]
        .map(|(index, key)| lanes.ticket(&claimed(index, 1, key)));
    assert_eq!(turn(&mut same), None);
    for other in &mut others {
        assert_eq!(turn(other), Some(Ok(())));
    }
    first.settled();
    assert_eq!(turn(&mut same), Some(Ok(())));
}

#[test]
fn unordered_records_wait_for_nothing_and_leave_nothing() {
    let lanes = Lanes::new(OutputOrder::Unordered);
    let mut tickets = [0; 3].map(|index| lanes.ticket(&claimed(index, 1, Some("a"))));
    for ticket in tickets.iter_mut().rev() {
        assert_eq!(turn(ticket), Some(Ok(())));
    }
    drop(tickets);
    assert_eq!(remembered(&lanes), (0, 0));
}

#[test]
fn nothing_goes_past_a_hole_whether_it_came_before_or_after() {
    let lanes = Lanes::new(OutputOrder::Partition);
    let first = lanes.ticket(&claimed(0, 1, None));
    let mut second = lanes.ticket(&claimed(0, 1, None));
    let mut third = lanes.ticket(&claimed(0, 1, None));
    drop(first);
    assert_eq!(turn(&mut third), None, "it waits for the second, which has not given up yet");
    assert_eq!(turn(&mut second), Some(Err(BehindHole)));
    drop(second);
    assert_eq!(turn(&mut third), Some(Err(BehindHole)));
    drop(third);
    let late = lanes.ticket(&claimed(0, 1, None));
    assert_eq!(late.begin(), Err(BehindHole), "the lane was empty, the hole is remembered");
}

#[test]
fn the_next_assignment_knows_no_hole_of_the_last() {
    let lanes = Lanes::new(OutputOrder::Key);
    drop(lanes.ticket(&claimed(0, 1, Some("a"))));
    assert_eq!(lanes.ticket(&claimed(0, 1, Some("b"))).begin(), Err(BehindHole));
    let mut again = lanes.ticket(&claimed(0, 2, Some("a")));
    assert_eq!(turn(&mut again), Some(Ok(())));
    again.settled();
    assert_eq!(remembered(&lanes), (0, 0));
}

#[test]
fn lanes_vanish_when_they_are_empty() {
    let lanes = Lanes::new(OutputOrder::Key);
    for key in ["a", "b", "c"] {
        let first = lanes.ticket(&claimed(0, 1, Some(key)));
        let second = lanes.ticket(&claimed(0, 1, Some(key)));
        first.settled();
        assert_eq!(remembered(&lanes), (1, 0), "the second is still there");
        second.settled();
    }
    assert_eq!(remembered(&lanes), (0, 0));
}
