//! What is answered, by a port that is really open.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crossrank::admin::{Admin, Metrics, Settings, Sources, StartError, Token};
use crossrank::telemetry::board::{Board, ModelShown, Notices, Phase};
use crossrank::telemetry::{Counts, Pulse};

use crate::client::{Answer, Events, PATIENCE, ask, get, get_with, send};

const TOKEN: &str = "0123456789abcdef";
const PATHS: [&str; 7] = ["/", "/events", "/metrics", "/config", "/livez", "/readyz", "/nowhere"];

/// An open port, and the board behind it.
pub(crate) struct Port {
    pub(crate) admin: Admin,
    pub(crate) counts: Arc<Counts>,
}

// === impl Port ===

impl Port {
    pub(crate) fn open(token: Option<&str>, metrics: Option<Metrics>) -> Self {
        Self::with(token, metrics, false)
    }

    pub(crate) fn showing_texts() -> Self {
        Self::with(None, None, true)
    }

    fn with(token: Option<&str>, metrics: Option<Metrics>, texts: bool) -> Self {
        let (counts, keeper) = Board::kept(texts, &Notices::default());
        let token = token.map(|token| Token::new(token).unwrap());
        let address = "127.0.0.1:0".parse().unwrap();
        let settings = Settings { address, token, texts };
        let sources = Sources { config: "[kafka]\ngroup = \"g\"\n".to_owned(), metrics };
        Self { admin: Admin::start(&settings, keeper, sources).unwrap(), counts }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.admin.address()
    }

    fn get(&self, path: &str) -> Answer {
        get(self.address(), path)
    }
}

pub(crate) fn model() -> ModelShown {
    let word = |text: &str| text.to_owned();
    ModelShown {
        id: word("tiny"),
        revision: word("1"),
        label: None,
        precision: word("f32"),
        backend: word("flex"),
        device: word("CPU"),
        replicas: 1,
        ..ModelShown::default()
    }
}

#[test]
fn probes_say_a_line_per_check_and_503_until_all_is_well() {
    let port = Port::open(None, None);
    let board = &port.counts.board;
    let live = port.get("/livez");
    assert_eq!(live.status, 200, "{live:?}");
    assert!(live.body.contains("[+] poll thread: not started yet\n"), "{live:?}");
    let ready = port.get("/readyz");
    assert_eq!((ready.status, ready.body.lines().count()), (503, 4), "{ready:?}");
    assert!(ready.body.starts_with("[-] model: not loaded yet\n"), "{ready:?}");
    board.model_is_warm(model(), Arc::new(Pulse::default()));
    board.joined.anew();
    board.producer_reached.anew();
    board.enter(Phase::Working);
    let ready = port.get("/readyz");
    assert_eq!(ready.status, 200, "{ready:?}");
    assert!(ready.body.lines().all(|line| line.starts_with("[+] ")), "{ready:?}");
    board.enter(Phase::Stopping);
    assert_eq!((port.get("/readyz").status, port.get("/livez").status), (503, 200));
}

#[test]
fn only_probes_are_answered_without_the_token() {
    let port = Port::open(Some(TOKEN), None);
    for path in PATHS {
        let answer = port.get(path);
        let open = ["/livez", "/readyz"].contains(&path);
        assert_eq!(answer.status == 401, !open, "{path}: {answer:?}");
        assert_eq!(answer.header("www-authenticate").is_some(), !open, "{path}: {answer:?}");
        assert!(!answer.body.contains(TOKEN));
    }
    let with = |value: &str| get_with(port.address(), "/config", &[("authorization", value)]);
    assert_eq!(with(&format!("Bearer {TOKEN}")).status, 200);
    assert_eq!(with(&format!("Bearer {TOKEN}0")).status, 401);
    // As a browser sends what a person typed: any user, the token as the password.
    assert_eq!(with("Basic bWU6MDEyMzQ1Njc4OWFiY2RlZg==").status, 200);
}

#[test]
fn a_name_that_was_made_to_point_here_is_not_answered() {
    let port = Port::open(None, None);
    for path in PATHS {
        let request = format!("GET {path} HTTP/1.1\r\nhost: attacker.example\r\n\r\n");
        let answer = ask(port.address(), &request);
        assert_eq!(answer.status, 421, "{path}: {answer:?}");
    }
    // With a token, which a page from elsewhere does not have, any name will do: a pod has several.
    let port = Port::open(Some(TOKEN), None);
    let request = format!(
        "GET /config HTTP/1.1\r\nhost: crossrank-0.pods\r\nauthorization: Bearer {TOKEN}\r\n\r\n"
    );
    assert_eq!(ask(port.address(), &request).status, 200);
}

