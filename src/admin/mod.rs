//! The admin port: what probes, scrapers and people ask a running worker.
//!
//! | path | answers | token |
//! |---|---|---|
//! | `/livez` | whether poll thread, engine and publisher make progress: 200 or 503, a line per check | no |
//! | `/readyz` | whether model, group and producer are ready: 200 or 503, a line per check | no |
//! | `/metrics` | Prometheus text | yes |
//! | `/config` | the effective configuration, without its secrets | yes |
//! | `/` | a page for people | yes |
//! | `/events` | what the page shows, as server-sent events | yes |
//!
//! It has a thread and a runtime of its own, so that a worker that is stuck still says so, and clients,
//! however many, slow or eager, take nothing from it: connections, how many are taken in a second, headers,
//! requests, waits and streams have limits, what costs something is put together once a second, and a stream
//! whose reader does not keep up is ended. Nothing can be changed through it.
//!
//! Probes need no token, since a kubelet has none; they tell no more than their lines. Without a token,
//! which is possible on loopback only, requests must name a loopback host: a page from elsewhere, whose
//! name was made to point here, does not, and what a page of another site has a browser send is refused.

mod access;
mod answer;
mod events;
mod page;
mod server;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

pub use access::Token;

use answer::Desk;

use crate::telemetry::board::Keeper;

/// The text of `/metrics`, or why there is none.
pub type Metrics = Box<dyn Fn() -> Result<String, String> + Send + Sync>;

const THREAD: &str = "admin";

/// Where the admin port is, and who may use it. Already checked by `config`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens. Port 0 is any that is free.
    pub address: SocketAddr,
    /// What requests must carry; there is one wherever the address is not loopback.
    pub token: Option<Token>,
    /// Whether the page shows queries and passages.
    pub texts: bool,
}

/// What it tells beside the board.
pub struct Sources {
    /// The effective configuration, without secrets.
    pub config: String,
    /// `None` where no metrics are exported.
    pub metrics: Option<Metrics>,
}

/// Why there is no admin port.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be used.
    #[error(
        "cannot listen on {address}, which is admin.address; where another worker has this port, \
         give each its own, or set admin.enabled = false"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system gives no thread for it.
    #[error("cannot start the thread of the admin port")]
    Thread(#[source] io::Error),
}

/// A running admin port. Dropping it closes the port.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    /// `None` only while being dropped.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

// === impl Admin ===

impl Admin {
    /// Listens, and answers from here on.
    ///
    /// # Errors
    /// Where the address is taken or not of this machine, or the system has no thread left.
    pub fn start(
        settings: &Settings,
        keeper: Keeper,
        sources: Sources,
    ) -> Result<Self, StartError> {
        let address = settings.address;
        let bound = TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, listener))
        });
        let (address, listener) = bound.map_err(|source| StartError::Bind { address, source })?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            // Metrics are put together beside what probes ask.
            .max_blocking_threads(1)
            .thread_name(THREAD)
            .build()
            .map_err(StartError::Thread)?;
        let desk = Desk::new(settings.token.clone(), keeper, sources);
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(server::serve(listener, desk, stopped));
            // Whatever a client still waits for is not waited for.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name(THREAD.to_owned()).spawn(serve);
        let thread = thread.map_err(StartError::Thread)?;
        tracing::info!(%address, token = settings.token.is_some(), "the admin port answers");
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _panicked = thread.join();
        }
    }
}
