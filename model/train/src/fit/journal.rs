use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// Steps over which the loss is averaged for people.
const RECENT: usize = 50;

/// What happened in a run, in JSON lines, so that it can be drawn and gone on with.
pub(super) struct Journal {
    path: PathBuf,
    entries: Vec<Entry>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Entry {
    /// A step was taken.
    Step { step: u64, loss: f64, pairs: usize },
    /// A model was judged.
    Measure { step: u64, measure: f64 },
}

/// A model that was judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    pub(super) step: u64,
    pub(super) measure: f64,
}

// === impl Journal ===

impl Journal {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let entries = match path.is_file() {
            true => crate::pairs::lines(path)?,
            false => Vec::new(),
        };
        Ok(Self { path: path.to_path_buf(), entries })
    }

    /// Forgets what happened after so many steps: it will happen again.
    pub(super) fn cut_after(&mut self, last: u64) -> anyhow::Result<()> {
        self.entries.retain(|entry| match entry {
            Entry::Step { step, .. } | Entry::Measure { step, .. } => *step <= last,
        });
        let mut text = Vec::new();
        for entry in &self.entries {
            serde_json::to_writer(&mut text, entry)?;
            text.push(b'\n');
        }
        fs::write(&self.path, text).with_context(|| format!("cannot write {}", self.path.display()))
    }

    pub(super) fn write(&mut self, entry: &Entry) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let open = || OpenOptions::new().create(true).append(true).open(&self.path);
        open()
            .and_then(|mut file: File| file.write_all(&line))
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        self.entries.push(entry.clone());
        Ok(())
    }

    /// The loss after each step.
    pub(super) fn losses(&self) -> Vec<(u64, f64)> {
        let loss = |entry: &Entry| match entry {
            Entry::Step { step, loss, .. } => Some((*step, *loss)),
            Entry::Measure { .. } => None,
        };
        self.entries.iter().filter_map(loss).collect()
    }

    /// All models that were judged.
    pub(super) fn measures(&self) -> Vec<Measured> {
        let measured = |entry: &Entry| match *entry {
            Entry::Measure { step, measure } => Some(Measured { step, measure }),
            Entry::Step { .. } => None,
        };
        self.entries.iter().filter_map(measured).collect()
    }

    /// The model that training began with.
    pub(super) fn first(&self) -> Measured {
        self.measures().first().copied().unwrap_or(Measured { step: 0, measure: f64::NAN })
    }

    /// The best one; of equals the first.
    pub(super) fn best(&self) -> Measured {
        let better = |best: Measured, other: Measured| {
            if other.measure > best.measure { other } else { best }
        };
        self.measures().into_iter().fold(self.first(), better)
    }

    pub(super) fn measures_since_best(&self) -> usize {
        let best = self.best().step;
        self.measures().iter().filter(|measured| measured.step > best).count()
    }

    pub(super) fn recent_loss(&self) -> f64 {
        let losses = self.losses();
        let recent = &losses[losses.len().saturating_sub(RECENT)..];
        recent.iter().map(|(_, loss)| loss).sum::<f64>() / recent.len().max(1) as f64
    }
}
