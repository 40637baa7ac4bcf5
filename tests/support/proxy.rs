//! A network that fails on demand, between clients and the brokers of a cluster.
//!
//! One loopback listener stands before each broker. It passes whole frames of Kafka's protocol on,
//! in both directions, and does with them what the [`Fault`] of the moment says.

pub(crate) mod metadata;

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use metadata::Asked;

/// No client and no broker of a test sends more at once.
const FRAME_BYTES_MAX: usize = 128 << 20;

/// What happens to the frames between the clients and one broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: they are passed on.
    #[default]
    Honest,
    /// A new connection is closed as soon as it is accepted. Those that are open stay.
    Refuse,
    /// Each frame waits this long, one after another: a slow and far link.
    Delay(Duration),
    /// Frames wait until the fault is over.
    Stall(Way),
    /// Frames vanish. Like a link whose state a router has lost, a connection that has lost one
    /// passes nothing on any more that way, even when the fault is over, and stays open.
    Swallow(Way),
    /// Metadata answers name no broker, and topics as before.
    NoBrokers,
    /// A connection is closed at its next request, but for clients whose id ends like this.
    Only(&'static str),
}

/// Which frames a fault is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Requests,
    Answers,
    Both,
}

/// The listeners, closed with this value.
pub(crate) struct Proxy {
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// One for each broker.
    faults: Vec<Fault>,
    /// Both ends of what is open.
    open: HashMap<u64, [TcpStream; 2]>,
    accepted: u64,
    /// Metadata answers that were sent without a broker.
    forged: u64,
    closed: bool,
}

/// One direction of one connection.
struct Pipe {
    shared: Arc<Shared>,
    broker: usize,
    way: Way,
    from: TcpStream,
    to: TcpStream,
    asked: Arc<Asked>,
    is_lost: bool,
}

// === impl Proxy ===

impl Proxy {
    /// Listens on as many free ports as there are brokers, which need not be there yet.
    pub(crate) fn listen(brokers: &[SocketAddr]) -> Self {
        let shared = Arc::new(Shared::default());
        shared.lock().faults = vec![Fault::Honest; brokers.len()];
        let listen = |(at, broker): (usize, &SocketAddr)| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let address = listener.local_addr().expect("a bound port");
            let (shared, broker) = (Arc::clone(&shared), *broker);
            thread::spawn(move || accept(&listener, &shared, at, broker));
            address
        };
        Self { addresses: brokers.iter().enumerate().map(listen).collect(), shared }
    }

    /// Where the clients go, one for each broker.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// From now on this happens between the clients and every broker.
    pub(crate) fn set(&self, fault: Fault) {
        self.shared.lock().faults.fill(fault);
        self.shared.changed.notify_all();
    }

    /// From now on this happens between the clients and this broker; the first one is 1.
    pub(crate) fn set_on(&self, broker: usize, fault: Fault) {
        self.shared.lock().faults[broker - 1] = fault;
        self.shared.changed.notify_all();
    }

    /// Closes every connection.
    pub(crate) fn cut(&self) {
        self.shared.lock().close_all();
    }

    /// How many metadata answers were sent without a broker.
    pub(crate) fn forged(&self) -> u64 {
        self.shared.lock().forged
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.close_all();
        drop(state);
        self.shared.changed.notify_all();
        for address in &self.addresses {
            // Wakes the listener, which then sees that it is over.
            drop(TcpStream::connect(address));
        }
    }
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens to a frame that came in at `since`, as soon as something may: `None` is that it
    /// vanishes.
    fn pass(&self, broker: usize, way: Way, since: Instant) -> Option<Fault> {
        let mut state = self.lock();
        loop {
            let fault = state.faults[broker];
            let left = match fault {
                _ if state.closed => return None,
                Fault::Swallow(which) if which.covers(way) => return None,
                Fault::Stall(which) if which.covers(way) => Duration::MAX,
                Fault::Delay(delay) => delay.saturating_sub(since.elapsed()),
                _ => return Some(fault),
            };
            if left.is_zero() {
                return Some(fault);
            }
            let left = left.min(Duration::from_secs(3600));
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

// === impl State ===

impl State {
    fn close_all(&mut self) {
        for stream in self.open.drain().flat_map(|(_, ends)| ends) {
            // It may have been closed by its other end.
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

// === impl Way ===

impl Way {
    fn covers(self, way: Self) -> bool {
        self == Self::Both || self == way
    }
}

// === impl Pipe ===

impl Pipe {
    /// Passes frames on until either end closes.
    fn run(mut self) {
        // The end of a connection is no error here.
        drop(self.copy());
        for stream in [&self.from, &self.to] {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    fn copy(&mut self) -> io::Result<()> {
        let mut frame = Vec::new();
        loop {
            read_frame(&mut self.from, &mut frame)?;
            let since = Instant::now();
            if self.way == Way::Requests {
                self.asked.note(&frame);
            }
            let fault = self.shared.pass(self.broker, self.way, since);
            self.is_lost |= fault.is_none();
            if self.is_lost {
                continue;
            }
            if let (Way::Requests, Some(Fault::Only(end))) = (self.way, fault)
                && !metadata::client_id(&frame).is_some_and(|id| id.ends_with(end.as_bytes()))
            {
                return Ok(());
            }
            if self.way == Way::Answers
                && let Some(version) = self.asked.take(&frame)
                && fault == Some(Fault::NoBrokers)
            {
                frame = metadata::without_brokers(&frame, version);
                self.shared.lock().forged += 1;
            }
            self.to.write_all(&u32::try_from(frame.len()).expect("a small frame").to_be_bytes())?;
            self.to.write_all(&frame)?;
        }
    }
}

/// Takes connections until the proxy is dropped.
fn accept(listener: &TcpListener, shared: &Arc<Shared>, at: usize, broker: SocketAddr) {
    for client in listener.incoming() {
        let mut state = shared.lock();
        if state.closed {
            return;
        }
        if state.faults[at] == Fault::Refuse {
            continue;
        }
        state.accepted += 1;
        let id = state.accepted;
        drop(state);
        if let Ok(client) = client
            && let Ok(server) = TcpStream::connect(broker)
        {
            // A connection that ends before it has begun is the client's to open again.
            drop(connect(shared, at, id, client, server));
        }
    }
}

fn connect(
    shared: &Arc<Shared>,
    broker: usize,
    id: u64,
    client: TcpStream,
    server: TcpStream,
) -> io::Result<()> {
    for end in [&client, &server] {
        end.set_nodelay(true)?;
    }
    let asked = Arc::new(Asked::default());
    let pipe = |way, from: &TcpStream, to: &TcpStream| {
        let (shared, asked) = (Arc::clone(shared), Arc::clone(&asked));
        let (from, to) = (from.try_clone()?, to.try_clone()?);
        io::Result::Ok(Pipe { shared, broker, way, from, to, asked, is_lost: false })
    };
    let requests = pipe(Way::Requests, &client, &server)?;
    let answers = pipe(Way::Answers, &server, &client)?;
    shared.lock().open.insert(id, [client, server]);
    thread::spawn(move || requests.run());
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        answers.run();
        shared.lock().open.remove(&id);
    });
    Ok(())
}

fn read_frame(from: &mut TcpStream, frame: &mut Vec<u8>) -> io::Result<()> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    assert!(length <= FRAME_BYTES_MAX, "a frame of {length} bytes: is this Kafka's protocol?");
    frame.resize(length, 0);
    from.read_exact(frame)
}
