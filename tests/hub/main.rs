//! Models by name, from a server that speaks the hub's protocol and does it harm.

#[path = "../support/hub.rs"]
mod server;

mod faults;
mod layout;
mod room;
mod sharing;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crossrank::hub::{
    Demand, Endpoint, Hub, HubError, ModelId, Revision, Settings, Snapshot, Token, Unseen,
};
use server::{COMMIT, Host, Instead, Seen, TestHub, WEIGHTS, git_hash, sha256, tiny};
use tempfile::TempDir;

const ID: &str = "org/tiny";
const TOKEN: &str = "hf_secret";

/// A hub, and a cache that is empty at first.
struct Stage {
    server: TestHub,
    cache: TempDir,
}

// === impl Stage ===

impl Stage {
    fn new(rule: impl Fn(&Seen) -> Option<Instead> + Send + Sync + 'static) -> Self {
        Self::serving(tiny(), rule)
    }

    fn honest() -> Self {
        Self::new(|_| None)
    }

    fn serving(
        files: Vec<(String, Vec<u8>)>,
        rule: impl Fn(&Seen) -> Option<Instead> + Send + Sync + 'static,
    ) -> Self {
        Self { server: TestHub::start(ID, files, rule), cache: tempfile::tempdir().unwrap() }
    }

    fn settings(&self) -> Settings {
        Settings {
            cache: self.cache.path().to_owned(),
            endpoint: Endpoint::new(&self.server.endpoint()).unwrap(),
            token: Token::new(TOKEN.to_owned()),
            offline: false,
            free_bytes: |_| Ok(1 << 40),
            demand: None,
            retry_wait: Duration::ZERO,
        }
    }

    fn obtain(&self, revision: Option<&str>) -> Result<Snapshot, HubError> {
        self.obtain_with(self.settings(), revision)
    }

    fn obtain_with(
        &self,
        settings: Settings,
        revision: Option<&str>,
    ) -> Result<Snapshot, HubError> {
        let revision = revision.map(|revision| Revision::new(revision).unwrap());
        let hub = Hub::new(settings);
        hub.obtain(&ModelId::new(ID).unwrap(), revision.as_ref(), &Unseen)
    }

    /// The error's text with its causes.
    fn refusal(&self, revision: Option<&str>) -> String {
        crossrank::error_text(&self.obtain(revision).unwrap_err())
    }

    fn blobs(&self) -> PathBuf {
        self.cache.path().join("models--org--tiny/blobs")
    }

    fn weights_link(&self) -> PathBuf {
        self.cache.path().join("models--org--tiny/snapshots").join(COMMIT).join(WEIGHTS)
    }
}

fn weights() -> Vec<u8> {
    tiny().into_iter().find(|(name, _)| name == WEIGHTS).unwrap().1
}

/// Whether anything has this name, a link to nothing included.
fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// Whether this asks the second host for the weights.
fn is_download(seen: &Seen) -> bool {
    seen.host == Host::Storage
}
