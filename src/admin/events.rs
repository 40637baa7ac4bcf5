//! Server-sent events: the state at first, then what is new every second.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame};
use serde::Serialize;
use tokio::sync::mpsc;

/// Streams at one time: tabs that people have open. They are few, so that probes find a connection.
const STREAMS_MAX: usize = 16;
/// Events that wait for a reader, one a second. With more it has not kept up.
const WAITING_MAX: usize = 5;
/// After a lost connection, before the next one.
const RETRY: &str = "retry: 2000\n";

/// One reader's events, as they are written.
pub(super) struct Stream(mpsc::Receiver<Bytes>);

/// Everybody who reads.
#[derive(Debug, Default)]
pub(super) struct Readers(Vec<mpsc::Sender<Bytes>>);

// === impl Readers ===

impl Readers {
    /// A stream that begins with the event `first`; `None` where there are as many as there may be.
    pub(super) fn join(&mut self, first: Bytes) -> Option<Stream> {
        self.0.retain(|reader| !reader.is_closed());
        if self.0.len() >= STREAMS_MAX {
            return None;
        }
        let (reader, events) = mpsc::channel(WAITING_MAX);
        // It is empty, so there is room.
        let _first = reader.try_send(first);
        self.0.push(reader);
        Some(Stream(events))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// To everybody. Who has not kept up is let go, and may begin anew.
    pub(super) fn tell(&mut self, news: &impl Serialize) {
        let event = event("news", news);
        self.0.retain(|reader| reader.try_send(event.clone()).is_ok());
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}

/// JSON has no line ends of its own, so that it is one line of data.
pub(super) fn event(name: &str, what: &impl Serialize) -> Bytes {
    let json = super::page::json(what);
    Bytes::from(format!("{RETRY}event: {name}\ndata: {json}\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_who_does_not_keep_up_is_let_go_and_others_are_not() {
        let mut readers = Readers::default();
        let first = event("all", &0);
        let mut slow = readers.join(first.clone()).unwrap();
        let mut quick = readers.join(first).unwrap();
        for second in 1..=10 {
            readers.tell(&second);
            while quick.0.try_recv().is_ok() {}
        }
        assert_eq!(readers.0.len(), 1);
        let told: Vec<Bytes> = std::iter::from_fn(|| slow.0.try_recv().ok()).collect();
        assert_eq!(told.len(), WAITING_MAX);
        assert!(slow.0.is_closed());
    }

    #[test]
    fn streams_are_limited_and_one_that_ended_makes_room() {
        let mut readers = Readers::default();
        let mut join = || readers.join(event("all", &0));
        let streams: Vec<Stream> = std::iter::from_fn(&mut join).take(100).collect();
        assert_eq!(streams.len(), STREAMS_MAX);
        drop(streams);
        assert!(join().is_some());
    }

    #[test]
    fn an_event_is_one_line_of_data() {
        let text = event("news", &"two\nlines");
        let text = std::str::from_utf8(&text).unwrap();
        assert_eq!(text, "retry: 2000\nevent: news\ndata: \"two\\nlines\"\n\n");
    }
}
