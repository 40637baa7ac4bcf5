//! Who may import whom, held over the sources of both packages.
//!
//! Paths are read from the code itself, comments and literals left out. What a macro of another
//! crate expands to, and glob re-exports, are not followed.

mod scan;

use std::path::{Path, PathBuf};

use scan::{Import, imports};

/// Our rooms, and the rooms that each may name.
const ROOMS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("rank", &[]),
    ("context", &[]),
    ("evaluation", &[]),
    ("stream", &[]),
    ("telemetry", &[]),
    ("engine", &["telemetry"]),
    ("hub", &["engine"]),
    ("kafka", &["stream", "telemetry"]),
    ("worker", &["wire", "rank", "context", "stream", "engine", "telemetry"]),
    (
        "config",
        &[
            "wire",
            "rank",
            "context",
            "stream",
            "engine",
            "hub",
            "kafka",
            "worker",
            "telemetry",
            "admin",
        ],
    ),
    ("admin", &["telemetry"]),
    ("cli", &ALL),
    // How an error is told, which every room may use.
    (ERROR_TEXT, &[]),
    // The model package is one room; the package edge keeps ours out of it.
    ("model", &[]),
    // src/main.rs and src/lib.rs.
    ("", &ALL),
];
const ERROR_TEXT: &str = "error_text";
const ALL: [&str; 13] = [
    "wire",
    "rank",
    "context",
    "evaluation",
    "stream",
    "telemetry",
    "engine",
    "hub",
    "kafka",
    "worker",
    "config",
    "admin",
    "cli",
];

/// Crates that only some rooms, or one module of a room, may name, outside their tests. `a::b` on
/// the left allows a part of `a`.
const CRATES: &[(&str, &[&str])] = &[
    ("rdkafka", &["kafka"]),
    ("rdkafka_sys", &["kafka"]),
    ("burn", &["model"]),
    ("tokenizers", &["model"]),
    ("safetensors", &["model"]),
    ("crossrank_model", &["engine", "cli"]),
    // The broker in memory waits as a real one does; the words of the stream only pass messages.
    ("tokio", &["engine", "kafka", "worker", "admin", "cli", "stream::local", ""]),
    ("tokio::sync", &["stream"]),
    // Of a record Kafka knows bytes. The claims of an OAuth token and librdkafka's statistics are JSON.
    (
        "serde_json",
        &[
            "wire",
            "worker",
            "telemetry",
            "admin",
            "config",
            "cli",
            "hub",
            "kafka::oauth",
            "kafka::statistics",
            "model",
        ],
    ),
    ("config", &["config"]),
    ("toml", &["config"]),
    ("minijinja", &["context", "cli::eval::html"]),
    ("plotters", &["cli::eval::html"]),
    ("tracing_subscriber", &["telemetry"]),
    ("indicatif", &["telemetry", "cli"]),
    ("clap", &["cli", ""]),
    ("flate2", &["cli"]),
    ("fs4", &["hub"]),
    ("ureq", &["hub", "telemetry::http", "telemetry::otlp", "cli::probe", "cli::error"]),
    ("hyper", &["admin"]),
    ("hyper_util", &["admin"]),
    ("http_body_util", &["admin"]),
    ("tokio_io_timeout", &["admin"]),
    ("subtle", &["admin"]),
    ("opentelemetry", &["telemetry"]),
    ("opentelemetry_sdk", &["telemetry", "engine::dispatcher_span_tests"]),
    ("opentelemetry_appender_tracing", &["telemetry::logs"]),
    ("opentelemetry_http", &["telemetry::http"]),
    ("opentelemetry_otlp", &["telemetry::otlp"]),
    ("opentelemetry_prometheus", &["telemetry::prometheus"]),
    ("prometheus", &["telemetry::prometheus"]),
    ("anyhow", &[""]),
];

/// What a file names that its room may not.
fn violations(room: &str, file: &str, module: &[String], source: &str) -> Vec<String> {
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        return vec![format!("{file}: room {room:?} has no rule; add one to ROOMS")];
    };
    let module_path = module.join("::");
    let here = |place: &&str| {
        *place == room || module_path == *place || module_path.starts_with(&format!("{place}::"))
    };
    let mut found = Vec::new();
    for import in imports(module, source) {
        match import {
            Import::Room { name, line } => {
                let own = name == room || name == ERROR_TEXT || room == "model";
                if !own && !allowed.contains(&name.as_str()) {
                    found.push(format!("{file}:{line}: {room} may not name room {name}"));
                }
            }
            Import::Crate { path, line, in_tests } => {
                let rules: Vec<_> = CRATES
                    .iter()
                    .filter(|(name, _)| name.split("::").next() == path.first().map(String::as_str))
                    .collect();
                let path = path.join("::");
                let covers = |name: &str| path == name || path.starts_with(&format!("{name}::"));
                let may =
                    rules.iter().any(|(name, places)| covers(name) && places.iter().any(here));
                if !rules.is_empty() && !may && !in_tests {
                    found.push(format!("{file}:{line}: {room} may not name crate {path}"));
                }
            }
        }
    }
    found
}

