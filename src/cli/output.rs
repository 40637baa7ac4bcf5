use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, BufWriter, Write};

use indicatif::ProgressBar;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::input::{Content, Inputs};
use super::rerank::BadLine;
use super::{CliError, progress};
use crate::engine::EngineError;

/// What became of a line: the answer, or why there is none.
pub(super) type Answer = Result<Result<Vec<u8>, BadLine>, EngineError>;

/// How a command answers lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// What a line holds, in the plural.
    pub(super) noun: &'static str,
    /// Lines in flight: enough for the engine to pack from, few enough to hold in memory.
    pub(super) in_flight_max: usize,
    /// Told where there is no line at all.
    pub(super) empty: &'static str,
    /// Whether the first line without an answer is the end.
    pub(super) strict: bool,
}

/// Writes answers in the order of the lines, while later lines are being scored.
pub(super) struct Output<W: Write> {
    out: BufWriter<W>,
    in_flight: VecDeque<InFlight>,
    manner: Manner,
    bar: ProgressBar,
    lines: u64,
    bad: u64,
}

struct InFlight {
    place: String,
    read_to: u64,
    answer: JoinHandle<Answer>,
}

// === impl Output ===

impl<W: Write> Output<W> {
    /// Writes to `out`; the bar goes up to `bytes`, where that is known.
    pub(super) fn new(out: W, bytes: Option<u64>, manner: Manner) -> Self {
        let out = BufWriter::new(out);
        let bar = progress::bar(bytes);
        Self { out, in_flight: VecDeque::new(), manner, bar, lines: 0, bad: 0 }
    }

    pub(super) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// Answers all lines of `inputs`, of which at most `bytes_max` bytes are held. `answer` is called in their order.
    pub(super) async fn answer_all<F>(
        mut self,
        inputs: Inputs,
        bytes_max: usize,
        mut answer: impl FnMut(Content) -> F,
    ) -> Result<(), CliError>
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let (into_lines, mut lines) = mpsc::channel(1);
        let reading = tokio::task::spawn_blocking(move || inputs.read(bytes_max, &into_lines));
        loop {
            tokio::select! {
                written = self.write_oldest(), if !self.in_flight.is_empty() => written?,
                Some(numbered) = lines.recv(), if self.in_flight.len() < self.manner.in_flight_max => {
                    let answer = tokio::spawn(answer(numbered.content));
                    let (place, read_to) = (numbered.place, numbered.read_to);
                    self.in_flight.push_back(InFlight { place, read_to, answer });
                }
                else => break,
            }
        }
        reading.await.map_err(|error| CliError::Panicked { reason: error.to_string() })?;
        self.finish()
    }

    /// Waits for the answer to the oldest line and writes it. Cancel-safe: a line stays until its
    /// answer is there.
    async fn write_oldest(&mut self) -> Result<(), CliError> {
        let Some(oldest) = self.in_flight.front_mut() else { return Ok(()) };
        let answer = (&mut oldest.answer).await;
        let place = std::mem::take(&mut oldest.place);
        self.bar.set_position(oldest.read_to);
        self.in_flight.pop_front();
        self.lines += 1;
        let answer = answer.map_err(|error| CliError::Panicked { reason: error.to_string() })?;
        match answer.map_err(CliError::Scoring)? {
            Ok(value) => {
                self.out.write_all(&value).map_err(CliError::Write)?;
                self.out.write_all(b"\n").map_err(CliError::Write)?;
            }
            Err(source) if self.manner.strict => {
                self.out.flush().map_err(CliError::Write)?;
                self.bar.finish_and_clear();
                return Err(CliError::BadLine { place, source });
            }
            Err(error) => {
                self.bad += 1;
                let told = format!("{place}: {}\n", crate::error_text(&error));
                // If standard error is gone, the exit code still tells.
                let _told = self.bar.suspend(|| io::stderr().write_all(told.as_bytes()));
            }
        }
        if self.in_flight.is_empty() {
            // Whoever sends lines one by one wants to see each answer.
            self.out.flush().map_err(CliError::Write)?;
        }
        self.bar.set_message(format!("{} {}", self.lines, self.manner.noun));
        Ok(())
    }

    /// Writes what is left in the buffer.
    fn finish(mut self) -> Result<(), CliError> {
        self.out.flush().map_err(CliError::Write)?;
        self.bar.finish_and_clear();
        match self.bad {
            0 if self.lines == 0 => {
                io::stderr().write_all(self.manner.empty.as_bytes()).map_err(CliError::Write)
            }
            0 => Ok(()),
            bad => Err(CliError::BadLines { bad, lines: self.lines }),
        }
    }
}
