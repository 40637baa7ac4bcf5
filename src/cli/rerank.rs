use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use flate2::bufread::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::lines::{Line, next_line};
use super::{CliError, ConfigArguments, ModelArguments, start};
use crate::context::AssembleError;
use crate::engine::{Engine, EngineError};
use crate::telemetry::{self, Counts};
use crate::wire::{self, DecodeError, Limits};
use crate::worker::{AnswerError, Reranker};

/// Sets in flight: enough for the engine to pack from, few enough to hold in memory.
const SETS_IN_FLIGHT: usize = 64;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Files of candidate sets, one JSON object a line, also gzipped (.gz); `-` is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    files: Vec<PathBuf>,
    /// Stop at the first line that is not a candidate set, instead of reporting it and going on.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    config: ConfigArguments,
    #[command(flatten)]
    model: ModelArguments,
}

/// A line that was read, and where.
struct Numbered {
    place: String,
    line: Line,
}

/// Why a line has no answer, though others may have one.
#[derive(Debug, thiserror::Error)]
pub enum BadLine {
    /// It is not a candidate set.
    #[error("{error} [{code}]", code = error.code())]
    Decode {
        /// What is wrong with it.
        error: DecodeError,
    },
    /// Its context could not be put together.
    #[error("the context could not be put together; correct context.template")]
    Context(#[source] AssembleError),
}

/// What became of a line: the answer, or why there is none.
type Answer = Result<Result<Vec<u8>, BadLine>, EngineError>;

/// Writes answers in the order of the lines, while later lines are being scored.
struct Output<W> {
    out: W,
    in_flight: VecDeque<(String, JoinHandle<Answer>)>,
    strict: bool,
    bar: ProgressBar,
    lines: u64,
    bad: u64,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let settings = arguments.config.load(&arguments.model)?.reranking()?;
    telemetry::init(&settings.telemetry).map_err(CliError::Telemetry)?;
    let limits = settings.limits;
    let (files, bar) = open(&arguments.files)?;
    let counts = Arc::new(Counts::default());
    let reranker = Arc::new(start::reranker(settings, counts).await?);