/// Room and module path of a source file, from its path below `src`.
fn place(relative: &Path) -> (String, Vec<String>) {
    let mut module: Vec<String> = relative
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_str().expect("source files have plain names").to_owned())
        .collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    (module.first().cloned().unwrap_or_default(), module)
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_file_names_only_what_its_room_may() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut rooms_seen = Vec::new();
    for (folder, fixed_room) in [("src", None), ("model/src", Some("model"))] {
        let folder = root.join(folder);
        let mut files = Vec::new();
        sources(&folder, &mut files);
        for file in files {
            let (room, module) = place(file.strip_prefix(&folder).unwrap());
            let room = fixed_room.map_or(room, str::to_owned);
            let shown = file.strip_prefix(root).unwrap().display().to_string();
            let source = std::fs::read_to_string(&file).unwrap();
            found.extend(violations(&room, &shown, &module, &source));
            rooms_seen.push(room);
        }
    }
    for (room, _) in ROOMS {
        assert!(rooms_seen.iter().any(|seen| seen == room), "no file of room {room:?} was read");
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// Negative control: what the check above must not miss.
#[test]
fn offending_sources_are_reported() {
    let cases = [
        ("wire/codec.rs", "use crate::kafka::Settings;", "room kafka"),
        ("wire/codec.rs", "use crate::{wire, worker::{self, Settings}};", "room worker"),
        ("wire/codec.rs", "fn f() -> crate::engine::Settings { todo() }", "room engine"),
        ("wire/codec.rs", "use super::super::stream::Record;", "room stream"),
        ("wire/mod.rs", "mod a { use super::super::stream::Record; }", "room stream"),
        ("rank.rs", "use super::wire;", "room wire"),
        ("rank.rs", "use crate::*;", "room *"),
        ("rank.rs", "use crate as c;", "room *"),
        ("worker/run.rs", "let c: crate::kafka::Client;", "room kafka"),
        ("stream/ack.rs", "pub(crate) fn f(x: crossrank::cli::X) {}", "room cli"),
        ("worker/run.rs", "use rdkafka::consumer::Consumer;", "crate rdkafka::consumer"),
        ("worker/run.rs", "use {bytes::Bytes, ::rdkafka::error};", "crate rdkafka::error"),
        ("engine/run.rs", "let t = burn::tensor::Tensor::<2>::zeros();", "crate burn::tensor"),
        (
            "kafka/poll.rs",
            "/* \" */ let v = serde_json::from_str(x);",
            "crate serde_json::from_str",
        ),
        ("kafka/oauth_file.rs", "use serde_json::Value;", "crate serde_json::Value"),
        ("stream/source.rs", "tokio::spawn(f);", "crate tokio::spawn"),
        (
            "wire/codec.rs",
            "#[derive(toml::X)] struct A<'a>(&'a str); use tokio as t;",
            "crate tokio",
        ),
        ("cli/run.rs", "fn f() -> anyhow::Result<()> {}", "crate anyhow::Result"),
        ("worker/task.rs", "use opentelemetry::trace::Tracer;", "crate opentelemetry::trace"),
        ("rank.rs", "use crate::telemetry::Counts;", "room telemetry"),
        ("attic/mod.rs", "", "has no rule"),
    ];
    for (file, source, expected) in cases {
        let (room, module) = place(Path::new(file));
        let found = violations(&room, file, &module, source);
        assert!(found.iter().any(|one| one.contains(expected)), "{file}: {source}: {found:?}");
    }
}

#[test]
fn sound_sources_are_not_reported() {
    let cases = [
        ("wire/codec.rs", "// crate::kafka\n/* rdkafka::x /* nested */ crate::cli */ fn f() {}"),
        (
            "wire/codec.rs",
            r##"const A: &str = "crate::kafka \" crate::cli"; const B: &str = r#"" crate::cli"#;"##,
        ),
        ("wire/codec.rs", "const Q: char = '\"'; fn f<'a>(x: &'a str) -> super::Limits {}"),
        ("wire/codec.rs", "use crate::wire::Limits; pub(crate) struct A; pub(super) struct B;"),
        ("wire/mod.rs", "mod tests { use super::*; #[tokio::test] async fn f() {} }"),
        ("stream/sink.rs", "use tokio::sync::{mpsc, oneshot};"),
        ("stream/local/sink.rs", "use tokio::time::Instant;"),
        ("engine/mod.rs", "mod config; fn f() { config::read(); x.tokio::<u8>() }"),
        ("kafka/mod.rs", "use rdkafka::Message; use crate::{stream, telemetry::Counts};"),
        ("main.rs", "use anyhow::Context; use crossrank::cli;"),
    ];
    for (file, source) in cases {
        let (room, module) = place(Path::new(file));
        assert_eq!(violations(&room, file, &module, source), [""; 0], "{source}");
    }
}
