use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::stream::Record;

/// What a JSON object costs decoded, beyond its text: a candidate is a few strings and lists.
const OBJECT_BYTES: usize = 512;

/// Bytes that `record` costs while in flight: what it is, and what decoding makes of it. A set of many
/// tiny candidates is small as text only.
pub(super) fn cost(record: &Record) -> usize {
    let objects = |value: &Bytes| value.iter().filter(|&&byte| byte == b'{').count();
    record.bytes() + OBJECT_BYTES * record.value.as_ref().map_or(0, objects)
}

/// Bounds what is in flight, in sets and in bytes.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    sets: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    bytes_max: u32,
}

/// Room for one set; given back when dropped.
#[derive(Debug)]
pub(super) struct SetPermit(#[expect(dead_code, reason = "held, never read")] OwnedSemaphorePermit);

/// Room for the bytes of one record; given back when dropped.
#[derive(Debug)]
pub(super) struct BytesPermit(
    #[expect(dead_code, reason = "held, never read")] OwnedSemaphorePermit,
);

// === impl Admission ===

impl Admission {
    pub(super) fn new(sets_max: usize, bytes_max: usize) -> Self {
        // A semaphore hands out at most u32::MAX at once; 4 GiB in flight is beyond any use.
        let bytes_max = u32::try_from(bytes_max).unwrap_or(u32::MAX);
        Self {
            sets: Arc::new(Semaphore::new(sets_max)),
            bytes: Arc::new(Semaphore::new(bytes_max as usize)),
            bytes_max,
        }
    }

    /// Waits until another set may be in flight.
    pub(super) async fn set(&self) -> SetPermit {
        SetPermit(acquire(&self.sets, 1).await)
    }

    /// Waits until `bytes` more may be in flight. A record over the whole limit waits until it is
    /// alone.
    pub(super) async fn bytes(&self, bytes: usize) -> BytesPermit {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max);
        BytesPermit(acquire(&self.bytes, bytes).await)
    }
}

async fn acquire(semaphore: &Arc<Semaphore>, permits: u32) -> OwnedSemaphorePermit {
    let permit = Arc::clone(semaphore).acquire_many_owned(permits).await;
    permit.expect("an admission semaphore is never closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_ready<F: Future>(future: F) -> bool {
        let mut future = std::pin::pin!(future);
        let waker = std::task::Waker::noop();
        future.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_ready()
    }

    #[tokio::test]
    async fn sets_and_bytes_are_bounded_and_given_back() {
        let admission = Admission::new(1, 100);
        let set = admission.set().await;
        assert!(!is_ready(admission.set()));
        drop(set);
        assert!(is_ready(admission.set()));
        let bytes = admission.bytes(60).await;
        assert!(!is_ready(admission.bytes(41)));
        assert!(is_ready(admission.bytes(40)));
        drop(bytes);
        assert!(is_ready(admission.bytes(100)));
    }

    #[tokio::test]
    async fn a_record_over_the_whole_limit_is_taken_alone() {
        let admission = Admission::new(1, 100);
        let small = admission.bytes(1).await;
        assert!(!is_ready(admission.bytes(1_000_000)));
        drop(small);
        let large = admission.bytes(1_000_000).await;
        assert!(!is_ready(admission.bytes(1)));
        drop(large);
        assert!(is_ready(admission.bytes(1)));
    }
}
