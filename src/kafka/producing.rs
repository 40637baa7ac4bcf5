use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use rdkafka::producer::{BaseProducer, Producer, PurgeConfig};
use tracing::{debug, error, info, warn};

use super::client;
use super::context::{Context, Deliveries, Event};
use super::error::{Meaning, StartError, creation_error};
use super::outage::Outage;
use super::settings::Settings;
use super::watch::{Order, Watch};

/// How long the polling thread sleeps at most before it looks whether it should end.
const POLL_MAX: Duration = Duration::from_millis(100);
/// How long a producer that was replaced may take to report what became of its records.
const RETIRE_MAX: Duration = Duration::from_secs(10);

/// What the sink and the thread that owns its producer have in common.
pub(super) struct Shared {
    /// Replaced as a whole; held for as long as it takes to copy it.
    client: Mutex<Client>,
    /// Why there is no use in trying any more.
    pub(super) given_up: OnceLock<String>,
    pub(super) stop: AtomicBool,
}

/// The producer of the moment, and what it owes.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) producer: Weak<BaseProducer<Context>>,
    pub(super) deliveries: Arc<Deliveries>,
}

/// A producer, and what it says.
pub(super) struct NewProducer {
    pub(super) producer: Arc<BaseProducer<Context>>,
    pub(super) events: Receiver<Event>,
}

/// Serves the producer until the sink is gone. Dropping the producer, which may take half a second,
/// happens here too.
pub(super) struct ProduceThread {
    producer: Arc<BaseProducer<Context>>,
    events: Receiver<Event>,
    shared: Arc<Shared>,
    watch: Watch,
    outage: Outage,
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(new: &NewProducer) -> Self {
        let client = Mutex::new(Client::of(&new.producer));
        Self { client, given_up: OnceLock::new(), stop: AtomicBool::new(false) }
    }

    pub(super) fn client(&self) -> Client {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The client and a hold on its producer, to be let go of at once; `None` once the thread has ended.
    pub(super) fn hold(&self) -> Option<(Client, Arc<BaseProducer<Context>>)> {
        // Under the lock, so that it is not replaced, and then ended, in between.
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let producer = client.producer.upgrade()?;
        Some((client.clone(), producer))
    }
}

// === impl Client ===

impl Client {
    fn of(producer: &Arc<BaseProducer<Context>>) -> Self {
        let deliveries = Arc::clone(&producer.context().deliveries);
        Self { producer: Arc::downgrade(producer), deliveries }
    }
}

// === impl NewProducer ===

impl NewProducer {
    /// Reaches for nothing yet.
    pub(super) fn create(settings: &Settings) -> Result<Self, StartError> {
        let (context, events) = Context::new("producer", settings);
        let config = client::watched(client::producer(settings));
        let producer = config.create_with_context(context).map_err(creation_error)?;
        Ok(Self { producer: Arc::new(producer), events })
    }
}

// === impl ProduceThread ===

impl ProduceThread {
    pub(super) fn new(new: NewProducer, shared: Arc<Shared>, watch: Watch) -> Self {
        let NewProducer { producer, events } = new;
        Self { producer, events, shared, watch, outage: Outage::default() }
    }

    pub(super) fn run(mut self) {
        let mut delivered = 0;
        while !self.shared.stop.load(Ordering::Acquire) {
            self.watch.board().publisher.beat();
            self.producer.poll(POLL_MAX);
            self.take_events();
            self.watch.board().producer_alone.note(self.watch.lacks_broker());
            let seen = self.producer.context().deliveries.seen();
            // A new producer counts from zero.
            if seen.answered > delivered {
                self.outage.over("producer");
            }
            delivered = seen.answered;
            if self.shared.given_up.get().is_some() {
                continue;
            }
            match self.watch.look(seen) {
                None => {}
                Some(Order::Rebuild(sign)) => {
                    let made = NewProducer::create(self.watch.settings());
                    let made = made.map(|new| self.replace_with(new));
                    self.watch.rebuilt(sign, made);
                }
                Some(Order::GiveUp(reason)) => {
                    error!(reason, "the sink stops");
                    // In this order: what is given back is not tried again in vain.
                    let _first = self.shared.given_up.set(reason);
                    self.producer.purge(everything());
                }
            }
        }
    }

    fn take_events(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            let (code, reason) = match event {
                Event::Failed(code, reason) => (code, reason),
                Event::Statistics(heard) => {
                    self.watch.heard(heard);
                    continue;
                }
                Event::Assigned(_) | Event::Revoked(_) | Event::Committed(..) => continue,
            };
            match Meaning::of(code) {
                Meaning::Unreachable | Meaning::Dns | Meaning::Tls | Meaning::Credentials => {
                    self.outage.failed("producer", code, &reason);
                }
                Meaning::Transient
                | Meaning::TopicMissing
                | Meaning::TopicUnauthorized
                | Meaning::GroupUnauthorized
                | Meaning::RecordRefused
                | Meaning::Fatal => info!(%code, reason, "producer reports an error"),
            }
        }
    }

    /// What is in flight in the old producer fails as retryable, and is sent again through the new one:
    /// twice to the topic, where only the acknowledgement was lost.
    fn replace_with(&mut self, new: NewProducer) {
        let NewProducer { producer, events } = new;
        *self.shared.client.lock().unwrap_or_else(PoisonError::into_inner) = Client::of(&producer);
        self.events = events;
        let old = std::mem::replace(&mut self.producer, producer);
        let in_flight = old.context().deliveries.count();
        warn!(in_flight, "what was in flight is sent again");
        // Destroying a client has no time limit.
        let retiring = thread::Builder::new().name("kafka-retire".to_owned());
        if let Err(error) = retiring.spawn(move || retire(old)) {
            error!(%error, "cannot start a thread to end a producer that was replaced");
        }
    }
}

/// Ends a producer that was replaced. Everybody who waits for it is told.
fn retire(mut producer: Arc<BaseProducer<Context>>) {
    let deliveries = Arc::clone(&producer.context().deliveries);
    let until = Instant::now() + RETIRE_MAX;
    loop {
        // Again and again: who took hold of it before it was replaced may send through it still.
        producer.purge(everything());
        producer.poll(POLL_MAX);
        if deliveries.count() == 0 {
            match Arc::try_unwrap(producer) {
                Ok(last) => {
                    drop(last);
                    return debug!("a producer that was replaced has ended");
                }
                Err(shared) => producer = shared,
            }
        }
        if Instant::now() >= until && !deliveries.silent.send_replace(true) {
            let in_flight = deliveries.count();
            warn!(in_flight, "a producer that was replaced does not end");
        }
    }
}

/// Does not wait for the client's threads, one of which may be stuck.
fn everything() -> PurgeConfig {
    PurgeConfig::default().queue().inflight().non_blocking()
}
