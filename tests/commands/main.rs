//! The command as a person or a script meets it, without Kafka.

mod bench;
#[cfg(feature = "bundled")]
mod bundled;
mod eval;
mod hub;
mod model;
mod probe;
mod rerank;
mod score;
#[path = "../support/hub.rs"]
mod server;
mod usage;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// The fixture that stands in for a model.
fn model() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("model/fixtures/tiny-bert")
}

/// `crossrank` with these arguments, and nothing of this process's own configuration. It reaches for no hub.
fn crossrank(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crossrank"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CROSSRANK_") || text.starts_with("HF_") {
            command.env_remove(name);
        }
    }
    command.env("HF_HUB_OFFLINE", "1");
    command.args(arguments);
    command
}

fn run(command: &mut Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A command that fails early does not read its input.
    let writer = std::thread::spawn(move || stdin.write_all(&input).is_ok());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn set(id: usize) -> String {
    let candidate =
        |n: usize| json!({"id": n.to_string(), "text": format!("text {n} of set {id}")});
    let candidates: Vec<_> = (0..id % 7).map(candidate).collect();
    json!({"request_id": id.to_string(), "query": "a query", "candidates": candidates}).to_string()
}