    let (into_lines, mut lines) = mpsc::channel(1);
    let reading = tokio::task::spawn_blocking(move || read(files, limits, &into_lines));
    let mut output = Output {
        out: io::BufWriter::new(io::stdout()),
        in_flight: VecDeque::with_capacity(SETS_IN_FLIGHT),
        strict: arguments.strict,
        bar,
        lines: 0,
        bad: 0,
    };
    while let Some(Numbered { place, line }) = lines.recv().await {
        while output.in_flight.len() >= SETS_IN_FLIGHT {
            output.write_one().await?;
        }
        let answer = tokio::spawn(answer(Arc::clone(&reranker), line));
        output.in_flight.push_back((place, answer));
    }
    while !output.in_flight.is_empty() {
        output.write_one().await?;
    }
    output.out.flush().map_err(CliError::Write)?;
    output.bar.finish_and_clear();
    reading.await.map_err(|error| CliError::Panicked { reason: error.to_string() })??;
    match output.bad {
        0 => Ok(()),
        bad => Err(CliError::BadLines { bad, lines: output.lines }),
    }
}

async fn answer(reranker: Arc<Reranker<Engine>>, line: Line) -> Answer {
    let set = match line {
        Line::Whole(line) => wire::decode(Some(&line), reranker.limits()),
        Line::TooLong { bytes } => {
            let limit = reranker.limits().record_bytes_max;
            Err(DecodeError::RecordTooLarge { actual: bytes, limit })
        }
    };
    let set = match set {
        Ok(set) => set,
        Err(error) => return Ok(Err(BadLine::Decode { error })),
    };
    match reranker.answer(set, Box::new(|| true), Timestamp::now()).await {
        Ok(answered) => Ok(Ok(answered.value)),
        Err(AnswerError::Context(error)) => Ok(Err(BadLine::Context(error))),
        Err(AnswerError::Engine(error)) => Err(error),
    }
}

// === impl Output ===

impl<W: Write> Output<W> {
    /// Waits for the oldest line in flight and writes its answer.
    async fn write_one(&mut self) -> Result<(), CliError> {
        let Some((place, answer)) = self.in_flight.pop_front() else { return Ok(()) };
        let answer = answer.await;
        let answer = answer.map_err(|error| CliError::Panicked { reason: error.to_string() })?;
        self.lines += 1;
        match answer.map_err(CliError::Scoring)? {
            Ok(value) => {
                self.out.write_all(&value).map_err(CliError::Write)?;
                self.out.write_all(b"\n").map_err(CliError::Write)?;
                if self.in_flight.is_empty() {
                    // Whoever feeds us line by line wants to see each answer.
                    self.out.flush().map_err(CliError::Write)?;
                }
            }
            Err(source) if self.strict => {
                self.out.flush().map_err(CliError::Write)?;
                return Err(CliError::BadLine { place, source });
            }
            Err(error) => {
                self.bad += 1;
                let error = crate::error_text(&error);
                // If standard error is gone, the exit code still tells.
                let _told = self.bar.suspend(|| writeln!(io::stderr(), "{place}: {error}"));
            }
        }
        self.bar.set_message(format!("{} sets", self.lines));
        Ok(())
    }
}

type Input = (String, Box<dyn BufRead + Send>);

/// Opens all files before the model is loaded, so that a wrong name is told at once.
fn open(paths: &[PathBuf]) -> Result<(Vec<Input>, ProgressBar), CliError> {
    let mut bytes = Some(0);
    let mut plain = Vec::with_capacity(paths.len());
    for path in paths {
        if path == Path::new("-") {
            bytes = None;
            plain.push((path, Box::new(io::stdin()) as Box<dyn Read + Send>));
            continue;
        }
        let read = |source| CliError::Read { path: path.display().to_string(), source };
        let file = File::open(path).map_err(read)?;
        let metadata = file.metadata().map_err(read)?;
        if metadata.is_dir() {
            return Err(read(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        bytes = bytes.map(|bytes| bytes + metadata.len());
        plain.push((path, Box::new(file)));
    }
    let bar = bar(bytes);
    let inputs = plain.into_iter().map(|(path, reader)| {
        let reader = BufReader::with_capacity(1 << 16, bar.wrap_read(reader));
        let gzipped = path.extension().is_some_and(|extension| extension == "gz");
        let reader: Box<dyn BufRead + Send> = if gzipped {
            Box::new(BufReader::new(MultiGzDecoder::new(reader)))
        } else {
            Box::new(reader)
        };
        let name = if path == Path::new("-") { "stdin".into() } else { path.display().to_string() };
        (name, reader)
    });
    Ok((inputs.collect(), bar))
}

/// A progress bar on a terminal, nothing elsewhere.
fn bar(bytes: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match bytes {
        Some(bytes) => {
            (ProgressBar::new(bytes), "{msg} {wide_bar} {percent}% {elapsed}, {eta} left")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {msg} {elapsed}"),
    };
    bar.enable_steady_tick(Duration::from_millis(200));
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The reading thread, whole. Ends early when nobody listens any more.
fn read(
    inputs: Vec<Input>,
    limits: Limits,
    lines: &mpsc::Sender<Numbered>,
) -> Result<(), CliError> {
    for (name, mut reader) in inputs {
        let mut number = 0_u64;
        let failed = |source| CliError::Read { path: name.clone(), source };
        while let Some(line) = next_line(&mut reader, limits.record_bytes_max).map_err(failed)? {
            number += 1;
            if matches!(&line, Line::Whole(bytes) if bytes.trim_ascii().is_empty()) {
                continue;
            }
            let numbered = Numbered { place: format!("{name}:{number}"), line };
            if lines.blocking_send(numbered).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}