#[test]
fn without_a_token_a_page_of_another_site_is_not_answered() {
    let port = Port::open(None, None);
    for path in PATHS {
        let answer = get_with(port.address(), path, &[("sec-fetch-site", "cross-site")]);
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
    }
    let own = get_with(port.address(), "/config", &[("sec-fetch-site", "same-origin")]);
    assert_eq!(own.status, 200);
}

#[test]
fn every_answer_carries_what_keeps_a_browser_from_mischief() {
    let port = Port::open(None, None);
    for path in PATHS.into_iter().filter(|path| *path != "/events") {
        let answer = port.get(path);
        let header = |name| answer.header(name).unwrap_or_default();
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("x-frame-options"), "DENY", "{path}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("set-cookie"), None, "{path}");
    }
}

#[test]
fn nothing_can_be_changed_and_unknown_paths_name_the_known_ones() {
    let port = Port::open(None, None);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let request = format!("{method} /config HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let answer = ask(port.address(), &request);
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    let head = ask(port.address(), "HEAD /livez HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let unknown = port.get("/nowhere");
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("/readyz"), "{unknown:?}");
}

#[test]
fn the_configuration_is_told_as_it_was_given() {
    let answer = Port::open(None, None).get("/config");
    assert_eq!(answer.body, "[kafka]\ngroup = \"g\"\n");
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
}

#[test]
fn metrics_are_told_or_why_there_are_none() {
    let told = |metrics: Option<Metrics>| Port::open(None, metrics).get("/metrics");
    let none = told(None);
    assert_eq!((none.status, none.body.as_str()), (404, "this worker exports no metrics here\n"));
    let some = told(Some(Box::new(|| Ok("up 1\n".to_owned()))));
    assert_eq!((some.status, some.body.as_str()), (200, "up 1\n"));
    let kind = some.header("content-type");
    assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
    let failed = told(Some(Box::new(|| Err("the reader is shut down".to_owned()))));
    assert_eq!((failed.status, failed.body.as_str()), (500, "the reader is shut down\n"));
    // Without a word: to write a trace takes longer than a scrape may.
    let panicked = told(Some(Box::new(|| std::panic::resume_unwind(Box::new(())))));
    assert_eq!(panicked.status, 500);
}

#[test]
fn metrics_that_are_never_collected_hold_up_no_probe() {
    let (go_on, held) = mpsc::sync_channel::<()>(0);
    let held = std::sync::Mutex::new(held);
    let metrics: Metrics = Box::new(move || {
        let _released = held.lock().unwrap().recv();
        Ok(String::new())
    });
    let port = Port::open(None, Some(metrics));
    let scrape = send(port.address(), "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(port.get("/livez").status, 200);
    let second = port.get("/metrics");
    assert_eq!(second.status, 503, "{second:?}");
    drop((go_on, scrape));
}

#[test]
fn events_begin_with_everything_and_go_on_with_what_is_new() {
    let port = Port::open(None, None);
    let mut events = Events::open(port.address());
    assert_eq!(events.head.status, 200);
    assert_eq!(events.head.header("content-type"), Some("text/event-stream"));
    assert_eq!(events.head.header("cache-control"), Some("no-store"));
    assert_eq!(events.next().unwrap().0, "all");
    port.counts.sets_published.add(7);
    port.counts.board.show_dead_letter("sets/0/1", "empty_query", "the query is empty");
    let mut news = std::iter::from_fn(|| events.next());
    let (name, news) = news.find(|(_, news)| news["notices"][0]["number"] == 1).unwrap();
    assert_eq!((name.as_str(), &news["notices"][0]["code"]), ("news", &"empty_query".into()));
    assert_eq!(news["totals"]["sets_published"], 7);
    assert_eq!(news["rates"].as_array().unwrap().len(), 1);
    // Once only to who has been told, and to others from the beginning.
    let (_, later) = events.next().unwrap();
    assert_eq!(later["notices"].as_array().unwrap().len(), 0);
    let (_, all) = Events::open(port.address()).next().unwrap();
    assert_eq!(all["notices"][0]["number"], 1);
}

#[test]
fn streams_are_limited_and_probes_are_answered_all_the_same() {
    let port = Port::open(None, None);
    let open: Vec<Events> = (0..16).map(|_| Events::open(port.address())).collect();
    assert!(open.iter().all(|events| events.head.status == 200));
    let refused = port.get("/events");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("10")));
    assert_eq!(port.get("/livez").status, 200);
}

