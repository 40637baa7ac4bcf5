//! A server that speaks the hub's protocol, as far as fetching a model goes.
//!
//! Small files come from the hub itself, after a redirect within it; the weights from a second host, under their
//! SHA-256. What it does instead is for a test to say.
#![allow(dead_code, reason = "every test binary uses its part")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use sha2::{Digest, Sha256};

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub(crate) const WEIGHTS: &str = "model.safetensors";

/// Which of its two hosts was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Hub,
    Storage,
}

/// One request, as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) host: Host,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) range: Option<String>,
    /// Earlier requests of this method to this path of this host.
    pub(crate) earlier: usize,
}

/// What is answered instead of the truth.
#[derive(Clone, Debug)]
pub(crate) enum Instead {
    /// A status, further headers, and no body.
    Status(u16, Vec<(&'static str, String)>),
    /// The headers, and so many bytes of the body; then the connection ends.
    CutAfter(usize),
    /// Another content.
    Content(Vec<u8>),
    /// The whole content, though a part was asked for.
    NoRange,
}

type Rule = dyn Fn(&Seen) -> Option<Instead> + Send + Sync;

pub(crate) struct TestHub {
    hub: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    id: &'static str,
    files: Vec<(String, Vec<u8>)>,
    storage: SocketAddr,
    rule: Box<Rule>,
    seen: Mutex<Vec<Seen>>,
    more: Condvar,
}

/// What is sent back.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Bytes of the body that are really sent.
    sent: usize,
}

// === impl TestHub ===

impl TestHub {
    /// Serves these files as the model `id`.
    pub(crate) fn start(
        id: &'static str,
        files: Vec<(String, Vec<u8>)>,
        rule: impl Fn(&Seen) -> Option<Instead> + Send + Sync + 'static,
    ) -> Self {
        let [hub, storage] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let shared = Arc::new(Shared {
            id,
            files,
            storage: storage.local_addr().unwrap(),
            rule: Box::new(rule),
            seen: Mutex::default(),
            more: Condvar::new(),
        });
        let address = hub.local_addr().unwrap();
        for (listener, host) in [(hub, Host::Hub), (storage, Host::Storage)] {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for connection in listener.incoming() {
                    let (connection, shared) = (connection.unwrap(), Arc::clone(&shared));
                    thread::spawn(move || shared.serve(host, connection));
                }
            });
        }
        Self { hub: address, shared }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.hub)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen().clone()
    }

    /// Those that fetch the weights.
    pub(crate) fn downloads(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.host == Host::Storage).collect()
    }

    /// Returns when so many requests have arrived that `is_meant`.
    pub(crate) fn wait_for(&self, count: usize, is_meant: impl Fn(&Seen) -> bool) {
        let seen = self.shared.seen();
        let enough =
            |seen: &mut Vec<Seen>| seen.iter().filter(|seen| is_meant(seen)).count() < count;
        drop(self.shared.more.wait_while(seen, enough).unwrap());
    }
}

