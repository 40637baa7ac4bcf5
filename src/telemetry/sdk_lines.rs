//! What the libraries that carry telemetry say about themselves.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata};
use tracing_subscriber::layer::{Context, Filter};

/// How often one thing is told: a collector that is away is noticed with every batch.
const INTERVAL: Duration = Duration::from_secs(300);
/// The SDK.
const SDK: &str = "opentelemetry";
/// What the SDK sends by, and what comes through the `log` crate, as what the HTTP client says. Sent in
/// their turn, their lines would make more of themselves.
const CARRIERS: [&str; 7] = ["h2", "hyper", "hyper_util", "log", "rustls", "tonic", "tower"];

/// Lets each thing that the SDK says through now and then only. It has a name for each.
#[derive(Debug, Default)]
pub(super) struct Rarely(Mutex<HashMap<&'static str, Instant>>);

/// Whether a line may go to a collector.
pub(super) fn is_exported(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let name = target.split("::").next().unwrap_or(target);
    !target.starts_with(SDK) && !CARRIERS.contains(&name)
}

// === impl Rarely ===

impl Rarely {
    fn lets_through(&self, name: &'static str, now: Instant) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(name).is_some_and(|last| now.duration_since(*last) < INTERVAL) {
            return false;
        }
        told.insert(name, now);
        true
    }
}

impl<S> Filter<S> for Rarely {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    // Whether there is interest never changes, so that other lines are not asked about one by one.
    fn callsite_enabled(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::always()
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        !metadata.target().starts_with(SDK) || self.lets_through(metadata.name(), Instant::now())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::{Layer, SubscriberExt};
    use tracing_subscriber::registry::Registry;

    use super::*;

    /// Counts what reaches it.
    struct Heard(std::sync::Arc<Mutex<Vec<&'static str>>>);

    impl<S: tracing::Subscriber> Layer<S> for Heard {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            self.0.lock().unwrap().push(event.metadata().target());
        }
    }

    fn heard<F>(filter: F, log: impl Fn()) -> Vec<&'static str>
    where
        F: Filter<Registry> + Send + Sync + 'static,
    {
        let targets = std::sync::Arc::default();
        let layer = Heard(std::sync::Arc::clone(&targets)).with_filter(filter);
        tracing::subscriber::with_default(Registry::default().with(layer), log);
        targets.lock().unwrap().clone()
    }

    #[test]
    fn the_sdk_says_one_thing_once_and_everyone_else_what_they_like() {
        let targets = heard(Rarely::default(), || {
            for _ in 0..3 {
                tracing::warn!(target: "opentelemetry_sdk", "the collector is away");
                tracing::warn!(target: "crossrank::worker", "publishing is held up");
            }
            tracing::warn!(target: "opentelemetry_sdk", "spans are dropped");
        });
        let count = |target| targets.iter().filter(|one| **one == target).count();
        assert_eq!((count("opentelemetry_sdk"), count("crossrank::worker")), (2, 3));
    }

    #[test]
    fn the_same_thing_is_told_again_after_a_while() {
        let (rarely, began) = (Rarely::default(), Instant::now());
        assert!(rarely.lets_through("away", began));
        assert!(!rarely.lets_through("away", began + INTERVAL / 2));
        assert!(rarely.lets_through("away", began + INTERVAL));
    }

    #[test]
    fn lines_about_sending_are_not_sent() {
        let targets = heard(tracing_subscriber::filter::filter_fn(is_exported), || {
            tracing::warn!(target: "opentelemetry-otlp", "export failed");
            tracing::warn!(target: "hyper_util::client", "connection lost");
            tracing::warn!(target: "log", "handshake");
            tracing::warn!(target: "crossrank::kafka::client", "broker lost");
        });
        assert_eq!(targets, ["crossrank::kafka::client"]);
    }
}
