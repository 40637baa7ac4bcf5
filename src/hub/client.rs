use std::io::{self, Read};
use std::time::Duration;

use serde::Deserialize;
use ureq::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::address::{Address, Endpoint};
use super::name::{is_commit, is_part};
use super::settings::{Settings, Token};
use super::{HubError, ModelId};

/// Redirects of one request; the hub uses two.
const REDIRECTS_MAX: usize = 5;
/// Attempts in a row that bring nothing.
const ATTEMPTS_MAX: u32 = 5;
/// A longer wait is for a person to decide on.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two reads; a whole file may take hours.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);
const INFO_BYTES_MAX: u64 = 16 << 20;

/// Speaks with the hub. The token goes to its endpoint only, whoever a redirect leads to.
pub(super) struct Client {
    agent: Agent,
    endpoint: Endpoint,
    token: Option<Token>,
    retry_wait: Duration,
}

/// One content of a model, and the names of its files.
pub(super) struct Info {
    pub(super) commit: String,
    pub(super) files: Vec<String>,
}

/// What the hub says about a file before it is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Names the content, and the blob in the cache.
    pub(super) etag: String,
    pub(super) bytes: u64,
}

/// A file that is being sent.
pub(super) struct Opened {
    /// Where what follows belongs.
    pub(super) start: u64,
    pub(super) body: Box<dyn Read>,
}

/// Why an attempt failed.
pub(super) enum Failure {
    /// Another would fail too.
    Final(HubError),
    /// Another may not. `None`: after the usual wait.
    Passing { error: HubError, wait: Option<Duration> },
}

#[derive(Deserialize)]
struct RawInfo {
    sha: String,
    #[serde(default)]
    siblings: Vec<RawFile>,
}

#[derive(Deserialize)]
struct RawFile {
    rfilename: String,
}

// === impl Client ===

impl Client {
    pub(super) fn new(settings: &Settings) -> Self {
        // Redirects are followed here, where it is plain who gets the token. The system's authorities count, so
        // that a mirror inside a company is trusted as it is elsewhere.
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let agent = Agent::config_builder()
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(SILENCE_TIMEOUT))
            .timeout_per_read(Some(SILENCE_TIMEOUT))
            .user_agent(concat!("crossrank/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build()
            .new_agent();
        Self {
            agent,
            endpoint: settings.endpoint.clone(),
            token: settings.token.clone(),
            retry_wait: settings.retry_wait,
        }
    }

    /// Which commit a revision is, and which files it has.
    pub(super) fn info(&self, id: &ModelId, revision: &str) -> Result<Info, HubError> {
        // A revision is one part of the path, whatever it is made of.
        let part = revision.replace('/', "%2F");
        let url = self.endpoint.join(&format!("api/models/{id}/revision/{part}"));
        let what = format!("model {id} with a revision {revision}");
        self.retrying(|_| {
            let response = self.send(&Method::GET, &url, id, &what, 0)?;
            let body = response.into_body().into_with_config().limit(INFO_BYTES_MAX);
            let text = body.read_to_vec().map_err(|error| self.broken(id, &error))?;
            let odd = |what: String| Failure::Final(HubError::Protocol { host: self.host(), what });
            let raw: RawInfo = serde_json::from_slice(&text)
                .map_err(|error| odd(format!("no description of a model: {error}")))?;
            if !is_commit(&raw.sha) {
                return Err(odd(format!("the commit {:?}", raw.sha)));
            }
            let files = raw.siblings.into_iter().map(|file| file.rfilename).collect();
            Ok(Info { commit: raw.sha, files })
        })
    }

    /// What a file is, without fetching it.
    pub(super) fn head(&self, id: &ModelId, commit: &str, file: &str) -> Result<Head, HubError> {
        let url = self.file(id, commit, file);
        let what = format!("file {file} in {id} at {commit}");
        self.retrying(|_| {
            let response = self.send(&Method::HEAD, &url, id, &what, 0)?;
            head_of(response.headers()).ok_or_else(|| {
                let what = format!("no usable ETag or length for {file}");
                Failure::Final(HubError::Protocol { host: self.host(), what })
            })
        })
    }

    /// Opens a file at `offset`, or at its start where the server knows no ranges. One attempt.
    pub(super) fn open(
        &self,
        id: &ModelId,
        commit: &str,
        file: &str,
        offset: u64,
    ) -> Result<Opened, Failure> {
        let url = self.file(id, commit, file);
        let what = format!("file {file} in {id} at {commit}");
        let mut response = self.send(&Method::GET, &url, id, &what, offset)?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            response = self.send(&Method::GET, &url, id, &what, 0)?;
        }
        let start = match response.status() {
            StatusCode::PARTIAL_CONTENT => range_start(response.headers()).ok_or_else(|| {
                let what = format!("a part of {file} without saying which");
                Failure::Final(HubError::Protocol { host: self.host(), what })
            })?,
            _ => 0,
        };
        Ok(Opened { start, body: Box::new(response.into_body().into_reader()) })
    }

