use super::{COMPLETE, Given};
use crate::config::keys::{CLIENT, KEYS, Kind, variable};
use crate::config::load::Raw;
use crate::kafka;

/// A value of this key that is neither its default nor that of [`base`].
fn other(key: &str, kind: Kind, raw: &Raw) -> String {
    match (key, kind) {
        ("kafka.brokers", _) => "other:9092".to_owned(),
        ("model.path", _) => "src".to_owned(),
        ("model.sha256", _) => "0f".repeat(32),
        ("model.expected", _) => "deny.toml".to_owned(),
        (key, _) if key.ends_with("_file") || key.ends_with("tokenizer") => "deny.toml".to_owned(),
        ("context.template", _) => "{{ id }}".to_owned(),
        ("log.filter", _) => "debug".to_owned(),
        ("admin.address", _) => "127.0.0.1:9465".to_owned(),
        ("admin.token", _) => "0123456789abcdef".to_owned(),
        (_, Kind::Text | Kind::Verbatim | Kind::Label | Kind::Secret) => "other".to_owned(),
        (_, Kind::Toggle) => {
            let on =
                raw.settings.get(key).is_some_and(|setting| setting.shown.to_string() == "true");
            (!on).to_string()
        }
        // Below any default, and sound beside all of them.
        ("kafka.record_bytes_max", _) => "8388607".to_owned(),
        ("kafka.session_timeout_ms", _) => "45001".to_owned(),
        ("kafka.rebalance_timeout_ms", _) => "300001".to_owned(),
        ("model.tokens_max", _) => "511".to_owned(),
        ("limits.candidates_refused_above", _) => "10001".to_owned(),
        ("worker.retry_wait_max_ms", _) => "30001".to_owned(),
        (_, Kind::Whole(min, _)) => (min + 1).to_string(),
        (_, Kind::Fraction) => "0.25".to_owned(),
        (_, Kind::Choice(words)) => (*words.last().unwrap()).to_owned(),
    }
}

/// What a key needs beside it to be of use.
fn base(key: &str) -> Given {
    let given = Given::default().file(COMPLETE);
    match key {
        "model.revision" => given.flag("model.id", "owner/model"),
        "kafka.security.ca_file" => given.flag("kafka.security.tls", "true"),
        "kafka.security.certificate_file" | "kafka.security.key_file" => given
            .flag("kafka.security.tls", "true")
            .flag("kafka.security.certificate_file", "Cargo.toml")
            .flag("kafka.security.key_file", "Cargo.toml"),
        "kafka.security.sasl.token_file" | "kafka.security.sasl.mechanism" => given
            .flag("kafka.security.sasl.mechanism", "oauthbearer")
            .flag("kafka.security.sasl.token_file", "Cargo.toml"),
        "kafka.security.sasl.username" | "kafka.security.sasl.password" => given
            .flag("kafka.security.sasl.mechanism", "plain")
            .flag("kafka.security.sasl.username", "u")
            .flag("kafka.security.sasl.password", "p"),
        "kafka.security.sasl.password_file" => given
            .flag("kafka.security.sasl.mechanism", "plain")
            .flag("kafka.security.sasl.username", "u")
            .flag("kafka.security.sasl.password_file", "Cargo.toml"),
        "kafka.transaction_interval_ms"
        | "kafka.transaction_records"
        | "kafka.transaction_timeout_ms" => {
            given.flag("kafka.delivery", "exactly-once").flag("worker.sets_max", "100000")
        }
        "model.window_overlap_tokens" | "model.windows_max" => {
            given.flag("model.long_passages", "best-window")
        }
        _ => given,
    }
}

/// All fields, also those that are not printed.
fn all_fields(given: &Given) -> String {
    let config = given.worker();
    let password = match &config.kafka.security.sasl {
        Some(kafka::Sasl::Plain(credentials)) => credentials.password.0.clone(),
        _ => String::new(),
    };
    let kafka::Settings {
        session_timeout,
        drain_timeout,
        rebalance_timeout,
        commit_interval,
        uncommitted_max,
        keep_completed,
        group_protocol,
        instance_id,
        delivery,
        transaction_interval,
        transaction_records,
        transaction_timeout,
        delivery_timeout,
        watchdog_timeout,
        startup_timeout,
        prefetch_bytes,
        record_bytes_max,
        client,
        brokers: _,
        group: _,
        input_topic: _,
        security: _,
    } = &config.kafka;
    let times = [
        session_timeout,
        drain_timeout,
        rebalance_timeout,
        commit_interval,
        transaction_interval,
        transaction_timeout,
        delivery_timeout,
        watchdog_timeout,
        startup_timeout,
    ];
    let group = (group_protocol, instance_id, uncommitted_max, keep_completed);
    let delivery = (delivery, transaction_records);
    let bytes = [prefetch_bytes, record_bytes_max];
    format!("{config:?} {password} {times:?} {bytes:?} {client:?} {group:?} {delivery:?}")
}

#[test]
fn every_key_ends_up_in_a_field() {
    for key in KEYS {
        let without = base(key.name);
        let before = all_fields(&without);
        let with = match key.name {
            // Its other values need other companions.
            "kafka.security.sasl.mechanism" => base("kafka.security.sasl.username"),
            "admin.token_file" => {
                let mut with = without;
                let path = with.in_folder("token", "0123456789abcdef");
                with.flag("admin.token_file", path.to_str().unwrap())
            }
            name => {
                let value = other(name, key.kind, &without.raw());
                without.flag(name, &value)
            }
        };
        assert_ne!(before, all_fields(&with), "{} changes nothing", key.name);
    }
}

#[test]
fn every_default_is_a_key_and_sound() {
    let raw = Given::default().raw();
    assert_eq!(raw.problems, []);
    for name in raw.settings.keys() {
        assert!(KEYS.iter().any(|key| key.name == name), "{name}");
    }
}

#[test]
fn every_key_is_explained_in_the_defaults() {
    let text = include_str!("../default.toml");
    for key in KEYS {
        let (section, name) = key.name.rsplit_once('.').unwrap();
        let below = text.split_once(&format!("[{section}]\n")).unwrap().1;
        let of_section = below.split("\n[").next().unwrap();
        assert!(of_section.contains(name), "{} is not in default.toml", key.name);
    }
    assert!(text.contains(&format!("[{CLIENT}]")));
}

#[test]
fn variables_of_keys_are_all_different() {
    let mut names: Vec<String> = KEYS.iter().map(|key| variable(key.name)).collect();
    assert_eq!(names[0], "CROSSRANK__KAFKA__BROKERS");
    names.sort();
    names.dedup();
    assert_eq!(names.len(), KEYS.len());
}
