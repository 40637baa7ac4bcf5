use std::io::Read;
use std::net::TcpListener;

use crate::usage::fails_with;
use crate::*;

/// Answers one request with `answer`, and gives back its address and, in the end, the request.
fn serve(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/readyz", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let length = stream.read(&mut request).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    (url, served)
}

#[test]
fn a_worker_that_is_ready_is_reported_with_what_it_says() {
    let (url, served) =
        serve("HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nmodel ok\n");
    // A proxy of this machine must not stand between the two.
    let mut probe = crossrank(&["probe", &url]);
    let output = run(probe.env("http_proxy", "http://127.0.0.1:1"), b"");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(output.stdout, b"model ok\n");
    let request = served.join().unwrap();
    assert!(request.starts_with("GET /readyz HTTP/1.1\r\n"), "{request}");
}

#[test]
fn a_worker_that_is_not_ready_is_a_failure_that_says_why() {
    let (url, served) = serve(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 14\r\nconnection: close\r\n\r\nmodel loading\n",
    );
    fails_with(&["probe", &url], 1, &["503", "model loading", &url]);
    served.join().unwrap();
}

#[test]
fn a_port_where_nobody_listens_is_a_failure_that_names_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/livez", listener.local_addr().unwrap());
    drop(listener);
    fails_with(&["probe", &url], 1, &["no answer", &url, "admin.address"]);
}
