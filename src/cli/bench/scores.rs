use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::sets::Sets;
use crate::cli::CliError;
use crate::engine::SetScores;

/// A file that takes the logit of every pair.
pub(super) struct Scores {
    path: String,
    file: File,
}

// === impl Scores ===

impl Scores {
    /// Makes the file, or empties it.
    pub(super) fn create(path: &Path) -> Result<Self, CliError> {
        let name = path.display().to_string();
        match File::create(path) {
            Ok(file) => Ok(Self { path: name, file }),
            Err(source) => Err(CliError::WriteFile { path: name, source }),
        }
    }

    /// Writes request id, candidate id and logit of each pair, in the order of the input.
    pub(super) fn write(self, sets: &Sets, scores: &[SetScores]) -> Result<(), CliError> {
        let written = lines(BufWriter::new(self.file), sets, scores);
        written.map_err(|source| CliError::WriteFile { path: self.path, source })
    }
}

fn lines(mut out: impl Write, sets: &Sets, scores: &[SetScores]) -> io::Result<()> {
    for (set, scores) in sets.sets.iter().zip(scores) {
        for (id, pair) in set.ids.iter().zip(&scores.pairs) {
            let request_id = &set.request_id;
            match pair.logit {
                Ok(logit) => writeln!(out, "{request_id}\t{id}\t{logit:.6}")?,
                Err(_unscored) => writeln!(out, "{request_id}\t{id}\tnan")?,
            }
        }
    }
    out.flush()
}
