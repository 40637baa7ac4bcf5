//! A browser without a screen, and what it shows. It is told what to do over a pair of pipes
//! (`--remote-debugging-pipe`), so that nothing beside it is needed.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Milliseconds that a page may take to show something.
const SHOWN_MAX_MS: u32 = 60_000;

/// A browser with one page.
pub(crate) struct Browser {
    process: Child,
    calls: File,
    answers: BufReader<File>,
    session: Option<String>,
    number: u64,
    /// What the page complained of: exceptions, what its policy forbids.
    pub(crate) complaints: Vec<String>,
    _folder: TempDir,
}

// === impl Browser ===

impl Browser {
    /// `None`, with a line that says so, where there is none and none is required.
    pub(crate) fn start() -> Option<Self> {
        let runs = |name: &&str| {
            let output = Command::new(name).arg("--version").output();
            output.is_ok_and(|output| output.status.success())
        };
        let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(runs);
        let Some(program) = found else {
            let required = std::env::var_os("CROSSRANK_REQUIRE_CHROMIUM").is_some();
            assert!(!required, "CROSSRANK_REQUIRE_CHROMIUM is set, and there is no Chromium");
            // Past libtest's capture, which hides what passing tests print.
            std::io::stderr().write_all(b"skipped: there is no Chromium\n").unwrap();
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let [to, from] = ["to", "from"].map(|name| folder.path().join(name));
        assert!(Command::new("mkfifo").args([&to, &from]).status().unwrap().success());
        let profile = folder.path().join("profile");
        let process = Command::new("sh")
            .args(["-c", r#"exec "$0" "$@" 3<"$TO" 4>"$FROM""#, program])
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"])
            .arg("--hide-scrollbars")
            .arg(format!("--user-data-dir={}", profile.display()))
            .envs([("TO", &to), ("FROM", &from)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // In the order in which the shell opens them, each of which waits for the other end.
        let calls = OpenOptions::new().write(true).open(to).unwrap();
        let answers = BufReader::new(File::open(from).unwrap());
        let (session, number, complaints) = (None, 0, Vec::new());
        let mut this =
            Self { process, calls, answers, session, number, complaints, _folder: folder };
        let target = this.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = this.call("Target.attachToTarget", &attach);
        this.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            this.call(domain, &json!({}));
        }
        Some(this)
    }

    /// Shows this page, and waits until it is loaded.
    pub(crate) fn open(&mut self, url: &str) {
        self.call("Page.navigate", &json!({"url": url}));
        self.until("document.readyState === 'complete' && location.protocol !== 'about:'");
    }

    /// The value of this expression on the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let arguments =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.call("Runtime.evaluate", &arguments);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Waits, in the page, until this holds.
    pub(crate) fn until(&mut self, condition: &str) {
        let expression = format!(
            "new Promise(done => {{
                const end = Date.now() + {SHOWN_MAX_MS};
                const look = () => ({condition}) ? done('shown')
                    : Date.now() > end ? done(document.body.innerText) : setTimeout(look, 50);
                look();
            }})"
        );
        let told = self.value(&expression);
        assert_eq!(told, "shown", "waited in vain for {condition}");
    }

    /// A window of this width, by day or by night.
    pub(crate) fn look(&mut self, width: u32, dark: bool) {
        let size =
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", &size);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// All of the page, as a PNG.
    pub(crate) fn picture(&mut self, path: &Path) {
        let whole = json!({"format": "png", "captureBeyondViewport": true});
        let picture = self.call("Page.captureScreenshot", &whole);
        let bytes = BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn call(&mut self, method: &str, arguments: &Value) -> Value {
        self.number += 1;
        let mut call = json!({"id": self.number, "method": method, "params": arguments});
        if let Some(session) = &self.session {
            call["sessionId"] = session.as_str().into();
        }
        self.calls.write_all(format!("{call}\0").as_bytes()).unwrap();
        loop {
            let mut message = Vec::new();
            self.answers.read_until(0, &mut message).unwrap();
            assert_eq!(message.pop(), Some(0), "the browser ended while it was asked {method}");
            let mut message: Value = serde_json::from_slice(&message).unwrap();
            if message["id"] == self.number {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].take();
            }
            self.note(&message);
        }
    }

    fn note(&mut self, message: &Value) {
        let parameters = &message["params"];
        match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => self.complaints.push(parameters.to_string()),
            // What the network does is told by the page itself.
            Some("Log.entryAdded")
                if parameters["entry"]["level"] == "error"
                    && parameters["entry"]["source"] != "network" =>
            {
                self.complaints.push(parameters.to_string());
            }
            _ => {}
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}