#[test]
fn a_client_that_asks_for_nothing_is_let_go_and_others_are_answered_meanwhile() {
    let port = Port::open(None, None);
    let silent: Vec<_> = (0..200).map(|_| send(port.address(), "GET /livez")).collect();
    let begun = Instant::now();
    assert_eq!(port.get("/livez").status, 200, "after {:?}", begun.elapsed());
    for mut connection in silent {
        // An answer or none: it is over.
        let mut rest = Vec::new();
        let _closed = connection.read_to_end(&mut rest);
    }
    assert!(begun.elapsed() < PATIENCE + PATIENCE);
}

#[test]
fn a_request_without_end_is_refused() {
    let port = Port::open(None, None);
    let mut connection = send(port.address(), "GET /livez HTTP/1.1\r\nhost: localhost\r\n");
    let line = format!("x-more: {}\r\n", "x".repeat(8000));
    // It is closed at some point, so that writing or reading fails.
    let mut written = 0;
    while connection.write_all(line.as_bytes()).is_ok() && written < 1 << 20 {
        written += line.len();
    }
    let mut answer = String::new();
    let _closed = connection.read_to_string(&mut answer);
    assert!(written < 1 << 20 || answer.contains("431"), "{written} bytes were taken: {answer}");
}

#[test]
fn a_port_that_is_taken_is_told_with_what_to_do() {
    let port = Port::open(None, None);
    let (_, keeper) = Board::kept(false, &Notices::default());
    let settings = Settings { address: port.address(), token: None, texts: false };
    let sources = Sources { config: String::new(), metrics: None };
    let error = Admin::start(&settings, keeper, sources).unwrap_err();
    assert!(matches!(error, StartError::Bind { address, .. } if address == port.address()));
    let told = error.to_string();
    assert!(told.contains("admin.address") && told.contains("admin.enabled = false"), "{told}");
}

#[test]
fn dropping_it_ends_what_somebody_reads() {
    let port = Port::open(None, None);
    let mut events = Events::open(port.address());
    assert!(events.next().is_some());
    let begun = Instant::now();
    drop(port);
    while events.next().is_some() {}
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[test]
fn clients_that_do_not_read_their_answers_turn_no_probe_away() {
    // More than fits between the two ends.
    let metrics: Metrics = Box::new(|| Ok("x".repeat(16 << 20)));
    let port = Port::open(None, Some(metrics));
    let mut events = Events::open(port.address());
    let begun = |_| {
        let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let mut connection = send(port.address(), request);
        connection.read_exact(&mut [0]).unwrap();
        connection
    };
    let unread: Vec<_> = (0..70).map(begun).collect();
    assert_eq!(port.get("/livez").status, 200);
    // Who reads is not the one that goes.
    assert!((0..3).all(|_| events.next().is_some()));
    drop(unread);
}

#[test]
fn what_costs_something_is_put_together_once_a_second_however_often_it_is_asked_for() {
    let collected = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&collected);
    let metrics: Metrics =
        Box::new(move || Ok(format!("n {}\n", counted.fetch_add(1, Ordering::Relaxed))));
    let port = Port::open(None, Some(metrics));
    let begun = Instant::now();
    let mut pages = BTreeSet::new();
    for _ in 0..60 {
        assert_eq!(port.get("/metrics").status, 200);
        // It has the time in it.
        pages.insert(port.get("/").body);
    }
    // One at the start, and one after each look since.
    let looks = usize::try_from(begun.elapsed().as_secs()).unwrap() + 2;
    let collected = collected.load(Ordering::Relaxed);
    assert!(collected <= looks && pages.len() <= looks, "{collected}, {}, {looks}", pages.len());
}

#[test]
fn a_client_in_a_loop_is_slowed_down() {
    let port = Port::open(None, None);
    let begun = Instant::now();
    for _ in 0..300 {
        assert_eq!(port.get("/livez").status, 200);
    }
    let taken = begun.elapsed();
    assert!(taken > Duration::from_secs(1) && taken < PATIENCE, "{taken:?}");
}

#[test]
fn writers_do_not_wait_for_a_reader_that_reads_nothing() {
    let port = Port::open(None, None);
    let mut stuck = Vec::new();
    for _ in 0..16 {
        stuck.push(send(port.address(), "GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    }
    let board = &port.counts.board;
    let begun = Instant::now();
    for _ in 0..200_000 {
        if board.wants_set().is_some() {
            board.show_set(Box::default());
        }
        board.show_dead_letter("sets/0/1", "not_json", "no JSON");
        board.answered_after(Duration::from_millis(3));
    }
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}
