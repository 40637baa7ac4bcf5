use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use crossrank_model::training::{Optimizer, Trainee};

const PREFIX: &str = "checkpoint-";

/// The checkpoints of a run: folders with a model, and what its optimizer remembers.
pub(super) struct Checkpoints {
    folder: PathBuf,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    folder: PathBuf,
    /// Steps taken before it.
    pub(super) step: u64,
}

// === impl Checkpoints ===

impl Checkpoints {
    /// Those of a folder, which is made where it is not there.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { folder: folder.to_path_buf() })
    }

    /// That after so many steps.
    pub(super) fn at(&self, step: u64) -> Checkpoint {
        Checkpoint { folder: self.folder.join(format!("{PREFIX}{step}")), step }
    }

    /// The last that is whole.
    pub(super) fn last(&self) -> anyhow::Result<Option<Checkpoint>> {
        let whole = |own: &Checkpoint| own.optimizer().is_file() && own.model().is_dir();
        Ok(self.all()?.into_iter().filter(whole).max_by_key(|own| own.step))
    }

    /// Writes one.
    pub(super) fn save(
        &self,
        step: u64,
        trainee: &Trainee,
        optimizer: &Optimizer,
    ) -> anyhow::Result<Checkpoint> {
        let own = self.at(step);
        if own.folder.is_dir() {
            // Left by a run that was cut off before it was whole, or by one that has learnt otherwise.
            fs::remove_dir_all(&own.folder)
                .with_context(|| format!("cannot remove {}", own.folder.display()))?;
        }
        fs::create_dir(&own.folder)
            .with_context(|| format!("cannot make {}", own.folder.display()))?;
        trainee.save(&own.model())?;
        // Last, since it says that the checkpoint is whole.
        let partial = own.folder.join("optimizer.partial");
        optimizer.save(&partial)?;
        fs::rename(&partial, own.optimizer())
            .with_context(|| format!("cannot write {}", own.optimizer().display()))?;
        Ok(own)
    }

    /// Removes all but those after so many steps.
    pub(super) fn keep(&self, steps: &[u64]) -> anyhow::Result<()> {
        for own in self.all()?.into_iter().filter(|own| !steps.contains(&own.step)) {
            fs::remove_dir_all(&own.folder)
                .with_context(|| format!("cannot remove {}", own.folder.display()))?;
        }
        Ok(())
    }

    fn all(&self) -> anyhow::Result<Vec<Checkpoint>> {
        let entries = fs::read_dir(&self.folder)
            .with_context(|| format!("cannot read {}", self.folder.display()))?;
        let names = entries.filter_map(Result::ok).map(|entry| entry.file_name());
        let step = |name: std::ffi::OsString| name.to_str()?.strip_prefix(PREFIX)?.parse().ok();
        Ok(names.filter_map(step).map(|step| self.at(step)).collect())
    }
}

// === impl Checkpoint ===

impl Checkpoint {
    /// A Hugging Face directory.
    pub(super) fn model(&self) -> PathBuf {
        self.folder.join("model")
    }

    /// What the optimizer remembers.
    pub(super) fn optimizer(&self) -> PathBuf {
        self.folder.join("optimizer.bpk")
    }
}
