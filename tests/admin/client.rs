//! A client that says exactly what a test wants, and no more.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A test that waits for longer waits in vain.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// Server-sent events, as they come.
pub(crate) struct Events {
    pub(crate) head: Answer,
    lines: BufReader<TcpStream>,
}

// === impl Answer ===

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Up to the empty line.
    fn head(lines: &mut impl BufRead) -> Self {
        let mut line = || {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        };
        let first = line();
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("{first:?} is no status line"));
        let lines = std::iter::from_fn(|| Some(line()).filter(|line| !line.is_empty()));
        let header = |line: String| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_lowercase(), value.trim().to_owned())
        };
        Self { status, headers: lines.map(header).collect(), body: String::new() }
    }
}

// === impl Events ===

impl Events {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let connection = send(address, "GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let mut lines = BufReader::new(connection);
        Self { head: Answer::head(&mut lines), lines }
    }

    /// The next event: its name, and its data; `None` where the stream has ended, or was cut off.
    pub(crate) fn next(&mut self) -> Option<(String, serde_json::Value)> {
        let (mut name, mut data) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            match self.lines.read_line(&mut line) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("the stream neither goes on nor ends: {error}"),
            }
            // Lines that are sizes of chunks have no colon before their end.
            if let Some(word) = line.strip_prefix("event: ") {
                word.trim().clone_into(&mut name);
            } else if let Some(json) = line.strip_prefix("data: ") {
                json.trim().clone_into(&mut data);
            } else if line == "\n" && !data.is_empty() {
                return Some((name, serde_json::from_str(&data).unwrap()));
            }
        }
    }
}

/// Sends this, byte for byte.
pub(crate) fn send(address: SocketAddr, request: &str) -> TcpStream {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.write_all(request.as_bytes()).unwrap();
    connection
}

/// The answer to this, byte for byte.
pub(crate) fn ask(address: SocketAddr, request: &str) -> Answer {
    let mut lines = BufReader::new(send(address, request));
    let mut answer = Answer::head(&mut lines);
    lines.read_to_string(&mut answer.body).unwrap();
    answer
}

/// With these headers, beside the host.
pub(crate) fn get_with(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
    let header = |(name, value): &(&str, &str)| format!("{name}: {value}\r\n");
    let headers: String = headers.iter().map(header).collect();
    ask(address, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n"))
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    get_with(address, path, &[])
}
