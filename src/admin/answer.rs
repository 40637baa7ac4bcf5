//! What is answered to a request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::access::{Access, Refusal, Token};
use super::events::{self, Readers};
use super::page::Page;
use super::{Metrics, Sources};
use crate::telemetry::board::{Check, Keeper};

/// Metrics are put together in milliseconds; what takes so long does not end.
const METRICS_MAX: Duration = Duration::from_secs(5);

/// Where the one answer is that does not end by itself.
pub(super) const EVENTS_PATH: &str = "/events";

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const EVENTS: &str = "text/event-stream";

/// On every answer: nothing here is to be kept, framed, guessed at, or told to another site.
const HEADERS: [(&str, &str); 5] = [
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
];
/// Of all but the page, which has a policy of its own.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

pub(super) type Answer = Response<BoxBody<Bytes, std::convert::Infallible>>;

/// Everything that requests are answered from.
pub(super) struct Desk {
    access: Access,
    keeper: Mutex<Keeper>,
    readers: Mutex<Readers>,
    config: Bytes,
    metrics: Option<Arc<Metrics>>,
    /// One scrape at a time.
    scrape: Arc<Semaphore>,
    /// Of this look.
    scraped: Arc<Mutex<Option<Bytes>>>,
    page: Page,
    /// Of this look. Locked after the keeper.
    whole: Mutex<Whole>,
}

/// What shows everything, and is put together once for each look, however often it is asked for.
#[derive(Default)]
struct Whole {
    page: Option<Bytes>,
    event: Option<Bytes>,
}

// === impl Desk ===

impl Desk {
    pub(super) fn new(token: Option<Token>, keeper: Keeper, sources: Sources) -> Self {
        Self {
            access: Access::new(token),
            keeper: Mutex::new(keeper),
            readers: Mutex::default(),
            config: sources.config.into(),
            metrics: sources.metrics.map(Arc::new),
            scrape: Arc::new(Semaphore::new(1)),
            scraped: Arc::default(),
            page: Page::new(),
            whole: Mutex::default(),
        }
    }

    /// To be called every second.
    pub(super) fn look(&self) {
        let (now, wall_ms) = now();
        let mut keeper = lock(&self.keeper);
        keeper.look(now, wall_ms);
        *lock(&self.whole) = Whole::default();
        *lock(&self.scraped) = None;
        let mut readers = lock(&self.readers);
        if !readers.is_empty() {
            readers.tell(&keeper.news(now, wall_ms));
        }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        let access = self.access.check(&request, matches!(&*path, "/livez" | "/readyz"));
        let reads = [Method::GET, Method::HEAD].contains(request.method());
        let mut answer = match access {
            Err(refusal) => refused(refusal),
            Ok(()) if reads => self.found(&path).await,
            Ok(()) => unread(),
        };
        complete(answer.headers_mut());
        answer
    }

    async fn found(&self, path: &str) -> Answer {
        match path {
            "/livez" => checked(&lock(&self.keeper).live(Instant::now())),
            "/readyz" => checked(&lock(&self.keeper).counts().board.ready()),
            "/metrics" => self.metrics().await,
            "/config" => text(StatusCode::OK, self.config.clone()),
            "/" => self.page(),
            EVENTS_PATH => self.events(),
            _ => text(
                StatusCode::NOT_FOUND,
                "there are /, /livez, /readyz, /metrics, /config and /events\n",
            ),
        }
    }

