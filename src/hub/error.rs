use std::io;
use std::path::PathBuf;

use super::{BUNDLED, ModelId, NameError};
use crate::engine::{Model, shown};

/// Why a model cannot be had. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// A name that the hub would not give.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No variable says where the cache is.
    #[error("there is no place for models: set HF_HOME, or HOME")]
    NoCache,
    /// `HF_ENDPOINT` is not an address.
    #[error(
        "HF_ENDPOINT is {endpoint:?}, which is not an http or https address; correct or unset it"
    )]
    Endpoint {
        /// What it says.
        endpoint: String,
    },
    /// Only the cache may be used, and the model is not in there.
    #[error(
        "{id} at {revision} is not in the cache, {}, and HF_HUB_OFFLINE forbids to fetch it; unset it, or: {}",
        .cache.display(),
        by_hand(.id)
    )]
    Offline {
        /// The model.
        id: ModelId,
        /// What was asked for.
        revision: String,
        /// Where it was looked for.
        cache: PathBuf,
    },
    /// The model is not in the cache, and nothing else was asked for.
    #[error(
        "{id} at {revision} is not in the cache, {}; `crossrank model pull {id}` fetches it",
        .cache.display()
    )]
    NotInCache {
        /// The model.
        id: ModelId,
        /// What was asked for.
        revision: String,
        /// Where it was looked for.
        cache: PathBuf,
    },
    /// Nothing answers, or nothing sensible.
    #[error(
        "cannot reach {host} for {id} ({reason}); check the network, HF_ENDPOINT and HTTPS_PROXY, or: {}",
        by_hand(.id)
    )]
    Unreachable {
        /// The model.
        id: ModelId,
        /// Who was asked.
        host: String,
        /// What happened.
        reason: String,
    },
    /// 401.
    #[error(
        "the hub does not let {who} read {id}: there is no such model, or it is private or gated; check the name, and set HF_TOKEN to a token that may read it",
        who = if *.token { "this token" } else { "anybody without a token" }
    )]
    Unauthorized {
        /// The model.
        id: ModelId,
        /// Whether a token was sent.
        token: bool,
    },
    /// 403.
    #[error(
        "{id} is gated, and its authors have not let {who} in; ask for access on the model's page, then set HF_TOKEN",
        who = if *.token { "the owner of this token" } else { "anybody without a token" }
    )]
    Forbidden {
        /// The model.
        id: ModelId,
        /// Whether a token was sent.
        token: bool,
    },
    /// 404.
    #[error("the hub knows no {what}; check model.id and model.revision")]
    NotFound {
        /// The model, the revision or the file.
        what: String,
    },
    /// 429, for longer than we wait.
    #[error(
        "the hub limits how often it is asked and says to wait {wait_s} s; start again then, set HF_TOKEN, which has a limit of its own, or: {}",
        by_hand(.id)
    )]
    RateLimited {
        /// The model.
        id: ModelId,
        /// What it says.
        wait_s: u64,
    },
    /// An answer that cannot be worked with.
    #[error("{host} answers {what}; is HF_ENDPOINT a Hugging Face hub?")]
    Protocol {
        /// Who answered.
        host: String,
        /// What.
        what: String,
    },
    /// The model lacks a file without which it cannot be run.
    #[error("{id} at {commit} has no {file}; {hint}")]
    Lacks {
        /// The model.
        id: ModelId,
        /// Which content of it.
        commit: String,
        /// The file.
        file: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// What arrived is not what the hub announced, twice in a row.
    #[error(
        "{file} arrived with {what} {actual}, not {expected}; nothing of it is kept: try again, and then suspect the mirror or proxy"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Which property.
        what: &'static str,
        /// As it arrived.
        actual: String,
        /// As announced.
        expected: String,
    },
    /// The model is not the pinned one.
    #[error(
        "{} does not hold the model that model.sha256 names: it is {actual}, not {expected}; correct model.sha256 if this change was meant",
        shown(.directory)
    )]
    NotPinned {
        /// Where the files are.
        directory: PathBuf,
        /// SHA-256 of the files that decide the scores.
        actual: String,
        /// As configured.
        expected: String,
    },
    /// The disk is too small.
    #[error(
        "{needed_mb} MB are to be fetched into {}, where {available_mb} MB are free; free some, or set HF_HUB_CACHE to a larger disk",
        .cache.display()
    )]
    NoSpace {
        /// Where to.
        cache: PathBuf,
        /// What is missing yet.
        needed_mb: u64,
        /// What is free.
        available_mb: u64,
    },
    /// No machine with this little memory holds the model.
    #[error(
        "{model} needs {needed_mb} MB of memory for its weights with {precision}, and there are {total_mb} MB in all for this process; choose a smaller model, precision int8 where it is not, or a machine (or limit of the container) with more"
    )]
    NoMemory {
        /// The model, or its directory.
        model: String,
        /// In which it was to be run.
        precision: String,
        /// What its weights take.
        needed_mb: u64,
        /// What there is, swap included.
        total_mb: u64,
    },
    /// This build has no model inside.
    #[error(
        "this program was built without a model inside (feature `bundled`); name a model or a directory (--model), or build it with the feature"
    )]
    NotBundled,
    /// The bundled model is everywhere already.
    #[error(
        "{BUNDLED:?} is the model that ships inside: there is nothing to fetch, `--model {BUNDLED}` uses it"
    )]
    NothingToFetch,
    /// A file cannot be read or written.
    #[error("cannot {action} {}", .path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

// === impl HubError ===

impl HubError {
    /// Whether what is in the cache is a sound answer: the hub could not say otherwise.
    pub(super) fn leaves_the_cache(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::RateLimited { .. })
    }

    /// What happened, without what to do: more is to come.
    pub(super) fn in_short(&self) -> String {
        match self {
            Self::Unreachable { host, reason, .. } => format!("{host}: {reason}"),
            Self::RateLimited { .. } => "the hub limits how often it is asked".to_owned(),
            other => other.to_string(),
        }
    }
}

/// How to do without the hub.
fn by_hand(id: &ModelId) -> String {
    let inside = match Model::bundled() {
        Some(_) => format!(
            "; `--model {BUNDLED}` (model.id) is a small model that ships inside and needs no network"
        ),
        None => String::new(),
    };
    format!(
        "on a machine that reaches the hub, run `crossrank model pull {id} --dir DIR`, copy DIR to this one, and set \
         model.path (--model) to it{inside}"
    )
}

/// For `map_err`: what was tried with which file.
pub(super) fn file(
    action: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> HubError {
    let path = path.into();
    move |source| HubError::File { action, path, source }
}
