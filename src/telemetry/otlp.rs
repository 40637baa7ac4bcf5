//! Traces, metrics and logs to a collector, by OTLP over gRPC or HTTP.
//!
//! Exporters run on threads of the SDK. What they cannot deliver they drop: no caller ever waits.

use std::fs;
use std::io;

use opentelemetry::KeyValue;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, MetricExporter, SpanExporter, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{
    EnvResourceDetector, ResourceDetector, TelemetryResourceDetector,
};

use super::environment::{Environment, Protocol, Signal};
use super::http::Client;

/// Why telemetry could not be set up. What is not reachable yet is no reason.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// No such protocol.
    #[error("{variable} is {value:?}; write http/protobuf or grpc")]
    Protocol {
        /// The variable.
        variable: String,
        /// Its value.
        value: String,
    },
    /// The file with the authorities to trust cannot be read.
    #[error("{variable} names {file:?}, which cannot be read")]
    Certificate {
        /// The variable.
        variable: String,
        /// The file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// The file with the authorities to trust holds something else.
    #[error("{variable} names a file that holds no certificates in PEM")]
    Pem {
        /// The variable.
        variable: String,
        /// What the library says.
        source: Box<ureq::Error>,
    },
    /// A variable holds what the exporter cannot use: an endpoint that is no address, say.
    #[error("the exporter cannot be set up; look at the variables OTEL_EXPORTER_OTLP_*")]
    Exporter(#[source] ExporterBuildError),
}

/// What a signal is sent by.
pub(super) enum Transport {
    /// `None`: not encrypted.
    Grpc(Option<ClientTlsConfig>),
    Http(Client),
}

/// Who we are: of several workers on one machine too. The environment wins.
pub(super) fn resource() -> Resource {
    let from_environment = EnvResourceDetector::new().detect();
    let named = std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
    let instance = format!("{:016x}", fastrand::Rng::new().u64(..));
    let ours = [
        KeyValue::new("service.name", env!("CARGO_PKG_NAME")),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance),
    ];
    let theirs =
        from_environment.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(ours)
        .with_attributes(theirs)
        .with_attributes(named.map(|name| KeyValue::new("service.name", name)))
        .build()
}

/// How the environment wants `signal` to be sent; `None` where it is not.
pub(super) fn transport(signal: Signal, otlp: bool) -> Result<Option<Transport>, OtlpError> {
    let environment = Environment::of_this_process();
    if !environment.wants(signal, otlp) {
        return Ok(None);
    }
    let authorities = match environment.certificate(signal) {
        None => None,
        Some((variable, file)) => match fs::read(&file) {
            Ok(pem) => Some((variable, pem)),
            Err(source) => return Err(OtlpError::Certificate { variable, file, source }),
        },
    };
    let transport = match environment.protocol(signal)? {
        Protocol::Grpc => {
            // Only then: a system without authorities can do without encryption all the same.
            Transport::Grpc(environment.is_encrypted(signal).then(|| {
                let tls = ClientTlsConfig::new();
                match authorities {
                    None => tls.with_enabled_roots(),
                    Some((_, pem)) => tls.ca_certificate(Certificate::from_pem(pem)),
                }
            }))
        }
        Protocol::Http => {
            let (variable, pem) = authorities.unzip();
            let client = Client::new(environment.timeout(signal), pem.as_deref());
            let pem_error = |source| OtlpError::Pem {
                variable: variable.unwrap_or_default(),
                source: Box::new(source),
            };
            Transport::Http(client.map_err(pem_error)?)
        }
    };
    Ok(Some(transport))
}

pub(super) fn spans(transport: Transport) -> Result<SpanExporter, OtlpError> {
    let builder = SpanExporter::builder();
    let built = match transport {
        Transport::Grpc(None) => builder.with_tonic().build(),
        Transport::Grpc(Some(tls)) => builder.with_tonic().with_tls_config(tls).build(),
        Transport::Http(client) => builder.with_http().with_http_client(client).build(),
    };
    built.map_err(OtlpError::Exporter)
}

pub(super) fn metrics(transport: Transport) -> Result<MetricExporter, OtlpError> {
    let builder = MetricExporter::builder();
    let built = match transport {
        Transport::Grpc(None) => builder.with_tonic().build(),
        Transport::Grpc(Some(tls)) => builder.with_tonic().with_tls_config(tls).build(),
        Transport::Http(client) => builder.with_http().with_http_client(client).build(),
    };
    built.map_err(OtlpError::Exporter)
}

pub(super) fn logs(transport: Transport) -> Result<LogExporter, OtlpError> {
    let builder = LogExporter::builder();
    let built = match transport {
        Transport::Grpc(None) => builder.with_tonic().build(),
        Transport::Grpc(Some(tls)) => builder.with_tonic().with_tls_config(tls).build(),
        Transport::Http(client) => builder.with_http().with_http_client(client).build(),
    };
    built.map_err(OtlpError::Exporter)
}
