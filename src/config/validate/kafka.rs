use std::path::Path;
use std::time::Duration;

use super::Check;
use crate::config::raw::{self, Mechanism};
use crate::kafka::{Credentials, Delivery, GroupProtocol, Sasl, Secret, Security, Settings};

const USERNAME: &str = "kafka.security.sasl.username";
const PASSWORD: &str = "kafka.security.sasl.password";
const PASSWORD_FILE: &str = "kafka.security.sasl.password_file";
const TOKEN_FILE: &str = "kafka.security.sasl.token_file";
const MECHANISM: &str = "kafka.security.sasl.mechanism";
const RECONNECT_BACKOFF: &str = "reconnect.backoff.max.ms";

pub(super) fn checked(check: &mut Check<'_>) -> Option<Settings> {
    let kafka = &check.raw.values.kafka;
    let brokers = match &kafka.brokers {
        Some(list) => Some(brokers(check, list)),
        None => {
            check.missing("kafka.brokers", "host:port, comma separated", None);
            None
        }
    };
    let group_protocol = match kafka.group_protocol {
        raw::GroupProtocol::Classic => GroupProtocol::Classic,
        raw::GroupProtocol::Consumer => GroupProtocol::Consumer,
    };
    timeouts(check, group_protocol);
    let delivery = delivery(check);
    reconnecting(check);
    let kafka = &check.raw.values.kafka;
    let session = kafka.session_timeout_ms;
    let drain = kafka.drain_timeout_ms;
    let security = security(check);
    Some(Settings {
        brokers: brokers?,
        group: kafka.group.clone(),
        input_topic: kafka.input_topic.clone(),
        security: security?,
        group_protocol,
        instance_id: kafka.instance_id.clone(),
        session_timeout: Duration::from_millis(session),
        drain_timeout: Duration::from_millis(drain),
        rebalance_timeout: Duration::from_millis(kafka.rebalance_timeout_ms),
        commit_interval: Duration::from_millis(kafka.commit_interval_ms),
        uncommitted_max: kafka.uncommitted_max,
        keep_completed: kafka.keep_completed,
        delivery,
        transaction_interval: Duration::from_millis(kafka.transaction_interval_ms),
        transaction_records: kafka.transaction_records,
        transaction_timeout: Duration::from_millis(kafka.transaction_timeout_ms),
        delivery_timeout: Duration::from_millis(kafka.delivery_timeout_ms),
        watchdog_timeout: Duration::from_millis(kafka.watchdog_timeout_ms),
        prefetch_bytes: kafka.prefetch_bytes,
        record_bytes_max: kafka.record_bytes_max,
        startup_timeout: Duration::from_millis(kafka.startup_timeout_ms),
        client: kafka.client.clone(),
    })
}

/// A member that drains for longer than the group waits is put out of it, and its work done again.
fn timeouts(check: &mut Check<'_>, group_protocol: GroupProtocol) {
    let kafka = &check.raw.values.kafka;
    let (drain, session, rebalance) =
        (kafka.drain_timeout_ms, kafka.session_timeout_ms, kafka.rebalance_timeout_ms);
    check.relation(
        drain < rebalance,
        &["kafka.drain_timeout_ms", "kafka.rebalance_timeout_ms"],
        format!("{drain} is not less than kafka.rebalance_timeout_ms, {rebalance}"),
        "set it to half of kafka.session_timeout_ms or so",
    );
    if group_protocol == GroupProtocol::Consumer {
        let wrong = "has no effect with kafka.group_protocol = \"consumer\"".to_owned();
        let remedy =
            "remove it, and set group.consumer.session.timeout.ms of the brokers or the group";
        let keys = ["kafka.session_timeout_ms", "kafka.group_protocol"];
        check.relation(!check.is_given("kafka.session_timeout_ms"), &keys, wrong, remedy);
        return;
    }
    check.relation(
        drain < session || drain >= rebalance,
        &["kafka.drain_timeout_ms", "kafka.session_timeout_ms"],
        format!("{drain} is not less than kafka.session_timeout_ms, {session}"),
        "set it to half of kafka.session_timeout_ms or so",
    );
    check.relation(
        session <= rebalance,
        &["kafka.session_timeout_ms", "kafka.rebalance_timeout_ms"],
        format!("{session} is more than kafka.rebalance_timeout_ms, {rebalance}"),
        "lower it, or raise kafka.rebalance_timeout_ms",
    );
}