    async fn metrics(&self) -> Answer {
        let Some(metrics) = &self.metrics else {
            return text(StatusCode::NOT_FOUND, "this worker exports no metrics here\n");
        };
        let metrics = Arc::clone(metrics);
        let scrape = async {
            let turn = Arc::clone(&self.scrape).acquire_owned().await;
            // Whoever had the turn before may have left it.
            let scraped = lock(&self.scraped).clone();
            if let Some(scraped) = scraped {
                return Ok(Ok(scraped));
            }
            // Beside this thread, so that whatever it waits for does not hold up a probe. It keeps its turn
            // to its end, also where nobody waits for it any more.
            let kept = Arc::clone(&self.scraped);
            let collect = move || {
                let _turn = turn;
                let text = metrics().map(Bytes::from);
                *lock(&kept) = text.as_ref().ok().cloned();
                text
            };
            tokio::task::spawn_blocking(collect).await
        };
        match timeout(METRICS_MAX, scrape).await {
            Ok(Ok(Ok(metrics))) => {
                let mut answer = text(StatusCode::OK, metrics);
                let kind = HeaderValue::from_static(PROMETHEUS);
                answer.headers_mut().insert(header::CONTENT_TYPE, kind);
                answer
            }
            Ok(Ok(Err(reason))) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{reason}\n")),
            Ok(Err(_panicked)) => {
                text(StatusCode::INTERNAL_SERVER_ERROR, "collecting the metrics panicked\n")
            }
            Err(_elapsed) => text(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("the metrics were not collected within {METRICS_MAX:?}\n"),
            ),
        }
    }

    fn page(&self) -> Answer {
        let (now, wall_ms) = now();
        let keeper = lock(&self.keeper);
        let mut whole = lock(&self.whole);
        let page = whole.page.get_or_insert_with(|| {
            let page = self.page.showing(&keeper.all(now, wall_ms));
            page.into()
        });
        let mut answer = text(StatusCode::OK, page.clone());
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(HTML));
        headers.insert(header::CONTENT_SECURITY_POLICY, self.page.policy());
        answer
    }

    fn events(&self) -> Answer {
        let (now, wall_ms) = now();
        // In this order, as while looking: what is told at first and what is new leave no gap.
        let keeper = lock(&self.keeper);
        let mut whole = lock(&self.whole);
        let first =
            whole.event.get_or_insert_with(|| events::event("all", &keeper.all(now, wall_ms)));
        let stream = lock(&self.readers).join(first.clone());
        let Some(stream) = stream else {
            let told = "as many streams are open as may be; close a page\n";
            let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, told);
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
            return answer;
        };
        let mut answer = Response::new(stream.boxed());
        let kind = HeaderValue::from_static(EVENTS);
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
        answer
    }
}

fn unread() -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "nothing can be changed here; use GET\n");
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    answer
}

fn refused(refusal: Refusal) -> Answer {
    match refusal {
        Refusal::Host => text(
            StatusCode::MISDIRECTED_REQUEST,
            "this port answers to localhost and loopback addresses only; set admin.token to use it by \
             another name\n",
        ),
        Refusal::Site => text(
            StatusCode::FORBIDDEN,
            "a page of another site asks for this; type the address yourself, or set admin.token\n",
        ),
        Refusal::Token => {
            let told =
                "give the token of admin.token, as Authorization: Bearer or as the password\n";
            let mut answer = text(StatusCode::UNAUTHORIZED, told);
            for scheme in ["Bearer realm=\"crossrank\"", "Basic realm=\"crossrank\""] {
                let scheme = HeaderValue::from_static(scheme);
                answer.headers_mut().append(header::WWW_AUTHENTICATE, scheme);
            }
            answer
        }
    }
}

/// A line per check; the status is that of the worst.
fn checked(checks: &[Check]) -> Answer {
    let line = |Check { name, good, says }: &Check| {
        format!("{}{name}: {says}\n", if *good { "[+] " } else { "[-] " })
    };
    let status = match checks.iter().all(|check| check.good) {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    text(status, checks.iter().map(line).collect::<String>())
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()).boxed());
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(TEXT));
    answer
}

fn complete(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert_with(|| HeaderValue::from_static(POLICY));
}

fn now() -> (Instant, u64) {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (Instant::now(), u64::try_from(since.as_millis()).unwrap_or_default())
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
