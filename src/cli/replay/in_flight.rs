use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::stream::PublishError;

/// Sends that wait for their acknowledgement: enough to fill batches.
const SENDS_MAX: usize = 256;
/// Their bytes: less than the client's queue takes, so that no send has to wait for room there while a
/// later one finds it.
const BYTES_MAX: usize = 16 << 20;

type Sent = Result<(), PublishError>;
type Sending<'a> = Pin<Box<dyn Future<Output = Sent> + Send + 'a>>;

/// Sends in flight, which begin and are answered in their order.
pub(super) struct InFlight<'a, T> {
    sends: VecDeque<OneSend<'a, T>>,
    bytes: usize,
}

struct OneSend<'a, T> {
    what: T,
    bytes: usize,
    sending: Result<Sent, Sending<'a>>,
}

// === impl InFlight ===

impl<'a, T> InFlight<'a, T> {
    pub(super) fn new() -> Self {
        Self { sends: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sends.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.sends.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.sends.len() >= SENDS_MAX || self.bytes >= BYTES_MAX
    }

    /// Begins to send.
    pub(super) fn push(
        &mut self,
        what: T,
        bytes: usize,
        sending: impl Future<Output = Sent> + Send + 'a,
    ) {
        let mut sending: Sending<'a> = Box::pin(sending);
        // The first look hands the record to the client; who waits for the answer looks again.
        let sending = match sending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(sent) => Ok(sent),
            Poll::Pending => Err(sending),
        };
        self.bytes += bytes;
        self.sends.push_back(OneSend { what, bytes, sending });
    }

    /// The outcome of the oldest send; never, where there is none. Cancel-safe.
    pub(super) async fn next(&mut self) -> (T, Sent) {
        let Some(oldest) = self.sends.front_mut() else { return std::future::pending().await };
        if let Err(sending) = &mut oldest.sending {
            oldest.sending = Ok(sending.await);
        }
        match self.sends.pop_front() {
            Some(OneSend { what, bytes, sending: Ok(sent) }) => {
                self.bytes -= bytes;
                (what, sent)
            }
            Some(OneSend { sending: Err(_), .. }) | None => std::future::pending().await,
        }
    }
}
