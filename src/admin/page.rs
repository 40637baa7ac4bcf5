//! The page: one file, with the state of the moment in it, so that it shows something at once.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::header::HeaderValue;
use serde::Serialize;
use sha2::{Digest, Sha256};

const BODY: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The page around the state, and what a browser may do with it.
pub(super) struct Page {
    before: String,
    after: String,
    policy: HeaderValue,
}

// === impl Page ===

impl Page {
    pub(super) fn new() -> Self {
        let whole = BODY.replace("{{ style }}", STYLE).replace("{{ script }}", SCRIPT);
        let (before, after) = whole.split_once("{{ state }}").unwrap_or((&whole, ""));
        Self { before: before.to_owned(), after: after.to_owned(), policy: policy() }
    }

    /// With this state.
    pub(super) fn showing(&self, state: &impl Serialize) -> String {
        let Self { before, after, .. } = self;
        format!("{before}{}{after}", json(state))
    }

    pub(super) fn policy(&self) -> HeaderValue {
        self.policy.clone()
    }
}

/// JSON that is safe in a script element too: no text of it can end the element.
pub(super) fn json(what: &impl Serialize) -> String {
    let json = serde_json::to_string(what).unwrap_or_else(|_unreachable| "null".to_owned());
    json.replace('<', "\\u003c")
}

/// Only this style and this script, and connections to where the page came from.
fn policy() -> HeaderValue {
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

fn hash(source: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(source)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_state_ends_its_element() {
        let page = Page::new().showing(&"</script><script>alert(1)</script>");
        assert!(page.contains(r#""\u003c/script>\u003cscript>alert(1)\u003c/script>""#));
        assert_eq!(page.matches("</script>").count(), 2, "the state's and the page's own");
    }

    #[test]
    fn the_page_is_whole_and_asks_nothing_of_anybody_else() {
        let page = Page::new().showing(&1);
        assert!(!page.contains("{{") && page.ends_with("</html>\n"));
        assert!(page.contains(STYLE) && page.contains(SCRIPT));
        for word in ["http://", "https://", "url(", "@import", "innerHTML", " style=", " onclick="]
        {
            let elsewhere = page.replace("http://www.w3.org/2000/svg", "");
            assert!(!elsewhere.contains(word), "{word}");
        }
    }
}