/// Each way of delivery has keys of its own; those of the other one do nothing.
fn delivery(check: &mut Check<'_>) -> Delivery {
    let kafka = &check.raw.values.kafka;
    let (interval, timeout) = (kafka.transaction_interval_ms, kafka.transaction_timeout_ms);
    let (records, sets) = (kafka.transaction_records, check.raw.values.worker.sets_max);
    let keeps_completed = kafka.keep_completed;
    let (delivery, name, idle): (_, _, &[&str]) = match kafka.delivery {
        raw::Delivery::AtLeastOnce => (
            Delivery::AtLeastOnce,
            "at-least-once",
            &[
                "kafka.transaction_interval_ms",
                "kafka.transaction_records",
                "kafka.transaction_timeout_ms",
            ],
        ),
        raw::Delivery::ExactlyOnce => {
            (Delivery::ExactlyOnce, "exactly-once", &["kafka.commit_interval_ms"])
        }
    };
    for key in idle {
        let wrong = format!("has no effect with kafka.delivery = \"{name}\"");
        check.relation(!check.is_given(key), &[key, "kafka.delivery"], wrong, "remove it");
    }
    if delivery == Delivery::AtLeastOnce {
        return delivery;
    }
    const KEEP: &str = "kafka.keep_completed";
    check.relation(
        !(keeps_completed && check.is_given(KEEP)),
        &[KEEP, "kafka.delivery"],
        "has no effect with kafka.delivery = \"exactly-once\"".to_owned(),
        "remove it: nothing above a commit has been published",
    );
    check.relation(
        interval < timeout,
        &["kafka.transaction_interval_ms", "kafka.transaction_timeout_ms"],
        format!("{interval} is not less than kafka.transaction_timeout_ms, {timeout}"),
        "set it to 100 or so",
    );
    check.relation(
        records <= sets || !check.is_given("kafka.transaction_records"),
        &["kafka.transaction_records", "worker.sets_max"],
        format!("{records} is more than worker.sets_max, {sets}, so that many never wait"),
        "lower it, or raise worker.sets_max",
    );
    delivery
}

/// A client that waits longer between two tries than the watchdog waits for it would be replaced for it.
fn reconnecting(check: &mut Check<'_>) {
    let kafka = &check.raw.values.kafka;
    let Some(backoff) = kafka.client.get(RECONNECT_BACKOFF) else { return };
    // What is no number is refused as such, by librdkafka.
    let Ok(backoff) = backoff.parse::<u64>() else { return };
    let watchdog = kafka.watchdog_timeout_ms;
    check.relation(
        backoff <= watchdog / 2,
        &["kafka.watchdog_timeout_ms", "kafka.client.reconnect.backoff.max.ms"],
        format!("{watchdog} is less than twice kafka.client.{RECONNECT_BACKOFF}, {backoff}"),
        "raise it, or lower the back-off: a client that waits to connect again is not stuck",
    );
}

/// The list without spaces.
fn brokers(check: &mut Check<'_>, list: &str) -> String {
    let brokers: Vec<&str> = list.split(',').map(str::trim).collect();
    for broker in brokers.iter().filter(|broker| !is_host_and_port(broker)) {
        let remedy = "write host:port, comma separated, such as kafka-1:9092,kafka-2:9092";
        // A URL may carry a password.
        let shown = if broker.contains('@') { "…@…" } else { broker };
        check.problem("kafka.brokers", format!("{shown:?} is not host:port"), remedy);
    }
    brokers.join(",")
}