    /// What a body that breaks off means.
    pub(super) fn cut(&self, id: &ModelId, reason: String) -> Failure {
        let error = HubError::Unreachable { id: id.clone(), host: self.host(), reason };
        Failure::Passing { error, wait: None }
    }

    /// Attempts until one succeeds, fails for good, or several in a row bring nothing; an attempt says so when it
    /// brought something.
    pub(super) fn retrying<T>(
        &self,
        mut attempt: impl FnMut(&mut bool) -> Result<T, Failure>,
    ) -> Result<T, HubError> {
        let mut attempts = 0;
        loop {
            let mut progress = false;
            let failure = match attempt(&mut progress) {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            attempts = if progress { 1 } else { attempts + 1 };
            let (error, wait) = match failure {
                Failure::Final(error) => return Err(error),
                Failure::Passing { error, .. } if attempts == ATTEMPTS_MAX => return Err(error),
                Failure::Passing { error, wait } => (error, wait),
            };
            let wait = wait.unwrap_or(self.retry_wait * 2_u32.pow(attempts - 1));
            let error = error.in_short();
            tracing::warn!(error, wait_s = wait.as_secs_f64(), "trying again");
            #[expect(
                clippy::disallowed_methods,
                reason = "a thread of its own, for which no shutdown waits"
            )]
            std::thread::sleep(wait);
        }
    }

    /// Sends one request, and follows where it leads. A HEAD stops before another host: the hub's own answer
    /// has the headers that name the file.
    fn send(
        &self,
        method: &Method,
        url: &Address,
        id: &ModelId,
        what: &str,
        offset: u64,
    ) -> Result<Response<Body>, Failure> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let response = self.call(method, &url, id, offset)?;
            let status = response.status();
            if !status.is_redirection() {
                return self.judged(response, id, what);
            }
            let next = location(&url, response.headers()).map_err(|what| {
                Failure::Final(HubError::Protocol { host: self.host(), what: what.to_owned() })
            })?;
            if *method == Method::HEAD && !next.is_at(&url) {
                return Ok(response);
            }
            url = next;
        }
        let what = format!("more than {REDIRECTS_MAX} redirects");
        Err(Failure::Final(HubError::Protocol { host: self.host(), what }))
    }

    fn call(
        &self,
        method: &Method,
        url: &Address,
        id: &ModelId,
        offset: u64,
    ) -> Result<Response<Body>, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(url.as_str())
            // Lengths and ranges are those of the file, not of something compressed.
            .header(header::ACCEPT_ENCODING, "identity");
        if let Some(token) = &self.token
            && self.endpoint.is_origin_of(url)
        {
            request = request.header(header::AUTHORIZATION, token.bearer());
        }
        if offset > 0 {
            request = request.header(header::RANGE, format!("bytes={offset}-"));
        }
        let request = request.body(()).map_err(|error| {
            let what = format!("an address that cannot be asked: {error}");
            Failure::Final(HubError::Protocol { host: self.host(), what })
        })?;
        self.agent.run(request).map_err(|error| self.broken(id, &error))
    }

    /// Passes on a good answer; says what any other means.
    fn judged(
        &self,
        response: Response<Body>,
        id: &ModelId,
        what: &str,
    ) -> Result<Response<Body>, Failure> {
        let status = response.status();
        let (id, token) = (id.clone(), self.token.is_some());
        let told = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let error = match status {
            StatusCode::UNAUTHORIZED if told("x-error-code") == Some("GatedRepo") => {
                HubError::Forbidden { id, token }
            }
            StatusCode::UNAUTHORIZED => HubError::Unauthorized { id, token },
            StatusCode::FORBIDDEN => HubError::Forbidden { id, token },
            StatusCode::NOT_FOUND => HubError::NotFound { what: what.to_owned() },
            StatusCode::TOO_MANY_REQUESTS => {
                // A date, which the hub does not send, counts as no wait given.
                let wait = told("retry-after").and_then(|text| text.trim().parse().ok());
                let wait = wait.map(Duration::from_secs);
                let wait_s = wait.map_or(0, |wait| wait.as_secs());
                let error = HubError::RateLimited { id, wait_s };
                return Err(match wait {
                    Some(wait) if wait > RETRY_AFTER_MAX => Failure::Final(error),
                    wait => Failure::Passing { error, wait },
                });
            }
            status if status.is_server_error() => {
                let reason = format!("it answers {status}");
                let error = HubError::Unreachable { id, host: self.host(), reason };
                return Err(Failure::Passing { error, wait: None });
            }
            status if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE => {
                return Ok(response);
            }
            status => HubError::Protocol { host: self.host(), what: status.to_string() },
        };
        Err(Failure::Final(error))
    }

    /// No answer, or half of one. Who does not exist or refuses is not asked again.
    fn broken(&self, id: &ModelId, error: &ureq::Error) -> Failure {
        let gone = match error {
            ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => true,
            ureq::Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
            ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
            _ => false,
        };
        let reason = error.to_string();
        let error = HubError::Unreachable { id: id.clone(), host: self.host(), reason };
        if gone { Failure::Final(error) } else { Failure::Passing { error, wait: None } }
    }

    fn host(&self) -> String {
        self.endpoint.to_string()
    }

    fn file(&self, id: &ModelId, commit: &str, file: &str) -> Address {
        self.endpoint.join(&format!("{id}/resolve/{commit}/{file}"))
    }
}

