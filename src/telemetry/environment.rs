//! The variables of the OpenTelemetry specification that its SDK for Rust leaves to us. All others, it
//! reads itself.

use std::time::Duration;

use super::otlp::OtlpError;

/// The specification's default.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Metrics,
    Logs,
}

/// How it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Grpc,
    Http,
}

/// The environment, by name of variable. Empty counts as unset, as the specification has it.
pub(super) struct Environment<F>(F);

// === impl Environment ===

impl Environment<fn(&str) -> Option<String>> {
    /// That of this process.
    pub(super) fn of_this_process() -> Self {
        Self(|name| std::env::var(name).ok())
    }
}

impl<F: Fn(&str) -> Option<String>> Environment<F> {
    /// Whether this signal goes to a collector: where the configuration says so, or an endpoint is named.
    pub(super) fn wants(&self, signal: Signal, otlp: bool) -> bool {
        let is_off = |name: &str, word: &str| {
            self.get(name).is_some_and(|value| value.eq_ignore_ascii_case(word))
        };
        if is_off("OTEL_SDK_DISABLED", "true") || is_off(signal.exporter(), "none") {
            return false;
        }
        otlp || self.of(signal, "ENDPOINT").is_some()
    }

    /// http/protobuf where nothing is said, as the specification has it.
    pub(super) fn protocol(&self, signal: Signal) -> Result<Protocol, OtlpError> {
        match self.of(signal, "PROTOCOL") {
            None => Ok(Protocol::Http),
            Some((_, value)) if value == "http/protobuf" => Ok(Protocol::Http),
            Some((_, value)) if value == "grpc" => Ok(Protocol::Grpc),
            Some((variable, value)) => Err(OtlpError::Protocol { variable, value }),
        }
    }

    /// Whether gRPC is encrypted: where the endpoint says https, or does not say and nothing speaks against it.
    pub(super) fn is_encrypted(&self, signal: Signal) -> bool {
        let is_insecure = |(_, value): (String, String)| value.eq_ignore_ascii_case("true");
        let Some((_, endpoint)) = self.of(signal, "ENDPOINT") else { return false };
        let plain = self.of(signal, "INSECURE").is_some_and(is_insecure);
        endpoint.starts_with("https://") || (!endpoint.contains("://") && !plain)
    }

    /// Of one request.
    pub(super) fn timeout(&self, signal: Signal) -> Duration {
        let given = self.of(signal, "TIMEOUT").and_then(|(_, value)| value.trim().parse().ok());
        given.map_or(TIMEOUT, Duration::from_millis)
    }

    /// A file with the authorities to trust, instead of the system's.
    pub(super) fn certificate(&self, signal: Signal) -> Option<(String, String)> {
        self.of(signal, "CERTIFICATE")
    }

    /// The signal's own variable, or the one for all, with its name.
    fn of(&self, signal: Signal, what: &str) -> Option<(String, String)> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.infix());
        let all = format!("OTEL_EXPORTER_OTLP_{what}");
        [own, all].into_iter().find_map(|name| self.get(&name).map(|value| (name, value)))
    }

    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }
}

// === impl Signal ===

impl Signal {
    fn infix(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }

    fn exporter(self) -> &'static str {
        match self {
            Self::Traces => "OTEL_TRACES_EXPORTER",
            Self::Metrics => "OTEL_METRICS_EXPORTER",
            Self::Logs => "OTEL_LOGS_EXPORTER",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Signal; 3] = [Signal::Traces, Signal::Metrics, Signal::Logs];

    fn environment(
        variables: &'static [(&'static str, &'static str)],
    ) -> Environment<impl Fn(&str) -> Option<String>> {
        let value = |name: &str| variables.iter().find(|(n, _)| *n == name);
        Environment(move |name: &str| value(name).map(|(_, value)| (*value).to_owned()))
    }

    fn wanted(variables: &'static [(&'static str, &'static str)], otlp: bool) -> [bool; 3] {
        ALL.map(|signal| environment(variables).wants(signal, otlp))
    }

    #[test]
    fn a_switch_or_an_endpoint_turns_signals_on() {
        assert_eq!(wanted(&[], false), [false; 3]);
        assert_eq!(wanted(&[], true), [true; 3]);
        assert_eq!(wanted(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318")], false), [true; 3]);
        assert_eq!(wanted(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")], false), [false; 3]);
        let traces = &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318/v1/traces")];
        assert_eq!(wanted(traces, false), [true, false, false]);
    }

    #[test]
    fn the_sdk_and_each_signal_can_be_turned_off() {
        assert_eq!(wanted(&[("OTEL_SDK_DISABLED", "True")], true), [false; 3]);
        assert_eq!(wanted(&[("OTEL_METRICS_EXPORTER", "none")], true), [true, false, true]);
        assert_eq!(wanted(&[("OTEL_LOGS_EXPORTER", "otlp")], true), [true; 3]);
    }

    #[test]
    fn the_variable_of_a_signal_wins_and_a_protocol_that_is_not_there_is_refused() {
        let variables = &[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json"),
        ];
        let environment = environment(variables);
        assert_eq!(environment.protocol(Signal::Traces).unwrap(), Protocol::Grpc);
        assert_eq!(environment.protocol(Signal::Logs).unwrap(), Protocol::Http);
        let refused = environment.protocol(Signal::Metrics).unwrap_err().to_string();
        assert!(refused.contains("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"), "{refused}");
    }

    #[test]
    fn grpc_is_encrypted_unless_the_endpoint_or_a_variable_says_otherwise() {
        let is_encrypted = |endpoint: &'static str, insecure: &'static str| {
            let value = move |name: &str| match name {
                "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.to_owned()),
                "OTEL_EXPORTER_OTLP_INSECURE" => Some(insecure.to_owned()),
                _other => None,
            };
            Environment(value).is_encrypted(Signal::Traces)
        };
        assert!(is_encrypted("https://c:4317", "true"), "a scheme wins");
        assert!(!is_encrypted("http://c:4317", ""));
        assert!(is_encrypted("c:4317", ""));
        assert!(!is_encrypted("c:4317", "true"));
        assert!(!is_encrypted("", ""), "the default is this machine");
    }

    #[test]
    fn a_timeout_is_read_in_milliseconds() {
        let given = environment(&[("OTEL_EXPORTER_OTLP_TIMEOUT", "2500")]);
        assert_eq!(given.timeout(Signal::Logs), Duration::from_millis(2500));
        assert_eq!(environment(&[]).timeout(Signal::Logs), TIMEOUT);
    }
}
