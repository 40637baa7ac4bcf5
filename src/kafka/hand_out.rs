use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::Message;
use rdkafka::message::BorrowedMessage;

use super::headers;
use super::poll::{PollThread, fatal};
use crate::stream::{AckHandle, Claimed, Record, SourceError};

/// Records taken from librdkafka but not yet claimed. Few: its own queues read ahead.
pub(super) const CLAIMS_MAX: usize = 16;
/// Handles without an outcome at most. A worker holds far fewer; beyond it nothing is handed out.
pub(super) const UNSETTLED_MAX: usize = 65_536;

// === impl PollThread ===

impl PollThread {
    /// Moves records from the partition queues to the claim channel while it has room.
    pub(super) fn hand_out(&mut self) -> Result<(), SourceError> {
        if self.closing.is_some() || self.lanes.is_empty() {
            return Ok(());
        }
        let mut empty = 0;
        while empty < self.lanes.len() && self.has_room() {
            self.turn = (self.turn + 1) % self.lanes.len();
            if self.hand_out_from(self.turn)? { empty = 0 } else { empty += 1 }
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.wires.claims.len() < CLAIMS_MAX && self.outstanding < UNSETTLED_MAX
    }

    /// Hands out one record of one partition, if it has one.
    fn hand_out_from(&mut self, lane: usize) -> Result<bool, SourceError> {
        let lane = &self.lanes[lane];
        // The commit that makes room rings the bell.
        let full = self.tracker.uncommitted_of(&lane.partition) >= self.uncommitted_max;
        if full || lane.revoked.load(Ordering::Acquire) {
            return Ok(false);
        }
        let message = match lane.queue.poll(Duration::ZERO) {
            None => return Ok(false),
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                fatal(&self.consumer, error)?;
                return Ok(false);
            }
        };
        if self.tracker.pass(&lane.partition, message.offset()) {
            return Ok(true);
        }
        let Some(position) = self.tracker.claim(&lane.partition, message.offset()) else {
            // Untracked, it would be committed past.
            let reason = format!("partition {} is read but not assigned", lane.partition);
            return Err(SourceError::Fatal { reason, source: None });
        };
        let record = to_record(&message);
        drop(message);
        let (revoked, settle) = (Arc::clone(&lane.revoked), Arc::clone(&self.wires.settle));
        let ack = AckHandle::new(position, revoked, settle);
        self.outstanding += 1;
        // Room was there, and nobody else sends.
        let _sent = self.wires.claims.try_send(Ok(Claimed { record, ack }));
        Ok(true)
    }

    /// Takes back what was handed out but not claimed, where `which` says so.
    pub(super) fn take_back(&self, which: impl Fn(&Claimed) -> bool) {
        let mut kept = Vec::new();
        while let Ok(item) = self.wires.unclaimed.try_recv() {
            match item {
                Ok(claimed) if which(&claimed) => claimed.ack.returned(),
                other => kept.push(other),
            }
        }
        for item in kept {
            // They came out of it, so there is room for them.
            let _sent = self.wires.claims.try_send(item);
        }
    }
}

pub(super) fn to_record(message: &BorrowedMessage<'_>) -> Record {
    Record {
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        headers: headers::read(message),
        timestamp_ms: message.timestamp().to_millis(),
    }
}