/// Where a redirect leads to.
fn location(from: &Address, headers: &HeaderMap) -> Result<Address, &'static str> {
    let to = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    from.redirected(to.ok_or("a redirect to nowhere")?)
}

/// The headers that name a file: the hub's own (`x-linked-…`) where its content lies elsewhere.
fn head_of(headers: &HeaderMap) -> Option<Head> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let etag = text("x-linked-etag").or_else(|| text("etag"))?;
    let etag = etag.trim_start_matches("W/").trim_matches('"');
    let bytes = text("x-linked-size").or_else(|| text("content-length"))?;
    // It becomes the name of a file.
    is_part(etag).then_some(())?;
    Some(Head { etag: etag.to_owned(), bytes: bytes.parse().ok()? })
}

/// `bytes 100-199/200`
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn what_names_a_file_is_the_hubs_own_header() {
        let direct = headers(&[("etag", "W/\"abc\""), ("content-length", "7")]);
        assert_eq!(head_of(&direct).unwrap(), Head { etag: "abc".to_owned(), bytes: 7 });
        let linked = [("x-linked-etag", "\"def\""), ("x-linked-size", "9")];
        let both = [&[("etag", "\"abc\""), ("content-length", "7")], &linked[..]].concat();
        assert_eq!(head_of(&headers(&both)).unwrap(), Head { etag: "def".to_owned(), bytes: 9 });
    }

    #[test]
    fn an_etag_that_is_no_file_name_is_not_used() {
        for etag in ["\"../../x\"", "\"\"", "\"a/b\"", "\".hidden\""] {
            assert_eq!(head_of(&headers(&[("etag", etag), ("content-length", "7")])), None);
        }
        assert_eq!(head_of(&headers(&[("etag", "\"abc\"")])), None, "a length is needed");
    }
}
