//! An OpenTelemetry Collector that writes what it hears into a file.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const STARTS_MAX: usize = 5;
/// How long it may take to start or to end.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A collector that runs.
pub(crate) struct Collector {
    child: Child,
    ports: [u16; 2],
    folder: TempDir,
}

/// What a collector heard: one document per export.
pub(crate) struct Heard(Vec<Value>);

// === impl Collector ===

impl Collector {
    /// `None`, with a line that says so, where there is none and none is required. `tests/deploy/tools`
    /// builds it.
    pub(crate) fn start() -> Option<Self> {
        let program = folder_of_tools().join("bin/collector");
        if !program.is_file() {
            let required = std::env::var_os("CROSSRANK_REQUIRE_TOOLS").is_some();
            assert!(!required, "CROSSRANK_REQUIRE_TOOLS is set; run tests/deploy/tools");
            crate::kafka::skipped("there is no collector; tests/deploy/tools builds one");
            return None;
        }
        // Another process may have taken a port between the look for it and the use of it.
        let mut log = String::new();
        for _ in 0..STARTS_MAX {
            match Self::started(&program) {
                Ok(collector) => return Some(collector),
                Err(its) => log = its,
            }
        }
        panic!("no collector starts:\n{log}");
    }

    /// Where it ended at once, what it said.
    fn started(program: &Path) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let ports = free_ports();
        let config = folder.path().join("config.yaml");
        let heard = folder.path().join("heard.jsonl");
        fs::write(&config, configuration(ports, &heard.display().to_string())).unwrap();
        let child = Command::new(program)
            .args(["--config".as_ref(), config.as_os_str()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut collector = Self { child, ports, folder };
        let listens = |port: &u16| TcpStream::connect(("127.0.0.1", *port)).is_ok();
        let mut has_ended = false;
        collector.wait("the collector to listen", |child| {
            has_ended = child.try_wait().unwrap().is_some();
            has_ended || ports.iter().all(listens)
        });
        // It may also be somebody else who listens.
        has_ended |= collector.child.try_wait().unwrap().is_some();
        if has_ended { Err(collector.log()) } else { Ok(collector) }
    }

    /// Waits until it has heard something of this kind.
    pub(crate) fn wait_for(&mut self, kind: &str) {
        let file = self.folder.path().join("heard.jsonl");
        let heard = |_: &mut Child| fs::read_to_string(&file).is_ok_and(|text| text.contains(kind));
        self.wait(kind, heard);
    }

    /// Where it takes OTLP over gRPC.
    pub(crate) fn grpc(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// Where it takes OTLP over HTTP.
    pub(crate) fn http(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[1])
    }

    /// SIGKILL: exports are refused from here on.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it, and tells what it heard.
    pub(crate) fn heard(mut self) -> Heard {
        let line = format!("kill -TERM {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
        self.wait("the collector to end", |child| child.try_wait().unwrap().is_some());
        let lines = fs::read_to_string(self.folder.path().join("heard.jsonl")).unwrap();
        Heard(lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn wait(&mut self, what: &str, mut condition: impl FnMut(&mut Child) -> bool) {
        let deadline = Instant::now() + WAIT_MAX;
        while !condition(&mut self.child) {
            assert!(Instant::now() < deadline, "waited in vain for {what}:\n{}", self.log());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // A failed test leaves no process behind; one that has ended cannot be killed.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

// === impl Heard ===

impl Heard {
    /// Every span, metric or log record, by the names that OTLP gives to their nesting.
    pub(crate) fn all(&self, resources: &str, scopes: &str, items: &str) -> Vec<&Value> {
        let mut all = Vec::new();
        for resource in self.0.iter().flat_map(|document| each(document, resources)) {
            let attributes = &resource["resource"]["attributes"];
            assert_eq!(attribute(attributes, "service.name"), "crossrank");
            for scope in each(resource, scopes) {
                all.extend(each(scope, items));
            }
        }
        all
    }

    pub(crate) fn spans(&self) -> Vec<&Value> {
        self.all("resourceSpans", "scopeSpans", "spans")
    }

    pub(crate) fn metrics(&self) -> Vec<&Value> {
        self.all("resourceMetrics", "scopeMetrics", "metrics")
    }

    pub(crate) fn logs(&self) -> Vec<&Value> {
        self.all("resourceLogs", "scopeLogs", "logRecords")
    }
}

/// The value of an attribute, as OTLP writes it in JSON: whole numbers are text.
pub(crate) fn attribute<'a>(attributes: &'a Value, key: &str) -> &'a str {
    let found = attributes.as_array().and_then(|all| all.iter().find(|one| one["key"] == key));
    let value = found.map_or(&Value::Null, |one| &one["value"]);
    value["stringValue"].as_str().or(value["intValue"].as_str()).unwrap_or_default()
}

fn each<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// As `tests/deploy/tools` chooses it.
fn folder_of_tools() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home = || variable("HOME").unwrap_or_else(|| "/tmp".into()).join(".cache");
    let cache = || variable("XDG_CACHE_HOME").unwrap_or_else(home).join("crossrank-tools");
    variable("CROSSRANK_TOOLS").unwrap_or_else(cache)
}

/// Ports that nobody has now.
fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn configuration([grpc, http]: [u16; 2], heard: &str) -> String {
    let pipeline = "{receivers: [otlp], exporters: [file]}";
    format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{grpc}'}}, http: {{endpoint: '127.0.0.1:{http}'}}}}}}}}\n\
         exporters: {{file: {{path: '{heard}', flush_interval: 200ms}}}}\n\
         service:\n  \
           telemetry: {{metrics: {{level: none}}}}\n  \
           pipelines: {{traces: {pipeline}, metrics: {pipeline}, logs: {pipeline}}}\n"
    )
}
