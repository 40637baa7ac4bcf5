use std::fmt;

use opentelemetry_prometheus::PrometheusExporter;
use opentelemetry_sdk::error::OTelSdkError;
use prometheus::{Registry, TextEncoder};

/// The metrics as Prometheus reads them. Collected when asked for; costs nothing until then.
#[derive(Clone)]
pub struct Prometheus(Registry);

/// The metrics could not be written as text.
#[derive(Debug, thiserror::Error)]
#[error("the metrics could not be written as text")]
pub struct ScrapeError(#[source] prometheus::Error);

// === impl Prometheus ===

impl Prometheus {
    /// The registry, and what a meter provider reads into it.
    ///
    /// # Errors
    /// The library's, none of which can be met with a registry of our own.
    pub fn new() -> Result<(Self, PrometheusExporter), OTelSdkError> {
        let registry = Registry::new();
        // One scope, so that its name would only make every series longer.
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()?;
        Ok((Self(registry), exporter))
    }

    /// All metrics as they are now, in the text format 0.0.4.
    ///
    /// # Errors
    /// Where the library cannot write them.
    pub fn text(&self) -> Result<String, ScrapeError> {
        TextEncoder::new().encode_to_string(&self.0.gather()).map_err(ScrapeError)
    }
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prometheus")
    }
}
