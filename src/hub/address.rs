use std::fmt;

use ureq::http::Uri;

use super::HubError;

/// The address of a hub or of a mirror, which may lie below a path of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Address);

/// A whole http or https address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    text: String,
    origin: Origin,
}

/// Who is asked: equal where one party answers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    https: bool,
    host: String,
    port: u16,
}

// === impl Endpoint ===

impl Endpoint {
    /// # Errors
    /// The text is not an http or https address.
    pub fn new(text: &str) -> Result<Self, HubError> {
        let address = Address::new(text.trim_end_matches('/'));
        // What follows a question mark would swallow the path that is put behind it.
        let whole = address.filter(|address| !address.text.contains(['?', '#']));
        whole.map(Self).ok_or_else(|| HubError::Endpoint { endpoint: text.to_owned() })
    }

    /// A place below it. `path` holds only what may stand in an address.
    pub(super) fn join(&self, path: &str) -> Address {
        let Self(Address { text, origin }) = self;
        Address { text: format!("{text}/{path}"), origin: origin.clone() }
    }

    /// Whether this address is answered by who answers here.
    pub(super) fn is_origin_of(&self, address: &Address) -> bool {
        self.0.is_at(address)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

// === impl Address ===

impl Address {
    fn new(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let https = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let host = uri.host().filter(|host| !host.is_empty())?.to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        Some(Self { text: text.to_owned(), origin: Origin { https, host, port } })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether one party answers both.
    pub(super) fn is_at(&self, other: &Self) -> bool {
        self.origin == other.origin
    }

    /// Where a `Location` of this address's answer leads to; never from https to http.
    pub(super) fn redirected(&self, to: &str) -> Result<Self, &'static str> {
        let whole = match to.strip_prefix('/') {
            // `//host/…` is another host, which no hub sends.
            Some(path) if !path.starts_with('/') => format!("{}/{path}", self.root()),
            _ => to.to_owned(),
        };
        let next = Self::new(&whole).ok_or("a redirect to nowhere")?;
        match self.origin.https && !next.origin.https {
            true => Err("a redirect from https to http"),
            false => Ok(next),
        }
    }

    /// What stands before the path.
    fn root(&self) -> &str {
        let host = self.text.find("://").map_or(0, |scheme| scheme + 3);
        let path = self.text.get(host..).and_then(|rest| rest.find('/'));
        let end = path.map_or(self.text.len(), |path| host + path);
        self.text.get(..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::new(text).unwrap()
    }

    #[test]
    fn a_redirect_never_leaves_https() {
        let from = address("https://hub.example/a/b?c=/d");
        assert_eq!(from.redirected("/c").unwrap(), address("https://hub.example/c"));
        let cdn = "https://cdn.example/x?Signature=a~b&c=%2F";
        assert_eq!(from.redirected(cdn).unwrap(), address(cdn));
        for bad in ["http://hub.example/c", "file:///etc/passwd", "", "c", "//cdn.example/x"] {
            from.redirected(bad).unwrap_err();
        }
        address("http://hub.example/a").redirected("https://hub.example/a").unwrap();
    }

    #[test]
    fn who_is_asked_is_scheme_host_and_port_and_nothing_that_looks_like_it() {
        let hub = Endpoint::new("https://Hub.example/mirror/").unwrap();
        assert_eq!(hub.join("a/b").as_str(), "https://Hub.example/mirror/a/b");
        for same in ["https://hub.example", "https://hub.example:443/x", "https://hub.EXAMPLE/y"] {
            assert!(hub.is_origin_of(&address(same)), "{same}");
        }
        for other in [
            "http://hub.example/x",
            "https://hub.example:8443/x",
            "https://hub.example@evil.example/x",
            "https://hub.example.evil.example/x",
            "https://evil.example/hub.example",
        ] {
            assert!(!hub.is_origin_of(&address(other)), "{other}");
        }
    }
}
