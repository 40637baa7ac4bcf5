//! Connections, and how long they may take.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_io_timeout::TimeoutStream;

use super::answer::{Desk, EVENTS_PATH};

/// Connections at one time.
const CONNECTIONS_MAX: usize = 64;
/// Connections that are taken in one [`PACE_INTERVAL`]: two hundred a second. A client in a loop costs no more than
/// these, and waits in the system's queue; a probe beside it waits for the next interval at most.
const PACE_MAX: usize = 20;
const PACE_INTERVAL: Duration = Duration::from_millis(100);
/// A request with all its headers has to be there by then.
const REQUEST_MAX: Duration = Duration::from_secs(5);
const HEADER_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// A client that takes nothing for so long is gone.
const STALL_MAX: Duration = Duration::from_secs(10);
/// Any connection, also one that takes a little now and then. A page begins its stream anew.
const CONNECTION_MAX: Duration = Duration::from_secs(600);
/// Where no connection can be taken: the system has no file left for it, say.
const ACCEPT_WAIT: Duration = Duration::from_millis(200);
/// The board is looked at so often.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The connections of the moment, the oldest first.
#[derive(Default)]
struct Guests(VecDeque<Guest>);

struct Guest {
    /// A [`Claim`].
    claim: Arc<AtomicU8>,
    task: AbortHandle,
}

/// How good a reason a guest has to stay where the house is full; the last is the best.
#[derive(Clone, Copy)]
enum Claim {
    /// Its request has not come.
    Silent,
    /// It has an answer that ends, which has been written long ago to whoever reads it.
    Asked,
    /// It reads events. There are few of these at one time.
    Reads,
}

/// How fast connections are taken.
struct Pace {
    intervals: Interval,
    left: usize,
}

// === impl Guests ===

impl Guests {
    /// Makes room for another connection: where the house is full, of those with the least claim the one goes
    /// that has been there for longest. A probe asks at once and is answered at once, so that none is turned
    /// away, neither by clients that are silent nor by those that do not read.
    fn make_room(&mut self) {
        self.0.retain(|guest| !guest.task.is_finished());
        if self.0.len() < CONNECTIONS_MAX {
            return;
        }
        let claims = self.0.iter().map(|guest| guest.claim.load(Ordering::Relaxed)).enumerate();
        // Of equals the first.
        let least = claims.min_by_key(|(_, claim)| *claim);
        if let Some(guest) = least.and_then(|(place, _)| self.0.remove(place)) {
            guest.task.abort();
        }
    }
}

// === impl Pace ===

impl Pace {
    fn new() -> Self {
        let mut intervals = tokio::time::interval(PACE_INTERVAL);
        intervals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { intervals, left: 0 }
    }

    /// Waits until another connection may be taken.
    async fn next(&mut self) {
        if self.left == 0 {
            self.intervals.tick().await;
            self.left = PACE_MAX;
        }
        self.left -= 1;
    }
}

/// Serves until `stopped`.
pub(super) async fn serve(
    listener: std::net::TcpListener,
    desk: Desk,
    stopped: oneshot::Receiver<()>,
) {
    let desk = Arc::new(desk);
    tokio::select! {
        // Sent or dropped, it is over.
        _over = stopped => {}
        () = look(&desk) => {}
        () = accept(listener, &desk) => {}
    }
}

async fn look(desk: &Desk) {
    let mut seconds = tokio::time::interval(LOOK_INTERVAL);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        desk.look();
    }
}

async fn accept(listener: std::net::TcpListener, desk: &Arc<Desk>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the admin port cannot be served");
            return std::future::pending().await;
        }
    };
    let mut guests = Guests::default();
    let mut pace = Pace::new();
    loop {
        pace.next().await;
        match listener.accept().await {
            Ok((connection, _)) => {
                guests.make_room();
                let claim = Arc::new(AtomicU8::new(Claim::Silent as u8));
                let task = tokio::spawn(converse(connection, Arc::clone(desk), Arc::clone(&claim)));
                guests.0.push_back(Guest { claim, task: task.abort_handle() });
            }
            Err(error) => {
                tracing::debug!(%error, "cannot take a connection to the admin port");
                tokio::time::sleep(ACCEPT_WAIT).await;
            }
        }
    }
}

/// One request for each connection, so that none is held idle.
async fn converse(connection: TcpStream, desk: Arc<Desk>, claim: Arc<AtomicU8>) {
    let mut connection = TimeoutStream::new(connection);
    connection.set_write_timeout(Some(STALL_MAX));
    let service = service_fn(move |request: Request<Incoming>| {
        let asked = if request.uri().path() == EVENTS_PATH { Claim::Reads } else { Claim::Asked };
        claim.store(asked as u8, Ordering::Relaxed);
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(desk.answer(request).await) }
    });
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(Box::pin(connection)), service);
    match tokio::time::timeout(CONNECTION_MAX, conversation).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection to the admin port broke"),
        Err(_elapsed) => tracing::debug!("a connection to the admin port took too long"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn guest(claim: Claim) -> Guest {
        let claim = Arc::new(AtomicU8::new(claim as u8));
        Guest { claim, task: tokio::spawn(std::future::pending::<()>()).abort_handle() }
    }

    #[tokio::test(start_paused = true)]
    async fn two_hundred_connections_are_taken_in_a_second_and_the_first_of_a_quiet_port_at_once() {
        let mut pace = Pace::new();
        let begun = Instant::now();
        for _ in 0..1000 {
            pace.next().await;
        }
        let taken = begun.elapsed();
        assert!((PACE_INTERVAL * 49..PACE_INTERVAL * 50).contains(&taken), "{taken:?}");
        tokio::time::advance(PACE_INTERVAL * 100).await;
        let later = Instant::now();
        pace.next().await;
        assert!(later.elapsed() < PACE_INTERVAL);
    }

    #[tokio::test]
    async fn a_full_house_lets_the_oldest_go_of_those_with_the_least_claim() {
        let full = |claims: [Claim; 3]| {
            let others = std::iter::repeat_n(Claim::Reads, CONNECTIONS_MAX - claims.len());
            let guests = claims.into_iter().chain(others).map(guest);
            Guests(guests.collect())
        };
        for (claims, gone) in [
            ([Claim::Asked, Claim::Silent, Claim::Silent], 1),
            ([Claim::Reads, Claim::Asked, Claim::Asked], 1),
            ([Claim::Reads, Claim::Reads, Claim::Silent], 2),
            ([Claim::Reads, Claim::Reads, Claim::Reads], 0),
        ] {
            let mut guests = full(claims);
            let before: Vec<_> = guests.0.iter().map(|guest| guest.task.id()).collect();
            guests.make_room();
            let after: Vec<_> = guests.0.iter().map(|guest| guest.task.id()).collect();
            assert_eq!(after.len(), CONNECTIONS_MAX - 1);
            assert!(!after.contains(&before[gone]));
        }
        let mut guests = Guests(VecDeque::from([guest(Claim::Silent)]));
        guests.make_room();
        assert_eq!(guests.0.len(), 1, "there is room");
    }
}
