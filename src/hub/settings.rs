use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::address::Endpoint;
use super::{Demand, HubError};

/// Where `HF_ENDPOINT` says nothing.
const ENDPOINT: &str = "https://huggingface.co";
/// Doubled with each attempt.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// Where models come from and where they are kept, in the variables that all tools of the hub read.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cache: `HF_HUB_CACHE`, else `HF_HOME`/hub, else ~/.cache/huggingface/hub.
    pub cache: PathBuf,
    /// The hub or a mirror of it: `HF_ENDPOINT`.
    pub endpoint: Endpoint,
    /// Sent to the endpoint and to nobody else: `HF_TOKEN`, else the file that `hf auth login` writes.
    pub token: Option<Token>,
    /// Whether only the cache is used: `HF_HUB_OFFLINE`.
    pub offline: bool,
    /// What is free on the disk of a directory.
    pub free_bytes: FreeBytes,
    /// What the model is wanted for; its weights must have room in memory before they are fetched.
    pub demand: Option<Demand>,
    /// Wait before the second attempt of a request; the third waits twice as long, and so on.
    pub retry_wait: Duration,
}

/// Free bytes on the disk of a directory.
pub type FreeBytes = fn(&Path) -> io::Result<u64>;

/// A token of the hub; it is not printed.
#[derive(Clone)]
pub struct Token(String);

// === impl Settings ===

impl Settings {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// `HF_ENDPOINT` is not an address, or there is no place for a cache.
    pub fn from_environment() -> Result<Self, HubError> {
        Self::from_variables(&|name| std::env::var_os(name).filter(|value| !value.is_empty()))
    }

    fn from_variables(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, HubError> {
        let path = |name| variable(name).map(PathBuf::from);
        let text = |name| variable(name).and_then(|value| value.into_string().ok());
        let home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache/huggingface")));
        let in_home = |name: &str| home.as_ref().map(|home| home.join(name));
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| in_home("hub"))
            .ok_or(HubError::NoCache)?;
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        let token = text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN")).or_else(|| {
            let file = path("HF_TOKEN_PATH").or_else(|| in_home("token"))?;
            std::fs::read_to_string(file).ok()
        });
        Ok(Self {
            cache,
            endpoint: Endpoint::new(&endpoint)?,
            token: token.map(|token| token.trim().to_owned()).and_then(Token::new),
            offline: text("HF_HUB_OFFLINE").is_some_and(|value| is_on(&value)),
            free_bytes: |directory| fs4::available_space(directory),
            demand: None,
            retry_wait: RETRY_WAIT,
        })
    }
}

// === impl Token ===

impl Token {
    /// `None` where it is empty or cannot stand in a header.
    pub fn new(text: String) -> Option<Self> {
        (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())).then_some(Self(text))
    }

    pub(super) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// As huggingface_hub reads a toggle.
fn is_on(value: &str) -> bool {
    ["1", "on", "yes", "true"].contains(&value.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, HubError> {
        Settings::from_variables(&|name| {
            variables.iter().find(|(given, _)| *given == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn the_cache_is_where_other_tools_keep_theirs() {
        let cases: [(&[(&str, &str)], &str); 4] = [
            (&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/h")], "/c"),
            (&[("HF_HOME", "/h"), ("XDG_CACHE_HOME", "/x")], "/h/hub"),
            (&[("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (&[("HUGGINGFACE_HUB_CACHE", "/old")], "/old"),
        ];
        for (variables, expected) in cases {
            assert_eq!(read(variables).unwrap().cache, PathBuf::from(expected));
        }
    }

    #[test]
    fn a_token_comes_from_the_environment_or_the_file_and_is_never_printed() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("token"), "hf_file\n").unwrap();
        let home = home.path().to_str().unwrap();
        let bearer = |settings: Settings| settings.token.map(|token| token.bearer());
        let from_file = read(&[("HF_HOME", home)]).unwrap();
        assert_eq!(bearer(from_file).unwrap(), "Bearer hf_file");
        let given = read(&[("HF_HOME", home), ("HF_TOKEN", "hf_given")]).unwrap();
        assert!(!format!("{given:?}").contains("hf_given"));
        assert_eq!(bearer(given).unwrap(), "Bearer hf_given");
        assert!(read(&[("HF_HOME", "/nowhere")]).unwrap().token.is_none());
    }

    #[test]
    fn an_endpoint_that_is_no_address_is_refused() {
        let mirror =
            read(&[("HF_ENDPOINT", "https://mirror.example/hub"), ("HF_HUB_OFFLINE", "1")]);
        let mirror = mirror.unwrap();
        assert!(mirror.offline && mirror.endpoint.to_string() == "https://mirror.example/hub");
        for bad in ["mirror.example", "ftp://mirror.example", "file:///x"] {
            let error = read(&[("HF_ENDPOINT", bad)]).unwrap_err().to_string();
            assert!(error.contains(bad) && error.contains("HF_ENDPOINT"), "{error}");
        }
    }
}
