//! Connections, and how long they may take.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;
use tokio_io_timeout::TimeoutStream;

use super::answer::Desk;

/// Connections at one time.
const CONNECTIONS_MAX: usize = 64;
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
    /// Whether its request has come.
    asked: Arc<AtomicBool>,
    task: AbortHandle,
}

// === impl Guests ===

impl Guests {
    /// Whether another connection may be taken. Where the house is full, the one goes that has been there
    /// for longest without a request: a probe asks at once, so that a flood of silent connections turns
    /// none away.
    fn make_room(&mut self) -> bool {
        self.0.retain(|guest| !guest.task.is_finished());
        if self.0.len() < CONNECTIONS_MAX {
            return true;
        }
        let silent = self.0.iter().position(|guest| !guest.asked.load(Ordering::Relaxed));
        let silent = silent.and_then(|place| self.0.remove(place));
        silent.as_ref().inspect(|guest| guest.task.abort()).is_some()
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
    loop {
        match listener.accept().await {
            Ok((connection, _)) if guests.make_room() => {
                let asked = Arc::new(AtomicBool::new(false));
                let task = tokio::spawn(converse(connection, Arc::clone(desk), Arc::clone(&asked)));
                guests.0.push_back(Guest { asked, task: task.abort_handle() });
            }
            Ok((_turned_away, _)) => {}
            Err(error) => {
                tracing::debug!(%error, "cannot take a connection to the admin port");
                tokio::time::sleep(ACCEPT_WAIT).await;
            }
        }
    }
}

/// One request for each connection, so that none is held idle.
async fn converse(connection: TcpStream, desk: Arc<Desk>, asked: Arc<AtomicBool>) {
    let mut connection = TimeoutStream::new(connection);
    connection.set_write_timeout(Some(STALL_MAX));
    let service = service_fn(move |request| {
        asked.store(true, Ordering::Relaxed);
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
