use std::collections::VecDeque;
use std::io::{self, BufWriter, Write};

use indicatif::ProgressBar;
use tokio::task::JoinHandle;

use super::{BadLine, CliError};
use crate::cli::progress;
use crate::engine::EngineError;

/// Sets in flight: enough for the engine to pack from, few enough to hold in memory.
const SETS_IN_FLIGHT: usize = 64;

/// What became of a line: the answer, or why there is none.
pub(super) type Answer = Result<Result<Vec<u8>, BadLine>, EngineError>;

/// Writes answers in the order of the lines, while later lines are being scored.
pub(super) struct Output<W: Write> {
    out: BufWriter<W>,
    in_flight: VecDeque<InFlight>,
    strict: bool,
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
    pub(super) fn new(out: W, bytes: Option<u64>, strict: bool) -> Self {
        let out = BufWriter::new(out);
        Self {
            out,
            in_flight: VecDeque::new(),
            strict,
            bar: progress::bar(bytes),
            lines: 0,
            bad: 0,
        }
    }

    pub(super) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.in_flight.len() >= SETS_IN_FLIGHT
    }

    /// Adds a line whose answer is on its way.
    pub(super) fn expect(&mut self, place: String, read_to: u64, answer: JoinHandle<Answer>) {
        self.in_flight.push_back(InFlight { place, read_to, answer });
    }

    /// Waits for the answer to the oldest line and writes it. Cancel-safe: a line stays until its
    /// answer is there.
    pub(super) async fn write_oldest(&mut self) -> Result<(), CliError> {
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
            Err(source) if self.strict => {
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
        self.bar.set_message(format!("{} sets", self.lines));
        Ok(())
    }

    /// Writes what is left in the buffer.
    pub(super) fn finish(mut self) -> Result<(), CliError> {
        self.out.flush().map_err(CliError::Write)?;
        self.bar.finish_and_clear();
        match self.bad {
            0 if self.lines == 0 => {
                let told = "the input is empty: one candidate set a line is answered, as JSON\n";
                io::stderr().write_all(told.as_bytes()).map_err(CliError::Write)
            }
            0 => Ok(()),
            bad => Err(CliError::BadLines { bad, lines: self.lines }),
        }
    }
}
