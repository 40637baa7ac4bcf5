use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::CliError;

/// A file that takes a result. Made before the work, so that a wrong name is told before minutes are spent.
#[derive(Debug)]
pub(super) struct Created {
    path: String,
    file: File,
}

// === impl Created ===

impl Created {
    /// Makes the file, or empties it.
    pub(super) fn new(path: &Path) -> Result<Self, CliError> {
        let name = path.display().to_string();
        match File::create(path) {
            Ok(file) => Ok(Self { path: name, file }),
            Err(source) => Err(CliError::WriteFile { path: name, source }),
        }
    }

    /// Writes all that it is to hold.
    pub(super) fn write(
        self,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), CliError> {
        let mut out = BufWriter::new(self.file);
        let written = write(&mut out).and_then(|()| out.flush());
        written.map_err(|source| CliError::WriteFile { path: self.path, source })
    }
}
