use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use tokio::sync::mpsc::Sender;

use super::CliError;
use super::lines::{Line, next_line};

const BUFFER_BYTES: usize = 1 << 16;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// All that is to be read, opened.
pub(super) struct Inputs {
    inputs: Vec<Input>,
    bytes: Option<u64>,
    read: Arc<AtomicU64>,
}

struct Input {
    name: String,
    reader: Box<dyn Read + Send>,
}

/// A line, or what stands in its place, and where.
pub(super) struct Numbered {
    /// `file:line`.
    pub(super) place: String,
    pub(super) content: Content,
    /// Bytes of all inputs that had been read by then.
    pub(super) read_to: u64,
}

/// What stands in a line.
pub(super) enum Content {
    Line(Line),
    /// The rest of the file cannot be read.
    Unreadable(io::Error),
}

/// Counts what is read, for the progress bar.
struct Counted<R> {
    reader: R,
    read: Arc<AtomicU64>,
}

// === impl Inputs ===

impl Inputs {
    /// Opens all files, so that a wrong name is told before a model is loaded.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self, CliError> {
        let mut opened = Self { inputs: Vec::new(), bytes: Some(0), read: Arc::default() };
        for path in paths {
            if path == Path::new("-") {
                opened.bytes = None;
                opened.add("stdin".to_owned(), io::stdin());
                continue;
            }
            let name = path.display().to_string();
            let failed = |source| CliError::Read { path: name.clone(), source };
            let file = File::open(path).map_err(failed)?;
            let metadata = file.metadata().map_err(failed)?;
            if metadata.is_dir() {
                return Err(failed(io::ErrorKind::IsADirectory.into()));
            }
            // A pipe or a device has no length.
            let length = Some(metadata.len()).filter(|_| metadata.is_file());
            opened.bytes = opened.bytes.zip(length).map(|(all, this)| all + this);
            opened.add(name, file);
        }
        Ok(opened)
    }

    fn add(&mut self, name: String, reader: impl Read + Send + 'static) {
        let reader = Counted { reader, read: Arc::clone(&self.read) };
        self.inputs.push(Input { name, reader: Box::new(reader) });
    }

    /// Bytes of all inputs, where that is known.
    pub(super) fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// Whether lines are going to be typed.
    pub(super) fn waits_for_a_person(&self) -> bool {
        self.inputs.iter().any(|input| input.name == "stdin") && io::stdin().is_terminal()
    }

    /// The reading thread, whole: sends every line that is not blank. A file that cannot be read
    /// to its end is told of in its place, and the next one is read. Ends early when nobody
    /// listens any more.
    pub(super) fn read(self, bytes_max: usize, lines: &Sender<Numbered>) {
        for Input { name, reader } in self.inputs {
            let mut number = 0_u64;
            let mut reader = match unzipped(reader) {
                Ok(reader) => Ok(reader),
                Err(error) => Err(Some(error)),
            };
            loop {
                number += 1;
                let content = match &mut reader {
                    Ok(open) => match next_line(open, bytes_max) {
                        Ok(None) => break,
                        Ok(Some(line)) => {
                            Content::Line(if number == 1 { unmarked(line) } else { line })
                        }
                        Err(error) => {
                            reader = Err(None);
                            Content::Unreadable(error)
                        }
                    },
                    Err(error) => match error.take() {
                        Some(error) => Content::Unreadable(error),
                        None => break,
                    },
                };
                if matches!(&content, Content::Line(Line::Whole(line)) if line.trim_ascii().is_empty())
                {
                    continue;
                }
                let read_to = self.read.load(Ordering::Relaxed);
                let numbered = Numbered { place: format!("{name}:{number}"), content, read_to };
                if lines.blocking_send(numbered).is_err() {
                    return;
                }
            }
        }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// The plain text of an input, whatever its name: gzip shows itself by its first two bytes.
fn unzipped(reader: Box<dyn Read + Send>) -> io::Result<Box<dyn BufRead + Send>> {
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, reader);
    Ok(if reader.fill_buf()?.starts_with(&GZIP_MAGIC) {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(reader)))
    } else {
        Box::new(reader)
    })
}

/// Some editors begin a file with a byte order mark, which is no part of its first line.
fn unmarked(line: Line) -> Line {
    match line {
        Line::Whole(line) => match line.strip_prefix(&BYTE_ORDER_MARK) {
            Some(rest) => Line::Whole(rest.to_vec()),
            None => Line::Whole(line),
        },
        long @ Line::TooLong { .. } => long,
    }
}