fn is_host_and_port(broker: &str) -> bool {
    broker.rsplit_once(':').is_some_and(|(host, port)| {
        let bracketed = host.starts_with('[') && host.ends_with(']');
        !host.is_empty()
            && (bracketed || !host.contains(':'))
            && !host.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '@'))
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

fn security(check: &mut Check<'_>) -> Option<Security> {
    let raw::Security { tls, ca_file, certificate_file, key_file, .. } =
        &check.raw.values.kafka.security;
    let files = [
        ("kafka.security.ca_file", ca_file),
        ("kafka.security.certificate_file", certificate_file),
        ("kafka.security.key_file", key_file),
    ];
    for (key, file) in files {
        let Some(file) = file else { continue };
        check.readable(key, Path::new(file));
        let wrong = "has no effect while kafka.security.tls is false".to_owned();
        check.relation(*tls, &[key, "kafka.security.tls"], wrong, "set kafka.security.tls = true");
    }
    match (certificate_file, key_file) {
        (Some(_), None) => check.missing("kafka.security.key_file", "the certificate's key", None),
        (None, Some(_)) => {
            check.missing("kafka.security.certificate_file", "the key's certificate", None);
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    let sasl = sasl(check);
    if let (false, Some(what)) = (*tls, sasl.as_ref().and_then(exposed)) {
        check.warnings.push(format!(
            "kafka.security.tls is false: {what} travels in clear text to anyone on the network"
        ));
    }
    let failed = check.raw.values.kafka.security.sasl.mechanism.is_some() && sasl.is_none();
    (!failed).then(|| Security {
        tls: *tls,
        ca_file: ca_file.clone(),
        certificate_file: certificate_file.clone(),
        key_file: key_file.clone(),
        sasl,
    })
}

/// What this mechanism sends as it is. SCRAM sends proofs, which do not give the password away.
fn exposed(sasl: &Sasl) -> Option<&'static str> {
    match sasl {
        Sasl::Plain(_) => Some("the SASL password"),
        Sasl::OauthBearer { .. } => Some("the OAuth token"),
        Sasl::ScramSha256(_) | Sasl::ScramSha512(_) => None,
    }
}

fn sasl(check: &mut Check<'_>) -> Option<Sasl> {
    let sasl = &check.raw.values.kafka.security.sasl;
    let Some(mechanism) = sasl.mechanism else {
        let keys = [USERNAME, PASSWORD, PASSWORD_FILE, TOKEN_FILE];
        unused(
            check,
            &keys,
            "no mechanism is set",
            "remove it, or set kafka.security.sasl.mechanism",
        );
        return None;
    };
    match mechanism {
        Mechanism::Plain => credentials(check).map(Sasl::Plain),
        Mechanism::ScramSha256 => credentials(check).map(Sasl::ScramSha256),
        Mechanism::ScramSha512 => credentials(check).map(Sasl::ScramSha512),
        Mechanism::OauthBearer => {
            let keys = [USERNAME, PASSWORD, PASSWORD_FILE];
            let remedy = "remove it, or set the mechanism to plain, scram-sha-256 or scram-sha-512";
            unused(check, &keys, "the mechanism is oauthbearer", remedy);
            match &sasl.token_file {
                Some(file) => check.readable(TOKEN_FILE, Path::new(file)),
                None => check.missing(TOKEN_FILE, "a file with the token", None),
            }
            sasl.token_file.clone().map(|token_file| Sasl::OauthBearer { token_file })
        }
    }
}

/// Records the keys that are set though nothing reads them.
fn unused(check: &mut Check<'_>, keys: &[&str], why: &str, remedy: &str) {
    for key in keys {
        if check.raw.settings.contains_key(*key) {
            let wrong = format!("has no effect: {why}");
            check.relation(false, &[key, MECHANISM], wrong, remedy);
        }
    }
}

fn credentials(check: &mut Check<'_>) -> Option<Credentials> {
    let remedy = "remove it, or set the mechanism to oauthbearer";
    unused(check, &[TOKEN_FILE], "only oauthbearer takes a token", remedy);
    let sasl = &check.raw.values.kafka.security.sasl;
    if sasl.username.is_none() {
        check.missing(USERNAME, "the user", None);
    }
    let password = match (&sasl.password, &sasl.password_file) {
        (Some(_), Some(_)) => {
            let wrong = format!("is set beside {PASSWORD}");
            check.problem(PASSWORD_FILE, wrong, "keep one of them");
            None
        }
        (Some(password), None) => Some(password.clone()),
        (None, Some(file)) => {
            check.first_line(PASSWORD_FILE, Path::new(file), "password").map(Secret)
        }
        (None, None) => {
            if check.sound(&[PASSWORD_FILE]) {
                check.missing(PASSWORD, "the password", Some(PASSWORD_FILE));
            }
            None
        }
    };
    Some(Credentials { username: sasl.username.clone()?, password: password? })
}