// === impl Shared ===

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, host: Host, mut connection: TcpStream) {
        let Some(mut request) = read(host, &connection) else { return };
        {
            let mut seen = self.seen();
            request.earlier = seen
                .iter()
                .filter(|seen| {
                    (seen.host, &seen.method, &seen.path) == (host, &request.method, &request.path)
                })
                .count();
            seen.push(request.clone());
        }
        self.more.notify_all();
        let answer = match (self.rule)(&request) {
            Some(Instead::Status(status, headers)) => Answer::empty(status, headers),
            Some(Instead::CutAfter(bytes)) => Answer { sent: bytes, ..self.answer(&request) },
            Some(Instead::Content(body)) => Answer::whole(body, Vec::new()),
            Some(Instead::NoRange) => self.answer(&Seen { range: None, ..request.clone() }),
            None => self.answer(&request),
        };
        // The client may have gone.
        let _sent = answer.send(&request.method, &mut connection);
    }

    fn answer(&self, request: &Seen) -> Answer {
        match request.host {
            Host::Hub => self.of_hub(&request.path),
            Host::Storage => self.of_storage(request),
        }
    }

    fn of_hub(&self, path: &str) -> Answer {
        let id = self.id;
        if path.starts_with(&format!("/api/models/{id}/revision/")) {
            let names = self.files.iter().map(|(name, _)| serde_json::json!({ "rfilename": name }));
            let info = serde_json::json!({"sha": COMMIT, "siblings": names.collect::<Vec<_>>()});
            return Answer::whole(info.to_string().into_bytes(), Vec::new());
        }
        if let Some(name) = path.strip_prefix(&format!("/{id}/resolve/{COMMIT}/")) {
            let Some(content) = self.content(name) else { return Answer::empty(404, Vec::new()) };
            if !name.ends_with(WEIGHTS) {
                return Answer::empty(307, vec![("Location", format!("/cache/{name}"))]);
            }
            let (etag, size) = (sha256(content), content.len());
            let location = format!("http://{}/{etag}?Signature=a%2Bb", self.storage);
            let linked =
                [("X-Linked-Etag", format!("\"{etag}\"")), ("X-Linked-Size", size.to_string())];
            let mut headers =
                vec![("Location", location), ("ETag", "\"of-the-redirect\"".to_owned())];
            headers.extend(linked);
            return Answer::empty(302, headers);
        }
        match path.strip_prefix("/cache/").and_then(|name| self.content(name)) {
            Some(content) => {
                // git's hash, which is shorter.
                let etag = format!("\"{}\"", git_hash(content));
                Answer::whole(content.clone(), vec![("ETag", etag)])
            }
            None => Answer::empty(404, Vec::new()),
        }
    }

    fn of_storage(&self, request: &Seen) -> Answer {
        let name = request.path.trim_start_matches('/').split('?').next().unwrap();
        let Some((_, content)) = self.files.iter().find(|(_, content)| sha256(content) == name)
        else {
            return Answer::empty(404, Vec::new());
        };
        let Some(range) = &request.range else { return Answer::whole(content.clone(), Vec::new()) };
        let from = range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-'));
        let from: usize = from.unwrap().parse().unwrap();
        if from >= content.len() {
            return Answer::empty(416, Vec::new());
        }
        let told = format!("bytes {from}-{}/{}", content.len() - 1, content.len());
        let part = Answer::whole(content[from..].to_vec(), vec![("Content-Range", told)]);
        Answer { status: 206, ..part }
    }

    fn content(&self, name: &str) -> Option<&Vec<u8>> {
        self.files.iter().find(|(file, _)| file == name).map(|(_, content)| content)
    }
}

// === impl Answer ===

impl Answer {
    fn whole(body: Vec<u8>, headers: Vec<(&'static str, String)>) -> Self {
        Self { status: 200, headers, sent: body.len(), body }
    }

    fn empty(status: u16, headers: Vec<(&'static str, String)>) -> Self {
        Self { status, headers, body: Vec::new(), sent: 0 }
    }

    fn send(&self, method: &str, connection: &mut TcpStream) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} Told\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        write!(head, "Content-Length: {}\r\n\r\n", self.body.len()).unwrap();
        connection.write_all(head.as_bytes())?;
        if method == "GET" {
            connection.write_all(&self.body[..self.sent.min(self.body.len())])?;
        }
        connection.flush()
    }
}

pub(crate) fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Stands in for git's hash: as long, and as good a name.
pub(crate) fn git_hash(content: &[u8]) -> String {
    sha256(content).chars().take(40).collect()
}

/// The repository's own fixture, with a model card.
pub(crate) fn tiny() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("model/fixtures/tiny-bert");
    let names = ["config.json", "tokenizer.json", "tokenizer_config.json", WEIGHTS];
    let fixture = names.map(|name| (name.to_owned(), std::fs::read(folder.join(name)).unwrap()));
    let card = ("README.md".to_owned(), b"---\nlicense: apache-2.0\n---\n# Tiny\n".to_vec());
    let unwanted = ("pytorch_model.bin".to_owned(), b"pickled".to_vec());
    fixture.into_iter().chain([card, unwanted]).collect()
}

fn read(host: Host, connection: &TcpStream) -> Option<Seen> {
    let mut lines = BufReader::new(connection).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut seen = Seen { host, method, path, authorization: None, range: None, earlier: 0 };
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => seen.authorization = Some(value.trim().to_owned()),
            "range" => seen.range = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    Some(seen)
}
