//! Who may ask what.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::Request;
use hyper::header::{AUTHORIZATION, HOST};
use subtle::ConstantTimeEq;

/// Where the page is from that has a browser ask (Fetch Metadata).
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// What requests must carry. Never printed.
#[derive(Clone)]
pub struct Token(Arc<str>);

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It names a host that is not this machine.
    Host,
    /// It does not carry the token.
    Token,
    /// A page of another site has a browser send it.
    Site,
}

/// Who may ask.
#[derive(Clone, Debug)]
pub(super) enum Access {
    /// Whoever has the token, by any name of this machine: a page from elsewhere does not have it.
    Token(Token),
    /// Whoever is on this machine and means it.
    Loopback,
}

// === impl Token ===

impl Token {
    /// Characters that a token has at least: what cannot be guessed in a year of trying.
    pub const CHARS_MIN: usize = 16;

    /// A token; `None` where it is shorter than [`Self::CHARS_MIN`], or holds what a header cannot carry.
    pub fn new(text: &str) -> Option<Self> {
        let fits =
            text.len() >= Self::CHARS_MIN && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.into()))
    }

    /// Takes as long for a token that is nearly right as for any other of its length.
    fn is(&self, other: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(other).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

// === impl Access ===

impl Access {
    pub(super) fn new(token: Option<Token>) -> Self {
        token.map_or(Self::Loopback, Self::Token)
    }

    /// Whether `request` may be answered. `open` is for what is told without the token.
    pub(super) fn check<B>(&self, request: &Request<B>, open: bool) -> Result<(), Refusal> {
        match self {
            Self::Token(token) if open || carries(request, token) => Ok(()),
            Self::Token(_) => Err(Refusal::Token),
            Self::Loopback if !names_loopback(request) => Err(Refusal::Host),
            Self::Loopback if comes_from_elsewhere(request) => Err(Refusal::Site),
            Self::Loopback => Ok(()),
        }
    }
}

/// As `Bearer`, or as the password of `Basic`, which is how a browser asks a person for it.
fn carries<B>(request: &Request<B>, token: &Token) -> bool {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some((scheme, credentials)) = header.and_then(|header| header.split_once(' ')) else {
        return false;
    };
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return token.is(credentials.as_bytes());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return false;
    }
    let Ok(decoded) = BASE64_STANDARD.decode(credentials) else { return false };
    let colon = decoded.iter().position(|&byte| byte == b':');
    colon.is_some_and(|colon| token.is(&decoded[colon + 1..]))
}

fn names_loopback<B>(request: &Request<B>) -> bool {
    let host = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    // A request may name it in its first line as well.
    let named = request.uri().authority().map(|authority| authority.as_str());
    host.is_some_and(is_loopback) && named.is_none_or(is_loopback)
}

/// Such a page can read nothing here, but ask for it again and again. What is no browser does not say.
fn comes_from_elsewhere<B>(request: &Request<B>) -> bool {
    request.headers().get_all(SEC_FETCH_SITE).iter().any(|site| site == "cross-site")
}

fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let start = Request::builder().uri("/");
        let all =
            headers.iter().fold(start, |request, (name, value)| request.header(*name, *value));
        all.body(()).unwrap()
    }

    fn with(authorization: &str) -> Result<(), Refusal> {
        let access = Access::new(Token::new(TOKEN));
        access.check(&request(&[("host", "pod"), ("authorization", authorization)]), false)
    }

    #[test]
    fn a_token_goes_as_bearer_or_as_the_password_of_any_user() {
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        assert_eq!(with(&format!("Bearer {TOKEN}")), Ok(()));
        assert_eq!(with(&format!("bearer  {TOKEN} ")), Ok(()));
        assert_eq!(with(&basic(&format!("me:{TOKEN}"))), Ok(()));
        for wrong in [
            String::new(),
            TOKEN.to_owned(),
            "Bearer ".to_owned(),
            format!("Bearer {TOKEN}f"),
            format!("Bearer {}", TOKEN.get(..15).unwrap()),
            format!("Digest {TOKEN}"),
            basic(TOKEN),
            "Basic %%%".to_owned(),
        ] {
            assert_eq!(with(&wrong), Err(Refusal::Token), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_open_needs_no_token() {
        let access = Access::new(Token::new(TOKEN));
        assert_eq!(access.check(&request(&[]), true), Ok(()));
        assert_eq!(access.check(&request(&[]), false), Err(Refusal::Token));
    }

    #[test]
    fn without_a_token_only_names_of_loopback_are_answered() {
        let named = |host| Access::Loopback.check(&request(&[("host", host)]), true);
        for host in
            ["localhost", "LOCALHOST:9464", "127.0.0.1:80", "127.8.8.8", "[::1]:9464", "[::1]"]
        {
            assert_eq!(named(host), Ok(()), "{host}");
        }
        for host in
            ["attacker.example:9464", "localhost.example", "10.0.0.1:9464", "", ":9464", "[::2]:1"]
        {
            assert_eq!(named(host), Err(Refusal::Host), "{host}");
        }
        assert_eq!(Access::Loopback.check(&request(&[]), true), Err(Refusal::Host));
        let absolute =
            Request::builder().uri("http://attacker.example/").header("host", "localhost");
        let refused = Access::Loopback.check(&absolute.body(()).unwrap(), true);
        assert_eq!(refused, Err(Refusal::Host));
    }

    #[test]
    fn without_a_token_pages_of_other_sites_are_not_answered() {
        let from = |access: &Access, site| {
            let headers = [("host", "localhost"), ("sec-fetch-site", site)];
            access.check(&request(&headers), true)
        };
        for site in ["none", "same-origin", "same-site"] {
            assert_eq!(from(&Access::Loopback, site), Ok(()), "{site}");
        }
        assert_eq!(from(&Access::Loopback, "cross-site"), Err(Refusal::Site));
        // Where there is a token, a page from elsewhere does not have it.
        assert_eq!(from(&Access::new(Token::new(TOKEN)), "cross-site"), Ok(()));
    }

    #[test]
    fn a_token_is_long_fits_a_header_and_is_never_printed() {
        assert!(Token::new("short").is_none());
        assert!(Token::new("with a space in between").is_none());
        assert!(Token::new("ein-schlüssel-der-lang-ist").is_none());
        assert_eq!(format!("{:?}", Token::new(TOKEN)), "Some(***)");
    }
}
