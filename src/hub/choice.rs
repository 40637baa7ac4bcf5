use std::path::PathBuf;

use super::expected::published;
use super::{
    Demand, ExpectedError, ExpectedScores, Hub, HubError, ModelId, Progress, Revision, Settings,
    Snapshot, verify,
};
use crate::engine::{Model, ModelName};

/// Which model, and what proves that it is the right one. Already checked by `config`.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Where it comes from.
    pub source: Source,
    /// Of a model with several labels, the one that is ranked by: its name, or else its index.
    pub label: Option<String>,
    /// The content that it must have ([`super::sha256`]), in hexadecimal.
    pub sha256: Option<String>,
    /// Whether and how its scores are proven.
    pub self_test: SelfTest,
}

/// What the model that ships inside is called where one is chosen. No model of the hub is.
pub const BUNDLED: &str = "bundled";

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// This program, which has one inside.
    Bundled,
    /// A directory of this machine.
    Directory(PathBuf),
    /// The hub.
    Named {
        /// The model.
        id: ModelId,
        /// The branch [`ModelId::BRANCH`] where absent.
        revision: Option<Revision>,
    },
}

/// Whether and how a model's scores are proven before it serves.
#[derive(Clone, Debug, PartialEq)]
pub struct SelfTest {
    /// Whether it is done at all.
    pub enabled: bool,
    /// A file of expected scores, instead of published ones.
    pub expected: Option<PathBuf>,
    /// The largest difference of a logit; that of the precision ([`super::tolerance`]) where absent.
    pub tolerance: Option<f32>,
}

// === impl Choice ===

impl Choice {
    /// The model on this machine, fetched where it is chosen by name and not here yet. Blocks for as long as that
    /// takes.
    ///
    /// # Errors
    /// It cannot be had, is not the pinned one, or has no room in memory.
    pub fn obtain(
        &self,
        demand: Option<Demand>,
        progress: &dyn Progress,
    ) -> Result<Model, HubError> {
        let model = match &self.source {
            Source::Bundled => bundled()?,
            Source::Named { id, revision } => {
                let hub = Hub::new(Settings { demand, ..Settings::from_environment()? });
                Model::from(hub.obtain(id, revision.as_ref(), progress)?)
            }
            Source::Directory(directory) => {
                Snapshot::of(directory).map_or_else(|| Model::at(directory), Model::from)
            }
        };
        if let Some(demand) = demand {
            demand.check(&model.directory)?;
        }
        if let Some(expected) = &self.sha256 {
            verify(&model.directory, expected)?;
        }
        Ok(Model { label: self.label.clone(), ..model })
    }
}

/// The model that ships inside.
///
/// # Errors
/// [`HubError::NotBundled`].
pub fn bundled() -> Result<Model, HubError> {
    Model::bundled().ok_or(HubError::NotBundled)
}

// === impl SelfTest ===

impl SelfTest {
    /// The scores that this model is known to give; `None` where nobody says, or it is not to be tested.
    ///
    /// # Errors
    /// The file of expected scores cannot be used.
    pub fn expected(&self, model: &Model) -> Result<Option<ExpectedScores>, ExpectedError> {
        match (&self.expected, &model.name) {
            _ if !self.enabled => Ok(None),
            (Some(path), _) => ExpectedScores::read(path).map(Some),
            (None, Some(name)) => Ok(published(&name.id)),
            (None, None) => Ok(None),
        }
    }
}

impl From<Snapshot> for Model {
    fn from(snapshot: Snapshot) -> Self {
        let Snapshot { id, commit, directory } = snapshot;
        let name = ModelName { id: id.to_string(), revision: commit };
        Self { name: Some(name), ..Self::at(directory) }
    }
}
